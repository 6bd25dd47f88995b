//! Every environment variable, once: `Config::from_env` takes its defaults from here, the command prints this table in
//! its help, and a test compares it with the table in docs/configuration.md.

/// One environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What counts while it is not set: a value that the variable itself would take, or words in parentheses.
    pub default: &'static str,
    /// What it means and what it accepts, in one line.
    pub meaning: &'static str,
}

impl Variable {
    /// The default, unless it is words in parentheses.
    pub fn default_value(&self) -> Option<&'static str> {
        (!self.default.starts_with('(')).then_some(self.default)
    }

    /// Whether its value is a secret, or the file that it names has one: a program that a bot runs need not see it.
    pub fn is_secret(&self) -> bool {
        self.name.split('_').any(|word| matches!(word, "PASSWORD" | "TOKEN"))
    }
}

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// All of them, in the order in which documents list them. A variable that is set to nothing counts as not set.
/// Durations are written as in Go: `500ms`, `30s`, `1m30s`, `1.5h`.
pub static VARIABLES: &[Variable] = &[
    variable("DATABASE_TYPE", "sqlite", "`sqlite` or `mysql`"),
    variable("DATABASE_PATH", "./data/bot_state.db", "the SQLite file; its folder is created"),
    variable(
        "MYSQL_HOST",
        "localhost",
        "host name or address of the server; several hosts with the same data are separated by commas: \
         `a,b:3307,[::1]:3307`",
    ),
    variable("MYSQL_PORT", "3306", "TCP port of hosts that are named without one"),
    variable(
        "MYSQL_HOST_POLICY",
        "ordered",
        "`ordered` tries the first host first; `spread` starts each new connection at another host",
    ),
    variable("MYSQL_DATABASE", "bmad_bot", "name of the database"),
    variable("MYSQL_USERNAME", "(required with mysql)", "name of the user"),
    variable("MYSQL_PASSWORD", "(required with mysql, or MYSQL_PASSWORD_FILE)", "password of the user"),
    variable(
        "MYSQL_PASSWORD_FILE",
        "(none)",
        "a file that contains the password, instead of MYSQL_PASSWORD; read again for each new connection; a \
         newline at its end is ignored",
    ),
    variable("COFFERDAM_FROM_PASSWORD", "(MYSQL_PASSWORD)", "password of the source of `migrate`"),
    variable("COFFERDAM_FROM_PASSWORD_FILE", "(none)", "a file that contains it, as MYSQL_PASSWORD_FILE"),
    variable("COFFERDAM_TO_PASSWORD", "(MYSQL_PASSWORD)", "password of the destination of `migrate`"),
    variable("COFFERDAM_TO_PASSWORD_FILE", "(none)", "a file that contains it, as MYSQL_PASSWORD_FILE"),
    variable("MYSQL_TIMEOUT", "30s", "timeout of opening one connection"),
    variable("MYSQL_ROUND_TRIP_TIMEOUT", "30s", "timeout of one statement, except for changes of the schema"),
    variable("MYSQL_CONNECT_ATTEMPTS", "5", "attempts to open a connection, each on all hosts, with growing pauses"),
    variable(
        "MYSQL_TLS",
        "preferred",
        "`disabled`, `preferred`, `required`, `verify-ca` or `verify-identity`; the default is `verify-ca` if \
         MYSQL_TLS_CA is set",
    ),
    variable("MYSQL_TLS_CA", "(public authorities)", "a PEM file with the certificates of the authorities to trust"),
    variable("DATABASE_MAX_OPEN_CONNECTIONS", "10", "maximum number of open connections in the pool"),
    variable(
        "DATABASE_MAX_IDLE_CONNECTIONS",
        "5",
        "maximum number of idle connections at rest; at most DATABASE_MAX_OPEN_CONNECTIONS",
    ),
    variable("DATABASE_CONNECTION_LIFETIME", "1h", "age at which a connection is replaced"),
    variable("DATABASE_IDLE_TIMEOUT", "10m", "time after which an idle connection is closed"),
    variable("DATABASE_ACQUIRE_TIMEOUT", "5s", "timeout of waiting for a free connection"),
    variable(
        "MESSAGE_RECOVERY_WINDOW_MINUTES",
        "5",
        "how far back the bot looks for missed messages after a restart, in minutes",
    ),
    variable("COFFERDAM_OPERATION_TIMEOUT", "5s", "deadline of an operation on one row, a health check or a cleanup"),
    variable("COFFERDAM_LIST_TIMEOUT", "30s", "deadline of an operation that returns a list"),
    variable("COFFERDAM_INITIALIZE_TIMEOUT", "2m", "deadline of initialising, which may upgrade large tables"),
    variable(
        "COFFERDAM_INTEGRITY_CHECK",
        "on",
        "whether a SQLite file is checked for damage before an upgrade, an export or a migration: `on` or `off`",
    ),
    variable("COFFERDAM_CLOSE_TIMEOUT", "10s", "deadline of closing, which waits for operations in flight"),
    variable(
        "COFFERDAM_ON_UNAVAILABLE",
        "degrade",
        "what a start does if the database is unavailable: `fail`, or `degrade`, which starts without it and \
         initialises it later; `check` fails unless this is set",
    ),
    variable(
        "COFFERDAM_RETRY_ATTEMPTS",
        "5",
        "attempts of an operation within its deadline, if the error is retryable",
    ),
    variable("COFFERDAM_RETRY_FIRST_PAUSE", "50ms", "pause before the first retry; it doubles with each further one"),
    variable("COFFERDAM_RETRY_LONGEST_PAUSE", "1s", "longest pause between two attempts"),
    variable(
        "COFFERDAM_BREAKER_FAILURES",
        "5",
        "consecutive failures that open the circuit breaker, after which operations fail at once while the \
         database is unavailable; 0 disables it",
    ),
    variable("COFFERDAM_BREAKER_PROBE_INTERVAL", "1s", "interval of probes of an unavailable database"),
    variable("COFFERDAM_BREAKER_PROBE_TIMEOUT", "2s", "timeout of one probe"),
    variable(
        "COFFERDAM_SPOOL",
        "(off)",
        "a file that keeps writes durably while the database is unavailable, with a copy beside it; they are \
         replayed afterwards; each process needs its own",
    ),
    variable("COFFERDAM_SPOOL_LIMIT", "100000", "maximum number of writes in the spool, one for each row"),
    variable(
        "COFFERDAM_MIRROR",
        "(off)",
        "a second database that also gets every write, for an online migration: `sqlite:PATH` or \
         `mysql://user@host:port/database`",
    ),
    variable("COFFERDAM_MIRROR_PASSWORD", "(MYSQL_PASSWORD)", "password of the database in COFFERDAM_MIRROR"),
    variable("COFFERDAM_MIRROR_PASSWORD_FILE", "(none)", "a file that contains it, as MYSQL_PASSWORD_FILE"),
    variable(
        "COFFERDAM_SHADOW_READS",
        "0",
        "share of reads that are repeated on the mirror to compare the answers: from 0 to 1",
    ),
    variable(
        "COFFERDAM_PLUGIN",
        "(none)",
        "the component file of the backend; takes precedence over COFFERDAM_PLUGINS",
    ),
    variable(
        "COFFERDAM_PLUGINS",
        "(plugins beside the executable, else those that are embedded)",
        "the folder that contains `sqlite.wasm` and `mysql.wasm`",
    ),
    variable(
        "COFFERDAM_PLUGIN_SHA256",
        "(not checked)",
        "the SHA-256 that the component must have, embedded or not, 64 hexadecimal digits",
    ),
    variable(
        "COFFERDAM_LAST_GOOD_PLUGIN",
        "(off)",
        "a file that keeps a copy of the component that worked last; a bot or `serve` whose component cannot be used starts with that \
         one; each process needs its own",
    ),
    variable(
        "COFFERDAM_CACHE",
        "($XDG_CACHE_HOME/cofferdam/compiled or $HOME/.cache/cofferdam/compiled)",
        "the folder for compiled components, or `off`",
    ),
    variable(
        "COFFERDAM_SOCKET",
        "(cofferdam.sock in $XDG_RUNTIME_DIR, or beside the SQLite file)",
        "the Unix socket of `serve`, which only its user can open",
    ),
    variable(
        "COFFERDAM_LISTEN",
        "(none)",
        "a TCP address and port of `serve`, such as `127.0.0.1:8080`, instead of COFFERDAM_SOCKET; needs \
         COFFERDAM_TOKEN_FILE",
    ),
    variable(
        "COFFERDAM_TOKEN_FILE",
        "(none)",
        "a file that contains the token which clients of `serve` show; read again every second; a newline at its \
         end is ignored",
    ),
    variable(
        "COFFERDAM_ADMIN_SOCKET",
        "(cofferdam-admin.sock in $XDG_RUNTIME_DIR, or beside the SQLite file)",
        "the Unix socket of the administration of `serve` and of the bot",
    ),
    variable(
        "COFFERDAM_ADMIN_LISTEN",
        "(none)",
        "a TCP address and port of the administration of `serve`, instead of COFFERDAM_ADMIN_SOCKET; needs no token",
    ),
    variable("COFFERDAM_DRAIN_TIMEOUT", "10s", "how long requests to `serve` may go on after SIGTERM"),
    variable(
        "COFFERDAM_LOG",
        "warn",
        "what the command logs to standard error, such as `info` or `cofferdam=debug`; RUST_LOG is used if it is \
         not set",
    ),
];

