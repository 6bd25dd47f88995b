//! The encryption of connections to MySQL, from the modes of the configuration.

use std::path::Path;

use mysql_async::SslOpts;

use crate::config::{Tls, TlsMode};
use crate::files;
use crate::sql::error::{ErrorKind, Result, SqlError};

/// The driver's options for a mode; `None` for no encryption.
///
/// # Errors
///
/// [`ErrorKind::Other`] where the file with the authorities cannot be used.
pub(super) fn options(tls: &Tls) -> Result<Option<SslOpts>> {
    if tls.mode == TlsMode::Disabled {
        return Ok(None);
    }
    // Where several cryptography providers are compiled in, rustls does not choose by itself.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails where another thread was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let verified = matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
    let mut options = SslOpts::default()
        .with_danger_accept_invalid_certs(!verified)
        .with_danger_skip_domain_validation(tls.mode != TlsMode::VerifyIdentity);
    if let Some(path) = &tls.ca {
        let pem = read_authorities(path)?;
        options = options.with_root_certs(vec![pem.into()]).with_disable_built_in_roots(true);
    }
    Ok(Some(options))
}

/// Reads the file once, so that what is wrong with it is said at the start and not with each connection.
fn read_authorities(path: &Path) -> Result<Vec<u8>> {
    let broken = |why: String| {
        SqlError::new(ErrorKind::Other, format!("MYSQL_TLS_CA names {}, which cannot be used: {why}", path.display()))
    };
    let (pem, _) = files::authorities(path).map_err(broken)?;
    Ok(pem)
}

/// A name of the server's certificate, where connecting failed for no other reason than that the certificate does
/// not name the host.
///
/// The chain is verified before the name. The driver is meant to overlook the name in the mode `verify-ca`, but knows
/// an older wording of the error only: asking for a name that is there comes to the same.
pub(super) fn presented_name(error: &mysql_async::Error) -> Option<String> {
    use rustls::{CertificateError, Error};
    let tls: &Error = match error {
        mysql_async::Error::Io(mysql_async::IoError::Io(error)) => error.get_ref()?.downcast_ref()?,
        mysql_async::Error::Io(mysql_async::IoError::Tls(mysql_async::TlsError::Tls(error))) => error,
        _ => return None,
    };
    let Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) = tls else {
        return None;
    };
    presented.iter().find_map(|name| {
        let name = name.strip_prefix("DnsName(").or_else(|| name.strip_prefix("IpAddress("))?;
        Some(name.strip_suffix(')')?.trim_matches('"').replacen('*', "any", 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(mode: TlsMode, ca: &Path) -> Tls {
        Tls { mode, ca: Some(ca.to_owned()) }
    }

    #[test]
    fn a_missing_or_broken_authority_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for content in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let error = options(&tls(TlsMode::VerifyCa, &path)).unwrap_err();
            assert!(error.message.contains("MYSQL_TLS_CA") && error.message.contains("ca.pem"), "{error}");
        }
        assert!(options(&tls(TlsMode::Disabled, &path)).unwrap().is_none());
    }

    #[test]
    fn each_mode_demands_what_it_says() {
        for (mode, accepts_any, skips_name) in [
            (TlsMode::Preferred, true, true),
            (TlsMode::Required, true, true),
            (TlsMode::VerifyCa, false, true),
            (TlsMode::VerifyIdentity, false, false),
        ] {
            let options = options(&Tls { mode, ca: None }).unwrap().unwrap();
            assert_eq!((options.accept_invalid_certs(), options.skip_domain_validation()), (accepts_any, skips_name));
        }
    }
}
