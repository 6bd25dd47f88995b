//! What the tests of this folder share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_tests::harness::command::{bot, cofferdam};
use cofferdam_tests::harness::container::Image;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// For what happens by itself: far more than it takes, also to a container that compiles first.
pub const SOON: Duration = Duration::from_secs(30);

/// A file or folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file or folder of `deploy/`.
pub fn deploy(path: &str) -> PathBuf {
    repository("deploy").join(path)
}

/// Whether the bot itself reads this variable, and not its storage.
pub fn is_of_the_bot(name: &str) -> Result<bool> {
    for file in ["bot/src/arguments.rs", "bot/src/token.rs"] {
        if std::fs::read_to_string(repository(file))?.contains(&format!("\"{name}\"")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The image of the command, with the command that was built for the tests, and the libraries of this machine.
pub fn image() -> Result<Image> {
    image_of("cofferdam")
}

/// The image of the bot, in the same way.
pub fn image_of_bot() -> Result<Image> {
    image_of("bot")
}

fn image_of(stage: &str) -> Result<Image> {
    let (command, bot) = (cofferdam()?, bot()?);
    let image = Image::build(&deploy("Dockerfile"), stage, &[("cofferdam", &command), ("cofferdam-bot", &bot)])?;
    image.add_libraries()?;
    Ok(image)
}

/// The status of an answer to a probe.
pub async fn probe(place: &str, path: &str) -> Result<u16> {
    let stream = TcpStream::connect(place.trim_start_matches("http://")).await?;
    exchange(stream, &format!("GET {path} HTTP/1.1\r\nHost: probes\r\nConnection: close\r\n\r\n")).await
}

/// Puts a document through a socket of `serve`, and gives the status of the answer.
pub async fn put(socket: &Path, path: &str, document: &str) -> Result<u16> {
    let head = format!("PUT {path} HTTP/1.1\r\nHost: bot\r\nConnection: close\r\nContent-Type: application/json");
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{document}", document.len());
    exchange(UnixStream::connect(socket).await?, &request).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<u16> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).context("no status")?.parse()?)
}
