//! `Manager` and its network protocols.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::vocabulary::PowerState;
use super::{EntityTag, Link, Status, resource};

resource! {
    /// `Manager`.
    Manager<'a> = "#Manager.v1_20_0.Manager" {
        #[serde(rename = "@odata.etag")]
        etag: EntityTag,
        #[serde(rename = "UUID")]
        uuid: &'a str,
        manager_type: &'static str,
        manufacturer: &'a str,
        model: &'a str,
        firmware_version: &'a str,
        date_time: String,
        date_time_local_offset: &'static str,
        power_state: PowerState,
        status: Status,
        ethernet_interfaces: Link<'a>,
        network_protocol: Link<'a>,
        /// The system's own slots: one set, reached by both ways.
        virtual_media: Link<'a>,
        links: ManagerLinks<'a>,
    }
}

/// `Links` of a manager.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagerLinks<'a> {
    pub manager_for_servers: [Link<'a>; 1],
    pub manager_for_chassis: [Link<'a>; 1],
}

resource! {
    /// `ManagerNetworkProtocol`.
    ManagerNetworkProtocol<'a> = "#ManagerNetworkProtocol.v1_10_0.ManagerNetworkProtocol" {
        host_name: &'a str,
        #[serde(rename = "HTTP")]
        http: Protocol,
        #[serde(rename = "HTTPS")]
        https: Protocol,
        status: Status,
    }
}

/// One protocol.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Protocol {
    pub protocol_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}
