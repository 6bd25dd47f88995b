//! What a session is set to, so that a statement means the same on every server.
//!
//! A session begins with the server's global values, and what `init_connect` makes of them. `docs/mysql-servers.md` goes
//! through all variables that a session inherits, and says why each is set, or why it is not.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::family::Family;

/// The server's word for a variable that it does not know.
pub(super) const UNKNOWN_VARIABLE: u16 = 1193;

/// A server closes a connection that is idle for `wait_timeout`. The pool's own limit comes before, by this much.
const BEYOND_IDLE: Duration = Duration::from_secs(60);

/// The greatest `wait_timeout` that all servers take on all systems.
const LONGEST_WAIT: u64 = 2_147_483;

/// Puts back how long a statement waits for others who use its table.
pub(super) const LOCK_WAIT_AS_BEFORE: &str = "SET SESSION lock_wait_timeout = 86400";

/// Which servers have a variable. Where a version is given, those from that one on, as far as it is known: one that has it
/// not is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    All,
    Mysql,
    MariaDb(u16, u16),
    /// Nodes of a Galera cluster.
    Cluster,
}

/// What becomes of a connection whose account may not set a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// It is of no use: operations would mean something else.
    Must,
    /// It works, though a limit or a word of the server's may come in its way.
    Wish,
}

use Need::{Must, Wish};

/// A variable, the value that it gets, which servers have it, and whether a session is of use without.
type Setting = (&'static str, &'static str, On, Need);

/// Variables that were renamed, and what older versions of MariaDB call them.
const TRANSACTION_ISOLATION: (&str, &str) = ("transaction_isolation", "tx_isolation");
const TRANSACTION_READ_ONLY: (&str, &str) = ("transaction_read_only", "tx_read_only");

/// The first version with the newer names.
const RENAMED: Family = Family::MariaDb((11, 1));

const SETTINGS: &[Setting] = &[
    ("autocommit", "1", On::All, Must),
    ("completion_type", "'NO_CHAIN'", On::All, Must),
    (TRANSACTION_ISOLATION.0, "'READ-COMMITTED'", On::All, Must),
    (TRANSACTION_READ_ONLY.0, "0", On::All, Must),
    // Both kinds of server know these modes, and refuse with them what does not fit instead of changing it.
    ("sql_mode", "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'", On::All, Must),
    ("time_zone", "'+00:00'", On::All, Must),
    ("sql_select_limit", "18446744073709551615", On::All, Must),
    ("max_join_size", "18446744073709551615", On::All, Must),
    // After max_join_size, which changes it.
    ("sql_big_selects", "1", On::All, Must),
    ("sql_safe_updates", "0", On::All, Must),
    ("sql_auto_is_null", "0", On::All, Must),
    ("group_concat_max_len", "1048576", On::All, Must),
    ("max_sort_length", "4096", On::All, Must),
    ("unique_checks", "1", On::All, Must),
    ("foreign_key_checks", "1", On::All, Must),
    ("check_constraint_checks", "1", On::MariaDb(10, 3), Must),
    ("div_precision_increment", "4", On::All, Wish),
    ("default_week_format", "0", On::All, Wish),
    ("lc_time_names", "'en_US'", On::All, Wish),
    // What is told from a message, and what is left out of it, is told from the English one.
    ("lc_messages", "'en_US'", On::All, Wish),
    ("default_storage_engine", "InnoDB", On::All, Wish),
    ("block_encryption_mode", "'aes-128-ecb'", On::Mysql, Wish),
    ("block_encryption_mode", "'aes-128-ecb'", On::MariaDb(11, 2), Wish),
    ("character_set_collations", "''", On::MariaDb(11, 2), Wish),
    ("cte_max_recursion_depth", "1000", On::Mysql, Wish),
    ("max_recursive_iterations", "1000", On::MariaDb(10, 3), Wish),
    ("standard_compliant_cte", "1", On::MariaDb(10, 3), Wish),
    ("default_regex_flags", "''", On::MariaDb(10, 3), Wish),
    ("old_mode", "''", On::MariaDb(10, 3), Wish),
    // DEFAULT is the present here, not the global value.
    ("system_versioning_asof", "DEFAULT", On::MariaDb(10, 4), Must),
    ("sql_if_exists", "0", On::MariaDb(10, 6), Must),
    ("alter_algorithm", "'DEFAULT'", On::MariaDb(10, 4), Must),
    ("innodb_strict_mode", "1", On::MariaDb(10, 3), Wish),
    ("query_cache_type", "0", On::MariaDb(10, 3), Wish),
    ("information_schema_stats_expiry", "0", On::Mysql, Wish),
    ("max_execution_time", "0", On::Mysql, Must),
    ("max_statement_time", "0", On::MariaDb(10, 3), Must),
    ("lock_wait_timeout", "86400", On::All, Wish),
    // As the server has it, but neither none at all nor longer than its own default.
    (
        "innodb_lock_wait_timeout",
        "CAST(GREATEST(LEAST(@@SESSION.innodb_lock_wait_timeout, 50), 1) AS UNSIGNED)",
        On::All,
        Wish,
    ),
    ("net_read_timeout", "60", On::All, Wish),
    ("net_write_timeout", "60", On::All, Wish),
    // A host that hangs in the middle of a transaction keeps its locks no longer than this, in seconds, where others may
    // go on. Between two statements of a transaction a backend takes milliseconds. MySQL has nothing like it.
    ("idle_transaction_timeout", "10", On::MariaDb(10, 3), Wish),
    ("idle_readonly_transaction_timeout", "0", On::MariaDb(10, 3), Wish),
    ("idle_write_transaction_timeout", "0", On::MariaDb(10, 3), Wish),
    ("sort_buffer_size", "2097152", On::All, Wish),
    ("tmp_disk_table_size", "18446744073709551615", On::MariaDb(10, 3), Wish),
    ("max_session_mem_used", "9223372036854775807", On::MariaDb(10, 3), Wish),
    // A read waits until the node has everything that was committed before it anywhere, so that a write that was answered
    // on one node is seen on all.
    ("wsrep_sync_wait", "1", On::Cluster, Must),
    ("wsrep_dirty_reads", "0", On::Cluster, Wish),
    // A change of the schema is one of the whole cluster.
    ("wsrep_osu_method", "'TOI'", On::Cluster, Wish),
];

