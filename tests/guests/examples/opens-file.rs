//! Reads, lists and writes files, and reports each success. What it writes it is told the path of.

use std::fs;
use std::path::Path;

use test_guests::{Error, Guest, MessageState, report};

struct OpensFile;

impl Guest for OpensFile {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let marker = Path::new(&channel_id);
        let name = marker.file_name().unwrap_or_default();
        let attempts = [
            ("read /etc/passwd", fs::read("/etc/passwd").is_ok()),
            ("read ../etc/passwd", fs::read("../../../../../../etc/passwd").is_ok()),
            ("read /proc/self/environ", fs::read("/proc/self/environ").is_ok()),
            ("listed /", fs::read_dir("/").is_ok()),
            ("listed .", fs::read_dir(".").is_ok()),
            ("looked at /", fs::metadata("/").is_ok()),
            ("made a folder", fs::create_dir_all(marker.with_extension("d")).is_ok()),
            ("wrote", fs::write(marker, "out").is_ok()),
            ("wrote here", fs::write(name, "out").is_ok()),
            ("removed", fs::remove_dir_all(marker.parent().unwrap_or(marker)).is_ok()),
        ];
        Ok(report(attempts.into_iter().filter(|(_, done)| *done).map(|(what, _)| what.to_owned())))
    }
}

test_guests::export!(OpensFile);
