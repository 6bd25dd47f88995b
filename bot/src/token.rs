//! The bot's token, from the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use cofferdam::config::Secret;
use cofferdam::files::read_small;

const VARIABLE: &str = "DISCORD_TOKEN";

/// The variable of the file that has it.
pub const FILE: &str = "DISCORD_TOKEN_FILE";

/// The largest file, in bytes: a token has some 70.
const MOST: u64 = 64 << 10;

const AGAIN: &str = "copy the token again from https://discord.com/developers/applications, page Bot";

/// Reads the token, and says which file it is from.
pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<(Secret, Option<PathBuf>), String> {
    let variable = |name| lookup(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    let (source, token, file) = match (variable(VARIABLE), variable(FILE).map(PathBuf::from)) {
        (Some(_), Some(_)) => return Err(format!("{VARIABLE} and {FILE} are both set: set one of them")),
        (Some(token), None) => (VARIABLE.to_owned(), token.into_encoded_bytes(), None),
        (None, Some(file)) => {
            let token = read_small(&file, MOST)
                .map_err(|problem| format!("{FILE} is {file:?}: {problem}; name the file with the token"))?;
            (format!("{FILE} is {file:?}, whose content"), token, Some(file))
        }
        (None, None) => {
            return Err(format!(
                "no token: set {VARIABLE}, or {FILE}; the developer portal shows it at \
                https://discord.com/developers/applications, page Bot"
            ));
        }
    };
    let text = String::from_utf8_lossy(&token);
    let token = text.trim();
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}');
    if token.is_empty() {
        return Err(format!("{source} is empty: {AGAIN}"));
    }
    if token.starts_with(is_quote) || token.ends_with(is_quote) {
        return Err(format!("{source} begins or ends with a quotation mark, which no token does: take it away"));
    }
    match token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok((Secret::new(token), file)),
        false => Err(format!("{source} has characters that no token has: {AGAIN}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(variables: &[(&str, &Path)]) -> Result<String, String> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        from_lookup(&lookup).map(|(token, _)| token.expose().to_owned())
    }

    #[test]
    fn a_token_is_from_the_variable_or_from_the_file_and_never_from_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "new\n").unwrap();
        assert_eq!(read(&[(VARIABLE, "old".as_ref())]), Ok("old".into()));
        assert_eq!(read(&[(FILE, &file)]), Ok("new".into()));
        assert_eq!(read(&[(FILE, &file), (VARIABLE, " ".as_ref())]), Ok("new".into()));
        let both = read(&[(FILE, &file), (VARIABLE, "old".as_ref())]).unwrap_err();
        assert_eq!(both, "DISCORD_TOKEN and DISCORD_TOKEN_FILE are both set: set one of them");
        assert!(read(&[]).unwrap_err().contains("no token"));
    }

    #[test]
    fn what_is_no_file_with_a_token_is_told_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("large"), "x".repeat(5 << 20)).unwrap();
        std::fs::write(at("quoted"), "\"SECRET\"\n").unwrap();
        std::fs::write(at("blank"), "SEC RET\n").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (file, problem) in [
            (at("large"), "larger than 64 KiB"),
            ("/dev/zero".into(), "larger than 64 KiB"),
            (folder.path().into(), "Is a directory"),
            (at("missing"), "No such file"),
            (at("pipe"), "is empty"),
            (at("quoted"), "a quotation mark"),
            (at("blank"), "no token has"),
        ] {
            let told = read(&[(FILE, &file)]).unwrap_err();
            assert!(told.contains(problem) && told.contains(file.to_str().unwrap()), "{told}");
            assert!(told.starts_with(FILE) && !told.contains("SEC"), "{told}");
        }
        assert!(read(&[(VARIABLE, "'SECRET'".as_ref())]).unwrap_err().contains("a quotation mark"));
    }
}
