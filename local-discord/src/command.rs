//! The driver's methods as documents, for other processes and languages.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::driver::Discord;
use crate::error::Result;
use crate::faults::{Fault, Storm};
use crate::id::Id;
use crate::world::user::Kind;

/// What `POST /local/commands` takes, one or a list: `{"do": "say", "channel": "1", "author": "2", "content": "hello"}`.
/// Each is the method of [`Discord`] with its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the methods of the driver have the documentation")]
pub enum Command {
    CreateGuild {
        name: String,
    },
    CreateChannel {
        guild: Id,
        name: String,
    },
    CreateUser {
        name: String,
        #[serde(default)]
        kind: Kind,
    },
    DirectChannel {
        user: Id,
    },
    Say {
        channel: Id,
        author: Id,
        content: String,
    },
    Ask {
        channel: Id,
        author: Id,
        content: String,
        #[serde(default)]
        key: Option<String>,
    },
    Edit {
        channel: Id,
        message: Id,
        content: String,
    },
    Delete {
        channel: Id,
        message: Id,
    },
    Messages {
        channel: Id,
    },
    CreateThread {
        channel: Id,
        #[serde(default)]
        message: Option<Id>,
        owner: Id,
        name: String,
    },
    Archive {
        thread: Id,
        archived: bool,
        locked: bool,
    },
    Rename {
        channel: Id,
        name: String,
    },
    DeleteChannel {
        channel: Id,
    },
    Deny {
        channel: Id,
        permissions: u64,
    },
    Script {
        fault: Fault,
    },
    Storm {
        storm: Storm,
    },
    Calm,
    Release {
        held: u64,
    },
    CloseConnections {
        code: u16,
    },
    CutConnections,
    Reconnect,
    InvalidateSessions {
        resumable: bool,
    },
    AskHeartbeats,
    Advance {
        ms: u64,
    },
    SetClock {
        unix_ms: u64,
    },
    SetRate {
        rate: f64,
    },
}

impl Discord {
    /// Carries out a command, and answers what its method returns.
    ///
    /// # Errors
    ///
    /// Those of the method.
    pub fn carry_out(&self, command: Command) -> Result<Value> {
        let id = |id: Id| json!({ "id": id });
        Ok(match command {
            Command::CreateGuild { name } => id(self.create_guild(&name)),
            Command::CreateChannel { guild, name } => id(self.create_channel(guild, &name)?),
            Command::CreateUser { name, kind } => id(self.create_user(&name, kind)),
            Command::DirectChannel { user } => id(self.direct_channel(user)?),
            Command::Say { channel, author, content } => id(self.say(channel, author, &content)?),
            Command::Ask { channel, author, content, key } => {
                id(self.ask(channel, author, &content, key.as_deref())?)
            }
            Command::CreateThread { channel, message, owner, name } => {
                id(self.create_thread(channel, message, owner, &name)?)
            }
            Command::Messages { channel } => {
                let messages = self.messages(channel)?.into_iter();
                messages
                    .map(|(id, author, content)| json!({ "id": id, "author": author, "content": content }))
                    .collect()
            }
            other => {
                self.carry_out_silently(other)?;
                json!({})
            }
        })
    }

    /// Those that answer nothing.
    fn carry_out_silently(&self, command: Command) -> Result<()> {
        match command {
            Command::Edit { channel, message, content } => self.edit(channel, message, &content)?,
            Command::Delete { channel, message } => self.delete(channel, message)?,
            Command::Archive { thread, archived, locked } => self.archive(thread, archived, locked)?,
            Command::Rename { channel, name } => self.rename(channel, &name)?,
            Command::DeleteChannel { channel } => self.delete_channel(channel)?,
            Command::Deny { channel, permissions } => self.deny(channel, permissions)?,
            Command::Script { fault } => self.script(fault)?,
            Command::Storm { storm } => self.storm(storm),
            Command::Calm => self.calm(),
            Command::Release { held } => self.release(held),
            Command::CloseConnections { code } => self.close_connections(code),
            Command::CutConnections => self.cut_connections(),
            Command::Reconnect => self.reconnect(),
            Command::InvalidateSessions { resumable } => self.invalidate_sessions(resumable),
            Command::AskHeartbeats => self.ask_heartbeats(),
            Command::Advance { ms } => self.clock().advance(Duration::from_millis(ms)),
            Command::SetClock { unix_ms } => self.clock().set(Duration::from_millis(unix_ms)),
            Command::SetRate { rate } => self.clock().set_rate(rate),
            Command::CreateGuild { .. }
            | Command::CreateChannel { .. }
            | Command::CreateUser { .. }
            | Command::DirectChannel { .. }
            | Command::Say { .. }
            | Command::Ask { .. }
            | Command::CreateThread { .. }
            | Command::Messages { .. } => {}
        }
        Ok(())
    }
}
