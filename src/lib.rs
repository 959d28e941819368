//! metalsim.
pub mod clock;
pub mod directory;
pub mod frontend;
pub mod observer;
pub mod outbound;
pub mod telemetry;
