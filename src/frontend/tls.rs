//! TLS of the listeners: certificates from files, or one made at the start.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read or holds no PEM.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: Box<str>,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error("{0}: no certificate in it")]
    Empty(Box<str>),
    /// Certificate and key that don't belong together, or of an unknown kind.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Installs the process-wide provider of cryptography. Once at the start; later calls do nothing.
pub fn install_provider() {
    // An error means that one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// TLS 1.2 and 1.3 with the certificate chain and key in these PEM files.
///
/// # Errors
/// See [`TlsError`].
pub fn from_files(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let name = |path: &Path| Box::from(path.display().to_string());
    let at = |path: &Path, source| TlsError::File {
        path: name(path),
        source,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|source| at(certificate, source))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(name(certificate)));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| at(key, source))?;
    configuration(chain, key, &[&TLS13, &TLS12])
}

/// A certificate made at the start.
pub struct SelfSigned {
    /// TLS 1.3 with it.
    pub config: Arc<ServerConfig>,
    /// The certificate as PEM: what clients need to trust it.
    pub pem: Arc<str>,
}

/// Makes a self-signed certificate for `hosts`: names and IP addresses, without ports or brackets.
///
/// P-256 and TLS 1.3: Ironic insists on 1.3, and the real agent's P-384 costs more at every handshake
/// (ironic-python-agent: `tls_utils.py`; ironic: `drivers/modules/agent_client.py`).
///
/// # Errors
/// A host that is no valid name.
pub fn self_signed(hosts: &[String]) -> Result<SelfSigned, TlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(hosts.to_vec())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "metalsim agents");
    params.distinguished_name = name;
    let certificate = params.self_signed(&key)?;
    let key_der = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| TlsError::Rustls(rustls::Error::General(error.to_owned())))?;
    Ok(SelfSigned {
        config: configuration(vec![certificate.der().clone()], key_der, &[&TLS13])?,
        pem: certificate.pem().into(),
    })
}

fn configuration(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_our_own_can_be_read_back_from_files() {
        let made = self_signed(&["127.0.0.1".into(), "sim.example".into()]).unwrap();
        assert!(made.pem.starts_with("-----BEGIN CERTIFICATE-----"));
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = CertificateParams::new(vec!["a.example".into()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let (cert_file, key_file) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        assert!(from_files(&cert_file, &key_file).is_ok());
        assert!(matches!(
            from_files(&key_file, &key_file),
            Err(TlsError::Empty(_))
        ));
        std::fs::write(&cert_file, &*made.pem).unwrap();
        assert!(matches!(
            from_files(&cert_file, &key_file),
            Err(TlsError::Rustls(_))
        ));
    }
}
