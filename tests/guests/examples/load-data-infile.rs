//! Reads files of the client and of the server through MySQL.

use test_guests::{Engine, Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 11] = [
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

struct LoadDataInfile;

impl Guest for LoadDataInfile {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS)))
    }
}

test_guests::export!(LoadDataInfile);
