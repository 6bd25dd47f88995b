//! Writes files of the server's through MySQL, to a path that it is told.

use test_guests::{Engine, Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 17] = [
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

struct IntoOutfile;

impl Guest for IntoOutfile {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS.map(|text| text.replace("PATH", &channel_id)))))
    }
}

test_guests::export!(IntoOutfile);
