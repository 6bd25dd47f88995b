//! What a server says of itself and of a new connection, asked once when the connection is opened.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};

use super::family::Family;
use super::session::{Session, UNKNOWN_VARIABLE};

/// Empty on a server without Galera's library. MySQL and MariaDB keep these values in different tables and SHOW them in the
/// same way. It makes the server gather all of its status, which takes a millisecond.
const STATUS: &str = "SHOW GLOBAL STATUS LIKE 'wsrep\\_%'";

/// What is asked of every server. The session has its global values still: without its own limit, `sql_select_limit` may leave
/// no row. MariaDB alone executes the second comment. MySQL's super_read_only implies read_only.
const SELF: [&str; 2] = [
    "SELECT /*+ MAX_EXECUTION_TIME(60000) */ VERSION(), 1 /*M! + 1 */, @@global.read_only, @@global.init_connect <> '', DATABASE(), \
     @@global.log_bin, @@session.binlog_format",
    " LIMIT 1",
];

/// And whether it may be a node. MySQL does not know the variable, nor does a MariaDB that was built without Galera.
const SELF_ON_MARIADB: &str = ", @@global.wsrep_on";

/// What every server can say, also a later one that has no `binlog_format` any more.
const LEAST_OF_SELF: &str =
    "SELECT VERSION(), 1 /*M! + 1 */, @@global.read_only, @@global.init_connect <> '', DATABASE() LIMIT 1";

/// A server, and how it sees a connection.
pub(super) struct Node {
    /// As it says it.
    pub version: String,
    /// Who made it.
    pub family: Family,
    /// The client's address and port as the server sees them. Together with the connection's number they name a session
    /// for good: numbers begin anew when a server is started again.
    pub client: Option<String>,
    /// Where it is a node of a Galera cluster.
    pub member: Option<Member>,
    /// Why it is of no use, if it is of none.
    pub problem: Option<&'static str>,
    /// Whether the session's writes go to the binary log as statements, which InnoDB refuses at the isolation of ours.
    pub logs_statements: bool,
    /// How long it took to answer a statement without work.
    pub round_trip: Duration,
}

/// What a connection is opened for.
pub(super) struct Purpose<'a> {
    /// The database that it is to be in.
    pub database: &'a str,
    /// How long the pool keeps it when nobody uses it.
    pub idle: Duration,
    /// Variables that the server did not let be set, and more of them afterwards.
    pub skipped: &'a mut Vec<&'static str>,
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
    pub async fn meet(connection: &mut Conn, purpose: Purpose<'_>) -> mysql_async::Result<Self> {
        let said = Said::ask(connection).await?;
        if said.has_init_connect {
            // It may have left a transaction, locks, temporary tables or an id for the next row. The server does not run it
            // again here.
            connection.reset().await?;
        }
        if said.has_init_connect || said.database.as_deref() != Some(purpose.database) {
            connection.query_drop(format!("USE `{}`", purpose.database.replace('`', "``"))).await?;
        }
        let status = if said.may_be_node { Status::read(connection).await? } else { Status(Vec::new()) };
        let is_node = status.is_node();
        // A node that lacks the others answers at once as long as its reads do not wait for them.
        let mut client = if is_node { own_client(connection).await? } else { None };
        let session = Session { family: said.family, is_node, idle: purpose.idle, skipped: purpose.skipped };
        let asked = Instant::now();
        session.set(connection).await?;
        let round_trip = asked.elapsed();
        let logs_statements = said.logs_statements && !logs_rows_instead(connection).await?;
        if !is_node {
            client = own_client(connection).await?;
        }
        let problem = status.problem().or(said.is_read_only.then_some("it is read-only"));
        Ok(Self {
            version: said.version,
            family: said.family,
            client,
            member: status.member(),
            problem,
            logs_statements,
            round_trip,
        })
    }
}

/// The client's address and port as the server sees them.
async fn own_client(connection: &mut Conn) -> mysql_async::Result<Option<String>> {
    let own = u64::from(connection.id());
    Ok(sessions(connection).await?.into_iter().find(|(id, _)| *id == own).map(|(_, client)| client))
}

