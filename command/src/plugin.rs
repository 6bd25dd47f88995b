//! `cofferdam plugin`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cofferdam::{plugin, threads};
use serde_json::json;

use crate::failure::Failure;
use crate::{open, output};

/// Inspect storage plugins.
#[derive(Subcommand)]
pub enum Plugin {
    Inspect(Inspect),
}

impl Plugin {
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(command) => command.run().await,
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
                "path": inspection.origin.path().map(Path::to_string_lossy),
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
