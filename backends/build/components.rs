//! How components are compiled, in one place: the build script of this package, that of the tests and xtask include this file.
//!
//! The same sources make the same bytes, in whatever folder, with whatever environment.
#![allow(dead_code, reason = "who includes this file need not use all of it")]

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target that components are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// The profile that they are built in.
pub const PROFILE: &str = "plugin";

/// What the environment says to a cargo, or a cargo to what it runs, and the one that compiles components must not see.
const NOT_INHERITED: [&str; 8] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];
const NOT_INHERITED_PREFIXES: [&str; 6] =
    ["CARGO_CFG_", "CARGO_FEATURE_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PROFILE_", "CARGO_TARGET_WASM32_"];

/// The backends in a clone: the folders of `plugins/`, but for what they share. The component has the folder's name, the
/// package is `cofferdam-` and that name.
pub fn backends(root: &Path) -> io::Result<Vec<String>> {
    let mut backends = Vec::new();
    for folder in std::fs::read_dir(root.join("plugins"))? {
        let folder = folder?;
        let name = folder.file_name().to_string_lossy().into_owned();
        if name != "guest" && folder.path().join("Cargo.toml").is_file() {
            backends.push(name);
        }
    }
    backends.sort();
    Ok(backends)
}

/// A cargo that compiles components of the clone `root`; which packages is for the caller to add. `folder` is its target folder,
/// which has to be one that the cargo which runs a build script does not hold locked.
pub fn build(root: &Path, folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["build", "--target", TARGET, "--profile", PROFILE, "--target-dir"]).arg(folder);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if NOT_INHERITED.contains(&&*text) || NOT_INHERITED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(root));
    command
}

/// A cargo that compiles these backends.
pub fn build_backends<S: AsRef<str>>(root: &Path, folder: &Path, names: &[S]) -> Command {
    let mut command = build(root, folder);
    for name in names {
        command.args(["--package".to_owned(), format!("cofferdam-{}", name.as_ref())]);
    }
    command
}

/// Where components are after a [`build`].
pub fn built(folder: &Path) -> PathBuf {
    folder.join(TARGET).join(PROFILE)
}

/// Where cargo keeps what it downloads.
pub fn cargo_home() -> PathBuf {
    let home = || Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Panics tell where they come from: the folders of this machine get names that are the same on each.
pub fn flags(root: &Path) -> OsString {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let ask = |question: &[&str]| {
        let answer = Command::new(&rustc).args(question).current_dir(root).output().ok()?;
        String::from_utf8(answer.stdout).ok()
    };
    let mut flags = OsString::new();
    let mut remap = |from: &Path, to: &str| {
        for from in [Some(from.to_owned()), from.canonicalize().ok().filter(|real| real != from)].into_iter().flatten()
        {
            if !flags.is_empty() {
                flags.push("\x1f");
            }
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
    };
    // Where the standard library's sources are installed, the compiler names them there, and elsewhere by its own commit.
    if let (Some(sysroot), Some(version)) = (ask(&["--print", "sysroot"]), ask(&["-vV"]))
        && let Some(commit) = version.lines().find_map(|line| line.strip_prefix("commit-hash: "))
    {
        remap(&Path::new(sysroot.trim()).join("lib/rustlib/src/rust"), &format!("/rustc/{commit}"));
    }
    remap(&cargo_home(), "/cargo");
    // The last one that fits counts: a clone may lie among cargo's downloads.
    remap(root, "/cofferdam");
    flags
}
