//! What a channel's history has that the bot has missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use twilight_model::channel::Message;

use super::Lanes;
use crate::api::{ApiError, PAGE};
use crate::asked::Asked;
use crate::desk::Dealt;
use crate::figures::Outcome;
use crate::ids::{ChannelId, GuildId, MessageId};
use crate::sequence::Ticket;

/// How often a page is asked for.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How often a history is read again that does not have the newest message. It may come yet, or have been deleted.
const STALE: u32 = 4;

/// The recovery of a server's channels. The event that began it is dealt with when the last of them is: so a bot that is
/// killed meanwhile is sent it again.
#[derive(Clone, Debug)]
pub struct Recovery {
    tickets: Vec<Ticket>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    guild: Option<GuildId>,
    began: Instant,
    channels: AtomicU64,
    pages: AtomicU64,
    messages: AtomicU64,
    answered: AtomicU64,
    given_up: AtomicU64,
    failed: AtomicU64,
}

impl Recovery {
    /// Begins with the event of this server.
    pub fn of(guild: GuildId, ticket: Ticket) -> Self {
        Self::new(Some(guild), ticket)
    }

    fn new(guild: Option<GuildId>, ticket: Ticket) -> Self {
        let counts = Counts {
            guild,
            began: Instant::now(),
            channels: AtomicU64::default(),
            pages: AtomicU64::default(),
            messages: AtomicU64::default(),
            answered: AtomicU64::default(),
            given_up: AtomicU64::default(),
            failed: AtomicU64::default(),
        };
        Self { tickets: vec![ticket], counts: Arc::new(counts) }
    }

    /// One holder has done its part. The last one tells what came of it.
    pub fn done(self) {
        let Self { tickets, counts } = self;
        let mut is_last = false;
        for ticket in tickets {
            is_last |= ticket.done();
        }
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        if is_last && of(&counts.channels) > 0 {
            tracing::info!(
                guild = counts.guild.map(tracing::field::display),
                channels = of(&counts.channels),
                pages = of(&counts.pages),
                messages = of(&counts.messages),
                answered = of(&counts.answered),
                given_up = of(&counts.given_up),
                failed = of(&counts.failed),
                seconds = counts.began.elapsed().as_secs_f64(),
                "recovered"
            );
        }
    }
}

type Page = Vec<(MessageId, Option<Message>)>;

/// A part of a channel's history.
#[derive(Debug)]
pub struct Scan {
    after: u64,
    newest: MessageId,
    recovery: Recovery,
}

impl Scan {
    /// From this id to the newest message.
    pub fn new(after: u64, newest: MessageId, recovery: Recovery) -> Self {
        Self { after, newest, recovery }
    }

    /// For a message that found no room in its lane: from where the lane is then.
    pub fn of_overflow(newest: MessageId, ticket: Ticket) -> Self {
        Self { after: 0, newest, recovery: Recovery::new(None, ticket) }
    }

    /// Another one that found none.
    pub fn extend(&mut self, newest: MessageId, ticket: Ticket) {
        self.newest = self.newest.max(newest);
        self.recovery.tickets.push(ticket);
    }
}

impl Lanes {
    pub(super) async fn read_history(&self, channel: ChannelId, scan: Scan) {
        let Scan { after, newest, recovery } = scan;
        let is_done = self.read_pages(channel, after, newest, &recovery.counts).await;
        if recovery.counts.guild.is_some() {
            self.desk.figures.recovering.dec();
        }
        if is_done {
            recovery.done();
        }
    }

    /// False if it was interrupted.
    async fn read_pages(&self, channel: ChannelId, after: u64, newest: MessageId, counts: &Counts) -> bool {
        let cursor = self.lane(channel, |lane| lane.cursor()).map_or(0, MessageId::get);
        let mut after = after.max(cursor);
        let mut stale = 0;
        if after >= newest.get() {
            return true;
        }
        counts.channels.fetch_add(1, Ordering::Relaxed);
        loop {
            let page = match self.page(channel, after).await {
                Ok(Some(page)) => page,
                Ok(None) => return false,
                Err(error) => {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%channel, "the history cannot be read: {error}");
                    return true;
                }
            };
            counts.pages.fetch_add(1, Ordering::Relaxed);
            self.desk.figures.pages.inc();
            let is_last = page.len() < usize::from(PAGE);
            for (id, message) in page {
                after = after.max(id.get());
                if let Some(message) = message
                    && !self.missed(&message, counts).await
                {
                    return false;
                }
            }
            if is_last && (after >= newest.get() || stale == STALE) {
                return true;
            }
            if is_last {
                let pause = tokio::time::sleep(FIRST_PAUSE * (1 << stale));
                stale += 1;
                if self.desk.stop.run_until_cancelled(pause).await.is_none() {
                    return false;
                }
            }
        }
    }

    /// Deals with a message of the history. False if it was interrupted.
    async fn missed(&self, message: &Message, counts: &Counts) -> bool {
        self.desk.figures.recovered.inc();
        counts.messages.fetch_add(1, Ordering::Relaxed);
        let Some(asked) = Asked::of(self.desk.me, message) else { return true };
        if self.desk.stop.is_cancelled() {
            return false;
        }
        match self.deal_with(asked).await {
            Some(Dealt::Interrupted) => return false,
            Some(Dealt::Done(Outcome::Answered)) => {
                self.desk.figures.recovered_answers.inc();
                counts.answered.fetch_add(1, Ordering::Relaxed);
            }
            Some(Dealt::Done(Outcome::GivenUp)) => {
                counts.given_up.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        true
    }

    /// A page, oldest first; `None` if the bot stops.
    async fn page(&self, channel: ChannelId, after: u64) -> Result<Option<Page>, ApiError> {
        let mut tries = 0;
        loop {
            let page = {
                // Whoever wants another page queues up behind those who wait for one.
                let _place = self.fetching.acquire().await;
                if self.desk.stop.is_cancelled() {
                    return Ok(None);
                }
                self.desk.api.messages_after(channel, after).await
            };
            tries += 1;
            match page {
                Ok(page) => return Ok(Some(page)),
                // A connection that comes back is waited for; an answer that is wrong each time is not.
                Err(error) if error.is_retryable() && (error.is_unseen() || tries < TRIES) => {
                    let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(8));
                    if self.desk.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                        return Ok(None);
                    }
                }
                Err(ApiError::Token) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
