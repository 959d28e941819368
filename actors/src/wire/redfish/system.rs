//! `ComputerSystem` and what hangs directly below it: BIOS, secure boot, virtual media.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::vocabulary::{
    BootMode, BootProgress, BootTarget, IndicatorLed, MediaType, OverrideEnabled, PowerState, ResetKeysType,
    ResetType, TransferMethod, TransferProtocol,
};
use super::{EntityTag, Link, RollupStatus, Status, Typed, Uri, resource};

resource! {
    /// `ComputerSystem`.
    ComputerSystem<'a> = "#ComputerSystem.v1_22_0.ComputerSystem" {
        #[serde(rename = "@odata.etag")]
        etag: EntityTag,
        #[serde(rename = "UUID")]
        uuid: &'a str,
        system_type: &'static str,
        manufacturer: &'a str,
        model: &'a str,
        #[serde(rename = "SKU")]
        sku: &'a str,
        serial_number: &'a str,
        asset_tag: Option<&'a str>,
        host_name: &'a str,
        #[serde(rename = "IndicatorLED")]
        indicator_led: IndicatorLed,
        power_state: PowerState,
        bios_version: &'a str,
        status: RollupStatus,
        boot_progress: LastState,
        boot: Boot<'a>,
        processor_summary: ProcessorSummary<'a>,
        memory_summary: MemorySummary,
        bios: Link<'a>,
        secure_boot: Link<'a>,
        virtual_media: Link<'a>,
        ethernet_interfaces: Link<'a>,
        processors: Link<'a>,
        memory: Link<'a>,
        simple_storage: Link<'a>,
        storage: Link<'a>,
        log_services: Link<'a>,
        links: SystemLinks<'a>,
        actions: SystemActions<'a>,
    }
}

/// `BootProgress`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LastState {
    pub last_state: BootProgress,
}

/// `Boot`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Boot<'a> {
    pub boot_source_override_enabled: OverrideEnabled,
    #[serde(rename = "BootSourceOverrideEnabled@Redfish.AllowableValues")]
    pub enabled_values: &'static [OverrideEnabled],
    pub boot_source_override_target: BootTarget,
    #[serde(rename = "BootSourceOverrideTarget@Redfish.AllowableValues")]
    pub target_values: &'static [BootTarget],
    pub boot_source_override_mode: BootMode,
    #[serde(rename = "BootSourceOverrideMode@Redfish.AllowableValues")]
    pub mode_values: &'static [BootMode],
    /// Present even if null: sushy looks for the property to tell whether HTTP boot is offered.
    pub http_boot_uri: Option<&'a str>,
}

/// `ProcessorSummary`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessorSummary<'a> {
    pub count: u32,
    pub core_count: u32,
    pub logical_processor_count: u32,
    pub model: &'a str,
    pub status: Status,
}

/// `MemorySummary`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MemorySummary {
    #[serde(rename = "TotalSystemMemoryGiB")]
    pub total_system_memory_gib: u64,
    pub status: Status,
}

/// `Links` of a system.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SystemLinks<'a> {
    pub chassis: [Link<'a>; 1],
    pub managed_by: [Link<'a>; 1],
}

/// `Actions` of a system.
#[derive(Clone, Debug, Serialize)]
pub struct SystemActions<'a> {
    #[serde(rename = "#ComputerSystem.Reset")]
    pub reset: ResetAction<'a>,
}

/// An action with a reset type.
#[derive(Clone, Debug, Serialize)]
pub struct ResetAction<'a> {
    pub target: Uri<'a>,
    #[serde(rename = "ResetType@Redfish.AllowableValues")]
    pub values: &'static [ResetType],
}

/// An action without parameters that have a list of values.
#[derive(Clone, Debug, Serialize)]
pub struct Action<'a> {
    pub target: Uri<'a>,
}

