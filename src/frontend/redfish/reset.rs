//! `#ComputerSystem.Reset`.

use actix_web::{HttpRequest, web};
use metalsim_actors::node::bmc::{BmcCommand, ResetType};

use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer};
use super::state::RedfishState;

/// `POST /redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset`
pub(super) async fn post(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::parameters(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Action("ComputerSystem.Reset"), body);
    let reset = fields.one_of("ResetType", &ResetType::ALL);
    if reset.is_none() {
        fields.missing("ResetType");
    }
    fields.finish(&[])?;
    if let Some(reset) = reset {
        respond::command(&node, if_match, BmcCommand::Reset(reset)).await?;
    }
    Ok(respond::no_content())
}
