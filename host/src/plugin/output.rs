use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::threads::lock;

/// The longest line that reaches the log, in bytes; a longer one is cut into pieces.
const LINE: usize = 1024;

/// What a guest prints, on its way to the log: whole lines, no more bytes in one operation than its limit.
pub(super) struct Output {
    backend: Arc<str>,
    limit: usize,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    line: Vec<u8>,
    written: usize,
    dropped: usize,
}

impl Output {
    pub(super) fn new(backend: Arc<str>, limit: usize) -> Self {
        Self { backend, limit, pending: Mutex::default() }
    }

    fn write(&self, bytes: &[u8]) {
        let mut pending = lock(&self.pending);
        let room = self.limit.saturating_sub(pending.written);
        let (kept, dropped) = bytes.split_at(bytes.len().min(room));
        pending.written += kept.len();
        pending.dropped += dropped.len();
        for &byte in kept {
            if byte != b'\n' {
                pending.line.push(byte);
            }
            if byte == b'\n' || pending.line.len() == LINE {
                self.emit(&mut pending.line);
            }
        }
    }

    /// Ends an operation: what is left goes to the log, and the next one may print anew.
    pub(super) fn flush(&self) {
        let mut pending = lock(&self.pending);
        self.emit(&mut pending.line);
        if pending.dropped > 0 {
            tracing::warn!(
                backend = &*self.backend,
                bytes = pending.dropped,
                "dropped output of the plugin over its limit"
            );
        }
        pending.written = 0;
        pending.dropped = 0;
    }

    fn emit(&self, line: &mut Vec<u8>) {
        if !line.is_empty() {
            // Escaped, so that a guest cannot forge lines of the log or speak to a terminal.
            tracing::info!(backend = &*self.backend, "plugin printed: {}", line.escape_ascii());
            line.clear();
        }
    }
}

/// One of a guest's standard streams.
pub(super) struct Stream(Arc<Output>);

impl Stream {
    pub(super) fn new(output: Arc<Output>) -> Self {
        Self(output)
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Self(self.0.clone()))
    }

    fn p2_stream(&self) -> Box<dyn wasmtime_wasi::p2::OutputStream> {
        Box::new(Self(self.0.clone()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl wasmtime_wasi::p2::Pollable for Stream {
    async fn ready(&mut self) {}
}

impl wasmtime_wasi::p2::OutputStream for Stream {
    fn write(&mut self, bytes: bytes::Bytes) -> wasmtime_wasi::p2::StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> wasmtime_wasi::p2::StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> wasmtime_wasi::p2::StreamResult<usize> {
        Ok(LINE)
    }
}
