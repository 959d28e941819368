//! SPDY/3.1, which Kubernetes still uses for port-forward, exec and attach: many streams over one upgraded connection.
//!
//! No flow control is needed: neither side of Kubernetes heeds windows, the socket pushes back (spdystream: `connection.go`).

mod connection;
mod dictionary;
mod frame;

pub use self::connection::{Acceptor, header, serve};

/// Names and values of a stream's headers.
pub type Headers = Vec<(String, String)>;
