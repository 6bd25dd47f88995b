use std::time::Duration;

use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::mysql::MysqlDatabase;
use cofferdam_tests::harness::plugins::guests;
use mysql_async::prelude::Queryable;

use crate::rig::{Sandbox, assert_error};

/// What is in `marks`, seen from outside.
async fn marks(database: &MysqlDatabase) -> Result<Vec<String>> {
    let mut connection = database.connect().await?;
    let marks = connection.query("SELECT mark FROM marks").await?;
    connection.disconnect().await?;
    Ok(marks)
}

pub mod mysql_transactions {
    use super::*;

    async fn leaves_nothing(told: &str, words: &[&str]) -> Result<()> {
        let (sandbox, database) = Sandbox::mysql(guests::MYSQL_TRANSACTIONS).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(told, None)).await?;
        assert_error(&outcome, ErrorKind::Internal, words);
        assert_eq!(discarded, 1);
        let marks = marks(&database).await?;
        assert!(marks.iter().all(|mark| mark == "neighbour") && !marks.is_empty(), "{marks:?}");
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn are_rolled_back_by_a_trap() -> Result<()> {
        leaves_nothing("trap", &["it panicked"]).await
    }

    #[tokio::test]
    async fn are_rolled_back_with_their_connection() -> Result<()> {
        leaves_nothing("open", &["left a transaction open, which was rolled back"]).await
    }

    #[tokio::test]
    async fn are_rolled_back_where_the_connection_is_kept() -> Result<()> {
        leaves_nothing("kept", &["kept a connection, which was taken back"]).await
    }
}

/// Statements that the guest tries. Where a file is to appear they name PATH.
pub mod mysql_statements {
    use super::*;

    /// Steer transactions and the session.
    const STEERING: &[&str] = &[
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

    #[tokio::test]
    async fn that_steer_are_refused() -> Result<()> {
        let (sandbox, database) = Sandbox::mysql(guests::MYSQL_STATEMENTS).await?;
        sandbox.refuses_all(STEERING).await?;
        let mut connection = database.connect().await?;
        let local_infile: Option<bool> = connection.query_first("SELECT @@GLOBAL.local_infile").await?;
        assert!(local_infile.is_some());
        connection.disconnect().await?;
        Ok(())
    }

    /// Read files of the client and of the server.
    const READING: &[&str] = &[
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE marks (mark)",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE marks (mark)",
        "load /* */ data local infile '/etc/passwd' into table marks",
        "LOAD XML LOCAL INFILE '/etc/passwd' INTO TABLE marks",
        "/*!50000 LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE marks (mark) */",
        "/*!LOAD DATA LOCAL*/ INFILE '/etc/passwd' INTO TABLE marks (mark)",
        "SELECT LOAD_FILE('/etc/passwd')",
        "SELECT load_file ('/etc/passwd')",
        "SELECT /*!50000 LOAD_FILE('/etc/passwd') */",
        "SELECT `load_file`('/etc/passwd')",
        "INSERT INTO marks (mark) SELECT LOAD_FILE('/etc/passwd')",
    ];

    #[tokio::test]
    async fn that_read_files_are_refused() -> Result<()> {
        let (sandbox, database) = Sandbox::mysql(guests::MYSQL_STATEMENTS).await?;
        sandbox.refuses_all(READING).await?;
        let marks = marks(&database).await?;
        assert!(marks.iter().all(|mark| mark == "neighbour"), "{marks:?}");
        Ok(())
    }

    /// Write files of the server's.
    const WRITING: &[&str] = &[
        "SELECT 1 INTO OUTFILE 'PATH'",
        "SELECT 1 INTO DUMPFILE 'PATH'",
        "select 1 into outfile 'PATH'",
        "SELECT 1 INTO/**/OUTFILE 'PATH'",
        "SELECT 1 INTO -- a line\nOUTFILE 'PATH'",
        "SELECT 1 INTO # a line\nOUTFILE 'PATH'",
        "SELECT 1 /*!50000 INTO OUTFILE 'PATH' */",
        "SELECT 1 /*! INTO OUTFILE 'PATH' */",
        "SELECT 1 /*M!100000 INTO OUTFILE 'PATH' */",
        "SELECT 1 /*!50000 INTO */ /*!50000 OUTFILE */ 'PATH'",
        "(SELECT 1) UNION (SELECT 2 INTO OUTFILE 'PATH')",
        "SELECT '\\'' , 1 INTO OUTFILE 'PATH' -- '",
        "SELECT \"'\", 1 INTO OUTFILE 'PATH' -- '",
        "WITH one AS (SELECT 1) SELECT * FROM one INTO OUTFILE 'PATH'",
        "PREPARE leak FROM 'SELECT 1 INTO OUTFILE \"PATH\"'",
        "EXECUTE IMMEDIATE CONCAT('SELECT 1 INTO OUT', 'FILE \"PATH\"')",
        "EXECUTE leak",
    ];

    #[tokio::test]
    async fn that_write_files_are_refused() -> Result<()> {
        let (sandbox, _database) = Sandbox::mysql(guests::MYSQL_STATEMENTS).await?;
        // Where the server, which runs as another user perhaps, could write.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(sandbox.folder.path(), open)?;
        sandbox.refuses_a_path(WRITING).await.map(drop)
    }
}

pub mod sleeping_query {
    use super::*;

    #[tokio::test]
    async fn ends_by_its_deadline() -> Result<()> {
        let (sandbox, _database) = Sandbox::mysql(guests::SLEEPING_QUERY).await?;
        let window = Duration::from_secs(1);
        let (outcome, _) = sandbox.beside(sandbox.storage.get_message_states_within_window(window)).await?;
        assert_error(&outcome, ErrorKind::Timeout, &["deadline passed"]);
        Ok(())
    }
}
