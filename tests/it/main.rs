//! Integration tests: one binary of modules.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions marked as tests for tests, not their helpers"
)]

mod agent;
mod architecture;
mod boot_fetch;
mod boot_media;
mod cluster_scenarios;
mod control;
mod events;
mod faults;
mod fkas;
mod forge;
mod images;
mod kcp;
mod kube;
mod live;
#[cfg(feature = "management")]
mod management;
mod metrics;
mod outbound;
mod redfish;
mod rehearsal;
mod report;
mod scenario;
mod settings;
mod soak;
mod user_data;
mod world;
