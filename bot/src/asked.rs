//! A message, as far as the bot looks at one.

use twilight_model::channel::Message;
use twilight_model::channel::message::MessageType;

use crate::api::MOST_NAME;
use crate::ids::{ChannelId, GuildId, MessageId, UserId};

/// A message that may be for the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The message.
    pub id: MessageId,
    /// The channel or thread that it is in.
    pub channel: ChannelId,
    /// The server, where the event says it.
    pub guild: Option<GuildId>,
    /// Who wrote it.
    pub author: UserId,
    /// The name of who wrote it.
    pub name: String,
    /// What was written.
    pub content: String,
    /// Whether it mentions the bot.
    pub is_mention: bool,
}

impl Asked {
    /// The message, unless a person did not write it: the bot answers neither itself nor other bots, webhooks or Discord.
    pub fn of(me: UserId, message: &Message) -> Option<Self> {
        let author = &message.author;
        let is_person = !author.bot && !author.system.unwrap_or(false) && author.id != me;
        let is_text = matches!(message.kind, MessageType::Regular | MessageType::Reply);
        (is_person && is_text && message.webhook_id.is_none()).then(|| Self {
            id: message.id,
            channel: message.channel_id,
            guild: message.guild_id,
            author: author.id,
            name: author.global_name.clone().unwrap_or_else(|| author.name.clone()),
            content: message.content.clone(),
            is_mention: message.mentions.iter().any(|user| user.id == me),
        })
    }

    /// What is asked, without the mention of the bot around it.
    pub fn question(&self, me: UserId) -> &str {
        let mentions = [format!("<@{me}>"), format!("<@!{me}>")];
        let mut text = self.content.trim();
        while let Some(rest) = mentions
            .iter()
            .find_map(|mention| text.strip_prefix(mention.as_str()).or_else(|| text.strip_suffix(mention.as_str())))
        {
            text = rest.trim();
        }
        text
    }

    /// What its thread is called: the beginning of the question.
    pub fn thread_name(&self, me: UserId) -> String {
        let question = self.question(me).split_whitespace().collect::<Vec<_>>().join(" ");
        if question.is_empty() {
            return self.name.chars().take(MOST_NAME).collect();
        }
        if question.chars().count() <= MOST_NAME {
            return question;
        }
        let cut: String = question.chars().take(MOST_NAME - 1).collect();
        let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole);
        format!("{whole}…")
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::id::Id;

    use super::*;

    fn asked(content: &str) -> Asked {
        Asked {
            id: Id::new(10),
            channel: Id::new(1),
            guild: None,
            author: Id::new(5),
            name: "ada".into(),
            content: content.into(),
            is_mention: true,
        }
    }

    #[test]
    fn a_question_is_without_the_mention_around_it() {
        let me = Id::new(9);
        for content in ["<@9> why? ", "<@!9>why?", " why? <@9>", "<@9> <@9> why?"] {
            assert_eq!(asked(content).question(me), "why?");
        }
        assert_eq!(asked("ask <@9> why").question(me), "ask <@9> why");
        assert_eq!(asked("<@9>").question(me), "");
    }

    #[test]
    fn a_thread_is_called_after_the_question() {
        let me = Id::new(9);
        assert_eq!(asked("<@9> why\n is   that?").thread_name(me), "why is that?");
        assert_eq!(asked("<@9>").thread_name(me), "ada");
        let long = asked(&"word ".repeat(50)).thread_name(me);
        assert!(long.chars().count() <= MOST_NAME && long.ends_with("word…"), "{long}");
        assert_eq!(asked(&"ü".repeat(500)).thread_name(me).chars().count(), MOST_NAME);
    }
}
