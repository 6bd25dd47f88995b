//! The token that clients show, from a file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use cofferdam::config::Secret;
use cofferdam::files::read_small;
use subtle::ConstantTimeEq;

use super::problem::{Kind, Problem};
use crate::failure::Failure;

/// How often the file is read: a token that is exchanged counts from then on.
const INTERVAL: Duration = Duration::from_secs(1);

/// How old what was read becomes before something is wrong with the file system.
const LATE: Duration = Duration::from_secs(10);

/// What can be guessed is no secret.
const LEAST: usize = 16;
const MOST: u64 = 4096;

/// A file with a token. It is read by a thread of its own, so that no request waits for a file system that hangs: the token that was
/// read last counts until then.
pub struct TokenFile(Arc<Known>);

struct Known {
    path: PathBuf,
    /// When the file was read last, and what was in it.
    last: Mutex<(Instant, Option<Secret>)>,
    is_late: AtomicBool,
}

impl TokenFile {
    /// Reads the file for the first time, and from then on again and again.
    pub fn open(path: PathBuf) -> Result<Self, Failure> {
        let token = token(&path)
            .map_err(|problem| Failure::usage(format!("--token-file (COFFERDAM_TOKEN_FILE) is {path:?}: {problem}")))?;
        let last = Mutex::new((Instant::now(), Some(token)));
        let known = Arc::new(Known { path, last, is_late: AtomicBool::new(false) });
        let weak = Arc::downgrade(&known);
        thread::Builder::new().name("token".into()).spawn(move || read_again(&weak))?;
        Ok(Self(known))
    }

    /// Refuses a request that does not show the token.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let wrong = |detail: &str| Err(Problem::new(Kind::Unauthorized, detail));
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            return wrong("send one header Authorization: Bearer TOKEN");
        };
        let Some((scheme, given)) = given.as_bytes().split_at_checked(7) else {
            return wrong("send the header Authorization: Bearer TOKEN");
        };
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return wrong("send the header Authorization: Bearer TOKEN");
        }
        let last = self.0.last();
        if last.0.elapsed() > LATE && !self.0.is_late.swap(true, Ordering::Relaxed) {
            let file = self.0.path.display();
            tracing::error!(%file, "the token file cannot be read: its file system does not answer; the last token counts");
        }
        match &last.1 {
            Some(token) if bool::from(token.expose().as_bytes().ct_eq(given.trim_ascii())) => Ok(()),
            _ => wrong("the token is wrong"),
        }
    }
}

impl Known {
    fn last(&self) -> MutexGuard<'_, (Instant, Option<Secret>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_again(known: &Weak<Known>) {
    loop {
        thread::sleep(INTERVAL);
        let Some(known) = known.upgrade() else { return };
        let token = token(&known.path);
        let mut last = known.last();
        if let Err(problem) = &token
            && last.1.is_some()
        {
            tracing::error!(file = %known.path.display(), "the token file cannot be used: {problem}; nobody is let in");
        }
        *last = (Instant::now(), token.ok());
        known.is_late.store(false, Ordering::Relaxed);
    }
}

fn token(path: &Path) -> Result<Secret, String> {
    let text = String::from_utf8(read_small(path, MOST)?).map_err(|_| "a token is one line of ASCII without spaces")?;
    let token = text.trim_end_matches(['\r', '\n']);
    if token.len() < LEAST {
        return Err(format!("a token has at least {LEAST} characters, such as those of `openssl rand -hex 32`"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token is one line of ASCII without spaces".into());
    }
    Ok(Secret::new(token))
}
