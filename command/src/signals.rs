//! The signals that end the command.

use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGINT, SIGTERM, SIGHUP and SIGXCPU, from now on.
pub struct Signals(Vec<(SignalKind, Signal)>);

impl Signals {
    pub fn listen() -> Result<Self, Failure> {
        let mut kinds = vec![
            SignalKind::interrupt(),
            SignalKind::terminate(),
            // Of a limit on processor time.
            SignalKind::from_raw(libc::SIGXCPU),
        ];
        // As `nohup` has it, which is to be left so.
        if !is_ignored(libc::SIGHUP) {
            kinds.push(SignalKind::hangup());
        }
        let listen = |kind| match signal(kind) {
            Ok(signal) => Ok((kind, signal)),
            Err(error) => Err(Failure::from(error).while_doing("signals cannot be handled")),
        };
        kinds.into_iter().map(listen).collect::<Result<_, _>>().map(Self)
    }

    /// Does this work. A signal drops its future, which cancels its operations and removes what it made.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            result = work => result,
            failure = self.next() => Err(failure),
        }
    }

    /// Takes SIGHUP out, for a command that does not end with it; nothing where it is to be ignored.
    pub fn take_hangup(&mut self) -> Option<Signal> {
        let at = self.0.iter().position(|(kind, _)| *kind == SignalKind::hangup())?;
        Some(self.0.swap_remove(at).1)
    }

    /// Waits for a signal, and makes it the end of the command.
    pub async fn next(&mut self) -> Failure {
        let kind = std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*kind);
                }
            }
            Poll::Pending
        });
        Failure::signal(kind.await)
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: without a new action `sigaction` only writes the old one, into a struct for which zeros are valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
