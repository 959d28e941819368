//! What the agent and Ironic say to each other.
//!
//! Sources: ironic-python-agent `hardware.py`, `inspector.py`, `ironic_api_client.py`, `api/app.py`,
//! `extensions/base.py`; ironic `api/controllers/v1/ramdisk.py`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::ids::{CommandId, MacAddress};

/// Version of Ironic's API, `1.<minor>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Minor version; the major one is 1.
    pub minor: u16,
}

impl ApiVersion {
    /// The newest version that the agent knows for look-up.
    pub const LOOKUP: Self = Self { minor: 62 };
    /// The newest version that the agent knows for heartbeats; from here on they carry `agent_verify_ca`.
    pub const HEARTBEAT: Self = Self { minor: 68 };
    /// What the agent assumes when Ironic does not say.
    pub const FALLBACK: Self = Self { minor: 31 };
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

/// A text that is not `1.<number>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an API version of the form 1.<number>")]
pub struct InvalidApiVersion(String);

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("1.")
            .and_then(|minor| minor.parse().ok())
            .map(|minor| Self { minor })
            .ok_or_else(|| InvalidApiVersion(text.to_owned()))
    }
}

/// Answer to `GET <api>/`.
#[derive(Clone, Debug, Deserialize)]
pub struct ApiRoot {
    /// The newest version.
    pub default_version: ApiRootVersion,
}

/// A version in [`ApiRoot`].
#[derive(Clone, Debug, Deserialize)]
pub struct ApiRootVersion {
    /// `1.<minor>`.
    pub version: String,
}

/// Body of the inspection call-back.
#[derive(Clone, Debug, Serialize)]
pub struct InspectionData {
    /// The hardware.
    pub inventory: Inventory,
    /// The disk to install on, if there is one.
    pub root_disk: Option<Disk>,
    /// MAC address of the interface that the ramdisk was booted from.
    pub boot_interface: Option<MacAddress>,
    /// How the data came about.
    pub configuration: InspectionConfiguration,
    /// Base64 of a gzipped tar archive, if logs were collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// What went wrong; Ironic fails the inspection if it is not empty.
    pub error: Option<String>,
}

/// Collectors and hardware managers of an inspection.
#[derive(Clone, Debug, Serialize)]
pub struct InspectionConfiguration {
    /// Names of the collectors.
    pub collectors: Vec<String>,
    /// Hardware managers in use.
    pub managers: Vec<HardwareManager>,
}

/// A hardware manager.
#[derive(Clone, Debug, Serialize)]
pub struct HardwareManager {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// Everything that the agent knows of the hardware.
#[derive(Clone, Debug, Serialize)]
pub struct Inventory {
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// Processors.
    pub cpu: Cpu,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Memory.
    pub memory: Memory,
    /// IPv4 address of the BMC, if the agent can tell.
    pub bmc_address: Option<String>,
    /// IPv6 address of the BMC, if the agent can tell.
    pub bmc_v6address: Option<String>,
    /// DMI data.
    pub system_vendor: SystemVendor,
    /// How the ramdisk was booted.
    pub boot: Boot,
    /// Host name of the ramdisk.
    pub hostname: String,
}

/// A network interface.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    /// Kernel name.
    pub name: String,
    /// MAC address.
    pub mac_address: MacAddress,
    /// IPv4 address.
    pub ipv4_address: Option<String>,
    /// IPv6 address.
    pub ipv6_address: Option<String>,
    /// A cable is plugged in.
    pub has_carrier: bool,
    /// LLDP frames received: type and value in hexadecimal.
    pub lldp: Option<Vec<(u8, String)>>,
    /// PCI vendor.
    pub vendor: String,
    /// PCI device.
    pub product: String,
    /// DHCP client id; `InfiniBand` only.
    pub client_id: Option<String>,
    /// Name that the BIOS gives.
    pub biosdevname: Option<String>,
    /// Link speed in Mbit/s.
    pub speed_mbps: Option<u32>,
    /// PCI address.
    pub pci_address: String,
    /// Kernel driver.
    pub driver: String,
}

/// Processors.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// Model.
    pub model_name: String,
    /// Frequency in MHz, as a decimal text.
    pub frequency: String,
    /// Hardware threads.
    pub count: u32,
    /// Kernel architecture.
    pub architecture: String,
    /// Flags.
    pub flags: Vec<Box<str>>,
    /// Sockets.
    pub socket_count: u32,
}

