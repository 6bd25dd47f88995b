//! Spools that fill up, and spools that somebody damages after their host was killed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cofferdam::resilience::spool::inspect;
use cofferdam::{ErrorKind, ResilientStorage};
use mysql_async::prelude::Queryable;
use tokio::time::sleep;

use super::Run;
use super::hosts::Host;
use super::ledger::{Key, Ledger, Tally};
use super::load::{ENOUGH, LoadOptions, key, write};
use super::look::{self, Found};
use super::mysql;
use super::opened::{Opened, spool_of};
use super::scene::{DEADLINE, Scene};
use super::strictness;
use super::verdict::{Expected, Verdict};
use crate::harness::mysql::{DatabaseOptions, MysqlServer};
use crate::harness::sqlite::SqliteFolder;
use crate::harness::storage::{mysql_config, spool_in, sqlite_config};
use crate::harness::wait::until;

/// How many writes the spool that fills up may hold: more than there are callers, and soon reached.
const LIMIT: usize = 500;

/// How long callers write to a full spool.
const LASTING: Duration = Duration::from_millis(1500);

/// What the keys begin with that must not be there.
const BEYOND: &str = "beyond";

/// The database of [`full`], which goes away and comes back.
trait Away {
    async fn set_away(&mut self, is_away: bool) -> Result<()>;
    async fn look(&mut self) -> Result<Found>;
}

struct Server {
    server: MysqlServer,
    database: crate::harness::mysql::MysqlDatabase,
}

impl Server {
    async fn start() -> Result<Self> {
        let server = MysqlServer::start(&[]).await?;
        let database = server.create_database(DatabaseOptions::default()).await?;
        Ok(Self { server, database })
    }
}

impl Away for Server {
    async fn set_away(&mut self, is_away: bool) -> Result<()> {
        let process = self.server.process().context("the server is ours")?;
        if is_away { process.kill() } else { process.start_again().await }
    }

    async fn look(&mut self) -> Result<Found> {
        mysql::look(&self.server, &self.database).await
    }
}

struct File(SqliteFolder);

impl Away for File {
    async fn set_away(&mut self, is_away: bool) -> Result<()> {
        let (file, elsewhere) = (self.0.database(), self.0.path().join("elsewhere"));
        let (from, to) = if is_away { (file, elsewhere) } else { (elsewhere, file) };
        Ok(std::fs::rename(from, to)?)
    }

    async fn look(&mut self) -> Result<Found> {
        look::sqlite(&self.0.database())
    }
}

pub(super) async fn full_mysql(name: &'static str, run: Run) -> Result<Verdict> {
    let server = Server::start().await?;
    let config = mysql_config(server.database.config());
    full(name, run, server, config).await
}

pub(super) async fn full_sqlite(name: &'static str, run: Run) -> Result<Verdict> {
    let file = File(SqliteFolder::new()?);
    let config = sqlite_config(&file.0.database());
    full(name, run, file, config).await
}

/// Each write makes a row, so that the spool is soon full while the database is away.
async fn full(
    name: &'static str,
    run: Run,
    mut database: impl Away,
    config: cofferdam::config::Config,
) -> Result<Verdict> {
    let (mut spool, folder) = spool_of(run.guard)?.context("a spool")?;
    spool.limit = LIMIT;
    let opened = Opened::with(config, Some((spool, folder))).await?;
    let load = LoadOptions { writes_per_row: 1, ..LoadOptions::new(DEADLINE) };
    let lasting = if run.full { 10 * LASTING } else { LASTING };
    let (mut refusals, mut broken) = (0, Vec::new());
    let scene = Scene { fault: name, expected: mysql::AWAY, opened: &opened, load };
    let played = scene
        .play(async |_| {
            database.set_away(true).await?;
            until("the spool is full", ENOUGH, async || depth(&opened.storage) == LIMIT).await?;
            let end = Instant::now() + lasting;
            while Instant::now() < end {
                refusals += overfill(&opened.storage, &mut broken).await?;
                sleep(Duration::from_millis(20)).await;
            }
            database.set_away(false).await
        })
        .await?;
    opened.service.close().await?;
    let found = database.look().await?;
    let mut verdict = played.judge(&found);
    let there = found.keys().filter(|key| name_of(key).starts_with(BEYOND)).count();
    if there > 0 {
        broken.push(format!("{there} writes are there that were refused"));
    }
    broken.truncate(5);
    verdict.broken.extend(broken);
    verdict
        .notes
        .push(format!("{refusals} writes were refused since {LIMIT} were in the spool, and none of them is there"));
    Ok(verdict)
}

