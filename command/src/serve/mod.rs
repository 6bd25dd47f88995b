//! `cofferdam serve`

mod accept;
mod api;
mod app;
mod body;
mod connection;
#[cfg(test)]
mod fuzz;
mod integer;
mod lifecycle;
mod openapi;
mod operations;
mod ownerships;
mod patterns;
mod place;
mod problem;
mod query;
mod request_id;
mod roll;
mod rows;
mod server;
mod states;
mod stream;
mod token;
mod trace;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cofferdam::config::ADMIN_SOCKET;
use cofferdam::files::FileUse;
use cofferdam::ops::{self, Ops, supervisor};
use cofferdam::{Config, ResilientStorage, StorageService};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::signal::unix::Signal;

use self::app::App;
use self::connection::Patience;
use self::operations::Operations;
use self::place::{Bound, Place};
use self::server::Server;
use self::token::TokenFile;
use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::{machine, open, output};

/// Connections for the administration: probes, a collector of metrics, and a person or two.
const MOST_ADMIN: usize = 64;

/// Files that stay for the database, the spool and the component, beside those of connections.
const FILES: u64 = 128;

/// How long requests of the administration may go on at the end.
const ADMIN_BUDGET: Duration = Duration::from_millis(500);

/// Serve the storage operations over HTTP, as a sidecar of a bot in any language.
///
/// Listens on a Unix socket that only this user can open, or on a TCP port for clients that show a token. Starts without its
/// database, retries, and keeps writes in the spool, as a bot with the library does. docs/serve.md has the operations.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam serve
  cofferdam serve --socket /run/bot/cofferdam.sock --admin-listen 0.0.0.0:9090
  cofferdam serve --listen 127.0.0.1:8080 --token-file /run/secrets/token
  curl --unix-socket $XDG_RUNTIME_DIR/cofferdam.sock http://localhost/v1/health

SIGTERM and SIGINT end it: it accepts nothing more, finishes the requests that it
has (--drain-timeout), empties the spool and closes the database
(COFFERDAM_CLOSE_TIMEOUT). What stays in the spool is replayed at the next start.
A second signal ends it at once; no acknowledged write is lost then either.
SIGHUP swaps the plugin, if the configuration finds another one now.

Exit codes:
  0  ended by a signal, and every request was answered
  1  failure; or requests were still unanswered at the end of --drain-timeout
  2  wrong usage, environment, token file, socket or plugin
  3  the database is unavailable or too slow, with COFFERDAM_ON_UNAVAILABLE=fail
  129, 130 and 143  ended by a signal before it served, or by a second one")]
pub struct Serve {
    /// Unix socket of the operations [default: cofferdam.sock in $XDG_RUNTIME_DIR, or beside the SQLite file]
    #[arg(long, value_name = "FILE", env = "COFFERDAM_SOCKET")]
    socket: Option<PathBuf>,
    /// TCP address and port of the operations, instead of a socket; needs --token-file
    #[arg(long, value_name = "ADDRESS", env = "COFFERDAM_LISTEN")]
    listen: Option<String>,
    /// File with the token that clients show; read again every second
    #[arg(long, value_name = "FILE", env = "COFFERDAM_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Unix socket of the administration [default: cofferdam-admin.sock, as --socket]
    #[arg(long, value_name = "FILE", env = "COFFERDAM_ADMIN_SOCKET")]
    admin_socket: Option<PathBuf>,
    /// TCP address and port of the administration, instead of a socket; needs no token, and shows no rows
    #[arg(long, value_name = "ADDRESS", env = "COFFERDAM_ADMIN_LISTEN")]
    admin_listen: Option<String>,
    /// How long requests may go on after a signal [default: 10s]
    #[arg(long, value_name = "DURATION", env = "COFFERDAM_DRAIN_TIMEOUT")]
    drain_timeout: Option<String>,
    /// The most connections at a time; another one takes the place of the one that has been idle longest
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_connections: u32,
    /// How long a connection may be idle, and the head of a request may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = positive_duration)]
    idle_timeout: Duration,
    /// How long a body may take to arrive, and a client to take some of an answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    transfer_timeout: Duration,
    /// Print where it listens as a JSON document once it does
    #[arg(long)]
    json: bool,
    /// Print the OpenAPI document of the operations, and end
    #[arg(long)]
    openapi: bool,
}

/// What the options come to.
struct Plan {
    operations: Place,
    administration: Place,
    token: Option<TokenFile>,
    drain_timeout: Duration,
}

