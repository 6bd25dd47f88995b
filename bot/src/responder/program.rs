//! A program that is run for each question.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use cofferdam::config::VARIABLES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::group::{self, Group};
use super::{Question, Responder, ResponderError};

/// The longest answer that is read, in bytes: some hundred messages.
const LONGEST: u64 = 1 << 20;

/// The exit code for "try again later" in `sysexits.h`.
const TRY_AGAIN: i32 = 75;

/// Variables with secrets that are none of the storage's own. Headers of OpenTelemetry are what authenticates at a collector.
const SECRETS: [&str; 4] =
    ["DISCORD_TOKEN", "DISCORD_TOKEN_FILE", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

/// Runs a program for each question: the question as JSON on its standard input, the answer on its standard output.
/// Standard error goes where the bot's goes.
///
/// Exit code 0 is an answer, 75 asks for another try, and any other is a failure. At the deadline, at its end, and when this process is
/// killed, the program is killed with everything that it started. A process that exits by itself calls [`kill_all`](Self::kill_all).
#[derive(Clone, Debug)]
pub struct Program {
    command: OsString,
    arguments: Vec<OsString>,
    deadline: Duration,
}

impl Program {
    /// The program with its arguments, and how long it may take.
    pub fn new(command: impl Into<OsString>, arguments: Vec<OsString>, deadline: Duration) -> Self {
        Self { command: command.into(), arguments, deadline }
    }

    /// Finds the program, as far as that can be done before it is run: a name without a slash is looked for in `PATH`.
    ///
    /// # Errors
    ///
    /// There is no such file, or none that can be executed.
    pub fn check(&self) -> io::Result<()> {
        let name = Path::new(&self.command);
        if self.command.as_encoded_bytes().contains(&b'/') {
            return is_executable(name);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut found = Err(io::ErrorKind::NotFound.into());
        for folder in std::env::split_paths(&path) {
            match is_executable(&folder.join(name)) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found = Err(error),
            }
        }
        found
    }

    /// Kills what runs of all programs, and lets none begin any more: for a process that exits at once.
    pub fn kill_all() {
        group::kill_all();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.command);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // The bot's secrets are not the program's.
        let of_storage = VARIABLES.iter().filter(|variable| variable.is_secret()).map(|variable| variable.name);
        for name in of_storage.chain(SECRETS) {
            command.env_remove(name);
        }
        command
    }

    async fn run(&self, question: &Question) -> Result<String, ResponderError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            ResponderError::permanent(format!("{}: {what}: {error}", self.command.display()))
        };
        let question = serde_json::to_vec(question).map_err(|error| failed("the question", &error))?;
        // It worked when the bot started: the machine is short of something, or the file is being replaced.
        let (mut child, group) = Group::spawn(&mut self.command()).map_err(|error| {
            ResponderError::retryable(format!("{}: does not start: {error}", self.command.display()))
        })?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let ask = async {
            if let Some(mut stdin) = stdin {
                // A program need not read its question to the end.
                let _ = stdin.write_all(&question).await;
            }
            Ok(())
        };
        let read = async {
            let mut answer = Vec::new();
            if let Some(stdout) = stdout {
                let read = stdout.take(LONGEST + 1).read_to_end(&mut answer).await;
                read.map_err(|error| failed("its answer", &error))?;
            }
            // Its end is not waited for then: nothing tells it of that but its next write.
            if answer.len() as u64 > LONGEST {
                let problem = format!("{}: its answer has more than 1 MiB", self.command.display());
                return Err(ResponderError::permanent(problem));
            }
            Ok(answer)
        };
        let end = async {
            let status = child.wait().await;
            // What it left running may hold its standard output open.
            drop(group);
            status.map_err(|error| failed("its end", &error))
        };
        let ((), answer, status) = tokio::try_join!(ask, read, end)?;
        if status.code() == Some(TRY_AGAIN) {
            return Err(ResponderError::retryable(format!("{} asks for another try", self.command.display())));
        }
        if !status.success() {
            return Err(failed("ended", &status));
        }
        String::from_utf8(answer).map_err(|error| failed("its answer", &error))
    }
}

