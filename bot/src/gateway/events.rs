//! What the bot does with each event.

use twilight_gateway::{EventTypeFlags, Shard};
use twilight_model::channel::{Channel, Message};
use twilight_model::gateway::event::DispatchEvent;
use twilight_model::gateway::payload::incoming::GuildCreate;
use twilight_model::guild::Guild;

use super::{Gateway, Identifies};
use crate::asked::Asked;
use crate::channels::Kind;
use crate::ids::{self, MessageId};
use crate::journal::Saved;
use crate::lanes::Recovery;
use crate::sequence::{Sequences, Ticket};

/// The events that are read.
pub const WANTED: EventTypeFlags = EventTypeFlags::READY
    .union(EventTypeFlags::RESUMED)
    .union(EventTypeFlags::GATEWAY_HEARTBEAT_ACK)
    .union(EventTypeFlags::GATEWAY_INVALIDATE_SESSION)
    .union(EventTypeFlags::GUILD_CREATE)
    .union(EventTypeFlags::CHANNEL_CREATE)
    .union(EventTypeFlags::CHANNEL_UPDATE)
    .union(EventTypeFlags::CHANNEL_DELETE)
    .union(EventTypeFlags::THREAD_CREATE)
    .union(EventTypeFlags::THREAD_DELETE)
    .union(EventTypeFlags::THREAD_LIST_SYNC)
    .union(EventTypeFlags::MESSAGE_CREATE)
    .union(EventTypeFlags::MESSAGE_UPDATE)
    .union(EventTypeFlags::MESSAGE_DELETE)
    .union(EventTypeFlags::MESSAGE_DELETE_BULK);

impl Gateway {
    pub(super) fn dispatch(&mut self, shard: &Shard<Identifies>, sequence: u64, event: DispatchEvent) {
        self.desk().figures.event(event.kind().name().unwrap_or("unknown"));
        match event {
            DispatchEvent::Ready(ready) => {
                // Tickets of a session before this one count for it alone. What they stand for is in the history.
                self.sequences = Sequences::after(sequence);
                self.is_replay = false;
                let (session, resume_url) = (ready.session_id, ready.resume_gateway_url);
                // Less than the event's own number, so that it is kept at once.
                self.saved = Some(Saved { session, sequence: sequence.saturating_sub(1), resume_url });
                self.save();
                self.config.queue().note(self.id);
                self.connected("started");
            }
            DispatchEvent::Resumed => {
                self.is_replay = false;
                // Discord may have moved.
                if let (Some(saved), Some(url)) = (&mut self.saved, shard.resume_url()) {
                    url.clone_into(&mut saved.resume_url);
                }
                self.connected("resumed");
            }
            DispatchEvent::GuildCreate(guild) => {
                if let GuildCreate::Available(guild) = *guild {
                    let ticket = self.sequences.take(sequence);
                    self.recover(&guild, ticket);
                }
            }
            DispatchEvent::ChannelCreate(channel) => self.desk().channels.note(&channel),
            DispatchEvent::ChannelUpdate(channel) => self.desk().channels.note(&channel),
            DispatchEvent::ThreadCreate(thread) => {
                self.desk().channels.note(&thread);
                if thread.owner_id == Some(self.desk().me) && thread.newly_created == Some(true) {
                    self.written_in_our_name(thread.id.cast());
                }
            }
            DispatchEvent::ThreadListSync(list) => {
                list.threads.iter().for_each(|thread| self.desk().channels.note(thread))
            }
            DispatchEvent::ChannelDelete(channel) => self.desk().channels.forget(channel.id),
            DispatchEvent::ThreadDelete(thread) => {
                self.desk().channels.forget(thread.id);
                self.desk().memory.disown(thread.id);
            }
            DispatchEvent::MessageCreate(message) => self.message(&message, sequence),
            // Only a change by a person has this time; one that a link's preview was added to has not.
            DispatchEvent::MessageUpdate(message) if message.edited_timestamp.is_some() => {
                self.desk().changes.edited(message.id, message.0.content);
            }
            DispatchEvent::MessageDelete(message) => self.desk().changes.deleted(message.id),
            DispatchEvent::MessageDeleteBulk(messages) => {
                messages.ids.iter().for_each(|message| self.desk().changes.deleted(*message));
            }
            _ => {}
        }
    }

    fn connected(&self, how: &'static str) {
        tracing::info!(shard = %self.id, "session {how}");
        self.desk().figures.session(how);
        self.desk().figures.connected(self.id.number(), true);
    }

    fn message(&self, message: &Message, sequence: u64) {
        self.desk().clock.saw(message.id.get());
        if message.author.id == self.desk().me {
            if let Some(answered) = message.reference.as_ref().and_then(|reference| reference.message_id) {
                self.written_in_our_name(answered);
            }
            return;
        }
        if let Some(asked) = Asked::of(self.desk().me, message) {
            self.lanes.add(asked, self.sequences.take(sequence));
        }
    }

    /// A message was answered in the bot's name. If this process has not got to it, another one runs the same shard. Events
    /// that are sent again after a crash are of this one's life before.
    fn written_in_our_name(&self, answered: MessageId) {
        if !self.is_replay && !self.desk().begun.contains(answered) {
            self.desk().figures.foreign_answer();
            tracing::error!(
                message = %answered,
                "this message was answered in the bot's name, and not by this process: another one runs the same shard; \
                 stop one of them, or give each its own range with --shards"
            );
        }
    }

    /// Looks for missed messages in all channels that have newer ones than the bot has dealt with, whether or not it has
    /// ever answered there.
    fn recover(&self, guild: &Guild, ticket: Ticket) {
        let desk = self.desk();
        let now = desk.clock.now_ms();
        let window = i64::try_from(desk.settings.window.as_millis()).unwrap_or(i64::MAX);
        // Counted from now on: what is found late in a long recovery was not too old when it began.
        let after = ids::first_at(now.saturating_sub(window)).saturating_sub(1);
        let recovery = Recovery::of(guild.id, ticket);
        for channel in guild.channels.iter().chain(&guild.threads) {
            desk.channels.note(channel);
            if has_messages(channel)
                && let Some(newest) = channel.last_message_id.filter(|newest| newest.get() > after)
            {
                self.lanes.recover(channel.id, after, newest.cast(), recovery.clone());
            }
        }
        recovery.done();
    }
}

/// In a forum the newest message is the newest thread.
fn has_messages(channel: &Channel) -> bool {
    use twilight_model::channel::ChannelType::{GuildForum, GuildMedia};
    Kind::of(channel) != Kind::Other || !matches!(channel.kind, GuildForum | GuildMedia)
}
