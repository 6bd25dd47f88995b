//! The demo as its users meet it: a bot that is killed loses nothing and answers nothing twice.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cofferdam_tests::harness::command::{self, mysql_environment, run};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::plugins;
use serde_json::Value;
use tempfile::TempDir;

/// The demo in a folder of its own, with nothing of this environment.
fn demo(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut demo = Command::new(command::demo().expect("the demo compiles"));
    demo.args(arguments).env_clear().stdin(Stdio::null());
    demo.env("TMPDIR", folder.path()).env("COFFERDAM_CACHE", plugins::CODE_CACHE);
    demo
}

/// Runs it with `--json` and wants everything to hold.
#[track_caller]
fn proof(command: &mut Command) -> (Value, String) {
    let (stdout, story) = run(command.arg("--json"), 0);
    let proof: Value = serde_json::from_str(&stdout).expect("standard output is JSON");
    assert_eq!(proof["ok"], true, "{proof:#}\n{story}");
    let discord = &proof["discord"];
    for name in ["lost", "twice", "out_of_order", "unasked", "broken_at"] {
        assert_eq!(discord[name], serde_json::json!([]), "{proof:#}\n{story}");
    }
    assert_eq!(discord["asked"], discord["answered"]);
    for name in ["states", "ownerships"] {
        assert_eq!(proof[name]["expected"], proof[name]["right"], "{proof:#}");
    }
    (proof, story)
}

fn left(folder: &TempDir) -> Vec<PathBuf> {
    std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_killed_bot_resumes_then_reads_the_history_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (proof, story) = proof(&mut demo(&folder, &["--seed", "7"]));
    assert_eq!(proof["events"], 2000);
    let discord = &proof["discord"];
    assert!(discord["asked"].as_u64() > Some(150), "{discord:#}");
    // One begins, one is resumed, and one begins anew since Discord has forgotten the one before.
    assert_eq!((&discord["identifies"], &discord["resumes"]), (&2.into(), &1.into()), "{discord:#}");
    // The answer that was held, and whatever else was on its way at a kill, which a slow machine makes more of. What was
    // acknowledged is not sent again: that would be all that was answered before a kill.
    let spared = discord["same_nonce"].as_u64().unwrap_or_default();
    assert!(spared >= 1 && spared < discord["asked"].as_u64().unwrap_or_default() / 4, "{discord:#}");
    assert!(story.contains("with SIGKILL, when its answer was in channel"), "{story}");
    assert_eq!(left(&folder), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_moves_to_a_server_which_keeps_its_other_rows() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    let cofferdam = |arguments: &[&str]| command::on_mysql(&config, arguments);
    run(&mut cofferdam(&["check", "--timeout", "1m"]), 0);
    run(&mut cofferdam(&["state", "put", "real", "--message", "m", "--seen", "1700000000"]), 0);
    let other = || run(&mut cofferdam(&["state", "get", "real", "--json"]), 0).0;
    let before = other();
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(&folder, &["--keep"]);
    let (proof, story) = proof(command.envs(mysql_environment(&config)));
    assert_eq!((&proof["events"], &proof["discord"]["resumes"]), (&2100.into(), &2.into()), "{proof:#}");
    assert_eq!(other(), before);
    let stored: Value = serde_json::from_str(&run(&mut cofferdam(&["state", "list", "--json"]), 0).0).unwrap();
    assert_eq!(
        stored.as_array().map(|states| states.len() as u64),
        proof["states"]["expected"].as_u64().map(|states| states + 1)
    );
    // Nobody is shown the password.
    let mut shown = story;
    for file in left(&folder).iter().flat_map(|kept| std::fs::read_dir(kept).unwrap()) {
        shown += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(!shown.contains(config.password.expose()), "the password was shown");
}

#[test]
fn a_bot_that_does_not_start_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stderr) = run(&mut demo(&folder, &["--bot", "/nowhere/bot"]), 1);
    assert!(stderr.contains("/nowhere/bot does not start") && stderr.lines().count() == 1, "{stderr}");
    let (_, stderr) = run(demo(&folder, &[]).env("COFFERDAM_PLUGIN", "/nowhere/sqlite.wasm"), 1);
    assert!(stderr.contains("/nowhere/sqlite.wasm"), "{stderr}");
    assert_eq!(left(&folder), Vec::<PathBuf>::new());
}
