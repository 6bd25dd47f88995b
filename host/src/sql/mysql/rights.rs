//! What an account may do, by what its server tells of it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use crate::sql::Access;

/// How many of an account's rights are told.
const TOLD: usize = 3;

/// Databases that `cofferdam bench` makes, for which an account needs rights of its own.
const SCRATCH: &str = r"cofferdam\_bench\_%";

/// What the connection's account lacks for such a use of its database, and what it may do beyond. A server that does not tell has
/// neither.
pub(super) async fn remarks(connection: &mut Conn, database: &str, access: Access) -> mysql_async::Result<Vec<String>> {
    let grants: Vec<String> = match connection.query("SHOW GRANTS").await {
        Err(Error::Server(_)) => return Ok(Vec::new()),
        grants => grants?,
    };
    Ok(lack(&grants, database, access).into_iter().chain(excess(&grants, database)).collect())
}

/// What operations need that read, and what those need beside it that write.
const NEEDED: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The rights that are missing, as far as lines of SHOW GRANTS tell: not where roles, or rights on single tables, may have them.
fn lack(grants: &[String], database: &str, access: Access) -> Option<String> {
    let mut missing = match access {
        Access::Read => NEEDED[..1].to_vec(),
        Access::Write => NEEDED.to_vec(),
    };
    for line in grants {
        let Some(grant) = Grant::of(line) else {
            match line.strip_prefix("GRANT ").is_some_and(|role| split(role, " ON ").is_none()) {
                true => return None,
                false => continue,
            }
        };
        let is_own = grant.scope == "*" || fits(&grant.name(), database);
        match is_own && !grant.is_of_routine() {
            false => {}
            true if grant.table != "*" => return None,
            true if grant.rights.starts_with("ALL PRIVILEGES") => return None,
            true => missing.retain(|needed| !grant.rights.split(", ").any(|right| right == *needed)),
        }
    }
    match missing.is_empty() {
        true => None,
        false => Some(format!(
            "the account has no right to {} on `{database}`, and operations that need it will fail: GRANT {} ON `{database}`.* to it",
            missing.join(", "),
            missing.join(", ")
        )),
    }
}

/// What the account may do beyond its database.
fn excess(grants: &[String], database: &str) -> Option<String> {
    let mut more: Vec<_> = grants.iter().filter_map(|grant| beyond(grant, database)).collect();
    if more.is_empty() {
        return None;
    }
    let hidden = more.len().saturating_sub(TOLD);
    more.truncate(TOLD);
    let mut told = more.join("; ");
    if hidden > 0 {
        told += &format!("; and {hidden} more");
    }
    Some(format!(
        "the account has more rights than its database needs ({told}): give the bot an account with rights on \
         `{database}` alone"
    ))
}

/// A line of SHOW GRANTS that gives rights on something.
struct Grant<'a> {
    rights: &'a str,
    /// The databases, as the line has them.
    scope: &'a str,
    table: &'a str,
    may_grant: bool,
}

impl<'a> Grant<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (rights, rest) = split(line.strip_prefix("GRANT ")?, " ON ")?;
        let (object, rest) = split(rest, " TO ")?;
        let (scope, table) = object.rsplit_once('.')?;
        Some(Self { rights, scope, table, may_grant: rest.contains(" WITH GRANT OPTION") })
    }

    /// The name, or the pattern, of its databases.
    fn name(&self) -> String {
        let quoted = self.scope.split_once('`').and_then(|(_, name)| name.strip_suffix('`'));
        quoted.unwrap_or(self.scope).replace("``", "`")
    }

    fn is_of_routine(&self) -> bool {
        ["PROCEDURE ", "FUNCTION "].iter().any(|kind| self.scope.starts_with(kind))
    }
}

/// What a line of SHOW GRANTS allows beyond one database. Some have a password's hash, so no more is repeated than the
/// rights and what they are for.
fn beyond(line: &str, database: &str) -> Option<String> {
    let grant = Grant::of(line)?;
    let Grant { rights, scope, may_grant, .. } = grant;
    if scope == "*" {
        let rights: Vec<_> = rights.split(", ").filter(|right| *right != "USAGE").collect();
        return match rights.len() {
            0 => None,
            1..=TOLD => Some(format!("{} on *.*", rights.join(", "))),
            more => Some(format!("{} and {} more on *.*", rights[..TOLD].join(", "), more - TOLD)),
        };
    }
    let first = rights.split(", ").next().unwrap_or(rights);
    let scope = grant.name();
    let is_own = scope.to_lowercase() == database.to_lowercase() || is_only(&scope, database);
    match is_own {
        true if may_grant => Some(format!("GRANT OPTION on `{database}`")),
        true => None,
        false if scope == SCRATCH => None,
        false => Some(format!("{first} on `{scope}`")),
    }
}

/// A letter of a grant's pattern.
#[derive(Clone, Copy, PartialEq)]
enum Letter {
    /// `%`: any letters, or none.
    Any,
    /// `_`: any letter.
    One,
    /// This one, in lower case: a server may have changed a name's, and one that differs in that alone is told of neither as missing
    /// nor as too much.
    This(char),
}

/// The letters of a pattern, where a backslash takes a wildcard for itself.
fn letters(pattern: &str) -> Vec<Letter> {
    let mut found = Vec::new();
    let pattern = pattern.to_lowercase();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        found.push(match letter {
            '%' => Letter::Any,
            '_' => Letter::One,
            '\\' => Letter::This(letters.next().unwrap_or('\\')),
            letter => Letter::This(letter),
        });
    }
    found
}

/// Whether a pattern fits one name only, which is this.
fn is_only(pattern: &str, name: &str) -> bool {
    letters(pattern) == name.to_lowercase().chars().map(Letter::This).collect::<Vec<_>>()
}

