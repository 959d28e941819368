//! What the program tells about itself.

pub mod definitions;
mod events;
mod labels;
pub mod logs;
pub mod metrics;
mod page;
mod primitives;
pub mod process;
