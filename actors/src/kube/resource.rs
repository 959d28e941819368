//! What the server serves: groups, versions, kinds and what each of them can do, as data.
//!
//! The built-in kinds are those that Kubernetes 1.35 serves by default ([`built_in::ROWS`]); custom resource definitions
//! add to them, per cluster ([`Registry`]).

mod built_in;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::crd::Compiled;
use super::names::NameRule;
use super::object::Object;
use super::status::Named;
use super::structure::{self, Type};
use super::table::CustomColumns;

pub use built_in::ROWS;

/// Number of a resource within one cluster's [`Registry`]; built-in ones have the same everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResourceId(pub u32);

/// Something that a client can do with a resource. The order is the alphabet's, as discovery lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the wire's own words")]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];

    /// The word in discovery and RBAC.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A set of verbs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verbs(u8);

impl Verbs {
    /// Every verb.
    pub const ALL: Self = Self(0xff);

    /// These verbs.
    #[must_use]
    pub const fn of(verbs: &[Verb]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < verbs.len() {
            bits |= 1 << verbs[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// Whether `verb` is in the set.
    #[must_use]
    pub const fn has(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u8) != 0
    }

    /// The verbs of the set, in the alphabet's order.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.into_iter().filter(move |verb| self.has(*verb))
    }
}

/// A subresource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subresource {
    /// `status`, `scale`, `eviction`, ...
    pub name: Cow<'static, str>,
    /// Group, version and kind of its body; `None` = those of the resource.
    pub kind: Option<(Cow<'static, str>, Cow<'static, str>, Cow<'static, str>)>,
    /// What one can do with it.
    pub verbs: Verbs,
}

/// Where the scale subresource finds its numbers, as paths from the root of the object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScalePaths {
    /// `spec.replicas`.
    pub spec: Vec<String>,
    /// `status.replicas`.
    pub status: Vec<String>,
    /// `spec.selector`, or for custom resources a path to a string.
    pub selector: Option<Vec<String>>,
}

/// A field that field selectors may name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selectable {
    /// The name that clients use, `spec.nodeName`.
    pub label: Cow<'static, str>,
    /// Where it stands; several = the first that is not empty.
    pub paths: Vec<Vec<Cow<'static, str>>>,
    /// What counts when it is missing: empty for strings, `false` for booleans, `0` for numbers.
    pub default: &'static str,
}

/// One version of a resource.
#[derive(Clone, Debug)]
pub struct Version {
    /// `v1`.
    pub name: Cow<'static, str>,
    /// Whether it is served.
    pub served: bool,
    /// Whether the status subresource exists.
    pub status: bool,
    /// Layout of the objects in this version.
    pub layout: Arc<Type>,
    /// `openAPIV3Schema` of a custom resource.
    pub schema: Option<Arc<Value>>,
    /// The same, ready to prune, default and check objects.
    pub compiled: Option<Arc<Compiled>>,
    /// Columns of tables of a custom resource; `None` = those of the kind.
    pub columns: Option<Arc<CustomColumns>>,
}

/// A resource: what stands behind a path.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its number in the registry.
    pub id: ResourceId,
    /// Where its objects are kept: its own number, but for `events.k8s.io`, another view of the core group's events.
    pub home: ResourceId,
    /// Group, empty for the core group.
    pub group: Cow<'static, str>,
    /// `Pod`.
    pub kind: Cow<'static, str>,
    /// `PodList`.
    pub list_kind: Cow<'static, str>,
    /// `pods`.
    pub plural: Cow<'static, str>,
    /// `pod`.
    pub singular: Cow<'static, str>,
    /// `po`.
    pub short_names: Vec<Cow<'static, str>>,
    /// `all`.
    pub categories: Vec<Cow<'static, str>>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// The versions, best first.
    pub versions: Vec<Version>,
    /// Index of the version in which objects are stored.
    pub storage: usize,
    /// What one can do with it.
    pub verbs: Verbs,
    /// Subresources but `status` of versions without it.
    pub subresources: Vec<Subresource>,
    /// Scale mapping where there is a scale subresource.
    pub scale: Option<ScalePaths>,
    /// Fields for field selectors, beside `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<Selectable>,
    /// Rule for names.
    pub names: NameRule,
    /// Behaviour that is a property of the kind.
    pub traits: Traits,
    /// Whether a custom resource definition made it.
    pub custom: bool,
}

