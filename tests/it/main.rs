//! Integration tests: one binary of modules.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions marked as tests for tests, not their helpers"
)]

mod agent;
mod architecture;
mod boot_fetch;
mod boot_media;
mod control;
mod fkas;
mod forge;
mod images;
mod kube;
#[cfg(feature = "management")]
mod management;
mod outbound;
mod redfish;
mod report;
mod scenario;
mod settings;
mod user_data;
mod world;
