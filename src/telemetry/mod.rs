//! What the program tells about itself.

pub mod metrics;
mod primitives;
mod process;
