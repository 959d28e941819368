//! `NetworkAdapters` of a chassis: one a PCI device; its ports are network interfaces of the profile.
//!
//! Ironic reads them for its cache of firmware versions (ironic: `drivers/modules/redfish/firmware.py`).

use actix_web::{HttpRequest, web};
use metalsim_actors::node::agent::inventory::serial_number;
use metalsim_actors::node::profile::{HardwareProfile, NicProfile};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::wire::redfish::hardware::{NetworkAdapter, NetworkController};
use metalsim_actors::wire::redfish::{Status, Uri};

use super::error::{RedfishError, allow};
use super::respond::{self, Answer, CHASSIS};
use super::state::RedfishState;
use super::systems::part_serial;

/// The first interface of each adapter. Interfaces that differ only in their PCI function share an adapter.
fn adapters(profile: &HardwareProfile) -> Vec<&NicProfile> {
    let mut adapters: Vec<&NicProfile> = Vec::new();
    for nic in &profile.nics {
        if !adapters.iter().any(|known| device(known) == device(nic)) {
            adapters.push(nic);
        }
    }
    adapters
}

/// The PCI address without its function.
fn device(nic: &NicProfile) -> &str {
    nic.pci_address
        .rsplit_once('.')
        .map_or(&*nic.pci_address, |(device, _)| device)
}

fn ids(node: &NodeRef) -> Vec<String> {
    (1..=adapters(&node.kind().profile).len())
        .map(|number| format!("NIC{number}"))
        .collect()
}

/// `GET /redfish/v1/Chassis/{id}/NetworkAdapters`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, chassis) = (ids(&node), node.identity().id.to_string());
    let tails = tails(&ids);
    let about = (
        "#NetworkAdapterCollection.NetworkAdapterCollection",
        "Network adapters",
    );
    respond::members(&request, about, &ids, |index| {
        payload(&node, &chassis, (index, &ids[index]), &tails[index])
    })
}

/// `GET /redfish/v1/Chassis/{id}/NetworkAdapters/{part}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, chassis) = (ids(&node), node.identity().id.to_string());
    let index = respond::position(&request, "part", &ids)?;
    let tails = tails(&ids);
    match payload(&node, &chassis, (index, &ids[index]), &tails[index]) {
        Some(payload) => respond::json(allow::READ, &payload),
        None => Err(RedfishError::missing(request.path())),
    }
}

fn tails(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| format!("/NetworkAdapters/{id}")).collect()
}

fn payload<'a>(
    node: &'a NodeRef,
    chassis: &'a str,
    (index, id): (usize, &'a str),
    tail: &'a str,
) -> Option<NetworkAdapter<'a>> {
    let profile = &node.kind().profile;
    let nic = *adapters(profile).get(index)?;
    Some(NetworkAdapter {
        odata_id: Uri(CHASSIS, chassis, tail),
        odata_type: NetworkAdapter::TYPE,
        id,
        name: id,
        manufacturer: &profile.manufacturer,
        model: &nic.driver,
        part_number: &nic.product,
        serial_number: part_serial(&serial_number(node.identity()), 'N', index),
        controllers: [NetworkController {
            firmware_package_version: &profile.bios.version,
        }],
        status: Status::OK,
    })
}
