//! `deploy/Dockerfile`: the images hold what is written of them, and what is in them works with nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::{cofferdam, run};
use cofferdam_tests::harness::container::{Container, Image, volume};
use cofferdam_tests::harness::tools::{self, tool};

use serde_json::Value;

use crate::manifests::list;
use crate::rig::{deploy, image, repository};

/// All files of a folder.
fn files(folder: &Path, found: &mut BTreeSet<String>, root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files(&path, found, root)?,
            false => drop(found.insert(format!("/{}", path.strip_prefix(root)?.display()))),
        }
    }
    Ok(())
}

#[test]
fn the_dockerfile_has_no_known_flaw() -> Result<()> {
    tools::run(Command::new(tool("hadolint")?).arg(deploy("Dockerfile"))).map(drop)
}

/// What `COPY . .` takes of the repository into a folder: everything that `Dockerfile.dockerignore` does not leave out.
fn context(to: &Path) -> Result<()> {
    let rules = std::fs::read_to_string(deploy("Dockerfile.dockerignore"))?;
    let taken: Vec<_> = rules.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let left_out: Vec<_> = rules.lines().filter(|line| !line.is_empty() && !line.starts_with(['!', '#'])).collect();
    ensure!(left_out == ["*", "**/target"], "{left_out:?} is more than this knows");
    let is_taken = |file: &str| {
        taken.iter().any(|rule| match rule.strip_suffix('*') {
            Some(start) => file.starts_with(start),
            None => file == *rule || file.strip_prefix(rule).is_some_and(|rest| rest.starts_with('/')),
        })
    };
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(repository(""));
    let files = String::from_utf8(tools::run(&mut list)?)?;
    for file in files.lines().filter(|file| is_taken(file)) {
        let (from, to) = (repository(file), to.join(file));
        // One that is deleted and not committed yet is listed too.
        if from.is_file() {
            std::fs::create_dir_all(to.parent().context("a folder")?)?;
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// Files that a source includes, as it names them, without what its tests do.
fn included(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let calls = lines.flat_map(|line| ["include_str!(\"", "include_bytes!(\""].map(|call| line.split(call).skip(1)));
    calls.flatten().filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_dockerfile_takes_all_that_cargo_wants_to_see() -> Result<()> {
    let folder = tempfile::tempdir()?;
    context(folder.path())?;
    // Every member of the workspace with its targets, also those that are not built, and a lock file that fits.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"]).current_dir(folder.path());
    let metadata: Value = serde_json::from_slice(&tools::run(&mut cargo)?)?;
    let packages = list(&metadata["packages"]);
    for name in ["cofferdam-cli", "cofferdam-bot", "cofferdam-sqlite", "cofferdam-mysql"] {
        ensure!(packages.iter().any(|package| package["name"] == name), "no package {name}");
    }
    let mut sources = BTreeSet::new();
    for crate_folder in ["backends", "bot/src", "command/src", "host/src", "plugins"] {
        files(&folder.path().join(crate_folder), &mut sources, folder.path())?;
    }
    let mut count = 0;
    for source in sources.iter().filter(|source| source.ends_with(".rs")) {
        let path = folder.path().join(&source[1..]);
        let text = std::fs::read_to_string(&path)?;
        for name in included(&text) {
            ensure!(path.with_file_name(name).is_file(), "{source} includes {name}, which the image lacks");
            count += 1;
        }
    }
    ensure!(count > 5, "only {count} files are included");
    Ok(())
}

#[test]
fn an_image_holds_its_program_and_certificates_and_nothing_else() -> Result<()> {
    let command = cofferdam()?;
    for (stage, programs) in [
        ("cofferdam", ["/usr/bin/cofferdam"].as_slice()),
        ("bot", ["/usr/bin/cofferdam", "/usr/bin/cofferdam-bot"].as_slice()),
    ] {
        let programs: Vec<_> = programs.iter().map(|name| (*name).to_owned()).collect();
        let made = Image::build(&deploy("Dockerfile"), stage, &[("cofferdam", &command), ("cofferdam-bot", &command)])?;
        let mut found = BTreeSet::new();
        files(made.root(), &mut found, made.root())?;
        let certificates = "/etc/ssl/certs/ca-certificates.crt".to_owned();
        ensure!(found == programs.iter().cloned().chain([certificates]).collect(), "{stage}: {found:?}");
        ensure!(made.entrypoint == [programs.last().context("a program")?.clone()], "{stage}: {:?}", made.entrypoint);
        let (user, group) = made.user();
        ensure!(user > 0 && group > 0, "{stage}: it runs as root");
        for label in ["title", "description", "source", "licenses", "version"] {
            ensure!(
                made.labels.contains_key(&format!("org.opencontainers.image.{label}")),
                "{stage}: no label {label}"
            );
        }
        ensure!(made.labels["org.opencontainers.image.version"] == env!("CARGO_PKG_VERSION"), "{stage}");
        let check = if stage == "bot" { "status" } else { "check" };
        ensure!(made.healthcheck.starts_with(&["/usr/bin/cofferdam".to_owned(), check.to_owned()]), "{stage}");
    }
    Ok(())
}

#[test]
fn the_root_is_read_only_and_the_health_check_tells_a_database_from_none() -> Result<()> {
    let image = image()?;
    let (data, cache) = (volume(image.user())?, volume(image.user())?);
    let container = || Container::of(&image)?.mount(cache.path(), "/var/cache/cofferdam", false);
    let bare = container()?;
    let (said, _) = run(&mut bare.command(&["--version"]), 0);
    ensure!(said.trim() == format!("cofferdam {}", env!("CARGO_PKG_VERSION")), "{said}");
    // It compiles, for which a machine that is busy may take longer than the health check has.
    let (_, refused) = run(&mut bare.command(&["check", "--timeout", "5m"]), 3);
    ensure!(refused.contains("Read-only file system") && refused.contains("cannot be opened"), "{refused}");

    let container = container()?.mount(data.path(), "/var/lib/cofferdam/data", false)?;
    run(&mut container.healthcheck(), 4);
    run(&mut container.command(&["check"]), 0);
    run(&mut container.healthcheck(), 0);
    ensure!(data.path().join("bot_state.db").is_file());
    Ok(())
}
