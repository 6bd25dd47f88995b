//! A Galera cluster of three MariaDB servers of one's own.
//!
//! Each node ends with this process, as any [`MariaDb`] does. Ports are free ones, so that several clusters can run.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::config::{HostPort, MysqlConfig};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::mariadb::{Launch, MariaDb, PASSWORD, USER, find_program, in_memory, template, user_name};
use super::mysql;
use super::ports;
use super::wait::until;

/// How many nodes there are.
pub const NODES: usize = 3;

/// The longest that a node may take until it is synced, so that a test ends.
const SYNCING: Duration = Duration::from_secs(120);

const PORT_ATTEMPTS: u32 = 5;

const LIBRARY: &str = "/usr/lib/galera/libgalera_smm.so";

/// Three nodes with the same data. They end, and their folders go, when this is dropped or this process ends.
pub struct Galera {
    nodes: Vec<MariaDb>,
    places: Vec<Place>,
}

/// The ports of a node.
struct Place {
    port: u16,
    group: u16,
    incremental: u16,
    transfer: u16,
}

impl Galera {
    /// The cluster that all tests of this process take turns with.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn shared() -> Result<MutexGuard<'static, Self>> {
        static SHARED: OnceCell<Mutex<Galera>> = OnceCell::const_new();
        Ok(SHARED.get_or_try_init(|| async { Self::start().await.map(Mutex::new) }).await?.lock().await)
    }

    /// Starts a cluster, and waits until all nodes are synced.
    ///
    /// # Errors
    ///
    /// MariaDB or Galera is not installed, or a node does not start; the error has the end of its log.
    pub async fn start() -> Result<Self> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::try_to_start().await {
                // Another program can take a free port before a node does.
                Err(error) if attempt < PORT_ATTEMPTS && format!("{error:?}").contains("Address already in use") => {}
                result => return result,
            }
        }
    }

    async fn try_to_start() -> Result<Self> {
        ensure!(Path::new(LIBRARY).is_file(), "{LIBRARY} is not there: install galera-4, rsync and lsof");
        let daemon = find_program(&["mariadbd"])?;
        let user = user_name()?;
        // The scripts that transfer state refuse to run as root.
        let user = if user == "root" { "mysql" } else { &user };
        let ports = ports::free(NODES * 4)?;
        let places: Vec<_> = ports.chunks(4).map(Place::new).collect();

        // One node alone makes the cluster's data. All nodes begin with a copy of it and need no transfer of all state.
        let seed = launch(&daemon, &template(&daemon)?, &places[0], &[], user)?;
        let mut cluster = Self { nodes: vec![seed], places };
        cluster.nodes[0].ready().await?;
        cluster.wait_synced(0).await?;
        let mut connection = cluster.administrator(0).await?;
        connection.query_drop(format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")).await?;
        connection.query_drop(format!(r"GRANT ALL ON `cofferdam\_%`.* TO {USER}@'%'")).await?;
        connection.disconnect().await?;
        cluster.nodes[0].stop()?;
        let seed = cluster.nodes.remove(0);
        for node in 0..NODES {
            let place = &cluster.places[node];
            // The first begins the cluster anew. One that looks for another that is not there yet takes seconds longer.
            cluster.nodes.push(launch(&daemon, &seed.datadir(), place, &cluster.places[..node], user)?);
            cluster.nodes[node].ready().await?;
            cluster.wait_synced(node).await?;
        }
        for (node, place) in cluster.nodes.iter().zip(&cluster.places) {
            node.set_options(&options(place, &cluster.places))?;
        }
        Ok(cluster)
    }

    /// A node, to kill, pause, resume or stop it.
    pub fn node(&mut self, node: usize) -> &mut MariaDb {
        &mut self.nodes[node]
    }

    /// Starts nodes again that were killed or stopped, all at once, and waits until they are synced.
    ///
    /// # Errors
    ///
    /// One does not start, or is not synced in time.
    pub async fn start_again(&mut self, nodes: &[usize]) -> Result<()> {
        for &node in nodes {
            self.nodes[node].launch_again()?;
        }
        for &node in nodes {
            self.nodes[node].ready().await?;
            self.wait_synced(node).await?;
        }
        Ok(())
    }

    /// Waits until a node has everything that the cluster has, and takes part in it.
    ///
    /// # Errors
    ///
    /// It is not synced in time.
    pub async fn wait_synced(&self, node: usize) -> Result<()> {
        let synced = async || self.state(node).await.is_ok_and(|state| state == "Synced Primary");
        until(&format!("node {node} is synced"), SYNCING, synced).await.with_context(|| self.nodes[node].log())
    }

    /// What a node says of itself, such as `Synced Primary`.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn state(&self, node: usize) -> Result<String> {
        let mut connection = self.administrator(node).await?;
        let rows: Vec<(String, String)> = connection.query("SHOW GLOBAL STATUS LIKE 'wsrep%'").await?;
        connection.disconnect().await?;
        let get = |name: &str| rows.iter().find(|row| row.0 == name).map_or("", |row| row.1.as_str());
        Ok(format!("{} {}", get("wsrep_local_state_comment"), get("wsrep_cluster_status")))
    }

    /// How many nodes a node counts in its cluster.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn members(&self, node: usize) -> Result<usize> {
        let mut connection = self.administrator(node).await?;
        let row: Option<(String, usize)> =
            connection.query_first("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'").await?;
        connection.disconnect().await?;
        Ok(row.context("a size")?.1)
    }

    /// Brings every node back, whatever was done to it.
    ///
    /// # Errors
    ///
    /// One does not start, or is not synced in time.
    pub async fn heal(&mut self) -> Result<()> {
        for node in 0..NODES {
            self.nodes[node].resume()?;
            if self.state(node).await.is_err() {
                // Also one that has ended by itself, of which the shell that supervises it does not know.
                self.nodes[node].kill()?;
                self.nodes[node].launch_again()?;
            }
        }
        for node in &self.nodes {
            node.ready().await?;
        }
        self.wait_whole().await
    }

    /// Waits until every node has all others and everything that the cluster has. One that hung believes at first that nothing
    /// happened.
    ///
    /// # Errors
    ///
    /// It is not so in time.
    pub async fn wait_whole(&self) -> Result<()> {
        for node in 0..NODES {
            let whole = async || self.members(node).await.is_ok_and(|members| members == NODES);
            until(&format!("node {node} has all others"), SYNCING, whole).await?;
        }
        for node in 0..NODES {
            self.wait_synced(node).await?;
        }
        Ok(())
    }

    /// A connection to a node with every right.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn administrator(&self, node: usize) -> Result<Conn> {
        Ok(Conn::new(self.nodes[node].administrator()).await?)
    }

    /// Makes an empty database, which all nodes have.
    ///
    /// # Errors
    ///
    /// The first node does not answer.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        let mut connection = self.administrator(0).await?;
        connection.query_drop(format!("CREATE DATABASE `{name}`")).await?;
        connection.disconnect().await?;
        self.settle().await
    }

    /// Waits until every node has what was written on any. A client that connects does not wait for it.
    ///
    /// # Errors
    ///
    /// A node does not answer.
    pub async fn settle(&self) -> Result<()> {
        for node in 0..self.nodes.len() {
            let mut connection = self.administrator(node).await?;
            connection.query_drop("SET SESSION wsrep_sync_wait = 1").await?;
            connection.query_drop("SELECT COUNT(*) FROM mysql.db").await?;
            connection.disconnect().await?;
        }
        Ok(())
    }

    /// How a bot connects to these nodes, in this order.
    pub fn config(&self, database: &str, nodes: &[usize]) -> MysqlConfig {
        let hosts = nodes.iter().map(|node| HostPort::new("127.0.0.1", self.places[*node].port)).collect();
        let config = mysql::config("127.0.0.1", 0, USER, PASSWORD);
        MysqlConfig { hosts, database: database.to_owned(), ..config }
    }
}

