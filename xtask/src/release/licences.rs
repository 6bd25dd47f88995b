//! The licences of all crates that are linked into the programs, with the texts that their packages have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build;
use crate::run::{cargo, say};

/// How the names of such files begin.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// Writes them into one file. A text that several crates have is there once.
pub fn write(to: &Path, platform: &str) -> Result<()> {
    say("Collecting the licences of all dependencies");
    let mut about: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in linked(platform)? {
        let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
        let licence = text(&package["license"]);
        ensure!(!licence.is_empty() || !package["license_file"].is_null(), "{name} does not say its licence");
        list += &format!("{name}: {licence}\n");
        let manifest = text(&package["manifest_path"]);
        for content in texts(Path::new(&manifest).parent().context("a folder")?)? {
            about.entry(content).or_default().insert(name.clone());
        }
    }
    let mut page =
        format!("Cofferdam is under Apache-2.0 or MIT. The programs are linked with these crates:\n\n{list}");
    for (content, names) in about {
        let names: Vec<_> = names.into_iter().collect();
        page += &format!("\n{}\n{}\n\n{}\n", "=".repeat(80), names.join(", "), content.trim());
    }
    fs::write(to, page).with_context(|| to.display().to_string())
}

/// The packages of others that are linked into one of the programs.
fn linked(platform: &str) -> Result<Vec<Value>> {
    let mut metadata = cargo(["metadata", "--format-version=1", "--locked", "--filter-platform", platform]);
    let output = metadata.output().context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&document["packages"]);
    let nodes: BTreeMap<_, _> = list(&document["resolve"]["nodes"]).into_iter().map(|n| (text(&n["id"]), n)).collect();
    let (mut found, mut ahead) = (BTreeSet::new(), Vec::new());
    for program in build::PROGRAMS {
        let package = packages.iter().find(|package| package["name"] == program.package);
        ahead.push(text(&package.with_context(|| format!("no {}", program.package))?["id"]));
    }
    while let Some(id) = ahead.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        let node = nodes.get(&id).with_context(|| format!("cargo says nothing of {id}"))?;
        let normal = list(&node["deps"])
            .into_iter()
            .filter(|dependency| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
        ahead.extend(normal.map(|dependency| text(&dependency["pkg"])));
    }
    let ours = |package: &Value| package["source"].is_null();
    Ok(packages.into_iter().filter(|package| found.contains(&text(&package["id"])) && !ours(package)).collect())
}

fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|begin| name.starts_with(begin)) {
            found.push(String::from_utf8_lossy(&fs::read(&path)?).into_owned());
        }
    }
    Ok(found)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_that_is_linked_is_told_with_its_licence() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), &build::platform().unwrap()).unwrap();
        let page = fs::read_to_string(file.path()).unwrap();
        let (list, texts) = page.split_once("====").unwrap();
        for name in ["wasmtime 4", "rusqlite ", "mysql_async ", "sd-notify ", "twilight-gateway "] {
            assert!(list.contains(&format!("\n{name}")), "{name} is missing:\n{list}");
        }
        assert!(texts.contains("Permission is hereby granted") && texts.contains("Apache License"));
        assert!(!list.contains("\ncofferdam"), "{list}");
    }
}
