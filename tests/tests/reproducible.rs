//! The same sources make the same components.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::plugins;

/// What is no source, or not needed to build.
const LEFT_OUT: [&str; 5] = [".git", "components", "dist", "docs", "target"];

#[test]
fn components_that_are_built_elsewhere_are_the_same_to_the_last_byte() -> Result<()> {
    let elsewhere = tempfile::tempdir()?;
    let (root, target) = (elsewhere.path().join("sources"), elsewhere.path().join("target"));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?, &root)?;
    // The same downloads under another name.
    let cargo_home = elsewhere.path().join("cargo");
    fs::create_dir(&cargo_home)?;
    symlink(self::cargo_home()?.join("registry"), cargo_home.join("registry"))?;

    let mut command = Command::new(std::env::var_os("CARGO").context("cargo runs this test")?);
    command.args(["build", "--quiet", "--package", "cofferdam-backends"]).current_dir(&root).stdin(Stdio::null());
    command.env("CARGO_HOME", &cargo_home).env("CARGO_TARGET_DIR", &target).env("CARGO_NET_OFFLINE", "true");
    // What would change the components if they were compiled with it.
    command.env("RUSTFLAGS", "--cfg elsewhere").env("CARGO_PROFILE_PLUGIN_OPT_LEVEL", "1");
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    for (name, embedded) in cofferdam_backends::ALL {
        let built = fs::read(target.join("guests/wasm32-wasip2/plugin").join(name).with_extension("wasm"))?;
        let text = |part: &Path| part.display().to_string().into_bytes();
        for folder in [text(elsewhere.path()), text(Path::new(plugins::TARGET_DIR))] {
            let is_there = built.windows(folder.len()).any(|window| window == folder);
            assert!(!is_there, "{name}.wasm has {:?} in it", String::from_utf8_lossy(&folder));
        }
        assert!(built == *embedded, "{name}.wasm has other bytes elsewhere");
    }
    Ok(())
}

fn cargo_home() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("there is neither CARGO_HOME nor HOME")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) || path == Path::new(plugins::TARGET_DIR) {
            continue;
        }
        if kind.is_dir() {
            copy(&path, &to)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path)?, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}
