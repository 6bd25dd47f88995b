//! The one table from the error numbers of MySQL and MariaDB to [`ErrorKind`].

use std::io;

use mysql_async::{DriverError, Error, IoError, ServerError};

use crate::limit;
use crate::sql::error::{ErrorKind, SqlError};

/// What an error number means; where the table does not know it, what the class of its SQLSTATE means.
///
/// Numbers: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html> and
/// <https://mariadb.com/kb/en/mariadb-error-codes/>. Where the two give one number different meanings, the comment
/// says whose it is.
fn kind(code: u16, sqlstate: &str) -> ErrorKind {
    match code {
        // Too many connections, of all or of this user; no memory for one; a host blocked after too many errors.
        1040 | 1041 | 1129 | 1203 | 1226 => ErrorKind::Unavailable,
        // Shutting down, aborted, or a packet that did not arrive.
        1053 | 1077 | 1079 | 1080 | 1152 | 1153..=1161 | 1184 => ErrorKind::Unavailable,
        // A node of a Galera cluster without quorum.
        1047 => ErrorKind::Unavailable,
        // MariaDB: the connection was killed. MySQL: idle for too long; the server is being started or is offline.
        1927 | 4031 | 3032 | 3169 => ErrorKind::Unavailable,
        // The client's own: cannot connect, gone away, lost in mid-statement, TLS.
        2002 | 2003 | 2005 | 2006 | 2013 | 2026 | 2055 => ErrorKind::Unavailable,
        // KILL QUERY, MariaDB's max_statement_time, MySQL's max_execution_time.
        1317 | 1969 | 3024 => ErrorKind::Timeout,
        // Lock wait, deadlock, a row that changed since it was read; MySQL's NOWAIT; its group replication.
        // Creating an index was outrun by writes.
        1205 | 1213 | 1020 | 1799 | 3572 | 3101 => ErrorKind::Conflict,
        // Duplicate keys.
        1022 | 1062 | 1169 | 1586 | 1859 => ErrorKind::Constraint,
        // NULL or no default where a value is needed; a value that is too long, out of range, or not of the
        // column's kind or character set.
        1048 | 1263 | 1264 | 1265 | 1292 | 1364 | 1366 | 1367 | 1406 | 1411 | 1690 | 3988 => ErrorKind::Constraint,
        // Foreign keys; checks, in MySQL and in MariaDB.
        1216 | 1217 | 1451 | 1452 | 1761 | 1762 | 3819 | 4025 => ErrorKind::Constraint,
        // Rights, a wrong password, an unknown database, a locked account (MySQL 3118, MariaDB 4151), an expired
        // password, an authentication method that is missing, TLS that the server demands.
        1044 | 1045 | 1049 | 1095 | 1130 | 1131 | 1142 | 1143 | 1227 | 1251 | 1370 | 1396 | 1524 | 1698 | 1820
        | 1862 | 3118 | 3159 | 4151 => ErrorKind::PermissionDenied,
        // A read-only server takes no writes at the moment, as in a failover: the connection is closed, and the next one
        // may lead to a server that does. 1290 stands for other options too, but they forbid what `guard` does not let
        // through anyway.
        1290 | 1836 => ErrorKind::Unavailable,
        // A read-only table or transaction.
        1036 | 1792 => ErrorKind::PermissionDenied,
        // A full disk, table, temporary file or log.
        1021 | 1026 | 1114 | 1197 | 1598 | 1878 | 3019 => ErrorKind::StorageFull,
        // Syntax, names that do not exist or exist already, and what cannot be prepared.
        1046 | 1050 | 1051 | 1052 | 1054 | 1060 | 1061 | 1064 | 1065 | 1068 | 1091 | 1109 | 1110 | 1136 | 1146
        | 1149 | 1166 | 1171 | 1210 | 1222 | 1241 | 1242 | 1243 | 1248 | 1295 | 1305 | 1390 | 1461 | 1615 => {
            ErrorKind::InvalidStatement
        }
        // Damaged tables and pages.
        126 | 127 | 134 | 144 | 145 | 1030 | 1033 | 1034 | 1035 | 1194 | 1195 | 1259 | 1712 | 1817 | 1877 | 3060 => {
            ErrorKind::CorruptData
        }
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "08" => ErrorKind::Unavailable,
            "40" => ErrorKind::Conflict,
            "22" | "23" => ErrorKind::Constraint,
            "28" => ErrorKind::PermissionDenied,
            "42" => ErrorKind::InvalidStatement,
            "53" => ErrorKind::StorageFull,
            "70" => ErrorKind::Timeout,
            _ => ErrorKind::Other,
        },
    }
}

/// What was being done when an error came up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Opening a connection.
    Connecting,
    /// Anything on an open one.
    Running,
}

/// An error as the caller sees it. `address` is the server's, for the messages.
pub(super) fn error(error: Error, doing: Doing, address: &str) -> SqlError {
    let (code, why) = match error {
        Error::Server(error) => return server_error(error, doing, address),
        Error::Io(IoError::Tls(error)) => (2026, error.to_string()),
        Error::Io(IoError::Io(error)) => (io_code(&error, doing), limit::explain(&error)),
        Error::Driver(error) => return driver_error(error, doing, address),
        Error::Url(error) => (2005, error.to_string()),
        Error::Other(_) => return SqlError::new(ErrorKind::Other, format!("talking to {address} failed")),
    };
    let what = match doing {
        Doing::Connecting if code == 2026 => "no encrypted connection could be made to",
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
        ..SqlError::new(kind(code, "HY000"), message)
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
            format!("{address} offers no encryption: switch it on there, or set MYSQL_TLS to disabled or preferred"),
        ),
        DriverError::PacketTooLarge => SqlError {
            code: Some("1153".to_owned()),
            ..SqlError::new(ErrorKind::InvalidStatement, "the statement is larger than max_allowed_packet")
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
            format!("{address} asks for a way of authentication that is not supported: {error}"),
        ),
        _ if doing == Doing::Connecting => client_error(2002, format!("{address} does not answer as MySQL does")),
        _ => client_error(2013, format!("{address} answered with what is not part of the protocol")),
    }
}

fn server_error(error: ServerError, doing: Doing, address: &str) -> SqlError {
    let message = without_values(error.code, &error.message);
    SqlError {
        kind: kind(error.code, &error.state),
        code: Some(error.code.to_string()),
        message: match doing {
            Doing::Connecting => format!("{address} refused the connection: {message}"),
            Doing::Running => message,
        },
        sqlstate: Some(error.state),
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
        super::error(Error::Server(error), Doing::Running, "db:3306")
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
    fn an_unknown_number_means_what_its_sqlstate_means() {
        assert_eq!(server(9999, "23000", "").kind, ErrorKind::Constraint);
        assert_eq!(server(9999, "40001", "").kind, ErrorKind::Conflict);
        assert_eq!(server(9999, "HY000", "").kind, ErrorKind::Other);
        assert_eq!(server(9999, "", "").kind, ErrorKind::Other);
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
        let error = super::error(refused.into(), Doing::Connecting, "db:3306");
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
