//! What is not a resource: discovery, health, version, schemas, keys. Whatever does not exist is a 404 Status.

use std::fmt::Write as _;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use actix_web::{HttpRequest, HttpResponse};
use metalsim_actors::kube::accept::{self, Discovery};
use metalsim_actors::kube::discovery;
use metalsim_actors::kube::resource::Registry;
use metalsim_actors::kube::status::Status;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::{self, Answer, JSON};
use super::call::Server;
use super::openapi;
use super::query::Query;

const TEXT: &str = "text/plain; charset=utf-8";

/// What the server checks of itself (kubernetes: `apiserver/pkg/server`, `pkg/controlplane`, those that a server without plug-ins has),
/// and which endpoints look at it.
const CHECKS: [(&str, &[&str]); 15] = [
    ("ping", EVERYWHERE),
    ("log", EVERYWHERE),
    ("etcd", EVERYWHERE),
    ("etcd-readiness", READINESS),
    ("informer-sync", READINESS),
    ("poststarthook/start-apiserver-admission-initializer", EVERYWHERE),
    ("poststarthook/generic-apiserver-start-informers", EVERYWHERE),
    ("poststarthook/start-apiextensions-informers", EVERYWHERE),
    ("poststarthook/start-apiextensions-controllers", EVERYWHERE),
    ("poststarthook/crd-informer-synced", EVERYWHERE),
    ("poststarthook/bootstrap-controller", EVERYWHERE),
    ("poststarthook/rbac/bootstrap-roles", EVERYWHERE),
    (
        "poststarthook/scheduling/bootstrap-system-priority-classes",
        EVERYWHERE,
    ),
    (
        "poststarthook/start-kube-apiserver-admission-initializer",
        EVERYWHERE,
    ),
    ("shutdown", READINESS),
];
const EVERYWHERE: &[&str] = &["healthz", "livez", "readyz"];
const READINESS: &[&str] = &["readyz"];

/// Answers a path outside of the resources.
pub(super) fn serve(server: &Server, request: &HttpRequest, path: &str, query: &Query<'_>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(super::method_not_allowed());
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [""] => Ok(answer::json(
            200,
            &json!({"paths": server.cluster.read(|cluster| paths(cluster.store.registry()))}),
        )),
        ["healthz" | "livez" | "readyz"] => health(server, parts.first().unwrap_or(&""), query),
        [endpoint @ ("healthz" | "livez" | "readyz"), check @ ..] => {
            one_check(server, endpoint, &check.join("/"))
        }
        ["version"] => Ok(answer::json(200, &server.identity.version().info())),
        ["metrics"] => Ok(answer::body(
            200,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics(server).into_bytes(),
        )),
        ["api"] => match discovery_form(request) {
            Discovery::Legacy => {
                let host = request.connection_info().host().to_owned();
                Ok(varied(answer::json(200, &discovery::core_versions(&host))))
            }
            form => aggregated(server, request, true, form),
        },
        ["apis"] => match discovery_form(request) {
            Discovery::Legacy => Ok(varied(answer::json(
                200,
                &server
                    .cluster
                    .read(|cluster| discovery::group_list(cluster.store.registry())),
            ))),
            form => aggregated(server, request, false, form),
        },
        ["apis", group] => found(
            server
                .cluster
                .read(|cluster| discovery::group(cluster.store.registry(), group)),
        ),
        ["api", version] => found(
            server
                .cluster
                .read(|cluster| discovery::resource_list(cluster.store.registry(), "", version)),
        ),
        ["apis", group, version] => found(
            server
                .cluster
                .read(|cluster| discovery::resource_list(cluster.store.registry(), group, version)),
        ),
        ["openapi", "v2"] => openapi::v2(server, request),
        ["openapi", "v3"] => openapi::index(server, request),
        ["openapi", "v3", path @ ..] => openapi::document(server, request, &path.join("/"), query),
        ["openid", "v1", "jwks"] => {
            let keys = server
                .identity
                .tokens()
                .key_set()
                .map_err(|error| Status::internal(&error.to_string()))?;
            Ok(cached(answer::body(
                200,
                "application/jwk-set+json",
                keys.to_string().into_bytes(),
            )))
        }
        [".well-known", "openid-configuration"] => {
            let host = request.connection_info().host().to_owned();
            let document = server.identity.tokens().openid_configuration(&host);
            Ok(cached(answer::body(200, JSON, document.to_string().into_bytes())))
        }
        _ => Err(Status::unknown_resource()),
    }
}

fn found(document: Option<impl Serialize>) -> Answer {
    document
        .map(|document| answer::json(200, &document))
        .ok_or_else(Status::unknown_resource)
}

