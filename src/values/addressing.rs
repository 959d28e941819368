//! How the API servers of registered clusters are told apart.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// How the endpoints of registered clusters differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addressing {
    /// Each has a port of its own on one host.
    Port {
        /// Name or address that clients are told.
        host: Box<str>,
        /// Address to listen on.
        listen: IpAddr,
        /// The ports.
        ports: RangeInclusive<u16>,
    },
    /// Each has an address of its own.
    Address {
        /// Network of the addresses; its first and last one are left out.
        network: Ipv4Addr,
        /// Its length, at most 30.
        length: u8,
        /// The port at each.
        port: u16,
    },
    /// All share a port and have names: `<cluster>.<domain>`, or `<cluster>.<namespace>.<domain>` if that is taken. Endpoints of other clusters with such a name are served there too.
    Name {
        /// What follows the cluster's name and a dot.
        domain: Box<str>,
        /// Address to listen on.
        listen: IpAddr,
        /// The port.
        port: u16,
    },
}
