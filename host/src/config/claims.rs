//! The files that a configuration uses, so that none of them serves two purposes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError, Origin, Spec, VARIABLES, variable_named};
use crate::files::{FilePath, FileUse, Whereabouts, of_spool, of_sqlite};

/// The variable of the file that the last good plugin is in.
const LAST_GOOD: &str = "COFFERDAM_LAST_GOOD_PLUGIN";

/// Files that a configuration uses for one thing.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The variable that names them.
    pub variable: &'static str,
    /// The file itself, and those that are made beside it.
    pub files: Vec<PathBuf>,
    /// Whether they are written.
    pub is_written: bool,
}

impl Claim {
    pub(super) fn written(variable: &'static str, files: Vec<PathBuf>) -> Self {
        Self { variable, files, is_written: true }
    }

    pub(super) fn read(variable: &'static str, file: PathBuf) -> Self {
        Self { variable, files: vec![file], is_written: false }
    }
}

/// The files that an environment names, as far as they can be told without the rest of it.
pub fn claims_of(lookup: &dyn Fn(&str) -> Option<OsString>) -> Vec<Claim> {
    let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let default = || variable_named("DATABASE_PATH").and_then(|variable| variable.default_value()).map(PathBuf::from);
    let database = path("DATABASE_PATH").or_else(default);
    let mirror = lookup("COFFERDAM_MIRROR").and_then(|text| match Spec::parse(text.to_str()?) {
        Ok(Spec::Sqlite(path)) => Some(path),
        _ => None,
    });
    let databases = [("DATABASE_PATH", database), ("COFFERDAM_MIRROR", mirror)];
    let databases = databases.into_iter().filter_map(|(name, path)| Some(Claim::written(name, of_sqlite(&path?))));
    let spool = path("COFFERDAM_SPOOL").map(|path| Claim::written("COFFERDAM_SPOOL", of_spool(&path)));
    let last_good = path(LAST_GOOD).map(|path| Claim::written(LAST_GOOD, vec![path]));
    // Of every engine: passwords and authorities.
    let is_read = |name: &&str| {
        name.ends_with("_FILE") || name.ends_with("_CA") || ["COFFERDAM_PLUGIN", "COFFERDAM_PLUGINS"].contains(name)
    };
    let read = VARIABLES.iter().map(|variable| variable.name).filter(is_read);
    let read = read.filter_map(|name| Some(Claim::read(name, path(name)?)));
    databases.chain(spool).chain(last_good).chain(read).collect()
}

/// The variable that names this file already, by whatever name.
pub fn claimed(claims: &[Claim], file: &Path) -> Option<&'static str> {
    let file = Whereabouts::of(file);
    let is_it = |claim: &&Claim| claim.files.iter().any(|path| Whereabouts::of(path).is_same(&file));
    claims.iter().find(is_it).map(|claim| claim.variable)
}

impl Config {
    /// The files that this configuration uses.
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims = self.database.claims();
        if let Some(spool) = &self.resilience.spool {
            claims.push(Claim::written("COFFERDAM_SPOOL", of_spool(&spool.path)));
        }
        claims.extend(self.last_good_plugin.iter().map(|path| Claim::written(LAST_GOOD, vec![path.clone()])));
        if let Some(mirror) = &self.mirror {
            claims.extend(mirror.config.database.claims().into_iter().filter_map(|claim| match claim.variable {
                _ if claim.is_written => Some(Claim { variable: "COFFERDAM_MIRROR", ..claim }),
                name if name.ends_with("_PASSWORD_FILE") => {
                    Some(Claim { variable: "COFFERDAM_MIRROR_PASSWORD_FILE", ..claim })
                }
                _ => None,
            }));
        }
        if let Ok(Origin::File(plugin)) = self.plugin.resolve(self.database.engine()) {
            claims.push(Claim::read("COFFERDAM_PLUGIN", plugin));
        }
        claims
    }

    /// Refuses what [`from_env`](Self::from_env) refuses of files: names that nobody meant, and one file for two things of
    /// which one is written.
    pub(crate) fn check_files(&self) -> Result<(), ConfigError> {
        let written = self.database.file().map(|path| ("DATABASE_PATH", path));
        let spool = self.resilience.spool.as_ref().map(|spool| ("COFFERDAM_SPOOL", &*spool.path));
        let named = written.into_iter().chain(spool);
        let mut mistakes: Vec<_> = named
            .filter_map(|(variable, path)| {
                let error = FilePath::new(path, FileUse::Database, None).err()?;
                Some(format!("{variable} {error}"))
            })
            .collect();
        mistakes.extend(self.conflict().map(|(one, other)| format!("{one} {}", of_conflict(other))));
        if mistakes.is_empty() { Ok(()) } else { Err(ConfigError(mistakes)) }
    }

    /// The first two variables that name one file.
    pub(super) fn conflict(&self) -> Option<(&'static str, &'static str)> {
        let with_places = |claim: Claim| {
            let places: Vec<_> = claim.files.iter().map(|file| Whereabouts::of(file)).collect();
            (claim, places)
        };
        let claims: Vec<_> = self.claims().into_iter().map(with_places).collect();
        for (index, (one, places)) in claims.iter().enumerate() {
            for (other, others) in &claims[..index] {
                let meet = || places.iter().any(|place| others.iter().any(|other| place.is_same(other)));
                if (one.is_written || other.is_written) && meet() {
                    return Some((one.variable, other.variable));
                }
            }
        }
        None
    }
}

/// What is said of a variable that names the file of another one.
pub(super) fn of_conflict(other: &str) -> String {
    format!("and {other} are the same file: give each its own file")
}
