//! Simulated clusters outside of the simulation: what their API servers share, and their keys.

pub mod api_server;
pub mod error;
pub mod etcd;
pub mod serve;
