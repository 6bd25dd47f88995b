//! What clients do where the server, its database or the way to it is in trouble.

use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_tests::harness::clients::Language;
use cofferdam_tests::harness::proxy::{Mode, Proxy};
use cofferdam_tests::harness::wait::until;

use crate::rig::{PATIENCE, Place, client, get, refusal, result, upsert};

/// Too short for another attempt.
const SHORT: Duration = Duration::from_millis(300);

const TOKEN: &str = "a-token-for-the-tests";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlasts_a_database_that_is_away_for_a_while() -> Result<()> {
    for language in Language::ALL {
        let place = Place::impatient()?;
        let serve = place.serve()?;
        let program = place.client(language).await?;
        assert_eq!(result(&program.ask(upsert("c", "m")).await?), "stored", "{}", language.name());
        place.take()?;
        let refused = serve.said()?.matches("status=503").count();
        let write = tokio::spawn(async move { program.ask(upsert("c", "n")).await });
        until("the server refuses the write", PATIENCE, async || {
            serve.said().is_ok_and(|said| said.matches("status=503").count() > refused)
        })
        .await?;
        place.put_back()?;
        assert_eq!(result(&write.await??), "stored", "{}", language.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlasts_a_restart_of_the_server() -> Result<()> {
    for language in Language::ALL {
        let place = Place::new()?;
        let serve = place.serve()?;
        let program = place.client(language).await?;
        drop(serve);
        let writer = program.clone();
        let write = tokio::spawn(async move { writer.ask(upsert("c", "m")).await });
        let _serve = place.serve()?;
        assert_eq!(result(&write.await??), "stored", "{}", language.name());
        let found = program.ask(get("c")).await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        assert_eq!(found["last_message_id"], "m");
    }
    Ok(())
}

/// A health check is not retried; a connection that the server closed while it was at rest is no failure of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_two_calls_goes_unnoticed() -> Result<()> {
    for language in Language::ALL {
        let place = Place::new()?;
        let serve = place.serve()?;
        let program = place.client(language).await?;
        drop(serve);
        let _serve = place.serve()?;
        let healthy = program.call("health_check").await?;
        assert!(healthy.is_ok(), "{}: {healthy:?}", language.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_wait_says_what_is_wrong_at_once() -> Result<()> {
    for language in Language::ALL {
        // Longer than the client has: another attempt is no use.
        let place = Place::impatient()?.with("COFFERDAM_BREAKER_PROBE_INTERVAL", "1h");
        let _serve = place.serve()?;
        let program = place.client(language).await?;
        place.take()?;
        let unavailable = ("unavailable".to_owned(), true);
        assert_eq!(refusal(program.ask(upsert("c", "m")).await?), unavailable, "{}", language.name());
        assert_eq!(refusal(program.call("health_check").await?), unavailable, "{}", language.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_no_more_than_the_deadline() -> Result<()> {
    let place = Place::new()?;
    let (_serve, port) = place.serve_on_tcp(TOKEN)?;
    for language in Language::ALL {
        let proxy = Proxy::start(port)?;
        let address = format!("http://127.0.0.1:{}", proxy.port());
        let token = place.path("token");
        let program = client(language, &address, Some(&token), 10 * SHORT).await?;
        proxy.switch(Mode::Swallow);
        let late = tokio::time::timeout(PATIENCE, program.ask(upsert("c", "m"))).await.context("it hangs")??;
        assert_eq!(refusal(late), ("timeout".to_owned(), true), "{}", language.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unavailable() -> Result<()> {
    let place = Place::new()?;
    for language in Language::ALL {
        let program = cofferdam_tests::harness::clients::Program::start(language)?;
        let address = format!("unix:{}", place.path("operations").display());
        program.connect(&address, None, SHORT).await?;
        let (kind, retryable) = refusal(program.call("initialize").await?);
        assert!(retryable && ["unavailable", "timeout"].contains(&kind.as_str()), "{}: {kind}", language.name());
        assert_eq!(refusal(program.call("health_check").await?), ("not-initialized".to_owned(), false));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_again_for_each_request() -> Result<()> {
    let place = Place::new()?;
    let (serve, _) = place.serve_on_tcp(TOKEN)?;
    for language in Language::ALL {
        let token = place.path(language.name());
        std::fs::write(&token, format!("{TOKEN}\n"))?;
        let program = client(language, &serve.operations, Some(&token), PATIENCE).await?;
        std::fs::write(&token, "another-token-for-them")?;
        let unauthorized = ("unauthorized".to_owned(), false);
        assert_eq!(refusal(program.ask(get("c")).await?), unauthorized, "{}", language.name());
        std::fs::write(&token, TOKEN)?;
        assert_eq!(result(&program.ask(upsert("c", "m")).await?), "stored", "{}", language.name());
        std::fs::remove_file(&token)?;
        assert_eq!(refusal(program.ask(get("c")).await?), unauthorized, "{}", language.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_waits_in_the_spool_is_told_and_reaches_the_database() -> Result<()> {
    for language in Language::ALL {
        let place = Place::impatient()?;
        let spool = place.path("spool").display().to_string();
        let place = place.with("COFFERDAM_SPOOL", spool);
        let _serve = place.serve()?;
        let program = place.client(language).await?;
        place.take()?;
        assert_eq!(result(&program.ask(upsert("c", "m")).await?), "spooled", "{}", language.name());
        place.put_back()?;
        // Closing waits for the replay.
        program.call("close").await?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        let database = rusqlite::Connection::open(place.path("bot_state.db"))?;
        let message: String = database.query_row("SELECT last_message_id FROM message_states", [], |row| row.get(0))?;
        assert_eq!(message, "m", "{}", language.name());
        assert_eq!(refusal(program.ask(get("c")).await?).0, "not-initialized");
    }
    Ok(())
}
