//! What can be set about the bot. The storage has settings of its own: [`cofferdam::Config`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam::Config;
use cofferdam::config::{ADMIN_SOCKET, Claim, Secret, claimed};
use cofferdam::files::{of_sqlite, with_suffix};
use hyper::http::uri::Scheme;
use twilight_gateway::API_VERSION;

use crate::address::{self, shown};

/// How the bot works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot's token, from Discord's developer portal.
    pub token: Secret,
    /// Where Discord's API is, if not at Discord: a local Discord, or a proxy that shares rate limits.
    pub api: Option<ApiAddress>,
    /// Which shards this process runs.
    pub shards: Shards,
    /// The file of the journal.
    pub journal: PathBuf,
    /// Where probes, metrics and the status page are; nowhere if `None`.
    pub listen: Option<Listen<SocketAddr>>,
    /// The socket with the same, on which the plugin can be swapped; none if `None`.
    pub admin_socket: Option<Listen<PathBuf>>,
    /// How often a message is begun at most, in all lives of the bot.
    pub attempts: u32,
    /// How many questions are with the responder at a time.
    pub questions: usize,
    /// How long answers in hand may take after a signal.
    pub drain: Duration,
    /// The age at which the bot forgets that a thread is its own.
    pub forget_after: Duration,
    /// The greatest age of a missed message that is still answered.
    pub window: Duration,
}

impl Settings {
    /// The defaults, beside a storage that is configured so.
    pub fn new(token: Secret, config: &Config) -> Self {
        let folder = config.database.file().and_then(|file| file.parent()).unwrap_or("data".as_ref());
        Self {
            token,
            api: None,
            shards: Shards::Auto,
            journal: folder.join("bot_journal.db"),
            listen: Some(Listen::if_free((Ipv4Addr::LOCALHOST, 9090).into())),
            admin_socket: config.socket_folder().map(|folder| Listen::if_free(folder.join(ADMIN_SOCKET))),
            attempts: 8,
            questions: 32,
            drain: Duration::from_secs(20),
            forget_after: Duration::from_secs(90 * 24 * 3600),
            window: config.message_recovery_window,
        }
    }

    /// Refuses a journal or a socket in the place of a file that has another purpose, also where nobody has named either. `claims`
    /// are those files: [`Config::claims`] has the storage's.
    ///
    /// # Errors
    ///
    /// Which files are the same, and what to do.
    pub fn check_files(&self, mut claims: Vec<Claim>) -> Result<(), String> {
        let check = |what: &str, path: &Path, files: &[PathBuf], claims: &[Claim], option: &str| match files
            .iter()
            .find_map(|file| claimed(claims, file))
        {
            None => Ok(()),
            Some(variable) => {
                Err(format!("{what} is {path:?}, which {variable} uses: name another file with {option}"))
            }
        };
        let files = of_sqlite(&self.journal);
        check("the journal", &self.journal, &files, &claims, "--journal (BOT_JOURNAL)")?;
        claims.push(Claim { variable: "the journal (BOT_JOURNAL)", files, is_written: true });
        match &self.admin_socket {
            None => Ok(()),
            Some(Listen { at, .. }) => {
                let option = "--admin-socket (COFFERDAM_ADMIN_SOCKET)";
                check("the administration socket", at, &[at.clone(), with_suffix(at, ".lock")], &claims, option)
            }
        }
    }
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen<T> {
    /// The place.
    pub at: T,
    /// Whether the bot ends if that is not possible, and does not just go without.
    pub is_required: bool,
}

impl<T> Listen<T> {
    /// A place that nobody asked for.
    pub fn if_free(at: T) -> Self {
        Self { at, is_required: false }
    }

    /// A place that was asked for.
    pub fn required(at: T) -> Self {
        Self { at, is_required: true }
    }
}

/// Where Discord's API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAddress {
    /// The host, with its port if it is not the usual one.
    pub host: String,
    /// Whether it is spoken to without TLS.
    pub is_plain: bool,
}

