//! Compiles the components that the tests run.
//!
//! They have a target folder of their own, because the cargo that runs this script holds the lock of the other.

#[path = "../../backends/build/components.rs"]
mod components;
mod growing_table;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasm_encoder::{ComponentSection, CustomSection};

/// How guests are compiled that are there to misbehave, and need not be fast: in a fifth of the time. In the plugins'
/// profile, so that the macros which both use are compiled once.
const QUICKLY: [&str; 4] = ["--config", "profile.plugin.lto = \"off\"", "--config", "profile.plugin.opt-level = 1"];

fn main() {
    let crate_folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = crate_folder.parent().expect("the crate lies in the workspace").to_owned();
    let out = PathBuf::from(variable("OUT_DIR"));
    // <target>/<profile>/build/<package>/out
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in the target folder").to_owned();

    println!("cargo::rerun-if-changed=build");
    for watched in ["Cargo.toml", "Cargo.lock", "backends/build/components.rs", "wit", "plugins", "tests/guests"] {
        if root.join(watched).exists() {
            // From this package, so that another clone with the same target folder looks at its own.
            println!("cargo::rerun-if-changed=../{watched}");
        }
    }

    // Shared with the build script of cofferdam-backends.
    let folder = target.join("guests");
    let backends = components::backends(&root).expect("plugins/ can be read");
    run(&mut components::build_backends(&root, &folder, &backends));
    let guests = guests(&crate_folder.join("guests/examples"));
    run(components::build(&root, &folder).args(["--package", "test-guests", "--examples"]).args(QUICKLY));

    let built = components::built(&folder);
    let mut code = String::new();
    for backend in backends {
        let path = built.join(&backend).with_extension("wasm");
        let constant = backend.to_uppercase().replace('-', "_");
        writeln!(code, "/// The component of `cofferdam-{backend}`.\npub const {constant}: &str = {path:?};").unwrap();
    }
    for backend in ["sqlite", "mysql"] {
        let other = out.join(backend).with_extension("wasm");
        fs::write(&other, other_build(&built.join(backend).with_extension("wasm"))).expect("OUT_DIR can be written");
        let constant = backend.to_uppercase();
        writeln!(code, "/// Another build of [`{constant}`].\npub const {constant}_OTHER_BUILD: &str = {other:?};")
            .unwrap();
    }
    let cache = folder.join("compiled");
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
    code += "/// Components that misbehave, by the names of their files.\npub mod guests {\n";
    for guest in &guests {
        let path = built.join("examples").join(guest).with_extension("wasm");
        let constant = guest.to_uppercase();
        writeln!(code, "/// The component of that name in `tests/guests`.\npub const {constant}: &str = {path:?};")
            .unwrap();
    }
    code += "}\n";
    code += "/// Calls a macro with the name of each guest.\n#[macro_export]\nmacro_rules! foreach_guest {\n";
    code += "($name:ident) => {\n";
    for guest in &guests {
        writeln!(code, "$name!({guest});").unwrap();
    }
    code += "};\n}\n";
    fs::write(out.join("plugins.rs"), code).expect("OUT_DIR can be written");
}

/// The names of the guests, with `_` for `-` as in those of their components.
fn guests(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("tests/guests/examples can be read");
    let name = |path: PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
    let mut guests: Vec<_> = files.map(|file| name(file.expect("tests/guests/examples can be read").path())).collect();
    guests.sort();
    guests
}

/// A component with another hash that does the same, as a build by another compiler is: it has one custom section more.
fn other_build(component: &Path) -> Vec<u8> {
    let mut bytes = fs::read(component).expect("the component was built");
    CustomSection { name: "build".into(), data: b"another".into() }.append_to_component(&mut bytes);
    bytes
}

fn run(command: &mut Command) {
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "the components do not compile: {command:?}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
