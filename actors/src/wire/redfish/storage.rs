//! Storage: subsystem, controller, drives, and the older simple storage.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::vocabulary::IndicatorLed;
use super::{Link, Status, resource};

resource! {
    /// `Storage`.
    Storage<'a> = "#Storage.v1_17_0.Storage" {
        status: Status,
        controllers: Link<'a>,
        drives: Vec<Link<'a>>,
        #[serde(rename = "Drives@odata.count")]
        drives_count: usize,
        volumes: Link<'a>,
    }
}

resource! {
    /// `StorageController`. No RAID types: Ironic takes it for no RAID controller and leaves it alone.
    StorageController<'a> = "#StorageController.v1_8_0.StorageController" {
        manufacturer: &'a str,
        model: &'static str,
        #[serde(rename = "SupportedRAIDTypes")]
        supported_raid_types: [&'static str; 0],
        supported_device_protocols: Vec<&'static str>,
        status: Status,
    }
}

resource! {
    /// `Drive`.
    Drive<'a> = "#Drive.v1_20_0.Drive" {
        manufacturer: &'a str,
        model: &'a str,
        serial_number: String,
        capacity_bytes: u64,
        media_type: &'static str,
        protocol: &'static str,
        #[serde(rename = "IndicatorLED")]
        indicator_led: IndicatorLed,
        status: Status,
    }
}

resource! {
    /// `SimpleStorage`.
    SimpleStorage<'a> = "#SimpleStorage.v1_3_1.SimpleStorage" {
        devices: Vec<SimpleDevice<'a>>,
        status: Status,
    }
}

/// A device of simple storage.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SimpleDevice<'a> {
    pub name: &'a str,
    pub manufacturer: &'a str,
    pub model: &'a str,
    pub capacity_bytes: u64,
    pub status: Status,
}