/// What the server refuses every row with, and what ends that.
const TABLES: [&str; 2] = ["message_states", "thread_ownerships"];
const EVENTS: [&str; 2] = ["INSERT", "UPDATE"];

/// How long the server refuses every row: several tries to empty the spool.
const REFUSING: Duration = Duration::from_secs(3);

/// A server that comes back, and then refuses all rows alike: for none of the writes in the spool that is its own fault.
pub(super) async fn refused(name: &'static str, run: Run) -> Result<Verdict> {
    let mut server = Server::start().await?;
    let config = mysql_config(server.database.config());
    let opened = Opened::with(config, spool_of(run.guard)?).await?;
    let expected = Expected { kinds: &[ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Refused], ..mysql::AWAY };
    let scene = Scene { fault: name, expected, opened: &opened, load: LoadOptions::new(DEADLINE) };
    let mut waited = 0;
    let played = scene
        .play(async |_| {
            server.set_away(true).await?;
            until("writes wait in the spool", ENOUGH, async || depth(&opened.storage) > 20).await?;
            server.set_away(false).await?;
            let mut administrator = server.server.administrator().await?;
            administrator.query_drop(format!("USE `{}`", server.database.config().database)).await?;
            for (table, event) in TABLES.iter().flat_map(|table| EVENTS.map(|event| (table, event))) {
                let trigger = format!(
                    "CREATE TRIGGER refuse_{table}_{event} BEFORE {event} ON {table} FOR EACH ROW \
                     SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'closed for maintenance'"
                );
                administrator.query_drop(trigger).await?;
            }
            sleep(if run.full { 10 * REFUSING } else { REFUSING }).await;
            let status = opened.storage.status().spool.context("a spool")?;
            waited = status.depth;
            ensure!(status.rejected == 0, "{} writes were put aside for what held for all", status.rejected);
            for (table, event) in TABLES.iter().flat_map(|table| EVENTS.map(|event| (table, event))) {
                administrator.query_drop(format!("DROP TRIGGER refuse_{table}_{event}")).await?;
            }
            Ok(administrator.disconnect().await?)
        })
        .await?;
    opened.service.close().await?;
    let mut verdict = played.judge(&server.look().await?);
    verdict.notes.push(format!("{waited} writes waited while the server refused every row, and none was put aside"));
    Ok(verdict)
}

fn depth(storage: &ResilientStorage) -> usize {
    storage.status().spool.map_or(0, |spool| spool.depth)
}

/// Writes rows that a full spool has no place for: each write must be refused in time with an error that says why.
async fn overfill(storage: &Arc<ResilientStorage>, broken: &mut Vec<String>) -> Result<usize> {
    let writes = (0..32).map(|caller| {
        let storage = Arc::clone(storage);
        tokio::spawn(async move {
            let started = Instant::now();
            (write(&*storage, &key(BEYOND, caller, 0), 1).await, started.elapsed())
        })
    });
    let writes: Vec<_> = writes.collect();
    let count = writes.len();
    for result in writes {
        let (result, took) = result.await?;
        match result {
            Err(error)
                if error.kind() == ErrorKind::Unavailable
                    && error.message().contains("is full: it holds 500 writes") => {}
            result => broken.push(format!("a write that a full spool has no place for ended with {result:?}")),
        }
        if took > strictness::limit(DEADLINE) {
            broken.push(format!("a write that a full spool has no place for took {took:.2?}"));
        }
    }
    let depth = depth(storage);
    if depth > LIMIT {
        broken.push(format!("the spool holds {depth} writes, and may hold {LIMIT}"));
    }
    Ok(count)
}

fn name_of(key: &Key) -> &str {
    match key {
        Key::State(name, _) | Key::Ownership(name) => name.trim_start(),
    }
}

/// How many callers write to how many rows each until their host is killed: enough for a spool of many pages.
const CALLERS: usize = 32;
const ROWS: u64 = 100;

