//! What operators see of a storage: probes, metrics and the page, over HTTP, while real things go wrong.

mod collector;
mod command;
mod deploy;
mod kubelet;
mod memory;
mod metrics;
mod page;
mod parts;
mod probes;
mod rig;
mod traces;
