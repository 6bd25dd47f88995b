//! A lane for each channel: what was missed and what is new, one after the other.
//!
//! Events are put into a lane at once, so that the gateway never waits. A lane begins when the memory is loaded. It reads the
//! channel's history first, if something was missed, and new messages queue up behind.

mod history;
mod lane;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::history::Recovery;
use self::history::Scan;
use self::lane::{Lane, Waiting, Work};
use crate::asked::Asked;
use crate::desk::{Dealt, Desk};
use crate::ids::{ChannelId, MessageId};
use crate::sequence::Ticket;

/// Pages of history that are fetched at a time. Lanes take turns, page by page.
const FETCHING: usize = 8;

/// Messages that wait in one lane. What comes then is read from the history instead.
const QUEUE: usize = 1000;

/// Lanes beyond which those that have nothing to do are forgotten.
const IDLE_LANES: usize = 10_000;

/// The lanes of all channels.
pub struct Lanes {
    desk: Arc<Desk>,
    lanes: Mutex<HashMap<ChannelId, Lane>>,
    tasks: TaskTracker,
    /// Cancelled when lanes may begin.
    open: CancellationToken,
    fetching: Semaphore,
    /// Whether something that was in hand is left for the next life.
    is_interrupted: AtomicBool,
}

impl Lanes {
    /// No lane begins before [`open`](Self::open).
    pub fn new(desk: Arc<Desk>) -> Arc<Self> {
        Arc::new(Self {
            desk,
            lanes: Mutex::default(),
            tasks: TaskTracker::new(),
            open: CancellationToken::new(),
            fetching: Semaphore::new(FETCHING),
            is_interrupted: AtomicBool::new(false),
        })
    }

    /// The memory is loaded.
    pub fn open(&self) {
        self.open.cancel();
    }

    /// What the lanes work with.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// A new message.
    pub fn add(self: &Arc<Self>, asked: Asked, ticket: Ticket) {
        let channel = asked.channel;
        self.put(channel, |lane| {
            if lane.add(asked, ticket) {
                self.desk.figures.waiting.inc();
            }
        });
    }

    /// Reads the history of a channel between this id and its newest message.
    pub fn recover(self: &Arc<Self>, channel: ChannelId, after: u64, newest: MessageId, recovery: Recovery) {
        self.desk.figures.recovering.inc();
        self.put(channel, |lane| lane.scans.push_back(Scan::new(after, newest, recovery)));
    }

    /// Waits until what is in hand has been dealt with, after `stop` is cancelled. What waits behind it stays in hand for the
    /// session, and is sent again when it is resumed. False if that goes for something that was in hand too.
    pub async fn finish(&self) -> bool {
        self.tasks.close();
        self.tasks.wait().await;
        !self.is_interrupted.load(Ordering::Relaxed)
    }

    fn put(self: &Arc<Self>, channel: ChannelId, put: impl FnOnce(&mut Lane)) {
        let is_to_start = self.lanes(|lanes| {
            if lanes.len() > IDLE_LANES {
                lanes.retain(|_, lane| lane.is_running);
            }
            let lane = lanes.entry(channel).or_default();
            put(lane);
            !std::mem::replace(&mut lane.is_running, true)
        });
        if is_to_start {
            self.tasks.spawn(self.clone().run(channel));
        }
    }

    async fn run(self: Arc<Self>, channel: ChannelId) {
        let _running = Running(&self, channel);
        if self.desk.stop.run_until_cancelled(self.open.cancelled()).await.is_none() {
            return;
        }
        let floor = self.desk.memory.cursor(channel);
        self.lane(channel, |lane| lane.begin(floor));
        loop {
            match self.lane(channel, |lane| lane.next(self.desk.stop.is_cancelled())) {
                None => return,
                Some(Work::Scan(scan)) => self.read_history(channel, scan).await,
                Some(Work::Message(waiting)) => {
                    let Waiting { asked, ticket, arrived } = waiting;
                    let dealt = self.deal_with(asked).await;
                    self.desk.figures.waiting.dec();
                    if matches!(dealt, Some(Dealt::Done(_))) {
                        self.desk.figures.answer_seconds.observe(arrived.elapsed().as_secs_f64());
                    }
                    if dealt != Some(Dealt::Interrupted) {
                        ticket.done();
                    }
                }
            }
        }
    }

    /// Deals with a message, unless that has been done.
    async fn deal_with(&self, asked: Asked) -> Option<Dealt> {
        let (channel, message) = (asked.channel, asked.id);
        if self.lane(channel, |lane| lane.knows(message)) {
            return None;
        }
        let dealt = self.desk.deal_with(asked).await;
        match dealt {
            Dealt::Interrupted => self.is_interrupted.store(true, Ordering::Relaxed),
            Dealt::NotAsked | Dealt::Done(_) => self.lane(channel, |lane| lane.remember(message)),
        }
        Some(dealt)
    }

    fn lane<T>(&self, channel: ChannelId, look: impl FnOnce(&mut Lane) -> T) -> T {
        self.lanes(|lanes| look(lanes.entry(channel).or_default()))
    }

    fn lanes<T>(&self, look: impl FnOnce(&mut HashMap<ChannelId, Lane>) -> T) -> T {
        look(&mut self.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A responder that panics must not hold its channel up for ever.
struct Running<'a>(&'a Lanes, ChannelId);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lane(self.1, |lane| lane.is_running = false);
        }
    }
}
