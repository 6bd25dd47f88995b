//! The description of an engine by its backend.

use crate::bindings::cofferdam::storage::sql::{Engine, Server};

/// A backend: its SQL and its schema.
///
/// Parameters are bound by position. A text is one statement, as `sql.prepare` of the contract allows it.
pub trait Backend: 'static {
    /// A short name, such as `sqlite`.
    const NAME: &'static str;
    /// The backend's own version, such as `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// The database it needs.
    const ENGINE: Engine;
    /// The operations.
    const STATEMENTS: Statements;
    /// Moving everything to or from another database.
    const MIGRATION: Migration;

    /// The schema steps: the first makes version 1 of nothing, the next version 2 of version 1, and so on. The last
    /// one's number is the newest version that this backend knows. Before a step runs, the tables that are there are
    /// [mended](Self::mend).
    ///
    /// A step is a SQL file. Statements end with `;` at the end of a line. Lines that begin with `--` are comments; the
    /// comment `-- unless: <query>` before a statement skips it where the query returns a row. The comment `-- refuse: <query>`
    /// anywhere keeps all of the step from being run where the query returns a row, whose text says why. `{now}` stands for the
    /// current time in whole seconds, other `{names}` for what [`fill`](Self::fill) says. Every step can be run again
    /// from any point where it was interrupted, unless [`UPGRADE`](Self::UPGRADE) is a transaction.
    const STEPS: &'static [&'static str];

    /// How steps keep out of each other's way.
    const UPGRADE: Upgrade;

    /// Writes a version into `schema_versions`, from version 2 on.
    const RECORD_VERSION: RecordVersion;

    /// Describes the columns of `message_states`, `thread_ownerships`, `message_states_archive` and
    /// `schema_versions`, of those that exist. Columns: table, column, family, 1 if null is allowed else 0, 1 if an
    /// INSERT may leave it out else 0, 1 if one that does leaves something other than null else 0. Names are as they are
    /// above, whatever their case in the database. Families are `integer`, `text`, `temporal` and `other`.
    const DESCRIBE_COLUMNS: &'static str;

    /// Describes the unique keys of the same tables. Columns: table, the key's name, the key's columns with `,` between
    /// them. A column of which only a prefix is bound, or that the key compares otherwise than byte for byte, is followed
    /// by a word that says so; a key that does not bind every row says which at its end.
    const DESCRIBE_UNIQUE_KEYS: &'static str;

    /// Tells in what a table differs from what the operations rely on, beyond its columns and unique keys. Columns: the
    /// table, a [grade](Grade), the difference as the rest of a sentence. `{names}` are filled as in schema steps, but for
    /// `{now}`.
    const DIFFERENCES: &'static str;

    /// Further differences, each looked for once the table has its columns.
    const LOOKS: &'static [Look];

    /// What an operator should know of tables that can be used. Column: a sentence.
    const REMARKS: &'static str;

    /// All that [`mend`](Self::mend) needs to know of the tables. Any number of columns, all of them text.
    const BLUEPRINT: &'static str;

    /// The statements that repair a table for the operations and keep its rows, in order. If the engine's schema changes are
    /// not transactional, each of them must be idempotent.
    ///
    /// # Errors
    ///
    /// Why that is impossible, as the rest of a sentence that begins with the table's name.
    fn mend(mend: &Mend, blueprint: &[Vec<Option<String>>], server: &Server) -> Result<Vec<String>, String>;

    /// The unique key of version 2 that keeps a channel's state without a thread unique, as
    /// [`DESCRIBE_UNIQUE_KEYS`](Self::DESCRIBE_UNIQUE_KEYS) describes it.
    const THREADLESS_KEY: &'static str;

    /// Codes with which a statement that writes rows fails though nothing is wrong with them: the ids that the engine gives are
    /// used up, or the next one is taken. The rows are then written under ids that are chosen for them.
    const NO_ID: &'static [&'static str] = &[];

    /// Returns a row where the ids of one of the tables are at their end, for an engine whose code says something else too.
    const IDS_AT_END: Option<&'static str> = None;

    /// A table, and a query that returns a row where the index over its keys lacks rows, told of the first few thousand alone.
    /// Empty where indexes are not kept apart from rows.
    const LACKING_INDEXES: &'static [(&'static str, &'static str)] = &[];

    /// The values of `{names}` in the steps on this server.
    fn fill(server: &Server) -> Vec<(&'static str, &'static str)> {
        let _ = server;
        Vec::new()
    }
}