#[async_trait]
impl Responder for Program {
    async fn answer(&self, question: &Question) -> Result<String, ResponderError> {
        match tokio::time::timeout(self.deadline, self.run(question)).await {
            Ok(answered) => answered,
            Err(_) => Err(ResponderError::permanent(format!(
                "{} took longer than {}",
                self.command.display(),
                cofferdam::config::format_duration(self.deadline)
            ))),
        }
    }
}

fn is_executable(file: &Path) -> io::Result<()> {
    let there = file.metadata()?;
    match there.is_file() {
        false => Err(io::ErrorKind::IsADirectory.into()),
        true if there.permissions().mode() & 0o111 == 0 => Err(io::ErrorKind::PermissionDenied.into()),
        true => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::id::Id;

    use super::*;

    fn question() -> Question {
        Question {
            message_id: Id::new(10),
            channel_id: Id::new(1),
            in_thread: false,
            guild_id: None,
            author_id: Id::new(5),
            author_name: "ada".into(),
            content: "why?".into(),
        }
    }

    async fn run(script: &str, deadline: Duration) -> Result<String, ResponderError> {
        let arguments = vec!["-c".into(), script.into()];
        Program::new("sh", arguments, deadline).answer(&question()).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_is_given_no_secret() {
        let command = Program::new("sh", Vec::new(), LONG).command();
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in
            ["DISCORD_TOKEN", "MYSQL_PASSWORD", "MYSQL_PASSWORD_FILE", "COFFERDAM_TO_PASSWORD", "COFFERDAM_TOKEN_FILE"]
        {
            assert!(removed.iter().any(|(other, _)| *other == name), "{name} is left");
        }
        assert!(!removed.iter().any(|(other, _)| *other == "DATABASE_PATH"), "{removed:?}");
    }

    #[tokio::test]
    async fn a_program_is_given_the_question_and_its_output_is_the_answer() {
        let answer = run("cat", LONG).await.unwrap();
        let document: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&document["content"], &document["message_id"]), (&"why?".into(), &"10".into()));
        assert_eq!(run("echo because", LONG).await.unwrap(), "because\n");
    }

    #[tokio::test]
    async fn a_failure_says_whether_another_try_helps() {
        assert!(run("exit 75", LONG).await.unwrap_err().is_retryable);
        let failed = run("echo half an answer; exit 1", LONG).await.unwrap_err();
        assert!(!failed.is_retryable && failed.message.contains("exit status: 1"), "{failed}");
        assert!(run("printf '\\377'", LONG).await.unwrap_err().message.contains("utf-8"));
        for endless in ["yes", "head -c 2000000 /dev/zero; sleep 1000"] {
            let endless = run(endless, LONG).await.unwrap_err();
            assert!(!endless.is_retryable && endless.message.contains("more than 1 MiB"), "{endless}");
        }
    }

    #[test]
    fn a_program_that_cannot_be_run_is_found_out_before() {
        let folder = tempfile::tempdir().unwrap();
        let (file, missing) = (folder.path().join("program"), folder.path().join("missing"));
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let check = |command: &Path| Program::new(command, Vec::new(), LONG).check().map_err(|error| error.kind());
        assert_eq!(check(&missing), Err(io::ErrorKind::NotFound));
        assert_eq!(check(folder.path()), Err(io::ErrorKind::IsADirectory));
        assert_eq!(check(&file), Err(io::ErrorKind::PermissionDenied));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(check(&file), Ok(()));
        assert_eq!(
            (check(Path::new("sh")), check(Path::new("no-such-program"))),
            (Ok(()), Err(io::ErrorKind::NotFound))
        );
    }

    #[tokio::test]
    async fn a_program_and_what_it_started_end_with_it_and_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        for (end, deadline) in [("echo done", LONG), ("sleep 1000", Duration::from_millis(300))] {
            let script = format!("sleep 1000 & echo $! > {}; {end}", file.display());
            let answer = run(&script, deadline).await;
            assert_eq!(answer.is_ok(), deadline == LONG, "{answer:?}");
            let child = std::fs::read_to_string(&file).unwrap();
            // The system may take a moment.
            let process = std::path::Path::new("/proc").join(child.trim()).join("cmdline");
            while std::fs::read(&process).is_ok_and(|line| !line.is_empty()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
