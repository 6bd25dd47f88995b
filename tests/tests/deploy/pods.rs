//! The pods of the manifests, run: what they say of paths, users, probes and steps is so.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::old;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use serde_json::Value;

use crate::conversation::{Conversation, Running};
use crate::manifests::{Built, container, list, text};
use crate::pod::Pod;
use crate::rig::{SOON, image, image_of_bot, probe, put, repository};

async fn database() -> Result<MysqlDatabase> {
    MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await
}

/// Asks the probes of a container until each has succeeded, as the kubelet does before it starts what comes after.
async fn probed(place: &str, container: &Value) -> Result<()> {
    for name in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let Some(path) = container[name]["httpGet"]["path"].as_str() else { continue };
        let what = format!("{name} {path}");
        until(&what, SOON, async || probe(place, path).await.is_ok_and(|status| status == 200)).await?;
    }
    Ok(())
}

/// Ends a server as a kubelet does.
async fn terminated(mut server: Serve, pod: &Value) -> Result<()> {
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let began = Instant::now();
    ensure!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?.success());
    let mut status = None;
    until("the server ends", SOON, async || {
        status = server.process().try_wait().ok().flatten();
        status.is_some()
    })
    .await?;
    ensure!(status.is_some_and(|status| status.success()), "{status:?}: {}", server.said()?);
    ensure!(began.elapsed().as_secs() < grace, "it is killed after {grace} s");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_serves_a_bot_of_the_same_user_from_a_read_only_root() -> Result<()> {
    let (database, image, built) = (database().await?, image()?, Built::of("overlays/sidecar")?);
    let pod = Pod::new(&built, &image, &database.config())?;
    let sidecar = container(built.pod()?, "cofferdam")?;
    ensure!(sidecar["restartPolicy"] == "Always", "it is a step before the bot, and not beside it");

    let folder = tempfile::tempdir()?;
    let server = Serve::start(&mut pod.command(sidecar, &["--json"])?, folder.path())?;
    probed(&server.administration, sidecar).await?;
    ensure!(server.operations == "unix:/run/cofferdam/cofferdam.sock", "{}", server.operations);

    // The bot's own container has what it needs to reach it: the socket's folder, and the same user.
    let bot = container(built.pod()?, "bot")?;
    ensure!(list(&bot["volumeMounts"]).iter().any(|mount| mount["mountPath"] == "/run/cofferdam"));
    let socket = pod.volume("socket")?.join("cofferdam.sock");
    let metadata = std::fs::metadata(&socket)?;
    ensure!((metadata.uid(), metadata.mode() & 0o777) == (image.user().0, 0o600));
    let state = r#"{"channel_id":"c","last_message_id":"m","last_seen_timestamp":1700000000}"#;
    ensure!(put(&socket, "/v1/message-state", state).await? == 200);
    terminated(server, built.pod()?).await?;
    let rows: Option<u64> = database.connect().await?.query_first("SELECT COUNT(*) FROM message_states").await?;
    ensure!(rows == Some(1), "{rows:?}");
    // Its code is kept for the next container of this pod.
    ensure!(pod.volume("cache")?.join("compiled").read_dir()?.count() > 0, "nothing has been cached");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_answers_from_a_read_only_root_on_each_database() -> Result<()> {
    let (database, image) = (database().await?, image_of_bot()?);
    for overlay in ["overlays/bot-sqlite", "overlays/bot-mysql"] {
        let built = Built::of(overlay)?;
        let pod = Pod::new(&built, &image, &database.config())?;
        let (conversation, folder) = (Conversation::new().await?, tempfile::tempdir()?);
        let container = container(built.pod()?, "bot")?;
        let mut command = pod.command(container, &[])?;
        let bot = Running::start(command.env("DISCORD_API", conversation.api()), folder.path())?;
        bot.explain(conversation.is_here(0).await)?;
        conversation.ask()?;
        bot.explain(conversation.is_answered(1).await)?;
        probed(&bot.status_page()?, container).await?;
        bot.stop().await?;
    }
    let rows: Option<u64> = database.connect().await?.query_first("SELECT COUNT(*) FROM message_states").await?;
    ensure!(rows == Some(1), "{rows:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_plans_moves_and_verifies_and_ends_with_its_sidecar() -> Result<()> {
    let (database, image, built) = (database().await?, image()?, Built::of("migrate")?);
    let pod = Pod::new(&built, &image, &database.config())?;
    // The file of the original bot, which was root's.
    let file = pod.volume("state")?.join("bot_state.db");
    let connection = Connection::open(&file)?;
    connection.execute_batch(&old::sqlite::start())?;
    for number in 0..500 {
        let row = format!("('c{number}', 'm', {number}, 1, 1)");
        let columns = "channel_id, last_message_id, last_seen_timestamp, created_at, updated_at";
        connection.execute(&format!("INSERT INTO message_states ({columns}) VALUES {row}"), [])?;
    }
    drop(connection);

    let template = built.pod()?;
    let folder = tempfile::tempdir()?;
    let mut sidecars = Vec::new();
    for step in list(&template["spec"]["initContainers"]).iter().chain(list(&template["spec"]["containers"])) {
        let name = text(&step["name"]);
        if step["restartPolicy"] == "Always" {
            let server = Serve::start(&mut pod.command(step, &["--json"])?, folder.path())?;
            probed(&server.administration, step).await?;
            sidecars.push(server);
            continue;
        }
        let (said, _) = run(&mut pod.command(step, &[])?, 0);
        let moved: Option<u64> =
            match database.connect().await?.query_first("SELECT COUNT(*) FROM message_states").await {
                Ok(count) => count,
                Err(_) => Some(0),
            };
        ensure!(moved == Some(if name == "plan" { 0 } else { 500 }), "after {name}: {moved:?}\n{said}");
    }
    // All containers that are none of sidecars have ended with 0: the Job is complete, and the kubelet ends the sidecars.
    ensure!(sidecars.len() == 1, "{} sidecars", sidecars.len());
    for server in sidecars {
        terminated(server, template).await?;
    }
    Ok(())
}

#[test]
fn exit_codes_that_end_the_job_are_those_that_no_repetition_mends() -> Result<()> {
    let built = Built::of("migrate")?;
    let job = built.of_kind("Job").next().context("a job")?;
    let rules = list(&job["spec"]["podFailurePolicy"]["rules"]);
    let codes: Vec<_> = list(&rules[0]["onExitCodes"]["values"]).iter().filter_map(Value::as_u64).collect();
    let source = std::fs::read_to_string(repository("command/src/failure.rs"))?;
    let named = |name: &str| -> Result<u64> {
        let constant = source.split_once(&format!("pub const {name}: u8 = ")).context(name.to_owned())?.1;
        Ok(constant.split(';').next().unwrap_or_default().parse()?)
    };
    let mut wanted = Vec::new();
    for name in ["USAGE", "NOT_FOUND", "INCOMPLETE", "DIFFERENT"] {
        wanted.push(named(name)?);
    }
    ensure!(codes == wanted, "{codes:?}, not {wanted:?}");
    ensure!(job["spec"]["template"]["spec"]["restartPolicy"] == "Never", "the policy counts only there");
    Ok(())
}
