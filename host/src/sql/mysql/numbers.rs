//! The one table from the error numbers of MySQL and MariaDB to [`ErrorKind`].
//!
//! Numbers: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html> and
//! <https://mariadb.com/kb/en/mariadb-error-codes/>. `lists/` has all of them, with what this table makes of each.

use super::family::Family;
use crate::sql::error::ErrorKind;

/// What an error number means to a server of this family, which is unknown before it has said what it is: from 4000 on the two give
/// one number different meanings. What neither list knows, as of a later server or a proxy, means what the class of its SQLSTATE
/// says; a server that says nothing more than no has refused.
pub(super) fn kind(family: Option<Family>, code: u16, sqlstate: &str) -> ErrorKind {
    let of_family = match family {
        Some(Family::Mysql) => mysql(code),
        Some(Family::MariaDb(_)) => mariadb(code),
        // Of numbers that only one of them has seen at work.
        None => mysql(code).or_else(|| mariadb(code)),
    };
    of_family.or_else(|| shared(code)).unwrap_or_else(|| match is_listed(code) {
        true => ErrorKind::Other,
        false => of_class(sqlstate),
    })
}

/// Numbers that a client of MySQL alone sees, or sees with this meaning.
fn mysql(code: u16) -> Option<ErrorKind> {
    Some(match code {
        // Idle for too long; a secondary of a group; offline.
        4031 | 4049 | 6400 | 6401 => ErrorKind::Unavailable,
        _ => return None,
    })
}

/// As [`mysql`], of MariaDB. Numbers below 200 are those of its storage engines.
fn mariadb(code: u16) -> Option<ErrorKind> {
    Some(match code {
        // No memory; the engine is not there; too many transactions.
        128 | 157 | 177 => ErrorKind::Unavailable,
        // A backup, for which all changes wait.
        4145 => ErrorKind::Unavailable,
        188 | 4192 => ErrorKind::Timeout,
        123 | 146 | 147 | 149 | 159 => ErrorKind::Conflict,
        121 | 141 | 150..=152 | 163 | 178 | 186 | 4025 => ErrorKind::Constraint,
        // The table's numbers are used up (166, 167); no room for a record or an index.
        135 | 136 | 166 | 167 | 189 | 4139 => ErrorKind::StorageFull,
        126 | 127 | 130 | 134 | 144 | 145 | 155 | 171 | 175 | 176 | 180 | 190 | 194 => ErrorKind::CorruptData,
        // A read-only table or transaction; a blocked or locked account; TLS that the server demands.
        148 | 165 | 4150 | 4151 | 4166 | 4167 => ErrorKind::PermissionDenied,
        4002..=4020 | 4080..=4083 | 4099..=4107 | 4141 | 4161 | 4162 => ErrorKind::InvalidStatement,
        _ => return None,
    })
}

