//! What a supervisor such as systemd is told, if it asks for that with `NOTIFY_SOCKET`.

use sd_notify::NotifyState;

/// That it has started. Discord and the database may be away: the status page tells.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// That it ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in hand")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the supervisor at NOTIFY_SOCKET cannot be told: {error}");
    }
}
