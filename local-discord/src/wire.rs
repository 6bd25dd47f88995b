//! Connections that can be cut in the middle of a frame.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Cuts all connections there are; later ones are not affected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mains {
    token: Arc<Mutex<CancellationToken>>,
}

impl Mains {
    pub(crate) fn cut(&self) {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *token).cancel();
    }

    fn switch(&self) -> Switch {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        Switch { token: token.child_token(), left: Arc::new(AtomicU64::new(u64::MAX)) }
    }
}

/// Accepts connections, each with a switch.
pub(crate) struct Lines {
    listener: TcpListener,
    mains: Mains,
}

/// Cuts one connection, now or after some more bytes.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    token: CancellationToken,
    left: Arc<AtomicU64>,
}

impl Switch {
    /// Whether both are of the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.left, &other.left)
    }

    /// Ends the connection without a word.
    pub(crate) fn cut(&self) {
        self.token.cancel();
    }

    /// Ends the connection after `bytes` more bytes were written.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Release);
    }
}

impl Listener for Lines {
    type Io = Line;
    type Addr = Switch;

    async fn accept(&mut self) -> (Line, Switch) {
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    // Frames are small, and whoever waits for one is a test.
                    let _ = socket.set_nodelay(true);
                    let switch = self.mains.switch();
                    let cut = Box::pin(switch.token.clone().cancelled_owned());
                    return (Line { socket, switch: switch.clone(), cut }, switch);
                }
                // Out of files, mostly: a connection that ends makes room.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Switch> {
        Ok(self.mains.switch())
    }
}

impl Connected<IncomingStream<'_, Lines>> for Switch {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A TCP connection with a switch.
pub(crate) struct Line {
    socket: TcpStream,
    switch: Switch,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let left = self.switch.left.load(Ordering::Acquire);
        if left == 0 {
            self.switch.cut();
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let written = std::task::ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[..allowed]))?;
        if left != u64::MAX {
            self.switch.left.store(left - written as u64, Ordering::Release);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Listens on `address`.
pub(crate) async fn listen(address: SocketAddr, mains: Mains) -> io::Result<(Lines, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((Lines { listener, mains }, address))
}