/// Behaviour of a kind (kubernetes: `pkg/registry/*/*/strategy.go`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a kind")]
pub struct Traits {
    /// A PUT without `resourceVersion` overwrites (`AllowUnconditionalUpdate`).
    pub unconditional_update: bool,
    /// A PUT of a missing object creates it (`AllowCreateOnUpdate`).
    pub create_on_update: bool,
    /// `metadata.generation` counts changes outside of metadata and status.
    pub generation: bool,
    /// Objects are kept. Reviews and the like only answer.
    pub stored: bool,
    /// Deletion takes `gracePeriodSeconds` (pods).
    pub graceful: bool,
    /// `status` in a create is kept (nodes: the kubelet registers with it).
    pub status_on_create: bool,
}

impl Resource {
    /// Group and resource, as messages name it.
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        Named {
            group: &self.group,
            resource: &self.plural,
        }
    }

    /// Group and kind, as messages of 422 name it.
    #[must_use]
    pub fn named_kind(&self) -> Named<'_> {
        Named {
            group: &self.group,
            resource: &self.kind,
        }
    }

    /// A served version by its name.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.served && version.name == name)
    }

    /// The version in which objects are stored.
    #[must_use]
    pub fn storage_version(&self) -> &str {
        self.versions
            .get(self.storage)
            .map_or("v1", |version| &version.name)
    }

    /// Layout of stored objects.
    #[must_use]
    pub fn layout(&self) -> Arc<Type> {
        self.versions
            .get(self.storage)
            .map(|version| Arc::clone(&version.layout))
            .unwrap_or_default()
    }

    /// `apps/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }

    /// A subresource by its name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources
            .iter()
            .find(|subresource| subresource.name == name)
    }

    /// Whether it has the status subresource, so that the main resource ignores `status`.
    #[must_use]
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Whether it is `group`/`plural`.
    #[must_use]
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// The key under which an object of this resource is stored: `namespace/name`, or `name`.
    #[must_use]
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }

    /// The value of a field that a field selector names; `None` if the resource does not know the field.
    #[must_use]
    pub fn field(&self, object: &Object, label: &str) -> Option<String> {
        match label {
            "metadata.name" => return Some(object.name().to_owned()),
            "metadata.namespace" if self.namespaced => {
                return Some(object.namespace().unwrap_or("").to_owned());
            }
            _ => {}
        }
        let selectable = self
            .selectable
            .iter()
            .find(|selectable| selectable.label == label)?;
        let found = selectable.paths.iter().find_map(|path| {
            let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
            match object.at(&path)? {
                Value::String(text) if text.is_empty() => None,
                Value::String(text) => Some(text),
                Value::Null => None,
                other => Some(other.to_string()),
            }
        });
        Some(found.unwrap_or_else(|| selectable.default.to_owned()))
    }

    /// Whether the field can have this value at all; `true` when only reading it can tell.
    #[must_use]
    pub fn may_hold(&self, object: &Object, label: &str, value: &str) -> bool {
        // Such texts stand in JSON as they are.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if value.is_empty() || !value.bytes().all(plain) {
            return true;
        }
        let Some(selectable) = self
            .selectable
            .iter()
            .find(|selectable| selectable.label == label)
        else {
            return true;
        };
        selectable.default == value
            || selectable
                .paths
                .iter()
                .filter_map(|path| path.first())
                .any(|first| {
                    object
                        .section_text(first)
                        .is_some_and(|text| text.contains(value))
                })
    }

    /// Whether a field selector may name the field.
    #[must_use]
    pub fn selects(&self, label: &str) -> bool {
        label == "metadata.name"
            || (label == "metadata.namespace" && self.namespaced)
            || self.selectable.iter().any(|selectable| selectable.label == label)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named().fmt(f)
    }
}

/// The built-in resources. Their ids are their places.
pub static BUILT_IN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    ROWS.iter()
        .zip(0..)
        .map(|(row, id)| Arc::new(row.resource(ResourceId(id))))
        .collect()
});

/// First id of a custom resource.
const FIRST_CUSTOM: u32 = 1 << 16;

