//! What a server says of itself and of a new connection, asked once when the connection is opened.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};

/// What a session needs beyond the server's defaults, so that it means the same on every server. MySQL 8 and
/// MariaDB 10 know these modes, and both refuse what does not fit instead of changing it.
const SESSION: [&str; 2] = [
    "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// A host that hangs in the middle of a transaction keeps its locks no longer than this, in seconds, where others may go on.
/// Between two statements of a transaction a backend takes milliseconds. MySQL has nothing like it.
const MARIADB_SESSION: &str = "SET SESSION idle_transaction_timeout = 10";

/// On a node of a cluster: a read waits until the node has everything that was committed before it anywhere, so that a
/// write that was answered on one node is seen on all.
const CLUSTER_SESSION: &str = "SET SESSION wsrep_sync_wait = 1";

/// Empty on a server without Galera's library. MySQL and MariaDB keep these values in different tables and SHOW them in the
/// same way. It makes the server gather all of its status, which takes a millisecond.
const STATUS: &str = "SHOW GLOBAL STATUS LIKE 'wsrep\\_%'";

/// MySQL's super_read_only implies read_only.
const SELF: &str = "SELECT VERSION(), @@global.read_only";

/// As [`SELF`], and whether it may be a node. MySQL does not know the variable, nor does a MariaDB that was built without
/// Galera.
const MARIADB_SELF: &str = "SELECT VERSION(), @@global.read_only, @@global.wsrep_on";

/// The server's word for a variable that it does not know.
const UNKNOWN_VARIABLE: u16 = 1193;

/// A server, and how it sees a connection.
pub(super) struct Node {
    /// As it says it.
    pub version: String,
    /// The client's address and port as the server sees them. Together with the connection's number they name a session
    /// for good: numbers begin anew when a server is started again.
    pub client: Option<String>,
    /// Where it is a node of a Galera cluster.
    pub member: Option<Member>,
    /// Why it is of no use, if it is of none.
    pub problem: Option<&'static str>,
}

/// A node of a Galera cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The cluster's own id.
    pub cluster: String,
    /// How the cluster calls the node, where no other node is called the same.
    pub address: Option<String>,
}

impl Node {
    /// Asks the server, and makes the session what it has to be.
    pub async fn meet(connection: &mut Conn) -> mysql_async::Result<Self> {
        let (version, read_only, may_be_node) = Self::ask(connection).await?;
        let status = if may_be_node { Status::read(connection).await? } else { Status(Vec::new()) };
        let own = u64::from(connection.id());
        let client = sessions(connection).await?.into_iter().find(|(id, _)| *id == own).map(|(_, client)| client);
        for text in SESSION {
            connection.query_drop(text).await?;
        }
        if version.contains("MariaDB") {
            match connection.query_drop(MARIADB_SESSION).await {
                // Before 10.3.
                Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => {}
                result => result?,
            }
        }
        if status.is_node() {
            connection.query_drop(CLUSTER_SESSION).await?;
        }
        let problem = status.problem().or(read_only.then_some("it is read-only"));
        Ok(Self { version, client, member: status.member(), problem })
    }

    /// Its version, whether it is read-only, and whether it may be a node of a cluster.
    async fn ask(connection: &mut Conn) -> mysql_async::Result<(String, bool, bool)> {
        // Their numbers begin with 10, MySQL's end with 9 so far.
        let mut row: Option<Row> = None;
        if connection.server_version().0 >= 10 {
            row = match connection.query_first(MARIADB_SELF).await {
                Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => None,
                result => result?,
            };
        }
        if row.is_none() {
            row = connection.query_first(SELF).await?;
        }
        let mut value = |index| row.as_mut().and_then(|row| text(row, index));
        let is_on = |value: Option<String>| value.as_deref() == Some("1");
        let (version, read_only, wsrep_on) = (value(0).unwrap_or_default(), is_on(value(1)), value(2));
        // Percona's clusters are MySQL.
        let may_be_node = is_on(wsrep_on) || !version.contains("MariaDB");
        Ok((version, read_only, may_be_node))
    }
}

/// The sessions that the account may see, which its own are always among: the connection's number, and the client's
/// address and port. The table in information_schema says the same in twenty times the time.
pub(super) async fn sessions(connection: &mut Conn) -> mysql_async::Result<Vec<(u64, String)>> {
    let rows: Vec<Row> = connection.query("SHOW PROCESSLIST").await?;
    let session = |mut row: Row| Some((text(&mut row, 0)?.parse().ok()?, text(&mut row, 2)?));
    Ok(rows.into_iter().filter_map(session).collect())
}