/// How concurrent upgrades by several hosts exclude each other.
pub enum Upgrade {
    /// The engine's schema changes are transactional: the whole upgrade is one transaction, which also waits for other
    /// upgrades.
    Transaction {
        /// Where the first returns a row, the second is run outside a transaction before anything is written: foreign keys
        /// that others made of our tables are not enforced from then on.
        relax: [&'static str; 2],
        /// What acts by itself on changes of rows, or is in the way of changes of tables, and is not ours: it is removed
        /// before anything else and made again at the end, in the opposite order. Columns: what removes it, what makes it.
        set_aside: &'static str,
    },
    /// Schema changes commit implicitly: all steps run under a named lock of the connection.
    NamedLock {
        /// Returns 1 once the lock is taken. Its parameter is how many seconds it may wait.
        take: &'static str,
        /// Releases it.
        release: &'static str,
        /// Codes with which `take` fails on servers that have no such locks, or forbid them.
        missing_on: &'static [&'static str],
        /// The lock that then takes its place.
        row: RowLock,
        /// Codes with which a statement of a step fails where another bot wrote in between, or another host ran the
        /// same step in spite of the lock. The step is then run again, a few times.
        repeat_on: &'static [&'static str],
    },
}

/// A lock that a server has which has no named ones: of a row, held by the transaction of a session of its own, since each
/// change of the schema ends the transaction of the session that makes it. It goes with that session.
///
/// On a cluster it is one node's own, as named locks are: there each change of the schema is made on all nodes before the next,
/// and `repeat_on` brings hosts that run the steps at the same time to the same end.
pub struct RowLock {
    /// Returns a row where the table is there.
    pub is_made: &'static str,
    /// Creates the table, if it is not there yet.
    pub create: &'static str,
    /// Returns a row where the row to be locked is there.
    pub has_row: &'static str,
    /// Inserts it, if it is not there yet.
    pub insert: &'static str,
    /// Locks it. Where another session has it, fails at once as a conflict.
    pub take: &'static str,
    /// Waits for some seconds.
    pub wait: &'static str,
}

/// How much a difference matters, by its name in the results of [`Backend::DIFFERENCES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// `refused`: the table cannot be used.
    Refused,
    /// `unwritable`: the table can only be read.
    Unwritable,
    /// `unordered`: as `unwritable`, and its keys are not in bytewise order.
    Unordered,
    /// `fixed`: the table can be used, but not changed.
    Fixed,
    /// `mend`: the table has to be [repaired](Backend::mend) before it is written.
    Mend,
}

/// A look at a table that has its columns.
pub struct Look {
    /// The table.
    pub table: &'static str,
    /// A difference is there where this returns a row or cannot be prepared.
    pub query: &'static str,
    /// Whether rows count. They do not where preparing it is all that matters.
    pub rows_count: bool,
    /// How much it matters. Where [`Grade::Mend`] was found before, looks that are of another grade wait for the mending.
    pub grade: Grade,
    /// The difference as the rest of a sentence; what the database says is put behind it.
    pub what: &'static str,
    /// Whether keys then have another order than that of their bytes.
    pub unorders: bool,
}

/// What there is to be mended of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// The table.
    pub table: &'static str,
    /// The unique keys of ours that it lacks, as [`Backend::DESCRIBE_UNIQUE_KEYS`] describes keys.
    pub lacks: Vec<&'static str>,
    /// The names of keys that are to go: they bind the columns of one of ours, and tell fewer values apart.
    pub drops: Vec<String>,
    /// What is to be changed, as rests of sentences.
    pub reasons: Vec<String>,
}

/// Writes a version into `schema_versions`, whose second column is not ours in databases from before.
pub struct RecordVersion {
    /// `applied_at` is an integer. Parameters: version, seconds since the Unix epoch.
    pub integer: &'static str,
    /// `applied_at` is a date and time. Parameters: version, seconds since the Unix epoch.
    pub temporal: &'static str,
    /// There is no `applied_at`. Parameter: version.
    pub bare: &'static str,
}

