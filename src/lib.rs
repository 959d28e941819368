//! metalsim: simulated bare-metal servers, for testing Ironic and Metal3 without the hardware.

pub mod app;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod directory;
pub mod events;
pub mod forge;
pub mod frontend;
pub mod live;
pub mod observer;
pub mod outbound;
pub mod report;
pub mod scenario;
pub mod settings;
pub mod telemetry;
pub mod values;
