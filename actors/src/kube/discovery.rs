//! What a server tells of its resources: the old documents, one for each group and version, and the aggregated ones, which hold all.
//!
//! Sources: apimachinery `apis/meta/v1/types.go` (`APIGroupList`, `APIResourceList`), kubernetes `api/apidiscovery/v2/types.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::resource::{Registry, Resource, Subresource, Version};

/// Groups in the order of their priority (kubernetes: `pkg/controlplane/apiserver/aggregator.go`); others follow by name.
const ORDER: [&str; 21] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// A resource at one of its versions.
type Served<'a> = (&'a Arc<Resource>, &'a Version);

/// A group with its versions, best first, and the resources of each.
struct Group<'a> {
    name: &'a str,
    versions: Vec<(&'a str, Vec<Served<'a>>)>,
}

/// All groups that are served, in order.
fn groups(registry: &Registry) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<(usize, &str), Group<'_>> = BTreeMap::new();
    for resource in registry.iter() {
        let place = ORDER.iter().position(|name| *name == resource.group);
        let place = place.unwrap_or(ORDER.len());
        for version in resource.versions.iter().filter(|version| version.served) {
            let group = groups.entry((place, &resource.group)).or_insert_with(|| Group {
                name: &resource.group,
                versions: Vec::new(),
            });
            match group.versions.iter_mut().find(|(name, _)| *name == version.name) {
                Some((_, resources)) => resources.push((resource, version)),
                None => group.versions.push((&version.name, vec![(resource, version)])),
            }
        }
    }
    let mut groups: Vec<Group<'_>> = groups.into_values().collect();
    for group in &mut groups {
        group
            .versions
            .sort_by_key(|(name, _)| std::cmp::Reverse(super::crd::priority(name)));
        for (_, resources) in &mut group.versions {
            resources.sort_by(|(one, _), (other, _)| one.plural.cmp(&other.plural));
        }
    }
    groups
}

/// `/api`: `APIVersions`.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersions {
    kind: &'static str,
    versions: Vec<&'static str>,
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: Vec<ServerAddress>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ServerAddress {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    server_address: String,
}

/// `/api`. `address` is `HOST:PORT` of the server.
#[must_use]
pub fn core_versions(address: &str) -> ApiVersions {
    ApiVersions {
        kind: "APIVersions",
        versions: vec!["v1"],
        server_addresses: vec![ServerAddress {
            client_cidr: "0.0.0.0/0",
            server_address: address.to_owned(),
        }],
    }
}

/// `/apis`: `APIGroupList`.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

/// A group: `/apis/<group>`.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: String,
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
    version: String,
}

impl ApiGroup {
    fn of(group: &Group<'_>) -> Self {
        let versions: Vec<GroupVersion> = group
            .versions
            .iter()
            .map(|(version, _)| GroupVersion {
                group_version: format!("{}/{version}", group.name),
                version: (*version).to_owned(),
            })
            .collect();
        Self {
            kind: None,
            api_version: None,
            name: group.name.to_owned(),
            preferred_version: versions.first().cloned(),
            versions,
        }
    }
}

/// `/apis`.
#[must_use]
pub fn group_list(registry: &Registry) -> ApiGroupList {
    ApiGroupList {
        kind: "APIGroupList",
        api_version: "v1",
        groups: groups(registry)
            .iter()
            .filter(|group| !group.name.is_empty())
            .map(ApiGroup::of)
            .collect(),
    }
}

/// `/apis/<group>`; `None` for an unknown one.
#[must_use]
pub fn group(registry: &Registry, name: &str) -> Option<ApiGroup> {
    let groups = groups(registry);
    let group = groups
        .iter()
        .find(|group| group.name == name && !name.is_empty())?;
    Some(ApiGroup {
        kind: Some("APIGroup"),
        api_version: Some("v1"),
        ..ApiGroup::of(group)
    })
}

/// `/api/v1` and `/apis/<group>/<version>`: `APIResourceList`.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    group_version: String,
    resources: Vec<ApiResource>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ApiResource {
    name: String,
    singular_name: String,
    namespaced: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    kind: String,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_version_hash: String,
}

