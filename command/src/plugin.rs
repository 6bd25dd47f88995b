//! `cofferdam plugin`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cofferdam::files::FileUse;
use cofferdam::ops::json;
use cofferdam::{plugin, threads};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::admin::{Admin, ask};
use crate::failure::Failure;
use crate::{open, output};

/// Inspect storage plugins, and swap the one of a process that runs.
#[derive(Subcommand)]
pub enum Plugin {
    Inspect(Inspect),
    Swap(Swap),
}

impl Plugin {
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(command) => command.run().await,
            Self::Swap(command) => command.run().await,
        }
    }
}

/// Print what a plugin is: its contract version, imports, exports and backend. Needs no database.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam plugin inspect sqlite
  cofferdam plugin inspect plugins/mysql.wasm --json | jq -r .sha256

Exit codes:
  0  this host can run the plugin
  2  it cannot, or the file cannot be read")]
pub struct Inspect {
    /// The component file, or sqlite or mysql for the plugin that a bot would load
    #[arg(value_name = "PLUGIN")]
    plugin: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Inspect {
    async fn run(self) -> Result<(), Failure> {
        let origin = open::plugin_named("PLUGIN", &self.plugin)?;
        let inspected = threads::spawn(move || {
            let inspection = plugin::inspect(origin.clone())?;
            Ok::<_, plugin::PluginError>((inspection, plugin::describe(origin)?))
        });
        let (inspection, description) =
            inspected.await.map_err(|error| Failure::failed(format!("inspecting the plugin failed: {error}")))??;
        if self.json {
            return output::print_json(&json!({
                "path": inspection.origin.path().map(json::file),
                "embedded": inspection.origin.path().is_none(),
                "size": inspection.size,
                "sha256": inspection.sha256,
                "contract": inspection.contract,
                "backend": {
                    "name": description.name,
                    "version": description.version,
                    "engine": description.engine.name(),
                    "schema_version": description.schema_version,
                },
                "imports": inspection.imports,
                "exports": inspection.exports,
            }));
        }
        let mut columns = output::Columns::new(&[], &[]);
        let mut add = |name: &str, value: &str| columns.add([name.to_owned(), output::escaped(value)]);
        add("file", &output::origin(&inspection.origin));
        add("size", &format!("{} bytes", inspection.size));
        add("sha256", &inspection.sha256);
        add("contract", &format!("cofferdam:storage {}", inspection.contract));
        add("backend", &format!("{} {}", description.name, description.version));
        add("database", description.engine.name());
        add("schema", &format!("version {}", description.schema_version));
        for (name, entries) in [("imports", &inspection.imports), ("exports", &inspection.exports)] {
            for (index, entry) in entries.iter().enumerate() {
                add(if index == 0 { name } else { "" }, entry);
            }
        }
        output::print(&columns.text())
    }
}

/// Let another plugin answer in a bot or a `cofferdam serve` that runs, without a restart.
///
/// The plugin is rehearsed on the live database beside the one that answers. A bad one leaves that as it is. One that fails in
/// its first operations is swapped back by itself. The configuration is not changed: the next start loads what it names.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam plugin swap plugins/mysql.wasm
  cofferdam plugin swap --sha256 \"$(sha256sum new.wasm | cut -c1-64)\" new.wasm
  cofferdam plugin swap          # what the configuration of the other process finds now

Exit codes:
  0  the plugin answers
  1  it was refused, and the one before answers
  2  wrong usage
  3  it cannot be swapped now: retry
  4  nobody listens at the socket")]
pub struct Swap {
    /// The component file; without one, the plugin that the configuration of the other process finds now
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The SHA-256 that the component must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Upgrade the database if the plugin has a newer schema. There is no way back
    #[arg(long)]
    upgrade_schema: bool,
    /// Load the component also if it answers already, or was swapped back before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    admin: Admin,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Swap {
    async fn run(self) -> Result<(), Failure> {
        // The other process may have another working directory.
        let file = match &self.file {
            Some(file) => {
                let file = open::named("FILE", file, FileUse::Input)?;
                Some(
                    std::path::absolute(&file)
                        .map_err(|error| Failure::from(error).while_doing("FILE has no full path"))?,
                )
            }
            None => None,
        };
        let file = match file.as_ref().map(|file| file.to_str()) {
            Some(None) => return Err(Failure::usage("FILE is not UTF-8: give it another name")),
            Some(Some(file)) => Some(file.to_owned()),
            None => None,
        };
        let body = json!({
            "file": file, "sha256": self.sha256, "upgrade_schema": self.upgrade_schema, "force": self.force,
        });
        let place = self.admin.place()?;
        let request = ask::request(Method::POST, "/plugin/swap", &body)?;
        let (status, answer) = ask::ask(&place, "answer", request, self.admin.timeout).await?;
        if status != StatusCode::OK {
            let detail = answer["detail"].as_str().unwrap_or("it does not say why");
            return Err(match answer["retryable"].as_bool() {
                Some(true) => Failure::unavailable(detail),
                _ => Failure::failed(detail),
            });
        }
        if self.json {
            return output::print_json(&answer);
        }
        let text = |value: &Value| output::escaped(value.as_str().unwrap_or("unknown"));
        let plugin = &answer["plugin"];
        let took = answer["took_seconds"].as_f64().unwrap_or_default() * 1000.0;
        let what = match answer["swapped"].as_bool() {
            Some(true) => format!("answers now, after {took:.0} ms"),
            _ => "answers already".to_owned(),
        };
        let mut lines = format!("{} {} {what}", text(&plugin["name"]), text(&plugin["version"]));
        lines += &format!("\nfrom    {}\nsha256  {}", text(&plugin["origin"]), text(&plugin["sha256"]));
        if let Some(to) = answer["upgraded"]["to"].as_u64() {
            lines += &format!("\nschema  upgraded to version {to}: there is no way back to an older plugin");
        }
        output::print(&lines)
    }
}
