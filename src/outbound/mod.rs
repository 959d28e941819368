//! What the nodes reach: the real implementations of the actors' ports.

pub mod boot_media;
mod endpoints;
pub mod ironic;
mod trust;
mod wire;
