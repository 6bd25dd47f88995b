//! The two kinds of server.

/// Who made the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// MySQL, or what is built from it.
    Mysql,
    /// MariaDB, from this version on.
    MariaDb((u16, u16)),
}

impl Family {
    /// Whether it is the same, of an earlier version.
    pub fn is_before(self, other: Self) -> bool {
        matches!((self, other), (Self::MariaDb(one), Self::MariaDb(other)) if one < other)
    }
}
