//! Every fault in its shortened form: what was acknowledged is there, nobody waits longer than agreed, and service comes
//! back by itself. `cargo xtask faults` provokes the same faults for longer.

use anyhow::{Result, ensure};
use cofferdam_tests::faults::{FAULTS, Fault, Run};

async fn provoke(name: &str) -> Result<()> {
    let fault = Fault::named(name).unwrap_or_else(|| panic!("there is no fault {name}"));
    let verdict = fault.provoke(Run::short()?).await?;
    println!("{}", verdict.sentence());
    ensure!(verdict.is_kept(), "{}", verdict.broken.join("\n"));
    Ok(())
}

macro_rules! faults {
    ($($test:ident: $name:literal,)*; $($spool:ident: $of:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> Result<()> {
                provoke($name).await
            }
        )*

        mod with_spool {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> Result<()> {
                    provoke(concat!($name, "+spool")).await
                }
            )*

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $spool() -> Result<()> {
                    provoke(concat!($of, "+spool")).await
                }
            )*
        }

        #[test]
        fn every_fault_has_a_test() {
            let tested = [$($name, concat!($name, "+spool"),)* $(concat!($of, "+spool")),*];
            // The soak measures its process, which it has to have for itself: see `soak.rs`. A cluster has a file of its
            // own too, `galera`.
            let elsewhere = |name: &&str| name.contains("soak") || name.starts_with("galera/");
            let names = FAULTS.iter().map(|fault| fault.name).filter(|name| !elsewhere(name));
            let untested: Vec<_> = names.filter(|name| !tested.contains(name)).collect();
            assert!(untested.is_empty(), "{untested:?}");
        }
    };
}

faults! {
    mysql_kill: "mysql/kill",
    mysql_hang: "mysql/hang",
    mysql_kill_connection: "mysql/kill-connection",
    mysql_max_connections: "mysql/max-connections",
    mysql_hostile_globals: "mysql/hostile-globals",
    mysql_read_only: "mysql/read-only",
    mysql_password: "mysql/password",
    mysql_disk_full: "mysql/disk-full",
    mysql_network: "mysql/network",
    mysql_refuse: "mysql/refuse",
    mysql_outage: "mysql/outage",
    mysql_host_killed: "mysql/host-killed",
    sqlite_host_killed: "sqlite/host-killed",
    sqlite_traps: "sqlite/traps",
    sqlite_disk_full: "sqlite/disk-full",
    sqlite_locked_briefly: "sqlite/locked-briefly",
    sqlite_locked: "sqlite/locked",
    sqlite_long_reader: "sqlite/long-reader",
    sqlite_removed: "sqlite/removed",
    sqlite_log_removed: "sqlite/log-removed",
    sqlite_replaced: "sqlite/replaced",
    sqlite_read_only: "sqlite/read-only",
    sqlite_read_only_at_start: "sqlite/read-only-at-start",
    sqlite_corrupt: "sqlite/corrupt",
    sqlite_corrupt_header: "sqlite/corrupt-header",
    sqlite_corrupt_at_start: "sqlite/corrupt-at-start",
    // Of spools alone.
    ;
    mysql_spool_full: "mysql/spool-full",
    sqlite_spool_full: "sqlite/spool-full",
    mysql_spool_refused: "mysql/spool-refused",
    mysql_spool_header: "mysql/spool-header",
    mysql_spool_middle: "mysql/spool-middle",
    mysql_spool_tail: "mysql/spool-tail",
    mysql_spool_log_middle: "mysql/spool-log-middle",
    mysql_spool_log_tail: "mysql/spool-log-tail",
}
