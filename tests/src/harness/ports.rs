//! TCP ports for those who leave theirs for a while and come back.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

/// So many ports on 127.0.0.1 that nobody listens on. Nobody of this process takes one while its server is away either: each is given
/// once, and they are below those that a system gives to whoever asks for any (32768 and more, `net.ipv4.ip_local_port_range`).
///
/// # Errors
///
/// So many are not free.
pub(super) fn free(count: usize) -> Result<Vec<u16>> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ports = Vec::new();
    while ports.len() < count {
        ensure!(given.len() < 20_000, "there is no free port below 32000");
        let port = fastrand::u16(10_000..32_000);
        if given.insert(port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    Ok(ports)
}
