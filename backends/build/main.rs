//! Compiles the components that this package carries. A package that cargo has packed has them as files instead.

mod components;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build");
    match carry() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn carry() -> Result<(), String> {
    let package = folder("CARGO_MANIFEST_DIR")?;
    let out = folder("OUT_DIR")?;
    // In a clone the sources decide: what lies here to be packed may be older.
    let clone = package.parent().filter(|root| root.join("plugins/guest/Cargo.toml").is_file());
    let files = match clone {
        Some(root) => compile(root, &out)?,
        None => packed(&package.join("components"))?,
    };

    let (mut code, mut all) = (String::new(), String::new());
    for (name, from) in files {
        let (constant, file) = (name.to_uppercase().replace('-', "_"), format!("{name}.wasm"));
        let to = out.join(&file);
        fs::copy(&from, &to).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
        code += &format!("/// The component `{file}`.\npub static {constant}: &[u8] = include_bytes!({file:?});\n");
        all += &format!("({name:?}, {constant}), ");
    }
    code += &format!("/// All of them, each with its name.\npub static ALL: &[(&str, &[u8])] = &[{all}];\n");
    fs::write(out.join("components.rs"), code).map_err(|error| format!("cannot write to {}: {error}", out.display()))
}

/// Compiles them from the sources of a clone, into a target folder beside this build's, which the tests' build script shares.
fn compile(root: &Path, out: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    for watched in ["Cargo.toml", "Cargo.lock", "wit", "plugins"] {
        // From this package, so that another clone with the same target folder looks at its own.
        println!("cargo::rerun-if-changed=../{watched}");
    }
    if !has_target() {
        let target = components::TARGET;
        return Err(format!(
            "Rust's target {target} is missing, for which storage backends are compiled: `rustup target add {target}` installs it"
        ));
    }
    let names = components::backends(root).map_err(|error| format!("cannot read plugins/: {error}"))?;
    // <target>/<profile>/build/<package>/out
    let target = out.ancestors().nth(4).ok_or("OUT_DIR does not lie in a target folder")?.join("guests");
    match components::build_backends(root, &target, &names).status() {
        Ok(status) if status.success() => {}
        Ok(_) => return Err("the backends do not compile: cargo says why above".into()),
        Err(error) => return Err(format!("cargo does not start: {error}")),
    }
    let built = components::built(&target);
    Ok(names.into_iter().map(|name| (name.clone(), built.join(name).with_extension("wasm"))).collect())
}

fn packed(folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let missing = || {
        format!(
            "{} has no components: `cargo xtask package` puts them there before the package is packed",
            folder.display()
        )
    };
    let mut found: Vec<_> = fs::read_dir(folder)
        .map_err(|_| missing())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect();
    found.sort();
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

fn has_target() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc).args(["--print", "target-libdir", "--target", components::TARGET]).output();
    // Where it cannot be told, cargo will tell.
    printed.map_or(true, |output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo does not set {variable}"))
}
