//! What a request is about, read from its method, path and query (kubernetes: `apiserver/pkg/endpoints/request/requestinfo.go`).

use actix_web::http::Method;

/// What a request wants done with a resource, in the words of RBAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes as they happen.
    Watch,
    /// A new object.
    Create,
    /// A whole object.
    Update,
    /// A part of an object.
    Patch,
    /// One object goes.
    Delete,
    /// Many objects go.
    DeleteCollection,
}

impl Action {
    /// The verb in RBAC.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// A path under `/api/v1` or `/apis/<group>/<version>` that names a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResourcePath<'a> {
    /// Group, empty for the core group.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Namespace, if one is named.
    pub namespace: Option<&'a str>,
    /// Plural name of the resource.
    pub resource: &'a str,
    /// Name of the object.
    pub name: Option<&'a str>,
    /// Subresource; for proxies without what follows it.
    pub subresource: Option<&'a str>,
    /// What follows the subresource.
    pub rest: &'a str,
    /// The path has the old form `/watch/`.
    pub watch: bool,
}

/// Where a path leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route<'a> {
    /// A resource.
    Resource(ResourcePath<'a>),
    /// Everything else: discovery, health, documents, and what does not exist.
    Other,
}

impl<'a> Route<'a> {
    /// Reads a decoded path.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        let mut parts = path.trim_matches('/').split('/');
        let (group, version) = match (parts.next(), parts.next(), parts.clone().next()) {
            (Some("api"), Some(version), Some(_)) => ("", version),
            (Some("apis"), Some(group), Some(version)) => {
                parts.next();
                (group, version)
            }
            _ => return Self::Other,
        };
        let mut parts: Vec<&str> = parts.collect();
        let watch = parts.first() == Some(&"watch");
        if watch {
            parts.remove(0);
        }
        if parts.is_empty() || parts.iter().any(|part| part.is_empty()) {
            return Self::Other;
        }
        // `namespaces/<name>` and its subresources are the namespace itself; what follows otherwise lies in it.
        let (namespace, parts) = match parts.as_slice() {
            ["namespaces", name, "status" | "finalize"] if group.is_empty() => (Some(*name), &parts[..]),
            ["namespaces", name, rest @ ..] if !rest.is_empty() => (Some(*name), rest),
            ["namespaces", name] if group.is_empty() => (Some(*name), &parts[..]),
            all => (None, all),
        };
        let Some(resource) = parts.first() else {
            return Self::Other;
        };
        let after = |count: usize| {
            parts.get(count).map_or("", |part| {
                let start = (part.as_ptr() as usize).wrapping_sub(path.as_ptr() as usize);
                path.get(start..).unwrap_or("")
            })
        };
        Self::Resource(ResourcePath {
            group,
            version,
            namespace,
            resource,
            name: parts.get(1).copied(),
            subresource: parts.get(2).copied(),
            rest: after(3),
            watch,
        })
    }
}

impl ResourcePath<'_> {
    /// What the request wants; `None` for a method that collections, or objects, do not have.
    #[must_use]
    pub fn action(&self, method: &Method, watch: bool) -> Option<Action> {
        let action = match *method {
            Method::POST if self.name.is_none() || self.subresource.is_some() => Action::Create,
            Method::PUT if self.name.is_some() => Action::Update,
            Method::PATCH if self.name.is_some() => Action::Patch,
            Method::DELETE if self.name.is_some() => Action::Delete,
            Method::DELETE => Action::DeleteCollection,
            Method::GET | Method::HEAD if self.watch => Action::Watch,
            Method::GET | Method::HEAD if self.subresource.is_some() => Action::Get,
            Method::GET | Method::HEAD if watch && self.name.is_none() => Action::Watch,
            Method::GET | Method::HEAD if self.name.is_some() => Action::Get,
            Method::GET | Method::HEAD => Action::List,
            _ => return None,
        };
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath<'_> {
        match Route::of(path) {
            Route::Resource(found) => found,
            Route::Other => panic!("{path} is no resource"),
        }
    }

    #[test]
    fn paths() {
        let pods = resource("/api/v1/namespaces/a/pods/p/log");
        assert_eq!(
            (pods.group, pods.version, pods.namespace, pods.resource),
            ("", "v1", Some("a"), "pods")
        );
        assert_eq!((pods.name, pods.subresource), (Some("p"), Some("log")));
        let all = resource("/apis/apps/v1/deployments");
        assert_eq!(
            (all.group, all.namespace, all.resource, all.name),
            ("apps", None, "deployments", None)
        );
        let namespace = resource("/api/v1/namespaces/a");
        assert_eq!(
            (namespace.namespace, namespace.resource, namespace.name),
            (Some("a"), "namespaces", Some("a"))
        );
        let finalize = resource("/api/v1/namespaces/a/finalize");
        assert_eq!(
            (finalize.resource, finalize.subresource),
            ("namespaces", Some("finalize"))
        );
        let proxy = resource("/api/v1/namespaces/a/services/s/proxy/x/y");
        assert_eq!((proxy.subresource, proxy.rest), (Some("proxy"), "x/y"));
        assert!(resource("/api/v1/watch/namespaces/a/pods").watch);
        for other in [
            "/",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/api/v1//pods",
            "/version",
        ] {
            assert_eq!(Route::of(other), Route::Other, "{other}");
        }
    }

    #[test]
    fn actions() {
        let one = resource("/api/v1/nodes/n");
        let all = resource("/api/v1/nodes");
        assert_eq!(one.action(&Method::GET, false), Some(Action::Get));
        assert_eq!(all.action(&Method::GET, false), Some(Action::List));
        assert_eq!(all.action(&Method::GET, true), Some(Action::Watch));
        assert_eq!(all.action(&Method::DELETE, false), Some(Action::DeleteCollection));
        assert_eq!(one.action(&Method::DELETE, false), Some(Action::Delete));
        let status = resource("/api/v1/nodes/n/status");
        assert_eq!(all.action(&Method::POST, false), Some(Action::Create));
        assert_eq!(status.action(&Method::POST, false), Some(Action::Create));
        assert_eq!(one.action(&Method::PUT, false), Some(Action::Update));
        for (path, method) in [
            (all, Method::OPTIONS),
            (all, Method::PUT),
            (all, Method::PATCH),
            (one, Method::POST),
        ] {
            assert_eq!(path.action(&method, false), None, "{method} {path:?}");
        }
    }
}
