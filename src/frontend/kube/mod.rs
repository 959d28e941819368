//! The API servers of the simulated clusters: from a request to the cluster's store, and back in the client's form.
//!
//! The path is read by [`request`], not by a router: its grammar is the same for thousands of resources, of which custom ones come
//! and go at run time (kubernetes: `apiserver/pkg/endpoints/request/requestinfo.go`).

mod access;
mod answer;
mod body;
mod call;
mod documents;
mod exec;
mod faults;
mod http2;
mod kubelet;
pub mod listener;
mod log;
pub mod names;
mod openapi;
pub mod port_forward;
pub mod query;
mod read;
mod render;
pub mod request;
mod review;
pub mod spdy;
mod storage;
mod subresource;
pub mod upgrade;
mod watch;
mod write;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::ACCEPT;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use metalsim_actors::fault::words::KubeVerb;
use metalsim_actors::kube::accept::{self, Form};
use metalsim_actors::kube::status::{Reason, Status};
use metalsim_actors::kube::store::PatchKind;

use self::answer::Answer;
use self::call::{Call, Place, Server};
use self::query::Query;
use self::render::View;
use self::request::{Action, Route};
use super::body::BodyLimits;
use super::connection::{Connection, of_connection};
use super::measure::Template;
use crate::cluster::api_server::ApiServer;
use crate::cluster::pki::{self, SignedToken};

/// Registers the one service that answers everything.
pub fn configure(bodies: BodyLimits) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(web::Data::new(bodies.clone()))
            .default_service(web::to(serve));
    }
}

/// The API server that a connection leads to: put into the connection's data when it is accepted.
pub struct Peer {
    /// The API server.
    pub server: Arc<ApiServer>,
    /// Who showed a certificate.
    pub certificate: Result<Option<pki::Peer>, pki::PeerError>,
    /// The token of the last request: connections mostly carry one, and its signature is checked once.
    pub token: RefCell<Option<Rc<SignedToken>>>,
    /// There was no request yet.
    pub fresh: Cell<bool>,
}

async fn serve(request: HttpRequest, payload: web::Payload, bodies: web::Data<BodyLimits>) -> HttpResponse {
    let peer = of_connection::<Rc<Peer>>(&request);
    let Some(peer) = peer else {
        return answer::status(&Status::internal("the connection leads to no cluster"));
    };
    if !faults::reaches(&peer, &request).await {
        return answer::status(&Status::internal("the connection is gone"));
    }
    match handle(&peer.server, &peer, &request, payload, &bodies).await {
        Ok(answer) => answer,
        Err(status) => answer::status(&status),
    }
}

async fn handle(
    server: &Server,
    peer: &Peer,
    request: &HttpRequest,
    payload: web::Payload,
    bodies: &BodyLimits,
) -> Answer {
    let path = percent_encoding::percent_decode_str(request.path())
        .decode_utf8()
        .map_err(|_| Status::bad_request("the path is not valid UTF-8"))?;
    let query = Query::parse(request.query_string());
    let user = access::user(server, peer, request)?;
    access::check(server, &user, request, &path, query.flag("watch"))?;
    match Route::of(&path) {
        Route::Other => {
            faults::strike(server, KubeVerb::Get, None).await?;
            documents::serve(server, request, &path, &query)
        }
        Route::Resource(path) => {
            let call = Call {
                server,
                request,
                path,
                query: &query,
                bodies,
                user: Arc::new(user),
            };
            resource(&call, payload).await
        }
    }
}