impl On {
    fn has(self, family: Family, is_node: bool) -> bool {
        match (self, family) {
            (Self::All, _) | (Self::Mysql, Family::Mysql) => true,
            (Self::MariaDb(major, minor), Family::MariaDb(version)) => version >= (major, minor),
            (Self::Cluster, _) => is_node,
            (Self::Mysql | Self::MariaDb(..), _) => false,
        }
    }
}

/// How a session is set.
pub(super) struct Session<'a> {
    pub family: Family,
    pub is_node: bool,
    /// How long the pool keeps a connection that nobody uses.
    pub idle: Duration,
    /// Variables that this server did not let be set. They are not tried again.
    pub skipped: &'a mut Vec<&'static str>,
}

impl Session<'_> {
    /// Sets everything in one statement.
    ///
    /// # Errors
    ///
    /// The server does not let the account set what operations rely on.
    pub async fn set(mut self, connection: &mut Conn) -> mysql_async::Result<()> {
        loop {
            let settings = self.settings();
            let error = match connection.query_drop(self.text(&settings)).await {
                Err(Error::Server(error)) => error,
                result => return result,
            };
            let unknown = settings
                .iter()
                .find(|setting| error.code == UNKNOWN_VARIABLE && error.message.contains(&format!("'{}'", setting.0)));
            match unknown {
                Some(setting) => self.skip(setting.0, &error),
                None if self.find_refused(connection).await? => {}
                None => return Err(Error::Server(error)),
            }
        }
    }

    /// Sets one after the other, to find out which of them the server refuses, and whether there are any.
    async fn find_refused(&mut self, connection: &mut Conn) -> mysql_async::Result<bool> {
        connection.query_drop(self.text(&[])).await?;
        let mut any = false;
        for (name, value, _, need) in self.settings() {
            match connection.query_drop(format!("SET SESSION {name} = {value}")).await {
                Err(Error::Server(error)) if need == Wish || error.code == UNKNOWN_VARIABLE => {
                    self.skip(name, &error);
                    any = true;
                }
                Err(Error::Server(mut error)) => {
                    error.message = format!("the session's {name} cannot be set to {value}: {}", error.message);
                    return Err(Error::Server(error));
                }
                result => result?,
            }
        }
        Ok(any)
    }

    fn skip(&mut self, name: &'static str, error: &mysql_async::ServerError) {
        match error.code {
            UNKNOWN_VARIABLE => tracing::debug!(name, "the server does not know a variable of the session"),
            code => tracing::warn!(name, code, "the server does not let the account set a variable of its session"),
        }
        self.skipped.push(name);
    }

    fn settings(&self) -> Vec<Setting> {
        let known = SETTINGS.iter().filter(|setting| setting.2.has(self.family, self.is_node));
        known.filter_map(|&(name, value, on, need)| Some((self.known_as(name)?, value, on, need))).collect()
    }

    /// What the server calls a variable, as far as is known; none where it is not to be set.
    fn known_as(&self, name: &'static str) -> Option<&'static str> {
        let is_old = self.family.is_before(RENAMED);
        let names = match [TRANSACTION_ISOLATION, TRANSACTION_READ_ONLY].into_iter().find(|names| names.0 == name) {
            Some((newer, older)) if is_old => [older, newer],
            Some((newer, older)) => [newer, older],
            None => [name, name],
        };
        names.into_iter().find(|name| !self.skipped.contains(name))
    }

    /// Without the word SESSION some would hold for the next transaction alone. The collation is named, since the default of a character set is a variable too. This one compares bytes, on every
    /// server.
    fn text(&self, settings: &[Setting]) -> String {
        let wait = (self.idle + BEYOND_IDLE).as_secs().min(LONGEST_WAIT);
        let mut text = format!("SET NAMES utf8mb4 COLLATE utf8mb4_bin, SESSION wait_timeout = {wait}");
        for (name, value, ..) in settings {
            text += &format!(", SESSION {name} = {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(family: Family, is_node: bool) -> Vec<&'static str> {
        let session = Session { family, is_node, idle: Duration::ZERO, skipped: &mut Vec::new() };
        session.settings().iter().map(|setting| setting.0).collect()
    }

    #[test]
    fn a_variable_is_set_once_on_every_server() {
        for family in [Family::Mysql, Family::MariaDb((10, 3)), Family::MariaDb((10, 11)), Family::MariaDb((11, 8))] {
            let names = names(family, true);
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{family:?}: {names:?}");
            let isolation = names.iter().filter(|name| name.ends_with("_isolation")).count();
            assert_eq!(isolation, 1, "{family:?}");
        }
    }

    #[test]
    fn a_server_is_set_what_it_has() {
        let mysql = names(Family::Mysql, false);
        assert!(mysql.contains(&"max_execution_time") && mysql.contains(&"transaction_isolation"));
        assert!(!mysql.contains(&"max_statement_time") && !mysql.contains(&"wsrep_sync_wait"));
        let old = names(Family::MariaDb((10, 3)), true);
        assert!(old.contains(&"tx_isolation") && !old.contains(&"sql_if_exists") && old.contains(&"wsrep_sync_wait"));
        assert!(names(Family::MariaDb((11, 4)), false).contains(&"transaction_isolation"));
    }

    #[test]
    fn a_renamed_variable_is_set_by_the_name_that_the_server_knows() {
        let mut skipped = vec!["transaction_isolation"];
        let family = Family::MariaDb((11, 8));
        let session = Session { family, is_node: false, idle: Duration::ZERO, skipped: &mut skipped };
        assert_eq!(session.known_as("transaction_isolation"), Some("tx_isolation"));
        assert_eq!(session.known_as("transaction_read_only"), Some("transaction_read_only"));
    }

    #[test]
    fn the_server_keeps_an_idle_connection_longer_than_the_pool() {
        let text = |idle| Session { family: Family::Mysql, is_node: false, idle, skipped: &mut Vec::new() }.text(&[]);
        assert!(text(Duration::from_secs(600)).ends_with("wait_timeout = 660"));
        assert!(text(Duration::MAX / 2).ends_with("wait_timeout = 2147483"));
    }

    #[test]
    fn the_wait_for_a_table_is_put_back_to_what_it_was() {
        let setting = SETTINGS.iter().find(|setting| setting.0 == "lock_wait_timeout").unwrap();
        assert_eq!(LOCK_WAIT_AS_BEFORE, format!("SET SESSION {} = {}", setting.0, setting.1));
    }
}
