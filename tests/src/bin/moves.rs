//! `cofferdam-moves`: measures `cofferdam migrate` on real databases. `cargo xtask moves` builds and runs it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cofferdam::StorageService;
use cofferdam_tests::harness::command::mysql_environment;
use cofferdam_tests::harness::memory::{Memory, resident};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::storage::Home;
use comfy_table::{CellAlignment, Table, presets};
use mysql_async::prelude::Queryable;
use rusqlite::params;
use serde_json::{Value, json};

/// Ends with this code where `--check` was given and a goal was missed.
const MISSED: u8 = 3;

/// What the harness's server has smaller for the sake of tests, as MariaDB has it by default.
const DEFAULTS: [&str; 3] =
    ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1", "--innodb-log-file-size=96M"];

/// For how long rows are upserted one by one.
const ONE_BY_ONE: Duration = Duration::from_secs(5);

/// Benchmark migrations from SQLite to MariaDB and back.
#[derive(Parser)]
#[command(
    name = "cofferdam-moves",
    after_help = "Exit codes: 0 success; 1 failure; 2 wrong command line; 3 with --check, a goal was missed"
)]
struct Arguments {
    /// Path of the optimised command.
    #[arg(long, value_name = "FILE")]
    command: PathBuf,
    /// Folder of the plugins.
    #[arg(long, value_name = "FOLDER")]
    plugins: PathBuf,
    /// Number of message states; a tenth as many ownerships come on top.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    states: u64,
    /// Size of MariaDB's buffer pool in MiB; the default is MariaDB's own. Random access to tables that do not fit reads from
    /// the disk.
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    buffer_pool: u64,
    /// Number of rounds; the report has their medians.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Exit with 3 if a goal is missed.
    #[arg(long)]
    check: bool,
}

/// What one run of the command did.
struct Move {
    rows: u64,
    seconds: f64,
    verify_seconds: f64,
    /// The most memory that was resident, in KiB.
    peak: u64,
    /// How long each million rows took, and the memory that was resident after it, in KiB.
    millions: Vec<(f64, u64)>,
}

impl Move {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    fn verify_rate(&self) -> f64 {
        self.rows as f64 / self.verify_seconds
    }

    fn megabytes(&self) -> f64 {
        self.peak as f64 * 1024.0 / 1e6
    }
}

/// Everything once, one right after the other: what the machine does beside it changes from minute to minute.
struct Round {
    there: Move,
    back: Move,
    one_by_one: OneByOne,
}

impl Round {
    async fn measure(arguments: &Arguments, server: &MysqlServer, from: &Home) -> Result<Self> {
        let (to, back) = (Home::Mysql(server.create_database(DatabaseOptions::default()).await?), Home::sqlite()?);
        let Home::Mysql(database) = &to else { anyhow::bail!("it is a server's") };
        let there = measure(arguments, Direction::There, from, &to)?;
        eprintln!("upserting one by one");
        let storage = through_the_storage(arguments, database)?;
        let one_by_one = OneByOne { storage, driver: with_the_driver(server, &file(from)?).await? };
        let back = measure(arguments, Direction::Back, &to, &back)?;
        // They lie in memory.
        let mut connection = database.connect().await?;
        connection.query_drop(format!("DROP DATABASE `{}`", database.config().database)).await?;
        connection.disconnect().await?;
        Ok(Self { there, back, one_by_one })
    }

    /// How many times as fast the move is as upserts through the storage.
    fn times(&self) -> f64 {
        self.there.rate() / self.one_by_one.storage
    }
}

#[derive(Clone, Copy)]
enum Direction {
    There,
    Back,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::There, Self::Back];

    fn name(self) -> &'static str {
        match self {
            Self::There => "sqlite to mariadb",
            Self::Back => "mariadb to sqlite",
        }
    }

    fn of(self, round: &Round) -> &Move {
        match self {
            Self::There => &round.there,
            Self::Back => &round.back,
        }
    }
}

/// All rounds.
struct Rounds(Vec<Round>);

impl Rounds {
    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut figures: Vec<_> = self.0.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 }
    }

    fn most(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        self.0.iter().map(figure).fold(0.0, f64::max)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut settings = DEFAULTS.map(str::to_owned).to_vec();
    settings.push(format!("--innodb-buffer-pool-size={}M", arguments.buffer_pool));
    let server = MysqlServer::start(&settings).await?;
    let from = Home::sqlite()?;
    eprintln!("filling a SQLite file with {} states and {} ownerships", arguments.states, arguments.states / 10);
    from.open().await?.close().await?;
    fill(&file(&from)?, arguments.states)?;
    let mut rounds = Rounds(Vec::new());
    for number in 1..=arguments.rounds {
        eprintln!("round {number} of {}", arguments.rounds);
        rounds.0.push(Round::measure(&arguments, &server, &from).await?);
    }
    let goals = goals(&rounds);
    if arguments.json {
        println!("{:#}", report(&rounds, &goals));
    } else {
        print(&rounds, &goals);
    }
    let is_missed = goals.iter().any(|goal| !goal.is_met);
    Ok(if arguments.check && is_missed { MISSED.into() } else { ExitCode::SUCCESS })
}

