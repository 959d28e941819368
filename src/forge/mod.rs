//! Makes the user data that Cluster API's kubeadm bootstrap provider makes, so that clusters come up from nothing but
//! deployments. No I/O and no clock here; the command line reads and writes the files.
//!
//! [`Cluster`] is what all machines of a cluster share, [`bootstrap`] what one of them is given: files and a command.
//! [`cloud_config`] and [`ignition`] write that down, [`config_drive`] puts it on a drive.

pub mod authorities;
pub mod bootstrap;
pub mod cloud_config;
pub mod cluster;
pub mod config_drive;
pub mod ignition;
pub mod iso9660;
pub mod kubeadm;
pub mod token;
pub mod values;

pub use authorities::Authorities;
pub use bootstrap::{Bootstrap, Role};
pub use cluster::Cluster;
pub use token::BootstrapToken;

use crate::cluster::pki::PkiError;

/// Why nothing can be made.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// What is kept of the cluster is no such document.
    #[error("not the state of a cluster: line {line}, column {column}")]
    State {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// What is kept of the cluster holds a value that cannot be.
    #[error("not the state of a cluster: {0}")]
    Value(#[from] values::InvalidValue),
    /// The state is that of another cluster.
    #[error("the state is that of cluster {kept}, not of {asked}")]
    OtherCluster {
        /// Name in the state.
        kept: Box<str>,
        /// Name that was asked for.
        asked: Box<str>,
    },
    /// A key pair is not usable.
    #[error("{name}: {source}")]
    Pair {
        /// The file that it would become, such as `etcd/ca.crt`.
        name: &'static str,
        /// Why.
        source: PkiError,
    },
    /// Keys cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// A document cannot be written.
    #[error("cannot write a document: {0}")]
    Document(Box<str>),
}
