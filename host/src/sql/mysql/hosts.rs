//! The servers of a pool, and what is remembered of each.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::family::Family;
use crate::config::{HostPolicy, HostPort, MysqlConfig};
use crate::threads::lock;

/// How long a server that failed is tried last. One that hangs costs an operation its share of the deadline, so this is
/// longer than the usual operation's deadline of five seconds; and it is short enough that the preferred server has
/// connections again soon after it is well.
const TRIED_LAST_FOR: Duration = Duration::from_secs(10);

/// The servers of a pool.
pub(super) struct Hosts {
    all: Vec<Arc<Host>>,
    policy: HostPolicy,
    turn: AtomicUsize,
    names: String,
}

/// One server.
pub(super) struct Host {
    /// Its place in the configuration.
    pub index: usize,
    /// Where it listens.
    pub place: HostPort,
    /// The same as a text, for messages.
    pub address: String,
    /// In the mode `preferred`: whether it offers no encryption.
    pub is_plain: AtomicBool,
    /// In the mode `verify-ca`: a name that its certificate holds.
    name: Mutex<Option<String>>,
    /// As its last connection found it.
    family: Mutex<Option<Family>>,
    /// Of several addresses of its name, the one that answered last.
    answering: Mutex<Option<IpAddr>>,
    /// Variables of a session that it does not let be set.
    skipped: Mutex<Vec<&'static str>>,
    made: Instant,
    failed: Moment,
    distrusted: Moment,
    answered: Moment,
    /// In nanoseconds.
    round_trip: AtomicU64,
}

impl Hosts {
    pub fn new(config: &MysqlConfig) -> Self {
        let all: Vec<_> =
            config.hosts.iter().enumerate().map(|(index, place)| Arc::new(Host::new(index, place))).collect();
        let names: Vec<_> = all.iter().map(|host| host.address.as_str()).collect();
        let names = names.join(", ");
        Self { all, policy: config.host_policy, turn: AtomicUsize::new(0), names }
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// All addresses, for messages.
    pub fn names(&self) -> &str {
        &self.names
    }

    /// The server at this place in the configuration.
    pub fn at(&self, index: usize) -> Option<&Arc<Host>> {
        self.all.get(index)
    }

    /// In which order a new connection tries them: as the policy says, and those that failed a short while ago last, the
    /// one that failed most recently after all others.
    pub fn in_turn(&self) -> Vec<Arc<Host>> {
        let mut hosts = self.all.clone();
        if self.policy == HostPolicy::Spread && !hosts.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % hosts.len();
            hosts.rotate_left(first);
        }
        let now = Instant::now();
        hosts.sort_by_key(|host| host.failed_since(now).map_or(Reverse(Duration::MAX), Reverse));
        hosts
    }
}

impl Host {
    fn new(index: usize, place: &HostPort) -> Self {
        Self {
            index,
            place: place.clone(),
            address: place.to_string(),
            is_plain: AtomicBool::new(false),
            name: Mutex::default(),
            family: Mutex::default(),
            answering: Mutex::default(),
            skipped: Mutex::default(),
            made: Instant::now(),
            failed: Moment::default(),
            distrusted: Moment::default(),
            answered: Moment::default(),
            round_trip: AtomicU64::new(u64::MAX),
        }
    }

    /// A name that the server's certificate holds, once it was seen.
    pub fn name(&self) -> Option<String> {
        lock(&self.name).clone()
    }

    pub fn set_family(&self, family: Family) {
        *lock(&self.family) = Some(family);
    }

    /// Whose error numbers it sends.
    pub fn family(&self) -> Option<Family> {
        *lock(&self.family)
    }

    pub fn set_name(&self, name: String) {
        *lock(&self.name) = Some(name);
    }

    /// Where its name leads, the address that answered last before the others; nothing where it is an address itself.
    ///
    /// # Errors
    ///
    /// The name is unknown, or nobody can be asked for it.
    pub async fn addresses(&self) -> std::io::Result<Vec<IpAddr>> {
        if self.place.host.parse::<IpAddr>().is_ok() {
            return Ok(Vec::new());
        }
        let found = tokio::net::lookup_host((self.place.host.as_str(), self.place.port)).await?;
        let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
        if let Some(answering) = self.answering() {
            addresses.sort_by_key(|address| *address != answering);
        }
        Ok(addresses)
    }

    /// The address of its name that answered last.
    pub fn answering(&self) -> Option<IpAddr> {
        *lock(&self.answering)
    }

