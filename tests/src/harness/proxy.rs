//! A TCP proxy that misbehaves on request.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::ports;

/// What the proxy does with connections: those that are open, and those to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hands everything on.
    Pass,
    /// Hands everything on, each piece this much later.
    Delay(Duration),
    /// Aborts (RST) every connection, and those to come once they are accepted.
    Reset,
    /// Accepts, reads, and says nothing more in either direction. A connection that was swallowed once stays so, and
    /// the server does not learn that the client left until the mode changes.
    Swallow,
    /// Closes each connection after so many more bytes of this direction.
    Cut {
        /// The direction in which bytes are counted.
        direction: Direction,
        /// Bytes of it that still pass.
        after: usize,
    },
    /// Keeps on the way what is sent on connections up to this one, in both directions and with their end, and hands it
    /// on when the mode changes. See [`Proxy::hold`].
    Hold(u64),
    /// As a server that is not there: aborts every connection, and the port refuses new ones.
    Refuse,
}

impl Mode {
    fn holds(self, connection: u64) -> bool {
        matches!(self, Self::Hold(last) if connection <= last)
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A proxy in front of one server. It ends, with all of its connections, when this is dropped.
pub struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    opened: Arc<AtomicU64>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// A proxy on a free port of 127.0.0.1 in front of a server on another, in [`Mode::Pass`].
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub fn start(server: u16) -> Result<Self> {
        let port = ports::free(1)?[0];
        let listener = listen(port).context("no free port for a proxy")?;
        let (mode, changes) = watch::channel(Mode::Pass);
        let opened = Arc::<AtomicU64>::default();
        let listening = tokio::spawn(serve(port, listener, server, changes, opened.clone()));
        Ok(Self { port, mode, opened, listening })
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections clients have opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Does something else from now on.
    pub fn switch(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Holds up what is sent on the connections that are open now, until the mode changes; the server does not learn that a
    /// client left.
    pub fn hold(&self) {
        self.switch(Mode::Hold(self.opened.load(Ordering::Relaxed)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // The port is taken again after a time of refusing, while connections of before may still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(1024)
}

async fn serve(port: u16, listener: TcpListener, server: u16, mut mode: watch::Receiver<Mode>, opened: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        if *mode.borrow_and_update() == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = listen(port).ok();
        }
        tokio::select! {
            client = accept(listener.as_ref()) => {
                let number = opened.fetch_add(1, Ordering::Relaxed) + 1;
                connections.spawn(carry(client, server, number, mode.clone()));
            }
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => loop {
            if let Ok((client, _)) = listener.accept().await {
                return client;
            }
        },
        None => pending().await,
    }
}

/// One connection from its beginning to its end.
async fn carry(mut client: TcpStream, server: u16, number: u64, mut mode: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return abort([client]) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let aborted = {
        let swallowed = AtomicBool::new(false);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut watched = mode.clone();
        tokio::select! {
            () = hand_on(from_client, to_server, Direction::ToServer, number, mode.clone(), &swallowed) => false,
            () = hand_on(from_server, to_client, Direction::ToClient, number, mode.clone(), &swallowed) => false,
            _ = watched.wait_for(|mode| matches!(mode, Mode::Reset | Mode::Refuse)) => true,
        }
    };
    if aborted {
        return abort([client, server]);
    }
    // A network that swallows or holds does not tell the one end that the other is gone.
    let _ = mode.wait_for(|mode| *mode != Mode::Swallow && !mode.holds(number)).await;
}

fn abort<const N: usize>(connections: [TcpStream; N]) {
    for connection in connections {
        // Closing then sends RST instead of FIN.
        let _ = connection.set_zero_linger();
    }
}

/// Hands one direction on until its end, or until the connection is to be closed.
async fn hand_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    number: u64,
    mut mode: watch::Receiver<Mode>,
    swallowed: &AtomicBool,
) {
    let mut buffer = vec![0; 16 << 10];
    let mut passed = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if mode.has_changed().unwrap_or(false) {
            passed = 0;
        }
        let now = match mode.wait_for(|mode| !mode.holds(number)).await {
            Ok(mode) => *mode,
            Err(_) => return,
        };
        let mut piece = &buffer[..count];
        match now {
            Mode::Swallow => swallowed.store(true, Ordering::Relaxed),
            Mode::Delay(delay) => tokio::time::sleep(delay).await,
            _ => {}
        }
        if swallowed.load(Ordering::Relaxed) {
            continue;
        }
        let mut cut = false;
        if let Mode::Cut { direction: cut_direction, after } = now
            && cut_direction == direction
        {
            passed += count;
            cut = passed >= after;
            piece = &piece[..count - passed.saturating_sub(after).min(count)];
        }
        if to.write_all(piece).await.is_err() || cut {
            return;
        }
    }
}
