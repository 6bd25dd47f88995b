//! Users who may not do everything.

use anyhow::Result;
use cofferdam::StorageService;
use cofferdam::config::Secret;
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;

use super::rig::{between, dump, environment, execute, fill, many, migrate, remembers};

const PASSWORD: &str = "of-one-who-drops-nothing";

/// A user of this database who may do everything but drop.
async fn user_without_drop(server: &MysqlServer, database: &MysqlDatabase) -> Result<String> {
    let mut administrator = server.administrator().await?;
    let name = format!("nodrop_{}", database.config().database.rsplit('_').next().unwrap_or_default());
    let name = name[..name.len().min(30)].to_owned();
    administrator.query_drop(format!("CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}'")).await?;
    let rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX";
    administrator.query_drop(format!("GRANT {rights} ON `{}`.* TO {name}@'%'", database.config().database)).await?;
    administrator.disconnect().await?;
    Ok(name)
}

async fn tables(home: &Home) -> Result<u64> {
    let Home::Mysql(database) = home else { unreachable!("it is a server") };
    let mut connection = database.connect().await?;
    let count: Option<u64> = connection
        .query_first(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() \
             AND table_name LIKE 'cofferdam%'",
        )
        .await?;
    connection.disconnect().await?;
    Ok(count.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_a_rollback_could_not_drop_are_told_of_and_forgotten_later() -> Result<()> {
    let server = MysqlServer::shared().await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    let user = user_without_drop(server, &database).await?;
    let to = Home::Mysql(database);
    let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    from.open().await?.close().await?;
    to.open().await?.close().await?;
    fill(&from, &many(100)).await?;
    let before = dump(&to).await?;
    let Home::Mysql(database) = &to else { unreachable!("it is a server") };
    let config = database.config();
    let spec = format!("mysql://{user}@{}/{}", config.hosts[0], config.database);
    let restricted = |arguments: &[&str]| {
        let mut command = between(&to, folder.path(), &from.spec(), &spec, arguments);
        command.env("COFFERDAM_TO_PASSWORD", Secret::new(PASSWORD).expose());
        command
    };
    let only_to = |subcommand: &str, spec: &str, password: &str| {
        let mut command =
            std::process::Command::new(cofferdam_tests::harness::command::cofferdam().expect("it compiles"));
        command.env_clear().envs(environment(&to, &to)).env("COFFERDAM_TO_PASSWORD", password);
        command.current_dir(folder.path()).args(["migrate", subcommand, "--to", spec]);
        command
    };
    run(&mut restricted(&["--execute"]), 0);
    let (stdout, _) = run(&mut only_to("rollback", &spec, PASSWORD), 0);
    assert!(stdout.contains("The tables that record migrations were not dropped"), "{stdout}");
    assert!(stdout.contains("1142") && stdout.contains("`cofferdam migrate forget`"), "{stdout}");
    assert_eq!(dump(&to).await?, before);
    assert_eq!(tables(&to).await?, 3);
    // Told again, and no table is taken for none.
    let (stdout, _) = run(&mut only_to("rollback", &spec, PASSWORD), 0);
    assert!(stdout.contains("`cofferdam migrate forget` drops them"), "{stdout}");
    let (_, stderr) = run(&mut only_to("forget", &spec, PASSWORD), 1);
    assert!(stderr.contains("permission-denied") && stderr.contains("1142"), "{stderr}");
    // They are no obstacle to another run.
    run(&mut restricted(&["--execute"]), 0);
    run(&mut only_to("rollback", &spec, PASSWORD), 0);
    // Somebody who may drop drops them, also where some are gone already.
    let password = config.password.expose();
    let full = to.spec();
    execute(&to, &["DROP TABLE cofferdam_migration_undo"]).await?;
    let (stdout, _) = run(&mut only_to("forget", &full, password), 0);
    assert!(stdout.starts_with("The record of migrations was dropped"), "{stdout}");
    assert!(!remembers(&to).await? && tables(&to).await? == 0);
    let (stdout, _) = run(&mut only_to("forget", &full, password), 0);
    assert!(stdout.starts_with("No migration into this database is recorded"), "{stdout}");
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    Ok(())
}
