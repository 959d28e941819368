//! The installed system: what its config drive makes of it, and how it starts.

pub mod description;
pub mod intent;
mod startup;

pub use self::startup::{Os, Stage};
