//! Writing to a second database.

use super::{Reader, shown};
use crate::config::{ConfigError, DatabaseConfig, MirrorConfig, Passwords, Spec};
use crate::files::FileUse;

const NAME: &str = "COFFERDAM_MIRROR";
const PASSWORDS: Passwords = Passwords { value: "COFFERDAM_MIRROR_PASSWORD", file: "COFFERDAM_MIRROR_PASSWORD_FILE" };

impl Reader<'_> {
    /// `own` is the database of the bot, which cannot be its own mirror.
    pub(super) fn mirror(&mut self, own: &DatabaseConfig) -> Option<MirrorConfig> {
        let shadow_reads = self.shadow_reads();
        let text = self.text(NAME)?;
        let spec = match Spec::parse(&text) {
            Ok(spec) => spec,
            Err(error) => {
                self.wrong_value(NAME, format!("names no database: {error}"));
                return None;
            }
        };
        let mut config = match spec.config(PASSWORDS, FileUse::Database, self.lookup) {
            Ok(config) => config,
            Err(ConfigError(mistakes)) => {
                // What both have in common is told once.
                let new: Vec<_> = mistakes.into_iter().filter(|mistake| !self.mistakes.contains(mistake)).collect();
                new.into_iter().for_each(|mistake| self.wrong(NAME, format!("cannot be used: {mistake}")));
                return None;
            }
        };
        if own.is_same(&config.database) {
            self.wrong(NAME, "names the bot's own database: name another one, or leave it unset");
        }
        // It is that of the bot's own database.
        config.last_good_plugin = None;
        Some(MirrorConfig { config: Box::new(config), name: spec.to_string(), shadow_reads })
    }

    fn shadow_reads(&mut self) -> f64 {
        const NAME: &str = "COFFERDAM_SHADOW_READS";
        let text = self.text_or_default(NAME);
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => share,
            _ => {
                self.wrong(
                    NAME,
                    format!("is {}: it must be a share, 0 for none to 1 for all, such as 0.01", shown(&text)),
                );
                0.0
            }
        }
    }
}
