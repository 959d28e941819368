//! What a request wants to do, as authorizers see it.

use crate::kube::status::{Details, Named, Reason, Status, quote};

use super::user::UserInfo;

/// A request in the words of an authorizer (kubernetes: `apiserver/pkg/authorization/authorizer`, `Attributes`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes<'a> {
    /// `get`, `list`, `watch`, `create`, ...; for paths the HTTP method in small letters.
    pub verb: &'a str,
    /// What it is about.
    pub requested: Requested<'a>,
}

/// What a request is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requested<'a> {
    /// An object or a collection.
    Resource(ResourceRequest<'a>),
    /// A path that is no resource, `/healthz`.
    Path(&'a str),
}

/// An object or a collection. Empty texts stand for what the request does not name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResourceRequest<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// `pods`.
    pub resource: &'a str,
    /// `status`.
    pub subresource: &'a str,
    /// Namespace; for requests about a Namespace object its own name.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

impl<'a> Attributes<'a> {
    /// `verb` on a resource.
    #[must_use]
    pub const fn resource(verb: &'a str, request: ResourceRequest<'a>) -> Self {
        Self {
            verb,
            requested: Requested::Resource(request),
        }
    }

    /// `verb` on a path.
    #[must_use]
    pub const fn path(verb: &'a str, path: &'a str) -> Self {
        Self {
            verb,
            requested: Requested::Path(path),
        }
    }

    /// The namespace in which RoleBindings count; empty for none.
    #[must_use]
    pub const fn namespace(&self) -> &'a str {
        match self.requested {
            Requested::Resource(request) => request.namespace,
            Requested::Path(_) => "",
        }
    }
}

/// 403 in the words of a real server (kubernetes: `apiserver/pkg/endpoints/handlers/responsewriters/errors.go`).
/// `reason` is that of the decision.
#[must_use]
pub fn forbidden(user: &UserInfo, attributes: &Attributes<'_>, reason: &str) -> Status {
    let (who, verb) = (quote(&user.username), attributes.verb);
    let message = match attributes.requested {
        Requested::Path(path) => format!("User {who} cannot {verb} path {}", quote(path)),
        Requested::Resource(request) => {
            let resource = match request.subresource {
                "" => request.resource.to_owned(),
                subresource => format!("{}/{subresource}", request.resource),
            };
            let place = match request.namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {}", quote(namespace)),
            };
            format!(
                "User {who} cannot {verb} resource {} in API group {} {place}",
                quote(&resource),
                quote(request.group)
            )
        }
    };
    // The message shall not look like HTML.
    let mut message = message
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    if !reason.is_empty() {
        message.push_str(": ");
        message.push_str(reason);
    }
    match attributes.requested {
        Requested::Resource(request) if !request.resource.is_empty() => {
            let of = Named {
                group: request.group,
                resource: request.resource,
            };
            Status::forbidden(of, request.name, &message)
        }
        _ => {
            let mut status = Status::failure(Reason::Forbidden, format!("forbidden: {message}"));
            status.details = Some(Box::<Details>::default());
            status
        }
    }
}
