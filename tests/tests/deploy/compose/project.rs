//! A folder with the Compose file, and its services as processes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::container::{Container, Image, volume};
use cofferdam_tests::harness::tools::{run, tool, yaml};
use serde_json::Value;
use tempfile::TempDir;

use crate::conversation::TOKEN;
use crate::manifests::{list, text};
use crate::rig::deploy;

/// The password of the server's user.
pub const PASSWORD: &str = "compose's own";

/// A folder of an operator, with what the example says to make there.
pub struct Project {
    folder: TempDir,
    named: BTreeMap<String, TempDir>,
}

impl Project {
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The operator's, and everybody may pass.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::copy(deploy("compose.yaml"), folder.path().join("compose.yaml"))?;
        fs::copy(deploy(".env.example"), folder.path().join(".env"))?;
        fs::create_dir(folder.path().join("secrets"))?;
        for (name, value) in [("mysql-password", PASSWORD), ("discord-token", TOKEN)] {
            let file = folder.path().join("secrets").join(name);
            fs::write(&file, value)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o444))?;
        }
        Ok(Self { folder, named: BTreeMap::new() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets a variable in `.env`.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let file = self.path(".env");
        let text = fs::read_to_string(&file)?;
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with(&format!("{name}="))).collect();
        Ok(fs::write(file, format!("{}\n{name}={value}\n", kept.join("\n")))?)
    }

    /// What `docker-compose` says.
    pub fn compose(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tool("docker-compose")?);
        command.args(["--file", "compose.yaml"]).args(arguments).current_dir(self.folder.path());
        // What is set here is no operator's.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Ok(String::from_utf8(run(&mut command)?)?)
    }

    /// The services of all profiles, as `docker-compose` understands them.
    pub fn services(&self) -> Result<BTreeMap<String, Value>> {
        let profiles = super::PROFILES.iter().flat_map(|(name, _)| ["--profile", name]);
        let text = self.compose(&profiles.chain(["config"]).collect::<Vec<_>>())?;
        let file = self.path("resolved.yaml");
        fs::write(&file, text)?;
        let document = yaml(&file)?.into_iter().next().context("an empty document")?;
        Ok(serde_json::from_value(document["services"].clone())?)
    }

    /// One of them.
    pub fn service(&self, name: &str) -> Result<Value> {
        self.services()?.remove(name).with_context(|| format!("no service {name}"))
    }

    /// What an engine runs for a service, with further arguments, where the server listens at this port of this machine.
    pub fn command(&mut self, image: &Image, name: &str, port: u16, further: &[&str]) -> Result<Command> {
        let service = self.service(name)?;
        let arguments: Vec<_> = list(&service["command"]).iter().map(text).collect();
        let arguments = arguments.iter().map(|text| text.replace("@mysql:3306/", &format!("@mysql:{port}/")));
        let arguments: Vec<_> = arguments.chain(further.iter().map(|&more| more.to_owned())).collect();
        Ok(self.container(image, &service, port)?.command(&arguments))
    }

    /// Its health check, which runs in the same container.
    pub fn healthcheck(&mut self, image: &Image, name: &str, port: u16) -> Result<Command> {
        let service = self.service(name)?;
        Ok(self.container(image, &service, port)?.healthcheck())
    }

    fn container<'a>(&mut self, image: &'a Image, service: &Value, port: u16) -> Result<Container<'a>> {
        let environment = service["environment"].as_object().context("an environment")?;
        let environment = environment.iter().map(|(name, value)| match name.as_str() {
            "MYSQL_PORT" => (name.clone(), port.to_string()),
            // Containers have the port to themselves.
            "BOT_LISTEN" => (name.clone(), "127.0.0.1:0".to_owned()),
            _ => (name.clone(), text(value)),
        });
        let hosts = self.path("hosts");
        fs::write(&hosts, "127.0.0.1 localhost mysql\n")?;
        let mut container = Container::of(image)?.environment(environment).mount(&hosts, "/etc/hosts", true)?;
        for secret in list(&service["secrets"]) {
            let name = text(&secret["source"]);
            let file = self.path("secrets").join(&name);
            container = container.mount(&file, &format!("/run/secrets/{name}"), true)?;
        }
        for mount in list(&service["volumes"]) {
            let mount = text(mount);
            let [from, to, "rw"] = mount.split(':').collect::<Vec<_>>()[..] else { panic!("{mount}") };
            let from = if from.starts_with('/') {
                // An engine makes a folder that is missing, as root.
                fs::create_dir_all(from)?;
                PathBuf::from(from)
            } else {
                self.named_volume(image, from, to)?
            };
            container = container.mount(&from, to, false)?;
        }
        Ok(container)
    }

    /// A named volume, which has the owner of the place in the image where it is mounted first.
    fn named_volume(&mut self, image: &Image, name: &str, to: &str) -> Result<PathBuf> {
        use std::os::unix::fs::MetadataExt;
        if !self.named.contains_key(name) {
            let place = fs::metadata(image.root().join(&to[1..])).with_context(|| format!("no {to} in the image"))?;
            self.named.insert(name.to_owned(), volume((place.uid(), place.gid()))?);
        }
        Ok(self.named[name].path().to_owned())
    }

    /// The folder of a named volume that a service has used.
    pub fn named(&self, name: &str) -> Result<PathBuf> {
        self.named.get(name).map(|folder| folder.path().to_owned()).with_context(|| format!("no volume {name} yet"))
    }

    /// Gives the folder of the database to the user of the image, as the page says.
    pub fn give(&self, image: &Image) -> Result<()> {
        let (user, group) = image.user();
        let mut chown = Command::new("chown");
        chown.args(["-R", &format!("{user}:{group}")]).arg(self.path("data"));
        ensure!(chown.status()?.success());
        Ok(())
    }

    /// Makes the folder of the database for a user of the image, as the page says.
    pub fn make_data(&self, image: &Image) -> Result<()> {
        let (user, group) = image.user();
        fs::create_dir(self.path("data"))?;
        Ok(chown(self.path("data"), Some(user), Some(group))?)
    }
}

/// Whether a command ends with success.
pub fn succeeds(mut command: Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The health check of the server as a shell on this machine runs it.
pub fn server_check(service: &Value, secrets: &Path, port: u16) -> Result<Command> {
    let test = list(&service["healthcheck"]["test"]);
    ensure!(test.first().is_some_and(|kind| kind == "CMD-SHELL"), "{test:?}");
    let script = text(&test[1]).replace("$$", "$").replace("/run/secrets", &secrets.display().to_string());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("MYSQL_TCP_PORT", port.to_string());
    for name in ["MYSQL_USER", "MYSQL_DATABASE"] {
        command.env(name, text(&service["environment"][name]));
    }
    Ok(command)
}
