use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::component::{Component, Linker};

use super::cache::Cache;
use super::engine::{Engine, Processors};
use super::error::PluginError;
use super::inspect::Contents;
use super::state::HostState;
use crate::limit;
use crate::wall::bindings::{PluginPre, sql};
use crate::wall::bridge::HasSql;

/// Components that this process loaded from the cache, and compiled.
static LOADS: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

/// How many components this process has loaded from the cache, and how many it has compiled.
#[cfg(feature = "metrics")]
pub(crate) fn loads() -> (u64, u64) {
    (LOADS.0.load(Ordering::Relaxed), LOADS.1.load(Ordering::Relaxed))
}

/// Compiles and links a component, in this order.
pub(super) fn compile(
    engine: &Engine,
    contents: &Contents,
    cache: Option<&Path>,
    processors: Processors,
) -> Result<PluginPre<HostState>, PluginError> {
    let component = code(engine, contents, cache, processors)?;
    let incompatible = |error: wasmtime::Error| PluginError::Incompatible {
        origin: contents.inspection.origin.clone(),
        reason: cause(&error),
    };
    let instance = linker(engine)?.instantiate_pre(&component).map_err(incompatible)?;
    PluginPre::new(instance).map_err(incompatible)
}

fn code(
    engine: &Engine,
    Contents { inspection, bytes }: &Contents,
    cache: Option<&Path>,
    processors: Processors,
) -> Result<Component, PluginError> {
    let cache = cache.and_then(|folder| {
        let unusable = |error: &std::io::Error| {
            tracing::warn!(folder = %folder.display(), %error, "cannot cache compiled code: set COFFERDAM_CACHE");
        };
        Cache::open(folder).inspect_err(unusable).ok()
    });
    if let Some(component) = cache.as_ref().and_then(|cache| cache.load(engine, &inspection.sha256)) {
        LOADS.0.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(plugin = %inspection.origin, "loaded compiled code from the cache");
        return Ok(component);
    }
    let component = engine.compile(bytes, processors).map_err(|error| match limit::of_text(&format!("{error:#}")) {
        Some(limit) => PluginError::Runtime { reason: limit.to_owned() },
        None => PluginError::Compile { origin: inspection.origin.clone(), reason: cause(&error) },
    })?;
    LOADS.1.fetch_add(1, Ordering::Relaxed);
    if let Some(cache) = cache
        && let Err(error) = cache.store(engine, &inspection.sha256, &component)
    {
        tracing::warn!(%error, "cannot cache compiled code: the next start compiles again");
    }
    Ok(component)
}

fn linker(engine: &Engine) -> Result<Linker<HostState>, PluginError> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(PluginError::engine)?;
    sql::add_to_linker::<_, HasSql>(&mut linker, HostState::sql).map_err(PluginError::engine)?;
    Ok(linker)
}

/// The innermost reason of an error, which is the one that names what is wrong.
fn cause(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}
