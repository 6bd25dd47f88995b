//! Where and of what a run was made, as far as the machine tells.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::run::root;

/// What a reader needs to judge figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub rustc: String,
    /// The server that the benchmarks start; without its address where `TEST_MYSQL_URL` names another.
    pub mysql: String,
    /// The versions of the libraries that are compared.
    pub libraries: Vec<String>,
    /// The commit, with `-dirty` where files differ from it.
    pub commit: String,
    /// UTC, RFC 3339.
    pub date: String,
}

impl Machine {
    /// Asks the machine. What it does not tell is `unknown`.
    pub fn ask() -> Self {
        let mysql = if std::env::var_os("TEST_MYSQL_URL").is_some() {
            "the server named in TEST_MYSQL_URL".into()
        } else {
            // Servers live in sbin, which is not on every user's PATH.
            let program = ["mariadbd", "/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd"];
            program
                .iter()
                .find_map(|program| answer(program, &["--version"]))
                .map_or_else(unknown, |text| server(&text))
        };
        let locks = ["Cargo.lock", "benches/sqlx/Cargo.lock"];
        let libraries = ["wasmtime", "rusqlite", "mysql_async", "sqlx"];
        Self {
            cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: answer("uname", &["-sr"]).unwrap_or_else(unknown),
            rustc: answer("rustc", &["--version"]).unwrap_or_else(unknown),
            mysql,
            libraries: libraries
                .iter()
                .filter_map(|name| {
                    let version = locks.iter().find_map(|lock| locked(&root().join(lock), name))?;
                    Some(format!("{name} {version}"))
                })
                .collect(),
            commit: answer("git", &["describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"])
                .unwrap_or_else(unknown),
            date: answer("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_else(unknown),
        }
    }

    /// All of it in a sentence or two.
    pub fn sentence(&self) -> String {
        format!(
            "{}, commit {}: {}, {} cores, {}; {}; {}; {}.",
            self.date,
            self.commit,
            self.cpu,
            self.cores,
            self.kernel,
            self.rustc,
            self.mysql,
            self.libraries.join(", ")
        )
    }
}

fn unknown() -> String {
    "unknown".into()
}

/// What a program prints, if it is there and ends well.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(root()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// `mariadbd  Ver 10.11.6-MariaDB for debian-linux-gnu on x86_64 (Debian 12)` without what is around the version.
fn server(version: &str) -> String {
    let mut words = version.split_whitespace().skip_while(|word| *word != "Ver").skip(1);
    words.next().map_or_else(|| version.to_owned(), str::to_owned)
}

/// The first model name of `/proc/cpuinfo`.
fn cpu(info: &str) -> String {
    let model = info.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == "model name");
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.trim().to_owned())
}

/// The version of a library in a lock file.
pub fn locked(lock: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(lock).ok()?;
    let (_, after) = text.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_version() {
        assert_eq!(server("mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu"), "10.11.6-MariaDB-0+deb12u1");
        assert_eq!(server("something else"), "something else");
    }

    #[test]
    fn a_cpu_without_a_model_name_is_known_by_its_architecture() {
        assert_eq!(cpu("processor\t: 0\nmodel name\t: Some CPU @ 2.0 GHz\n"), "Some CPU @ 2.0 GHz");
        assert_eq!(cpu("processor\t: 0\nBogoMIPS\t: 50.00\n"), std::env::consts::ARCH);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = root().join("Cargo.lock");
        assert!(locked(&lock, "wasmtime").unwrap().starts_with(|first: char| first.is_ascii_digit()));
        assert_eq!(locked(&lock, "no-such-crate"), None);
    }
}
