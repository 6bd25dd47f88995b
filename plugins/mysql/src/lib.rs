//! The storage backend for MySQL 8.0 and later and MariaDB 10.3 and later, a component.

mod alter;
mod migration;
mod schema;
mod statements;

use cofferdam_guest::{Backend, Engine, Look, Mend, Migration, RecordVersion, Server, Statements, Upgrade};

struct Mysql;

impl Backend for Mysql {
    const NAME: &'static str = "mysql";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ENGINE: Engine = Engine::Mysql;
    const STATEMENTS: Statements = statements::STATEMENTS;
    const NO_ID: &'static [&'static str] = statements::NO_ID;
    const MIGRATION: Migration = migration::MIGRATION;

    const STEPS: &'static [&'static str] = schema::STEPS;
    const UPGRADE: Upgrade = schema::UPGRADE;
    const RECORD_VERSION: RecordVersion = schema::RECORD_VERSION;
    const DESCRIBE_COLUMNS: &'static str = schema::DESCRIBE_COLUMNS;
    const DESCRIBE_UNIQUE_KEYS: &'static str = schema::DESCRIBE_UNIQUE_KEYS;
    const DIFFERENCES: &'static str = schema::DIFFERENCES;
    const LOOKS: &'static [Look] = &[];
    const REMARKS: &'static str = schema::REMARKS;
    const BLUEPRINT: &'static str = schema::BLUEPRINT;
    const THREADLESS_KEY: &'static str = "channel_id,threadless";

    fn mend(mend: &Mend, blueprint: &[Vec<Option<String>>], server: &Server) -> Result<Vec<String>, String> {
        alter::alter(mend, blueprint, schema::collation(&server.version))
    }

    fn fill(server: &Server) -> Vec<(&'static str, &'static str)> {
        vec![("collation", schema::collation(&server.version)), ("variables", schema::variables(&server.version))]
    }
}

cofferdam_guest::export_backend!(Mysql);
