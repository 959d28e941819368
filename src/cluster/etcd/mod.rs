//! etcd's gRPC service for one member of a cluster, on any byte stream.

mod messages;
mod service;

pub use self::service::{CALLS, Member, serve};