resource! {
    /// `SecureBoot`.
    SecureBoot<'a> = "#SecureBoot.v1_1_0.SecureBoot" {
        #[serde(rename = "@odata.etag")]
        etag: EntityTag,
        secure_boot_enable: bool,
        secure_boot_current_boot: &'static str,
        secure_boot_mode: &'static str,
        actions: SecureBootActions<'a>,
    }
}

/// `Actions` of secure boot.
#[derive(Clone, Debug, Serialize)]
pub struct SecureBootActions<'a> {
    #[serde(rename = "#SecureBoot.ResetKeys")]
    pub reset_keys: ResetKeysAction<'a>,
}

/// `#SecureBoot.ResetKeys`.
#[derive(Clone, Debug, Serialize)]
pub struct ResetKeysAction<'a> {
    pub target: Uri<'a>,
    #[serde(rename = "ResetKeysType@Redfish.AllowableValues")]
    pub values: &'static [ResetKeysType],
}

resource! {
    /// `VirtualMedia`.
    VirtualMedia<'a> = "#VirtualMedia.v1_6_0.VirtualMedia" {
        #[serde(rename = "@odata.etag")]
        etag: EntityTag,
        media_types: &'a [MediaType],
        inserted: bool,
        image: Option<&'a str>,
        image_name: Option<&'a str>,
        connected_via: &'static str,
        write_protected: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        transfer_method: Option<TransferMethod>,
        #[serde(skip_serializing_if = "Option::is_none")]
        transfer_protocol_type: Option<TransferProtocol>,
        user_name: Option<&'a str>,
        /// Always null: passwords are write-only.
        password: Option<&'static str>,
        verify_certificate: bool,
        actions: VirtualMediaActions<'a>,
    }
}

/// `Actions` of virtual media.
#[derive(Clone, Debug, Serialize)]
pub struct VirtualMediaActions<'a> {
    #[serde(rename = "#VirtualMedia.InsertMedia")]
    pub insert: InsertMediaAction<'a>,
    #[serde(rename = "#VirtualMedia.EjectMedia")]
    pub eject: Action<'a>,
}

/// `#VirtualMedia.InsertMedia`.
#[derive(Clone, Debug, Serialize)]
pub struct InsertMediaAction<'a> {
    pub target: Uri<'a>,
    #[serde(rename = "TransferProtocolType@Redfish.AllowableValues")]
    pub protocols: &'static [TransferProtocol],
    #[serde(rename = "TransferMethod@Redfish.AllowableValues")]
    pub methods: &'static [TransferMethod],
}

/// `Bios`, and the settings that wait for the next boot. `A` are the attributes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bios<'a, A> {
    #[serde(rename = "@odata.id")]
    pub odata_id: Uri<'a>,
    #[serde(rename = "@odata.type")]
    pub odata_type: &'static str,
    #[serde(rename = "@odata.etag")]
    pub etag: EntityTag,
    pub id: &'a str,
    pub name: &'a str,
    pub attribute_registry: &'a str,
    pub attributes: A,
    #[serde(rename = "@Redfish.Settings", skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<BiosActions<'a>>,
}

/// Schema and version of [`Bios`].
pub const BIOS_TYPE: &str = "#Bios.v1_2_1.Bios";

impl<A: Serialize> Typed for Bios<'_, A> {
    fn odata_type(&self) -> &'static str {
        self.odata_type
    }
}

/// `@Redfish.Settings`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Settings<'a> {
    #[serde(rename = "@odata.type")]
    pub odata_type: &'static str,
    /// sushy sends it as `If-Match` of the settings object, so it is that object's.
    #[serde(rename = "ETag")]
    pub etag: EntityTag,
    pub settings_object: Link<'a>,
    pub supported_apply_times: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// A list whenever `Time` is there: sushy walks through it.
    pub messages: [super::message::Message; 0],
}

/// `Actions` of the BIOS.
#[derive(Clone, Debug, Serialize)]
pub struct BiosActions<'a> {
    #[serde(rename = "#Bios.ResetBios")]
    pub reset: Action<'a>,
}
