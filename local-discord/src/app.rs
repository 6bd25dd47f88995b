//! What handlers and connections share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::faults::{Faults, Holds};
use crate::gateway::Gateway;
use crate::limits::Rest;
use crate::record::Record;
use crate::report::Questions;
use crate::settings::Settings;
use crate::wire::Mains;
use crate::world::World;

/// One local Discord.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) settings: Arc<Settings>,
    pub(crate) holds: Holds,
    pub(crate) mains: Mains,
    state: Arc<Mutex<State>>,
}

/// What changes. The lock is never held while somebody waits.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) settings: Arc<Settings>,
    pub(crate) world: World,
    pub(crate) gateway: Gateway,
    pub(crate) rest: Rest,
    pub(crate) faults: Faults,
    pub(crate) record: Record,
    pub(crate) questions: Questions,
}

impl App {
    pub(crate) fn new(settings: Settings, address: SocketAddr, mains: Mains) -> Self {
        let clock = settings.time.clone();
        let settings = Arc::new(settings);
        let state = State {
            clock: clock.clone(),
            world: World::new(&settings.bot, clock.now_ms()),
            gateway: Gateway::default(),
            rest: Rest::default(),
            faults: Faults::default(),
            record: Record::default(),
            questions: Questions::default(),
            settings: settings.clone(),
        };
        Self { address, clock, settings, holds: Holds::default(), mains, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens by itself: late events come, and quiet threads are archived.
    pub(crate) async fn caretake(self) {
        loop {
            self.clock.sleep(Duration::from_millis(500)).await;
            let mut state = self.lock();
            let now_ms = state.clock.now_ms();
            if state.gateway.late_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= 1_000) {
                state.release_late(|_| true);
            }
            state.archive_quiet_threads();
        }
    }
}