fn file(home: &Home) -> Result<PathBuf> {
    match home {
        Home::Sqlite(folder) => Ok(folder.database()),
        Home::Mysql(_) => anyhow::bail!("that is no file"),
    }
}

/// Rows in an order that is not that of their keys, as a bot leaves them.
fn fill(file: &Path, states: u64) -> Result<()> {
    let mut connection = rusqlite::Connection::open(file)?;
    connection.execute_batch("PRAGMA cache_size = -262144")?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
             updated_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for number in 0..states as i64 {
            let channel = format!("11{:017}", scattered(number));
            let thread = (number % 3 == 0).then_some(&channel);
            insert.execute(params![
                channel,
                thread,
                format!("12{number:017}"),
                1_700_000_000 + number,
                1_600_000_000,
                1_700_000_000 + number
            ])?;
        }
        let mut insert = transaction.prepare(
            "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, \
             updated_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for number in 0..(states / 10) as i64 {
            let thread = format!("13{:017}", scattered(number));
            insert.execute(params![thread, format!("14{number:017}"), "900000000000000001", number, number, number])?;
        }
    }
    Ok(transaction.commit()?)
}

/// A permutation of the numbers below 2^61 - 1, which is a prime.
fn scattered(number: i64) -> i64 {
    (i128::from(number + 1) * 1_000_000_007_000_003 % ((1 << 61) - 1) % 100_000_000_000_000_003) as i64
}

fn password(home: &Home) -> Option<String> {
    match home {
        Home::Sqlite(_) => None,
        Home::Mysql(database) => Some(database.config().password.expose().to_owned()),
    }
}

