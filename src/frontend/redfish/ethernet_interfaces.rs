//! `EthernetInterfaces` of a system: one a network interface of the profile.

use actix_web::{HttpRequest, web};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::wire::redfish::hardware::{EthernetInterface, EthernetLinks};
use metalsim_actors::wire::redfish::{Status, Uri};

use super::error::{RedfishError, allow};
use super::respond::{self, Answer, CHASSIS, SYSTEMS, link};
use super::state::RedfishState;

fn ids(node: &NodeRef) -> Vec<String> {
    let count = node.identity().macs.len().min(node.kind().profile.nics.len());
    (1..=count).map(|number| format!("NIC{number}")).collect()
}

/// `GET /redfish/v1/Systems/{id}/EthernetInterfaces`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, system) = (ids(&node), node.identity().id.to_string());
    let tails = tails(&ids);
    let about = (
        "#EthernetInterfaceCollection.EthernetInterfaceCollection",
        "Network interfaces",
    );
    respond::members(&request, about, &ids, |index| {
        payload(&node, &system, (index, &ids[index]), &tails[index])
    })
}

/// `GET /redfish/v1/Systems/{id}/EthernetInterfaces/{part}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (ids, system) = (ids(&node), node.identity().id.to_string());
    let index = respond::position(&request, "part", &ids)?;
    let tails = tails(&ids);
    match payload(&node, &system, (index, &ids[index]), &tails[index]) {
        Some(payload) => respond::json(allow::READ, &payload),
        None => Err(RedfishError::missing(request.path())),
    }
}

fn tails(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| format!("/EthernetInterfaces/{id}")).collect()
}

fn payload<'a>(
    node: &'a NodeRef,
    system: &'a str,
    (index, id): (usize, &'a str),
    tail: &'a str,
) -> Option<EthernetInterface<'a>> {
    let nic = node.kind().profile.nics.get(index)?;
    let mac = *node.identity().macs.get(index)?;
    Some(EthernetInterface {
        odata_id: Uri(SYSTEMS, system, tail),
        odata_type: EthernetInterface::TYPE,
        id,
        name: &nic.name,
        interface_enabled: true,
        link_status: if nic.carrier { "LinkUp" } else { "LinkDown" },
        mac_address: mac,
        permanent_mac_address: mac,
        speed_mbps: nic.speed_mbps,
        full_duplex: true,
        ipv4_addresses: None,
        // Also while the host is off: Ironic makes ports only of interfaces that are enabled and well.
        status: Status::OK,
        links: EthernetLinks {
            chassis: Some(link(CHASSIS, system, "")),
        },
    })
}
