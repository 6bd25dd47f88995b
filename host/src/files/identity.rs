//! Whether two names are the same file.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the system follows.
const MOST_LINKS: usize = 40;

/// What names a file on a machine, whatever its path: its device and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    /// The file of this path; `None` where there is none, or it cannot be seen.
    pub fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    /// The file that this was told of.
    pub fn of(file: &Metadata) -> Self {
        Self(file.dev(), file.ino())
    }
}

/// The location of a name, whether the file exists or not.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// As much of it as there is, without links.
    there: PathBuf,
    id: Option<FileId>,
    /// What is missing of it; links that lead to nothing are followed too.
    missing: Vec<OsString>,
}

impl Whereabouts {
    /// Follows a name as far as it leads to something.
    pub fn of(path: &Path) -> Self {
        let mut there = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let mut missing: Vec<OsString> = Vec::new();
        let mut ahead = steps(path);
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            match step {
                Step::Root => {
                    there = PathBuf::from("/");
                    missing.clear();
                }
                // What is missing is no link, so that the way back is the way that was come.
                Step::Up => {
                    if missing.pop().is_none() {
                        there.pop();
                    }
                }
                Step::Down(name) if !missing.is_empty() => missing.push(name),
                Step::Down(name) => {
                    let next = there.join(&name);
                    match std::fs::symlink_metadata(&next) {
                        Ok(metadata) if metadata.is_symlink() && links < MOST_LINKS => {
                            links += 1;
                            let target = std::fs::read_link(&next).unwrap_or_default();
                            for step in steps(&target).into_iter().rev() {
                                ahead.push_front(step);
                            }
                        }
                        Ok(_) => there = next,
                        Err(_) => missing.push(name),
                    }
                }
            }
        }
        Self { id: FileId::at(&there), there, missing }
    }

    /// The path from the root, without links.
    pub fn path(&self) -> PathBuf {
        self.missing.iter().fold(self.there.clone(), |path, name| path.join(name))
    }

    /// Whether something is there.
    pub fn exists(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether both are the same file, through any names and links, or would be once it exists.
    pub fn is_same(&self, other: &Self) -> bool {
        let same_start = match (self.id, other.id) {
            (Some(one), Some(other)) => one == other,
            _ => self.there == other.there,
        };
        if !same_start || self.missing.len() != other.missing.len() {
            return false;
        }
        self.missing == other.missing || self.differs_in_case_alone(other) && ignores_case(&self.there)
    }

    fn differs_in_case_alone(&self, other: &Self) -> bool {
        let lower = |name: &OsString| name.to_string_lossy().to_lowercase();
        self.missing.iter().map(lower).eq(other.missing.iter().map(lower))
    }
}

/// Whether both names are the same file, or would be once it exists: through symbolic or hard links, or another spelling.
pub fn is_same(one: &Path, other: &Path) -> bool {
    Whereabouts::of(one).is_same(&Whereabouts::of(other))
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> VecDeque<Step> {
    let step = |component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(step).collect()
}

/// Whether names in this folder differ in case and lead to one file: told by its own name in the other case.
fn ignores_case(folder: &Path) -> bool {
    let Some(id) = FileId::at(folder) else { return false };
    folder.ancestors().take(2).any(|place| {
        let Some(name) = place.file_name().and_then(OsStr::to_str) else { return false };
        let upper = name.to_uppercase();
        let other = if upper == name { name.to_lowercase() } else { upper };
        let Some(above) = place.parent().filter(|_| other != name) else { return false };
        // Of the folder above it only as far as this leads to the folder itself.
        let rest = folder.strip_prefix(place).unwrap_or(Path::new(""));
        FileId::at(&above.join(other).join(rest)) == Some(id)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_of_one_file_are_the_same_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        std::fs::write(at("other"), "").unwrap();
        std::fs::hard_link(at("file"), at("hard")).unwrap();
        symlink("file", at("soft")).unwrap();
        symlink("sub/../new", at("dangling")).unwrap();
        symlink(at("nowhere/deep/file"), at("deep")).unwrap();
        symlink("sub", at("linked")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (one, other) in [
            ("file", "./file"),
            ("file", "sub/../file"),
            ("file", "hard"),
            ("soft", "hard"),
            ("new", "./sub/../new"),
            ("new", "dangling"),
            ("nowhere/deep/file", "deep"),
            ("nowhere/../new", "new"),
            ("sub/a/b", "linked/a/./b"),
            ("loop", "loop"),
        ] {
            assert!(is_same(&at(one), &at(other)), "{one} and {other}");
        }
        for (one, other) in
            [("file", "other"), ("file", "new"), ("new", "sub/new"), ("new", "New"), ("sub/a", "a"), ("loop", "new")]
        {
            assert!(!is_same(&at(one), &at(other)), "{one} and {other}");
        }
        assert_eq!(Whereabouts::of(&at("dangling")).path(), Whereabouts::of(&at("new")).path());
        assert!(is_same(Path::new("nothing/here"), &std::env::current_dir().unwrap().join("nothing/here")));
    }
}
