//! Images and containers without an engine: what a Dockerfile puts into an image, in a folder, and processes that have this folder as
//! their root, read-only, as the image's user. It needs root, as an engine does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// Where a container looks for programs, and what prepares it too.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes a container, in a mount namespace of its own. Arguments: root, user, group and working folder; for each mount the folder or
/// file, its place and `ro` or `rw`; `--`, and what runs. The process stays the same, so that signals reach what runs.
const ENTER: &str = r#"
root=$1 user=$2 group=$3 folder=$4
shift 4
mount --bind "$root" "$root" || exit 125
while [ "$1" != -- ]; do
    mount --rbind "$1" "$root$2" || exit 125
    if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2" || exit 125; fi
    shift 3
done
shift
mount -o remount,bind,ro "$root" || exit 125
exec setpriv --clear-groups --no-new-privs unshare --root="$root" --wd="$folder" --setgid="$group" --setuid="$user" "$@"
"#;

/// The stages of a Dockerfile by name: the base of each, and its steps with their instruction.
type Stages<'a> = BTreeMap<&'a str, (&'a str, Vec<(String, String)>)>;

/// What a stage of a Dockerfile makes.
#[derive(Debug)]
pub struct Image {
    root: TempDir,
    /// Variables that it sets.
    pub environment: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What runs, before the arguments.
    pub entrypoint: Vec<String>,
    /// The arguments, unless others are given.
    pub command: Vec<String>,
    /// What is run inside to ask whether it is healthy.
    pub healthcheck: Vec<String>,
    user: (u32, u32),
    folder: String,
}

impl Image {
    /// Carries out a stage of a Dockerfile whose stage `build` compiles `programs`, which have been compiled by then: `cargo` does
    /// nothing, and everything else of that stage runs as it is written, below a folder instead of `/out`.
    ///
    /// # Errors
    ///
    /// The Dockerfile has an instruction that an engine knows and this does not, or one of them fails.
    pub fn build(dockerfile: &Path, stage: &str, programs: &[(&str, &Path)]) -> Result<Self> {
        let text = fs::read_to_string(dockerfile).with_context(|| dockerfile.display().to_string())?;
        let stages = stages(&text);
        let out = tempfile::Builder::new().prefix("cofferdam-build-").tempdir()?;
        let build = stages.get("build").context("the Dockerfile has no stage build")?;
        for (_, step) in build.1.iter().filter(|(name, _)| name == "RUN") {
            run_step(step, out.path(), programs)?;
        }
        let mut image = Self {
            root: tempfile::Builder::new().prefix("cofferdam-image-").tempdir()?,
            environment: [("PATH".to_owned(), PATH.to_owned())].into(),
            labels: BTreeMap::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            healthcheck: Vec::new(),
            user: (0, 0),
            folder: "/".to_owned(),
        };
        // A folder for temporary files is its owner's alone, and the root of a container everybody's.
        fs::set_permissions(image.root(), fs::Permissions::from_mode(0o755))?;
        image.carry_out(stage, &stages, out.path())?;
        Ok(image)
    }

    /// Its files.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Its user and group.
    pub fn user(&self) -> (u32, u32) {
        self.user
    }

    /// Copies the libraries that its programs are linked with, where they have not been linked into them.
    ///
    /// # Errors
    ///
    /// There is no `ldd`.
    pub fn add_libraries(&self) -> Result<()> {
        for program in fs::read_dir(self.root().join("usr/bin"))? {
            let output = Command::new("ldd").arg(program?.path()).output().context("ldd")?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
                let to = self.root().join(&library[1..]);
                fs::create_dir_all(to.parent().context("a folder")?)?;
                fs::copy(library, to).with_context(|| library.to_owned())?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, stage: &str, stages: &Stages<'_>, out: &Path) -> Result<()> {
        let (base, steps) = stages.get(stage).with_context(|| format!("the Dockerfile has no stage {stage}"))?;
        if *base != "scratch" {
            self.carry_out(base, stages, out)?;
        }
        for (name, step) in steps {
            match name.as_str() {
                "COPY" => self.copy(step, out)?,
                "ENV" => self.environment.extend(pairs(step)?),
                "LABEL" => self.labels.extend(pairs(step)?),
                "WORKDIR" => self.folder.clone_from(step),
                "USER" => {
                    let (user, group) = step.split_once(':').context("USER names a user and a group")?;
                    self.user = (user.parse()?, group.parse()?);
                }
                "ENTRYPOINT" => self.entrypoint = serde_json::from_str(step)?,
                "CMD" => self.command = serde_json::from_str(step)?,
                "HEALTHCHECK" => {
                    let (_, command) = step.split_once(" CMD ").context("HEALTHCHECK has no CMD")?;
                    self.healthcheck = serde_json::from_str(command)?;
                }
                _ => bail!("{name} is not known here"),
            }
        }
        Ok(())
    }

    fn copy(&self, step: &str, out: &Path) -> Result<()> {
        let (options, names): (Vec<_>, Vec<_>) = step.split_whitespace().partition(|word| word.starts_with("--"));
        ensure!(options.contains(&"--from=build"), "COPY {step} is not from the stage build");
        let [from, to] = names[..] else { bail!("COPY {step}: one file or folder at a time") };
        let from = out.join(from.strip_prefix("/out/").with_context(|| format!("{from} is not below /out"))?);
        let to = self.root().join(&to[1..]);
        fs::create_dir_all(to.parent().context("a folder")?)?;
        let mut copy = Command::new("cp");
        copy.args(["-R", "-T"]).arg(from).arg(&to);
        ensure!(copy.status()?.success(), "COPY {step} failed");
        let owner = options.iter().find_map(|option| option.strip_prefix("--chown=")).unwrap_or("0:0");
        ensure!(Command::new("chown").args(["-R", owner]).arg(&to).status()?.success(), "COPY {step} failed");
        Ok(())
    }
}

/// What runs in an image.
#[derive(Debug)]
pub struct Container<'a> {
    image: &'a Image,
    environment: BTreeMap<String, String>,
    mounts: Vec<(PathBuf, String, bool)>,
}

impl<'a> Container<'a> {
    /// One with nothing mounted, and the image's own environment. It has the processes and devices of this machine.
    ///
    /// # Errors
    ///
    /// As for [`mount`](Self::mount).
    pub fn of(image: &'a Image) -> Result<Self> {
        let container = Self { image, environment: image.environment.clone(), mounts: Vec::new() };
        container.mount(Path::new("/dev"), "/dev", false)?.mount(Path::new("/proc"), "/proc", false)
    }

    /// With these variables too.
    pub fn environment<K: Into<String>, V: Into<String>>(mut self, of: impl IntoIterator<Item = (K, V)>) -> Self {
        self.environment.extend(of.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// With a folder or file in a place, where nothing need be, as in an engine.
    ///
    /// # Errors
    ///
    /// The place cannot be made.
    pub fn mount(mut self, from: &Path, to: &str, read_only: bool) -> Result<Self> {
        let place = self.image.root().join(to.trim_start_matches('/'));
        if from.is_dir() {
            fs::create_dir_all(place)?;
        } else {
            fs::create_dir_all(place.parent().context("a folder")?)?;
            fs::File::options().create(true).append(true).open(place)?;
        }
        self.mounts.push((from.to_owned(), to.to_owned(), read_only));
        Ok(self)
    }

    /// Its entrypoint with these arguments.
    pub fn command<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        let entrypoint = self.image.entrypoint.iter().map(String::as_str);
        self.program(entrypoint.chain(arguments.iter().map(AsRef::as_ref)))
    }

    /// Its health check.
    pub fn healthcheck(&self) -> Command {
        self.program(self.image.healthcheck.iter().map(String::as_str))
    }

    fn program<'b>(&self, program: impl Iterator<Item = &'b str>) -> Command {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--mount", "--propagation=private", "/bin/sh", "-c", ENTER, "container"]).arg(self.image.root());
        let (user, group) = self.image.user;
        command.args([user.to_string(), group.to_string()]).arg(&self.image.folder);
        for (from, to, read_only) in &self.mounts {
            command.arg(from).arg(to).arg(if *read_only { "ro" } else { "rw" });
        }
        command.arg("--").args(program).env_clear().envs(&self.environment).stdin(Stdio::null());
        command
    }
}

/// A folder for a volume, which a container's user can write.
///
/// # Errors
///
/// It cannot be made, or this is not root.
pub fn volume((user, group): (u32, u32)) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("cofferdam-volume-").tempdir()?;
    chown(folder.path(), Some(user), Some(group)).context("containers need root")?;
    Ok(folder)
}

