//! Certificates of authorities that a server's is verified against.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The largest file of certificates, in bytes: twenty times what systems have of all public authorities.
const MOST: u64 = 4 << 20;

/// The authorities in a file of PEM, as it is and as rustls reads it; or what is wrong with it, in words that go behind its name.
pub(crate) fn authorities(path: &Path) -> Result<(Vec<u8>, RootCertStore), String> {
    let pem = super::read_small(path, MOST)?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        authorities.add(certificate).map_err(|error| error.to_string())?;
    }
    if authorities.is_empty() {
        return Err("it holds no certificate in PEM".to_owned());
    }
    Ok((pem, authorities))
}
