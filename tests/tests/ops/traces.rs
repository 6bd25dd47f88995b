//! Traces of `cofferdam serve`, as a collector gets them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cofferdam_tests::harness::command::{on_mysql, on_sqlite, run_wrong};
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::collector::{Collector, attributes, named};
use crate::rig::{Outage, SOON};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What nobody but the collector may see.
const TOKEN: &str = "the-collectors-token";

struct Served {
    serve: Serve,
    _folder: SqliteFolder,
}

impl Served {
    fn start(mut command: Command, endpoint: &str) -> Result<Self> {
        let folder = SqliteFolder::new()?;
        command
            .env("DATABASE_PATH", folder.database())
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-token={TOKEN}"))
            .env("OTEL_BSP_SCHEDULE_DELAY", "50");
        Ok(Self { serve: Serve::start(&mut command, folder.path())?, _folder: folder })
    }

    /// A request that belongs to a trace, if its flags say so, and its status.
    async fn ask(&self, method: &str, target: &str, body: &str, flags: &str) -> Result<u16> {
        let place = self.serve.operations.strip_prefix("unix:").context("a socket")?;
        let mut stream = UnixStream::connect(place).await?;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: bot\r\nconnection: close\r\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        answer.split(' ').nth(1).context("a status")?.parse().with_context(|| answer.clone())
    }

    /// Ends it as an orchestrator does, and says how.
    async fn end(mut self) -> Result<(Option<i32>, String)> {
        ensure!(Command::new("kill").args(["-TERM", &self.serve.id().to_string()]).status()?.success());
        let mut status = None;
        until("the server ends", SOON, async || {
            status = self.serve.process().try_wait().ok().flatten();
            status.is_some()
        })
        .await?;
        Ok((status.context("a status")?.code(), self.serve.said()?))
    }
}