    /// Notes which address of its name answers.
    pub fn answers_at(&self, address: Option<IpAddr>) {
        *lock(&self.answering) = address;
    }

    /// Variables of a session that it does not let be set.
    pub fn skipped(&self) -> Vec<&'static str> {
        lock(&self.skipped).clone()
    }

    /// Notes more of them.
    pub fn skips(&self, skipped: Vec<&'static str>) {
        *lock(&self.skipped) = skipped;
    }

    /// Notes that no connection could be opened, or that the server does not do what it is there for.
    pub fn has_failed(&self) {
        self.failed.set(self.made, Instant::now());
    }

    /// Notes that a connection was opened and that nothing is wrong with the server.
    pub fn is_well(&self) {
        self.failed.clear();
    }

    /// How long ago it failed, where that is a reason to try it last.
    fn failed_since(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.failed.get(self.made)?);
        (since < TRIED_LAST_FOR).then_some(since)
    }

    /// Notes that a connection died: what had its last answer before now may be dead as well.
    pub fn distrust(&self) {
        self.distrusted.set(self.made, Instant::now());
    }

    /// Notes that the server answered a statement.
    pub fn has_answered(&self, moment: Instant) {
        self.answered.set(self.made, moment);
    }

    /// Notes how long a new connection waited for an answer. A server that is busy answers late, so the shortest counts, and is
    /// forgotten slowly.
    pub fn answers_in(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let shortest = |before: u64| Some(time.min(before.saturating_add(before / 4)));
        let _ = self.round_trip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shortest);
    }

    /// How far away the server is: the time of an answer without work.
    pub fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.round_trip.load(Ordering::Relaxed))
    }

    /// Whether the server answered a statement on any connection after this.
    pub fn has_answered_since(&self, moment: Instant) -> bool {
        self.answered.get(self.made).is_some_and(|answered| answered > moment)
    }

    /// Whether a connection that had its last answer at this time may have died with another.
    pub fn is_suspect(&self, answered: Instant) -> bool {
        self.distrusted.get(self.made).is_some_and(|moment| answered <= moment)
    }
}

/// A point in time that threads share, in nanoseconds after another; 0 is none.
#[derive(Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, origin: Instant, moment: Instant) {
        let after = u64::try_from(moment.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(after.max(1), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn get(&self, origin: Instant) -> Option<Instant> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            after => origin.checked_add(Duration::from_nanos(after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Tls, TlsMode};

    fn hosts(policy: HostPolicy) -> Hosts {
        Hosts::new(&MysqlConfig {
            hosts: ["a", "b", "c"].map(|host| HostPort::new(host, 1)).to_vec(),
            host_policy: policy,
            database: "d".into(),
            username: "u".into(),
            password: Secret::new("p"),
            password_file: None,
            connect_timeout: Duration::from_secs(1),
            round_trip_timeout: Duration::from_secs(1),
            connect_attempts: 1,
            tls: Tls { mode: TlsMode::Disabled, ca: None },
        })
    }

    fn order(hosts: &Hosts) -> String {
        hosts.in_turn().iter().map(|host| host.place.host.as_str()).collect()
    }

    #[test]
    fn the_first_host_comes_first_or_each_in_its_turn() {
        let ordered = hosts(HostPolicy::Ordered);
        assert_eq!([order(&ordered), order(&ordered)], ["abc", "abc"]);
        let spread = hosts(HostPolicy::Spread);
        assert_eq!([order(&spread), order(&spread), order(&spread), order(&spread)], ["abc", "bca", "cab", "abc"]);
    }

    #[test]
    fn a_host_that_failed_comes_last_until_it_is_well() {
        let hosts = hosts(HostPolicy::Ordered);
        hosts.at(0).unwrap().has_failed();
        assert_eq!(order(&hosts), "bca");
        std::thread::sleep(Duration::from_millis(1));
        hosts.at(1).unwrap().has_failed();
        assert_eq!(order(&hosts), "cab", "the one that failed first is the first to try again");
        hosts.at(0).unwrap().is_well();
        assert_eq!(order(&hosts), "acb");
        let long_after = Instant::now() + TRIED_LAST_FOR;
        assert_eq!(hosts.at(1).unwrap().failed_since(long_after), None);
    }

    #[test]
    fn only_what_was_answered_since_is_trusted() {
        let host = Host::new(0, &HostPort::new("a", 1));
        let before = Instant::now();
        assert!(!host.is_suspect(before));
        host.distrust();
        assert!(host.is_suspect(before));
        std::thread::sleep(Duration::from_millis(1));
        assert!(!host.is_suspect(Instant::now()));
    }
}