/// The texts of the operations.
///
/// A "state" is the columns id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at and updated_at
/// in this order; an "ownership" is id, thread_id, original_user_id, created_by, creation_time, created_at and
/// updated_at. Where one value is needed at several places, it is a parameter as often as the text of MySQL needs it;
/// an engine that numbers its parameters may leave some unused.
pub struct Statements {
    /// Parameters: channel_id, thread_id or null. Columns: id, last_message_id, last_seen_timestamp, created_at,
    /// updated_at.
    pub get_message_state: &'static str,
    /// Parameters: channel_id, thread_id or null, last_message_id, last_seen_timestamp, created_at, updated_at. One
    /// atomic statement; a row that is there takes last_message_id, last_seen_timestamp and updated_at. Where it collides with
    /// the row of another key, by an id or by a key of the user's own, it fails: so with all statements that write rows.
    /// Its parameters are of one row; the host may run rows of several operations together.
    pub upsert_message_state: Repeated,
    /// All states, in any order.
    pub all_message_states: &'static str,
    /// Those with a last_seen_timestamp not less than the parameter, in any order.
    pub message_states_since: &'static str,
    /// Columns: anything of one row of `message_states`, anything of one row of `thread_ownerships`, the greatest
    /// version in `schema_versions`.
    pub health_check: &'static str,
    /// Parameter: thread_id. Columns: id, original_user_id, created_by, creation_time, created_at, updated_at.
    pub get_thread_ownership: &'static str,
    /// Parameters: thread_id, original_user_id, created_by, creation_time, created_at, updated_at. One atomic
    /// statement; a row that is there takes all but thread_id and created_at. Otherwise as `upsert_message_state`.
    pub upsert_thread_ownership: Repeated,
    /// All ownerships, in any order.
    pub all_thread_ownerships: &'static str,
    /// Deletes ownerships with a creation_time less than the parameter.
    pub cleanup_thread_ownerships: &'static str,

    /// The first states by channel_id, thread_id. Parameter: limit.
    pub first_message_states: &'static str,
    /// The states after a channel's state without a thread. Parameters: channel_id, channel_id, limit.
    pub message_states_after_channel: &'static str,
    /// The states after that of a thread. Parameters: channel_id, channel_id, thread_id, limit.
    pub message_states_after_thread: &'static str,
    /// The first ownerships by thread_id. Parameter: limit.
    pub first_thread_ownerships: &'static str,
    /// The ownerships after one. Parameters: thread_id, limit.
    pub thread_ownerships_after: &'static str,

    /// Finds and locks the states of several keys. Parameters of each: channel_id, thread_id or null.
    pub find_message_states: Repeated,
    /// Inserts several states, or replaces the one that is there by one with a greater updated_at. Parameters of each:
    /// as of `upsert_message_state`. A row that is replaced takes all values but its key.
    pub import_message_states: Repeated,
    /// As `import_message_states`, but replaces one with an equal updated_at too.
    pub import_message_states_over_equal: Repeated,
    /// Finds and locks several ownerships. Parameter of each: thread_id.
    pub find_thread_ownerships: Repeated,
    /// Inserts several ownerships, or replaces the one that is there by one with a greater updated_at. Parameters of
    /// each: as of `upsert_thread_ownership`. A row that is replaced takes all values but its key.
    pub import_thread_ownerships: Repeated,
    /// As `import_thread_ownerships`, but replaces one with an equal updated_at too.
    pub import_thread_ownerships_over_equal: Repeated,
    /// How many states have a last_seen_timestamp greater than the parameter, but not more than a thousand.
    pub late_message_states: &'static str,
    /// How many ownerships have a creation_time greater than the parameter, but not more than a thousand.
    pub late_thread_ownerships: &'static str,
    /// The greatest version in `schema_versions`.
    pub recorded_version: &'static str,
}

