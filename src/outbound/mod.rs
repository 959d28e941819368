//! What the nodes reach: the real implementations of the actors' ports.

mod background;
pub mod boot_media;
pub mod config_drives;
mod endpoints;
pub mod ironic;
mod trust;
pub mod web;
mod wire;

/// Threads of each part for work that computes for longer than a moment: opening images and user data.
const BLOCKING_THREADS: usize = 2;
