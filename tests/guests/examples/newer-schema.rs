//! The backend for SQLite with one more step of its schema, which makes a table `later`.

#[path = "../../../plugins/sqlite/src/migration.rs"]
mod moving;
#[path = "../../../plugins/sqlite/src/rebuild.rs"]
mod rebuild;
#[path = "../../../plugins/sqlite/src/schema.rs"]
mod schema;
#[path = "../../../plugins/sqlite/src/statements.rs"]
mod statements;

use cofferdam_guest::{Backend, Engine, Look, Mend, Migration, RecordVersion, Server, Statements, Upgrade};

struct Sqlite;

impl Backend for Sqlite {
    const NAME: &'static str = "sqlite";
    const VERSION: &'static str = "9.0.0";
    const ENGINE: Engine = Engine::Sqlite;
    const STATEMENTS: Statements = statements::STATEMENTS;
    const NO_ID: &'static [&'static str] = statements::NO_ID;
    const LACKING_INDEXES: &'static [(&'static str, &'static str)] = statements::LACKING_INDEXES;
    const IDS_AT_END: Option<&'static str> = Some(statements::IDS_AT_END);
    const MIGRATION: Migration = moving::MIGRATION;

    const STEPS: &'static [&'static str] =
        &[schema::STEPS[0], schema::STEPS[1], "CREATE TABLE IF NOT EXISTS later (id INTEGER PRIMARY KEY)"];
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
