//! What kustomize makes of `deploy/kubernetes`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use cofferdam_tests::harness::tools::{run, tool, yaml};
use serde_json::Value;

use crate::rig::deploy;

/// Everything that is meant to be applied.
pub const ALL: [&str; 5] =
    ["overlays/bot-sqlite", "overlays/bot-mysql", "overlays/sidecar", "overlays/galera", "migrate"];

/// A folder that has been built.
pub struct Built {
    pub name: &'static str,
    pub file: PathBuf,
    pub objects: Vec<Value>,
    _folder: tempfile::TempDir,
}

impl Built {
    pub fn of(name: &'static str) -> Result<Self> {
        let mut kubectl = Command::new(tool("kubectl")?);
        let text = run(kubectl.arg("kustomize").arg(deploy("kubernetes").join(name)))?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("all.yaml");
        std::fs::write(&file, text)?;
        Ok(Self { name, objects: yaml(&file)?, file, _folder: folder })
    }

    pub fn all() -> Result<Vec<Self>> {
        ALL.into_iter().map(Self::of).collect()
    }

    /// The objects of a kind.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The pod that its Deployment or Job makes.
    pub fn pod(&self) -> Result<&Value> {
        let mut workloads = self.of_kind("Deployment").chain(self.of_kind("Job"));
        workloads.next().map(|workload| &workload["spec"]["template"]).context("no pod")
    }

    /// The values of a ConfigMap.
    pub fn config(&self, name: &Value) -> Result<Vec<(String, String)>> {
        let map = self.of_kind("ConfigMap").find(|map| &map["metadata"]["name"] == name);
        let data = map.and_then(|map| map["data"].as_object()).with_context(|| format!("no ConfigMap {name}"))?;
        Ok(data.iter().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    /// The environment of a container.
    pub fn environment(&self, container: &Value) -> Result<Vec<(String, String)>> {
        let mut variables = Vec::new();
        for source in list(&container["envFrom"]) {
            variables.extend(self.config(&source["configMapRef"]["name"])?);
        }
        let own = list(&container["env"]).iter();
        variables.extend(own.map(|variable| (text(&variable["name"]), text(&variable["value"]))));
        Ok(variables)
    }
}

/// The containers of a pod in the order in which they start.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["spec"]["initContainers"]).iter().chain(list(&pod["spec"]["containers"]))
}

/// The container of this name.
pub fn container<'a>(pod: &'a Value, name: &str) -> Result<&'a Value> {
    containers(pod).find(|container| container["name"] == name).with_context(|| format!("no container {name}"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
