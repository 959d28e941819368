//! Keys and certificates of a cluster, in the forms in which kubeadm and Cluster API make them.

mod authority;
mod key;
mod kubeconfig;
mod peer;
mod pem;
mod server;
#[cfg(test)]
mod tests;
mod token;

pub use authority::{Authority, Issued, ServerNames};
pub use key::{KeyKind, PrivateKey};
pub use kubeconfig::{Kubeconfig, write_private};
pub use peer::{Peer, PeerError};
pub use token::{SignedToken, TokenIssuer, verify_bearer};

/// Why keys or certificates cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Text that holds no PEM of the wanted kind.
    #[error("no {0} in the PEM text")]
    NoPem(&'static str),
    /// A key that is damaged or of a kind other than RSA (2048 to 4096 bits), P-256 and P-384.
    #[error("unusable private key: {0}")]
    Key(Box<str>),
    /// A certificate that cannot be read.
    #[error("unusable certificate: {0}")]
    Certificate(Box<str>),
    /// The certificate is not that of the key.
    #[error("the certificate of the authority is not that of its key")]
    Mismatch,
    /// The key of the authority is not known, so that nothing can be signed.
    #[error("the key of the authority is not known")]
    NoKey,
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Nothing could be signed.
    #[error("cannot sign")]
    Sign,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// A file cannot be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: Box<str>,
        /// Why.
        source: std::io::Error,
    },
}
