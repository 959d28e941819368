//! The control API: health, metrics, nodes and clusters, for those who run the simulator.
//!
//! | path | answer |
//! | --- | --- |
//! | `/healthz` | 200: the process lives |
//! | `/readyz` | 200 once every listener is open, 503 before and while draining |
//! | `/metrics` | `OpenMetrics` text |
//! | `/api/v1/nodes` | nodes from the directory, without waking them: `limit`, `continue`, `label=<key>=<value>` (repeatable), `phase` |
//! | `/api/v1/nodes/<name or uuid>` | one node, asked in its actor |
//! | `/api/v1/nodes/<name or uuid>/config-drive` | the config drive on its disk, and the system that it makes; `secrets=true` shows user data too, only with a token configured |
//! | `/api/v1/events` | what happens, as server-sent events: `after`, `node`, `kind`, `cluster`: [`events`] |
//! | `/api/v1/clusters` | clusters: `limit`, `continue` |
//! | `DELETE /api/v1/clusters/<name>` | ends a registered cluster: `namespace` where the name alone is not enough |
//! | `/api/v1/clusters/<name>/kubeconfig` | its administrator's kubeconfig, only with a token or from the machine itself |
//! | `POST /register`, `PUT /updateNode` | as FKAS has them: [`fkas`] |
//!
//! With a token configured all but the first two want `Authorization: Bearer <token>`. Errors are
//! `{"error": {"code": <status>, "message": <text>}}`.

mod clusters;
mod config_drive;
mod error;
mod events;
mod fkas;
mod nodes;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, guard, web};
use metalsim_actors::time::Clock;

use self::error::ControlError;
use super::body::BodyLimits;
use super::measure::NoRoute;
use super::readiness::Readiness;
use crate::cluster::manager::Manager;
use crate::directory::Directory;
use crate::events::EventLog;
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
        config
            .app_data(web::Data::new(api.clone()))
            .service(readable("/healthz").route(reading().to(healthz)))
            .service(readable("/readyz").route(reading().to(readyz)))
            .service(readable("/metrics").route(reading().to(metrics)))
            .service(readable("/api/v1/nodes").route(reading().to(nodes::list)))
            .service(readable("/api/v1/nodes/{node}").route(reading().to(nodes::get)))
            .service(readable("/api/v1/nodes/{node}/config-drive").route(reading().to(config_drive::get)))
            .service(readable("/api/v1/events").route(reading().to(events::stream)))
            .service(readable("/api/v1/clusters").route(reading().to(clusters::list)))
            .service(
                allowing("/api/v1/clusters/{cluster}", "DELETE").route(web::delete().to(clusters::delete)),
            )
            .service(
                readable("/api/v1/clusters/{cluster}/kubeconfig").route(reading().to(clusters::kubeconfig)),
            )
            .service(allowing("/register", "POST").route(web::post().to(fkas::register)))
            .service(allowing("/updateNode", "PUT").route(web::put().to(fkas::update_node)))
            .default_service(web::to(not_found));
    }
}

type Api = web::Data<ControlApi>;

fn readable(path: &str) -> actix_web::Resource {
    allowing(path, "GET, HEAD")
}

/// A resource that says which methods it has.
fn allowing(path: &str, methods: &'static str) -> actix_web::Resource {
    let refuse = move |request: HttpRequest, api: Api| async move {
        api.authorise(&request)?;
        Err::<HttpResponse, _>(ControlError::Method(methods))
    };
    web::resource(path).default_service(web::to(refuse))
}

fn reading() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
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

async fn metrics(request: HttpRequest, api: Api) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(api.metrics.render()))
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