/// The members of the cluster that this connection's server belongs to, as far as they have names; `None` where it is
/// not part of a working cluster.
pub(super) async fn members(connection: &mut Conn) -> mysql_async::Result<Option<Vec<String>>> {
    let status = Status::read(connection).await?;
    Ok(status.problem().is_none().then(|| status.addresses().map(str::to_owned).collect()))
}

/// A value of a row as text; none where it is NULL, no text, or not there.
fn text(row: &mut Row, index: usize) -> Option<String> {
    row.take_opt(index)?.ok()
}

/// The rows of [`STATUS`].
struct Status(Vec<(String, String)>);

impl Status {
    async fn read(connection: &mut Conn) -> mysql_async::Result<Self> {
        let rows: Vec<Row> = connection.query(STATUS).await?;
        Ok(Self(rows.into_iter().filter_map(|mut row| Some((text(&mut row, 0)?, text(&mut row, 1)?))).collect()))
    }

    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(variable, _)| variable.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A server that merely has Galera's library says Disconnected and OFF, and has no cluster.
    fn is_node(&self) -> bool {
        !self.get("wsrep_cluster_state_uuid").is_empty()
    }

    fn problem(&self) -> Option<&'static str> {
        if !self.is_node() {
            return None;
        }
        // A node that has lost the others says Initialized, one that catches up Joining or Joined, one that feeds
        // another Donor/Desynced.
        match self.get("wsrep_local_state_comment") {
            _ if !self.get("wsrep_cluster_status").eq_ignore_ascii_case("Primary") => {
                Some("it is a Galera node without the cluster's majority")
            }
            "Synced" if self.get("wsrep_ready").eq_ignore_ascii_case("ON") => None,
            "Synced" => Some("it is a Galera node that is not ready"),
            _ => Some("it is a Galera node that is not synced with the others"),
        }
    }

    fn addresses(&self) -> impl Iterator<Item = &str> {
        self.get("wsrep_incoming_addresses").split(',').map(str::trim)
    }

    fn member(&self) -> Option<Member> {
        if !self.is_node() {
            return None;
        }
        let own = self.get("wsrep_local_index").parse().ok().and_then(|index| self.addresses().nth(index));
        // AUTO is what a node says that could not find out.
        let is_unique = |own: &&str| !own.is_empty() && self.addresses().filter(|other| other == own).count() == 1;
        Some(Member {
            cluster: self.get("wsrep_cluster_state_uuid").to_owned(),
            address: own.filter(is_unique).filter(|own| !own.eq_ignore_ascii_case("AUTO")).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rows: &[(&str, &str)]) -> Status {
        let synced = [
            ("wsrep_ready", "ON"),
            ("wsrep_local_state_comment", "Synced"),
            ("wsrep_cluster_status", "Primary"),
            ("wsrep_cluster_state_uuid", "c"),
            ("wsrep_local_index", "1"),
            ("wsrep_incoming_addresses", "10.0.0.1:3306,10.0.0.2:3306,10.0.0.3:3306"),
        ];
        Status(rows.iter().chain(&synced).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_node_is_passed_over_unless_it_is_synced_ready_and_in_the_majority() {
        assert_eq!(status(&[]).problem(), None);
        for (rows, part) in [
            (&[("wsrep_local_state_comment", "Donor/Desynced")][..], "not synced"),
            (&[("wsrep_local_state_comment", "Initialized"), ("wsrep_cluster_status", "non-Primary")], "majority"),
            (&[("wsrep_local_state_comment", "Joined")], "not synced"),
            (&[("wsrep_ready", "OFF")], "not ready"),
        ] {
            let problem = status(rows).problem().unwrap();
            assert!(problem.contains(part), "{rows:?}: {problem}");
        }
    }

    #[test]
    fn a_server_without_a_cluster_has_no_problem_and_no_member() {
        for rows in [vec![], vec![("wsrep_ready".to_owned(), "OFF".to_owned())]] {
            let status = Status(rows);
            assert_eq!((status.problem(), status.member()), (None, None));
        }
    }

    #[test]
    fn a_member_has_an_address_where_that_tells_it_from_the_others() {
        let address = |rows| status(rows).member().unwrap().address;
        assert_eq!(address(&[]).as_deref(), Some("10.0.0.2:3306"));
        assert_eq!(address(&[("wsrep_incoming_addresses", "AUTO,AUTO,AUTO")]), None);
        assert_eq!(address(&[("wsrep_incoming_addresses", "a:1,AUTO,b:1")]), None);
        assert_eq!(address(&[("wsrep_incoming_addresses", "a:1,a:1")]), None);
        assert_eq!(address(&[("wsrep_local_index", "7")]), None);
        assert_eq!(address(&[("wsrep_local_index", "18446744073709551615")]), None);
    }
}
