//! What clients reach: one folder a protocol. A frontend turns bytes into an event or a look for a node's actor, and
//! the answer into the protocol's form; it decides nothing about a node.

pub mod agent;
pub mod body;
pub mod connection;
pub mod control;
pub mod images;
pub mod kube;
pub mod measure;
pub mod readiness;
pub mod redfish;
pub mod server;
pub mod tls;
