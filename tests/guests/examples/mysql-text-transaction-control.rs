//! Steers transactions and the session by the text of statements.

use test_guests::{Engine, Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 30] = [
    "BEGIN",
    "START TRANSACTION",
    "/* */ START TRANSACTION",
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK",
    "SAVEPOINT here",
    "RELEASE SAVEPOINT here",
    "XA START 'x'",
    "LOCK TABLES marks WRITE",
    "FLUSH TABLES WITH READ LOCK",
    "SET autocommit = 0",
    "SET SESSION sql_mode = ''",
    "SET @mark = 1",
    "SET GLOBAL local_infile = 1",
    "/*!50000 SET SESSION sql_mode = '' */",
    "/*M!100100 SET SESSION sql_mode = '' */",
    "SELECT 1; SET autocommit = 0",
    "USE mysql",
    "KILL 1",
    "GRANT ALL ON *.* TO 'guest'@'%'",
    "CREATE USER 'guest'@'%'",
    "CREATE DATABASE guest",
    "CREATE PROCEDURE p() SET @a = 1",
    "CREATE TEMPORARY TABLE t (i INT)",
    "CREATE TRIGGER t BEFORE INSERT ON marks FOR EACH ROW SET @a = 1",
    "CALL p()",
    "DO SLEEP(1)",
    "SHUTDOWN",
    "INSTALL SONAME 'x'",
];

struct MysqlTextTransactionControl;

impl Guest for MysqlTextTransactionControl {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS)))
    }
}

test_guests::export!(MysqlTextTransactionControl);
