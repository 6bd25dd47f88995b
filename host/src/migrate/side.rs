//! An opened side.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{MigrateError, Result};
use crate::config::{Claim, Passwords, Spec, claimed, claims_of};
use crate::error::{Error, ErrorKind};
use crate::files::{FileUse, SQLITE, Whereabouts, head, is_same};
use crate::model::migration::Overview;
use crate::service::{MigrationService, StorageService};
use crate::sql::Access;
use crate::storage::{Integrity, Storage};
use crate::threads;

/// Which side of a migration a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The source.
    From,
    /// The destination.
    To,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::From => "the source",
            Self::To => "the destination",
        }
    }

    fn passwords(self) -> Passwords {
        match self {
            Self::From => Passwords { value: "COFFERDAM_FROM_PASSWORD", file: "COFFERDAM_FROM_PASSWORD_FILE" },
            Self::To => Passwords { value: "COFFERDAM_TO_PASSWORD", file: "COFFERDAM_TO_PASSWORD_FILE" },
        }
    }
}

/// What a side is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing in the database is changed.
    Read,
    /// Nothing is created or upgraded; existing tables may be written.
    Attach,
    /// Missing tables are created, and older ones are upgraded.
    Write,
}

/// One side of a migration, open.
pub struct Side {
    storage: Arc<Storage>,
    /// The same, for those who move rows.
    service: Arc<dyn MigrationService>,
    label: String,
    name: String,
    role: Role,
    file: Option<PathBuf>,
    /// Whether there is a database to look at.
    exists: bool,
}

impl Side {
    /// Opens the database that `spec` names, with everything else from the environment that `lookup` reads.
    ///
    /// A missing SQLite file counts as an empty destination, as long as nothing is written.
    ///
    /// # Errors
    ///
    /// The configuration is wrong, or the database is missing, is not a database, or is unavailable.
    pub async fn open(
        role: Role,
        spec: &Spec,
        mode: Mode,
        lookup: &(dyn Fn(&str) -> Option<OsString> + Sync),
    ) -> Result<Self> {
        let spec = &absolute(spec);
        let (label, name) = (spec.to_string(), format!("{} {spec}", role.name()));
        let start = |error| MigrateError::Start { side: name.clone(), error };
        let look = |path: &Path| look_at(path, &name, role == Role::To && mode != Mode::Attach);
        // Before the configuration finds the same in words of the environment.
        if let Spec::Sqlite(path) = spec {
            if let Some(variable) = claimed(&claims_of(lookup), path)
                && !matches!(variable, "DATABASE_PATH" | "COFFERDAM_MIRROR")
            {
                let message = format!("{} is the file of {variable}, not a database: name a database", path.display());
                return Err(MigrateError::Unusable { side: name, message, is_missing: false });
            }
            look(path)?;
        }
        let usage = if role == Role::From { FileUse::Source } else { FileUse::Database };
        let mut config = spec.config(role.passwords(), usage, lookup).map_err(|error| start(error.into()))?;
        config.database.attempt_once();
        let file = config.database.file().map(Path::to_owned);
        let builder = Storage::builder(config);
        let builder = if mode == Mode::Read { builder.read_only() } else { builder.bulk() };
        let storage = match threads::spawn(move || builder.build()).await {
            Ok(storage) => Arc::new(storage.map_err(start)?),
            Err(error) => {
                let error = Error::new(ErrorKind::Internal, format!("loading the plugin failed: {error}"));
                return Err(MigrateError::Storage { side: name, error });
            }
        };
        let exists = match &file {
            Some(path) => look(path)?,
            None => true,
        };
        let service = Arc::clone(&storage) as Arc<dyn MigrationService>;
        let side = Self { storage, service, label, name, role, file, exists: exists || mode == Mode::Write };
        if side.exists {
            let opened = match mode {
                Mode::Read | Mode::Attach => side.storage.attach().await,
                Mode::Write => side.storage.initialize().await,
            };
            opened.map_err(|error| side.failed(error))?;
        }
        Ok(side)
    }

