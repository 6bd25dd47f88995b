//! `cofferdam serve` as clients in any language meet it: the real command, real sockets.

mod access;
mod attacks;
mod clients;
mod databases;
mod inputs;
mod outages;
mod rig;
mod routes;
mod schemathesis;
mod signals;
mod sockets;
mod streams;
