//! What a supervisor such as systemd is told, if it asks for that with `NOTIFY_SOCKET`.

use sd_notify::NotifyState;

/// That requests are answered from now on.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// That it ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing requests")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the supervisor at NOTIFY_SOCKET cannot be told: {error}");
    }
}
