//! A storage for one command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cofferdam::config::{Claim, DatabaseConfig, claimed, claims_of};
use cofferdam::files::{FilePath, FileUse};
use cofferdam::plugin::{Origin, PluginError};
use cofferdam::sql::Engine;
use cofferdam::{Config, ErrorKind, ResilientStorage, StartError, Storage, StorageService, threads};

use crate::failure::Failure;

/// What a command that opens an existing database ends with.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure
  2  wrong usage, environment or plugin
  3  the database is unavailable or too slow
  4  not found";

/// The environment's configuration for a command that an operator watches: a connection that fails is reported at
/// once, with its cause, instead of after several tries.
pub fn config() -> Result<Config, Failure> {
    config_with(&[])
}

/// The same where these variables have these values, whatever the environment says.
pub fn config_with(variables: &[(&str, OsString)]) -> Result<Config, Failure> {
    configure(&|name| {
        let given = variables.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
        given.or_else(|| std::env::var_os(name))
    })
}

/// The same for a check, which fails where the database is away unless the environment says otherwise.
pub fn config_for_check() -> Result<Config, Failure> {
    let default = |name: &str| (name == "COFFERDAM_ON_UNAVAILABLE").then(|| "fail".into());
    configure(&|name| std::env::var_os(name).filter(|value| !value.is_empty()).or_else(|| default(name)))
}

fn configure(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Config, Failure> {
    let mut config = Config::from_lookup(lookup)?;
    config.database.attempt_once();
    Ok(config)
}

/// A file that an argument names, as it can be meant. `argument` is what the user calls it, such as `--rejects`.
pub fn named(argument: &str, name: &Path, usage: FileUse) -> Result<PathBuf, Failure> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    match FilePath::new(name, usage, home.as_deref()) {
        Ok(path) => Ok(path.into()),
        Err(error) => Err(Failure::usage(format!("{argument} {error}"))),
    }
}

/// A file that is about to be written, which is none of those that others have. What the environment names is among them.
pub fn named_for_output(argument: &str, name: &Path, claims: &[Claim]) -> Result<PathBuf, Failure> {
    let path = named(argument, name, FileUse::Output)?;
    let environment = claims_of(&|name| std::env::var_os(name));
    match claimed(claims, &path).or_else(|| claimed(&environment, &path)) {
        Some(variable) => {
            Err(Failure::usage(format!("{argument} is {path:?}, which {variable} uses: name another file")))
        }
        None => Ok(path),
    }
}

/// The plugin that an argument names: `sqlite` and `mysql` are those that a bot would load, everything else is a file.
pub fn plugin_named(argument: &str, name: &Path) -> Result<Origin, Failure> {
    let Some(&engine) = Engine::ALL.iter().find(|engine| name.to_str() == Some(engine.name())) else {
        return named(argument, name, FileUse::Input).map(Origin::File);
    };
    // Of the environment only where plugins are: COFFERDAM_PLUGIN is another one, and no database is asked.
    let variables = [("COFFERDAM_PLUGIN", ""), ("DATABASE_TYPE", ""), ("DATABASE_PATH", "")]
        .map(|(name, value)| (name, value.into()));
    config_with(&variables)?.plugin.resolve(engine).map_err(|error| PluginError::from(error).into())
}

/// Loads the backend.
pub async fn load(config: Config) -> Result<Storage, Failure> {
    build(|| Storage::builder(config).build()).await
}

/// Loads the backend for a database that is not changed.
pub async fn load_to_read(config: Config) -> Result<Storage, Failure> {
    build(|| Storage::builder(config).read_only().build()).await
}

/// Loads the backend for something that works for long.
pub async fn load_resilient(config: Config) -> Result<ResilientStorage, Failure> {
    build(|| ResilientStorage::builder(config).build()).await
}

/// Away from the threads of the runtime.
async fn build<S: Send + 'static>(
    build: impl FnOnce() -> Result<S, StartError> + Send + 'static,
) -> Result<S, Failure> {
    match threads::spawn(build).await {
        Ok(storage) => Ok(storage?),
        Err(error) => Err(Failure::failed(format!("loading the plugin failed: {error}"))),
    }
}

/// Initialises a storage whose database is there and up to date, so that nothing is created or upgraded: looking at
/// a database must not change it, and a mistyped path must not make a new one.
pub async fn initialize_existing(storage: &Storage, database: &DatabaseConfig) -> Result<(), Failure> {
    const REMEDY: &str = "`cofferdam check`, or starting the bot, ";
    if let Some(path) = database.file()
        && let Err(error) = std::fs::metadata(path)
    {
        let path = database.place();
        return Err(Failure::not_found(format!("no database at {path} (DATABASE_PATH): {error}; {REMEDY}creates it")));
    }
    let known = storage.backend().schema_version;
    match storage.schema_version().await? {
        None => Err(Failure::not_found(format!("the database has no tables yet; {REMEDY}creates them"))),
        Some(version) if version < known => {
            Err(Failure::failed(format!("the database has schema version {version} of {known}; {REMEDY}upgrades it")))
        }
        // Where it is newer than the backend knows, `initialize` says so and writes nothing.
        Some(_) => match storage.initialize().await {
            // Reading works where a setting of the server forbids writes, and what writes says so itself.
            Err(error) if error.kind() == ErrorKind::Refused => Ok(storage.attach().await?),
            initialized => Ok(initialized?),
        },
    }
}

/// Opens the database that the environment names for looking at it or changing rows.
pub async fn existing() -> Result<Storage, Failure> {
    existing_in(config()?).await
}

/// Opens the database of this configuration for looking at it or changing rows.
pub async fn existing_in(config: Config) -> Result<Storage, Failure> {
    let database = config.database.clone();
    let storage = load(config).await?;
    initialize_existing(&storage, &database).await?;
    Ok(storage)
}

/// Opens the database that the environment names as a starting bot does, which creates and upgrades tables.
pub async fn created() -> Result<Storage, Failure> {
    let storage = load(config()?).await?;
    storage.initialize().await?;
    Ok(storage)
}

/// Does something with the database that the environment names, and closes it. What failed first is what is told.
pub async fn on_existing<T>(work: impl AsyncFnOnce(&Storage) -> cofferdam::Result<T>) -> Result<T, Failure> {
    let storage = existing().await?;
    let result = work(&storage).await;
    let closed = storage.close().await;
    let value = result?;
    closed?;
    Ok(value)
}
