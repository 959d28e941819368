//! The faults in force: list, add, change, remove.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use metalsim_actors::fault::{Fault, FaultForm, FaultName, FaultSet, Stretch, Subject};
use metalsim_actors::shell::AskError;
use serde::Serialize;
use serde_json::Value;

use super::error::ControlError;
use super::{Api, read_json};
use crate::live::Live;

/// A fault as it is shown: as it was given, and what follows from it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    form: FaultForm,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    /// Whom it befalls.
    subject: &'static str,
    /// Number of the nodes that it picks by names, labels, and fraction or count.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<usize>,
}

#[derive(Serialize)]
struct List {
    /// Number of changes since the start.
    version: u64,
    items: Vec<Shown>,
}

impl Shown {
    fn of(set: &FaultSet, fault: &Fault) -> Self {
        let (subject, nodes) = match fault.what.subject() {
            Subject::Node => {
                let picked = set.picked(fault.name.as_str());
                ("node", picked.map(metalsim_actors::fault::NodeSet::count))
            }
            Subject::Cluster => ("cluster", None),
        };
        Self {
            form: FaultForm::from(fault),
            status: Status { subject, nodes },
        }
    }

    fn named(set: &FaultSet, name: &str) -> Result<Self, ControlError> {
        let fault = set
            .get(name)
            .ok_or_else(|| ControlError::NotFound(format!("no fault {name:?}")))?;
        Ok(Self::of(set, fault))
    }
}

/// `GET /api/v1/faults`
pub(super) async fn list(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let set = api.live.faults();
    Ok(HttpResponse::Ok().json(List {
        version: set.version(),
        items: set.faults().map(|fault| Shown::of(&set, fault)).collect(),
    }))
}

/// `GET /api/v1/faults/{name}`
pub(super) async fn get(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    Ok(HttpResponse::Ok().json(Shown::named(&api.live.faults(), &path)?))
}

/// `POST /api/v1/faults`
pub(super) async fn add(
    request: HttpRequest,
    api: Api,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let fault = read(&request, &api, payload, None).await?;
    let name = fault.name.clone();
    let set = change(&api, move |live| live.add(fault)).await??;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/faults/{name}")))
        .json(Shown::named(&set, name.as_str())?))
}

/// `PUT /api/v1/faults/{name}`
pub(super) async fn put(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let fault = read(&request, &api, payload, Some(&path)).await?;
    let name = fault.name.clone();
    let (set, is_new) = change(&api, move |live| live.put(fault)).await??;
    let mut answer = if is_new {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(answer.json(Shown::named(&set, name.as_str())?))
}

/// `DELETE /api/v1/faults/{name}`
pub(super) async fn remove(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let text = path.into_inner();
    // What is no name is the name of no fault.
    let name: FaultName = text.parse().map_err(ControlError::NotFound)?;
    change(&api, move |live| live.remove(name)).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /api/v1/faults`
pub(super) async fn remove_all(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    change(&api, |live| live.remove_all()).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// A change looks at each node: not where other requests wait. It is made even if the client hangs up.
pub(super) async fn change<T: Send + 'static>(
    api: &Api,
    change: impl FnOnce(&Live) -> T + Send + 'static,
) -> Result<T, ControlError> {
    let live = Arc::clone(&api.live);
    let changed = web::block(move || change(&live)).await;
    changed.map_err(|_| AskError::Fault.into())
}

/// The fault of a request. One that goes under a name in the path needs none in the body.
async fn read(
    request: &HttpRequest,
    api: &Api,
    payload: web::Payload,
    name: Option<&str>,
) -> Result<Fault, ControlError> {
    let base = match request.query_string() {
        "" | "base=start" => Stretch::ALL,
        "base=now" => Stretch {
            from: api.clock.now(),
            until: None,
        },
        other => {
            return Err(ControlError::Parameter(format!(
                "parameter query: {other:?} is neither base=start nor base=now"
            )));
        }
    };
    let mut value: Value = read_json(request, api, payload).await?;
    // What is shown may be sent back.
    if let Some(table) = value.as_object_mut() {
        table.remove("status");
    }
    let mut form: FaultForm =
        serde_path_to_error::deserialize(value).map_err(|error| ControlError::Json(error.to_string()))?;
    if let Some(name) = name {
        let name: FaultName = name.parse().map_err(ControlError::Json)?;
        if form.name.as_ref().is_some_and(|given| *given != name) {
            return Err(ControlError::Json(format!(
                "name: is not {name}, the name in the path"
            )));
        }
        form.name = Some(name);
    }
    if form.when.during.is_some() {
        return Err(ControlError::Json(
            "when.during: phases are those of a scenario's file; give from and until".to_owned(),
        ));
    }
    form.resolve(base).map_err(|complaints| {
        let complaints: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        ControlError::Json(complaints.join("; "))
    })
}
