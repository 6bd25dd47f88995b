use std::borrow::Cow;
use std::path::Path;

use sha2::{Digest, Sha256};
use wasmparser::{Encoding, Parser, Payload};

use super::error::PluginError;
use crate::config::Origin;
use crate::files::Start;
use crate::hexadecimal::hexadecimal;

/// The version of `cofferdam:storage` that this host speaks.
pub const CONTRACT_VERSION: &str = "0.2.0";

/// What WebAssembly begins with.
const MAGIC: &[u8] = b"\0asm";

/// The largest component that is read, in bytes: several times those of languages that bring an interpreter with them.
const LARGEST: u64 = 256 << 20;

const PACKAGE: &str = "cofferdam:storage/";
const REQUIRED_EXPORTS: [&str; 4] = ["backend", "storage", "transfer", "migration"];

/// What Rust's standard library wants of WASI 0.2.
const GRANTED_WASI: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// What a component declares, read without compiling it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Where it was found.
    pub origin: Origin,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// The version of `cofferdam:storage` that it speaks, such as `0.2.0`.
    pub contract: String,
    /// The names of what it imports, such as `cofferdam:storage/sql@0.2.0`.
    pub imports: Vec<String>,
    /// The names of what it exports.
    pub exports: Vec<String>,
}

/// Reads a component, of a file or embedded, and checks, without compiling it, that this host can use it.
///
/// # Errors
///
/// The file cannot be read, is not a component, has another contract version, lacks an export, or imports something that
/// no backend is granted.
pub fn inspect(origin: impl Into<Origin>) -> Result<Inspection, PluginError> {
    Contents::read(origin.into()).map(|contents| contents.inspection)
}

/// A component that was read and inspected, so that what was checked is what is compiled.
pub(crate) struct Contents {
    pub(crate) inspection: Inspection,
    pub(super) bytes: Cow<'static, [u8]>,
}

impl Contents {
    /// Whether this is the component that a SHA-256 names.
    pub(crate) fn has(&self, sha256: &str) -> bool {
        sha256.eq_ignore_ascii_case(&self.inspection.sha256)
    }

    /// As [`inspect`], and keeps the component too.
    pub(crate) fn read(origin: Origin) -> Result<Self, PluginError> {
        let bytes = match &origin {
            Origin::File(path) => Cow::Owned(read(path, &origin)?),
            Origin::Embedded(embedded) => Cow::Borrowed(embedded.component()),
        };
        let (imports, exports) =
            externs(&bytes).map_err(|reason| PluginError::NotComponent { origin: origin.clone(), reason })?;
        let contract = check(&origin, &imports, &exports)?;
        let inspection = Inspection {
            origin,
            size: bytes.len() as u64,
            sha256: hexadecimal(&Sha256::digest(&bytes)),
            contract,
            imports,
            exports,
        };
        Ok(Contents { inspection, bytes })
    }
}

/// Reads a component's file. What begins like none is not read to its end, which may be far away.
fn read(path: &Path, origin: &Origin) -> Result<Vec<u8>, PluginError> {
    let unreadable = |source| PluginError::Unreadable { path: path.to_owned(), source };
    let mut start = Start::of(path).map_err(unreadable)?;
    start.read_to(MAGIC.len() as u64).map_err(unreadable)?;
    if !start.bytes.starts_with(MAGIC) || start.read_to(LARGEST).map_err(unreadable)? {
        return Ok(start.bytes);
    }
    let reason = format!("it is larger than {} MiB", LARGEST >> 20);
    Err(PluginError::NotComponent { origin: origin.clone(), reason })
}

/// The names of the imports and exports of the outermost component.
fn externs(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    if !bytes.starts_with(MAGIC) {
        return Err("it does not begin like WebAssembly".into());
    }
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    let mut ended = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| error.message().to_owned())? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("it is a core module".into());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth == 0 => ended = true,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(|error| error.message().to_owned())?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(|error| error.message().to_owned())?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    if ended { Ok((imports, exports)) } else { Err("it is truncated".into()) }
}

