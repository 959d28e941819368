//! What the program tells about itself.

mod events;
pub mod logs;
pub mod metrics;
mod primitives;
pub mod process;
