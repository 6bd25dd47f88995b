//! Installs what is missing on a machine that has Rust only.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{root, step};

const TARGET: &str = "wasm32-wasip2";

/// The target that plugins are built for.
pub fn wasm_target() -> Result<()> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()
        .context("cannot run rustc: is Rust installed?")?;
    let sysroot = String::from_utf8(sysroot.stdout)?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    step(
        &format!("Installing Rust's target {TARGET}, for which plugins are built"),
        Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()),
    )
    .with_context(|| format!("install Rust's target {TARGET} with your toolchain's means"))
}

/// A MariaDB server that tests start and stop themselves, unless `TEST_MYSQL_URL` names one that runs.
pub fn mariadb() -> Result<()> {
    if std::env::var_os("TEST_MYSQL_URL").is_some() {
        return Ok(());
    }
    let advice = "the tests start a MariaDB server of their own: install the package mariadb-server, or name a \
                  running MySQL 8 or MariaDB in TEST_MYSQL_URL=mysql://user:password@host:port";
    package("mariadbd", "mariadb-server", "Installing MariaDB, which the tests start and stop themselves", advice)
}

/// Galera, of which tests start a cluster, with the tools that move a node's state.
pub fn galera() -> Result<()> {
    let advice = "the tests start a Galera cluster of their own: install the packages galera-4, rsync and lsof";
    let what = "Installing Galera, of which the tests start and stop a cluster";
    if !Path::new("/usr/lib/galera/libgalera_smm.so").is_file() {
        package("libgalera_smm.so", "galera-4", what, advice)?;
    }
    for tool in ["rsync", "lsof"] {
        package(tool, tool, &format!("Installing {tool}, with which Galera's nodes move their state"), advice)?;
    }
    Ok(())
}

/// Prometheus' promtool, which checks metrics and alerts, and Chromium, which shows the status page.
pub fn operators() -> Result<()> {
    let advice = "the tests check metrics and alerts with promtool: install the package prometheus";
    package("promtool", "prometheus", "Installing Prometheus, whose promtool checks metrics and alerts", advice)?;
    let advice = "the tests look at the status page in a browser: install the package chromium";
    package("chromium", "chromium", "Installing Chromium, in which tests look at the status page", advice)
}

/// The languages of the clients: their tests compile and run them.
pub fn clients() -> Result<()> {
    let advice =
        "the tests run the clients in clients/: install Go, Node.js 18 or later with npm, and Python 3.10 or later";
    for (program, name) in [("go", "golang-go"), ("node", "nodejs"), ("npm", "npm"), ("python3", "python3")] {
        package(program, name, &format!("Installing {name}, which tests of a client need"), advice)?;
    }
    venv()?;
    let folder = root().join("clients/typescript");
    if folder.join("node_modules/.bin/tsc").exists() {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    step("Installing TypeScript's compiler for the client in clients/typescript", &mut npm)
}

/// What a test needs to install schemathesis for itself, which is a package of its own on Debian.
fn venv() -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stderr(Stdio::null());
    if python.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let advice = "a test installs schemathesis for itself: install Python's venv";
    package("a Python with venv", "python3-venv", "Installing Python's venv, which a test needs", advice)
}

/// What checks the types of the client in Python.
pub fn mypy() -> Result<()> {
    package("mypy", "mypy", "Installing mypy, which checks the client in Python", "install the package mypy")
}

/// Valgrind, whose callgrind counts instructions.
pub fn valgrind() -> Result<()> {
    let advice = "callgrind, a part of it, counts the instructions: install the package valgrind";
    package("valgrind", "valgrind", "Installing Valgrind, whose callgrind counts instructions", advice)
}

/// Installs a package of Debian's, as root, where its program is missing.
pub fn package(program: &str, package: &str, what: &str, advice: &str) -> Result<()> {
    if found(program) {
        return Ok(());
    }
    if !(is_root() && found("apt-get")) {
        bail!("{program} is missing; {advice}");
    }
    let install = || -> Result<()> {
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            command.arg("-q").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
            command
        };
        step("Reading the list of packages", &mut apt(&["update"]))?;
        step(what, &mut apt(&["install", "-y", "--no-install-recommends", package]))
    };
    install().with_context(|| format!("{package} could not be installed; {advice}"))
}

pub fn found(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // Servers live in sbin, which is not on every user's PATH.
    let mut folders = std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let mut id = Command::new("id");
    id.arg("-u").stderr(Stdio::null());
    id.output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
