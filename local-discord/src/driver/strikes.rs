//! Faults, and what happens to all connections.

use super::Discord;
use crate::error::Result;
use crate::faults::{Fault, Held, Storm};
use crate::gateway::session::Out;

impl Discord {
    /// Adds a fault to the script.
    ///
    /// # Errors
    ///
    /// [`Error::Fault`](crate::Error::Fault) if it would never do anything.
    pub fn script(&self, fault: Fault) -> Result<()> {
        fault.check()?;
        self.app.lock().faults.add(fault);
        Ok(())
    }

    /// Begins random faults.
    pub fn storm(&self, storm: Storm) {
        self.app.lock().faults.set_storm(storm);
    }

    /// Ends the script and the storm, and releases what is held.
    pub fn calm(&self) {
        self.app.lock().faults.clear();
        self.app.holds.release_all();
    }

    /// Waits until a fault holds something, and says what.
    pub async fn held(&self) -> Held {
        self.app.holds.wait().await
    }

    /// What is held now.
    pub fn holding(&self) -> Vec<Held> {
        self.app.holds.list()
    }

    /// Lets something that is held go on.
    pub fn release(&self, held: u64) {
        self.app.holds.release(held);
    }

    /// Closes all connections to the gateway with a code.
    pub fn close_connections(&self, code: u16) {
        self.app.lock().gateway.tell(|| Out::Close(code));
    }

    /// Cuts all TCP connections, those of REST too.
    pub fn cut_connections(&self) {
        self.app.mains.cut();
    }

    /// Asks all clients to reconnect.
    pub fn reconnect(&self) {
        self.app.lock().gateway.tell(|| Out::Reconnect);
    }

    /// Calls all sessions invalid.
    pub fn invalidate_sessions(&self, resumable: bool) {
        self.app.lock().gateway.tell(|| Out::InvalidSession { resumable });
    }

    /// Asks all clients for a heartbeat at once.
    pub fn ask_heartbeats(&self) {
        self.app.lock().gateway.tell(|| Out::AskHeartbeat);
    }
}