/// SQLite's page size, and where the first byte after its header is.
const PAGE: usize = 4096;
const HEADER: usize = 100;

/// The length of a log's header, and of a page in it with a header of its own.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;

/// The pages of a log that is damaged: enough for a middle, and not so many that it begins anew before its host is killed.
const LOG_PAGES: Range<usize> = 100..700;

/// What is done to the files of a spool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The header is overwritten.
    Header,
    /// One byte of a row is changed.
    Middle,
    /// The file ends too early.
    Tail,
    /// The log, of which nothing is in the file yet, ends too early.
    LogTail,
    /// One byte in the middle of the log is changed.
    LogMiddle,
}

impl Damage {
    fn is_of_log(self) -> bool {
        matches!(self, Self::LogTail | Self::LogMiddle)
    }
}

pub(super) async fn header(name: &'static str, run: Run) -> Result<Verdict> {
    damaged(name, run, Damage::Header).await
}

pub(super) async fn middle(name: &'static str, run: Run) -> Result<Verdict> {
    damaged(name, run, Damage::Middle).await
}

pub(super) async fn tail(name: &'static str, run: Run) -> Result<Verdict> {
    damaged(name, run, Damage::Tail).await
}

pub(super) async fn log_tail(name: &'static str, run: Run) -> Result<Verdict> {
    damaged(name, run, Damage::LogTail).await
}

pub(super) async fn log_middle(name: &'static str, run: Run) -> Result<Verdict> {
    damaged(name, run, Damage::LogMiddle).await
}

/// Kills a host whose spool has writes, damages the spool, and has another host bring home what is left of it.
async fn damaged(name: &'static str, run: Run, damage: Damage) -> Result<Verdict> {
    let rounds = if run.full { 10 } else { 1 };
    let mut all: Option<Verdict> = None;
    let mut random = fastrand::Rng::with_seed(run.seed);
    for _ in 0..rounds {
        let verdict = damaged_once(name, damage, &mut random).await?;
        match &mut all {
            Some(all) => all.add(verdict),
            None => all = Some(verdict),
        }
    }
    all.context("there is a round")
}