fn words(words: &[std::borrow::Cow<'static, str>]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The subresources of a version: a version of a custom resource need not have the status that others have.
fn subresources<'a>(resource: &'a Resource, version: &'a Version) -> impl Iterator<Item = &'a Subresource> {
    resource
        .subresources
        .iter()
        .filter(move |subresource| subresource.name != "status" || version.status)
}

/// Group, version and kind of a subresource's body.
fn body_of<'a>(
    resource: &'a Resource,
    version: &'a str,
    subresource: &'a Subresource,
) -> (&'a str, &'a str, &'a str) {
    match &subresource.kind {
        Some((group, version, kind)) => (group, version, kind),
        None => (&resource.group, version, &resource.kind),
    }
}

/// `/api/v1` and `/apis/<group>/<version>`; `None` for an unknown one.
#[must_use]
pub fn resource_list(registry: &Registry, group: &str, version: &str) -> Option<ApiResourceList> {
    let groups = groups(registry);
    let group = groups.iter().find(|one| one.name == group)?;
    let (_, resources) = group.versions.iter().find(|(name, _)| *name == version)?;
    let mut list = Vec::new();
    for (resource, served) in resources {
        list.push(ApiResource {
            name: resource.plural.to_string(),
            singular_name: resource.singular.to_string(),
            namespaced: resource.namespaced,
            group: String::new(),
            version: String::new(),
            kind: resource.kind.to_string(),
            verbs: resource.verbs.iter().map(super::resource::Verb::word).collect(),
            short_names: words(&resource.short_names),
            categories: words(&resource.categories),
            storage_version_hash: storage_hash(resource),
        });
        for subresource in subresources(resource, served) {
            let (body_group, body_version, kind) = body_of(resource, version, subresource);
            // Named only where they are not those of the list.
            let own = (body_group, body_version) == (group.name, version);
            list.push(ApiResource {
                name: format!("{}/{}", resource.plural, subresource.name),
                singular_name: String::new(),
                namespaced: resource.namespaced,
                group: if own { String::new() } else { body_group.to_owned() },
                version: if own {
                    String::new()
                } else {
                    body_version.to_owned()
                },
                kind: kind.to_owned(),
                verbs: subresource
                    .verbs
                    .iter()
                    .map(super::resource::Verb::word)
                    .collect(),
                short_names: Vec::new(),
                categories: Vec::new(),
                storage_version_hash: String::new(),
            });
        }
    }
    Some(ApiResourceList {
        kind: "APIResourceList",
        // The core group's list is older than the field.
        api_version: Some("v1").filter(|_| !group.name.is_empty()),
        group_version: match group.name {
            "" => version.to_owned(),
            name => format!("{name}/{version}"),
        },
        resources: list,
    })
}

/// A hash of the stored form, which tells clients whether it changed (apiserver: `pkg/endpoints/discovery/storageversionhash.go`).
fn storage_hash(resource: &Resource) -> String {
    use base64::Engine as _;
    if !resource.traits.stored {
        return String::new();
    }
    let hash = crate::seed::Seed::root(0)
        .child(&resource.group)
        .child(resource.storage_version())
        .child(&resource.kind);
    base64::prelude::BASE64_STANDARD.encode(hash.value().to_be_bytes())
}

/// The aggregated documents: `APIGroupDiscoveryList`.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupDiscoveryList {
    kind: &'static str,
    api_version: String,
    metadata: Empty,
    items: Vec<ApiGroupDiscovery>,
}

#[derive(Serialize, Debug)]
struct Empty {}

#[derive(Serialize, Debug)]
struct Named {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "creationTimestamp")]
    created: Option<()>,
}

#[derive(Serialize, Debug)]
struct ApiGroupDiscovery {
    metadata: Named,
    versions: Vec<ApiVersionDiscovery>,
}

#[derive(Serialize, Debug)]
struct ApiVersionDiscovery {
    version: String,
    resources: Vec<ApiResourceDiscovery>,
    freshness: &'static str,
}

