//! The bot of the Compose file: it answers on SQLite, moves to the server with what it has answered, and goes on there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::container::Image;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::wait::until;

use super::project::{PASSWORD, Project, server_check, succeeds};
use super::story::{count, server, state};
use crate::conversation::{Conversation, Running, TOKEN};
use crate::rig::{SOON, image, image_of_bot, probe, put};

/// Starts a service of the bot's.
fn start(project: &mut Project, image: &Image, name: &str, port: u16, api: &str, logs: &Path) -> Result<Running> {
    Running::start(project.command(image, name, port, &[])?.env("DISCORD_API", api), logs)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_answers_on_sqlite_and_goes_on_where_it_was_on_the_server() -> Result<()> {
    let (image, image_of_command) = (image_of_bot()?, image()?);
    let (mut project, mut mysql) = (Project::new()?, server().await?);
    let port = mysql.process().context("a server of our own")?.port();
    let (conversation, logs) = (Conversation::new().await?, tempfile::tempdir()?);
    let api = conversation.api();
    project.make_data(&image)?;

    // On SQLite, with what the container is asked for.
    let bot = start(&mut project, &image, "bot-sqlite", port, &api, logs.path())?;
    bot.explain(conversation.is_here(0).await)?;
    conversation.ask()?;
    bot.explain(conversation.is_answered(1).await)?;
    let place = bot.status_page()?;
    for path in ["/livez", "/readyz", "/metrics"] {
        until(path, SOON, async || probe(&place, path).await.is_ok_and(|status| status == 200)).await?;
    }
    ensure!(succeeds(project.healthcheck(&image, "bot-sqlite", port)?), "it is not healthy");
    bot.stop().await?;

    // Somebody asks while it moves.
    conversation.ask()?;
    let service = project.service("mysql")?;
    until("the server is healthy", SOON, async || {
        server_check(&service, &project.path("secrets"), port).is_ok_and(succeeds)
    })
    .await?;
    run(&mut project.command(&image_of_command, "migrate", port, &[])?, 0);
    let moved = count(&mysql).await?;
    ensure!(moved == 1, "{moved} states moved");

    // It starts before the server does, and answers what it missed.
    mysql.process().context("a server")?.stop()?;
    let seen = conversation.length();
    let bot = start(&mut project, &image, "bot-mysql", port, &api, logs.path())?;
    bot.explain(conversation.is_here(seen).await)?;
    ensure!(!succeeds(project.healthcheck(&image, "bot-mysql", port)?), "it is healthy without its database");
    mysql.process().context("a server")?.start_again().await?;
    bot.explain(conversation.is_answered(2).await)?;
    ensure!(succeeds(project.healthcheck(&image, "bot-mysql", port)?), "it is not healthy");

    // An outage of the server is none of the bot's, also if the container is killed meanwhile.
    mysql.process().context("a server")?.kill()?;
    conversation.ask()?;
    bot.explain(conversation.is_answered(3).await)?;
    drop(bot);
    mysql.process().context("a server")?.start_again().await?;
    let seen = conversation.length();
    let bot = start(&mut project, &image, "bot-mysql", port, &api, logs.path())?;
    bot.explain(conversation.is_here(seen).await)?;
    conversation.ask()?;
    bot.explain(conversation.is_answered(4).await)?;

    // `serve` runs beside it, with the same volumes.
    project.set("DATABASE_TYPE", "mysql")?;
    let server = Serve::start(&mut project.command(&image_of_command, "serve", port, &["--json"])?, logs.path())?;
    ensure!(put(&project.named("run")?.join("cofferdam.sock"), "/v1/message-state", &state("beside")).await? == 200);
    for name in ["serve", "bot-mysql"] {
        let container = if name == "serve" { &image_of_command } else { &image };
        ensure!(succeeds(project.healthcheck(container, name, port)?), "{name} is not healthy");
    }
    drop(server);
    bot.stop().await?;
    until("the state arrives", Duration::from_secs(60), async || count(&mysql).await.is_ok_and(|count| count == 2))
        .await?;
    let log = std::fs::read_to_string(logs.path().join("bot"))?;
    ensure!(!log.contains(PASSWORD) && !log.contains(TOKEN), "{log}");
    Ok(())
}
