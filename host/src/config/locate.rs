//! Where a backend's component is.

use std::path::PathBuf;

use super::PluginSource;
use crate::engines::Engine;

/// No component for this database is where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin {file} not found; looked for {}: set COFFERDAM_PLUGINS to the folder that contains it", listed(looked))]
pub struct PluginNotFound {
    /// The file's name, such as `sqlite.wasm`.
    pub file: String,
    /// Every path that was tried, in order.
    pub looked: Vec<PathBuf>,
}

fn listed(paths: &[PathBuf]) -> String {
    match paths.is_empty() {
        true => "nothing, since the path of the executable is unknown".into(),
        false => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and "),
    }
}

impl PluginSource {
    /// The path of the component for this kind of database. A [`PluginSource::File`] is taken as it is, whether it
    /// exists or not.
    ///
    /// # Errors
    ///
    /// Says every path that was tried.
    pub fn resolve(&self, engine: Engine) -> Result<PathBuf, PluginNotFound> {
        let file = format!("{}.wasm", engine.name());
        let looked = match self {
            Self::File(path) => return Ok(path.clone()),
            Self::Folder(folder) => vec![folder.join(&file)],
            Self::BesideExecutable => beside_executable(&file),
        };
        match looked.iter().find(|path| path.is_file()) {
            Some(path) => Ok(path.clone()),
            None => Err(PluginNotFound { file, looked }),
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
        assert_eq!(PluginSource::File(path.clone()).resolve(Engine::Sqlite), Ok(path));
    }

    #[test]
    fn a_folder_has_one_component_for_each_database() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sqlite.wasm"), "").unwrap();
        let source = PluginSource::Folder(folder.path().into());
        assert_eq!(source.resolve(Engine::Sqlite), Ok(folder.path().join("sqlite.wasm")));
        let error = source.resolve(Engine::Mysql).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "plugin mysql.wasm not found; looked for {}/mysql.wasm: set COFFERDAM_PLUGINS to the folder that contains it",
                folder.path().display()
            )
        );
    }

    #[test]
    fn two_folders_near_the_executable_are_looked_at() {
        let error = PluginSource::BesideExecutable.resolve(Engine::Sqlite).unwrap_err();
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let above = folder.parent().unwrap();
        assert_eq!(error.looked, [folder.join("plugins/sqlite.wasm"), above.join("plugins/sqlite.wasm")]);
    }
}