/// Whether the account may have the session write its binary log by rows, as an administrator's may.
async fn logs_rows_instead(connection: &mut Conn) -> mysql_async::Result<bool> {
    match connection.query_drop("SET SESSION binlog_format = 'ROW'").await {
        Ok(()) => Ok(true),
        Err(Error::Server(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a server says of itself.
struct Said {
    version: String,
    family: Family,
    is_read_only: bool,
    has_init_connect: bool,
    database: Option<String>,
    may_be_node: bool,
    logs_statements: bool,
}

impl Said {
    async fn ask(connection: &mut Conn) -> mysql_async::Result<Self> {
        let mut row = None;
        // Their numbers begin with 10, MySQL's end with 9 so far.
        if connection.server_version().0 >= 10 {
            row = first(connection, &SELF.join(SELF_ON_MARIADB)).await?;
        }
        if row.is_none() {
            row = first(connection, &SELF.concat()).await?;
        }
        let row = match row {
            None => first(connection, LEAST_OF_SELF).await?,
            row => row,
        };
        Ok(row.map_or_else(|| Self::read(|_| None), |mut row| Self::read(|index| text(&mut row, index))))
    }

    fn read(mut value: impl FnMut(usize) -> Option<String>) -> Self {
        let mut version = value(0).unwrap_or_default();
        // A server can be told to call itself otherwise.
        let is_mariadb = value(1).as_deref() == Some("2");
        if is_mariadb && !version.contains("MariaDB") {
            version += "-MariaDB";
        }
        let mut is_on = |index| value(index).as_deref() == Some("1");
        let (is_read_only, has_init_connect, logs) = (is_on(2), is_on(3), is_on(5));
        Self {
            family: if is_mariadb { Family::MariaDb(numbers(&version)) } else { Family::Mysql },
            is_read_only,
            has_init_connect,
            database: value(4),
            // Percona's clusters are MySQL.
            may_be_node: !is_mariadb || value(7).is_none_or(|is_on| is_on == "1"),
            logs_statements: logs && value(6).as_deref() == Some("STATEMENT"),
            version,
        }
    }
}

/// The first two numbers of a version. Before 10 MariaDB was no MariaDB of ours: who says so calls itself otherwise.
fn numbers(version: &str) -> (u16, u16) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or_default());
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if major < 10 { (10, 6) } else { (major, minor) }
}

/// The first row; none where the server does not know one of the variables.
async fn first(connection: &mut Conn, query: &str) -> mysql_async::Result<Option<Row>> {
    match connection.query_first(query).await {
        Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => Ok(None),
        result => result,
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

    fn said(values: &[&str]) -> Said {
        Said::read(|index| values.get(index).filter(|value| !value.is_empty()).map(|value| (*value).to_owned()))
    }

    #[test]
    fn a_mariadb_is_known_whatever_it_calls_itself() {
        let mariadb = said(&["10.11.6-MariaDB-1", "2", "0", "0", "d", "1", "MIXED", "1"]);
        assert_eq!((mariadb.family, mariadb.may_be_node), (Family::MariaDb((10, 11)), true));
        let disguised = said(&["8.0.36", "2"]);
        assert_eq!((disguised.family, disguised.version.as_str()), (Family::MariaDb((10, 6)), "8.0.36-MariaDB"));
        let mysql = said(&["8.4.3", "1", "0", "0", "d", "1", "ROW"]);
        assert_eq!((mysql.family, mysql.may_be_node, mysql.logs_statements), (Family::Mysql, true, false));
    }

    #[test]
    fn statements_in_a_log_matter_where_there_is_a_log() {
        assert!(said(&["8.4.3", "1", "0", "0", "d", "1", "STATEMENT"]).logs_statements);
        assert!(!said(&["8.4.3", "1", "0", "0", "d", "0", "STATEMENT"]).logs_statements);
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