/// Whether a pattern fits a name, maybe beside others.
fn fits(pattern: &str, name: &str) -> bool {
    // Which beginnings of the name fit the pattern's letters so far.
    let name: Vec<_> = name.to_lowercase().chars().collect();
    let mut ends = vec![false; name.len() + 1];
    ends[0] = true;
    for letter in letters(pattern) {
        let mut next = vec![false; name.len() + 1];
        for (end, there) in next.iter_mut().enumerate() {
            *there = match letter {
                Letter::Any => ends[..=end].contains(&true),
                Letter::One => end > 0 && ends[end - 1],
                Letter::This(this) => end > 0 && ends[end - 1] && name[end - 1] == this,
            };
        }
        ends = next;
    }
    ends[name.len()]
}

/// Splits at the first `mark` outside backquotes.
fn split<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut is_quoted = false;
    for (index, letter) in text.char_indices() {
        is_quoted ^= letter == '`';
        if !is_quoted && text[index..].starts_with(mark) {
            return Some((&text[..index], &text[index + mark.len()..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_that_are_missing_are_told_where_that_is_certain() {
        let usage = "GRANT USAGE ON *.* TO `bot`@`%` IDENTIFIED BY PASSWORD '*24'";
        let with = |grant: &str, access| super::lack(&[usage.to_owned(), grant.to_owned()], "my_bot", access);
        let lack = |grant: &str| with(grant, Access::Write);
        for enough in [
            "GRANT ALL PRIVILEGES ON *.* TO `bot`@`%` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `my\\_bot`.* TO `bot`@`%`",
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `my_bot`.* TO `bot`@`%`",
            "GRANT ALL PRIVILEGES ON `my\\_%`.* TO `bot`@`%`",
            "GRANT ALL PRIVILEGES ON `m__bot`.* TO `bot`@`%`",
            "GRANT ALL PRIVILEGES ON `MY\\_Bot`.* TO `bot`@`%`",
            "GRANT SELECT ON `my_bot`.`message_states` TO `bot`@`%`",
            "GRANT `writers`@`%` TO `bot`@`%`",
        ] {
            assert_eq!(lack(enough), None, "{enough}");
        }
        for (few, missing) in [
            ("GRANT SELECT ON `my_bot`.* TO `bot`@`%`", "no right to INSERT, UPDATE, DELETE on `my_bot`"),
            ("GRANT SELECT, INSERT, UPDATE ON *.* TO `bot`@`%`", "no right to DELETE on"),
            ("GRANT ALL PRIVILEGES ON `other`.* TO `bot`@`%`", "no right to SELECT, INSERT"),
            ("GRANT ALL PRIVILEGES ON `other\\_%`.* TO `bot`@`%`", "no right to SELECT, INSERT"),
            ("GRANT ALL PRIVILEGES ON `my__bot`.* TO `bot`@`%`", "no right to SELECT, INSERT"),
        ] {
            assert!(lack(few).is_some_and(|told| told.contains(missing)), "{few}: {:?}", lack(few));
        }
        let of_source = |grant: &str| with(grant, Access::Read);
        assert_eq!(of_source("GRANT SELECT ON `my_bot`.* TO `bot`@`%`"), None);
        assert!(
            of_source("GRANT INSERT ON `my_bot`.* TO `bot`@`%`")
                .is_some_and(|told| told.contains("no right to SELECT on"))
        );
    }

    #[test]
    fn rights_beyond_the_database_are_told_without_secrets() {
        let beyond = |grant| super::beyond(grant, "my_bot");
        for own in [
            "GRANT USAGE ON *.* TO `bot`@`%` IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD'",
            "GRANT ALL PRIVILEGES ON `my\\_bot`.* TO `bot`@`%`",
            "GRANT SELECT, INSERT ON `my_bot`.* TO `bot`@`%`",
            "GRANT SELECT (a, b) ON `my_bot`.`t` TO `bot`@`%`",
            r"GRANT ALL PRIVILEGES ON `cofferdam\_bench\_%`.* TO `bot`@`%`",
            "GRANT `role ON x`@`%` TO `bot`@`%`",
            "REVOKE SELECT ON `x`.* FROM `bot`@`%`",
        ] {
            assert_eq!(beyond(own), None, "{own}");
        }
        for (more, told) in [
            (
                "GRANT ALL PRIVILEGES ON *.* TO `bot`@`%` IDENTIFIED BY PASSWORD '*24' WITH GRANT OPTION",
                "ALL PRIVILEGES on *.*",
            ),
            ("GRANT SELECT, FILE ON *.* TO `bot`@`%`", "SELECT, FILE on *.*"),
            ("GRANT SELECT, INSERT, FILE, SUPER, EVENT ON *.* TO `bot`@`%`", "SELECT, INSERT, FILE and 2 more on *.*"),
            ("GRANT SELECT ON `other`.* TO `bot`@`%`", "SELECT on `other`"),
            ("GRANT SELECT ON `mysql`.`user` TO `bot`@`%`", "SELECT on `mysql`"),
            ("GRANT EXECUTE ON PROCEDURE `other`.`p` TO `bot`@`%`", "EXECUTE on `other`"),
            (r"GRANT ALL PRIVILEGES ON `my\_%`.* TO `bot`@`%`", r"ALL PRIVILEGES on `my\_%`"),
            ("GRANT ALL PRIVILEGES ON `my\\_bot`.* TO `bot`@`%` WITH GRANT OPTION", "GRANT OPTION on `my_bot`"),
        ] {
            assert_eq!(beyond(more).as_deref(), Some(told), "{more}");
        }
    }
}
