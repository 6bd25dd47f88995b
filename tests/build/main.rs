//! Compiles the components that the tests run.
//!
//! They have a target folder of their own, because the cargo that runs this script holds the lock of the other.

mod growing_table;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The backends: the constant, the package, and the library's name, which is the component's.
const BACKENDS: [(&str, &str, &str); 2] =
    [("SQLITE", "cofferdam-sqlite", "sqlite"), ("MYSQL", "cofferdam-mysql", "mysql")];

/// What a cargo sets for a build script or for its own compilers, and the cargo started here must not see.
const NOT_INHERITED: [&str; 8] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
];

fn main() {
    let crate_folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = crate_folder.parent().expect("the crate lies in the workspace").to_owned();
    let out = PathBuf::from(variable("OUT_DIR"));
    // <target>/<profile>/build/<package>/out
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in the target folder").to_owned();

    println!("cargo::rerun-if-changed=build");
    for watched in ["Cargo.toml", "Cargo.lock", "wit", "plugins", "tests/guests"] {
        if root.join(watched).exists() {
            println!("cargo::rerun-if-changed={}", root.join(watched).display());
        }
    }

    let mut packages: Vec<_> = BACKENDS.iter().map(|(_, package, _)| (*package).to_owned()).collect();
    let guests = guests(&crate_folder.join("guests"));
    packages.extend(guests.iter().map(|guest| guest.package.clone()));
    let components = target.join("guests");
    build(&root, &components, "plugin", &packages);
    build(&root, &components, "dev", &packages[..1]);

    let component = |library: &str| components.join("wasm32-wasip2/plugin").join(library.replace('-', "_") + ".wasm");
    let mut code = String::new();
    for (constant, package, library) in BACKENDS {
        let path = component(library);
        writeln!(code, "/// The component of `{package}`.\npub const {constant}: &str = {path:?};").unwrap();
    }
    let other = components.join("wasm32-wasip2/debug/sqlite.wasm");
    writeln!(code, "/// Another build of [`SQLITE`].\npub const SQLITE_OTHER_BUILD: &str = {other:?};").unwrap();
    let cache = components.join("compiled");
    writeln!(code, "/// Where tests keep compiled code.\npub const CODE_CACHE: &str = {cache:?};").unwrap();
    writeln!(code, "/// The target folder of the tests.\npub const TARGET_DIR: &str = {target:?};").unwrap();
    let profile = variable("PROFILE");
    writeln!(code, "/// `debug` or `release`, as the tests were built.\npub const PROFILE: &str = {profile:?};")
        .unwrap();
    let table = out.join("growing_table.wasm");
    fs::write(&table, growing_table::component(&root.join("wit")).expect("the contract parses"))
        .expect("OUT_DIR can be written");
    writeln!(code, "/// A component that lets its table grow for ever.\npub const GROWING_TABLE: &str = {table:?};")
        .unwrap();
    code += "/// Components that misbehave, by the names of their folders.\npub mod guests {\n";
    for guest in &guests {
        let (name, path) = (&guest.folder, component(&guest.package));
        let constant = name.to_uppercase();
        writeln!(code, "/// The component of `tests/guests/{name}`.\npub const {constant}: &str = {path:?};").unwrap();
    }
    code += "}\n";
    code += "/// Calls a macro with the name of each guest.\n#[macro_export]\nmacro_rules! foreach_guest {\n";
    code += "($name:ident) => {\n";
    for guest in &guests {
        writeln!(code, "$name!({});", guest.folder).unwrap();
    }
    code += "};\n}\n";
    fs::write(out.join("plugins.rs"), code).expect("OUT_DIR can be written");
}

struct Guest {
    /// The folder's name with `_` for `-`.
    folder: String,
    package: String,
}

fn guests(folder: &Path) -> Vec<Guest> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut guests = Vec::new();
    for entry in entries {
        let path = entry.expect("tests/guests can be read").path();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        // What is no component is what the guests share.
        if manifest.contains("cdylib") {
            let package = package_name(&manifest)
                .unwrap_or_else(|| panic!("{}/Cargo.toml has no line `name = \"...\"`", path.display()));
            let folder = path.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
            guests.push(Guest { folder, package });
        }
    }
    guests.sort_by(|a, b| a.folder.cmp(&b.folder));
    guests
}

fn package_name(manifest: &str) -> Option<String> {
    let line = manifest.lines().find(|line| line.split('=').next().is_some_and(|key| key.trim() == "name"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

fn build(root: &Path, components: &Path, profile: &str, packages: &[String]) {
    let mut command = Command::new(variable("CARGO"));
    command.current_dir(root).args(["build", "--target", "wasm32-wasip2", "--profile", profile, "--target-dir"]);
    command.arg(components);
    for package in packages {
        command.args(["-p", package]);
    }
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_CFG_", "CARGO_FEATURE_", "CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PROFILE_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "the components do not compile: {command:?}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
