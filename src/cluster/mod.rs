//! Simulated clusters: what stands between the pure API server and the network.

pub mod api_server;
mod bad_certificate;
pub mod census;
pub mod endpoints;
pub mod error;
pub mod etcd;
pub mod founding;
pub mod identity;
pub mod keys;
mod kubeadm;
pub mod machines;
#[cfg(feature = "management")]
pub mod management;
pub mod manager;
pub mod pki;
mod pod_ports;
#[cfg(feature = "management")]
pub mod reconciler;
pub mod registered;
pub mod serve;
mod serving;
pub mod simulated;

pub use crate::values::{image_version, names};