/// A disk.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// Kernel device.
    pub name: String,
    /// Model.
    pub model: String,
    /// Capacity in bytes.
    pub size: u64,
    /// Spinning.
    pub rotational: bool,
    /// World-wide name.
    pub wwn: Option<String>,
    /// Serial number.
    pub serial: String,
    /// Maker.
    pub vendor: String,
    /// World-wide name with the vendor's extension.
    pub wwn_with_extension: Option<String>,
    /// The vendor's extension alone.
    pub wwn_vendor_extension: Option<String>,
    /// SCSI address; none for NVMe.
    pub hctl: Option<String>,
    /// Path below `/dev/disk/by-path`.
    pub by_path: String,
    /// Logical sector size in bytes.
    pub logical_sectors: u32,
    /// Physical sector size in bytes.
    pub physical_sectors: u32,
    /// Bus.
    pub tran: String,
}

/// Memory.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// What the kernel can use, in bytes.
    pub total: u64,
    /// What is plugged in, in MiB.
    pub physical_mb: u64,
}

/// DMI data.
#[derive(Clone, Debug, Serialize)]
pub struct SystemVendor {
    /// Product name.
    pub product_name: String,
    /// Serial number.
    pub serial_number: String,
    /// Maker.
    pub manufacturer: String,
    /// Firmware of the host.
    pub firmware: SystemFirmware,
}

/// Firmware of the host.
#[derive(Clone, Debug, Serialize)]
pub struct SystemFirmware {
    /// Maker.
    pub vendor: String,
    /// Version.
    pub version: String,
    /// Date of the build.
    pub build_date: String,
}

/// How the ramdisk was booted.
#[derive(Clone, Debug, Serialize)]
pub struct Boot {
    /// `bios` or `uefi`.
    pub current_boot_mode: String,
    /// MAC address of the interface that it was booted from. Ironic marks only this one as fit for PXE.
    pub pxe_interface: Option<MacAddress>,
}

/// Answer to the inspection call-back.
#[derive(Clone, Debug, Deserialize)]
pub struct InspectionAccepted {
    /// The node that Ironic recognised.
    pub uuid: Uuid,
}

/// Answer to `GET <api>/v1/lookup`.
#[derive(Clone, Debug, Deserialize)]
pub struct LookupReply {
    /// The node that Ironic recognised.
    pub node: LookupNode,
    /// Settings for the agent.
    pub config: LookupConfig,
}

/// The part of a node record that the agent needs.
#[derive(Clone, Debug, Deserialize)]
pub struct LookupNode {
    /// Ironic's id of the node, which need not be the system's.
    pub uuid: Uuid,
}

/// Settings that Ironic gives to the agent.
#[derive(Clone, Deserialize)]
pub struct LookupConfig {
    /// Longest time between heartbeats, in seconds.
    pub heartbeat_timeout: u32,
    /// The token, or `******` if it was handed out before.
    #[serde(default)]
    pub agent_token: Option<String>,
}

impl fmt::Debug for LookupConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupConfig")
            .field("heartbeat_timeout", &self.heartbeat_timeout)
            .finish_non_exhaustive()
    }
}

/// Body of a heartbeat.
#[derive(Clone, Serialize)]
pub struct Heartbeat {
    /// Where the agent's API is.
    pub callback_url: String,
    /// The token.
    pub agent_token: Option<String>,
    /// Version of the agent.
    pub agent_version: String,
    /// The agent's own certificate as PEM, if it made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_verify_ca: Option<String>,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("callback_url", &self.callback_url)
            .finish_non_exhaustive()
    }
}

/// State of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CommandStatus {
    /// Not ended.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// A step that was asked for under another version of the hardware managers. Used for all kinds of steps.
    CleanVersionMismatch,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandError {
    /// Name of the error, such as `CleaningError`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// HTTP-like code.
    pub code: u16,
    /// Short text.
    pub message: String,
    /// Long text; Ironic shows this one.
    pub details: String,
}

/// A command as the agent's API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandResult {
    /// Id.
    pub id: CommandId,
    /// Name without its extension.
    pub command_name: &'static str,
    /// State.
    pub command_status: CommandStatus,
    /// Why it failed.
    pub command_error: Option<CommandError>,
    /// What it gave.
    pub command_result: Option<Value>,
}

/// Body of `POST /v1/commands`.
#[derive(Clone, Debug, Deserialize)]
pub struct CommandRequest {
    /// `<extension>.<command>`.
    pub name: String,
    /// Arguments by name.
    pub params: serde_json::Map<String, Value>,
}