/// Numbers that mean the same to both, or that only one of them has and no client of the other sees.
fn shared(code: u16) -> Option<ErrorKind> {
    Some(match code {
        // Too many connections, of all or of this user; no memory or thread for one; a host blocked after too many errors.
        1037 | 1038 | 1040 | 1041 | 1129 | 1135 | 1203 | 1226 | 3015 | 3044 => ErrorKind::Unavailable,
        // Shutting down, aborted, or a packet that did not arrive.
        1042 | 1043 | 1053 | 1077..=1081 | 1152..=1161 | 1184 | 1835 => ErrorKind::Unavailable,
        // A node of a Galera cluster without quorum; what a group's plugin or an observer of commits refuses for now; a copy that
        // is being made of the server.
        1047 | 3100 | 3168 | 3633 | 3707 => ErrorKind::Unavailable,
        // MariaDB: the connection was killed. MySQL: the same; the server is being started or is offline.
        1927 | 3032 | 3169 => ErrorKind::Unavailable,
        // The server is out of prepared statements, of locks or of transactions, for all of its clients together.
        1206 | 1461 | 1637 => ErrorKind::Unavailable,
        // Files that the server cannot open, lock, read or list at the moment, as where it has too many open; a commit that failed.
        1004 | 1013..=1016 | 1018 | 1019 | 1023 | 1024 | 1180..=1183 | 1297 | 1810 | 1964 => ErrorKind::Unavailable,
        // A read-only server takes no writes at the moment, as in a failover: the connection is closed, and the next one
        // may lead to a server that does. 1290 stands for other options too, but they forbid what `guard` does not let
        // through anyway. An InnoDB that was started to be read or rescued.
        1290 | 1836 | 1874 | 1881 => ErrorKind::Unavailable,
        // The client's own: cannot connect, gone away, lost in mid-statement, TLS.
        2000..=2072 => ErrorKind::Unavailable,
        // ProxySQL: no server of the group can be reached, or is free.
        9001 | 9002 | 9006 => ErrorKind::Unavailable,
        // KILL QUERY, MariaDB's max_statement_time, MySQL's max_execution_time.
        1028 | 1317 | 1613 | 1969 | 3024 | 3133 => ErrorKind::Timeout,
        // Lock wait, deadlock, a row or table that changed since it was read; MySQL's NOWAIT; its group replication.
        // Creating an index was outrun by writes. A statement that has to be prepared again.
        1020 | 1205 | 1213 | 1402 | 1412 | 1614 | 1615 | 1689 | 1799 | 3058 | 3101 | 3132 | 3572 => ErrorKind::Conflict,
        // Duplicate keys.
        1022 | 1062 | 1169 | 1557 | 1569 | 1586 | 1859 => ErrorKind::Constraint,
        // NULL or no default where a value is needed; a value that is too long, out of range, or not of the
        // column's kind or character set.
        1048
        | 1263..=1265
        | 1292
        | 1300
        | 1364..=1367
        | 1406
        | 1411
        | 1441
        | 1525
        | 1690
        | 1916..=1918
        | 1977
        | 3673
        | 3988 => ErrorKind::Constraint,
        // Foreign keys; checks, views with one, and partitions that take no such row; what a trigger signals.
        1216 | 1217 | 1369 | 1451 | 1452 | 1526 | 1591 | 1643 | 1644 | 1748 | 1761 | 1762 | 1863 | 3819 => {
            ErrorKind::Constraint
        }
        // Rights, a wrong password, a database that is unknown or cannot be called so, a locked account, an expired
        // password, an authentication method that is missing, TLS that the server demands.
        1044
        | 1045
        | 1049
        | 1095
        | 1102
        | 1130..=1133
        | 1141..=1145
        | 1147
        | 1148
        | 1211
        | 1227
        | 1251
        | 1275
        | 1370
        | 1396
        | 1403
        | 1419
        | 1524
        | 1698
        | 1820
        | 1862
        | 1873
        | 1979
        | 3118
        | 3159
        | 3160
        | 3202
        | 3552..=3557
        | 3566
        | 3630
        | 3631
        | 3879
        | 3955 => ErrorKind::PermissionDenied,
        // A read-only table or transaction.
        1036 | 1207 | 1792 => ErrorKind::PermissionDenied,
        // A full disk, table, temporary file or log; a table whose numbers are used up.
        1021 | 1026 | 1114 | 1197 | 1467 | 1530 | 1598 | 1705 | 1811 | 1878 | 3019 | 3675 => ErrorKind::StorageFull,
        // Damaged, lost or unreadable tables and pages.
        1012
        | 1017
        | 1030
        | 1032..=1035
        | 1039
        | 1194
        | 1195
        | 1257..=1259
        | 1602
        | 1696
        | 1712
        | 1728
        | 1805
        | 1808
        | 1812
        | 1814
        | 1817
        | 1877
        | 1932
        | 3000
        | 3510 => ErrorKind::CorruptData,
        // Our own mistakes: syntax, names that do not exist or exist already, and what can never be prepared. Tables that are
        // not what they should be show like this too, of which the backend tells the difference.
        1046
        | 1050..=1052
        | 1054..=1058
        | 1060
        | 1061
        | 1063..=1068
        | 1072
        | 1073
        | 1075
        | 1082..=1084
        | 1089..=1091
        | 1093
        | 1096
        | 1099
        | 1100
        | 1107..=1111
        | 1113
        | 1120
        | 1121
        | 1136..=1138
        | 1140
        | 1146
        | 1149
        | 1163
        | 1164
        | 1166
        | 1167
        | 1170..=1172
        | 1176
        | 1191
        | 1193
        | 1204
        | 1210
        | 1221
        | 1222
        | 1224
        | 1225
        | 1228..=1234
        | 1237
        | 1238
        | 1240..=1243
        | 1247
        | 1248
        | 1250
        | 1252
        | 1253
        | 1272
        | 1280
        | 1291
        | 1294
        | 1302
        | 1305
        | 1318
        | 1327
        | 1382
        | 1390
        | 1391
        | 1425..=1427
        | 1439
        | 1463
        | 1487
        | 1582..=1584
        | 1630
        | 3011
        | 3013
        | 3028
        | 3029
        | 3065
        | 3066
        | 3087
        | 3088
        | 3106
        | 3107
        | 3109 => ErrorKind::InvalidStatement,
        _ => return None,
    })
}

/// What the class of a SQLSTATE says.
fn of_class(sqlstate: &str) -> ErrorKind {
    match sqlstate.get(..2).unwrap_or_default() {
        "08" => ErrorKind::Unavailable,
        "40" => ErrorKind::Conflict,
        "22" | "23" => ErrorKind::Constraint,
        "28" => ErrorKind::PermissionDenied,
        "53" => ErrorKind::StorageFull,
        "70" => ErrorKind::Timeout,
        _ => ErrorKind::Other,
    }
}

