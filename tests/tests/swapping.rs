//! What is installed is a command, and files beside it that go before what is inside: plugins are replaced and databases changed
//! without rebuilding the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::{command, plugins};
use serde_json::Value;
use tempfile::TempDir;

/// The command and its plugins in the folders that `cargo xtask dist` makes, on a machine that has nothing else.
struct Installation(TempDir);

impl Installation {
    /// Without plugins.
    fn bare() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("bin"))?;
        fs::copy(command::cofferdam()?, folder.path().join("bin/cofferdam"))?;
        Ok(Self(folder))
    }

    fn new() -> Result<Self> {
        let installation = Self::bare()?;
        fs::create_dir(installation.path().join("plugins"))?;
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

    fn output(&self, arguments: &[&str], environment: &[(&'static str, String)]) -> Result<Output> {
        let mut command = Command::new(self.command());
        command
            .args(arguments)
            .arg("--json")
            .env_clear()
            .env("DATABASE_PATH", self.path().join("state.db"))
            .env("COFFERDAM_CACHE", self.path().join("compiled"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        Ok(command.output()?)
    }

    fn run(&self, arguments: &[&str], environment: &[(&'static str, String)]) -> Result<Value> {
        let output = self.output(arguments, environment)?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_alone_has_both_backends_inside() -> Result<()> {
    let installed = Installation::bare()?;
    let database = MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?;
    let mysql = command::mysql_environment(&database.config());
    for (environment, backend, component) in
        [(&[][..], "sqlite", cofferdam_backends::SQLITE), (&mysql[..], "mysql", cofferdam_backends::MYSQL)]
    {
        let report = installed.run(&["check"], environment)?;
        let inspection = installed.run(&["plugin", "inspect", backend], environment)?;
        assert_eq!(report["plugin"]["name"], backend, "{report}");
        assert_eq!(report["plugin"]["sha256"], inspection["sha256"], "{report} and {inspection}");
        assert_eq!(inspection["size"], component.len(), "{inspection}");
        for origin in [&report["plugin"], &inspection] {
            assert!(origin["embedded"] == true && origin["path"].is_null(), "{origin}");
        }
        installed.run(&["state", "put", "channel", "--message", "message"], environment)?;
        installed.run(&["state", "get", "channel"], environment)?;
    }
    Ok(())
}

#[test]
fn a_file_goes_before_what_is_inside() -> Result<()> {
    let installed = Installation::new()?;
    let beside = installed.path().join("plugins/sqlite.wasm").canonicalize()?;
    let report = installed.run(&["check"], &[])?;
    assert_eq!(report["plugin"]["path"], beside.display().to_string(), "{report}");
    for (variable, value) in [("COFFERDAM_PLUGIN", plugins::SQLITE_OTHER_BUILD), ("COFFERDAM_PLUGINS", "/nowhere")] {
        let output = installed.output(&["check"], &[(variable, value.to_owned())])?;
        let said = String::from_utf8(output.stdout)?;
        assert!(said.contains(value), "{variable}: {said}");
        assert_eq!(output.status.success(), variable == "COFFERDAM_PLUGIN", "{said}");
    }
    fs::remove_dir_all(installed.path().join("plugins"))?;
    let report = installed.run(&["check"], &[])?;
    assert_eq!(report["plugin"]["embedded"], true, "{report}");
    Ok(())
}

#[test]
fn what_is_inside_has_to_have_the_digest_that_was_asked_for() -> Result<()> {
    let installed = Installation::bare()?;
    let inspection = installed.run(&["plugin", "inspect", "sqlite"], &[])?;
    let digest = inspection["sha256"].as_str().context("a digest")?.to_owned();
    installed.run(&["check"], &[("COFFERDAM_PLUGIN_SHA256", digest)])?;
    let output = installed.output(&["check"], &[("COFFERDAM_PLUGIN_SHA256", "0".repeat(64))])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("plugin sqlite (embedded) has SHA-256"), "{said}");
    Ok(())
}

#[test]
fn compiled_code_of_what_is_inside_is_kept() -> Result<()> {
    let installed = Installation::bare()?;
    let log = [("COFFERDAM_LOG", "cofferdam=debug".to_owned())];
    let from_cache = || -> Result<bool> {
        let output = installed.output(&["check"], &log)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stderr)?.contains("loaded compiled code from the cache"))
    };
    assert!(!from_cache()?);
    assert!(from_cache()?);
    // The key is the content: the same component in a file needs no other code.
    fs::create_dir(installed.path().join("plugins"))?;
    fs::write(installed.path().join("plugins/sqlite.wasm"), cofferdam_backends::SQLITE)?;
    assert!(from_cache()?);
    Ok(())
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
