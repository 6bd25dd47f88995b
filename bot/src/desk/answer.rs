//! One attempt: ask the responder, make the thread, write the parts.

use std::convert::Infallible;
use std::time::Duration;

use super::attempts::Failed;
use super::{Desk, nonce};
use crate::api::{ApiError, Draft, code};
use crate::asked::Asked;
use crate::channels::Kind;
use crate::clock;
use crate::figures::Outcome;
use crate::ids::{self, ChannelId};
use crate::journal::Entry;
use crate::responder::Question;
use crate::split;

/// Who answers sooner is not shown typing.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Discord shows it for ten seconds.
const TYPING: Duration = Duration::from_secs(8);

impl Desk {
    pub(super) async fn attempt(&self, asked: &Asked, kind: Kind, entry: &mut Entry) -> Result<Outcome, Failed> {
        let answer = match &entry.answer {
            // The responder might say something else now, and the first parts are there already.
            Some(answer) => answer.clone(),
            None => {
                let answer = self.think(asked, kind).await?;
                self.keep(|journal| journal.keep_answer(asked.id, &answer)).await?;
                entry.answer.insert(answer).clone()
            }
        };
        let parts = split::split(&answer, split::MOST);
        if parts.is_empty() {
            return Ok(Outcome::Silent);
        }
        if self.changes.is_deleted(asked.id) {
            return Ok(Outcome::Gone);
        }
        self.begun.add(asked.id);
        let thread = ids::thread_of(asked.id);
        // Whoever writes in the thread as soon as it is there waits for this answer.
        let _turn = match kind {
            Kind::Text => Some(self.turns.take(thread).await),
            Kind::Thread | Kind::Other => None,
        };
        let is_in_new_thread = kind == Kind::Text && self.make_thread(asked, thread).await?;
        let (channel, reply_to) = match is_in_new_thread {
            true => (thread, None),
            false => (asked.channel, Some(asked.id)),
        };
        for (part, content) in parts.iter().enumerate().skip(entry.sent) {
            // A reply to the first is enough.
            let reply_to = reply_to.filter(|_| part == 0);
            self.write(Draft { channel, content, reply_to, nonce: &nonce(asked.id, part) }).await?;
            entry.sent = part + 1;
            self.keep(|journal| journal.keep_sent(asked.id, entry.sent)).await?;
        }
        Ok(Outcome::Answered)
    }

    /// Asks the responder.
    async fn think(&self, asked: &Asked, kind: Kind) -> Result<String, Failed> {
        let question = Question {
            message_id: asked.id,
            channel_id: asked.channel,
            in_thread: kind == Kind::Thread,
            guild_id: asked.guild,
            author_id: asked.author,
            author_name: asked.name.clone(),
            content: asked.question(self.me).to_owned(),
        };
        let _place = self.questions.acquire().await;
        tokio::select! {
            biased;
            answer = self.responder.answer(&question) => Ok(answer?),
            never = self.show_typing(asked.channel) => match never {},
        }
    }

    async fn show_typing(&self, channel: ChannelId) -> Infallible {
        tokio::time::sleep(AT_ONCE).await;
        loop {
            if let Err(error) = self.api.show_typing(channel).await {
                tracing::debug!(%channel, "cannot be shown typing: {error}");
            }
            tokio::time::sleep(TYPING).await;
        }
    }

    /// Makes the thread of a message and owns it. False if there cannot be one: then the answer is a reply.
    async fn make_thread(&self, asked: &Asked, thread: ChannelId) -> Result<bool, Failed> {
        if self.memory.owns(thread) {
            return Ok(true);
        }
        match self.api.create_thread(asked.channel, asked.id, &asked.thread_name(self.me)).await {
            Ok(()) => {}
            // Made before a crash, or by a user in the meantime.
            Err(error) if error.code() == Some(code::HAS_THREAD) => {
                if self.api.channel(thread).await?.owner_id != Some(self.me) {
                    return Ok(true);
                }
            }
            Err(error @ ApiError::Refused { .. }) if !error.is_gone() => {
                tracing::info!(channel = %asked.channel, "no thread can be made: {error}");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        self.channels.note_thread(thread);
        let made = clock::local_ms() / 1000;
        self.keep(|journal| journal.keep_thread(asked.id, thread)).await?;
        self.memory.own(thread, made);
        self.figures.threads.set(self.memory.owned() as i64);
        self.recorder.ownership(thread, asked.author, made).await;
        Ok(true)
    }

    async fn write(&self, draft: Draft<'_>) -> Result<(), ApiError> {
        let written = self.api.create_message(draft).await;
        match &written {
            Err(error) if error.code() == Some(code::ARCHIVED) => {
                self.api.open_thread(draft.channel).await?;
                self.api.create_message(draft).await
            }
            Err(error) if error.code() == Some(code::UNKNOWN_CHANNEL) => {
                self.memory.disown(draft.channel);
                self.channels.forget(draft.channel);
                written
            }
            _ => written,
        }
    }
}
