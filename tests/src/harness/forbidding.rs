//! A proxy in front of a MySQL server that answers some statements with an error of its own, as servers do that forbid or lack
//! what others have. Everything else passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a server says to a statement that it does not let pass.
#[derive(Clone, Debug)]
pub struct Forbidden {
    /// A word of the statement, in capitals.
    pub word: &'static str,
    /// The error's number.
    pub code: u16,
    /// Its five characters.
    pub sqlstate: &'static str,
    /// Its words.
    pub message: &'static str,
}

/// The proxy. It ends, with all of its connections, when this is dropped.
pub struct ForbiddingProxy {
    port: u16,
    refusals: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl ForbiddingProxy {
    /// A proxy on a free port of 127.0.0.1 in front of a server on another.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub async fn start(server: u16, forbidden: Forbidden) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port for a proxy")?;
        let port = listener.local_addr()?.port();
        let refusals = Arc::new(AtomicUsize::new(0));
        let count = refusals.clone();
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server, forbidden.clone(), count.clone()));
            }
        });
        Ok(Self { port, refusals, listening })
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many statements were answered with the error.
    pub fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }
}

impl Drop for ForbiddingProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The commands of the protocol whose text is a statement: a query, and one to be prepared.
const WITH_TEXT: [u8; 2] = [0x03, 0x16];

async fn carry(client: TcpStream, server: u16, forbidden: Forbidden, refusals: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let answers = to_client.clone();
    let backwards = async move {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if answers.lock().await.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    let forwards = async {
        while let Some((sequence, packet)) = read_packet(&mut from_client).await {
            let command = packet.get(4).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(&packet).to_uppercase();
            if sequence == 0 && WITH_TEXT.contains(&command) && text.contains(forbidden.word) {
                refusals.fetch_add(1, Ordering::Relaxed);
                if to_client.lock().await.write_all(&error_packet(&forbidden)).await.is_err() {
                    break;
                }
            } else if to_server.write_all(&packet).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = backwards => {}
        () = forwards => {}
    }
}

/// A packet with its header: three bytes of length, one of its place in the exchange.
async fn read_packet(from: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet).await.ok()?;
    let length = u64::from(u32::from_le_bytes([packet[0], packet[1], packet[2], 0]));
    let sequence = packet[3];
    copy(&mut from.take(length), &mut packet).await.ok()?;
    Some((sequence, packet))
}

fn error_packet(forbidden: &Forbidden) -> Vec<u8> {
    let mut body = vec![0xff];
    body.extend(forbidden.code.to_le_bytes());
    body.push(b'#');
    body.extend(forbidden.sqlstate.as_bytes());
    body.extend(forbidden.message.as_bytes());
    let length = u32::try_from(body.len()).unwrap_or_default().to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], 1];
    packet.extend(body);
    packet
}
