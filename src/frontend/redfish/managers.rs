//! `Manager`: the BMC itself, one a system.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use chrono::{DateTime, TimeDelta, Utc};
use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::bmc::{BmcCommand, PowerState};
use metalsim_actors::node::update::Component;
use metalsim_actors::wire::redfish::hardware::{EthernetInterface, EthernetLinks, Ipv4Address};
use metalsim_actors::wire::redfish::manager::{Manager, ManagerLinks, ManagerNetworkProtocol, Protocol};
use metalsim_actors::wire::redfish::{Status, Uri};

use super::error::allow;
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, CHASSIS, MANAGERS, SYSTEMS, Tagged, link};
use super::state::RedfishState;

/// The clock shows universal time, as BMCs do.
pub(super) const LOCAL_OFFSET: &str = "+00:00";
/// Id of the BMC's one network interface.
const INTERFACE: &str = "eth0";

/// `GET /redfish/v1/Managers/{id}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let clock = Arc::clone(&state.clock);
    respond::show(
        &request,
        &node,
        (Tagged::Weak, allow::PATCH, Manager::TYPE),
        move |view, out| {
            let (node, id) = (view.node, view.id);
            let (profile, bmc) = (node.profile(), node.bmc());
            let payload = Manager {
                odata_id: Uri(MANAGERS, id, ""),
                odata_type: Manager::TYPE,
                id,
                name: "Management controller",
                etag: view.etag,
                uuid: id,
                manager_type: "BMC",
                manufacturer: &profile.manufacturer,
                model: &profile.bmc.model,
                firmware_version: bmc.firmware_version(profile, Component::Bmc),
                date_time: respond::date_time(shifted(clock.calendar(view.now), bmc.clock_offset_millis())),
                date_time_local_offset: LOCAL_OFFSET,
                power_state: PowerState::On,
                status: Status::OK,
                ethernet_interfaces: link(MANAGERS, id, "/EthernetInterfaces"),
                network_protocol: link(MANAGERS, id, "/NetworkProtocol"),
                virtual_media: link(SYSTEMS, id, "/VirtualMedia"),
                links: ManagerLinks {
                    manager_for_servers: [link(SYSTEMS, id, "")],
                    manager_for_chassis: [link(CHASSIS, id, "")],
                },
            };
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

/// What the BMC's clock shows; the calendar's ends if it was set beyond them.
pub(super) fn shifted(time: DateTime<Utc>, offset_millis: i64) -> DateTime<Utc> {
    TimeDelta::try_milliseconds(offset_millis)
        .and_then(|offset| time.checked_add_signed(offset))
        .unwrap_or(time)
}

/// `PATCH /redfish/v1/Managers/{id}`: the clock.
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    /// Longest text of a time.
    const LONGEST_TIME: usize = 40;
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let text = fields.text("DateTime", LONGEST_TIME);
    let time = text
        .as_deref()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    if let (Some(text), None) = (&text, &time) {
        fields.wrong_format("DateTime", text);
    }
    let offset = fields.text("DateTimeLocalOffset", LONGEST_TIME);
    if let Some(offset) = offset.filter(|offset| offset != LOCAL_OFFSET && offset != "Z") {
        fields.not_in_list("DateTimeLocalOffset", &offset, LOCAL_OFFSET);
    }
    fields.finish(&[
        "Id",
        "Name",
        "UUID",
        "ManagerType",
        "Manufacturer",
        "Model",
        "FirmwareVersion",
        "PowerState",
        "Status",
        "EthernetInterfaces",
        "NetworkProtocol",
        "VirtualMedia",
        "Links",
        "Actions",
    ])?;
    if let Some(time) = time {
        let shown = state.clock.calendar(state.clock.now());
        let offset_millis = time
            .with_timezone(&Utc)
            .signed_duration_since(shown)
            .num_milliseconds();
        respond::command(&node, if_match, BmcCommand::SetClock { offset_millis }).await?;
    }
    Ok(respond::no_content())
}

/// `GET /redfish/v1/Managers/{id}/NetworkProtocol`: how this very request came.
pub(super) async fn network_protocol(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let (id, config) = (node.identity().id.to_string(), request.app_config());
    let protocol = |enabled: bool| Protocol {
        protocol_enabled: enabled,
        port: enabled.then(|| config.local_addr().port()),
    };
    respond::json(
        allow::READ,
        &ManagerNetworkProtocol {
            odata_id: Uri(MANAGERS, &id, "/NetworkProtocol"),
            odata_type: ManagerNetworkProtocol::TYPE,
            id: "NetworkProtocol",
            name: "Network protocols",
            host_name: &format!("{}-bmc", node.identity().name),
            http: protocol(!config.secure()),
            https: protocol(config.secure()),
            status: Status::OK,
        },
    )
}

/// `GET /redfish/v1/Managers/{id}/EthernetInterfaces`
pub(super) async fn interfaces(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let id = node.identity().id.to_string();
    let about = (
        "#EthernetInterfaceCollection.EthernetInterfaceCollection",
        "Network interfaces of the management controller",
    );
    respond::members(&request, about, &[INTERFACE.to_owned()], |_| {
        interface(&node, &id)
    })
}

/// `GET /redfish/v1/Managers/{id}/EthernetInterfaces/{part}`
pub(super) async fn get_interface(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::position(&request, "part", &[INTERFACE.to_owned()])?;
    let id = node.identity().id.to_string();
    respond::json(allow::READ, &interface(&node, &id))
}

fn interface<'a>(node: &'a metalsim_actors::shell::NodeRef, id: &'a str) -> EthernetInterface<'a> {
    /// The host's interfaces have the numbers below.
    const BMC_INTERFACE: usize = 1 << 16;
    let mac = MacAddress::derived(&node.identity().name, BMC_INTERFACE);
    let address = node.kind().agent.bmc_address.as_deref();
    EthernetInterface {
        odata_id: Uri(MANAGERS, id, "/EthernetInterfaces/eth0"),
        odata_type: EthernetInterface::TYPE,
        id: INTERFACE,
        name: "Management network",
        interface_enabled: true,
        link_status: "LinkUp",
        mac_address: mac,
        permanent_mac_address: mac,
        speed_mbps: 1000,
        full_duplex: true,
        ipv4_addresses: address
            .filter(|address| address.parse::<std::net::Ipv4Addr>().is_ok())
            .map(|address| {
                vec![Ipv4Address {
                    address,
                    address_origin: "Static",
                }]
            }),
        status: Status::OK,
        links: EthernetLinks { chassis: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_far_away_stays_within_the_calendar() {
        let time = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(shifted(time, 1500).timestamp_millis(), 1500);
        assert_eq!(shifted(time, i64::MAX), time);
    }
}
