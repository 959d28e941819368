//! What the server tells of its kinds to programs: `OpenAPI` documents.
//!
//! - `/openapi/v3`: an index ([`v3_index`]), and one document of `OpenAPI` 3.0 for each group and version ([`v3_document`]);
//! - `/openapi/v2`: one document of Swagger 2.0, as JSON ([`v2`]) or as protobuf ([`v2_protobuf`]).
//!
//! The definitions of built-in kinds follow from the wire schema ([`super::schema`]) and from two tables: `facts.txt` (what is
//! required, how lists merge) and `words.txt` (descriptions). Those of custom resources are their own schemas.
//!
//! Documents of built-in kinds are made once per process, when they are first asked for. Those with custom resources are made on
//! demand and kept by content, within a bound.
//!
//! Sources: kube-openapi `pkg/handler`, `pkg/handler3`; kubernetes `api/openapi-spec`.

mod cache;
mod custom;
mod definitions;
mod facts;
mod gnostic;
mod model;
mod names;
mod operations;
mod parameters;
mod v2;
mod v3;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde::Serialize;

use definitions::{Definitions, name_of_kind};
use model::Edition;
use operations::{Content, Path};

use super::resource::{BUILT_IN, Registry, Resource, Version};

/// Content type of JSON documents.
pub const JSON: &str = "application/json";
/// Content type of Swagger 2.0 in protobuf.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients write in `Accept` for it; `@` is no character of a content type, which is why the answer has a dot.
pub const V2_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Title and version that all documents carry.
const INFO: v3::Info = v3::Info {
    title: "Kubernetes",
    version: "unversioned",
};

/// A document, ready to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Its text, or its message.
    pub body: Arc<[u8]>,
    /// A hash of what it says: the entity tag, without quotes, and `hash` in the index.
    pub hash: Arc<str>,
}

impl Document {
    fn of(body: Vec<u8>) -> Self {
        let hash = cache::hash(&[&body]);
        Self {
            body: body.into(),
            hash,
        }
    }
}

fn json(document: &impl Serialize) -> Vec<u8> {
    // Keys are texts and numbers are finite, so this does not fail.
    serde_json::to_vec(document).unwrap_or_default()
}

/// A resource at one of its versions.
type Served<'a> = (&'a Resource, &'a Version);

/// The resources of a registry that are served, by the path of their group and version: `api/v1`, `apis/apps/v1`.
fn served<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> BTreeMap<String, Vec<Served<'a>>> {
    let mut groups: BTreeMap<String, Vec<Served<'a>>> = BTreeMap::new();
    for resource in resources {
        for version in resource.versions.iter().filter(|version| version.served) {
            groups
                .entry(group_path(&resource.group, &version.name))
                .or_default()
                .push((resource, version));
        }
    }
    groups
}

fn group_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// All definitions that paths name.
fn mentioned(paths: &[Path]) -> BTreeSet<String> {
    paths
        .iter()
        .flat_map(|path| &path.operations)
        .flat_map(|operation| {
            let answer = match &operation.content {
                Content::Of(name) => Some(name.clone()),
                Content::Text => None,
            };
            let body = operation.body.as_ref().map(|body| body.definition.clone());
            answer.into_iter().chain(body)
        })
        .collect()
}

