//! `UpdateService`: versions of firmware, and their update as a task.
//!
//! One service is there for all nodes, so an update says by `Targets` for which: a system, a manager, or a member of the inventory. Ironic
//! names the system whatever it updates; then the image's name says whose firmware it is. The image is not fetched.

use std::sync::{Arc, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::BmcCommand;
use metalsim_actors::node::update::Component;
use metalsim_actors::node::{Event, Reply};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::wire::redfish::message::{self, Message};
use metalsim_actors::wire::redfish::update::{
    SimpleUpdateAction, SoftwareInventory, UpdateService, UpdateServiceActions,
};
use metalsim_actors::wire::redfish::{Collection, Link, Status, Uri};
use serde_json::Value;

use super::boot::is_http_url;
use super::error::{RedfishError, allow};
use super::faults::Visit;
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, MANAGERS, SYSTEMS, Tagged, link};
use super::state::RedfishState;
use super::tasks::{monitor_uri, part_of_node};

const SERVICE: &str = "/redfish/v1/UpdateService";
const INVENTORY: &str = "/redfish/v1/UpdateService/FirmwareInventory";
const COLLECTION_TYPE: &str = "#SoftwareInventoryCollection.SoftwareInventoryCollection";
const ACTION: &str = "UpdateService.SimpleUpdate";
/// Protocols that images may come by.
const PROTOCOLS: [&str; 2] = ["HTTP", "HTTPS"];
/// Longest URL of an image, as of virtual media.
const LONGEST_URL: usize = 2048;
/// Longest user name and password.
const LONGEST_CREDENTIAL: usize = 256;
/// Most targets that are looked at.
const MOST_TARGETS: usize = 16;

/// `GET /redfish/v1/UpdateService`
pub(super) async fn service() -> Answer {
    respond::json(
        allow::READ,
        &UpdateService {
            odata_id: Uri(SERVICE, "", ""),
            odata_type: UpdateService::TYPE,
            id: "UpdateService",
            name: "Update service",
            service_enabled: true,
            firmware_inventory: Link::new(INVENTORY, ""),
            status: Status::OK,
            actions: UpdateServiceActions {
                simple_update: SimpleUpdateAction {
                    target: Uri(SERVICE, "/Actions/UpdateService.SimpleUpdate", ""),
                    protocols: &PROTOCOLS,
                },
            },
        },
    )
}

/// `GET /redfish/v1/UpdateService/FirmwareInventory`: written once, as the collections of nodes are.
pub(super) async fn inventory(state: web::Data<RedfishState>) -> Answer {
    let written = &state.collections.firmware;
    if let Some(body) = written.get() {
        return Ok(respond::ready(allow::READ, COLLECTION_TYPE, body.clone()));
    }
    let ids: Vec<String> = state
        .directory
        .nodes()
        .iter()
        .flat_map(|node| Component::ALL.map(|component| member(node.identity().id, component)))
        .collect();
    let body = Bytes::from(serde_json::to_vec(&Collection {
        odata_id: Uri(INVENTORY, "", ""),
        odata_type: COLLECTION_TYPE,
        name: "Firmware",
        count: ids.len(),
        members: ids
            .iter()
            .map(|id| Link {
                odata_id: Uri(INVENTORY, "/", id),
            })
            .collect(),
    })?);
    let body = written.get_or_init(|| body).clone();
    Ok(respond::ready(allow::READ, COLLECTION_TYPE, body))
}

fn member(node: NodeId, component: Component) -> String {
    format!("{node}-{}", component.as_str())
}

/// Node and component of a member of the inventory.
fn of_member(state: &RedfishState, id: &str) -> Option<(Arc<NodeRef>, Component)> {
    let (node, rest) = part_of_node(id)?;
    let component = Component::ALL
        .into_iter()
        .find(|component| component.as_str() == rest)?;
    Some((state.directory.get(&node)?, component))
}

/// `GET /redfish/v1/UpdateService/FirmwareInventory/{software}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let given = request.match_info().get("software").unwrap_or_default();
    let (node, component) = of_member(&state, given).ok_or_else(|| RedfishError::missing(request.path()))?;
    let about = (Tagged::Strong, allow::READ, SoftwareInventory::TYPE);
    respond::show(&request, &node, about, move |view, out| {
        let profile = view.node.profile();
        let id = member(view.node.identity().id, component);
        let (manufacturer, related) = match component {
            Component::Bios => (&profile.bios.vendor, link(SYSTEMS, view.id, "/Bios")),
            Component::Bmc => (&profile.manufacturer, link(MANAGERS, view.id, "")),
        };
        let payload = SoftwareInventory {
            odata_id: Uri(INVENTORY, "/", &id),
            odata_type: SoftwareInventory::TYPE,
            id: &id,
            name: component.as_str(),
            manufacturer,
            version: view.node.bmc().firmware_version(profile, component),
            updateable: true,
            related_item: [related],
            status: Status::OK,
        };
        Ok(serde_json::to_writer(out, &payload)?)
    })
    .await
}

