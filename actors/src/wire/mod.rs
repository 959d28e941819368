//! Wire types: the one place where the shapes of foreign protocols are written down. Serde only, no behaviour.

pub mod agent;
pub mod redfish;
