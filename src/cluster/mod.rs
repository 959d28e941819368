//! Simulated clusters: what stands between the pure API server and the network.

pub mod api_server;
pub mod error;
pub mod etcd;
pub mod identity;
pub mod pki;
pub mod serve;