/// Checks names and versions; returns the version of the contract that the component speaks.
fn check(origin: &Origin, imports: &[String], exports: &[String]) -> Result<String, PluginError> {
    let ours = imports.iter().chain(exports).filter_map(|name| name.strip_prefix(PACKAGE));
    let mut contract = CONTRACT_VERSION;
    for name in ours {
        let version = name.split_once('@').map_or("without a version", |(_, version)| version);
        match remedy(version) {
            Some(remedy) => {
                return Err(PluginError::Version {
                    origin: origin.clone(),
                    plugin: version.into(),
                    host: CONTRACT_VERSION.into(),
                    remedy,
                });
            }
            None => contract = version,
        }
    }
    for required in REQUIRED_EXPORTS {
        let exported = |name: &String| {
            name.strip_prefix(PACKAGE).and_then(|name| name.split('@').next()).is_some_and(|name| name == required)
        };
        if !exports.iter().any(exported) {
            let missing = format!("{PACKAGE}{required}@{CONTRACT_VERSION}");
            return Err(PluginError::MissingExport { origin: origin.clone(), missing });
        }
    }
    let granted =
        |name: &str| name.starts_with(PACKAGE) || GRANTED_WASI.iter().any(|package| name.starts_with(package));
    if let Some(import) = imports.iter().find(|name| !granted(name)) {
        return Err(PluginError::ForbiddenImport { origin: origin.clone(), import: import.clone() });
    }
    Ok(contract.to_owned())
}

/// What to do with the host where it cannot speak `version`; `None` where it can.
///
/// Until 1.0 every minor number is a contract of its own; a plugin may be older than the host by patches, not
/// newer.
fn remedy(version: &str) -> Option<&'static str> {
    let numbers = |text: &str| -> Option<(u64, u64, u64)> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        match (parts.next()??, parts.next()??, parts.next()??, parts.next()) {
            (major, minor, patch, None) => Some((major, minor, patch)),
            _ => None,
        }
    };
    let (Some(plugin), Some(host)) = (numbers(version), numbers(CONTRACT_VERSION)) else {
        return Some("update");
    };
    let speaks = (plugin.0, plugin.1) == (host.0, host.1) && plugin.2 <= host.2;
    match plugin > host {
        _ if speaks => None,
        true => Some("update"),
        false => Some("downgrade"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_older_patches_of_its_minor_version_only() {
        assert_eq!(remedy("0.2.0"), None);
        assert_eq!(remedy("0.2.1"), Some("update"));
        assert_eq!(remedy("0.3.0"), Some("update"));
        assert_eq!(remedy("1.0.0"), Some("update"));
        assert_eq!(remedy("0.1.9"), Some("downgrade"));
        assert_eq!(remedy("0.2"), Some("update"));
        assert_eq!(remedy("without a version"), Some("update"));
    }

    #[test]
    fn a_file_is_judged_before_it_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        for (head, reason) in [(&b"none"[..], "does not begin like"), (MAGIC, "larger than 256 MiB")] {
            let path = folder.path().join("huge.wasm");
            std::fs::write(&path, head).unwrap();
            // It takes no room on the disk.
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(64 << 30).unwrap();
            let Err(error) = Contents::read(Origin::File(path)) else { panic!("{reason}") };
            assert!(error.to_string().contains(reason), "{error}");
        }
        let Err(error) = Contents::read(Origin::File("/dev/zero".into())) else { panic!("zeros") };
        assert!(error.to_string().contains("does not begin like"), "{error}");
    }

    #[test]
    fn speaks_the_version_of_the_contract_in_this_repository() {
        let package = format!("package cofferdam:storage@{CONTRACT_VERSION};");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("wit");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "wit") {
                files += 1;
                assert!(std::fs::read_to_string(&path).unwrap().starts_with(&package), "{}", path.display());
            }
        }
        assert!(files > 0);
    }

    #[test]
    fn says_what_a_file_is_instead_of_a_component() {
        assert_eq!(externs(b"").unwrap_err(), "it is empty");
        assert_eq!(externs(b"#!/bin/sh").unwrap_err(), "it does not begin like WebAssembly");
        assert_eq!(externs(b"\0asm\x01\0\0\0").unwrap_err(), "it is a core module");
        assert!(externs(b"\0asm\x0d\0\x01\0\x0b\xff").is_err());
        assert_eq!(externs(b"\0asm\x0d\0\x01\0").unwrap(), (vec![], vec![]));
    }
}
