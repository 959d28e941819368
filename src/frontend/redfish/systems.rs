//! `ComputerSystem`: what Ironic reads most.

use actix_web::{HttpRequest, web};
use metalsim_actors::node::agent::inventory::serial_number;
use metalsim_actors::node::bmc::{
    BmcCommand, BootMode, BootTarget, IndicatorLed, OverrideEnabled, PowerState, ResetType,
};
use metalsim_actors::node::profile::HardwareProfile;
use metalsim_actors::wire::redfish::system::{
    Boot, ComputerSystem, LastState, MemorySummary, ProcessorSummary, ResetAction, SystemActions, SystemLinks,
};
use metalsim_actors::wire::redfish::{Status, Uri};

use super::boot;
use super::error::{RedfishError, allow};
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, CHASSIS, MANAGERS, SYSTEMS, Tagged, View, link};
use super::state::RedfishState;

/// Longest asset tag (SMBIOS strings are short; the schema has no limit).
const LONGEST_ASSET_TAG: usize = 64;
/// The indicator's states.
pub(super) const INDICATORS: [IndicatorLed; 3] =
    [IndicatorLed::Off, IndicatorLed::Lit, IndicatorLed::Blinking];
pub(super) static OVERRIDES: [OverrideEnabled; 3] = [
    OverrideEnabled::Disabled,
    OverrideEnabled::Once,
    OverrideEnabled::Continuous,
];
pub(super) static MODES: [BootMode; 2] = [BootMode::Legacy, BootMode::Uefi];

/// Properties that exist and cannot be written.
const READ_ONLY: [&str; 36] = [
    "Id",
    "Name",
    "UUID",
    "SystemType",
    "Manufacturer",
    "Model",
    "SKU",
    "SerialNumber",
    "HostName",
    "PowerState",
    "BiosVersion",
    "Status",
    "BootProgress",
    "ProcessorSummary",
    "MemorySummary",
    "Bios",
    "SecureBoot",
    "VirtualMedia",
    "EthernetInterfaces",
    "Processors",
    "Memory",
    "SimpleStorage",
    "Storage",
    "LogServices",
    "Links",
    "Actions",
    "Description",
    "PartNumber",
    "SubModel",
    "LastResetTime",
    "LocationIndicatorActive",
    "PowerRestorePolicy",
    "HostWatchdogTimer",
    "PCIeDevices",
    "NetworkInterfaces",
    "TrustedModules",
];

/// `GET /redfish/v1/Systems/{id}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::PATCH, ComputerSystem::TYPE),
        write,
    )
    .await
}

fn write(view: &View<'_>, out: &mut Vec<u8>) -> Result<(), RedfishError> {
    let (node, id) = (view.node, view.id);
    let (profile, bmc, identity) = (node.profile(), node.bmc(), node.identity());
    let boot = bmc.boot();
    let power_state = node.power_state();
    let status = status(power_state);
    let serial = serial_number(identity);
    let system = |tail| link(SYSTEMS, id, tail);
    let payload = ComputerSystem {
        odata_id: Uri(SYSTEMS, id, ""),
        odata_type: ComputerSystem::TYPE,
        id,
        name: &identity.name,
        etag: view.etag,
        uuid: id,
        system_type: "Physical",
        manufacturer: &profile.manufacturer,
        model: &profile.model,
        sku: &profile.sku,
        serial_number: &serial,
        asset_tag: bmc.asset_tag(),
        host_name: &identity.name,
        indicator_led: bmc.indicator(),
        power_state,
        bios_version: node.bios_version(),
        status: status.into(),
        boot_progress: LastState {
            last_state: node.boot_progress(),
        },
        boot: Boot {
            boot_source_override_enabled: boot.enabled,
            enabled_values: &OVERRIDES,
            boot_source_override_target: boot.target,
            target_values: &BootTarget::ALLOWED,
            boot_source_override_mode: boot.mode,
            mode_values: &MODES,
            http_boot_uri: boot.http_boot_uri.as_deref(),
        },
        processor_summary: ProcessorSummary {
            count: profile.cpu.sockets,
            core_count: profile.cpu.sockets * profile.cpu.cores,
            logical_processor_count: profile.cpu.threads(),
            model: &profile.cpu.model,
            status,
        },
        memory_summary: MemorySummary {
            total_system_memory_gib: profile.memory_mib / 1024,
            status,
        },
        bios: system("/Bios"),
        secure_boot: system("/SecureBoot"),
        virtual_media: system("/VirtualMedia"),
        ethernet_interfaces: system("/EthernetInterfaces"),
        processors: system("/Processors"),
        memory: system("/Memory"),
        simple_storage: system("/SimpleStorage"),
        storage: system("/Storage"),
        log_services: system("/LogServices"),
        links: SystemLinks {
            chassis: [link(CHASSIS, id, "")],
            managed_by: [link(MANAGERS, id, "")],
        },
        actions: SystemActions {
            reset: ResetAction {
                target: Uri(SYSTEMS, id, "/Actions/ComputerSystem.Reset"),
                values: &ResetType::ALL,
            },
        },
    };
    Ok(serde_json::to_writer(out, &payload)?)
}

/// `Status` of a system and of its parts.
pub(super) fn status(power: PowerState) -> Status {
    match power {
        PowerState::On => Status::OK,
        PowerState::Off | PowerState::PoweringOn | PowerState::PoweringOff => Status::STANDBY,
    }
}

/// Serial number of a part: the node's, with a letter for the kind of part and its number.
pub(super) fn part_serial(serial: &str, kind: char, index: usize) -> String {
    format!("{serial}{kind}{index}")
}

/// How many memory modules a server has, and the size of each in MiB.
pub(super) fn memory_modules(profile: &HardwareProfile) -> (usize, u64) {
    /// Smaller modules are not sold any more.
    const SMALLEST_MODULE: u64 = 8 * 1024;
    [16, 8, 4, 2]
        .into_iter()
        .find(|count| {
            profile.memory_mib.is_multiple_of(*count) && profile.memory_mib / count >= SMALLEST_MODULE
        })
        .map_or((1, profile.memory_mib), |count| {
            (usize::try_from(count).unwrap_or(1), profile.memory_mib / count)
        })
}

/// `PATCH /redfish/v1/Systems/{id}`
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let mut if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let boot = fields.object("Boot", boot::parse);
    let indicator = fields.one_of("IndicatorLED", &INDICATORS);
    let asset_tag = fields.nullable_text("AssetTag", LONGEST_ASSET_TAG);
    fields.finish(&READ_ONLY)?;
    // Only the first can be refused, so that either all of them happen or none.
    let commands = [
        boot.map(BmcCommand::SetBoot),
        indicator.map(BmcCommand::SetIndicator),
        asset_tag.map(|tag| BmcCommand::SetAssetTag(tag.unwrap_or_default().into())),
    ];
    for command in commands.into_iter().flatten() {
        respond::command(&node, if_match.take(), command).await?;
    }
    Ok(respond::no_content())
}