/// The texts of a migration that differ between engines; "state" and "ownership" are as in [`Statements`].
pub struct Migration {
    /// How many rows a page should have that [`legacy`](Self::legacy) reads: more where it looks at the whole table for
    /// every page.
    pub legacy_page_rows: u32,
    /// How many rows one transaction should write: more where it rewrites every page of an index that it touches.
    pub batch_rows: u32,
    /// How many transactions should write pages at a time: one where the engine has one writer.
    pub writes_at_a_time: u32,
    /// Whether tables of version 1 have the order of version 2, unless a difference says otherwise.
    pub legacy_is_ordered: bool,
    /// Reads tables whose text may compare otherwise.
    pub legacy: Scan,
    /// The index that a run into an empty database leaves for its end.
    pub left_out: LeftOutIndex,
    /// What tells this database from any other, as one text that the same database always gives.
    pub identity: &'static str,
    /// Columns: rows, counted by the table itself; the smallest and the greatest updated_at; rows that break the rules of their
    /// types; rows, counted along what pages are read along where that is kept apart from the rows.
    pub survey_message_states: &'static str,
    /// As `survey_message_states`.
    pub survey_thread_ownerships: &'static str,
    /// How many states without a thread share their channel with another one, less one for each channel.
    pub duplicates: &'static str,
    /// States from a channel to another, both included, by key, locked. Parameters: channel_id, channel_id, limit.
    pub message_states_between: &'static str,
    /// Ownerships from a thread to another, as `message_states_between`.
    pub thread_ownerships_between: &'static str,
    /// How many of the tables of `create_tables` exist.
    pub count_tables: &'static str,
    /// Creates `cofferdam_migration_undo`, `cofferdam_migrations` and `cofferdam_migration_lease`, those that are
    /// missing. `{names}` are filled as in schema steps.
    pub create_tables: [&'static str; 3],
}

/// An index that only reads need. Keys are written in their order; to insert what has another order one by one costs several
/// times what it takes to sort it once. `{names}` are filled as in schema steps, but for `{now}`.
pub struct LeftOutIndex {
    /// It is kept where one of these queries returns a row.
    pub stays_where: &'static [&'static str],
    /// Drops it.
    pub drop: &'static str,
    /// Returns a row where it is there.
    pub is_there: &'static str,
    /// Creates it, as the schema steps do.
    pub create: &'static str,
}

/// Reads both tables in the bytewise order of keys, with the parameters of the statements of the same names in
/// [`Statements`].
pub struct Scan {
    /// The first states.
    pub first_message_states: &'static str,
    /// The states after a channel's state without a thread.
    pub message_states_after_channel: &'static str,
    /// The states after that of a thread.
    pub message_states_after_thread: &'static str,
    /// The first ownerships.
    pub first_thread_ownerships: &'static str,
    /// The ownerships after one.
    pub thread_ownerships_after: &'static str,
}

/// A statement over a number of rows: `head`, then `row` for each with `between` between them, then `tail`.
pub struct Repeated {
    /// What comes before the rows.
    pub head: &'static str,
    /// One row.
    pub row: &'static str,
    /// What comes between two rows.
    pub between: &'static str,
    /// What comes after the rows.
    pub tail: &'static str,
}

/// Inserts several states. Parameters of each: as of `upsert_message_state` in [`Statements`]. What becomes of a key that is
/// there goes into a `tail` of one's own.
pub const INSERT_MESSAGE_STATES: Repeated = Repeated {
    head: "\
INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)
VALUES ",
    row: "(?,?,?,?,?,?)",
    between: ",",
    tail: " ",
};

/// As [`INSERT_MESSAGE_STATES`], for ownerships and the parameters of `upsert_thread_ownership`.
pub const INSERT_THREAD_OWNERSHIPS: Repeated = Repeated {
    head: "\
INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
VALUES ",
    row: "(?,?,?,?,?,?)",
    between: ",",
    tail: " ",
};

impl Repeated {
    /// The text for `rows` rows.
    pub(crate) fn text(&self, rows: usize) -> String {
        let mut text =
            String::with_capacity(self.head.len() + rows * (self.row.len() + self.between.len()) + self.tail.len());
        text.push_str(self.head);
        for row in 0..rows {
            if row > 0 {
                text.push_str(self.between);
            }
            text.push_str(self.row);
        }
        text.push_str(self.tail);
        text
    }
}
