//! What operators see of a storage: probes, metrics and the page, over HTTP, while real things go wrong.

mod command;
mod deploy;
mod metrics;
mod page;
mod probes;
mod rig;
