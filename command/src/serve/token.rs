//! The token that clients show, from a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use cofferdam::config::Secret;
use subtle::ConstantTimeEq;

use super::problem::{Kind, Problem};
use crate::failure::Failure;

/// How old what was read may be: a token that is exchanged counts from then on.
const FRESH: Duration = Duration::from_secs(1);

/// What can be guessed is no secret.
const LEAST: usize = 16;
const MOST: u64 = 4096;

/// A file with a token.
pub struct TokenFile {
    path: PathBuf,
    read: Mutex<(Instant, Option<Secret>)>,
}

impl TokenFile {
    /// Reads the file for the first time.
    pub fn open(path: PathBuf) -> Result<Self, Failure> {
        match token(&path) {
            Ok(token) => Ok(Self { path, read: Mutex::new((Instant::now(), Some(token))) }),
            Err(problem) => Err(Failure::usage(format!("--token-file (COFFERDAM_TOKEN_FILE) is {path:?}: {problem}"))),
        }
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
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0.elapsed() >= FRESH {
            let token = token(&self.path);
            if let Err(problem) = &token {
                tracing::error!(file = %self.path.display(), "the token file cannot be used: {problem}");
            }
            *read = (Instant::now(), token.ok());
        }
        match &read.1 {
            Some(token) if bool::from(token.expose().as_bytes().ct_eq(given.trim_ascii())) => Ok(()),
            _ => wrong("the token is wrong"),
        }
    }
}

fn token(path: &Path) -> Result<Secret, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MOST + 1).read_to_string(&mut text))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    let token = text.trim_end_matches(['\r', '\n']);
    if text.len() as u64 > MOST {
        return Err(format!("a token has at most {MOST} bytes"));
    }
    if token.len() < LEAST {
        return Err(format!("a token has at least {LEAST} characters, such as those of `openssl rand -hex 32`"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token is one line of ASCII without spaces".into());
    }
    Ok(Secret::new(token))
}
