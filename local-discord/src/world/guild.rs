//! Guilds, as Discord writes them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::World;
use super::permissions::EVERYBODY;
use crate::id::Id;

#[derive(Clone, Debug)]
pub(crate) struct Guild {
    pub(crate) id: Id,
    pub(crate) name: String,
    /// What everybody may do.
    pub(crate) permissions: u64,
    pub(crate) members: BTreeSet<Id>,
}

impl Guild {
    pub(crate) fn new(id: Id, name: &str, members: BTreeSet<Id>) -> Self {
        Self { id, name: name.to_owned(), permissions: EVERYBODY, members }
    }
}

impl World {
    /// The guild as REST answers it.
    pub(crate) fn guild_json(&self, guild: &Guild) -> Value {
        json!({
            "id": guild.id,
            "name": guild.name,
            "icon": null,
            "description": null,
            "home_header": null,
            "splash": null,
            "discovery_splash": null,
            "features": [],
            "banner": null,
            "owner_id": self.owner,
            "application_id": null,
            "region": "local",
            "afk_channel_id": null,
            "afk_timeout": 300,
            "system_channel_id": null,
            "system_channel_flags": 0,
            "widget_enabled": false,
            "widget_channel_id": null,
            "verification_level": 0,
            "roles": [everybody(guild)],
            "default_message_notifications": 0,
            "mfa_level": 0,
            "explicit_content_filter": 0,
            "max_presences": null,
            "max_members": 500_000,
            "max_stage_video_channel_users": 50,
            "max_video_channel_users": 25,
            "vanity_url_code": null,
            "premium_tier": 0,
            "premium_subscription_count": 0,
            "preferred_locale": "en-US",
            "rules_channel_id": null,
            "safety_alerts_channel_id": null,
            "public_updates_channel_id": null,
            "premium_progress_bar_enabled": false,
            "nsfw": false,
            "nsfw_level": 0,
            "emojis": [],
            "stickers": [],
            "incidents_data": null,
        })
    }

    /// The guild as GUILD_CREATE brings it: with its channels and active threads, and with the bot as its one member, since a list
    /// of all needs an intent that few bots have.
    pub(crate) fn whole_guild_json(&self, guild: &Guild) -> Value {
        let mut json = self.guild_json(guild);
        json["joined_at"] = guild.id.timestamp().into();
        json["large"] = false.into();
        json["unavailable"] = false.into();
        json["member_count"] = guild.members.len().into();
        json["members"] = self.users.get(&self.bot).map(|bot| bot.full_member_json()).into_iter().collect();
        json["channels"] = self.seen(guild.id).filter(|c| c.thread.is_none()).map(|c| self.channel_json(c)).collect();
        json["threads"] = self.active_threads(guild.id).map(|c| self.channel_json(c)).collect();
        for list in ["voice_states", "presences", "stage_instances", "guild_scheduled_events", "soundboard_sounds"] {
            json[list] = json!([]);
        }
        json
    }
}

/// The role of everybody has the guild's id.
fn everybody(guild: &Guild) -> Value {
    json!({
        "id": guild.id,
        "name": "@everyone",
        "permissions": guild.permissions.to_string(),
        "position": 0,
        "color": 0,
        "colors": { "primary_color": 0, "secondary_color": null, "tertiary_color": null },
        "hoist": false,
        "managed": false,
        "mentionable": false,
        "icon": null,
        "unicode_emoji": null,
        "flags": 0,
    })
}
