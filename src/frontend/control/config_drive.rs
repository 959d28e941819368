//! The config drive on a node's disk, and the system that it makes.

use actix_web::{HttpRequest, HttpResponse, web};
use metalsim_actors::node::os::description::SystemDescription;
use metalsim_actors::shell::AskError;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Api;
use super::error::ControlError;
use super::nodes::find;
use crate::boot::config_drive::{self, ConfigDrive};
use crate::boot::system;

/// What a request shows.
#[derive(Serialize)]
struct Shown {
    /// `meta_data.json`.
    meta_data: Map<String, Value>,
    /// `network_data.json`.
    network_data: Option<Value>,
    /// `vendor_data.json`: with secrets only, like the user data.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_data: Option<Value>,
    /// `user_data`: its size, and with secrets its text.
    user_data: Option<UserData>,
    /// What they make of the system.
    system: SystemDescription,
}

#[derive(Serialize)]
struct UserData {
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// `GET /api/v1/nodes/{name|uuid}/config-drive`
pub(super) async fn get(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let secrets = asks_for_secrets(request.query_string())?;
    if secrets && api.token.is_none() {
        return Err(ControlError::Secrets);
    }
    let name = path.into_inner();
    let drive = find(&api, &name)?
        .read(|node, _| node.disk().config_drive().cloned())
        .await?
        .ok_or_else(|| ControlError::NotFound(format!("no config drive on the disk of node {name:?}")))?;
    // It unpacks and parses: not where other requests wait.
    let shown = web::block(move || match config_drive::open(&drive) {
        Ok(opened) => show(opened, secrets),
        Err(error) => Shown {
            system: system::unreadable(&error),
            ..show(ConfigDrive::default(), secrets)
        },
    });
    let shown = shown.await.map_err(|_| AskError::Gone)?;
    Ok(HttpResponse::Ok().json(shown))
}

fn show(drive: ConfigDrive, secrets: bool) -> Shown {
    let system = system::describe(&drive);
    Shown {
        user_data: drive.user_data.map(|data| UserData {
            bytes: data.0.len(),
            text: secrets.then(|| String::from_utf8_lossy(&data.0).into_owned()),
        }),
        meta_data: drive.meta_data,
        network_data: drive.network_data,
        vendor_data: drive.vendor_data.filter(|_| secrets),
        system,
    }
}

fn asks_for_secrets(query: &str) -> Result<bool, ControlError> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|error| ControlError::Parameter(format!("parameter query: {error}")))?;
    let mut secrets = false;
    for (name, value) in pairs.into_inner() {
        secrets = match (name.as_str(), value.as_str()) {
            ("secrets", "true") => true,
            ("secrets", "false") => false,
            ("secrets", _) => {
                return Err(ControlError::Parameter(format!(
                    "parameter secrets: {value:?} is neither true nor false"
                )));
            }
            _ => {
                return Err(ControlError::Parameter(format!(
                    "parameter {name}: unknown; known is secrets"
                )));
            }
        };
    }
    Ok(secrets)
}
