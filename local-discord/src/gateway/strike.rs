//! What faults do to a connection.

use serde_json::Value;

use super::connection::{Connection, End, Then};
use crate::faults::{Act, Moment};
use crate::id::Id;
use crate::record::What;

impl Connection {
    /// Does what faults do to a connection.
    pub(super) async fn strike(
        &mut self,
        acts: Vec<Act>,
        at: &Moment,
        channel: Option<Id>,
        what: &str,
    ) -> Result<Then, End> {
        let entering = matches!(at, Moment::Identify | Moment::Resume);
        let mut then = Then::Go;
        for act in acts {
            match act {
                Act::Close(code) => return Err(End::Server(code)),
                Act::Cut => return Err(End::Cut),
                Act::Hold => self.hold(at.clone(), channel, what).await?,
                Act::Reconnect => {
                    self.send(7, Value::Null).await?;
                    if entering {
                        then = Then::Stop;
                    }
                }
                Act::InvalidSession { resumable } => {
                    self.invalid(resumable).await?;
                    then = Then::Stop;
                }
                _ => {}
            }
        }
        Ok(then)
    }

    /// Waits until released, unless the client goes away.
    async fn hold(&mut self, at: Moment, channel: Option<Id>, what: &str) -> Result<(), End> {
        let holds = self.app.holds.clone();
        let mut held = std::pin::pin!(holds.hold(at, channel, what.to_owned()));
        loop {
            tokio::select! {
                () = &mut held => return Ok(()),
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.pending.push_back(message),
                    _ => return Err(End::Lost),
                },
            }
        }
    }

    /// Calls the session invalid. The connection stays, and the client may identify or resume on it.
    pub(super) async fn invalid(&mut self, resumable: bool) -> Result<(), End> {
        let session = self.session.take();
        {
            let mut state = self.app.lock();
            let now_ms = state.clock.now_ms();
            state.record.add(now_ms, What::Invalid { resumable });
            if let Some(id) = session {
                state.gateway.leave(&id, self.number, !resumable, now_ms);
            }
        }
        self.send(9, resumable.into()).await
    }
}