impl Serve {
    pub async fn run(self, signals: &mut Signals) -> Result<(), Failure> {
        if self.openapi {
            let text = openapi::text().map_err(|error| Failure::failed(error.to_string()))?;
            return output::print(&text);
        }
        let config = Config::from_env()?;
        let plan = self.plan(&config)?;
        // Before anything that takes time: a place that is taken is told at once.
        let operations = plan.operations.bind().await?;
        let administration = plan.administration.bind().await?;
        let storage = Arc::new(signals.or(open::load_resilient(config)).await?);
        let admin = Server::new(MOST_ADMIN, self.patience());
        let mut router = Ops::new(&storage).router();
        if let Place::Unix { .. } = plan.administration {
            router = router.merge(ops::swaps(&storage));
        }
        let Bound { listener, name: admin_name, socket: _admin_socket } = administration;
        admin.serve(listener, TowerToHyperService::new(router));
        let initialized = signals.or(async { Ok(storage.initialize().await?) }).await;
        if let Err(failure) = initialized {
            let _ = storage.close().await;
            return Err(failure.with_remedy());
        }
        let server = Server::new(self.connections(), self.patience());
        let app = Arc::new(App::new(storage.clone(), plan.token, self.transfer_timeout));
        let Bound { listener, name, socket: _socket } = operations;
        server.serve(listener, Operations::new(app));
        self.announce(&name.to_string(), &admin_name.to_string())?;
        supervisor::ready(Some(&format!("operations at {name}, administration at {admin_name}")));
        let mut hangup = signals.take_hangup();
        let signal = loop {
            tokio::select! {
                signal = signals.next() => break signal,
                () = hung_up(&mut hangup) => ops::reload(&storage).await,
            }
        };
        tracing::info!("stopping: {signal}");
        supervisor::stopping("finishing requests");
        tokio::select! {
            stopped = stop(&server, &admin, &storage, plan.drain_timeout) => stopped,
            signal = signals.next() => Err(signal),
        }
    }

    fn plan(&self, config: &Config) -> Result<Plan, Failure> {
        let operations = place(
            ("--socket (COFFERDAM_SOCKET)", &self.socket, "cofferdam.sock"),
            ("--listen (COFFERDAM_LISTEN)", &self.listen),
            config,
        )?;
        let administration = place(
            ("--admin-socket (COFFERDAM_ADMIN_SOCKET)", &self.admin_socket, ADMIN_SOCKET),
            ("--admin-listen (COFFERDAM_ADMIN_LISTEN)", &self.admin_listen),
            config,
        )?;
        if operations.is_same(&administration) {
            return Err(Failure::usage("the operations and the administration need places of their own: name another"));
        }
        let token = given(&self.token_file)
            .map(|path| open::named("--token-file (COFFERDAM_TOKEN_FILE)", &path, FileUse::Input))
            .transpose()?
            .map(TokenFile::open)
            .transpose()?;
        if let Place::Tcp { address, .. } = &operations {
            if token.is_none() {
                return Err(Failure::usage(
                    "--listen (COFFERDAM_LISTEN) needs --token-file (COFFERDAM_TOKEN_FILE): anybody who reaches the port \
                     could read and write otherwise",
                ));
            }
            if !address.ip().is_loopback() {
                tracing::warn!(
                    "{address} can be reached from elsewhere, and neither the token nor rows are encrypted there"
                );
            }
        }
        let drain_timeout = self.drain_timeout.as_deref().filter(|text| !text.is_empty()).unwrap_or("10s");
        let drain_timeout = positive_duration(drain_timeout).map_err(|problem| {
            Failure::usage(format!("--drain-timeout (COFFERDAM_DRAIN_TIMEOUT) is {drain_timeout:?}: {problem}"))
        })?;
        Ok(Plan { operations, administration, token, drain_timeout })
    }

    fn patience(&self) -> Patience {
        Patience { idle: self.idle_timeout, transfer: self.transfer_timeout }
    }

    /// How many connections there are files for.
    fn connections(&self) -> usize {
        let others = FILES + MOST_ADMIN as u64;
        let most = u64::from(self.max_connections);
        let possible = machine::raise_files(most + others).saturating_sub(others).max(1);
        if possible < most {
            tracing::warn!("only {possible} connections at a time: {}", cofferdam::limit::FILES);
        }
        possible.min(most) as usize
    }

    fn announce(&self, operations: &str, administration: &str) -> Result<(), Failure> {
        if self.json {
            return output::print_json(&json!({ "operations": operations, "administration": administration }));
        }
        output::say(&format!("cofferdam: operations at {operations}, administration at {administration}"));
        Ok(())
    }
}

/// Waits for SIGHUP, where that is not ignored.
async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Ends everything in order. The storage is closed whatever happens before.
async fn stop(
    server: &Server,
    admin: &Server,
    storage: &ResilientStorage,
    drain_timeout: Duration,
) -> Result<(), Failure> {
    let unanswered = server.stop(drain_timeout).await;
    storage.close().await?;
    admin.stop(ADMIN_BUDGET).await;
    match unanswered {
        0 => Ok(()),
        count => Err(Failure::failed(format!(
            "{count} requests were not answered within --drain-timeout (COFFERDAM_DRAIN_TIMEOUT)"
        ))),
    }
}

/// A variable that is set to nothing counts as not set.
fn given(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.clone().filter(|path| !path.as_os_str().is_empty())
}

/// Where to listen: of a socket and a TCP address at most one is given. A socket has a name in its default folder.
fn place(
    (socket_option, socket, default): (&'static str, &Option<PathBuf>, &str),
    (address_option, address): (&'static str, &Option<String>),
    config: &Config,
) -> Result<Place, Failure> {
    let socket = given(socket);
    let Some(text) = address.as_deref().filter(|text| !text.is_empty()) else {
        return Place::socket(socket_option, socket, default, config);
    };
    if socket.is_some() {
        return Err(Failure::usage(format!("{socket_option} and {address_option} are both given: give one of them")));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(Place::Tcp { option: address_option, address }),
        Err(_) => Err(Failure::usage(format!(
            "{address_option} is {text:?}: it must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080"
        ))),
    }
}