impl Place {
    fn new(ports: &[u16]) -> Self {
        Self { port: ports[0], group: ports[1], incremental: ports[2], transfer: ports[3] }
    }
}

fn launch(daemon: &Path, template: &Path, place: &Place, cluster: &[Place], user: &str) -> Result<MariaDb> {
    let options = options(place, cluster);
    MariaDb::launch(
        daemon,
        &Launch { template, parent: &in_memory(), port: place.port, user, options: Some(&options), arguments: &[] },
    )
}

/// The options of a node. Without the others it is the first of a new cluster.
fn options(place: &Place, cluster: &[Place]) -> String {
    let Place { port, group, incremental, transfer } = place;
    let others: Vec<_> = cluster.iter().map(|place| format!("127.0.0.1:{}", place.group)).collect();
    // Galera's own limits, which are 5 and 15 seconds, would make tests long. Much less than this, and nodes of a busy machine
    // take each other for dead: with 2 and 4 seconds two of them fell apart when the third one hung.
    // The cache has to hold what the others write while a node hangs: what is missing in it a node gets by a transfer of all
    // state, which one that still runs cannot take; it ends instead.
    let provider = format!(
        "gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{incremental};gcache.size=256M;\
         evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT3S;evs.inactive_timeout=PT10S;pc.recovery=true"
    );
    format!(
        "[mariadbd]\n\
         binlog_format=ROW\n\
         innodb_autoinc_lock_mode=2\n\
         wsrep_on=ON\n\
         wsrep_provider={LIBRARY}\n\
         wsrep_sst_method=rsync\n\
         wsrep_node_address=127.0.0.1:{group}\n\
         wsrep_node_incoming_address=127.0.0.1:{port}\n\
         wsrep_sst_receive_address=127.0.0.1:{transfer}\n\
         wsrep_cluster_address=gcomm://{}\n\
         wsrep_provider_options=\"{provider}\"\n",
        others.join(",")
    )
}