#[derive(Serialize, Debug)]
struct ResponseKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ApiResourceDiscovery {
    resource: String,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: String,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<ApiSubresourceDiscovery>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ApiSubresourceDiscovery {
    subresource: String,
    response_kind: ResponseKind,
    verbs: Vec<&'static str>,
}

/// The aggregated document of `/api` (`core`) or `/apis`, in version `v2` or `v2beta1`.
#[must_use]
pub fn aggregated(registry: &Registry, core: bool, version: &str) -> ApiGroupDiscoveryList {
    let items = groups(registry)
        .iter()
        .filter(|group| group.name.is_empty() == core)
        .map(|group| ApiGroupDiscovery {
            metadata: Named {
                name: group.name.to_owned(),
                created: None,
            },
            versions: group
                .versions
                .iter()
                .map(|(version, resources)| ApiVersionDiscovery {
                    version: (*version).to_owned(),
                    resources: resources
                        .iter()
                        .map(|(resource, served)| discovered(resource, served))
                        .collect(),
                    freshness: "Current",
                })
                .collect(),
        })
        .collect();
    ApiGroupDiscoveryList {
        kind: "APIGroupDiscoveryList",
        api_version: format!("apidiscovery.k8s.io/{version}"),
        metadata: Empty {},
        items,
    }
}

fn discovered(resource: &Resource, version: &Version) -> ApiResourceDiscovery {
    let kind = |(group, version, kind): (&str, &str, &str)| ResponseKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    };
    ApiResourceDiscovery {
        resource: resource.plural.to_string(),
        response_kind: kind((&resource.group, &version.name, &resource.kind)),
        scope: if resource.namespaced {
            "Namespaced"
        } else {
            "Cluster"
        },
        singular_resource: resource.singular.to_string(),
        verbs: resource.verbs.iter().map(super::resource::Verb::word).collect(),
        short_names: words(&resource.short_names),
        categories: words(&resource.categories),
        subresources: subresources(resource, version)
            .map(|subresource| ApiSubresourceDiscovery {
                subresource: subresource.name.to_string(),
                response_kind: kind(body_of(resource, &version.name, subresource)),
                verbs: subresource
                    .verbs
                    .iter()
                    .map(super::resource::Verb::word)
                    .collect(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn find<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
        list.as_array()
            .unwrap()
            .iter()
            .find(|one| one.pointer(key) == Some(&json!(name)))
            .unwrap_or_else(|| panic!("{name} is missing"))
    }

    #[test]
    fn both_forms_tell_the_same() {
        let registry = Registry::default();
        let all = serde_json::to_value(aggregated(&registry, false, "v2")).unwrap();
        let apps = find(&all["items"], "/metadata/name", "apps");
        let deployments = find(&apps["versions"][0]["resources"], "/resource", "deployments");
        assert_eq!(deployments["shortNames"], json!(["deploy"]));
        assert_eq!(deployments["categories"], json!(["all"]));
        assert_eq!(
            find(&deployments["subresources"], "/subresource", "scale")["responseKind"],
            json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
        );
        let list = serde_json::to_value(resource_list(&registry, "apps", "v1").unwrap()).unwrap();
        assert_eq!(list["groupVersion"], "apps/v1");
        let scale = find(&list["resources"], "/name", "deployments/scale");
        assert_eq!(
            (&scale["group"], &scale["kind"]),
            (&json!("autoscaling"), &json!("Scale"))
        );
        let core = serde_json::to_value(resource_list(&registry, "", "v1").unwrap()).unwrap();
        assert_eq!(find(&core["resources"], "/name", "nodes")["namespaced"], false);
        find(&core["resources"], "/name", "pods/eviction");
    }

    #[test]
    fn groups_have_their_order_and_best_version() {
        let registry = Registry::default();
        let list = serde_json::to_value(group_list(&registry)).unwrap();
        let names: Vec<&str> = list["groups"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|group| group["name"].as_str())
            .collect();
        assert_eq!(&names[..3], ["apiregistration.k8s.io", "apps", "events.k8s.io"]);
        let autoscaling = serde_json::to_value(group(&registry, "autoscaling").unwrap()).unwrap();
        assert_eq!(autoscaling["preferredVersion"]["version"], "v2");
        assert!(group(&registry, "nope").is_none() && resource_list(&registry, "apps", "v9").is_none());
    }
}
