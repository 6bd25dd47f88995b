use std::path::PathBuf;

use crate::config::{Origin, PluginNotFound};
use crate::limit;

/// Why a component cannot be used. Each message says which one, why, and what to do. A retry helps only where there is
/// [no room](Self::NoRoom).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// None was found.
    #[error(transparent)]
    NotFound(#[from] PluginNotFound),
    /// The file cannot be read.
    #[error("cannot read plugin {}: {}", .path.display(), limit::explain(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The component's SHA-256 is not the one that was asked for.
    #[error(
        "plugin {origin} has SHA-256 {actual}, but {expected} is required: use the intended file, or correct \
         COFFERDAM_PLUGIN_SHA256"
    )]
    Checksum {
        /// Where it was found.
        origin: Origin,
        /// What was asked for.
        expected: String,
        /// What it has.
        actual: String,
    },
    /// It is no component, or a damaged one.
    #[error("{origin} is not a WebAssembly component ({reason}): name a .wasm file built for the target wasm32-wasip2")]
    NotComponent {
        /// Where it was found.
        origin: Origin,
        /// What it is instead.
        reason: String,
    },
    /// The component has nothing to do with `cofferdam:storage`.
    #[error(
        "plugin {origin} is a component, but not a storage backend: it does not export {missing}; build it with \
         cofferdam-guest"
    )]
    MissingExport {
        /// Where it was found.
        origin: Origin,
        /// The interface that it does not export.
        missing: String,
    },
    /// The component speaks another version of the contract.
    #[error(
        "plugin {origin} speaks cofferdam:storage {plugin}, this host speaks {host}: use a plugin built for {host}, or \
         {remedy} the host"
    )]
    Version {
        /// Where it was found.
        origin: Origin,
        /// The version that it speaks.
        plugin: String,
        /// The version that this host speaks.
        host: String,
        /// `update` or `downgrade`.
        remedy: &'static str,
    },
    /// The component wants something that no backend is granted.
    #[error(
        "plugin {origin} imports {import}, which this host grants to no backend: build it against cofferdam:storage and \
         WASI 0.2 only"
    )]
    ForbiddenImport {
        /// Where it was found.
        origin: Origin,
        /// What it imports.
        import: String,
    },
    /// The component cannot be compiled.
    #[error("plugin {origin} cannot be compiled: {reason}")]
    Compile {
        /// Where it was found.
        origin: Origin,
        /// What the compiler said.
        reason: String,
    },
    /// The component's types are not those of the contract that it names.
    #[error(
        "plugin {origin} does not match the contract version that it names ({reason}): rebuild it with the wit/ of this \
         host's version"
    )]
    Incompatible {
        /// Where it was found.
        origin: Origin,
        /// Where it differs.
        reason: String,
    },
    /// The component fails before it has answered anything.
    #[error("plugin {origin} fails immediately: {reason}")]
    Faulty {
        /// Where it was found.
        origin: Origin,
        /// How it fails.
        reason: String,
    },
    /// The component is for another kind of database.
    #[error(
        "plugin {origin} is a backend for {plugin}, but DATABASE_TYPE is {configured}: name a plugin for {configured}, or \
         change DATABASE_TYPE"
    )]
    Engine {
        /// Where it was found.
        origin: Origin,
        /// The database that it needs.
        plugin: &'static str,
        /// The database that is configured.
        configured: &'static str,
    },
    /// Operations use all instances that may exist.
    #[error(
        "plugin {origin} cannot be started while operations use all instances: try again, or raise Limits::instances"
    )]
    NoRoom {
        /// Where it was found.
        origin: Origin,
    },
    /// This machine cannot run components.
    #[error("this machine cannot run WebAssembly components: {reason}")]
    Runtime {
        /// What is missing.
        reason: String,
    },
}

impl PluginError {
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        let reason = format!("{error:#}");
        Self::Runtime { reason: limit::of_text(&reason).map_or(reason, str::to_owned) }
    }
}
