//! Accepting connections, and stopping.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Handle, Patience, converse, refuse_for_now};
use super::roll::Roll;

/// How long to wait where the system gives no further connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Something that serves connections until it is stopped.
pub struct Server {
    roll: Arc<Roll>,
    patience: Patience,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    pub fn new(most: usize, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            roll: Roll::new(most),
            patience,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Begins to serve what comes to a listener.
    pub fn serve(self: &Arc<Self>, listener: Listener, handle: impl Handle) {
        let server = self.clone();
        self.tasks.spawn(async move {
            let stopping = server.stopping.clone();
            let accept = async {
                loop {
                    server.accept(&listener, &handle).await;
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                () = accept => {}
            }
        });
    }

    async fn accept(&self, listener: &Listener, handle: &impl Handle) {
        let accepted = match listener {
            Listener::Unix(listener) => listener.accept().await.map(|(io, _)| self.begin_unix(io, handle)),
            Listener::Tcp(listener) => listener.accept().await.map(|(io, _)| self.begin_tcp(io, handle)),
        };
        if let Err(error) = accepted
            && !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
        {
            // For want of open files, which one that is idle gives back.
            let error = cofferdam::limit::explain(&error);
            tracing::warn!("a connection cannot be accepted: {error}");
            self.roll.make_room();
            sleep(PAUSE).await;
        }
    }

    fn begin_unix(&self, io: UnixStream, handle: &impl Handle) {
        self.begin(io, handle);
    }

    fn begin_tcp(&self, io: TcpStream, handle: &impl Handle) {
        // Answers are written at once.
        let _ = io.set_nodelay(true);
        self.begin(io, handle);
    }

    fn begin(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handle: &impl Handle) {
        match self.roll.enter() {
            Some(place) => {
                let talk = converse(io, handle.clone(), place, self.patience, self.stopping.clone());
                self.tasks.spawn(talk);
            }
            None => drop(self.tasks.spawn(refuse_for_now(io))),
        }
    }

    /// Accepts nothing more, and waits for the requests that are being answered. Says how many are not in time.
    pub async fn stop(&self, budget: Duration) -> usize {
        self.stopping.cancel();
        self.tasks.close();
        match timeout_at(Instant::now() + budget, self.tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => self.roll.busy().max(1),
        }
    }
}
