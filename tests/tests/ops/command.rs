//! `cofferdam status` and `cofferdam plugin swap` on a socket.

use anyhow::{Context, Result};
use cofferdam::StorageService;
use cofferdam::ops::Ops;
use cofferdam_tests::harness::command::{heeding_signals, on_sqlite, run};
use cofferdam_tests::harness::plugins::{self, guests};
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use serde_json::Value;
use tokio::net::UnixListener;

use crate::rig::{Outage, Rig, SOON, begin, healthy, spooling, state};

#[tokio::test(flavor = "multi_thread")]
async fn tells_people_and_scripts_what_the_socket_says() -> Result<()> {
    let (rig, folder) = healthy().await?;
    let socket = folder.path().join("admin.sock");
    let served = Ops::new(&rig.storage).router();
    let listener = UnixListener::bind(&socket)?;
    let server = tokio::spawn(async move { axum::serve(listener, served).await });
    let ask = |arguments: &[&str], exit| {
        let mut asked = on_sqlite(&[&["status", "--socket", socket.to_str().unwrap_or_default()], arguments].concat());
        tokio::task::block_in_place(|| run(&mut asked, exit))
    };
    let (text, _) = ask(&[], 0);
    assert!(text.starts_with("status     ready\n"), "{text}");
    for line in ["storage    initialised", "spool      empty", "backend    sqlite ", "place      /"] {
        assert!(text.contains(line), "{text}");
    }
    let status: Value = serde_json::from_str(&ask(&["--json"], 0).0)?;
    assert_eq!((&status["ready"], &status["plugin"]["name"]), (&true.into(), &"sqlite".into()));
    rig.storage.close().await?;
    let (text, error) = ask(&[], 3);
    assert!(text.starts_with("status     NOT READY\nstorage    FAILED: not initialised, or closed"), "{text}");
    assert!(error.contains("admin.sock is not ready"), "{error}");
    server.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn says_that_nobody_is_there() -> Result<()> {
    let (_, folder) = healthy().await?;
    let nothing = folder.path().join("nothing.sock");
    let (_, error) = run(&mut on_sqlite(&["status", "--socket", nothing.to_str().unwrap_or_default()]), 4);
    assert!(error.contains("nobody listens at") && error.contains("nothing.sock"), "{error}");
    let (_, error) = run(&mut on_sqlite(&["status", "--address", "127.0.0.1:1"]), 4);
    assert!(error.contains("nobody listens at 127.0.0.1:1"), "{error}");
    Ok(())
}

/// Last errors and what waits, of a server that is away.
#[tokio::test(flavor = "multi_thread")]
async fn says_what_is_wrong_first() -> Result<()> {
    let mut outage = Outage::new().await?;
    let rig = Rig::new(spooling(&outage)).await?;
    begin(&mut outage, &rig.storage).await?;
    rig.storage.upsert_message_state(&state("c")).await?;
    let address = rig.address().to_string();
    let mut asked = on_sqlite(&["status", "--address", &address]);
    let (text, _) = tokio::task::block_in_place(|| run(&mut asked, 0));
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("database   DEGRADED: unavailable: "), "{text}");
    assert!(text.contains("spool      1 of 10 writes wait"), "{text}");
    assert!(text.contains("error      ") && text.contains("[2002]"), "{text}");
    Ok(())
}

/// `cofferdam serve` with its sockets in a folder.
struct Served {
    serve: Serve,
    folder: SqliteFolder,
}

impl Served {
    fn start() -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let mut serve = on_sqlite(&["serve", "--json"]);
        serve.env("DATABASE_PATH", folder.database()).env("XDG_RUNTIME_DIR", folder.path());
        Ok(Self { serve: Serve::start(&mut heeding_signals(&serve), folder.path())?, folder })
    }

    fn ask(&self, arguments: &[&str], exit: i32) -> (String, String) {
        let mut asked = on_sqlite(arguments);
        asked.env("XDG_RUNTIME_DIR", self.folder.path());
        tokio::task::block_in_place(|| run(&mut asked, exit))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_swapped_in_a_server_that_runs() -> Result<()> {
    let served = Served::start()?;
    let (text, _) = served.ask(&["status"], 0);
    assert!(text.contains("backend    sqlite "), "{text}");
    // The same component again, and one that is not.
    let (text, _) = served.ask(&["plugin", "swap", plugins::SQLITE], 0);
    assert!(text.contains("answers already"), "{text}");
    let other = served.folder.path().join("other.wasm");
    let mut component = std::fs::read(plugins::SQLITE)?;
    // A custom section of no content, which makes another file of the same component.
    component.extend([0, 2, 1, b'x']);
    std::fs::write(&other, component)?;
    let path = other.to_str().unwrap_or_default();
    // Compiled before, since a machine that is busy with tests may take longer than a swap may.
    let elsewhere = served.folder.path().join("elsewhere.db");
    let mut check = on_sqlite(&["check", "--timeout", "1m"]);
    run(check.env("COFFERDAM_PLUGIN", path).env("DATABASE_PATH", elsewhere), 0);
    let swapped: Value = serde_json::from_str(&served.ask(&["plugin", "swap", path, "--json"], 0).0)?;
    assert_eq!((&swapped["swapped"], &swapped["rehearsed"]), (&true.into(), &true.into()), "{swapped}");
    let status: Value = serde_json::from_str(&served.ask(&["status", "--json"], 0).0)?;
    assert_eq!(status["plugin"]["origin"].as_str(), Some(path), "{status}");
    assert_eq!(status["plugin"]["swaps"]["swapped"].as_u64(), Some(1), "{status}");
    // A bad one leaves that.
    let (_, error) = served.ask(&["plugin", "swap", guests::OTHER_VERSION], 1);
    assert!(error.contains("speaks cofferdam:storage 0.3.0"), "{error}");
    let (_, error) = served.ask(&["plugin", "swap", "nothing.wasm"], 1);
    assert!(error.contains("nothing.wasm"), "{error}");
    let status: Value = serde_json::from_str(&served.ask(&["status", "--json"], 0).0)?;
    assert_eq!(status["plugin"]["origin"].as_str(), Some(path), "{status}");
    assert_eq!(status["plugin"]["swaps"]["refused"].as_u64(), Some(2), "{status}");
    // SIGHUP goes back to what the configuration finds. On a machine that is busy a swap may be refused for its time: it is asked for again.
    let (hang_up, mut refused) = (i32::try_from(served.serve.id())?, 2);
    // SAFETY: the process is a child that has not been waited for, so the id is its own.
    let hang_up = || unsafe { libc::kill(hang_up, libc::SIGHUP) };
    hang_up();
    let mut last = Value::Null;
    let swapped = until("the plugin of the configuration answers", SOON, async || {
        let (status, _) = served.ask(&["status", "--json"], 0);
        last = serde_json::from_str(&status).unwrap_or_default();
        let swaps = &last["plugin"]["swaps"];
        if swaps["refused"].as_u64() > Some(refused) {
            refused += 1;
            hang_up();
        }
        swaps["swapped"] == 2
    })
    .await;
    swapped.with_context(|| last["plugin"].to_string())
}
