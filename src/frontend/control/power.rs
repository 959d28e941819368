//! Power buttons of nodes, and the end of their actors.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use metalsim_actors::node::Event;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::shell::AskError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ControlError;
use super::nodes::find;
use super::{Api, read_json};

/// A press on the power button.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reset {
    /// Kind of reset: Redfish's words.
    reset: ResetType,
}

/// `POST /api/v1/nodes/{node}/power`
pub(super) async fn reset(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let Reset { reset } = read_json(&request, &api, payload).await?;
    let event = Event::Bmc {
        if_match: None,
        command: BmcCommand::Reset(reset),
    };
    find(&api, &path)?.act(event).await.map_err(|error| match error {
        AskError::Refused(refused) => ControlError::Conflict(refused.to_string()),
        other => other.into(),
    })?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/nodes/{node}/kill`
pub(super) async fn kill(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let node = find(&api, &path)?;
    let live = Arc::clone(&api.live);
    // A client that hangs up leaves no node without an actor.
    let killed = actix_web::rt::spawn(async move { live.kill(&node).await }).await;
    killed.map_err(|_| AskError::Fault)??;
    Ok(HttpResponse::NoContent().finish())
}