/// A request that names a resource.
async fn resource(call: &Call<'_>, payload: web::Payload) -> Answer {
    let Call {
        server,
        request,
        query,
        ..
    } = *call;
    let place = server
        .cluster
        .read(|cluster| Place::of(&cluster.store, &call.path))?;
    let action = call
        .path
        .action(request.method(), query.flag("watch"))
        .ok_or_else(method_not_allowed)?;
    request.extensions_mut().insert(template(&place, action));
    let view = View::new(form(request)?, query)?;
    check_verb(&place, action)?;
    faults::strike(server, faults::verb(action), Some(&place.resource)).await?;
    if action != Action::Watch && review::of(&place).is_none() {
        storage::usable(server)?;
        storage::writable(server, &place, action, !query.text("dryRun").is_empty()).await?;
    }
    if place.subresource().is_some() && write::part(&place.subresource).is_none() {
        return subresource::serve(call, place, action, view, payload).await;
    }
    match action {
        Action::Get => read::get(server, &place, view),
        Action::List => read::list(server, &place, query, view),
        Action::Watch => {
            let busy = Connection::of(request).map(|connection| connection.enter());
            watch::start(server, place, query, view, busy)
        }
        Action::Create if place.resource.is("", "bindings") => {
            subresource::old_binding(call, place, payload).await
        }
        Action::Create => {
            let parameters = call.parameters("CreateOptions")?;
            let document = call.document(payload, &place, &parameters).await?;
            match review::of(&place) {
                Some(review) => review::answer(server, &place, review, &call.user, &document.value),
                None => write::create(server, place, document, parameters, view).await,
            }
        }
        Action::Update => {
            let parameters = call.parameters("UpdateOptions")?;
            let document = call.document(payload, &place, &parameters).await?;
            let part = write::part(&place.subresource).ok_or_else(Status::unknown_resource)?;
            write::update(server, place, part, document, parameters, view).await
        }
        Action::Patch => {
            let kind = write::patch_kind(request.headers(), query)?;
            let mut parameters = call.parameters("PatchOptions")?;
            if matches!(kind, PatchKind::Apply { .. }) {
                // An applier has to name itself: its user agent does not count.
                query.text("fieldManager").clone_into(&mut parameters.manager);
            }
            let document = call.document(payload, &place, &parameters).await?;
            let part = write::part(&place.subresource).ok_or_else(Status::unknown_resource)?;
            write::patch(server, place, part, kind, document, parameters, view).await
        }
        Action::Delete | Action::DeleteCollection => {
            let body = call.body(payload, ("v1", "DeleteOptions")).await?;
            let options = write::delete_options(body.as_ref(), query)?;
            if action == Action::Delete {
                write::delete(server, place, options, view).await
            } else {
                write::delete_collection(server, place, options, request.query_string().to_owned(), view)
                    .await
            }
        }
    }
}

/// What stands for the route in metrics: the resource and its subresource; all custom ones together.
fn template(place: &Place, action: Action) -> Template {
    let resource = &place.resource;
    let (route, group) = match place.subresource.as_str() {
        _ if resource.custom => ("custom".into(), Cow::Borrowed("custom")),
        "" => (resource.to_string(), resource.group.clone()),
        subresource => (format!("{resource}/{subresource}"), resource.group.clone()),
    };
    Template {
        route: route.into(),
        verb: action.verb(),
        group,
    }
}

/// 405 when the resource, or its subresource, has no such verb.
fn check_verb(place: &Place, action: Action) -> Result<(), Status> {
    use metalsim_actors::kube::resource::Verb;
    let verb = match action {
        Action::Get => Verb::Get,
        Action::List => Verb::List,
        Action::Watch => Verb::Watch,
        Action::Create => Verb::Create,
        Action::Update => Verb::Update,
        Action::Patch => Verb::Patch,
        Action::Delete => Verb::Delete,
        Action::DeleteCollection => Verb::DeleteCollection,
    };
    let verbs = place
        .subresource()
        .map_or(place.resource.verbs, |subresource| subresource.verbs);
    // Objects of all namespaces can only be read (kubernetes: `apiserver/pkg/endpoints/installer.go`).
    let everywhere = place.resource.namespaced && place.namespace.is_none();
    if verbs.has(verb) && (!everywhere || matches!(action, Action::List | Action::Watch)) {
        Ok(())
    } else {
        Err(method_not_allowed())
    }
}

fn method_not_allowed() -> Status {
    Status {
        details: Some(Box::default()),
        ..Status::failure(
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        )
    }
}

/// The form that the client wants.
///
/// # Errors
/// 406 when there is no such form.
fn form(request: &HttpRequest) -> Result<Form, Status> {
    let accept = request
        .headers()
        .get(ACCEPT)
        .map_or("", |accept| accept.to_str().unwrap_or_default());
    accept::objects(accept).ok_or_else(|| {
        Status::failure(
            Reason::NotAcceptable,
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )
    })
}
