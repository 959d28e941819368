//! `Storage` and `SimpleStorage`: one controller, which passes the profile's disks through.

use actix_web::{HttpRequest, web};
use metalsim_actors::node::agent::inventory::disk_serial;
use metalsim_actors::node::bmc::IndicatorLed;
use metalsim_actors::node::profile::DiskProfile;
use metalsim_actors::shell::NodeRef;
use metalsim_actors::wire::redfish::storage::{
    Drive, SimpleDevice, SimpleStorage, Storage, StorageController,
};
use metalsim_actors::wire::redfish::{Link, Status, Uri};

use super::error::allow;
use super::respond::{self, Answer, SYSTEMS, link};
use super::state::RedfishState;

/// Id of the one member of each collection.
const ONLY: &str = "1";
const SUBSYSTEM: &str = "/Storage/1";
const CONTROLLER: &str = "/Storage/1/Controllers/1";
const SIMPLE: &str = "/SimpleStorage/1";

fn only() -> [String; 1] {
    [ONLY.to_owned()]
}

/// `GET /redfish/v1/Systems/{id}/Storage`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let system = node.identity().id.to_string();
    let tails = drive_tails(&node);
    let about = ("#StorageCollection.StorageCollection", "Storage");
    respond::members(&request, about, &only(), |_| subsystem(&system, &tails))
}

/// `GET /redfish/v1/Systems/{id}/Storage/{part}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::position(&request, "part", &only())?;
    let system = node.identity().id.to_string();
    respond::json(allow::READ, &subsystem(&system, &drive_tails(&node)))
}

fn subsystem<'a>(system: &'a str, tails: &'a [String]) -> Storage<'a> {
    let drives: Vec<Link<'a>> = tails.iter().map(|tail| link(SYSTEMS, system, tail)).collect();
    Storage {
        odata_id: Uri(SYSTEMS, system, SUBSYSTEM),
        odata_type: Storage::TYPE,
        id: ONLY,
        name: "Disk controller",
        status: Status::OK,
        controllers: link(SYSTEMS, system, "/Storage/1/Controllers"),
        drives_count: drives.len(),
        drives,
        volumes: link(SYSTEMS, system, "/Storage/1/Volumes"),
    }
}

/// `GET /redfish/v1/Systems/{id}/Storage/{part}/Volumes`: the controller makes none.
pub(super) async fn volumes(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    respond::node(&state, &request)?;
    respond::position(&request, "part", &only())?;
    let none: Vec<Link<'_>> = Vec::new();
    let odata_type = "#VolumeCollection.VolumeCollection";
    respond::collection(&request, allow::READ, odata_type, "Volumes", none)
}

/// `GET /redfish/v1/Systems/{id}/Storage/{part}/Controllers`
pub(super) async fn controllers(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::position(&request, "part", &only())?;
    let system = node.identity().id.to_string();
    let about = (
        "#StorageControllerCollection.StorageControllerCollection",
        "Storage controllers",
    );
    respond::members(&request, about, &only(), |_| controller(&node, &system))
}

/// `GET /redfish/v1/Systems/{id}/Storage/{part}/Controllers/{controller}`
pub(super) async fn get_controller(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::position(&request, "part", &only())?;
    respond::position(&request, "controller", &only())?;
    let system = node.identity().id.to_string();
    respond::json(allow::READ, &controller(&node, &system))
}

fn controller<'a>(node: &'a NodeRef, system: &'a str) -> StorageController<'a> {
    let profile = &node.kind().profile;
    let mut protocols: Vec<&str> = profile
        .disks
        .iter()
        .map(|disk| disk.transport.redfish_name())
        .collect();
    protocols.sort_unstable();
    protocols.dedup();
    StorageController {
        odata_id: Uri(SYSTEMS, system, CONTROLLER),
        odata_type: StorageController::TYPE,
        id: ONLY,
        name: "Disk controller",
        manufacturer: &profile.manufacturer,
        model: "Pass-through controller",
        supported_raid_types: [],
        supported_device_protocols: protocols,
        status: Status::OK,
    }
}

fn drive_ids(node: &NodeRef) -> Vec<String> {
    (1..=node.kind().profile.disks.len())
        .map(|number| format!("Disk{number}"))
        .collect()
}

fn drive_tails(node: &NodeRef) -> Vec<String> {
    drive_ids(node)
        .iter()
        .map(|id| format!("{SUBSYSTEM}/Drives/{id}"))
        .collect()
}

/// `GET /redfish/v1/Systems/{id}/Storage/{part}/Drives/{drive}`
pub(super) async fn get_drive(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::position(&request, "part", &only())?;
    let ids = drive_ids(&node);
    let index = respond::position(&request, "drive", &ids)?;
    let system = node.identity().id.to_string();
    let disk = &node.kind().profile.disks[index];
    respond::json(
        allow::READ,
        &Drive {
            odata_id: Uri(SYSTEMS, &system, &drive_tails(&node)[index]),
            odata_type: Drive::TYPE,
            id: &ids[index],
            name: base_name(disk),
            manufacturer: &disk.vendor,
            model: &disk.model,
            serial_number: disk_serial(node.identity(), index),
            capacity_bytes: disk.size_bytes,
            media_type: if disk.rotational { "HDD" } else { "SSD" },
            protocol: disk.transport.redfish_name(),
            indicator_led: IndicatorLed::Off,
            status: Status::OK,
        },
    )
}

fn base_name(disk: &DiskProfile) -> &str {
    disk.name.rsplit('/').next().unwrap_or(&disk.name)
}

/// `GET /redfish/v1/Systems/{id}/SimpleStorage`
pub(super) async fn list_simple(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let system = node.identity().id.to_string();
    let about = (
        "#SimpleStorageCollection.SimpleStorageCollection",
        "Simple storage",
    );
    respond::members(&request, about, &only(), |_| simple(&node, &system))
}

/// `GET /redfish/v1/Systems/{id}/SimpleStorage/{part}`
pub(super) async fn get_simple(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::position(&request, "part", &only())?;
    let system = node.identity().id.to_string();
    respond::json(allow::READ, &simple(&node, &system))
}

fn simple<'a>(node: &'a NodeRef, system: &'a str) -> SimpleStorage<'a> {
    let disks = &node.kind().profile.disks;
    SimpleStorage {
        odata_id: Uri(SYSTEMS, system, SIMPLE),
        odata_type: SimpleStorage::TYPE,
        id: ONLY,
        name: "Disks",
        devices: disks
            .iter()
            .map(|disk| SimpleDevice {
                name: base_name(disk),
                manufacturer: &disk.vendor,
                model: &disk.model,
                capacity_bytes: disk.size_bytes,
                status: Status::OK,
            })
            .collect(),
        status: Status::OK,
    }
}