/// The paths of a group and version, with the list of its resources.
fn paths(path: &str, served: &[Served<'_>]) -> Vec<Path> {
    let mut paths = Vec::new();
    if let (Some((resource, version)), Some(list)) =
        (served.first(), name_of_kind("", "v1", "APIResourceList"))
    {
        let (group, version) = (&resource.group, &version.name);
        paths.push(operations::of_discovery(
            format!("/{path}/"),
            names::operation("get", group, version, "APIResources"),
            names::tag(group, version),
            list,
        ));
    }
    for (resource, version) in served {
        paths.extend(operations::of_resource(resource, version));
    }
    paths
}

/// The definitions of custom resources, and of the built-in kinds that no path names.
fn definitions(edition: Edition, served: &[Served<'_>]) -> Definitions {
    let mut definitions = Definitions::new();
    for (resource, version) in served {
        if resource.custom {
            custom::define(edition, resource, version, &mut definitions);
            continue;
        }
        let name = name_of_kind(&resource.group, &version.name, &resource.kind);
        if let Some(name) = name
            && let Some(schema) = definitions::definition(edition, &name)
        {
            definitions.insert(name, schema);
        }
    }
    // What each stream of changes consists of.
    if let Some(schema) = definitions::definition(edition, definitions::WATCH_EVENT) {
        definitions.insert(definitions::WATCH_EVENT.to_owned(), schema);
    }
    definitions
}

/// The document of a group and version.
fn write_v3(path: &str, served: &[Served<'_>]) -> Vec<u8> {
    let own = served
        .first()
        .map(|(resource, version)| (&*resource.group, &*version.name));
    v3::write(
        own.as_slice(),
        paths(path, served),
        definitions(Edition::V3, served),
    )
}

/// Documents about what lies above the groups' versions.
fn discovery(path: &str, groups: &BTreeSet<&str>) -> Option<Vec<Path>> {
    let one = |id: String, tag: String, definition: Option<String>| {
        Some(vec![operations::of_discovery(
            format!("/{path}/"),
            id,
            tag,
            definition?,
        )])
    };
    let meta = |kind| name_of_kind("", "v1", kind);
    match path {
        "api" => one("getCoreAPIVersions".into(), "core".into(), meta("APIVersions")),
        "apis" => one("getAPIVersions".into(), "apis".into(), meta("APIGroupList")),
        "version" => one(
            "getCodeVersion".into(),
            "version".into(),
            Some(definitions::VERSION_INFO.to_owned()),
        ),
        _ => {
            let group = path.strip_prefix("apis/").filter(|name| groups.contains(name))?;
            one(
                names::operation("get", group, "", "APIGroup"),
                names::tag(group, ""),
                meta("APIGroup"),
            )
        }
    }
}

/// Groups but the core one.
fn groups<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> BTreeSet<&'a str> {
    resources
        .map(|resource| &*resource.group)
        .filter(|group| !group.is_empty())
        .collect()
}

/// The documents of built-in groups and versions, and those above them. Each is made when it is asked for.
static V3: LazyLock<BTreeMap<String, LazyLock<Document, Make>>> = LazyLock::new(|| {
    let mut documents: BTreeMap<String, LazyLock<Document, Make>> = BTreeMap::new();
    let mut add = |path: String, make: Make| {
        documents.insert(path, LazyLock::new(make));
    };
    for (path, served) in served(BUILT_IN.iter()) {
        let own = path.clone();
        add(own, Box::new(move || Document::of(write_v3(&path, &served))));
    }
    let groups = groups(BUILT_IN.iter());
    let above = ["api", "apis", "version"].map(str::to_owned);
    let above = above
        .into_iter()
        .chain(groups.iter().map(|group| format!("apis/{group}")));
    for path in above {
        if let Some(paths) = discovery(&path, &groups) {
            add(
                path,
                Box::new(move || Document::of(v3::write(&[], paths, Definitions::new()))),
            );
        }
    }
    documents
});

/// What makes a document.
type Make = Box<dyn FnOnce() -> Document + Send>;

/// The custom resources of a registry.
fn customs(registry: &Registry) -> impl Iterator<Item = &Arc<Resource>> {
    registry.iter().filter(|resource| resource.custom)
}

/// The hash of a document that custom resources are part of.
fn custom_hash(what: &str, served: &[Served<'_>]) -> Arc<str> {
    let hashes: Vec<Arc<str>> = served
        .iter()
        .filter(|(resource, _)| resource.custom)
        .map(|(resource, version)| cache::of_custom(resource, version))
        .collect();
    let parts: Vec<&[u8]> = [what.as_bytes()]
        .into_iter()
        .chain(hashes.iter().map(|hash| hash.as_bytes()))
        .collect();
    cache::hash(&parts)
}

/// `/openapi/v3`: where the document of each group and version is. JSON.
#[must_use]
pub fn v3_index(registry: &Registry) -> Document {
    static BUILT_IN_HASHES: LazyLock<BTreeMap<&'static str, Arc<str>>> = LazyLock::new(|| {
        V3.iter()
            .map(|(path, document)| (&**path, Arc::clone(&document.hash)))
            .collect()
    });
    let mut hashes: BTreeMap<String, Arc<str>> = BUILT_IN_HASHES
        .iter()
        .map(|(path, hash)| ((*path).to_owned(), Arc::clone(hash)))
        .collect();
    for group in groups(customs(registry)) {
        let path = format!("apis/{group}");
        let hash = cache::hash(&[path.as_bytes()]);
        hashes.entry(path).or_insert(hash);
    }
    for (path, served) in served(customs(registry)) {
        let hash = custom_hash(&path, &served);
        hashes.insert(path, hash);
    }
    let index = v3::Index {
        paths: hashes
            .into_iter()
            .map(|(path, hash)| {
                let server_relative_url = format!("/openapi/v3/{path}?hash={hash}");
                (path, v3::Place { server_relative_url })
            })
            .collect(),
    };
    Document::of(json(&index))
}

/// `/openapi/v3/<path>`: the document of a group and version, such as `apis/apps/v1`. JSON. `None` if there is none.
#[must_use]
pub fn v3_document(registry: &Registry, path: &str) -> Option<Document> {
    let custom = served(customs(registry));
    if let Some(custom) = custom.get(path) {
        let hash = custom_hash(path, custom);
        return Some(cache::document(hash, || {
            let built_in = served(BUILT_IN.iter()).remove(path).unwrap_or_default();
            let all: Vec<Served<'_>> = built_in.into_iter().chain(custom.iter().copied()).collect();
            write_v3(path, &all)
        }));
    }
    if let Some(document) = V3.get(path) {
        return Some((**document).clone());
    }
    let paths = discovery(path, &groups(customs(registry)))?;
    let hash = cache::hash(&[path.as_bytes()]);
    Some(cache::document(hash, || {
        v3::write(&[], paths, Definitions::new())
    }))
}

fn v2_of<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> v2::Document {
    let resources: Vec<&Arc<Resource>> = resources.collect();
    let groups = groups(resources.iter().copied());
    let mut all_paths: Vec<Path> = ["api", "apis", "version"]
        .into_iter()
        .filter_map(|path| discovery(path, &groups))
        .flatten()
        .collect();
    for group in &groups {
        all_paths.extend(discovery(&format!("apis/{group}"), &groups).into_iter().flatten());
    }
    let mut all = Vec::new();
    for (path, served) in served(resources.into_iter()) {
        all_paths.extend(paths(&path, &served));
        all.extend(served);
    }
    v2::document(all_paths, definitions(Edition::V2, &all))
}

/// A document of Swagger 2.0 in one of its two forms.
fn v2_in(
    registry: &Registry,
    form: &str,
    built_in: &LazyLock<Document>,
    write: fn(v2::Document) -> Vec<u8>,
) -> Document {
    let custom: Vec<Served<'_>> = customs(registry)
        .flat_map(|resource| {
            let versions = resource.versions.iter().filter(|version| version.served);
            versions.map(move |version| (&**resource, version))
        })
        .collect();
    if custom.is_empty() {
        return (**built_in).clone();
    }
    cache::document(custom_hash(form, &custom), || write(v2_of(registry.iter())))
}

/// `/openapi/v2`: everything, in Swagger 2.0. JSON.
#[must_use]
pub fn v2(registry: &Registry) -> Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::of(json(&v2_of(BUILT_IN.iter()))));
    v2_in(registry, "v2 json", &DOCUMENT, |document| json(&document))
}

/// The same in protobuf ([`V2_PROTOBUF`]).
#[must_use]
pub fn v2_protobuf(registry: &Registry) -> Document {
    static DOCUMENT: LazyLock<Document> =
        LazyLock::new(|| Document::of(gnostic::write(v2_of(BUILT_IN.iter()))));
    v2_in(registry, "v2 protobuf", &DOCUMENT, gnostic::write)
}

#[cfg(test)]
mod tests;