fn measure(arguments: &Arguments, direction: Direction, from: &Home, to: &Home) -> Result<Move> {
    let name = direction.name();
    eprintln!("{name}");
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(&arguments.command);
    command.args(["migrate", "--execute", "--json", "--from", &from.spec(), "--to", &to.spec()]);
    command
        .env("COFFERDAM_PLUGINS", &arguments.plugins)
        .env("MYSQL_TLS", "disabled")
        .current_dir(folder.path())
        .stdin(Stdio::null());
    if let Some(password) = password(from).or_else(|| password(to)) {
        command.env("MYSQL_PASSWORD", password);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {command:?}"))?;
    let memory = Memory::watch(child.id());
    let (mut moved, mut compared) = (None, None);
    let mut millions = Vec::new();
    let mut begun = Instant::now();
    for line in BufReader::new(child.stdout.take().context("it has an output")?).lines() {
        let event: Value = serde_json::from_str(&line?)?;
        match event["event"].as_str() {
            Some("begins") => begun = Instant::now(),
            Some("progress") if event["what"] == "moving" => {
                let rows = event["rows"].as_u64().unwrap_or_default();
                if rows / 1_000_000 > millions.len() as u64 {
                    // Events come once a second: what is between two of them is shared out evenly.
                    let a_million = begun.elapsed().as_secs_f64() * 1e6 * (millions.len() + 1) as f64 / rows as f64;
                    let before: f64 = millions.iter().map(|(seconds, _)| seconds).sum();
                    // It may have ended before it is looked at.
                    millions.push((a_million - before, resident(child.id()).unwrap_or_default()));
                }
            }
            Some("moved") => moved = Some(event),
            Some("compared") => compared = Some(event),
            _ => {}
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{name}: the command ended with {status}");
    let (moved, compared) = (moved.context("nothing was moved")?, compared.context("nothing was compared")?);
    ensure!(compared["verdict"]["is_equal"] == true, "{name}: the sides differ: {compared}");
    Ok(Move {
        rows: moved["rows"].as_u64().context("rows")?,
        seconds: moved["seconds"].as_f64().context("seconds")?,
        verify_seconds: compared["seconds"].as_f64().context("seconds")?,
        peak: memory.stop(),
        millions,
    })
}

/// Upserts a second of one caller through the optimised host and plugin on the same server: what a tool does that reads rows
/// and calls the storage for each.
fn through_the_storage(arguments: &Arguments, server: &MysqlDatabase) -> Result<f64> {
    let mut command = Command::new(&arguments.command);
    command.args(["bench", "mysql", "--writes", "100", "--callers", "1", "--json", "--seconds", "5"]);
    command.env("COFFERDAM_PLUGINS", &arguments.plugins).envs(mysql_environment(&server.config()));
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "upserting through the storage ended with {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    report["contestants"][0]["writes"]["per_second"].as_f64().with_context(|| format!("no throughput in {report}"))
}

/// Upserts a second with the driver alone, prepared once, through one connection.
async fn with_the_driver(server: &MysqlServer, source: &Path) -> Result<f64> {
    let database: MysqlDatabase = server.create_database(DatabaseOptions::default()).await?;
    let home = Home::Mysql(database);
    home.open().await?.close().await?;
    let Home::Mysql(database) = &home else { anyhow::bail!("it is a server's") };
    let mut connection = database.connect().await?;
    let upsert = connection
        .prep(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
             updated_at) \
             VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE last_message_id = VALUES(last_message_id), \
             last_seen_timestamp = VALUES(last_seen_timestamp), updated_at = VALUES(updated_at)",
        )
        .await?;
    type Cells = (String, Option<String>, String, i64, i64, i64);
    let rows: Vec<Cells> = rusqlite::Connection::open(source)?
        .prepare(
            "SELECT channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at FROM \
             message_states \
             ORDER BY channel_id, thread_id LIMIT 200000",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let started = Instant::now();
    let mut done = 0;
    for row in rows {
        connection.exec_drop(&upsert, row).await?;
        done += 1;
        if started.elapsed() > ONE_BY_ONE {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    connection.disconnect().await?;
    Ok(f64::from(done) / seconds)
}

/// Upserts a second, one after the other through one connection.
struct OneByOne {
    storage: f64,
    driver: f64,
}

/// What a bot's move should cost at the most.
struct Goal {
    what: &'static str,
    goal: String,
    measured: String,
    is_met: bool,
}

fn goals(rounds: &Rounds) -> Vec<Goal> {
    let at_least = |what, goal: f64, measured: f64| Goal {
        what,
        goal: format!(">= {goal:.0}"),
        measured: format!("{measured:.0}"),
        is_met: measured >= goal,
    };
    let megabytes = rounds.most(|round| round.there.megabytes());
    vec![
        at_least("SQLite to MariaDB, rows/s", 60_000.0, rounds.median(|round| round.there.rate())),
        at_least("comparing them, rows/s", 150_000.0, rounds.median(|round| round.there.verify_rate())),
        Goal {
            what: "most resident memory, MB",
            goal: "<= 80".into(),
            measured: format!("{megabytes:.1}"),
            is_met: megabytes <= 80.0,
        },
        at_least("times as fast as upserts through the storage", 20.0, rounds.median(Round::times)),
        at_least("MariaDB to SQLite, rows/s", 100_000.0, rounds.median(|round| round.back.rate())),
    ]
}

fn print(rounds: &Rounds, goals: &[Goal]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "Medians",
        "Rows",
        "Seconds",
        "Rows/s",
        "Compared, rows/s",
        "Most MB",
    ]);
    for direction in Direction::BOTH {
        table.add_row([
            direction.name().to_owned(),
            format!("{:.0}", rounds.median(|round| direction.of(round).rows as f64)),
            format!("{:.1}", rounds.median(|round| direction.of(round).seconds)),
            format!("{:.0}", rounds.median(|round| direction.of(round).rate())),
            format!("{:.0}", rounds.median(|round| direction.of(round).verify_rate())),
            format!("{:.1}", rounds.most(|round| direction.of(round).megabytes())),
        ]);
    }
    for (name, rate) in [
        ("upserts through the storage", rounds.median(|round| round.one_by_one.storage)),
        ("upserts with the driver", rounds.median(|round| round.one_by_one.driver)),
    ] {
        table.add_row([name, "", "", &format!("{rate:.0}"), "", ""]);
    }
    show(table, 1..6);
    for direction in Direction::BOTH {
        let first = rounds.0.first().map(|round| direction.of(round));
        let Some(moved) = first.filter(|moved| moved.millions.len() > 1) else { continue };
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([direction.name(), "Seconds", "Resident MB"]);
        for (number, (seconds, resident)) in moved.millions.iter().enumerate() {
            let megabytes = *resident as f64 * 1024.0 / 1e6;
            table.add_row([format!("million {}", number + 1), format!("{:.1}", seconds), format!("{megabytes:.1}")]);
        }
        show(table, 1..3);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["Goal", "Wanted", "Measured", ""]);
    for Goal { what, goal, measured, is_met } in goals {
        let met = if *is_met { "met" } else { "missed" };
        table.add_row([*what, goal, measured, met]);
    }
    show(table, 1..3);
}

fn show(mut table: Table, numbers: std::ops::Range<usize>) {
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!();
    table.lines().for_each(|line| println!("{}", line.trim_end()));
}

fn report(rounds: &Rounds, goals: &[Goal]) -> Value {
    let moved = |moved: &Move| {
        let millions: Vec<_> =
            moved.millions.iter().map(|(s, kib)| json!({ "seconds": s, "resident_kib": kib })).collect();
        json!({
            "rows": moved.rows, "seconds": moved.seconds, "verify_seconds": moved.verify_seconds, "peak_kib": moved.peak,
            "millions": millions,
        })
    };
    let rounds: Vec<_> = rounds
        .0
        .iter()
        .map(|round| {
            let OneByOne { storage, driver } = round.one_by_one;
            json!({
                "sqlite_to_mariadb": moved(&round.there), "mariadb_to_sqlite": moved(&round.back),
                "upserts_per_second": { "storage": storage, "driver": driver },
            })
        })
        .collect();
    let goals: Vec<_> = goals
        .iter()
        .map(|goal| json!({ "what": goal.what, "goal": goal.goal, "measured": goal.measured, "is_met": goal.is_met }))
        .collect();
    json!({ "rounds": rounds, "goals": goals })
}
