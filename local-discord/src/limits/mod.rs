//! Rate limits of REST.

mod headers;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::app::State;
use crate::faults::Scope;
use crate::record::{Rule, What};
use crate::wire::Switch;

pub(crate) use headers::{Limited, Standing};

/// The window of the global limit.
const GLOBAL_MS: u64 = 1_000;
/// The window in which invalid requests are counted.
const INVALID_MS: u64 = 600_000;

/// A request that comes so soon after an answer of 429 may have been on its way already, on another connection. When a client has
/// read an answer nobody knows here, and nobody does at Discord: there such a request is answered by another 429, as it is here, and
/// no client can help it. On the connection of the answer it was sent after the answer had been read: a route has no such grace
/// there.
const ON_ITS_WAY_MS: u64 = 200;

/// What REST has counted.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    buckets: HashMap<(String, String), Window>,
    global: Window,
    /// Of everything.
    pause: Option<Pause>,
    invalid: VecDeque<u64>,
    banned_until_ms: u64,
}

/// A window that begins with its first request.
#[derive(Debug, Default)]
struct Window {
    began_ms: u64,
    used: u32,
    pause: Option<Pause>,
}

/// A pause that an answer of 429 has asked for.
#[derive(Clone, Debug)]
struct Pause {
    since_ms: u64,
    until_ms: u64,
    /// The connection of that answer.
    told: Switch,
}

impl Window {
    /// Begins anew if it is over.
    fn turn(&mut self, now_ms: u64, window_ms: u64) {
        if self.used == 0 || now_ms.saturating_sub(self.began_ms) >= window_ms || now_ms < self.began_ms {
            self.began_ms = now_ms;
            self.used = 0;
        }
    }
}

/// What a request is counted against.
#[derive(Clone, Debug)]
pub(crate) struct Counted<'a> {
    /// The route, such as `POST /channels/{channel_id}/messages`.
    pub(crate) route: &'a str,
    /// The channel or guild.
    pub(crate) major: &'a str,
    /// The connection.
    pub(crate) switch: &'a Switch,
}

impl State {
    /// Whether the address is banned, and for how many more milliseconds.
    pub(crate) fn banned(&self) -> Option<u64> {
        self.rest.banned_until_ms.checked_sub(self.clock.now_ms()).filter(|left| *left > 0)
    }

    /// Counts a request against the global limit and its bucket, or refuses it.
    pub(crate) fn count(&mut self, counted: &Counted<'_>) -> Result<Standing, Limited> {
        let now_ms = self.clock.now_ms();
        let global = self.settings.limits.global;
        if let Some(pause) = self.rest.pause.clone().filter(|pause| now_ms < pause.until_ms) {
            // Requests on other routes may pass one that is reading the answer, whatever the connection.
            self.impatient(&pause, counted, false);
            return Err(Limited::new(Scope::Global, pause.until_ms - now_ms, None));
        }
        self.rest.global.turn(now_ms, GLOBAL_MS);
        if self.rest.global.used >= global {
            let left = (self.rest.global.began_ms + GLOBAL_MS).saturating_sub(now_ms).max(1);
            self.broken(Rule::Global, counted);
            return Err(Limited::new(Scope::Global, left, None));
        }
        self.rest.global.used += 1;

        let (limit, window_ms) = self.bucket(counted.route);
        let bucket = self.rest.buckets.entry((counted.route.to_owned(), counted.major.to_owned())).or_default();
        bucket.turn(now_ms, window_ms);
        let left = (bucket.began_ms + window_ms).saturating_sub(now_ms);
        let pause = bucket.pause.clone().filter(|pause| now_ms < pause.until_ms);
        let mut standing =
            Standing { limit, remaining: 0, reset_ms: now_ms + left, after_ms: left, bucket: hash(counted.route) };
        if let Some(pause) = pause {
            self.impatient(&pause, counted, pause.told.is(counted.switch));
            return Err(Limited::new(Scope::User, pause.until_ms - now_ms, Some(standing)));
        }
        if bucket.used >= limit {
            self.broken(Rule::Bucket, counted);
            return Err(Limited::new(Scope::User, left.max(1), Some(standing)));
        }
        bucket.used += 1;
        standing.remaining = limit - bucket.used;
        Ok(standing)
    }

    /// An answer says to wait, and requests that do not are counted as such. Tells how the bucket stands, if it is about one.
    pub(crate) fn pause(&mut self, counted: &Counted<'_>, scope: Scope, wait_ms: u64) -> Option<Standing> {
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms + wait_ms;
        let pause = Some(Pause { since_ms: now_ms, until_ms, told: counted.switch.clone() });
        if scope == Scope::Global {
            self.rest.pause = pause;
            return None;
        }
        let (limit, _) = self.bucket(counted.route);
        let bucket = (counted.route.to_owned(), counted.major.to_owned());
        self.rest.buckets.entry(bucket).or_default().pause = pause;
        Some(Standing { limit, remaining: 0, reset_ms: until_ms, after_ms: wait_ms, bucket: hash(counted.route) })
    }

    /// Counts an answer that Discord calls invalid: 401, 403, or 429 but of the scope `shared`.
    pub(crate) fn count_invalid(&mut self) {
        let now_ms = self.clock.now_ms();
        let invalid = &mut self.rest.invalid;
        while invalid.front().is_some_and(|at| now_ms.saturating_sub(*at) >= INVALID_MS) {
            invalid.pop_front();
        }
        invalid.push_back(now_ms);
        if invalid.len() >= usize::try_from(self.settings.limits.invalid_requests).unwrap_or(usize::MAX) {
            invalid.clear();
            let ban = self.settings.limits.ban;
            self.rest.banned_until_ms = now_ms + u64::try_from(ban.as_millis()).unwrap_or(u64::MAX);
            let rule = Rule::InvalidRequests;
            self.record.add(now_ms, What::Broken { rule, detail: format!("banned for {ban:?}") });
        }
    }

    /// A request came during a pause, of which its client may know.
    fn impatient(&mut self, pause: &Pause, counted: &Counted<'_>, knows: bool) {
        if knows || self.clock.now_ms().saturating_sub(pause.since_ms) >= ON_ITS_WAY_MS {
            self.broken(Rule::Pause, counted);
        }
    }

    fn broken(&mut self, rule: Rule, counted: &Counted<'_>) {
        let detail = format!("{} of {}", counted.route, counted.major);
        self.record.add(self.clock.now_ms(), What::Broken { rule, detail });
    }

    /// The limit of a route and its window in milliseconds.
    fn bucket(&self, route: &str) -> (u32, u64) {
        let limits = &self.settings.limits;
        let named = limits.buckets.iter().find(|bucket| bucket.route == route);
        let (limit, window) = named.map_or(limits.bucket, |bucket| (bucket.limit, bucket.window));
        (limit, u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The name of a bucket, which says nothing.
fn hash(route: &str) -> String {
    let mut hasher = DefaultHasher::new();
    route.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
