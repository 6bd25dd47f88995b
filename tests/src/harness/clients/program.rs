//! Talking to a program.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Language;

/// A program that drives a client. It ends when this is dropped.
#[derive(Clone)]
pub struct Program(Arc<Mutex<Pipes>>);

struct Pipes {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// An error of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `unavailable`.
    pub kind: String,
    /// For people.
    pub detail: String,
    /// Whether a retry may help.
    pub retryable: bool,
    /// The database's own code.
    pub code: Option<String>,
}

impl Program {
    /// Starts the program of a language.
    ///
    /// # Errors
    ///
    /// It does not compile or start.
    pub fn start(language: Language) -> Result<Self> {
        let mut command = language.program()?;
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| language.name())?;
        let requests = process.stdin.take().context("standard input")?;
        let answers = BufReader::new(process.stdout.take().context("standard output")?);
        Ok(Self(Arc::new(Mutex::new(Pipes { process, requests, answers }))))
    }

    /// Makes a new client of this server, whose calls may take this long.
    ///
    /// # Errors
    ///
    /// The program ends.
    pub async fn connect(&self, address: &str, token_file: Option<&str>, timeout: Duration) -> Result<()> {
        let timeout = timeout.as_millis().to_string();
        let request = json!({ "operation": "new", "address": address, "token_file": token_file, "timeout": timeout });
        self.ask(request).await?.map(drop).map_err(|refusal| anyhow::anyhow!("{refusal:?}"))
    }

    /// Calls an operation without arguments.
    ///
    /// # Errors
    ///
    /// The program ends.
    pub async fn call(&self, operation: &str) -> Result<Result<Value, Refusal>> {
        self.ask(json!({ "operation": operation })).await
    }

    /// Sends a request, and gives what the client returned or failed with.
    ///
    /// # Errors
    ///
    /// The program ends.
    pub async fn ask(&self, request: Value) -> Result<Result<Value, Refusal>> {
        let pipes = self.0.clone();
        let answer = tokio::task::spawn_blocking(move || {
            pipes.lock().unwrap_or_else(PoisonError::into_inner).exchange(&request)
        });
        let mut answer = answer.await??;
        if let Some(error) = answer.get("error") {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            return Ok(Err(Refusal {
                kind: text("kind"),
                detail: text("detail"),
                retryable: error["retryable"] == true,
                code: Some(text("code")).filter(|code| !code.is_empty()),
            }));
        }
        Ok(Ok(answer["value"].take()))
    }
}

impl Pipes {
    fn exchange(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.requests, "{request}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(!answer.is_empty(), "the program ended without an answer to {}", request["operation"]);
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
