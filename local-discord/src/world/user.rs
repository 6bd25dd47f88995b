//! Users, as Discord writes them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id::Id;

/// What kind of user it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A human.
    #[default]
    Person,
    /// Another bot.
    Bot,
    /// A webhook, which speaks and is no member.
    Webhook,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl User {
    pub(crate) fn new(id: Id, name: &str, kind: Kind) -> Self {
        Self { id, name: name.to_owned(), kind }
    }

    /// The user as an author.
    pub(crate) fn json(&self) -> Value {
        let mut user = json!({
            "id": self.id,
            "username": self.name,
            "avatar": null,
            "discriminator": "0",
            "public_flags": 0,
            "flags": 0,
            "global_name": null,
            "primary_guild": null,
        });
        if self.kind != Kind::Person {
            user["bot"] = true.into();
            user["discriminator"] = if self.kind == Kind::Webhook { "0000" } else { "0001" }.into();
        }
        user
    }

    /// The user as itself.
    pub(crate) fn current_json(&self) -> Value {
        let mut user = self.json();
        user["mfa_enabled"] = true.into();
        user["locale"] = "en-US".into();
        user["verified"] = true.into();
        user["email"] = Value::Null;
        user
    }

    /// The user as a member of a guild, without the user itself.
    pub(crate) fn member_json(&self) -> Value {
        json!({
            "avatar": null,
            "banner": null,
            "communication_disabled_until": null,
            "flags": 0,
            "joined_at": self.id.timestamp(),
            "nick": null,
            "pending": false,
            "premium_since": null,
            "roles": [],
            "mute": false,
            "deaf": false,
        })
    }

    /// The user as a member of a guild.
    pub(crate) fn full_member_json(&self) -> Value {
        let mut member = self.member_json();
        member["user"] = self.json();
        member
    }
}