/// The resources of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    custom: BTreeMap<(String, String), Arc<Resource>>,
    next: u32,
}

impl Registry {
    /// All resources, built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        BUILT_IN.iter().chain(self.custom.values())
    }

    /// A resource by group and plural.
    #[must_use]
    pub fn find(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        static INDEX: LazyLock<BTreeMap<(&'static str, &'static str), usize>> = LazyLock::new(|| {
            ROWS.iter()
                .enumerate()
                .map(|(index, row)| ((row.group, row.plural), index))
                .collect()
        });
        match INDEX.get(&(group, plural)) {
            Some(index) => BUILT_IN.get(*index),
            None => self.custom.get(&(group.to_owned(), plural.to_owned())),
        }
    }

    /// A resource by its number.
    #[must_use]
    pub fn by_id(&self, id: ResourceId) -> Option<&Arc<Resource>> {
        usize::try_from(id.0)
            .ok()
            .and_then(|index| BUILT_IN.get(index))
            .or_else(|| self.custom.values().find(|resource| resource.id == id))
    }

    /// A resource by the `apiVersion` and `kind` that its objects carry. The version need not be the stored one.
    #[must_use]
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.iter().find(|resource| {
            resource.group == group
                && resource.kind == kind
                && resource.traits.stored
                && resource.version(version).is_some()
        })
    }

    /// Adds or replaces a custom resource; it keeps its number, a new one gets one. Built-in resources are not replaced.
    pub fn register(&mut self, mut resource: Resource) -> Option<Arc<Resource>> {
        let key = (resource.group.to_string(), resource.plural.to_string());
        if BUILT_IN.iter().any(|known| known.is(&key.0, &key.1)) {
            return None;
        }
        resource.custom = true;
        resource.id = match self.custom.get(&key) {
            Some(known) => known.id,
            None => {
                self.next = self.next.saturating_add(1);
                ResourceId(FIRST_CUSTOM.saturating_add(self.next))
            }
        };
        resource.home = resource.id;
        let resource = Arc::new(resource);
        self.custom.insert(key, Arc::clone(&resource));
        Some(resource)
    }

    /// Takes a custom resource away.
    pub fn unregister(&mut self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.custom.remove(&(group.to_owned(), plural.to_owned()))
    }
}

/// The layout of a built-in version.
fn built_in_version(group: &'static str, name: &'static str, kind: &'static str, status: bool) -> Version {
    Version {
        name: Cow::Borrowed(name),
        served: true,
        status,
        layout: structure::built_in(group, name, kind),
        schema: None,
        compiled: None,
        columns: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_unique_and_complete() {
        let mut seen = std::collections::HashSet::new();
        for resource in BUILT_IN.iter() {
            assert!(
                seen.insert((resource.group.clone(), resource.plural.clone())),
                "{resource} twice"
            );
            assert!(!resource.versions.is_empty() && resource.storage < resource.versions.len());
            assert_eq!(resource.singular, resource.kind.to_lowercase());
            assert_eq!(
                resource.scale.is_some(),
                resource.subresource("scale").is_some(),
                "{resource}"
            );
        }
        assert!(seen.len() >= 60, "{}", seen.len());
    }

    #[test]
    fn look_ups() {
        let mut registry = Registry::default();
        let pods = registry.find("", "pods").unwrap();
        assert_eq!(pods.kind, "Pod");
        assert_eq!(registry.by_id(pods.id).unwrap().plural, "pods");
        assert_eq!(
            registry.by_kind("apps/v1", "Deployment").unwrap().plural,
            "deployments"
        );
        assert_eq!(
            registry
                .by_kind("autoscaling/v1", "HorizontalPodAutoscaler")
                .unwrap()
                .storage_version(),
            "v2"
        );
        assert!(registry.by_kind("apps/v2", "Deployment").is_none());
        let mut copy = (**pods).clone();
        assert!(registry.register(copy.clone()).is_none(), "built-in kinds stay");
        copy.group = "example.com".into();
        let first = registry.register(copy.clone()).unwrap();
        let again = registry.register(copy).unwrap();
        assert_eq!(first.id, again.id);
        assert!(registry.unregister("example.com", "pods").is_some());
        assert!(registry.find("example.com", "pods").is_none());
    }
}
