//! Why a name of a file is refused, in a sentence with what to do.

use super::slip::Slip;

/// Why a name is refused: the name as it was received, and a suggestion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {received}, which {problem}: {}", self.remedy())]
pub struct FileNameError {
    pub(super) received: String,
    pub(super) problem: Problem,
    pub(super) meant: Option<String>,
    pub(super) is_there: bool,
}

impl FileNameError {
    fn remedy(&self) -> String {
        match &self.meant {
            Some(meant) if self.is_there => format!("write {meant}, which exists"),
            Some(meant) => format!("write {meant}"),
            None => self.problem.remedy().to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Slip(Slip),
    #[error("is empty")]
    Empty,
    #[error("is a switch, not a name")]
    Switch,
    #[error("is a URL")]
    Url,
    #[error("is the address of a server")]
    Server,
    #[error("ends with a driver's options")]
    Options,
    #[error("is a database in memory, which a pool of connections cannot share")]
    Memory,
    #[error("begins with a colon, which SQLite reserves")]
    Colon,
    #[error("begins with two slashes, as a URL does")]
    Slashes,
    #[error("contains a ~ that was not replaced by a home folder")]
    Home,
    #[error("is a Windows path")]
    Windows,
    #[error("contains %20 or %2F, as a URL does")]
    Encoded,
    #[error("is a pattern that was not replaced by a name")]
    Pattern,
    #[error("ends with a comma or a semicolon")]
    Punctuation,
    #[error("is the name of a log file that SQLite keeps beside a database")]
    Log,
    #[error("has a name of {0} bytes, which no file system takes")]
    Impossible(usize),
    #[error("has a name of {0} bytes, which is too long with the names of files that are kept beside it")]
    Long(usize),
    #[error("is a folder")]
    Folder,
    #[error("is a file")]
    File,
    #[error("is not a regular file, and cannot be replaced by one")]
    Special,
    #[error("has {0} names (hard links), and each of them would have its own write-ahead log")]
    Links(u64),
    #[error(
        "is mounted by itself, so that its write-ahead log would be outside the mount, where no other host sees \
        it"
    )]
    Mount,
}

impl Problem {
    /// Whether the name stays refused where there is such a file: it would not be what is opened.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Empty | Self::Memory | Self::Folder | Self::Impossible(_) | Self::Long(_) | Self::Slip(Slip::Nul)
        )
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Server => "write the path of a file, or set DATABASE_TYPE=mysql and the MYSQL_ variables",
            Self::Switch | Self::Slip(Slip::Word) => "leave it unset, or write a path",
            Self::Folder => "name a file in it",
            Self::Impossible(_) => "write one of at most 255 bytes",
            Self::Long(_) => "write one of at most 200 bytes",
            Self::File => "name a folder",
            Self::Memory | Self::Special => "name another file",
            Self::Log => "name the database itself",
            Self::Links(_) => "remove the others, or name a copy of it",
            Self::Mount => "mount the folder that it is in",
            _ => "write the path itself",
        }
    }
}
