//! The API server of a cluster, in process: what clients rely on, over real sockets.

pub(crate) mod harness;
mod kube_rs;
mod protobuf;
pub(crate) mod raw;
mod slow_readers;
mod tokens;
mod traps;
mod watchers;
mod writes;
