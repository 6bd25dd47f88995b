//! What is installed is a command and files beside it: plugins are replaced and databases changed without rebuilding the
//! command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::{command, plugins};
use serde_json::Value;
use tempfile::TempDir;

/// The command and its plugins in the folders that `cargo xtask dist` makes, on a machine that has nothing else.
struct Installation(TempDir);

impl Installation {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["bin", "plugins"] {
            fs::create_dir(folder.path().join(name))?;
        }
        fs::copy(command::cofferdam()?, folder.path().join("bin/cofferdam"))?;
        let installation = Self(folder);
        installation.install(plugins::SQLITE, "sqlite.wasm")?;
        installation.install(plugins::MYSQL, "mysql.wasm")?;
        Ok(installation)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self) -> PathBuf {
        self.path().join("bin/cofferdam")
    }

    fn install(&self, component: &str, name: &str) -> Result<()> {
        fs::copy(component, self.path().join("plugins").join(name))
            .with_context(|| format!("{component} to {name}"))?;
        Ok(())
    }

    fn run(&self, arguments: &[&str], environment: &[(&'static str, String)]) -> Result<Value> {
        let output = Command::new(self.command())
            .args(arguments)
            .arg("--json")
            .env_clear()
            .env("DATABASE_PATH", self.path().join("state.db"))
            .env("COFFERDAM_CACHE", self.path().join("compiled"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

#[test]
fn another_build_of_a_plugin_takes_the_place_of_the_first() -> Result<()> {
    let installed = Installation::new()?;
    let command = fs::read(installed.command())?;
    let plugin = installed.path().join("plugins/sqlite.wasm").display().to_string();

    let first = installed.run(&["plugin", "inspect", &plugin], &[])?;
    installed.run(&["check"], &[])?;
    installed.run(&["state", "put", "channel", "--message", "message"], &[])?;
    installed.install(plugins::SQLITE_OTHER_BUILD, "sqlite.wasm")?;
    let second = installed.run(&["plugin", "inspect", &plugin], &[])?;
    assert!(first["sha256"].is_string() && first["sha256"] != second["sha256"], "{first} and {second}");

    installed.run(&["check"], &[])?;
    let state = installed.run(&["state", "get", "channel"], &[])?;
    assert!(state.to_string().contains("message"), "{state}");
    assert!(fs::read(installed.command())? == command, "the command was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_of_database_needs_another_variable_only() -> Result<()> {
    let installed = Installation::new()?;
    let database = MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?;
    let mysql = command::mysql_environment(&database.config());
    for (environment, backend) in [(&[][..], "sqlite"), (&mysql[..], "mysql"), (&[][..], "sqlite")] {
        let report = installed.run(&["check"], environment)?;
        assert_eq!(report["plugin"]["name"], backend, "{report}");
    }
    Ok(())
}
