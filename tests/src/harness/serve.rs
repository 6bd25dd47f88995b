//! `cofferdam serve` as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A running server, which is killed when this is dropped.
pub struct Serve {
    process: Child,
    errors: PathBuf,
    /// Where the operations are, as clients name it.
    pub operations: String,
    /// Where the administration is.
    pub administration: String,
}

impl Serve {
    /// Starts `command`, which is `cofferdam serve --json` with its place and its database, and waits until it listens. What it says
    /// on standard error goes to the file `stderr` in `folder`.
    ///
    /// # Errors
    ///
    /// It does not start. The error has what it said.
    pub fn start(command: &mut Command, folder: &Path) -> Result<Self> {
        let errors = folder.join("stderr");
        let log = File::options().create(true).append(true).open(&errors)?;
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let output = process.stdout.take().context("standard output")?;
        let mut server = Self { process, errors, operations: String::new(), administration: String::new() };
        let places = serde_json::Deserializer::from_reader(output).into_iter::<Value>().next();
        let Some(Ok(places)) = places else {
            bail!("the server does not start: {}", server.said()?);
        };
        let place = |name: &str| places[name].as_str().map(str::to_owned).context("a place");
        (server.operations, server.administration) = (place("operations")?, place("administration")?);
        Ok(server)
    }

    /// What it has said on standard error.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.errors)?)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