fn stages(text: &str) -> Stages<'_> {
    let mut stages = BTreeMap::new();
    let mut last = "";
    let mut step = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        if let Some(from) = line.strip_prefix("FROM ") {
            let (base, name) = from.split_once(" AS ").unwrap_or((from, from));
            stages.insert(name, (base, Vec::new()));
            last = name;
            continue;
        }
        let part = line.strip_suffix('\\');
        step += part.unwrap_or(line).trim();
        step.push(' ');
        if part.is_none() {
            let whole = std::mem::take(&mut step);
            if let (Some((name, rest)), Some(stage)) = (whole.trim().split_once(' '), stages.get_mut(last)) {
                stage.1.push((name.to_owned(), rest.trim().to_owned()));
            }
        }
    }
    stages
}

/// Runs a step of the stage `build`, with the programs where cargo would have put them.
fn run_step(step: &str, out: &Path, programs: &[(&str, &Path)]) -> Result<()> {
    let script: Vec<_> = step.split(' ').skip_while(|word| word.starts_with("--mount")).collect();
    let script = script.join(" ").replace("/out/", &format!("{}/", out.display()));
    let source = tempfile::tempdir()?;
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().context("rustc")?;
    let built = source.path().join("target").join(String::from_utf8_lossy(&host.stdout).trim()).join("release");
    fs::create_dir_all(&built)?;
    for (name, program) in programs {
        std::os::unix::fs::symlink(program, built.join(name))?;
    }
    let mut shell = Command::new("sh");
    shell.arg("-ec").arg(format!("cargo() {{ :; }}\n{script}")).current_dir(source.path());
    ensure!(shell.status()?.success(), "this step of the stage build failed: {step}");
    Ok(())
}

/// `NAME=value NAME="a value"`.
fn pairs(step: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = step.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').with_context(|| format!("{step}: no value"))?;
        let (value, next) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').context("a quote is open")?,
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        pairs.push((name.to_owned(), value.to_owned()));
        rest = next.trim_start();
    }
    Ok(pairs)
}
