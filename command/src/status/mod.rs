//! `cofferdam status`

mod text;

use clap::Args;
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::admin::Admin;
use crate::admin::ask::{self, Place};
use crate::failure::Failure;
use crate::output;

/// Print the status of a bot or a `cofferdam serve` that runs, as its administration socket tells it.
///
/// Says what is wrong first, then the plugin, the database, the connection pool, the spool, the mirror and the last errors.
/// The database is not asked.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam status
  cofferdam status --socket /run/bot/admin.sock --json
  cofferdam status --address 127.0.0.1:9090

Exit codes:
  0  ready
  1  failure
  2  wrong usage
  3  not ready: the database is unavailable, or the plugin is paused
  4  nobody listens there")]
pub struct Status {
    #[command(flatten)]
    admin: Admin,
    /// TCP address and port, instead of a socket
    #[arg(long, value_name = "ADDRESS", env = "COFFERDAM_ADMIN_LISTEN")]
    address: Option<String>,
    /// Print a JSON document: what /status.json answers
    #[arg(long)]
    json: bool,
}

impl Status {
    pub async fn run(self) -> Result<(), Failure> {
        let place = match self.address.as_ref().filter(|address| !address.is_empty()) {
            Some(address) => Place::Tcp(address.clone()),
            None => self.admin.place()?,
        };
        let request = ask::request(Method::GET, "/status.json", &Value::Null)?;
        let (code, status) = ask::ask(&place, "status", request, self.admin.timeout).await?;
        if code != StatusCode::OK {
            return Err(Failure::failed(format!("{place} answers {code}: it is not an administration socket")));
        }
        if self.json {
            output::print_json(&status)?;
        } else {
            output::print(&text::text(&status))?;
        }
        match status["ready"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(Failure::unavailable(format!("{place} is not ready"))),
        }
    }
}
