//! `deploy/Dockerfile`: the images hold what is written of them, and what is in them works with nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::{cofferdam, run};
use cofferdam_tests::harness::container::{Container, Image, volume};
use cofferdam_tests::harness::tools::{self, tool};

use crate::rig::{deploy, image};

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
        ensure!(made.healthcheck.starts_with(&["/usr/bin/cofferdam".to_owned(), "check".to_owned()]), "{stage}");
    }
    Ok(())
}

#[test]
fn the_root_is_read_only_and_the_health_check_tells_a_database_from_none() -> Result<()> {
    let image = image()?;
    let bare = Container::of(&image)?;
    let (said, _) = run(&mut bare.command(&["--version"]), 0);
    ensure!(said.trim() == format!("cofferdam {}", env!("CARGO_PKG_VERSION")), "{said}");
    let (_, refused) = run(&mut bare.command(&["check"]), 3);
    ensure!(refused.contains("Read-only file system") && refused.contains("cannot be opened"), "{refused}");

    let data = volume(image.user())?;
    let container = Container::of(&image)?.mount(data.path(), "/var/lib/cofferdam/data", false)?;
    run(&mut container.healthcheck(), 4);
    run(&mut container.command(&["check"]), 0);
    run(&mut container.healthcheck(), 0);
    ensure!(data.path().join("bot_state.db").is_file());
    Ok(())
}
