//! Simulated clusters: what stands between the pure API server and the network.

pub mod pki;
