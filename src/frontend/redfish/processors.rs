//! `Processors`: one a socket.

use actix_web::{HttpRequest, web};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::wire::redfish::Uri;
use metalsim_actors::wire::redfish::hardware::Processor;

use super::error::allow;
use super::respond::{self, Answer, SYSTEMS};
use super::state::RedfishState;
use super::systems::status;

fn ids(node: &NodeRef) -> Vec<String> {
    (1..=node.kind().profile.cpu.sockets)
        .map(|number| format!("CPU{number}"))
        .collect()
}

/// `GET /redfish/v1/Systems/{id}/Processors`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, system) = (ids(&node), node.identity().id.to_string());
    let tails = tails(&ids);
    let about = ("#ProcessorCollection.ProcessorCollection", "Processors");
    respond::members(&request, about, &ids, |index| {
        payload(&node, &system, &ids[index], &tails[index])
    })
}

/// `GET /redfish/v1/Systems/{id}/Processors/{part}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, system) = (ids(&node), node.identity().id.to_string());
    let index = respond::position(&request, "part", &ids)?;
    respond::json(
        allow::READ,
        &payload(&node, &system, &ids[index], &tails(&ids)[index]),
    )
}

fn tails(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| format!("/Processors/{id}")).collect()
}

fn payload<'a>(node: &'a NodeRef, system: &'a str, id: &'a str, tail: &'a str) -> Processor<'a> {
    let cpu = &node.kind().profile.cpu;
    Processor {
        odata_id: Uri(SYSTEMS, system, tail),
        odata_type: Processor::TYPE,
        id,
        name: id,
        socket: id,
        processor_type: "CPU",
        processor_architecture: cpu.architecture.redfish_name(),
        instruction_set: cpu.architecture.instruction_set(),
        manufacturer: &cpu.manufacturer,
        model: &cpu.model,
        max_speed_mhz: cpu.frequency_mhz,
        total_cores: cpu.cores,
        total_threads: cpu.cores * cpu.threads_per_core,
        status: status(node.power()),
    }
}
