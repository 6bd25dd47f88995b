//! Building the programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::harness::plugins;

/// A client: Python has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `clients/go`.
    Go,
    /// `Client` of `clients/python`.
    Python,
    /// `AsyncClient` of `clients/python`.
    PythonAsyncio,
    /// `clients/typescript`.
    TypeScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Go, Self::Python, Self::PythonAsyncio, Self::TypeScript];

    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "the Go client",
            Self::Python => "the Python client",
            Self::PythonAsyncio => "the Python client for asyncio",
            Self::TypeScript => "the TypeScript client",
        }
    }

    /// The program that drives it, which is compiled once in each process.
    ///
    /// # Errors
    ///
    /// Its tools are missing, or it does not compile.
    pub fn program(self) -> Result<Command> {
        static GO: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        static TYPESCRIPT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let built = |cell: &OnceLock<Result<PathBuf, String>>, build: fn() -> Result<PathBuf>| {
            cell.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
        };
        let mut command = match self {
            Self::Go => Command::new(built(&GO, build_go)?),
            Self::Python | Self::PythonAsyncio => {
                let mut command = Command::new("python3");
                command.arg("-B").arg(folder("python").join("conformance"));
                command.arg(if self == Self::Python { "sync" } else { "async" });
                command
            }
            Self::TypeScript => {
                let mut command = Command::new("node");
                command.arg(built(&TYPESCRIPT, build_typescript)?);
                command
            }
        };
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        Ok(command)
    }
}

fn folder(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients").join(language)
}

/// Where compiled programs go.
fn output(language: &str) -> Result<PathBuf> {
    let folder = Path::new(plugins::TARGET_DIR).join("clients").join(language);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn build_go() -> Result<PathBuf> {
    let program = output("go")?.join("conformance");
    run(Command::new("go").args(["build", "-o"]).arg(&program).arg("./conformance").current_dir(folder("go")))?;
    Ok(program)
}

fn build_typescript() -> Result<PathBuf> {
    let (sources, output) = (folder("typescript"), output("typescript")?);
    let compiler = sources.join("node_modules/.bin/tsc");
    ensure!(compiler.exists(), "{} is missing: run `npm ci` in clients/typescript", compiler.display());
    // As the package says of itself.
    fs::write(output.join("package.json"), r#"{ "type": "module" }"#)?;
    let mut command = Command::new(compiler);
    command.arg("--incremental").arg("--tsBuildInfoFile").arg(output.join("build")).arg("--outDir").arg(&output);
    run(command.current_dir(sources))?;
    Ok(output.join("conformance/main.js"))
}

fn run(command: &mut Command) -> Result<()> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let missing = || format!("cannot run {tool}: install it, or let `cargo xtask test` do so");
    let output = command.output().with_context(missing)?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(output.status.success(), "{tool} ended with {}:\n{said}", output.status);
    Ok(())
}
