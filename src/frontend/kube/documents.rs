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

/// The checks that `/livez?verbose` names (kubernetes: `pkg/controlplane`, the ones that a server without plug-ins has).
const CHECKS: [&str; 12] = [
    "ping",
    "log",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/bootstrap-controller",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/start-kube-apiserver-admission-initializer",
];

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
        ["healthz" | "livez" | "readyz", check @ ..] => {
            let check = check.join("/");
            if CHECKS.contains(&check.as_str()) {
                Ok(answer::body(200, TEXT, b"ok".to_vec()))
            } else {
                Err(Status::unknown_resource())
            }
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
        paths.extend(CHECKS.iter().map(|check| format!("/{endpoint}/{check}")));
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

/// `ok`, or with `verbose` every check; 500 while etcd has no quorum (apiserver: `pkg/server/healthz`).
fn health(server: &Server, endpoint: &str, query: &Query<'_>) -> Answer {
    let etcd = server.cluster.read(|cluster| {
        cluster
            .etcd()
            .is_none_or(metalsim_actors::kube::etcd::Etcd::has_quorum)
    });
    let excluded: Vec<&str> = query.all("exclude").collect();
    let failed = !etcd && !excluded.contains(&"etcd");
    if !failed && !query.flag("verbose") {
        return Ok(answer::body(200, TEXT, b"ok".to_vec()));
    }
    let mut text = String::new();
    for check in CHECKS {
        // Writing to a text cannot fail.
        let _written = if excluded.contains(&check) {
            writeln!(text, "[+]{check} excluded: ok")
        } else if check == "etcd" && !etcd {
            writeln!(text, "[-]{check} failed: reason withheld")
        } else {
            writeln!(text, "[+]{check} ok")
        };
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
