//! The storage backend for SQLite, a component. It needs SQLite 3.37 or later.

mod migration;
mod rebuild;
mod schema;
mod statements;

use cofferdam_guest::{Backend, Engine, Look, Mend, Migration, RecordVersion, Server, Statements, Upgrade};

struct Sqlite;

impl Backend for Sqlite {
    const NAME: &'static str = "sqlite";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ENGINE: Engine = Engine::Sqlite;
    const STATEMENTS: Statements = statements::STATEMENTS;
    const NO_ID: &'static [&'static str] = statements::NO_ID;
    const LACKING_INDEXES: &'static [(&'static str, &'static str)] = statements::LACKING_INDEXES;
    const IDS_AT_END: Option<&'static str> = Some(statements::IDS_AT_END);
    const MIGRATION: Migration = migration::MIGRATION;

    const STEPS: &'static [&'static str] = schema::STEPS;
    const UPGRADE: Upgrade = schema::UPGRADE;
    const RECORD_VERSION: RecordVersion = schema::RECORD_VERSION;
    const DESCRIBE_COLUMNS: &'static str = schema::DESCRIBE_COLUMNS;
    const DESCRIBE_UNIQUE_KEYS: &'static str = schema::DESCRIBE_UNIQUE_KEYS;
    const DIFFERENCES: &'static str = schema::DIFFERENCES;
    const LOOKS: &'static [Look] = schema::LOOKS;
    const REMARKS: &'static str = schema::REMARKS;
    const BLUEPRINT: &'static str = schema::BLUEPRINT;
    const THREADLESS_KEY: &'static str = "channel_id where thread_id is null";

    fn mend(mend: &Mend, blueprint: &[Vec<Option<String>>], _server: &Server) -> Result<Vec<String>, String> {
        rebuild::rebuild(mend, blueprint)
    }
}

cofferdam_guest::export_backend!(Sqlite);
