//! TLS of an API server.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authority, Issued, PkiError};

/// The cryptography of all clusters.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    &PROVIDER
}

/// Asks for a client certificate of the authority and takes what comes, as Go's `tls.RequestClientCert` does: a wrong
/// certificate does not end the handshake but makes requests fail with 401, and none is as good as any. That the client
/// has the key is checked.
#[derive(Debug)]
struct Ask {
    /// Names of the authorities. Go's clients send only a certificate of one of them.
    authorities: Box<[DistinguishedName]>,
}

impl ClientCertVerifier for Ask {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // [`Authority::authenticate`] looks at it when there is a request that can be refused.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl Authority {
    /// TLS 1.2 and 1.3 for a server whose clients must show a certificate of the authority: HTTP/2 only, as etcd.
    ///
    /// # Errors
    /// A certificate and key that do not belong together.
    pub fn mutual_server_config(&self, issued: &Issued) -> Result<Arc<ServerConfig>, PkiError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates() {
            roots.add(certificate.clone())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider()))
            .build()
            .map_err(|error| PkiError::Certificate(error.to_string().into()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![issued.certificate.clone()], issued.key.der())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// TLS 1.2 and 1.3 for an API server: HTTP/2 and HTTP/1.1 by ALPN, client certificates asked for but not needed.
    ///
    /// Sessions are not resumed: Go's Kubernetes clients do not try to, and with many clusters in one process stored sessions
    /// cost memory, while tickets under a common key would carry a client's certificate from one cluster to another.
    ///
    /// # Errors
    /// A certificate and key that do not belong together.
    pub fn server_config(&self, issued: &Issued) -> Result<Arc<ServerConfig>, PkiError> {
        let mut authorities = Vec::new();
        for certificate in self.certificates() {
            let (_, parsed) = X509Certificate::from_der(certificate)
                .map_err(|error| PkiError::Certificate(error.to_string().into()))?;
            authorities.push(DistinguishedName::from(parsed.subject().as_raw().to_vec()));
        }
        let ask = Arc::new(Ask {
            authorities: authorities.into(),
        });
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(ask)
            .with_single_cert(vec![issued.certificate.clone()], issued.key.der())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}
