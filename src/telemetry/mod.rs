//! What the program tells about itself.

pub mod logs;
pub mod metrics;
mod primitives;
mod process;
