//! Changes of the world, by the bot or by the driver, each with its events.

use crate::app::State;
use crate::error::{Error, Result};
use crate::gateway::event::Event;
use crate::id::Id;
use crate::record::What;
use crate::world::channel::{Channel, PUBLIC_THREAD, Thread};
use crate::world::message::{Message, Reference, THREAD_CREATED, THREAD_STARTER};

/// A change of a channel or thread; what is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) topic: Option<String>,
    pub(crate) archived: Option<bool>,
    pub(crate) locked: Option<bool>,
    pub(crate) auto_archive: Option<u64>,
}

/// A thread that is to be made.
#[derive(Debug)]
pub(crate) struct NewThread<'a> {
    pub(crate) parent: Id,
    /// The message that it is made from, whose id it gets.
    pub(crate) message: Option<Id>,
    pub(crate) kind: u8,
    pub(crate) name: &'a str,
    pub(crate) owner: Id,
    pub(crate) auto_archive: u64,
}

impl State {
    pub(crate) fn next_id(&mut self) -> Id {
        self.world.next_id(self.clock.now_ms())
    }

    /// Puts a message into its channel. An archived thread comes back by that.
    pub(crate) fn create_message(&mut self, message: Message) -> Result<()> {
        if self.world.channel(message.channel)?.thread.as_ref().is_some_and(|thread| thread.archived) {
            self.change_channel(message.channel, Change { archived: Some(false), ..Change::default() })?;
        }
        let (id, author, place) = (message.id, message.author, message.channel);
        let channel = self.world.channel_mut(place)?;
        channel.last_message = Some(id);
        if let Some(thread) = &mut channel.thread {
            thread.sent += 1;
            thread.members.insert(author);
        }
        channel.messages.insert(id, message.clone());
        self.record.add(self.clock.now_ms(), What::Message { message: id, channel: place, author });
        if author == self.world.bot && !matches!(message.kind, THREAD_CREATED | THREAD_STARTER) {
            let reply_to = message.reference.as_ref().and_then(|reference| reference.message);
            self.questions.answer(id, place, reply_to, &message.content);
        }
        let event = self.world.message_event("MESSAGE_CREATE", self.world.channel(place)?, &message);
        self.dispatch(event);
        Ok(())
    }

    /// Changes a message, and answers the event that tells of it.
    pub(crate) fn edit_message(&mut self, channel: Id, id: Id, change: impl FnOnce(&mut Message)) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let message = self.world.message_mut(channel, id)?;
        change(message);
        message.edited_ms = Some(now_ms);
        let event = self.message_updated(channel, id)?;
        self.dispatch(event);
        Ok(())
    }

    pub(crate) fn delete_message(&mut self, channel: Id, id: Id) -> Result<()> {
        let found = self.world.channel_mut(channel)?.messages.remove(&id);
        found.ok_or(Error::Unknown { what: "message", id })?;
        self.withdraw(id);
        let event = self.world.message_deleted(self.world.channel(channel)?, id);
        self.dispatch(event);
        Ok(())
    }

    fn withdraw(&mut self, question: Id) {
        self.questions.withdraw(question);
        self.record.touch();
    }

    pub(crate) fn create_thread(&mut self, new: &NewThread<'_>) -> Result<Id> {
        let now_ms = self.clock.now_ms();
        let parent = self.world.channel(new.parent)?;
        let guild = parent.guild;
        if let Some(message) = new.message {
            self.world.message(new.parent, message)?;
        }
        let id = new.message.unwrap_or_else(|| self.world.next_id(now_ms));
        let mut channel = Channel::new(id, new.kind, guild, new.name);
        channel.parent = Some(new.parent);
        channel.thread = Some(Thread {
            owner: new.owner,
            members: [new.owner].into(),
            archived: false,
            locked: false,
            archive_changed_ms: now_ms,
            auto_archive: new.auto_archive,
            sent: 0,
        });
        self.world.channels.insert(id, channel);
        let mut event = self.world.channel_event("THREAD_CREATE", self.world.channel(id)?);
        event.data["newly_created"] = true.into();
        self.dispatch(event);
        match new.message {
            Some(message) => {
                let event = self.message_updated(new.parent, message)?;
                self.dispatch(event);
                let reference = Reference { channel: new.parent, message: Some(message) };
                self.tell_of_thread(id, THREAD_STARTER, "", new.owner, reference)?;
            }
            None if new.kind == PUBLIC_THREAD => {
                let reference = Reference { channel: id, message: None };
                self.tell_of_thread(new.parent, THREAD_CREATED, new.name, new.owner, reference)?;
            }
            None => {}
        }
        Ok(id)
    }

    /// The message by which Discord itself tells of a thread.
    fn tell_of_thread(&mut self, channel: Id, kind: u8, text: &str, author: Id, reference: Reference) -> Result<()> {
        let mut message = Message::new(self.next_id(), channel, author, text);
        message.kind = kind;
        message.reference = Some(reference);
        self.create_message(message)?;
        if let Some(thread) = &mut self.world.channel_mut(channel)?.thread {
            thread.sent -= 1;
        }
        Ok(())
    }

    pub(crate) fn change_channel(&mut self, id: Id, change: Change) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let channel = self.world.channel_mut(id)?;
        if let Some(name) = change.name {
            channel.name = name;
        }
        let name = match &mut channel.thread {
            Some(thread) => {
                if change.archived.is_some_and(|archived| archived != thread.archived) {
                    thread.archived = !thread.archived;
                    thread.archive_changed_ms = now_ms;
                }
                thread.locked = change.locked.unwrap_or(thread.locked);
                thread.auto_archive = change.auto_archive.unwrap_or(thread.auto_archive);
                "THREAD_UPDATE"
            }
            None => {
                channel.topic = change.topic.or(channel.topic.take());
                "CHANNEL_UPDATE"
            }
        };
        let event = self.world.channel_event(name, self.world.channel(id)?);
        self.dispatch(event);
        Ok(())
    }

    /// Deletes a channel with its threads, or a thread.
    pub(crate) fn delete_channel(&mut self, id: Id) -> Result<()> {
        for thread in self.world.threads_of(id) {
            self.delete_channel(thread)?;
        }
        let channel = self.world.channel(id)?;
        let event = match channel.thread {
            Some(_) => self.world.thread_deleted(channel),
            None => self.world.channel_event("CHANNEL_DELETE", channel),
        };
        // Told first, since nobody hears of what nobody sees.
        self.dispatch(event);
        if let Some(channel) = self.world.channels.remove(&id) {
            for message in channel.messages.keys() {
                self.withdraw(*message);
            }
        }
        Ok(())
    }

    /// Archives the threads that have been quiet for long enough.
    pub(crate) fn archive_quiet_threads(&mut self) {
        let now_ms = self.clock.now_ms();
        let quiet = |channel: &&Channel| {
            let Some(thread) = channel.thread.as_ref().filter(|thread| !thread.archived) else { return false };
            let last = channel.last_message.map_or(0, Id::unix_ms).max(thread.archive_changed_ms);
            now_ms.saturating_sub(last) >= thread.auto_archive * 60_000
        };
        let quiet: Vec<Id> = self.world.channels.values().filter(quiet).map(|channel| channel.id).collect();
        for id in quiet {
            // It was there a moment ago.
            let _ = self.change_channel(id, Change { archived: Some(true), ..Change::default() });
        }
    }

    fn message_updated(&self, channel: Id, id: Id) -> Result<Event> {
        Ok(self.world.message_event("MESSAGE_UPDATE", self.world.channel(channel)?, self.world.message(channel, id)?))
    }
}
