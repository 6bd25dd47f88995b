//! What is happening, on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::output::escaped;

/// Where no terminal shows it, a line this often.
const INTERVAL: Duration = Duration::from_secs(5);

/// A longer line would wrap, and could not be rewritten.
const WIDTH: usize = 79;

/// A line that rewrites itself on a terminal; a new line now and then elsewhere.
pub struct Progress {
    is_terminal: bool,
    last: Option<Instant>,
}

impl Progress {
    pub fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), last: None }
    }

    /// Something else begins.
    pub fn begin(&mut self, text: &str) {
        self.last = None;
        self.say(text);
    }

    /// It goes on.
    pub fn say(&mut self, text: &str) {
        let text = escaped(text);
        if self.is_terminal {
            let text: String = text.chars().take(WIDTH).collect();
            self.write(&format!("\r\x1b[K{text}"));
        } else if self.last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            self.write(&format!("{text}\n"));
            self.last = Some(Instant::now());
        }
    }

    /// Nothing happens any more.
    pub fn end(&self) {
        if self.is_terminal {
            self.write("\r\x1b[K");
        }
    }

    /// Progress that cannot be shown keeps nothing from going on.
    fn write(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// What is said then is not written behind it.
impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
