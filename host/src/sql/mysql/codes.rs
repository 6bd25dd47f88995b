//! Errors of the driver and of servers as the host's own. What a number means is in `numbers`.

use std::io;

use mysql_async::{DriverError, Error, IoError, ServerError};

use super::family::Family;
use super::numbers::{advice, kind};
use crate::limit;
use crate::sql::error::{ErrorKind, SqlError};

/// What was being done when an error came up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Opening a connection.
    Connecting,
    /// Anything on an open one.
    Running,
}

/// An error as the caller sees it. `address` is the server's, for the messages.
pub(super) fn error(error: Error, doing: Doing, family: Option<Family>, address: &str) -> SqlError {
    let (code, why) = match error {
        Error::Server(error) => return server_error(error, doing, family, address),
        Error::Io(IoError::Tls(error)) => (2026, error.to_string()),
        Error::Io(IoError::Io(error)) => (io_code(&error, doing), limit::explain(&error)),
        Error::Driver(error) => return driver_error(error, doing, address),
        Error::Url(error) => (2005, error.to_string()),
        Error::Other(_) => return SqlError::new(ErrorKind::Other, format!("talking to {address} failed")),
    };
    let what = match doing {
        Doing::Connecting if code == 2026 => "cannot open an encrypted connection to",
        Doing::Connecting => "cannot connect to",
        Doing::Running => "lost the connection to",
    };
    client_error(code, format!("{what} {address}: {why}"))
}

/// An error that the client found, with its number in MySQL's own client library.
pub(super) fn client_error(code: u16, message: String) -> SqlError {
    SqlError {
        code: Some(code.to_string()),
        sqlstate: Some("HY000".to_owned()),
        ..SqlError::new(kind(None, code, "HY000"), message)
    }
}

fn io_code(error: &io::Error, doing: Doing) -> u16 {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    match (doing, error.kind()) {
        _ if is_tls => 2026,
        (Doing::Connecting, _) => 2002,
        (Doing::Running, io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected) => 2006,
        (Doing::Running, _) => 2013,
    }
}

fn driver_error(error: DriverError, doing: Doing, address: &str) -> SqlError {
    // Some of the driver's errors carry rows or packets: their own words stay out of messages.
    match error {
        DriverError::ConnectionClosed | DriverError::PoolDisconnected => {
            client_error(2006, format!("the connection to {address} is closed"))
        }
        DriverError::NoClientSslFlagFromServer => client_error(
            2026,
            format!("{address} does not offer TLS: enable it there, or set MYSQL_TLS to disabled or preferred"),
        ),
        DriverError::PacketTooLarge => SqlError {
            code: Some("1153".to_owned()),
            ..SqlError::new(ErrorKind::Other, "the statement is larger than max_allowed_packet")
        },
        DriverError::StmtParamsMismatch { .. }
        | DriverError::StmtParamsNumberExceedsLimit { .. }
        | DriverError::MixedParams
        | DriverError::Params(_) => SqlError::new(
            ErrorKind::InvalidStatement,
            "the parameters do not fit the statement: it takes one for each question mark",
        ),
        DriverError::LocalInfile(_) => {
            SqlError::new(ErrorKind::PermissionDenied, "the host sends no files to the server: LOCAL INFILE is refused")
        }
        DriverError::UnknownAuthPlugin { .. }
        | DriverError::MysqlOldPasswordDisabled
        | DriverError::CleartextPluginDisabled => SqlError::new(
            ErrorKind::PermissionDenied,
            format!("{address} requests an authentication method that is not supported: {error}"),
        ),
        _ if doing == Doing::Connecting => client_error(2002, format!("{address} does not answer as MySQL does")),
        _ => client_error(2013, format!("{address} answered with what is not part of the protocol")),
    }
}

fn server_error(error: ServerError, doing: Doing, family: Option<Family>, address: &str) -> SqlError {
    let kind = match kind(family, of_engine(&error).unwrap_or(error.code), &error.state) {
        // What a connection needs is known to every server that the host works with.
        ErrorKind::InvalidStatement if doing == Doing::Connecting => ErrorKind::Other,
        kind => kind,
    };
    let mut message = without_values(error.code, &error.message);
    if let Some(advice) = advice(error.code) {
        message = format!("{message}; {advice}");
    }
    SqlError {
        kind,
        code: Some(error.code.to_string()),
        message: match doing {
            Doing::Connecting => format!("{address} refused the connection: {message}"),
            Doing::Running => message,
        },
        sqlstate: Some(error.state),
    }
}

/// The number of the storage engine's own error, where the server's says only that there is one: as in "Got error 28 from
/// storage engine", or "Got error 168 'Unknown (generic) error from engine' during COMMIT".
fn of_engine(error: &ServerError) -> Option<u16> {
    if !matches!(error.code, 1030 | 1180 | 1181 | 1296) {
        return None;
    }
    let number = error.message.strip_prefix("Got error ")?;
    let number = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    match number {
        // ENOSPC and EDQUOT.
        28 | 122 => Some(1021),
        120..=199 => (kind(Some(Family::MariaDb((10, 11))), number, "") != ErrorKind::Other).then_some(number),
        _ => None,
    }
}