async fn damaged_once(name: &'static str, damage: Damage, random: &mut fastrand::Rng) -> Result<Verdict> {
    let mut server = Server::start().await?;
    let folder = SqliteFolder::new()?;
    let spool = spool_in(&folder);
    let mut config = mysql_config(server.database.config());
    config.resilience.spool = Some(spool.clone());
    let ledger = Ledger::new(CALLERS, Duration::MAX);
    let host = Host::start_with_rows(&config, 0, ROWS)?;
    host.listen_until(&ledger, ENOUGH, |tally| tally.acknowledged > CALLERS as u64 * ROWS)?;
    server.set_away(true).await?;
    let log = with_suffix(&spool.path, "-wal");
    let is_enough = |tally: &Tally| {
        tally.spooled > 2 * CALLERS as u64 * ROWS && (!damage.is_of_log() || LOG_PAGES.contains(&frames(&log).len()))
    };
    let end = Instant::now() + ENOUGH;
    loop {
        host.listen_until(&ledger, end.saturating_duration_since(Instant::now()), is_enough)?;
        // The log may begin anew at any moment, but for those in which its host stands still.
        host.pause(true)?;
        if is_enough(&ledger.tally()) {
            break;
        }
        ensure!(Instant::now() < end, "the log has {} pages, and never as many as are wanted", frames(&log).len());
        host.pause(false)?;
    }
    host.kill(&ledger)?;
    // As the next host would find it, were it not for the damage.
    let whole = copy_of(&spool.path)?;
    let content = inspect(&whole.path().join("spool"))?;
    ensure!(content.entries.len() > 500, "{} rows in the spool are too few", content.entries.len());
    let waited = content.entries.len();
    apply(damage, &spool.path, random)?;

    let opened = Opened::with(config, Some((spool.clone(), folder))).await?;
    let status = opened.storage.status().spool.context("a spool")?;
    server.set_away(false).await?;
    opened.drained().await?;
    opened.service.close().await?;
    let found = server.look().await?;
    let expected = Expected { is_felt: true, ..mysql::AWAY };
    let mut verdict = Verdict::of(name, &expected, &ledger, None, &found);
    // Its callers are in another process.
    verdict.tally.longest = Duration::ZERO;
    if status.unreadable > 0 {
        verdict.broken.push(format!("the host reported {} writes as lost", status.unreadable));
    }
    match &status.damaged {
        Some(kept) if kept.exists() => {}
        kept => verdict.broken.push(format!("the host says of its damaged spool that it is kept at {kept:?}")),
    }
    verdict.notes.push(format!("{waited} rows were in the spool"));
    Ok(verdict)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A spool's files in another folder.
fn copy_of(spool: &Path) -> Result<SqliteFolder> {
    let folder = SqliteFolder::new()?;
    for suffix in ["", "-wal"] {
        let from = with_suffix(spool, suffix);
        if from.exists() {
            std::fs::copy(from, folder.path().join(format!("spool{suffix}")))?;
        }
    }
    Ok(folder)
}

/// Does damage to the files of a spool that nobody has open.
fn apply(damage: Damage, spool: &Path, random: &mut fastrand::Rng) -> Result<()> {
    if damage.is_of_log() {
        let log = with_suffix(spool, "-wal");
        let mut bytes = std::fs::read(&log)?;
        let frames = frames(&log);
        ensure!(frames.len() > 40, "the log is too short: {} pages", frames.len());
        match damage {
            Damage::LogTail => bytes.truncate(frames[frames.len() - 20] - 7),
            _ => bytes[frames[frames.len() / 2] + random.usize(..FRAME)] ^= 0x55,
        }
        std::fs::write(&log, bytes)?;
        return Ok(());
    }
    // All of it into the file, so that it is the file that counts.
    let connection = rusqlite::Connection::open(spool)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    drop(connection);
    let mut bytes = std::fs::read(spool)?;
    let mut live = BTreeSet::new();
    for entry in inspect(spool)?.entries {
        live.insert(entry.sequence);
    }
    match damage {
        Damage::Middle => {
            let cells: Vec<_> = bytes
                .chunks(PAGE)
                .enumerate()
                .skip(1)
                .flat_map(|(number, page)| cells(page).into_iter().map(move |cell| (number * PAGE + cell.start, cell)))
                .filter(|(_, cell)| live.contains(&cell.sequence))
                .collect();
            let (start, cell) = cells.get(random.usize(cells.len() / 4..cells.len() * 3 / 4)).context("a row")?;
            // Within the texts: the numbers are before them, and the checksum after.
            bytes[start + cell.length / 2] ^= 0x01;
        }
        Damage::Tail => {
            bytes.truncate(bytes.len() - 6 * PAGE - 7);
        }
        _ => bytes[..HEADER].fill(0xa5),
    }
    std::fs::write(spool, bytes)?;
    Ok(())
}

/// Where the pages of a log begin, without those that are left from before it began anew.
/// <https://sqlite.org/fileformat2.html#the_write_ahead_log>
fn frames(log: &Path) -> Vec<usize> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let (Some(header), whole) = (bytes.get(16..24), bytes.len().saturating_sub(LOG_HEADER) / FRAME) else {
        return Vec::new();
    };
    let starts = (0..whole).map(|number| LOG_HEADER + number * FRAME);
    starts.take_while(|start| &bytes[start + 8..start + 16] == header).collect()
}

/// A row in a page.
struct Cell {
    sequence: i64,
    start: usize,
    length: usize,
}

/// The rows of a page other than the first, where it is one of rows. <https://sqlite.org/fileformat2.html#b_tree_pages>
fn cells(page: &[u8]) -> Vec<Cell> {
    const LEAF: u8 = 0x0d;
    if page.len() < PAGE || page[0] != LEAF {
        return Vec::new();
    }
    let number = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let count = number(3).min((PAGE - 8) / 2);
    let cell = |index: usize| {
        let start = number(8 + 2 * index);
        let (length, after_length) = variable(page, start)?;
        let (sequence, after) = variable(page, after_length)?;
        Some(Cell { sequence, start, length: after - start + usize::try_from(length).ok()? })
    };
    (0..count).filter_map(cell).collect()
}

/// A number of variable length, and where it ends.
fn variable(page: &[u8], mut at: usize) -> Option<(i64, usize)> {
    let mut value = 0;
    for _ in 0..8 {
        let byte = *page.get(at)?;
        at += 1;
        value = value << 7 | i64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}
