//! Faults by seed.

use serde::{Deserialize, Serialize};

use super::{Act, Moment, Scope};

/// Random faults; the same seed and the same moments give the same faults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// The seed.
    pub seed: u64,
    /// The share of the gateway's moments with a fault, from 0 to 1.
    pub gateway: f64,
    /// The share of REST's moments with a fault, from 0 to 1.
    pub rest: f64,
}

#[derive(Debug)]
pub(super) struct Weather {
    storm: Storm,
    random: fastrand::Rng,
}

impl Weather {
    pub(super) fn new(storm: Storm) -> Self {
        Self { storm, random: fastrand::Rng::with_seed(storm.seed) }
    }

    /// The fault of this moment, if there is one.
    pub(super) fn strike(&mut self, moment: &Moment) -> Option<Act> {
        let rest = matches!(moment, Moment::Request(_) | Moment::Answer(_));
        let share = if rest { self.storm.rest } else { self.storm.gateway };
        if self.random.f64() >= share {
            return None;
        }
        let invalid = Act::InvalidSession { resumable: self.random.bool() };
        let acts = match moment {
            Moment::Connect => vec![Act::Cut, Act::Reconnect, Act::Close(4000)],
            Moment::Identify => vec![Act::Cut, Act::Close(4000), Act::InvalidSession { resumable: false }],
            Moment::Resume => vec![Act::Cut, Act::Close(4000), Act::InvalidSession { resumable: false }],
            Moment::Heartbeat => vec![Act::Withhold, Act::Reconnect, Act::Close(4000), Act::Cut],
            Moment::Event(name) if name == "READY" || name == "RESUMED" => vec![Act::Cut, Act::Close(4000)],
            Moment::Event(_) => vec![Act::Twice, Act::Late, Act::Cut, Act::Close(4000), Act::Reconnect, invalid],
            Moment::Request(route) => {
                let limit = |scope| Act::RateLimit { scope, retry_after: 0.5 };
                let mut acts = vec![Act::Status(500), Act::Status(503), Act::Cut, Act::Slow(300)];
                acts.extend([limit(Scope::User), limit(Scope::Global), limit(Scope::Shared)]);
                if route == "GET /channels/{channel_id}/messages" {
                    acts.extend([Act::Stale(2_000), Act::Stale(2_000)]);
                }
                acts
            }
            Moment::Answer(_) => vec![Act::Status(502), Act::Status(504), Act::Cut, Act::Slow(300)],
        };
        let place = self.random.usize(..acts.len());
        acts.into_iter().nth(place)
    }
}
