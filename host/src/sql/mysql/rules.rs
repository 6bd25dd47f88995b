//! What a server's own settings forbid and no session can change, and what else an operator should know of it.

use std::collections::HashMap;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::sql::Obstacles;
use crate::sql::error::{ErrorKind, SqlError};

/// All servers know some of them; what one does not know is left out of its answer.
const SETTINGS: &str = "\
SHOW VARIABLES WHERE variable_name IN ('log_bin', 'binlog_format', 'read_only', 'super_read_only', 'innodb_read_only',
    'innodb_force_recovery', 'innodb_page_size', 'enforce_storage_engine', 'disabled_storage_engines', 'max_allowed_packet')";

/// From this value on InnoDB writes nothing.
const RECOVERY_WITHOUT_WRITES: u64 = 4;

/// The least page on which there is room for a key of two texts of 255 characters of four bytes each.
const LEAST_PAGE: u64 = 16 * 1024;

/// The longest text of a statement, or row, that a backend needs for an operation.
const LEAST_PACKET: u64 = 64 * 1024;

/// A thousand of the longest rows, which imports and migrations send at a time, and what to set for it.
const IMPORT_PACKET: u64 = 4 * 1024 * 1024;
const PACKET: u64 = 16 * 1024 * 1024;

/// A write that the server would refuse, since it writes its log by statements.
pub(super) const LOGS_STATEMENTS: &str = "the server writes its binary log by statements (binlog_format=STATEMENT), \
    and InnoDB \
    refuses every write then: as an administrator, SET GLOBAL binlog_format = 'ROW', also in the server's configuration, and \
    start again";

/// The server's settings, as a new session has them.
pub(super) struct Rules(HashMap<String, String>);

impl Rules {
    /// Asks the server.
    pub async fn ask(connection: &mut Conn) -> mysql_async::Result<Self> {
        let rows: Vec<(String, String)> = connection.query(SETTINGS).await?;
        Ok(Self(rows.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), "ON" | "1")
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }

    /// What is in the way of writes, and of tables that are made or changed.
    pub fn obstacles(&self) -> Obstacles {
        Obstacles { to_writes: self.to_writes(), to_tables: self.to_tables() }
    }

    fn to_writes(&self) -> Option<String> {
        if self.is_on("log_bin") && self.get("binlog_format") == "STATEMENT" {
            return Some(LOGS_STATEMENTS.to_owned());
        }
        if self.is_on("innodb_read_only") {
            return Some("the server runs with innodb_read_only, and accepts no writes: start it without".to_owned());
        }
        match (self.number("innodb_force_recovery"), self.number("max_allowed_packet")) {
            (Some(level), _) if level >= RECOVERY_WITHOUT_WRITES => Some(format!(
                "the server runs with innodb_force_recovery={level}, and accepts no writes: restore it first, and \
                 start it \
                 without"
            )),
            (_, Some(packet)) if packet < LEAST_PACKET => Some(format!(
                "the server's max_allowed_packet is {packet} bytes, less than a statement may need: as an \
                 administrator, SET \
                 GLOBAL max_allowed_packet = {PACKET}, also in the server's configuration, and start again"
            )),
            _ => None,
        }
    }

    fn to_tables(&self) -> Option<String> {
        let enforced = self.get("enforce_storage_engine");
        let is_disabled = |engine: &str| engine.trim().eq_ignore_ascii_case("InnoDB");
        if !enforced.is_empty() && !enforced.eq_ignore_ascii_case("InnoDB") {
            return Some(format!(
                "the server creates all tables with the engine {enforced} (enforce_storage_engine), and the bot's \
                 tables need InnoDB: as an \
                 administrator, SET GLOBAL enforce_storage_engine = NULL, and start again"
            ));
        }
        if self.get("disabled_storage_engines").split(',').any(is_disabled) {
            return Some(
                "the server creates no tables with the engine InnoDB (disabled_storage_engines): start it without that"
                    .to_owned(),
            );
        }
        match self.number("innodb_page_size") {
            None => Some("the server has no InnoDB, which the bot's tables need: start it with the engine".to_owned()),
            Some(page) if page < LEAST_PAGE => Some(format!(
                "the server's pages have {page} bytes (innodb_page_size), and the bot's keys do not fit in them: use \
                 a server that was set up with {LEAST_PAGE} or more; the default is enough"
            )),
            Some(_) => None,
        }
    }

    /// What an operator should know of the server.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.is_on("read_only") || self.is_on("super_read_only") {
            remarks.push("the server is read-only (read_only): writes fail as long as it is".to_owned());
        }
        if let Some(packet) = self.number("max_allowed_packet").filter(|packet| *packet < IMPORT_PACKET) {
            remarks.push(format!(
                "the server's max_allowed_packet is {packet} bytes, and a migration or an import may send \
                 {IMPORT_PACKET} at a \
                 time: SET GLOBAL max_allowed_packet = {PACKET} before one"
            ));
        }
        remarks
    }
}

/// What is refused by a setting of the server.
pub(super) fn refusal(obstacle: impl Into<String>) -> SqlError {
    SqlError::new(ErrorKind::Other, obstacle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(settings: &[(&str, &str)]) -> Rules {
        let usual = [("innodb_page_size", "16384"), ("max_allowed_packet", "67108864"), ("log_bin", "ON")];
        Rules(usual.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_forbids_writes_is_told_by_name() {
        for (setting, name) in [
            (("binlog_format", "STATEMENT"), "binlog_format"),
            (("innodb_read_only", "ON"), "innodb_read_only"),
            (("innodb_force_recovery", "6"), "innodb_force_recovery"),
            (("max_allowed_packet", "1024"), "max_allowed_packet"),
        ] {
            let obstacles = rules(&[setting]).obstacles();
            assert!(obstacles.to_writes.is_some_and(|obstacle| obstacle.contains(name)), "{name}");
        }
        let usual = [("binlog_format", "ROW"), ("innodb_read_only", "OFF"), ("innodb_force_recovery", "3")];
        assert_eq!(rules(&usual).obstacles(), Obstacles::default());
    }

    #[test]
    fn what_forbids_tables_is_told_by_name() {
        for (setting, name) in [
            (("enforce_storage_engine", "MyISAM"), "enforce_storage_engine"),
            (("disabled_storage_engines", "MyISAM, innodb"), "disabled_storage_engines"),
            (("innodb_page_size", "8192"), "innodb_page_size"),
            (("innodb_page_size", ""), "no InnoDB"),
        ] {
            let obstacles = rules(&[setting]).obstacles();
            assert!(obstacles.to_tables.is_some_and(|obstacle| obstacle.contains(name)), "{name}");
        }
        for setting in [("enforce_storage_engine", "InnoDB"), ("innodb_page_size", "65536")] {
            assert_eq!(rules(&[setting]).obstacles(), Obstacles::default());
        }
    }
}
