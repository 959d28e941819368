//! Values that settings and clusters have in common.

pub mod addressing;
pub mod image_version;
pub mod names;
