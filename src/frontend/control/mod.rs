//! The control API: health, metrics, nodes, faults, events and clusters, for those who run the simulator.
//!
//! [`operations`] lists all of it; routes and the document at `/openapi.json` are made from there. What needs more words:
//!
//! | path | |
//! | --- | --- |
//! | `/readyz` | 503 before every listener is open, and while draining |
//! | `/api/v1/nodes` | from the directory, without waking the nodes; one node is asked in its actor |
//! | `/api/v1/faults`, `.../labels`, `.../power`, `.../kill` | live control: [`crate::live`] |
//! | `/api/v1/events` | [`events`] |
//! | `POST /register`, `PUT /updateNode` | as FKAS has them: [`fkas`] |
//!
//! With a token configured all but `/healthz`, `/readyz` and `/openapi.json` want `Authorization: Bearer <token>`. Errors are
//! `{"error": {"code": <status>, "message": <text>}}`.

mod clusters;
mod config_drive;
mod error;
mod events;
mod faults;
mod fkas;
mod labels;
mod nodes;
mod openapi;
mod operations;
mod power;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, guard, web};
use metalsim_actors::time::Clock;
use serde::de::DeserializeOwned;

use self::error::ControlError;
use self::operations::{OPERATIONS, Operation, Verb};
use super::body::{self, BodyLimits};
use super::measure::NoRoute;
use super::readiness::Readiness;
use crate::cluster::manager::Manager;
use crate::directory::Directory;
use crate::events::EventLog;
use crate::live::Live;
use crate::observer::Exposition;

/// What the API needs.
#[derive(Clone)]
pub struct ControlApi {
    /// The nodes.
    pub directory: Arc<Directory>,
    /// The metrics.
    pub metrics: Arc<dyn Exposition>,
    /// Whether every listener is open.
    pub readiness: Arc<Readiness>,
    /// For times in answers.
    pub clock: Arc<dyn Clock>,
    /// Base URLs of the Redfish listeners, such as `http://127.0.0.1:8000`; nodes are spread over them.
    pub redfish: Arc<[Box<str>]>,
    /// The clusters.
    pub clusters: Arc<Manager>,
    /// What can be changed while the run goes on.
    pub live: Arc<Live>,
    /// The events.
    pub events: Arc<EventLog>,
    /// Limits of request bodies.
    pub bodies: BodyLimits,
    /// Bearer token.
    pub token: Option<Arc<str>>,
}

impl ControlApi {
    /// Base URL of a listener for [`Self::redfish`]. A wildcard address is shown as the loopback address.
    #[must_use]
    pub fn base_url(listener: SocketAddr, tls: bool) -> Box<str> {
        let mut shown = listener;
        if listener.ip().is_unspecified() {
            shown.set_ip(match listener {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let scheme = if tls { "https" } else { "http" };
        format!("{scheme}://{shown}").into()
    }
}

/// The routes.
pub fn configure(api: ControlApi) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.app_data(web::Data::new(api.clone()));
        for operations in OPERATIONS.chunk_by(|one, next| one.path == next.path) {
            config.service(resource(operations));
        }
        config.default_service(web::to(not_found));
    }
}

type Api = web::Data<ControlApi>;

/// The operations of one path. To other methods it says which it has.
fn resource(operations: &'static [Operation]) -> actix_web::Resource {
    let path = operations.first().map_or("", |operation| operation.path);
    let mut resource = web::resource(path);
    for operation in operations {
        let route = (operation.route)();
        resource = resource.route(match operation.verb {
            Verb::Get => route.guard(guard::Any(guard::Get()).or(guard::Head())),
            Verb::Post => route.guard(guard::Post()),
            Verb::Put => route.guard(guard::Put()),
            Verb::Patch => route.guard(guard::Patch()),
            Verb::Delete => route.guard(guard::Delete()),
        });
    }
    resource.default_service(web::to(move |request: HttpRequest, api: Api| async move {
        api.authorise(&request)?;
        let methods: Vec<&str> = operations
            .iter()
            .map(|operation| operation.verb.allowed())
            .collect();
        Err::<HttpResponse, _>(ControlError::Method(methods.join(", ")))
    }))
}

/// Reads a body whatever its content type, as FKAS does.
async fn read_body<T: DeserializeOwned>(
    request: &HttpRequest,
    api: &Api,
    payload: web::Payload,
) -> Result<T, ControlError> {
    let body = body::read(request, payload, &api.bodies).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| ControlError::Json(error.to_string()))
}

/// Reads a body that says it is JSON: a page of some web site can send others without asking.
async fn read_json<T: DeserializeOwned>(
    request: &HttpRequest,
    api: &Api,
    payload: web::Payload,
) -> Result<T, ControlError> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|text| text.to_str().ok()?.split(';').next());
    let is_json = content_type.is_some_and(|text| {
        let text = text.trim().to_ascii_lowercase();
        text == "application/json" || text == "application/merge-patch+json"
    });
    if !is_json {
        return Err(ControlError::NotJson);
    }
    read_body(request, api, payload).await
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

async fn readyz(api: Api) -> Result<HttpResponse, ControlError> {
    if api.readiness.get() {
        Ok(HttpResponse::Ok().content_type("text/plain").body("ok\n"))
    } else {
        Err(ControlError::NotReady)
    }
}

/// The two forms of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn metrics(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let accept = request.headers().get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let open = accept
        .to_ascii_lowercase()
        .contains("application/openmetrics-text");
    let (kind, page) = if open {
        (OPEN_METRICS, api.metrics.render())
    } else {
        (PLAIN_METRICS, api.metrics.render_plain())
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::VARY, "Accept"))
        .body(page))
}

async fn not_found(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    request.extensions_mut().insert(NoRoute);
    api.authorise(&request)?;
    Err(ControlError::NotFound(format!("no resource {}", request.path())))
}

impl ControlApi {
    fn authorise(&self, request: &HttpRequest) -> Result<(), ControlError> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|given| given.to_str().ok()?.split_once(' '));
        match given {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && same(given.trim(), token) => {
                Ok(())
            }
            _ => Err(ControlError::Unauthorised),
        }
    }
}

/// Compares without telling by its duration where the texts differ.
fn same(given: &str, own: &str) -> bool {
    given.len() == own.len()
        && given
            .bytes()
            .zip(own.bytes())
            .fold(0, |differing, (a, b)| differing | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_can_be_reached_from_here() {
        let url = |listener: &str, tls| ControlApi::base_url(listener.parse().unwrap(), tls);
        assert_eq!(&*url("127.0.0.2:8000", false), "http://127.0.0.2:8000");
        assert_eq!(&*url("0.0.0.0:8000", true), "https://127.0.0.1:8000");
        assert_eq!(&*url("[::]:8000", false), "http://[::1]:8000");
    }

    #[test]
    fn texts_are_compared_whole() {
        assert!(same("secret", "secret"));
        assert!(!same("secreT", "secret") && !same("secre", "secret") && !same("", "secret"));
    }
}