/// The server's message without the values of rows that some messages quote.
fn without_values(code: u16, message: &str) -> String {
    let place = |before: &str| message.rfind(before).map_or("", |index| &message[index..]);
    match code {
        1062 | 1586 | 1859 => format!("duplicate entry{}", place(" for key ")),
        1264 | 1265 | 1292 | 1366 | 1367 | 1411 | 1525 | 1690 | 3988 => {
            format!("a value does not fit{}", place(" for column "))
        }
        _ => message.to_owned(),
    }
}

/// Whether the same statement may succeed at once, because the server gave it up in favour of another.
pub(super) fn is_lock_conflict(error: &SqlError) -> bool {
    matches!(error.code.as_deref(), Some("1205" | "1213"))
}

/// Whether the server ended the statement since it and another one waited for each other.
pub(super) fn is_deadlock(error: &SqlError) -> bool {
    error.code.as_deref() == Some("1213")
}

/// Whether the server says that it takes no writes at the moment, or nothing at all: it is read-only, a Galera node without
/// a majority, or shutting down. Another server may do.
pub(super) fn takes_no_writes(error: &SqlError) -> bool {
    matches!(error.code.as_deref(), Some("1047" | "1053" | "1290" | "1836" | "3032"))
}

/// Whether another attempt to connect may succeed: not with a wrong password, and not without the right software.
pub(super) fn is_worth_another_attempt(error: &SqlError) -> bool {
    match error.kind {
        ErrorKind::Unavailable => error.code.as_deref() != Some("2026"),
        ErrorKind::Timeout => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, state: &str, message: &str) -> SqlError {
        let error = ServerError { code, state: state.to_owned(), message: message.to_owned() };
        super::error(Error::Server(error), Doing::Running, None, "db:3306")
    }

    #[test]
    fn faults_have_the_kinds_that_callers_act_on() {
        for (code, state, expected) in [
            (1040, "08004", ErrorKind::Unavailable),
            (1226, "42000", ErrorKind::Unavailable),
            (1047, "08S01", ErrorKind::Unavailable),
            (1317, "70100", ErrorKind::Timeout),
            (1969, "70100", ErrorKind::Timeout),
            (3024, "HY000", ErrorKind::Timeout),
            (1290, "HY000", ErrorKind::Unavailable),
            (1836, "HY000", ErrorKind::Unavailable),
            (1792, "25006", ErrorKind::PermissionDenied),
            (2002, "HY000", ErrorKind::Unavailable),
            (2006, "HY000", ErrorKind::Unavailable),
            (2013, "HY000", ErrorKind::Unavailable),
            (1205, "HY000", ErrorKind::Conflict),
            (1213, "40001", ErrorKind::Conflict),
            (1045, "28000", ErrorKind::PermissionDenied),
            (4151, "HY000", ErrorKind::PermissionDenied),
            (1114, "HY000", ErrorKind::StorageFull),
            (1062, "23000", ErrorKind::Constraint),
            (1406, "22001", ErrorKind::Constraint),
            (1146, "42S02", ErrorKind::InvalidStatement),
            (1064, "42000", ErrorKind::InvalidStatement),
            (1927, "70100", ErrorKind::Unavailable),
        ] {
            assert_eq!(server(code, state, "").kind, expected, "{code}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_servers_words_and_says_what_to_do() {
        let words = "Cannot execute statement: impossible to write to binary log since BINLOG_FORMAT = STATEMENT";
        let error = server(1665, "HY000", words);
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Other, Some("1665")));
        assert!(error.message.starts_with(words) && error.message.contains("binlog_format to ROW"), "{error}");
    }

    #[test]
    fn the_engines_number_counts_where_the_servers_says_nothing() {
        for (code, message, expected) in [
            (1030, "Got error 28 \"No space left on device\" from storage engine InnoDB", ErrorKind::StorageFull),
            (1030, "Got error 165 \"Table is read only\" from storage engine InnoDB", ErrorKind::PermissionDenied),
            (1030, "Got error 1 from storage engine", ErrorKind::CorruptData),
            (1180, "Got error 149 during COMMIT", ErrorKind::Conflict),
            (1180, "Got error 5 during COMMIT", ErrorKind::Unavailable),
        ] {
            assert_eq!(server(code, "HY000", message).kind, expected, "{message}");
        }
    }

    #[test]
    fn a_server_that_a_connection_cannot_be_made_with_is_no_mistake_of_ours() {
        let error = ServerError { code: 1193, state: "HY000".into(), message: "Unknown system variable".into() };
        let error = super::error(Error::Server(error), Doing::Connecting, None, "db:3306");
        assert_eq!(error.kind, ErrorKind::Other);
    }

    #[test]
    fn messages_do_not_quote_values() {
        let error = server(1062, "23000", "Duplicate entry 'secret for key x' for key 'channel'");
        assert_eq!(error.to_string(), "duplicate entry for key 'channel' [1062]");
        let error = server(1366, "22007", "Incorrect string value: '\\xF0secret' for column `d`.`t`.`c` at row 1");
        assert!(!error.message.contains("secret") && error.message.contains("`c`"), "{error}");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = super::error(refused.into(), Doing::Connecting, None, "db:3306");
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Unavailable, Some("2002")));
        assert!(error.message.contains("db:3306") && is_worth_another_attempt(&error));
        for code in [1044, 1045, 1049, 1698, 3118] {
            assert!(!is_worth_another_attempt(&server(code, "28000", "")), "{code}");
        }
        for code in [1040, 1203, 1053] {
            assert!(is_worth_another_attempt(&server(code, "08004", "")), "{code}");
        }
    }
}