/// What a target names: a node, and its component if it says so.
fn target(state: &RedfishState, uri: &str) -> Option<(Arc<NodeRef>, Option<Component>)> {
    let uri = uri.strip_suffix('/').unwrap_or(uri);
    let node = |given: &str| match given.parse() {
        Ok(id) => state.directory.get(&id),
        Err(_) => state.directory.by_name(given),
    };
    if let Some(id) = uri.strip_prefix(SYSTEMS) {
        return match id.strip_suffix("/Bios") {
            Some(id) => Some((node(id)?, Some(Component::Bios))),
            None => Some((node(id)?, None)),
        };
    }
    if let Some(id) = uri.strip_prefix(MANAGERS) {
        return Some((node(id)?, Some(Component::Bmc)));
    }
    let id = uri.strip_prefix(INVENTORY)?.strip_prefix('/')?;
    let (node, component) = of_member(state, id)?;
    Some((node, Some(component)))
}

/// The one node that the targets name.
fn targeted(
    state: &RedfishState,
    targets: Option<&Value>,
) -> Result<(Arc<NodeRef>, Option<Component>), RedfishError> {
    let refused = |message: Message| RedfishError::bad_request(message.about("#/Targets".to_owned()));
    let targets = match targets {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(targets)) => targets.iter().take(MOST_TARGETS).collect(),
        Some(other) => {
            return Err(refused(Message::new(
                &message::ACTION_PARAMETER_VALUE_TYPE_ERROR,
                &[&other.to_string(), "Targets", ACTION],
            )));
        }
    };
    let mut found: Option<(Arc<NodeRef>, Option<Component>)> = None;
    for given in targets {
        let shown = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
        let named = given.as_str().and_then(|uri| target(state, uri)).ok_or_else(|| {
            let message = Message::new(
                &message::ACTION_PARAMETER_VALUE_NOT_IN_LIST,
                &[&shown, "Targets", ACTION],
            );
            refused(
                message.advise("Acceptable values: systems, managers and members of the firmware inventory."),
            )
        })?;
        match &found {
            Some((node, component))
                if node.identity().id != named.0.identity().id || *component != named.1 =>
            {
                let message = Message::new(&message::ACTION_PARAMETER_VALUE_CONFLICT, &["Targets", &shown]);
                return Err(refused(
                    message.advise("One update is for one component of one server."),
                ));
            }
            _ => found = Some(named),
        }
    }
    match (found, state.directory.nodes()) {
        (Some(found), _) => Ok(found),
        (None, [only]) => Ok((Arc::clone(only), None)),
        (None, _) => {
            let message = Message::new(&message::ACTION_PARAMETER_MISSING, &[ACTION, "Targets"]);
            Err(refused(
                message.advise("The service has several servers: name one."),
            ))
        }
    }
}

/// `POST /redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate`
pub(super) async fn simple_update(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let body = parse::parameters(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Action(ACTION), body);
    let image = fields.text("ImageURI", LONGEST_URL);
    match &image {
        None => fields.missing("ImageURI"),
        // Credentials may stand in the URL, so only its scheme is repeated.
        Some(uri) if !is_http_url(uri) => {
            fields.wrong_format("ImageURI", uri.split(':').next().unwrap_or_default());
        }
        Some(_) => {}
    }
    let targets = fields.value("Targets");
    // Ironic says HTTP whatever the URL says.
    fields.one_of("TransferProtocol", &PROTOCOLS.map(str::to_owned));
    for name in ["Username", "Password"] {
        fields.nullable_text(name, LONGEST_CREDENTIAL);
    }
    fields.boolean("ForceUpdate");
    fields.finish(&[])?;
    let Some(image) = image else {
        return Err(RedfishError::internal());
    };
    let (node, component) = targeted(&state, targets.as_ref())?;
    // Only here it is known which node's faults count.
    let Some(visit) = Visit::to(Arc::clone(&node), &request) else {
        return Err(RedfishError::internal());
    };
    if !visit.connects(&request).await {
        return Ok(HttpResponse::new(StatusCode::SERVICE_UNAVAILABLE));
    }
    let response = match visit.instead(&state, &request).await {
        Some(instead) => return Ok(instead),
        None => begin(&state, &node, component, &image).await?,
    };
    Ok(visit.answered(response).await)
}

async fn begin(
    state: &RedfishState,
    node: &Arc<NodeRef>,
    component: Option<Component>,
    image: &str,
) -> Answer {
    let command = BmcCommand::UpdateFirmware {
        component: component.unwrap_or_else(|| Component::of_image(image)),
        image: image.into(),
    };
    let event = Event::Bmc {
        if_match: None,
        command,
    };
    let Reply::Task(number) = node.act(event).await? else {
        return Err(RedfishError::internal());
    };
    let mut updated = state.updated.lock().unwrap_or_else(PoisonError::into_inner);
    updated.insert(node.identity().index);
    drop(updated);
    // Without a body: sushy would poll the task that one names, and not the monitor.
    Ok(respond::head(StatusCode::ACCEPTED, allow::ACTION)
        .insert_header((LOCATION, monitor_uri(node.identity().id, number)))
        .finish())
}
