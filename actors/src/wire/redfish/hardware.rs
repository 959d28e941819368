//! Processors, memory modules and network interfaces.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::{Link, Status, resource};
use crate::ids::MacAddress;

resource! {
    /// `Processor`.
    Processor<'a> = "#Processor.v1_20_0.Processor" {
        socket: &'a str,
        processor_type: &'static str,
        processor_architecture: &'static str,
        instruction_set: &'static str,
        manufacturer: &'a str,
        model: &'a str,
        #[serde(rename = "MaxSpeedMHz")]
        max_speed_mhz: u32,
        total_cores: u32,
        total_threads: u32,
        status: Status,
    }
}

resource! {
    /// `Memory`: one module.
    Memory<'a> = "#Memory.v1_20_0.Memory" {
        memory_type: &'static str,
        memory_device_type: &'static str,
        #[serde(rename = "CapacityMiB")]
        capacity_mib: u64,
        manufacturer: &'a str,
        serial_number: String,
        device_locator: &'a str,
        operating_speed_mhz: u32,
        status: Status,
    }
}

resource! {
    /// `EthernetInterface`, of a system or of a manager.
    EthernetInterface<'a> = "#EthernetInterface.v1_12_0.EthernetInterface" {
        interface_enabled: bool,
        link_status: &'static str,
        #[serde(rename = "MACAddress")]
        mac_address: MacAddress,
        #[serde(rename = "PermanentMACAddress")]
        permanent_mac_address: MacAddress,
        speed_mbps: u32,
        full_duplex: bool,
        #[serde(rename = "IPv4Addresses", skip_serializing_if = "Option::is_none")]
        ipv4_addresses: Option<Vec<Ipv4Address<'a>>>,
        status: Status,
        links: EthernetLinks<'a>,
    }
}

/// `IPv4Addresses`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ipv4Address<'a> {
    pub address: &'a str,
    pub address_origin: &'static str,
}

/// `Links` of an interface.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EthernetLinks<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chassis: Option<Link<'a>>,
}

resource! {
    /// `NetworkAdapter`.
    NetworkAdapter<'a> = "#NetworkAdapter.v1_9_0.NetworkAdapter" {
        manufacturer: &'a str,
        model: &'a str,
        part_number: &'a str,
        serial_number: String,
        controllers: [NetworkController<'a>; 1],
        status: Status,
    }
}

/// `Controllers` of an adapter.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkController<'a> {
    pub firmware_package_version: &'a str,
}
