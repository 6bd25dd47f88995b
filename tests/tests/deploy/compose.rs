//! `deploy/compose.yaml`: it is valid, and the environment that it describes does what it promises, with processes in the place of
//! containers.

mod bot;
mod project;
mod story;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cofferdam::config::variable_named;
use serde_json::json;

use self::project::Project;
use crate::manifests::{list, text};
use crate::rig::{deploy, is_of_the_bot};

/// Every profile, and what starts with it.
const PROFILES: [(&str, &[&str]); 5] = [
    ("sqlite", &["bot-sqlite"]),
    ("mysql", &["bot-mysql"]),
    ("server", &["mysql"]),
    ("serve", &["serve"]),
    ("migrate", &["migrate"]),
];

#[test]
fn every_profile_is_valid_and_starts_what_is_written_of_it() -> Result<()> {
    let project = Project::new()?;
    let text = std::fs::read_to_string(deploy("compose.yaml"))?;
    for (profile, wanted) in PROFILES {
        ensure!(text.contains(&format!("#   {profile} ")), "{profile} is not described");
        project.compose(&["--profile", profile, "config", "--quiet"])?;
        let all = project.services()?;
        let services = all.iter().filter(|(_, service)| list(&service["profiles"]).iter().any(|name| name == profile));
        let services: BTreeSet<_> = services.map(|(name, _)| name.as_str()).collect();
        ensure!(services == wanted.iter().copied().collect(), "{profile}: {services:?}");
    }
    Ok(())
}

#[test]
fn containers_are_read_only_without_rights_and_have_time_to_end() -> Result<()> {
    let project = Project::new()?;
    for (name, service) in project.services()? {
        let image = text(&service["image"]);
        ensure!(image.rsplit_once(':').is_some_and(|(_, tag)| tag != "latest"), "{name}: the image has no version");
        let Some(ours) = image.strip_prefix("ghcr.io/cofferdam/") else { continue };
        ensure!(ours.ends_with(&format!(":{}", env!("CARGO_PKG_VERSION"))), "{name}: {image}");
        ensure!(service["read_only"] == true && service["cap_drop"] == json!(["ALL"]), "{name}: {service}");
        ensure!(service["security_opt"] == json!(["no-new-privileges:true"]), "{name}: {service}");
        ensure!(service["stop_grace_period"] == "45s", "{name}: {service}");
        ensure!(service["privileged"].is_null() && service["network_mode"].is_null() && service["user"].is_null());
    }
    Ok(())
}

#[test]
fn variables_exist_and_secrets_are_files() -> Result<()> {
    let project = Project::new()?;
    for (name, service) in project.services()? {
        let environment = service["environment"].as_object().context("an environment")?;
        let ours = text(&service["image"]).starts_with("ghcr.io/cofferdam/");
        for (variable, value) in environment {
            let is_known =
                variable_named(variable).is_some() || is_of_the_bot(variable)? || variable == "COMPOSE_PROFILES";
            ensure!(!ours || is_known, "{name}: {variable} is in no table");
            if let Some(secret) = text(value).strip_prefix("/run/secrets/") {
                let given = list(&service["secrets"]).iter().any(|given| given["source"] == secret);
                ensure!(given, "{name}: {variable} names the secret {secret}, which it is not given");
            }
            let is_secret = ["PASSWORD", "TOKEN"].iter().any(|word| variable.ends_with(word));
            ensure!(!ours || !is_secret || text(value).is_empty(), "{name}: {variable} has a value in the environment");
        }
    }
    // What the example says of a variable is all that it needs.
    for line in std::fs::read_to_string(deploy(".env.example"))?.lines() {
        let Some((variable, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        ensure!(variable == "COMPOSE_PROFILES" || variable_named(variable).is_some(), "{variable} is in no table");
    }
    Ok(())
}

#[test]
fn nothing_starts_a_server_beside_one_that_is_elsewhere() -> Result<()> {
    let project = Project::new()?;
    project.set("MYSQL_HOST", "db.example.com")?;
    for (name, service) in project.services()? {
        ensure!(service["depends_on"].is_null(), "{name}: {}", service["depends_on"]);
        if ["bot-mysql", "serve", "migrate"].contains(&name.as_str()) {
            ensure!(service["environment"]["MYSQL_HOST"] == "db.example.com", "{name}: {service}");
        }
    }
    Ok(())
}