/// Whether the servers' own lists have this number: theirs is no SQLSTATE that says more than the number.
fn is_listed(code: u16) -> bool {
    matches!(code, 120..=199 | 1000..=1999 | 3000..=4192 | 5000..=5199 | 6000..=6499)
}

/// What an operator can do about a refusal that the server's own words do not tell.
pub(super) fn advice(code: u16) -> Option<&'static str> {
    Some(match code {
        1665 => "set binlog_format to ROW or MIXED on the server, and reconnect",
        1451 | 1452 | 1217 | 1216 => {
            "a foreign key of another table refers to these rows: drop it, or give it ON DELETE and ON UPDATE actions"
        }
        1833 | 1832 | 1834 | 1701 | 3780 => {
            "a foreign key of another table refers to this column: drop it for the upgrade, and create it again \
             afterwards"
        }
        1461 => "raise max_prepared_stmt_count on the server",
        1273 | 1115 => {
            "the server lacks this collation or character set: MySQL 8.0 and later and MariaDB 10.3 and later have it"
        }
        1102 => "correct MYSQL_DATABASE",
        167 | 166 | 1467 => {
            "the column `id` has no AUTO_INCREMENT value left: make it a BIGINT, and reset AUTO_INCREMENT if a row \
             has the greatest value"
        }
        1071 | 1709 | 1118 => {
            "the server's pages are too small for these keys: it needs innodb_page_size=16k, and rows in the format \
             DYNAMIC"
        }
        3185 => "the server encrypts tables without having a keyring: install one, or set default_table_encryption=OFF",
        3161 | 1286 | 4182 => "the tables need the engine InnoDB: enable it",
        1644 | 1643 => "a user-defined trigger refuses it",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// `lists/`: a number, its name, and the kind, of every error that a server can send.
    const MARIADB: Option<Family> = Some(Family::MariaDb((10, 11)));
    const MYSQL: Option<Family> = Some(Family::Mysql);

    const LISTS: [(Option<Family>, &str); 2] =
        [(MYSQL, include_str!("lists/mysql.txt")), (MARIADB, include_str!("lists/mariadb.txt"))];

    fn list(text: &str) -> BTreeMap<u16, (&str, &str)> {
        let line = |line: &'static str| {
            let mut words = line.split(' ');
            let code = words.next().and_then(|code| code.parse().ok()).unwrap();
            (code, (words.next().unwrap(), words.next().unwrap()))
        };
        // The text lives as long as the program.
        let text: &'static str = String::leak(text.to_owned());
        text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
    }

    #[test]
    fn every_number_of_both_servers_has_the_kind_that_the_lists_say() {
        let mut wrong = Vec::new();
        for (family, text) in LISTS {
            let list = list(text);
            assert!(list.len() > 1000, "{family:?} has {} numbers", list.len());
            for (code, (name, said)) in list {
                // Of numbers in the lists the number alone counts.
                for sqlstate in ["HY000", "42000", "23000"] {
                    let kind = format!("{:?}", kind(family, code, sqlstate));
                    if kind != said {
                        wrong.push(format!("{family:?} {code} {name}: {kind}, the list says {said}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What only a statement of ours can bring about: words of SQL's grammar and of names. A number that is here by mistake is
    /// `internal` for an operator whose server is the reason.
    #[test]
    fn our_own_mistakes_are_of_grammar_and_names() {
        const STATES: [&str; 8] =
            ["FULL", "DENIED", "MEMORY", "TOO_BIG_ROW", "TOO_LONG_KEY", "BINLOG", "FK_", "REPLICATION"];
        for (family, text) in LISTS {
            for (code, (name, _)) in list(text) {
                if kind(family, code, "HY000") == ErrorKind::InvalidStatement {
                    assert!(!STATES.iter().any(|state| name.contains(state)), "{family:?} {code} {name}");
                    assert!(advice(code).is_none(), "{code} has an advice for operators");
                }
            }
        }
    }

    #[test]
    fn one_number_means_what_its_family_says() {
        for (code, mysql, mariadb) in [
            (4031, ErrorKind::Unavailable, ErrorKind::Other),
            (4025, ErrorKind::Other, ErrorKind::Constraint),
            (4151, ErrorKind::Other, ErrorKind::PermissionDenied),
            (167, ErrorKind::Other, ErrorKind::StorageFull),
        ] {
            assert_eq!((kind(MYSQL, code, "HY000"), kind(MARIADB, code, "HY000")), (mysql, mariadb));
        }
        assert_eq!(kind(None, 4151, "HY000"), ErrorKind::PermissionDenied);
    }

    #[test]
    fn an_unknown_number_means_what_its_sqlstate_means_and_is_never_our_mistake() {
        for (state, expected) in [
            ("23000", ErrorKind::Constraint),
            ("40001", ErrorKind::Conflict),
            ("42000", ErrorKind::Other),
            ("HY000", ErrorKind::Other),
            ("", ErrorKind::Other),
        ] {
            assert_eq!(kind(MYSQL, 9999, state), expected, "{state}");
        }
    }
}