    /// What it is called, without secrets, such as `mysql://bot@db:3306/state`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The kind of its database: `sqlite` or `mysql`.
    pub fn engine(&self) -> &'static str {
        self.storage.backend().engine.name()
    }

    /// The newest schema version that its backend knows.
    pub fn known_schema_version(&self) -> u32 {
        self.storage.backend().schema_version
    }

    /// Reads an overview of its content, with a scan of each table. Writes nothing.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is newer than its backend knows.
    pub async fn survey(&self) -> Result<Overview> {
        if !self.exists {
            return Ok(Overview { page_rows: 1, batch_rows: 1, writes_at_a_time: 1, ..Overview::default() });
        }
        self.storage.survey().await.map_err(|error| self.failed(error))
    }

    /// Remarks for an operator, one sentence each; usually none. What only writers need of a server and an account is left out of a
    /// source's.
    ///
    /// # Errors
    ///
    /// Where it cannot be asked.
    pub async fn remarks(&self) -> Result<Vec<String>> {
        if !self.exists {
            return Ok(Vec::new());
        }
        let access = if self.role == Role::From { Access::Read } else { Access::Write };
        let remarks = self.storage.remarks_for(access).await.map_err(|error| self.failed(error))?;
        Ok(remarks.iter().map(|remark| format!("{}: {remark}", self.label)).collect())
    }

    /// Why it cannot be written, if a setting of its server prevents that.
    ///
    /// # Errors
    ///
    /// Where it cannot be asked.
    pub async fn obstacle(&self) -> Result<Option<String>> {
        if !self.exists {
            return Ok(None);
        }
        let obstacles = self.storage.obstacles().await.map_err(|error| self.failed(error))?;
        // A run makes tables of its own too.
        Ok(obstacles.to_writes.or(obstacles.to_tables))
    }

    /// Checks its whole file for damage that ordinary statements do not detect; takes longer the larger the file is.
    /// What its rows are read along may lack some of them: before a migration this is to be known. Writes nothing.
    ///
    /// # Errors
    ///
    /// Where it is damaged, or cannot be read.
    pub async fn check_integrity(&self) -> Result<Integrity> {
        if !self.exists {
            return Ok(Integrity::Nothing);
        }
        self.storage.check_integrity().await.map_err(|error| self.failed(error))
    }

    /// Closes its connections.
    ///
    /// # Errors
    ///
    /// Where operations were still running.
    pub async fn close(self) -> Result<()> {
        self.storage.close().await.map_err(|error| self.failed(error))
    }

    pub(super) fn storage(&self) -> &Arc<dyn MigrationService> {
        &self.service
    }

    pub(super) fn failed(&self, error: Error) -> MigrateError {
        MigrateError::Storage { side: self.name.clone(), error }
    }

    pub(super) fn taken(&self, owner: String) -> MigrateError {
        MigrateError::Taken { side: self.name.clone(), owner }
    }

    pub(super) fn miscounted(&self, read: u64, rows: u64) -> MigrateError {
        MigrateError::Miscounted { side: self.name.clone(), read, rows }
    }

    /// The files that it uses. `option` is what names its database.
    pub fn claims(&self, option: &'static str) -> Vec<Claim> {
        // It has neither a spool nor a mirror, so that what it writes is its database.
        let name = |claim: Claim| if claim.is_written { Claim { variable: option, ..claim } } else { claim };
        self.storage.config().claims().into_iter().map(name).collect()
    }

    /// Whether both are one file. Of servers their backends tell.
    pub(super) fn is_file_of(&self, other: &Self) -> bool {
        matches!((&self.file, &other.file), (Some(one), Some(other)) if is_same(one, other))
    }
}

/// Files by their paths from the root, with links followed as far as they lead to something.
fn absolute(spec: &Spec) -> Spec {
    let absolute = |path: &Path| Whereabouts::of(path).path();
    match spec {
        Spec::Sqlite(path) => Spec::Sqlite(absolute(path)),
        Spec::Plugin(path) => Spec::Plugin(absolute(path)),
        spec => spec.clone(),
    }
}

/// Whether a SQLite file is there and looks like one, told more plainly than SQLite does.
fn look_at(path: &Path, side: &str, may_be_missing: bool) -> Result<bool> {
    let unusable =
        |message: String, is_missing| Err(MigrateError::Unusable { side: side.to_owned(), message, is_missing });
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_be_missing => return Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return unusable(format!("there is no file {}: check the path", path.display()), true);
        }
        Err(error) => return unusable(format!("the file cannot be looked at: {error}"), false),
    };
    if metadata.is_dir() {
        return unusable(format!("{} is a folder: name a file in it", path.display()), false);
    }
    match head(path) {
        // SQLite takes an empty file for a database without tables.
        Ok(head) if head.is_empty() || head == SQLITE => Ok(true),
        Ok(_) => unusable(format!("{} is not a SQLite database: check the path", path.display()), false),
        Err(error) => unusable(format!("the file cannot be read: {error}: check its owner and mode"), false),
    }
}
