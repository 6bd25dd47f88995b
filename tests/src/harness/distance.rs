//! A network that takes time: whatever the server says arrives a round trip later.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A way to a server on this machine as if it were further away. On threads, since the timers of an asynchronous runtime count
/// milliseconds. Connections that are open when this is dropped go on until one of their ends closes them.
pub struct Distance {
    port: u16,
    is_over: Arc<AtomicBool>,
}

impl Distance {
    /// A way to this port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub fn to(server: u16, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port for a network")?;
        let port = listener.local_addr()?.port();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        thread::spawn(move || {
            for client in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(client) = client {
                    thread::spawn(move || carry(client, server, round_trip));
                }
            }
        });
        Ok(Self { port, is_over })
    }

    /// The port on 127.0.0.1 at which it begins.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the one who listens.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// One connection from its beginning to its end. Where either side is gone the other one is told.
fn carry(mut client: TcpStream, server: u16, round_trip: Duration) -> std::io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asks, mut asked) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut asks, &mut asked);
        let _ = asked.shutdown(Shutdown::Both);
    });
    let (sender, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = server.read(&mut buffer)
            && sender.send((Instant::now() + round_trip, buffer[..count].to_vec())).is_ok()
        {}
    });
    for (due, bytes) in arriving {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if client.write_all(&bytes).is_err() {
            break;
        }
    }
    client.shutdown(Shutdown::Both)
}
