//! A pod of the manifests as processes of this machine: its volumes as folders, its containers in the image that they name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam::config::MysqlConfig;
use cofferdam_tests::harness::container::{Container, Image, volume};
use serde_json::Value;
use tempfile::TempDir;

use crate::conversation::TOKEN;
use crate::manifests::{Built, list, text};

/// A pod.
pub struct Pod<'a> {
    built: &'a Built,
    image: &'a Image,
    volumes: BTreeMap<String, TempDir>,
    hosts: TempDir,
    /// What differs from the manifest: addresses and ports of this machine.
    here: Vec<(&'static str, String)>,
}

impl<'a> Pod<'a> {
    /// Makes its volumes as a kubelet does. Its server is `mysql`, a name for this machine, with the database of a test and without
    /// TLS.
    pub fn new(built: &'a Built, image: &'a Image, mysql: &MysqlConfig) -> Result<Self> {
        let secrets = [("bot-mysql", "password", mysql.password.expose()), ("bot-discord", "token", TOKEN)];
        let port = mysql.hosts[0].port;
        let here = vec![
            ("MYSQL_PORT", port.to_string()),
            ("MYSQL_DATABASE", mysql.database.clone()),
            ("MYSQL_USERNAME", mysql.username.clone()),
            ("MYSQL_TLS", "disabled".into()),
            ("COFFERDAM_ADMIN_LISTEN", "127.0.0.1:0".into()),
            ("BOT_LISTEN", "127.0.0.1:0".into()),
        ];
        let spec = &built.pod()?["spec"];
        let user = spec["securityContext"]["runAsUser"].as_u64().context("a user")?;
        let group = u32::try_from(spec["securityContext"]["fsGroup"].as_u64().context("a group")?)?;
        ensure!(image.user() == (u32::try_from(user)?, group), "the image has another user");
        let mut volumes = BTreeMap::new();
        for of in list(&spec["volumes"]) {
            // Root's, and the group's: as the kubelet leaves them.
            let folder = volume((0, group))?;
            let mut mode = 0o2777;
            if let Some(secret) = of["secret"].as_object() {
                let rights = u32::try_from(secret["defaultMode"].as_u64().context("a mode")?)?;
                for (_, key, value) in secrets.iter().filter(|(name, ..)| secret["secretName"] == *name) {
                    let file = folder.path().join(key);
                    fs::write(&file, value)?;
                    fs::set_permissions(&file, fs::Permissions::from_mode(rights))?;
                    chown(&file, Some(0), Some(group))?;
                }
                mode = 0o755;
            }
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode))?;
            volumes.insert(text(&of["name"]), folder);
        }
        let hosts = tempfile::tempdir()?;
        fs::write(hosts.path().join("hosts"), "127.0.0.1 localhost mysql\n")?;
        fs::set_permissions(hosts.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { built, image, volumes, hosts, here })
    }

    /// The folder of a volume.
    pub fn volume(&self, name: &str) -> Result<&Path> {
        self.volumes.get(name).map(TempDir::path).with_context(|| format!("no volume {name}"))
    }

    /// What a container runs, with further arguments.
    pub fn command(&self, container: &Value, further: &[&str]) -> Result<Command> {
        let mut environment: BTreeMap<_, _> = self.built.environment(container)?.into_iter().collect();
        if environment.contains_key("MYSQL_HOST") {
            environment.insert("MYSQL_PORT".into(), String::new());
        }
        for (name, value) in &self.here {
            environment.entry((*name).into()).and_modify(|given| given.clone_from(value));
        }
        let expanded = |text: String| {
            environment.iter().fold(text, |text, (name, value)| text.replace(&format!("$({name})"), value))
        };
        let arguments: Vec<_> = list(&container["args"]).iter().map(text).map(expanded).collect();
        let mut running = Container::of(self.image)?.environment(environment);
        running = running.mount(&self.hosts.path().join("hosts"), "/etc/hosts", true)?;
        for mount in list(&container["volumeMounts"]) {
            let from = self.volume(&text(&mount["name"]))?;
            running = running.mount(from, &text(&mount["mountPath"]), mount["readOnly"] == true)?;
        }
        ensure!(container["command"].is_null(), "the image's own entrypoint is replaced");
        ensure!(!arguments.iter().any(|text| text.contains("$(")), "{arguments:?} name a variable that is not there");
        let arguments: Vec<_> = arguments.into_iter().chain(further.iter().map(|&more| more.to_owned())).collect();
        Ok(running.command(&arguments))
    }
}
