//! What a supervisor such as systemd is told, if it asks for that with `NOTIFY_SOCKET`.

use sd_notify::NotifyState;

/// Tells that the program has started, and if there is something to add, what it does.
pub fn ready(status: Option<&str>) {
    let status = status.map(NotifyState::Status);
    tell(&[Some(NotifyState::Ready), status].into_iter().flatten().collect::<Vec<_>>());
}

/// Tells that the program ends, and what it still does.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the supervisor at NOTIFY_SOCKET cannot be told: {error}");
    }
}
