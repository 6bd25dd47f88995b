//! What is in `deploy/` and `docs/`: it is valid, names only what exists, and does what it says.

mod compose;
mod conversation;
mod image;
mod kubernetes;
mod manifests;
mod packages;
mod pod;
mod pods;
mod rig;
mod site;
