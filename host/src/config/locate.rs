//! Where a backend's component is.

use std::fmt;
use std::path::{Path, PathBuf};

use super::PluginSource;
use crate::engines::Engine;

/// A backend's component that is part of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    name: &'static str,
    component: &'static [u8],
}

impl Embedded {
    /// A component of one's own, such as `include_bytes!("mine.wasm")`. What is told of it calls it by the name.
    pub const fn new(name: &'static str, component: &'static [u8]) -> Self {
        Self { name, component }
    }

    /// The backend for this kind of database that comes with the feature `backends`; `None` without that feature.
    pub fn of(engine: Engine) -> Option<Self> {
        #[cfg(feature = "backends")]
        let all = cofferdam_backends::ALL;
        #[cfg(not(feature = "backends"))]
        let all: &[(&'static str, &'static [u8])] = &[];
        all.iter().find(|(name, _)| *name == engine.name()).map(|&(name, component)| Self::new(name, component))
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The component, as it would lie in a file.
    pub fn component(&self) -> &'static [u8] {
        self.component
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedded({:?}, {} bytes)", self.name, self.component.len())
    }
}

/// Where a component was found. `Display` is what messages call it: the path, or a name and that it is embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File(PathBuf),
    /// In the program.
    Embedded(Embedded),
}

impl Origin {
    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Embedded(_) => None,
        }
    }

    /// What the log calls the component: its own name, or that of the file without `.wasm`.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Self::Embedded(embedded) => embedded.name.to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Embedded(embedded) => write!(f, "{} (embedded)", embedded.name),
        }
    }
}

impl From<PathBuf> for Origin {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Origin {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<Embedded> for Origin {
    fn from(embedded: Embedded) -> Self {
        Self::Embedded(embedded)
    }
}

impl From<Origin> for PluginSource {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::File(path) => Self::File(path),
            Origin::Embedded(embedded) => Self::Embedded(embedded),
        }
    }
}

/// No component for this database is where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginNotFound {
    /// Not in the folder that was named.
    #[error("plugin {} not found: set COFFERDAM_PLUGINS to the folder that contains it", .file.display())]
    NotInFolder {
        /// The path that was tried.
        file: PathBuf,
    },
    /// Neither in a file nor in the program.
    #[error(
        "plugin {name} is not embedded in this program{}: build it with the feature backends of cofferdam, or set \
         COFFERDAM_PLUGINS to the folder that contains {name}.wasm",
        listed(looked)
    )]
    NotEmbedded {
        /// The backend's name, such as `sqlite`.
        name: &'static str,
        /// The paths that were tried before, in order.
        looked: Vec<PathBuf>,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    match paths.is_empty() {
        true => String::new(),
        false => {
            let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            format!(", and there is no {}", paths.join(" and no "))
        }
    }
}

impl PluginSource {
    /// The component for this kind of database. A [`PluginSource::File`] is taken as it is, whether it exists or not.
    ///
    /// # Errors
    ///
    /// Says every path that was tried.
    pub fn resolve(&self, engine: Engine) -> Result<Origin, PluginNotFound> {
        let file = format!("{}.wasm", engine.name());
        match self {
            Self::File(path) => Ok(path.clone().into()),
            Self::Embedded(embedded) => Ok((*embedded).into()),
            Self::Folder(folder) => {
                let file = folder.join(&file);
                if file.is_file() { Ok(file.into()) } else { Err(PluginNotFound::NotInFolder { file }) }
            }
            Self::BesideOrEmbedded => {
                let looked = beside_executable(&file);
                match looked.iter().find(|path| path.is_file()) {
                    Some(path) => Ok(path.clone().into()),
                    None => match Embedded::of(engine) {
                        Some(embedded) => Ok(embedded.into()),
                        None => Err(PluginNotFound::NotEmbedded { name: engine.name(), looked }),
                    },
                }
            }
        }
    }
}

/// `plugins` beside the executable, as in an unpacked archive, and beside its folder, as under `/opt/cofferdam/bin`.
fn beside_executable(file: &str) -> Vec<PathBuf> {
    let Ok(executable) = std::env::current_exe() else { return Vec::new() };
    executable.ancestors().skip(1).take(2).map(|folder| folder.join("plugins").join(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_as_it_is() {
        let path = PathBuf::from("/nowhere/mine.wasm");
        assert_eq!(PluginSource::File(path.clone()).resolve(Engine::Sqlite), Ok(path.into()));
    }

    #[test]
    fn a_folder_has_one_component_for_each_database() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sqlite.wasm"), "").unwrap();
        let source = PluginSource::Folder(folder.path().into());
        assert_eq!(source.resolve(Engine::Sqlite), Ok(folder.path().join("sqlite.wasm").into()));
        let error = source.resolve(Engine::Mysql).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "plugin {}/mysql.wasm not found: set COFFERDAM_PLUGINS to the folder that contains it",
                folder.path().display()
            )
        );
    }

    #[test]
    fn a_file_near_the_executable_goes_before_what_is_embedded() {
        let executable = std::env::current_exe().unwrap();
        let folder = executable.parent().unwrap();
        let near = [folder.join("plugins/sqlite.wasm"), folder.parent().unwrap().join("plugins/sqlite.wasm")];
        assert_eq!(beside_executable("sqlite.wasm"), near);
        let expected = match near.iter().find(|path| path.is_file()) {
            Some(path) => Ok(path.clone().into()),
            None => match Embedded::of(Engine::Sqlite) {
                Some(embedded) => Ok(embedded.into()),
                None => Err(PluginNotFound::NotEmbedded { name: "sqlite", looked: near.to_vec() }),
            },
        };
        assert_eq!(PluginSource::default().resolve(Engine::Sqlite), expected);
    }

    #[cfg(feature = "backends")]
    #[test]
    fn every_database_has_a_backend_that_is_embedded() {
        for &engine in Engine::ALL {
            let embedded = Embedded::of(engine).unwrap();
            assert_eq!(embedded.name(), engine.name());
            assert!(embedded.component().starts_with(b"\0asm"));
            assert_eq!(Origin::from(embedded).to_string(), format!("{} (embedded)", engine.name()));
        }
    }

    #[test]
    fn what_is_neither_embedded_nor_a_file_is_said_with_the_remedy() {
        let error = |looked: &[&str]| {
            let looked = looked.iter().map(PathBuf::from).collect();
            PluginNotFound::NotEmbedded { name: "mysql", looked }.to_string()
        };
        let remedy = "build it with the feature backends of cofferdam, or set COFFERDAM_PLUGINS to the folder that contains mysql.wasm";
        assert_eq!(error(&[]), format!("plugin mysql is not embedded in this program: {remedy}"));
        assert_eq!(
            error(&["/a/mysql.wasm", "/b/mysql.wasm"]),
            format!(
                "plugin mysql is not embedded in this program, and there is no /a/mysql.wasm and no /b/mysql.wasm: {remedy}"
            )
        );
    }
}
