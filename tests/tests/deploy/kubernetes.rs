//! The manifests: valid for several versions of Kubernetes, within the restricted profile, and without a name that means nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam::Config;
use cofferdam::config::variable_named;
use cofferdam_tests::harness::tools::{run, tool};
use serde_json::{Value, json};

use crate::manifests::{Built, containers, list, text};
use crate::rig::{deploy, is_of_the_bot};

/// The oldest with native sidecars, and the newest that the checker knows.
const VERSIONS: [&str; 2] = ["1.29.0", "1.37.0"];

#[test]
fn everything_builds_and_is_valid_for_an_old_and_a_new_kubernetes() -> Result<()> {
    let built = Built::all()?;
    for version in VERSIONS {
        let mut validate = Command::new(tool("kubernetes-validate")?);
        validate.args(["--strict", "--quiet", "-k", version]);
        run(validate.args(built.iter().map(|built| &built.file)))?;
    }
    Ok(())
}

#[test]
fn a_mistake_in_a_manifest_is_noticed() -> Result<()> {
    let built = Built::of("overlays/sidecar")?;
    let broken = std::fs::read_to_string(&built.file)?.replace("readOnlyRootFilesystem: true", "readonly: true");
    std::fs::write(&built.file, broken)?;
    let mut validate = Command::new(tool("kubernetes-validate")?);
    let error = run(validate.args(["--strict", "-k", VERSIONS[1]]).arg(&built.file)).err().context("it is accepted")?;
    ensure!(error.to_string().contains("readonly"), "{error}");
    Ok(())
}

#[test]
fn the_sources_are_tidy() -> Result<()> {
    let mut lint = Command::new(tool("yamllint")?);
    run(lint.args(["--strict", "--config-file"]).args(["yamllint.yaml", "kubernetes", "compose.yaml"].map(deploy)))?;
    Ok(())
}

#[test]
fn pods_keep_to_the_restricted_profile() -> Result<()> {
    for built in Built::all()? {
        let pod = &built.pod()?["spec"];
        let context = &pod["securityContext"];
        ensure!(context["runAsNonRoot"] == true && context["runAsUser"].as_u64() > Some(0), "{}: a user", built.name);
        ensure!(context["seccompProfile"]["type"] == "RuntimeDefault", "{}: seccomp", built.name);
        ensure!(pod["automountServiceAccountToken"] == false, "{}: a token", built.name);
        ensure!(pod["enableServiceLinks"] == false, "{}: service links", built.name);
        for name in ["hostNetwork", "hostPID", "hostIPC"] {
            ensure!(pod[name].is_null(), "{}: {name}", built.name);
        }
        for volume in list(&pod["volumes"]) {
            let kinds = ["configMap", "emptyDir", "persistentVolumeClaim", "secret"];
            ensure!(kinds.iter().any(|kind| volume[kind].is_object()), "{}: {volume}", built.name);
        }
        for container in containers(built.pod()?) {
            let name = format!("{}: {}", built.name, container["name"]);
            let wanted = json!({
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": true
            });
            ensure!(container["securityContext"] == wanted, "{name}: {}", container["securityContext"]);
            let resources = &container["resources"];
            ensure!(resources["requests"]["memory"].is_string() && resources["limits"]["memory"].is_string(), "{name}");
            let tag = text(&container["image"]).rsplit_once(':').map(|(_, tag)| tag.to_owned());
            ensure!(tag.is_some_and(|tag| tag != "latest"), "{name}: the image has no version");
            // Whoever could name a host's port or folder leaves the profile.
            ensure!(list(&container["ports"]).iter().all(|port| port["hostPort"].is_null()), "{name}: a port");
        }
    }
    Ok(())
}

#[test]
fn images_have_the_version_of_this_workspace() -> Result<()> {
    for built in Built::all()? {
        for container in containers(built.pod()?) {
            let image = text(&container["image"]);
            let Some(ours) = image.strip_prefix("ghcr.io/cofferdam/") else { continue };
            ensure!(ours.ends_with(&format!(":{}", env!("CARGO_PKG_VERSION"))), "{}: {image}", built.name);
        }
    }
    Ok(())
}