fn serve() -> Command {
    on_sqlite(&["serve", "--json"])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn state(channel: &str) -> String {
    format!(r#"{{"channel_id":"{channel}","last_message_id":"hidden-message","last_seen_timestamp":1}}"#)
}

/// What a collector got of a server that worked and ended. On a machine that is busy the second that the last traces have may be too
/// short: the server says so, and is tried again.
async fn collected(work: impl AsyncFn(&Served) -> Result<()>) -> Result<Collector> {
    for _ in 0..4 {
        let collector = Collector::start().await?;
        let served = Served::start(serve(), &collector.endpoint)?;
        work(&served).await?;
        let (code, said) = served.end().await?;
        if !said.contains("did not take the last traces") {
            ensure!(code == Some(0) && said.is_empty(), "{code:?}: {said}");
            return Ok(collector);
        }
    }
    bail!("the last traces never come")
}

fn is_client(span: &Span) -> bool {
    span.kind == SpanKind::Client as i32
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_spans_in_the_trace_of_their_request() -> Result<()> {
    let collector = collected(async |served| {
        ensure!(served.ask("PUT", "/v1/message-state", &state("hidden-channel"), "01").await? == 200);
        ensure!(served.ask("GET", "/v1/message-state?channel_id=hidden-channel", "", "01").await? == 200);
        // One whose caller does not want it.
        ensure!(served.ask("GET", "/v1/thread-ownership?thread_id=t", "", "00").await? == 200);
        Ok(())
    })
    .await?;

    let spans = collector.spans();
    let request = named(&spans, "PUT /v1/message-state")?;
    ensure!((hexadecimal(&request.trace_id), hexadecimal(&request.parent_span_id)) == (TRACE.into(), PARENT.into()));
    let of_request = attributes(&request.attributes);
    ensure!(request.kind == SpanKind::Server as i32 && of_request["http.response.status_code"] == "200");
    let operation = named(&spans, "upsert_message_state message_states")?;
    ensure!(operation.trace_id == request.trace_id && operation.parent_span_id == request.span_id, "{operation:?}");
    ensure!(is_client(operation));
    let told = attributes(&operation.attributes);
    for (name, value) in [
        ("db.system.name", "sqlite"),
        ("db.operation.name", "upsert_message_state"),
        ("db.collection.name", "message_states"),
    ] {
        ensure!(told.get(name).map(String::as_str) == Some(value), "{name}: {told:?}");
    }
    ensure!(!told.contains_key("error.type") && operation.status.as_ref().is_none_or(|status| status.code == 0));
    // The call of the component, within the operation.
    let attempt = spans.iter().find(|span| span.parent_span_id == operation.span_id).context("an attempt")?;
    ensure!(attempt.name == "storage" && attributes(&attempt.attributes)["outcome"] == "ok", "{attempt:?}");
    named(&spans, "get_message_state message_states")?;
    named(&spans, "initialize")?;
    named(&spans, "close")?;
    ensure!(spans.iter().all(|span| !span.name.contains("thread_ownership")), "one was not wanted");
    // Those that nobody sent along are of traces of their own.
    ensure!(hexadecimal(&named(&spans, "close")?.trace_id) != TRACE);
    ensure!(collector.services().iter().all(|service| service == "cofferdam"), "{:?}", collector.services());
    ensure!(collector.tokens().iter().all(|token| token == TOKEN) && !collector.tokens().is_empty());
    ensure!(!collector.has("hidden-") && !collector.has(TOKEN), "a value is in a span");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why_and_no_secret_is_told() -> Result<()> {
    let mut outage = Outage::new().await?;
    let config = outage.database.config();
    let password = config.password.expose().to_owned();
    let collector = Collector::start().await?;
    let mut command = on_mysql(&config, &["serve", "--json"]);
    command.env("MYSQL_CONNECT_ATTEMPTS", "1").env("COFFERDAM_RETRY_ATTEMPTS", "1").env("OTEL_SERVICE_NAME", "the-bot");
    let served = Served::start(command, &collector.endpoint)?;
    outage.kill()?;
    ensure!(served.ask("GET", "/v1/message-state?channel_id=c", "", "01").await? == 503);
    // A server that ends does not wait for a collector that is slow.
    let is_told = async || named(&collector.spans(), "GET /v1/message-state").is_ok();
    until("the request is told", SOON, is_told).await?;
    served.end().await?;

    let spans = collector.spans();
    let operation = named(&spans, "get_message_state message_states")?;
    let told = attributes(&operation.attributes);
    ensure!((&*told["db.system.name"], &*told["error.type"]) == ("mysql", "unavailable"), "{told:?}");
    ensure!(["2002", "2006", "2013"].contains(&&*told["db.response.status_code"]), "{told:?}");
    ensure!(operation.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32), "{operation:?}");
    let request = named(&spans, "GET /v1/message-state")?;
    ensure!(attributes(&request.attributes)["error.type"] == "503", "{request:?}");
    ensure!(collector.services().iter().all(|service| service == "the-bot"), "{:?}", collector.services());
    ensure!(!password.is_empty() && !collector.has(&password) && !collector.has(TOKEN), "a secret is in a span");
    Ok(())
}

/// One that nobody listens at, and one that takes everything and answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_in_nobodys_way() -> Result<()> {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    for endpoint in ["http://127.0.0.1:1".to_owned(), format!("http://{}", silent.local_addr()?)] {
        let mut command = serve();
        command.env("OTEL_BSP_MAX_QUEUE_SIZE", "32").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8");
        let served = Served::start(command, &endpoint)?;
        // More than there is room for.
        for number in 0..50 {
            ensure!(served.ask("PUT", "/v1/message-state", &state(&number.to_string()), "01").await? == 200);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (code, said) = served.end().await?;
        ensure!(code == Some(0), "{code:?}: {said}");
        ensure!(said.contains("did not take the last traces") && !said.contains(TOKEN), "{said}");
        // It is said once, and not for each batch.
        ensure!(said.matches("takes no traces").count() <= 1, "{said}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_used_is_told_before_anything_is_done() {
    for (name, value, said) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@collector", "OTEL_EXPORTER_OTLP_ENDPOINT has a user in it"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem", "names /nowhere/ca.pem, which cannot be used"),
    ] {
        let mut command = serve();
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318").env(name, value);
        run_wrong(&mut command, 2, &[said]);
    }
}
