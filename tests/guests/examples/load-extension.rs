//! Loads native code, whose path it is told, and reaches for what could.

use test_guests::{Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 8] = [
    "SELECT load_extension('PATH')",
    "SELECT LOAD_EXTENSION('PATH', 'sqlite3_init')",
    "SELECT fts3_tokenizer('simple', x'0000000000000000')",
    "SELECT writefile('PATH', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x', 'touch PATH')",
    "CREATE VIRTUAL TABLE temp.leak USING csv(filename='/etc/passwd')",
    "CREATE VIRTUAL TABLE spans USING fts5(text)",
];

struct LoadExtension;

impl Guest for LoadExtension {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS.map(|text| text.replace("PATH", &channel_id)))))
    }
}

test_guests::export!(LoadExtension);
