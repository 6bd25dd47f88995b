//! The protocol as a client sees it: a raw socket and raw requests, and then twilight's clients.

mod client;
mod driver;
mod entering;
mod faults;
mod limits;
mod openapi;
mod routes;
mod sessions;
mod twilight;
