//! Bytes on a socket: requests in a row, some of whose bytes are changed, in pieces.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::requests;
use super::rig::Rig;
use super::sent::Sent;

/// Far more than an answer takes.
const SOON: Duration = Duration::from_secs(20);

/// What a server may say to a client that is wrong.
const STATUSES: [&str; 11] = ["100", "200", "400", "404", "405", "406", "408", "413", "415", "431", "505"];

/// What one client sends, and where it is cut into pieces.
#[derive(Clone, Debug)]
pub struct Stream {
    bytes: Vec<u8>,
    pieces: usize,
}

/// Requests as they are sent, with some bytes changed, put in or left out.
pub fn stream() -> impl Strategy<Value = Stream> {
    let change = (any::<Index>(), prop::option::weighted(0.8, any::<u8>()), any::<bool>());
    (vec(requests::request(), 1..4), vec(change, 0..6), 1_usize..6).prop_map(|(requests, changes, pieces)| {
        let mut bytes = requests.iter().flat_map(written).collect::<Vec<_>>();
        for (at, byte, is_new) in changes {
            let at = at.index(bytes.len());
            match byte {
                Some(byte) if is_new => bytes.insert(at, byte),
                Some(byte) => bytes[at] = byte,
                None => drop(bytes.remove(at)),
            }
        }
        Stream { bytes, pieces }
    })
}

fn written(sent: &Sent) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", sent.method, sent.target).into_bytes();
    for (name, value) in &sent.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !sent.body.is_empty() && !sent.headers.iter().any(|(name, _)| *name == "content-length") {
        bytes.extend_from_slice(format!("content-length: {}\r\n", sent.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&sent.body);
    bytes
}

/// Sends them, and wants answers or the end of the connection, and a server that answers the next client.
pub async fn send(rig: &Rig, stream: &Stream) -> Result<(), TestCaseError> {
    let failed = |error: std::io::Error| TestCaseError::fail(error.to_string());
    let mut socket = UnixStream::connect(rig.socket()).await.map_err(failed)?;
    for piece in stream.bytes.chunks(stream.bytes.len().div_ceil(stream.pieces).max(1)) {
        // A server that has heard enough may have closed it.
        if socket.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let read = timeout(SOON, socket.read_to_end(&mut answer)).await;
    prop_assert!(read.is_ok(), "the connection hangs");
    let text = String::from_utf8_lossy(&answer);
    prop_assert!(text.is_empty() || text.starts_with("HTTP/1."), "{}", text);
    // Bodies have no line that begins like an answer.
    for line in text.lines().filter(|line| line.starts_with("HTTP/1.")) {
        let status = line.split(' ').nth(1).unwrap_or_default();
        prop_assert!(STATUSES.contains(&status), "{}", text);
    }
    let mut other = UnixStream::connect(rig.socket()).await.map_err(failed)?;
    other.write_all(b"GET /v1/health HTTP/1.1\r\nconnection: close\r\n\r\n").await.map_err(failed)?;
    let mut healthy = String::new();
    let read = timeout(SOON, other.read_to_string(&mut healthy)).await;
    prop_assert!(matches!(read, Ok(Ok(_))) && healthy.ends_with("{\"healthy\":true}"), "{}", healthy);
    Ok(())
}