#[test]
fn every_variable_exists_and_every_value_is_accepted() -> Result<()> {
    for built in Built::all()? {
        for container in containers(built.pod()?) {
            let variables = built.environment(container)?;
            for (name, _) in &variables {
                let is_known = variable_named(name).is_some() || is_of_the_bot(name)?;
                ensure!(is_known, "{}: {name} is in no table", built.name);
            }
            let value = |name: &str| variables.iter().rfind(|(given, _)| given == name).map(|(_, value)| value.clone());
            // What the file holds is not there yet.
            let given = |name: &str| -> Option<OsString> {
                match name {
                    "MYSQL_PASSWORD" => value("MYSQL_PASSWORD_FILE").map(Into::into),
                    "MYSQL_PASSWORD_FILE" => None,
                    name => value(name).map(Into::into),
                }
            };
            if variables.iter().any(|(name, _)| name == "DATABASE_TYPE") {
                Config::from_lookup(&given).with_context(|| built.name.to_owned())?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_path_is_on_a_volume_that_can_be_read_or_written() -> Result<()> {
    for built in Built::all()? {
        for container in containers(built.pod()?) {
            for (name, value) in built.environment(container)? {
                if !value.starts_with('/') {
                    continue;
                }
                let mut mounts = list(&container["volumeMounts"]).iter();
                let mount = mounts.find(|mount| value.starts_with(&format!("{}/", text(&mount["mountPath"]))));
                let place = format!("{}: {}: {name}={value}", built.name, container["name"]);
                let mount = mount.with_context(|| format!("{place} is on no volume"))?;
                let is_secret = name.ends_with("_FILE");
                ensure!((mount["readOnly"] == true) == is_secret, "{place}: read-only or not");
                let volume =
                    list(&built.pod()?["spec"]["volumes"]).iter().find(|volume| volume["name"] == mount["name"]);
                let volume = volume.with_context(|| format!("{place}: there is no such volume"))?;
                ensure!(volume["secret"].is_object() == is_secret, "{place}: {volume}");
            }
        }
    }
    Ok(())
}

#[test]
fn ports_and_probes_are_those_of_the_administration() -> Result<()> {
    let mut probes = BTreeSet::new();
    for built in Built::all()? {
        for container in containers(built.pod()?) {
            let port = list(&container["ports"]);
            let variables = built.environment(container)?;
            let listens =
                variables.iter().rfind(|(name, _)| ["BOT_LISTEN", "COFFERDAM_ADMIN_LISTEN"].contains(&&**name));
            ensure!(port.is_empty() == listens.is_none(), "{}: {container}", built.name);
            let Some((_, address)) = listens else { continue };
            let number = port[0]["containerPort"].to_string();
            ensure!(address.ends_with(&format!(":{number}")), "{}: {address} and port {number}", built.name);
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let Some(get) = container[probe]["httpGet"].as_object() else { continue };
                ensure!(get["port"] == port[0]["name"], "{}: {probe}", built.name);
                probes.insert((probe, text(&get["path"])));
            }
            ensure!(container["livenessProbe"].is_null() || container["livenessProbe"]["httpGet"]["path"] == "/livez");
            let annotation = &built.pod()?["metadata"]["annotations"]["prometheus.io/port"];
            ensure!(annotation.is_null() || annotation == &Value::from(number), "{}: {annotation}", built.name);
        }
    }
    // That they are answered is proven where the pods run.
    ensure!(probes.len() == 4, "{probes:?}");
    Ok(())
}

#[test]
fn selectors_find_the_pods_and_policies_let_them_reach_their_database() -> Result<()> {
    for built in Built::all()? {
        let labels = &built.pod()?["metadata"]["labels"];
        let matches = |selector: &Value| {
            let wanted = selector["matchLabels"].as_object();
            wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| &labels[name] == value))
        };
        for budget in built.of_kind("PodDisruptionBudget") {
            ensure!(matches(&budget["spec"]["selector"]), "{}: the budget is for no pod", built.name);
            // A budget that lets none go keeps a node from being drained.
            ensure!(budget["spec"]["maxUnavailable"].as_u64() > Some(0), "{}", built.name);
        }
        let policy = built.of_kind("NetworkPolicy").next().with_context(|| format!("{}: no policy", built.name))?;
        ensure!(matches(&policy["spec"]["podSelector"]), "{}: the policy is for no pod", built.name);
        let ports = |direction: &str| -> BTreeSet<u64> {
            let rules = list(&policy["spec"][direction]).iter();
            rules.flat_map(|rule| list(&rule["ports"])).filter_map(|port| port["port"].as_u64()).collect()
        };
        let on_mysql = containers(built.pod()?).any(|container| {
            let variables = built.environment(container).unwrap_or_default();
            variables.iter().any(|(name, value)| name == "DATABASE_TYPE" && value == "mysql")
        });
        ensure!(ports("egress").contains(&53) && ports("egress").contains(&3306) == on_mysql, "{}", built.name);
        ensure!(ports("ingress").iter().all(|port| *port == 9090), "{}", built.name);
        if let Some(deployment) = built.of_kind("Deployment").next() {
            ensure!(matches(&deployment["spec"]["selector"]), "{}", built.name);
            ensure!(deployment["spec"]["strategy"]["type"] == "Recreate", "{}: two bots at a time", built.name);
            ensure!(built.of_kind("PodDisruptionBudget").count() == 1 && built.of_kind("ServiceAccount").count() == 1);
        }
    }
    Ok(())
}
