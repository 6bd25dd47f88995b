//! Reports every variable, argument and folder that it is told of by its surroundings.

use test_guests::{Error, Guest, MessageState, report};

struct ReadsEnvironment;

impl Guest for ReadsEnvironment {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        let variables = std::env::vars_os().map(|(name, value)| format!("variable {name:?}={value:?}"));
        let arguments = std::env::args_os().map(|argument| format!("argument {argument:?}"));
        let folder = std::env::current_dir().map(|folder| format!("folder {folder:?}"));
        let entries = std::fs::read_dir(".").into_iter().flatten().map(|entry| format!("entry {entry:?}"));
        Ok(report(variables.chain(arguments).chain(folder.ok()).chain(entries)))
    }
}

test_guests::export!(ReadsEnvironment);
