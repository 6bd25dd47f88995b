//! The one list of the databases that Cofferdam knows.

/// Gives the list to a macro. A line is an engine: the name of its variants, its name in `DATABASE_TYPE` and in the contract, its
/// module in `sql/` (and the function that reads its configuration), and the type of its configuration in `config/`.
macro_rules! with_engines {
    ($macro:ident) => {
        $macro! {
            /// A SQLite file.
            Sqlite, "sqlite", sqlite, SqliteConfig;
            /// MySQL or MariaDB.
            Mysql, "mysql", mysql, MysqlConfig;
        }
    };
}
pub(crate) use with_engines;

macro_rules! engine {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $module:ident, $config:ident;)*) => {
        /// The kind of a database.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Engine {
            $($(#[$doc])* $variant,)*
        }

        impl Engine {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the contract and in `DATABASE_TYPE`, and that of its plugin's file.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}
with_engines!(engine);
