//! Metrics for Prometheus. Needs the feature `metrics`.
//!
//! Nothing is exported unless it is asked for: [`register`] adds a storage to a registry of yours, [`text`] writes its metrics
//! alone. Operations count themselves in histograms of a fixed size; everything else is asked for when it is read, so that no
//! memory grows where nobody does.
//!
//! Operations are named as OpenTelemetry names them (`db.client.operation.duration`, stable since its semantic conventions
//! 1.33); everything else begins with `cofferdam_`. [`METRICS`] lists all.

mod families;
mod list;

use std::fmt;
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;

use self::families::Families;
pub use self::list::{Kind, METRICS, Metric};
use crate::resilience::ResilientStorage;

/// The media type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Adds the metrics of a storage to a registry, for as long as the storage lives. They have no labels that tell two storages
/// apart: where one program has several, give each a registry, or a sub-registry with a label.
pub fn register(registry: &mut Registry, storage: &Arc<ResilientStorage>) {
    registry.register_collector(Box::new(OfStorage(Arc::downgrade(storage))));
}

/// The metrics of a storage in Prometheus' text format, as [`CONTENT_TYPE`] says.
pub fn text(storage: &Arc<ResilientStorage>) -> String {
    let mut registry = Registry::default();
    register(&mut registry, storage);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

struct OfStorage(Weak<ResilientStorage>);

impl fmt::Debug for OfStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfStorage")
    }
}

impl Collector for OfStorage {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        match self.0.upgrade() {
            Some(storage) => Families::new(encoder).all(&storage),
            None => Ok(()),
        }
    }
}
