//! metalsim: simulated bare-metal servers, for testing Ironic and Metal3 without the hardware.

pub mod app;
pub mod cli;
pub mod settings;
pub mod telemetry;
