//! Who makes a request, and whether they may.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use metalsim_actors::kube::auth::{
    Attributes, Decision, Impersonation, ResourceRequest, UserInfo, authorize, bootstrap_token_user, forbidden,
};
use metalsim_actors::kube::status::{Reason, Status};

use super::Peer;
use super::call::Server;
use super::request::{Action, ResourcePath, Route};

/// The user of a request: by the token in its head, else by the certificate of its connection, else nobody in particular. Wrong
/// credentials are refused, not ignored (kubernetes: `apiserver/pkg/authentication/request/union`).
///
/// # Errors
/// 401; 403 for an impersonation that is not allowed.
pub(super) fn user(server: &Server, peer: &Peer, request: &HttpRequest) -> Result<UserInfo, Status> {
    let now = server.cluster.now();
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default());
    let certified = || match &peer.certificate {
        None => Ok(None),
        Some(certificate) => certificate.user(now).map(Some).ok_or_else(unauthorized),
    };
    let user = match given.map(bearer) {
        Some(Some(token)) => Some(server.cluster.read(|cluster| {
            let store = &cluster.store;
            bootstrap_token_user(store, token, now)
                .or_else(|| server.pki.token_user(store, token, now))
                .ok_or_else(unauthorized)
        })?),
        // Basic and other schemes are not known: the certificate counts.
        Some(None) | None => certified()?,
    };
    let user = user.unwrap_or_else(UserInfo::anonymous);
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    match Impersonation::from_headers(headers)? {
        None => Ok(user),
        Some(wanted) => server.cluster.read(|cluster| wanted.apply(&cluster.store, &user)),
    }
}

/// The token of an `Authorization` header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

pub(super) fn unauthorized() -> Status {
    Status::failure(Reason::Unauthorized, "Unauthorized")
}

/// Checks that the user may do what the request wants.
///
/// # Errors
/// 403.
pub(super) fn check(server: &Server, user: &UserInfo, request: &HttpRequest, path: &str, watch: bool) -> Result<(), Status> {
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
