//! `SecureBoot` and its keys.

use actix_web::{HttpRequest, web};
use metalsim_actors::node::bmc::{BmcCommand, ResetKeysType};
use metalsim_actors::wire::redfish::Uri;
use metalsim_actors::wire::redfish::system::{ResetKeysAction, SecureBoot, SecureBootActions};

use super::error::allow;
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, SYSTEMS, Tagged};
use super::state::RedfishState;

static RESET_KEYS: [ResetKeysType; 3] = [
    ResetKeysType::ResetAllKeysToDefault,
    ResetKeysType::DeleteAllKeys,
    ResetKeysType::DeletePk,
];

/// `GET /redfish/v1/Systems/{id}/SecureBoot`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::PATCH, SecureBoot::TYPE),
        |view, out| {
            let secure_boot = view.node.bmc().secure_boot();
            let payload = SecureBoot {
                odata_id: Uri(SYSTEMS, view.id, "/SecureBoot"),
                odata_type: SecureBoot::TYPE,
                id: "SecureBoot",
                name: "UEFI Secure Boot",
                etag: view.etag,
                secure_boot_enable: secure_boot.enable,
                secure_boot_current_boot: if secure_boot.current_boot {
                    "Enabled"
                } else {
                    "Disabled"
                },
                secure_boot_mode: if secure_boot.keys_present {
                    "UserMode"
                } else {
                    "SetupMode"
                },
                actions: SecureBootActions {
                    reset_keys: ResetKeysAction {
                        target: Uri(SYSTEMS, view.id, "/SecureBoot/Actions/SecureBoot.ResetKeys"),
                        values: &RESET_KEYS,
                    },
                },
            };
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

/// `PATCH /redfish/v1/Systems/{id}/SecureBoot`
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let enable = fields.boolean("SecureBootEnable");
    fields.finish(&["Id", "Name", "SecureBootCurrentBoot", "SecureBootMode", "Actions"])?;
    if let Some(enable) = enable {
        respond::command(&node, if_match, BmcCommand::SetSecureBoot(enable)).await?;
    }
    Ok(respond::no_content())
}

/// `POST /redfish/v1/Systems/{id}/SecureBoot/Actions/SecureBoot.ResetKeys`
pub(super) async fn reset_keys(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::parameters(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Action("SecureBoot.ResetKeys"), body);
    let kind = fields.one_of("ResetKeysType", &RESET_KEYS);
    if kind.is_none() {
        fields.missing("ResetKeysType");
    }
    fields.finish(&[])?;
    if let Some(kind) = kind {
        respond::command(&node, if_match, BmcCommand::ResetSecureBootKeys(kind)).await?;
    }
    Ok(respond::no_content())
}
