//! `Bios`, the settings that wait for the next boot, and the way back to the factory's.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use metalsim_actors::node::bmc::BmcCommand;
use metalsim_actors::node::profile::BiosValue;
use metalsim_actors::wire::redfish::Uri;
use metalsim_actors::wire::redfish::system::{Action, BIOS_TYPE, Bios, BiosActions, Settings};
use serde_json::Value;

use super::error::allow;
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, SYSTEMS, Tagged, link};
use super::state::RedfishState;

/// `GET /redfish/v1/Systems/{id}/Bios`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let registry = state.bios_registry(&node.kind().profile);
    let clock = Arc::clone(&state.clock);
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::READ, BIOS_TYPE),
        move |view, out| {
            let bmc = view.node.bmc();
            let applied = bmc.bios_changes().and_then(|changes| changes.applied_at);
            let payload = Bios {
                odata_id: Uri(SYSTEMS, view.id, "/Bios"),
                odata_type: BIOS_TYPE,
                etag: view.etag,
                id: "Bios",
                name: "BIOS settings",
                attribute_registry: &registry,
                attributes: bmc.bios_attributes(view.node.profile()),
                settings: Some(Settings {
                    odata_type: "#Settings.v1_3_5.Settings",
                    etag: view.etag,
                    settings_object: link(SYSTEMS, view.id, "/Bios/Settings"),
                    supported_apply_times: ["OnReset"],
                    time: applied.map(|at| respond::date_time(clock.calendar(at))),
                    messages: [],
                }),
                actions: Some(BiosActions {
                    reset: Action {
                        target: Uri(SYSTEMS, view.id, "/Bios/Actions/Bios.ResetBios"),
                    },
                }),
            };
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

/// `GET /redfish/v1/Systems/{id}/Bios/Settings`: only what will change, so that it empties when it was applied.
pub(super) async fn get_settings(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let registry = state.bios_registry(&node.kind().profile);
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::PATCH, BIOS_TYPE),
        move |view, out| {
            let none = BTreeMap::new();
            let changes = view.node.bmc().bios_changes();
            let payload = Bios {
                odata_id: Uri(SYSTEMS, view.id, "/Bios/Settings"),
                odata_type: BIOS_TYPE,
                etag: view.etag,
                id: "Settings",
                name: "BIOS settings for the next boot",
                attribute_registry: &registry,
                attributes: changes.map_or(&none, |changes| &changes.pending),
                settings: None,
                actions: None,
            };
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

/// `PATCH /redfish/v1/Systems/{id}/Bios/Settings`
pub(super) async fn patch_settings(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let attributes = fields.object("Attributes", |fields| {
        let mut values: BTreeMap<Box<str>, BiosValue> = BTreeMap::new();
        for (name, value) in fields.take_all() {
            match bios_value(&value) {
                Some(value) => drop(values.insert(name.into(), value)),
                None => fields.wrong_type(&name, &value),
            }
        }
        values
    });
    fields.finish(&["Id", "Name", "AttributeRegistry"])?;
    if let Some(values) = attributes {
        respond::command(&node, if_match, BmcCommand::SetBios(values)).await?;
    }
    Ok(respond::no_content())
}

fn bios_value(value: &Value) -> Option<BiosValue> {
    /// Longest text of an attribute.
    const LONGEST_TEXT: usize = 1024;
    match value {
        Value::Bool(value) => Some(BiosValue::Bool(*value)),
        Value::Number(number) => number.as_i64().map(BiosValue::Integer),
        Value::String(text) if text.len() <= LONGEST_TEXT => Some(BiosValue::Text(text.as_str().into())),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `POST /redfish/v1/Systems/{id}/Bios/Actions/Bios.ResetBios`
pub(super) async fn reset(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::parameters(&state, &request, payload).await?;
    Fields::new(Purpose::Action("Bios.ResetBios"), body).finish(&[])?;
    respond::command(&node, if_match, BmcCommand::ResetBios).await?;
    Ok(respond::no_content())
}
