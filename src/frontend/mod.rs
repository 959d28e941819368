//! What clients reach: one folder a protocol. A frontend turns bytes into an event or a look for a node's actor, and
//! the answer into the protocol's form; it decides nothing about a node.

pub mod body;
pub mod redfish;
