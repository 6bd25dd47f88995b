//! A way to a server on which bytes can be held up.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Hands connections on to a port of 127.0.0.1, until it is dropped.
pub struct Path {
    pub port: u16,
    state: watch::Sender<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Connections that were opened.
    opened: u64,
    /// What clients send on connections up to this one stays on the way, and so do answers.
    held: u64,
}

impl Path {
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = watch::Sender::new(State::default());
        let watched = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                watched.send_modify(|state| state.opened += 1);
                let number = watched.borrow().opened;
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                    tokio::spawn(carry(client, server, number, watched.subscribe()));
                }
            }
        });
        Self { port, state, task }
    }

    /// Holds up what is sent on the connections that are open now; the server does not learn that a client left.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.held = state.opened);
    }

    /// Delivers what was held up.
    pub fn release(&self) {
        self.state.send_modify(|state| state.held = 0);
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: TcpStream, number: u64, mut state: watch::Receiver<State>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut answers = state.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            let passes = answers.wait_for(|state| state.held < number).await.is_ok();
            if !passes || to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
        let passes = state.wait_for(|state| state.held < number).await.is_ok();
        if !passes || to_server.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The end of the connection is held up as well.
    let _ = state.wait_for(|state| state.held < number).await;
}