fn discovery_form(request: &HttpRequest) -> Discovery {
    let accept = request
        .headers()
        .get(ACCEPT)
        .map_or("", |accept| accept.to_str().unwrap_or_default());
    accept::discovery(accept)
}

/// The answer depends on what is accepted.
fn varied(mut answer: HttpResponse) -> HttpResponse {
    answer
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

/// Keys may be kept for an hour (kubernetes: `pkg/routes/openidmetadata.go`).
fn cached(mut answer: HttpResponse) -> HttpResponse {
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    answer
}

/// One document for all groups, with a tag by which clients know it again.
fn aggregated(server: &Server, request: &HttpRequest, core: bool, form: Discovery) -> Answer {
    let Discovery::Aggregated(version) = form else {
        return Err(Status::unknown_resource());
    };
    let document = server
        .cluster
        .read(|cluster| discovery::aggregated(cluster.store.registry(), core, version));
    let text = serde_json::to_vec(&document).map_err(|error| Status::internal(&error.to_string()))?;
    let digest: String = Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let tag = format!("\"{digest}\"");
    let known = request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut answer = if known {
        answer::body(304, &form.content_type(), Vec::new())
    } else {
        answer::body(200, &form.content_type(), text)
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(varied(answer))
}

/// Every path of the server, sorted.
fn paths(registry: &Registry) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .map(ToOwned::to_owned)
    .into();
    for endpoint in ["healthz", "livez", "readyz"] {
        paths.extend(checks(endpoint).map(|check| format!("/{endpoint}/{check}")));
    }
    for resource in registry.iter().filter(|resource| !resource.group.is_empty()) {
        paths.push(format!("/apis/{}", resource.group));
        for version in resource.versions.iter().filter(|version| version.served) {
            paths.push(format!("/apis/{}/{}", resource.group, version.name));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The checks that an endpoint looks at.
fn checks(endpoint: &str) -> impl Iterator<Item = &'static str> {
    CHECKS
        .iter()
        .filter(move |(_, endpoints)| endpoints.contains(&endpoint))
        .map(|(check, _)| *check)
}

/// Whether a check fails: those of etcd, while it has no quorum.
fn fails(server: &Server, check: &str) -> bool {
    matches!(check, "etcd" | "etcd-readiness") && super::storage::usable(server).is_err()
}

/// One check alone (apiserver: `pkg/server/healthz`, `adaptCheckToHandler`).
fn one_check(server: &Server, endpoint: &str, check: &str) -> Answer {
    if !checks(endpoint).any(|known| known == check) {
        return Err(Status::unknown_resource());
    }
    Ok(if fails(server, check) {
        let text = "internal server error: error getting data from etcd: context deadline exceeded\n";
        answer::body(500, TEXT, text.into())
    } else {
        answer::body(200, TEXT, b"ok".to_vec())
    })
}

/// `ok`, or with `verbose` or after a failure every check (apiserver: `pkg/server/healthz`).
fn health(server: &Server, endpoint: &str, query: &Query<'_>) -> Answer {
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut text = String::new();
    let mut failed = false;
    for check in checks(endpoint) {
        // Writing to a text cannot fail.
        let _written = if excluded.contains(&check) {
            writeln!(text, "[+]{check} excluded: ok")
        } else if fails(server, check) {
            failed = true;
            writeln!(text, "[-]{check} failed: reason withheld")
        } else {
            writeln!(text, "[+]{check} ok")
        };
    }
    if !failed && !query.flag("verbose") {
        return Ok(answer::body(200, TEXT, b"ok".to_vec()));
    }
    let verdict = if failed { "failed" } else { "passed" };
    let _written = writeln!(text, "{endpoint} check {verdict}");
    Ok(answer::body(
        if failed { 500 } else { 200 },
        TEXT,
        text.into_bytes(),
    ))
}

/// A few of the metrics of a real API server: those that follow from its state.
fn metrics(server: &Server) -> String {
    let mut text = String::from(
        "# HELP apiserver_storage_objects Number of stored objects, by resource.\n# TYPE apiserver_storage_objects gauge\n",
    );
    server.cluster.read(|cluster| {
        for resource in cluster.store.registry().iter() {
            let count = cluster.store.count(resource);
            if count > 0 {
                let _written = writeln!(
                    text,
                    "apiserver_storage_objects{{resource=\"{resource}\"}} {count}"
                );
            }
        }
    });
    let info = server.identity.version().to_string();
    let _written = write!(
        text,
        "# HELP kubernetes_build_info A metric with a constant 1, labelled by version.\n# TYPE kubernetes_build_info gauge\nkubernetes_build_info{{git_version=\"{info}\"}} 1\n"
    );
    text
}
