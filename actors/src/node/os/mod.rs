//! The installed system: what its config drive makes of it, and how it starts.

pub mod description;
pub mod intent;
pub mod membership;
mod startup;

pub(super) use self::startup::Restart;
pub use self::startup::{Os, Stage};
