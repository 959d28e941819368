//! `Memory`: the modules that add up to the profile's size.

use actix_web::{HttpRequest, web};
use metalsim_actors::node::agent::inventory::serial_number;
use metalsim_actors::shell::NodeRef;
use metalsim_actors::wire::redfish::Uri;
use metalsim_actors::wire::redfish::hardware::Memory;

use super::error::allow;
use super::respond::{self, Answer, SYSTEMS};
use super::state::RedfishState;
use super::systems::{memory_modules, part_serial, status};

fn ids(node: &NodeRef) -> Vec<String> {
    let (count, _) = memory_modules(&node.kind().profile);
    (1..=count).map(|number| format!("DIMM{number}")).collect()
}

/// `GET /redfish/v1/Systems/{id}/Memory`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, system) = (ids(&node), node.identity().id.to_string());
    let tails = tails(&ids);
    let about = ("#MemoryCollection.MemoryCollection", "Memory modules");
    respond::members(&request, about, &ids, |index| {
        payload(&node, &system, (index, &ids[index]), &tails[index])
    })
}

/// `GET /redfish/v1/Systems/{id}/Memory/{part}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, system) = (ids(&node), node.identity().id.to_string());
    let index = respond::position(&request, "part", &ids)?;
    let tails = tails(&ids);
    respond::json(
        allow::READ,
        &payload(&node, &system, (index, &ids[index]), &tails[index]),
    )
}

fn tails(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| format!("/Memory/{id}")).collect()
}

fn payload<'a>(
    node: &'a NodeRef,
    system: &'a str,
    (index, id): (usize, &'a str),
    tail: &'a str,
) -> Memory<'a> {
    let profile = &node.kind().profile;
    let (_, capacity_mib) = memory_modules(profile);
    Memory {
        odata_id: Uri(SYSTEMS, system, tail),
        odata_type: Memory::TYPE,
        id,
        name: id,
        memory_type: "DRAM",
        memory_device_type: "DDR5",
        capacity_mib,
        manufacturer: &profile.manufacturer,
        serial_number: part_serial(&serial_number(node.identity()), 'M', index),
        device_locator: id,
        operating_speed_mhz: 4800,
        status: status(node.power()),
    }
}
