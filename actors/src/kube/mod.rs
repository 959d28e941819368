//! The pure part of a simulated cluster's API server.

pub mod intern;
pub mod names;
pub mod object;
pub mod status;
