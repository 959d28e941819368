//! Who makes a request, and whether they may.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use metalsim_actors::kube::auth::{
    Attributes, Decision, Impersonation, ResourceRequest, UserInfo, authorize, forbidden,
};
use metalsim_actors::kube::status::Status;

use super::Peer;
use super::call::Server;
use super::request::{Action, ResourcePath, Route};
use crate::cluster::identity::unauthorized;

/// The user of a request: by the certificate of its connection, else by the token in its head, else nobody in particular. Wrong
/// credentials are refused, not ignored (kubernetes: `apiserver/pkg/authentication/request/union`).
///
/// # Errors
/// 401; 403 for an impersonation that is not allowed.
pub(super) fn user(server: &Server, peer: &Peer, request: &HttpRequest) -> Result<UserInfo, Status> {
    let user = match (certified(server, peer)?, bearer(request.headers())) {
        (Some(user), _) => user,
        (None, Some(token)) => server.identity.token_user(&server.cluster, token, &peer.token)?,
        (None, None) => UserInfo::anonymous(),
    };
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    match Impersonation::from_headers(headers)? {
        None => Ok(user),
        Some(wanted) => server.cluster.read(|cluster| wanted.apply(&cluster.store, &user)),
    }
}

/// The owner of the connection's certificate, as long as it is valid.
fn certified(server: &Server, peer: &Peer) -> Result<Option<UserInfo>, Status> {
    match &peer.certificate {
        Ok(None) => Ok(None),
        Ok(Some(certificate)) if server.identity.now() <= certificate.not_after => {
            Ok(Some(certificate.user.clone()))
        }
        Ok(Some(_)) => Err(unauthorized()),
        Err(error) => {
            tracing::debug!(%error, "a client certificate is refused");
            Err(unauthorized())
        }
    }
}

/// The token of the `Authorization` header. Other schemes than bearer are not known and say nothing.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Checks that the user may do what the request wants.
///
/// # Errors
/// 403.
pub(super) fn check(
    server: &Server,
    user: &UserInfo,
    request: &HttpRequest,
    path: &str,
    watch: bool,
) -> Result<(), Status> {
    if user.is_master() {
        return Ok(());
    }
    let verb;
    let attributes = match Route::of(path) {
        Route::Resource(resource) => match resource.action(request.method(), watch) {
            Some(action) => resource_attributes(&resource, action),
            // 405 comes later, to whomever.
            None => return Ok(()),
        },
        Route::Other => {
            verb = request.method().as_str().to_ascii_lowercase();
            Attributes::path(&verb, path)
        }
    };
    server
        .cluster
        .read(|cluster| match authorize(&cluster.store, user, &attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(forbidden(user, &attributes, &reason)),
        })
}

fn resource_attributes<'a>(path: &ResourcePath<'a>, action: Action) -> Attributes<'a> {
    Attributes::resource(
        action.verb(),
        ResourceRequest {
            group: path.group,
            resource: path.resource,
            subresource: path.subresource.unwrap_or_default(),
            namespace: path.namespace.unwrap_or_default(),
            name: path.name.unwrap_or_default(),
        },
    )
}
