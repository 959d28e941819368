//! metalsim.
pub mod clock;
pub mod directory;