/// The variable of this name.
pub fn variable_named(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Names in an environment that mean nothing, each with the variable that was probably meant: by a slip the default counts, and
/// a new database is made where an old one was meant.
pub fn misspelt<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<(&'a str, &'static str)> {
    let names: Vec<_> = names.into_iter().collect();
    let meant = |name: &str| {
        let near = |variable: &&Variable| distance(&name.to_ascii_uppercase(), variable.name) <= 2;
        let near = VARIABLES.iter().filter(near).min_by_key(|variable| distance(name, variable.name));
        near.map(|variable| variable.name).or_else(|| SYNONYMS.iter().find(|pair| pair.0 == name).map(|pair| pair.1))
    };
    let unknown = names.iter().filter(|name| variable_named(name).is_none());
    let with_meant = unknown.filter_map(|name| Some((*name, meant(name)?)));
    // Where both are set, the other one is somebody else's.
    with_meant.filter(|(_, meant)| !names.contains(meant)).collect()
}

/// What other programs call the same.
const SYNONYMS: [(&str, &str); 10] = [
    ("DATABASE_FILE", "DATABASE_PATH"),
    ("DATABASE_URL", "DATABASE_PATH"),
    ("SQLITE_PATH", "DATABASE_PATH"),
    ("DB_PATH", "DATABASE_PATH"),
    ("DB_TYPE", "DATABASE_TYPE"),
    ("MYSQL_USER", "MYSQL_USERNAME"),
    ("MYSQL_PWD", "MYSQL_PASSWORD"),
    ("MYSQL_PASS", "MYSQL_PASSWORD"),
    ("MYSQL_DB", "MYSQL_DATABASE"),
    ("MYSQL_SERVER", "MYSQL_HOST"),
];

/// How many letters have to be added, left out, exchanged or swapped with the next one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(one[i - 1] != other[j - 1]);
                let least = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
                let is_swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                if is_swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
            };
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_name_is_told_and_other_names_are_not() {
        for (name, meant) in [
            ("DATABSE_PATH", "DATABASE_PATH"),
            ("DATABASE_PAHT", "DATABASE_PATH"),
            ("database_path", "DATABASE_PATH"),
            ("COFFERDAM_SPOL", "COFFERDAM_SPOOL"),
            ("MYSQL_USER", "MYSQL_USERNAME"),
            ("MYSQL_HOSTS", "MYSQL_HOST"),
        ] {
            assert_eq!(misspelt([name]), [(name, meant)]);
            assert_eq!(misspelt([name, meant]), []);
        }
        let others =
            ["PATH", "HOME", "DATABASE_PATH", "MYSQL_PORT_3306_TCP", "MYSQL_SERVICE_HOST", "MYSQL_ROOT_PASSWORD"];
        assert_eq!(misspelt(others), []);
    }
}
