//! Faults of BMCs, as those see them who talk to one: late, missing, refused, wrong and broken answers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, SizedStream, to_bytes_limited};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use actix_web::http::{Method as HttpMethod, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use metalsim_actors::fault::words::{BadBody, Method, Unreachable};
use metalsim_actors::fault::{Site, SiteKind, Struck, What};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::time::SimInstant;
use metalsim_actors::wire::redfish::message;

use super::error::RedfishError;
use super::state::RedfishState;
use super::tasks::part_of_node;
use crate::frontend::connection::Connection;

/// Longest time for which a request is left without an answer. Clients give up long before.
const LONGEST_HANG: Duration = Duration::from_secs(600);
/// Largest body that is broken on purpose; larger ones are left as they are.
const LARGEST_BODY: usize = 4 << 20;

/// A request to a node's BMC, and what faults need to know of it.
pub(super) struct Visit {
    node: Arc<NodeRef>,
    method: Method,
    route: String,
}

impl Visit {
    /// Of a request whose path names a node, or something that belongs to one.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        let state = request.app_data::<web::Data<RedfishState>>()?;
        let named = request.match_info();
        let id = match named.get("id") {
            Some(id) => id.parse().ok()?,
            None => part_of_node(named.get("task").or_else(|| named.get("software"))?)?.0,
        };
        Self::to(state.directory.get(&id)?, request)
    }

    /// Of a request whose body names the node.
    pub(super) fn to(node: Arc<NodeRef>, request: &HttpRequest) -> Option<Self> {
        let method = match *request.method() {
            HttpMethod::GET => Method::Get,
            HttpMethod::HEAD => Method::Head,
            HttpMethod::POST => Method::Post,
            HttpMethod::PUT => Method::Put,
            HttpMethod::PATCH => Method::Patch,
            HttpMethod::DELETE => Method::Delete,
            _ => return None,
        };
        let route = request.match_pattern()?;
        Some(Self { node, method, route })
    }

    /// Whether there is a connection at all. If not, this ends when the connection does.
    pub(super) async fn connects(&self, request: &HttpRequest) -> bool {
        let how = if self.node.is_dark() {
            Unreachable::Drop
        } else {
            match self.node.strike(Site::Plain(SiteKind::RedfishConnection)) {
                Some(Struck {
                    what: What::BmcUnreachable { how },
                    ..
                }) => how,
                _ => return true,
            }
        };
        match how {
            Unreachable::Refuse => {}
            Unreachable::Drop | Unreachable::Hang => actix_rt::time::sleep(LONGEST_HANG).await,
        }
        if let Some(connection) = Connection::of(request) {
            connection.drop_unanswered();
        }
        false
    }

    /// What a request gets instead of being served, if it gets something else.
    pub(super) async fn instead(&self, state: &RedfishState, request: &HttpRequest) -> Option<HttpResponse> {
        if self.ends_session(state, request) {
            return Some(RedfishError::no_valid_session().response());
        }
        if !self.logs_in() {
            return Some(RedfishError::unauthorized(request.path()).response());
        }
        self.fails().await
    }

    /// Whether the session whose token the request has ends here. It is gone then, for the other nodes of its service too.
    fn ends_session(&self, state: &RedfishState, request: &HttpRequest) -> bool {
        if !self.node.concerned(Site::Plain(SiteKind::RedfishSession)) {
            return false;
        }
        let token = request.headers().get("X-Auth-Token");
        let Some(token) = token.and_then(|token| token.to_str().ok()) else {
            return false;
        };
        let Some(opened) = state.sessions.opened(token) else {
            return false;
        };
        let age = state.clock.now().since(opened);
        let ends = self.node.strike(Site::RedfishSession { age }).is_some();
        if ends {
            state.sessions.end(token);
        }
        ends
    }

    /// Whether right credentials are taken.
    fn logs_in(&self) -> bool {
        self.node.strike(Site::Plain(SiteKind::RedfishLogin)).is_none()
    }

    /// The error that a request is answered with, if it is. Delays pass first.
    async fn fails(&self) -> Option<HttpResponse> {
        let site = Site::RedfishRequest {
            method: self.method,
            route: &self.route,
        };
        let mut answer = None;
        for struck in self.node.strike_all(site) {
            match &struck.what {
                What::BmcSlow { delay, .. } => {
                    let delay = delay.draw(struck.seed.child("delay"));
                    actix_rt::time::sleep(self.node.real_time(delay)).await;
                }
                What::BmcStatus {
                    status, retry_after, ..
                } if answer.is_none() => {
                    let code = StatusCode::from_u16(status.get()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                    let definition = match code {
                        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                            &message::SERVICE_TEMPORARILY_UNAVAILABLE
                        }
                        _ => &message::INTERNAL_ERROR,
                    };
                    let seconds = retry_after.map_or(0, |span| span.0.as_secs()).to_string();
                    let arguments: &[&str] = if definition.arguments == 1 {
                        &[&seconds]
                    } else {
                        &[]
                    };
                    let mut response = RedfishError::new(code, definition, arguments).response();
                    if retry_after.is_some()
                        && let Ok(value) = HeaderValue::from_str(&seconds)
                    {
                        response.headers_mut().insert(RETRY_AFTER, value);
                    }
                    answer = Some(response);
                }
                _ => {}
            }
        }
        answer
    }

    /// What an earlier read of the same resource was answered, if that is answered again.
    pub(super) fn earlier(&self, state: &RedfishState, request: &HttpRequest) -> Option<HttpResponse> {
        if state.stale.is_empty() || !matches!(self.method, Method::Get | Method::Head) {
            return None;
        }
        let earlier = state.stale.find(self.node.identity().index, &resource(request))?;
        let site = Site::RedfishRead {
            route: &self.route,
            age: earlier.age(state.clock.now()),
        };
        self.node.strike(site)?;
        Some(earlier.again(request.headers().get(IF_NONE_MATCH)))
    }

    /// Keeps an answer that a fault could want to have given again.
    pub(super) async fn keep(
        &self,
        state: &RedfishState,
        asked: SimInstant,
        response: ServiceResponse<BoxBody>,
    ) -> ServiceResponse<BoxBody> {
        let site = Site::RedfishRead {
            route: &self.route,
            age: Duration::ZERO,
        };
        if self.method != Method::Get || !self.node.concerned(site) {
            return response;
        }
        let path = resource(response.request());
        let index = self.node.identity().index;
        state
            .stale
            .keep(index, (&path, &self.route), asked, response)
            .await
    }

    /// The answer as it leaves the BMC.
    pub(super) async fn answered(&self, response: HttpResponse) -> HttpResponse {
        let site = Site::RedfishResponse {
            method: self.method,
            route: &self.route,
        };
        let Some(Struck {
            what: What::BmcBadBody { how, .. },
            ..
        }) = self.node.strike(site)
        else {
            return response;
        };
        let (mut head, body) = response.into_parts();
        let Ok(Ok(body)) = to_bytes_limited(body, LARGEST_BODY).await else {
            return HttpResponse::InternalServerError().finish();
        };
        let body = match how {
            BadBody::Malformed => BoxBody::new(malformed(&body)),
            BadBody::Truncated => truncated(&body),
            BadBody::Empty => BoxBody::new(Bytes::new()),
            BadBody::Html => {
                let html = HeaderValue::from_static("text/html; charset=utf-8");
                head.headers_mut().insert(CONTENT_TYPE, html);
                BoxBody::new(Bytes::from_static(
                    b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n",
                ))
            }
            BadBody::WrongShape => BoxBody::new(Bytes::from_static(b"[{\"unexpected\": null}]")),
        };
        head.set_body(body)
    }
}

/// What a request reads.
fn resource(request: &HttpRequest) -> String {
    match request.query_string() {
        "" => request.path().to_owned(),
        query => format!("{}?{query}", request.path()),
    }
}

/// The text without its middle bracket.
fn malformed(body: &Bytes) -> Bytes {
    let brackets = |byte: &u8| b"{}[]".contains(byte);
    let places: Vec<usize> = (0..body.len())
        .filter(|at| body.get(*at).is_some_and(brackets))
        .collect();
    let mut broken = body.to_vec();
    match places.get(places.len() / 2) {
        Some(at) => drop(broken.remove(*at)),
        // A text without brackets gets one.
        None => broken.push(b'}'),
    }
    broken.into()
}

/// Half of the text, of which all was announced.
fn truncated(body: &Bytes) -> BoxBody {
    let half = body.slice(..body.len() / 2);
    let cut = io::Error::from(io::ErrorKind::ConnectionReset);
    // What is there leaves before the connection ends.
    let end = stream::once(async {
        tokio::task::yield_now().await;
        Err(cut)
    });
    let parts = stream::once(std::future::ready(Ok(half))).chain(end);
    BoxBody::new(SizedStream::new(body.len() as u64, Box::pin(parts)))
}