impl std::str::FromStr for ApiAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const GIVE: &str = "give a scheme and a host, such as http://127.0.0.1:PORT";
        let uri = address::read(text).map_err(|problem| format!("it {problem}: {GIVE}"))?;
        // The bot adds the path itself, which local-discord prints.
        let path = uri.path().trim_end_matches('/');
        if !path.is_empty() && path != format!("/api/v{API_VERSION}") {
            return Err(format!("it has another path than /api/v{API_VERSION}: {GIVE}"));
        }
        match (uri.query(), uri.authority()) {
            (None, Some(host)) => Ok(Self { host: host.to_string(), is_plain: uri.scheme() == Some(&Scheme::HTTP) }),
            _ => Err(format!("it has a query: {GIVE}")),
        }
    }
}

/// Which shards a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// All, and as many as Discord recommends.
    Auto,
    /// These of so many.
    Range {
        /// The first of this process.
        first: u32,
        /// The last of this process.
        last: u32,
        /// Those of all processes.
        total: u32,
    },
}

impl std::str::FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let range = match text.split_once('/') {
            None => number(text).filter(|total| *total > 0).map(|total| (0, total - 1, total)),
            Some((range, total)) => {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                number(first).zip(number(last)).zip(number(total)).map(|((first, last), total)| (first, last, total))
            }
        };
        match range {
            Some((first, last, total)) if first <= last && last < total => Ok(Self::Range { first, last, total }),
            _ => Err(format!("{} is no range of shards: give auto, 8 for all of eight, or 0-3/8", shown(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_all_or_a_range() {
        let range = |first, last, total| Ok(Shards::Range { first, last, total });
        assert_eq!("auto".parse(), Ok(Shards::Auto));
        assert_eq!("8".parse(), range(0, 7, 8));
        assert_eq!("4-7/8".parse(), range(4, 7, 8));
        assert_eq!("3/8".parse(), range(3, 3, 8));
        for wrong in ["", "0", "4-8/8", "3-2/8", "a/8", "1/"] {
            assert!(wrong.parse::<Shards>().unwrap_err().contains("0-3/8"), "{wrong}");
        }
    }

    #[test]
    fn no_file_of_the_bot_is_one_of_the_storage_also_by_default() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let checked = |variables: &[(&str, PathBuf)]| {
            let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, path)| path.into());
            let config = Config::from_lookup(&lookup).unwrap();
            let mut settings = Settings::new(Secret::new("token"), &config);
            settings.admin_socket = Some(Listen::if_free(at(ADMIN_SOCKET)));
            settings.check_files(config.claims())
        };
        assert_eq!(checked(&[("DATABASE_PATH", at("bot_state.db"))]), Ok(()));
        let database = ("DATABASE_PATH", at("bot_state.db"));
        for (variables, variable, option) in [
            (&[("DATABASE_PATH", at("bot_journal.db"))][..], "DATABASE_PATH", "--journal (BOT_JOURNAL)"),
            (&[database, ("COFFERDAM_SPOOL", at("bot_journal.db"))], "COFFERDAM_SPOOL", "--journal"),
            (&[("DATABASE_PATH", at(ADMIN_SOCKET))], "DATABASE_PATH", "--admin-socket (COFFERDAM_ADMIN_SOCKET)"),
        ] {
            let problem = checked(variables).unwrap_err();
            assert!(problem.contains(variable) && problem.contains(option), "{problem}");
        }
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for text in [
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/api/v10",
            "HTTP://127.0.0.1:8080/api/v10/",
        ] {
            let address = text.parse::<ApiAddress>().unwrap();
            assert_eq!((address.host.as_str(), address.is_plain), ("127.0.0.1:8080", true), "{text}");
        }
        assert!(!"https://proxy".parse::<ApiAddress>().unwrap().is_plain);
        for wrong in [
            "127.0.0.1:80",
            "http://",
            "http://host/path",
            "http://host/api/v9",
            "http://host?a",
            "ws://host",
            "http://127.0.0.1:99999",
            "http://[::1",
            "http://127.0.0.1:1\n",
            "http://u:SECRET@host/api",
        ] {
            let problem = wrong.parse::<ApiAddress>().unwrap_err();
            assert!(problem.contains("http://127.0.0.1:PORT") && !problem.contains("SECRET"), "{wrong}: {problem}");
        }
    }
}
