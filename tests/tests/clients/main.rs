//! The clients of `clients/`, over `cofferdam serve`: what their operations mean, and what they do in trouble.

mod conformance;
mod connections;
mod rig;
mod trouble;
