//! The roles and bindings that are there before anyone writes one.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::kube::object::Second;
use crate::kube::status::Status;
use crate::kube::store::{Image, Limits, Settings, Store, Target, WriteOptions};
use crate::seed::Seed;

use super::aggregate::aggregate;
use super::rbac::GROUP;
use super::rule::PolicyRule;

const SERVER: &str = include_str!("bootstrap/server.txt");
const KUBEADM: &str = include_str!("bootstrap/kubeadm.txt");
/// Root of the uids. They are the same in all clusters, as they must be for objects that are the same.
const SEED: u64 = 0x7262_6163;

/// Gives a new store the ClusterRoles, Roles and bindings that kube-apiserver 1.34 makes when it starts.
///
/// The objects are shared by all clusters, uid and version included: a cluster pays for them only when it writes roles or bindings. Call it
/// first of all, before namespaces are made: the versions then follow on these objects'. For what it does in a store that is in use see
/// [`Store::adopt`].
///
/// # Errors
/// What a store says against our own data: never.
pub fn bootstrap(store: &mut Store, now: DateTime<Utc>) -> Result<(), Status> {
    store.adopt(&images()?.server, Second::of(now));
    Ok(())
}

/// The same with what `kubeadm init` 1.34 adds; it may follow on [`bootstrap`] or stand for it.
///
/// # Errors
/// What a store says against our own data: never.
pub fn bootstrap_kubeadm(store: &mut Store, now: DateTime<Utc>) -> Result<(), Status> {
    store.adopt(&images()?.all, Second::of(now));
    Ok(())
}

/// The rules of the role `system:node`.
pub(super) fn node_rules() -> &'static [PolicyRule] {
    static RULES: LazyLock<Vec<PolicyRule>> = LazyLock::new(|| {
        let role = entries(SERVER).find(|entry| entry.kind == "ClusterRole" && entry.name == "system:node");
        role.map(|entry| entry.rules()).unwrap_or_default()
    });
    &RULES
}

/// The objects that kube-apiserver makes, and those with kubeadm's.
#[derive(Debug)]
struct Images {
    server: Image,
    all: Image,
}

/// The images that all clusters share.
fn images() -> Result<&'static Images, Status> {
    static IMAGES: LazyLock<Result<Images, Status>> = LazyLock::new(|| {
        let mut store = scratch();
        fill(&mut store, SERVER, "kube-apiserver")?;
        let server = roles(&store);
        fill(&mut store, KUBEADM, "kubeadm")?;
        let all = roles(&store).timeless();
        Ok(Images {
            server: all.filtered(|id, key| server.has(id, key)),
            all,
        })
    });
    IMAGES.as_ref().map_err(Clone::clone)
}

/// A store to make the objects in.
fn scratch() -> Store {
    let settings = Settings {
        seed: Seed::root(SEED),
        limits: Limits::default(),
        service_network: None,
    };
    Store::new(settings, Arc::default())
}

/// The objects of a store but for namespaces: those are the cluster's own.
fn roles(store: &Store) -> Image {
    let namespaces = store
        .registry()
        .find("", "namespaces")
        .map(|resource| resource.home);
    store.image().filtered(|id, _| Some(id) != namespaces)
}

/// Makes the objects of a text.
fn fill(store: &mut Store, text: &str, manager: &str) -> Result<(), Status> {
    let at = DateTime::UNIX_EPOCH;
    for entry in entries(text) {
        let Some(resource) = store.registry().find(GROUP, entry.plural()).cloned() else {
            continue;
        };
        if let Some(name) = entry.namespace
            && store.look_up("", "namespaces", None, name).is_none()
            && let Some(kind) = store.registry().find("", "namespaces").cloned()
        {
            let body = json!({"metadata": {"name": name}});
            store.create(Target::stored(&kind, None), body, WriteOptions::by(manager, at))?;
        }
        let target = Target::stored(&resource, entry.namespace);
        store.create(target, entry.object(manager), WriteOptions::by(manager, at))?;
    }
    aggregate(store, at)?;
    Ok(())
}

/// An object of the text: its head line and the lines that belong to it. The form is told in `bootstrap/server.txt`.
#[derive(Debug)]
struct Entry<'a> {
    kind: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
    labels: Option<&'a str>,
    aggregates: Option<&'a str>,
    role: Option<(&'a str, &'a str)>,
    lines: Vec<&'a str>,
}

fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).peekable();
    std::iter::from_fn(move || {
        let mut words = lines.next()?.split_whitespace();
        let mut entry = Entry {
            kind: words.next()?,
            name: words.next()?,
            namespace: None,
            labels: None,
            aggregates: None,
            role: None,
            lines: Vec::new(),
        };
        while let (Some(word), Some(value)) = (words.next(), words.next()) {
            match word {
                "in" => entry.namespace = Some(value),
                "labels" => entry.labels = Some(value),
                "aggregates" => entry.aggregates = Some(value),
                _ => entry.role = words.next().map(|name| (value, name)),
            }
        }
        while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
            entry.lines.push(line.trim());
        }
        Some(entry)
    })
}

fn pairs(text: Option<&str>) -> Map<String, Value> {
    text.into_iter()
        .flat_map(|text| text.split(','))
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

impl Entry<'_> {
    fn plural(&self) -> &'static str {
        match self.kind {
            "ClusterRole" => "clusterroles",
            "ClusterRoleBinding" => "clusterrolebindings",
            "Role" => "roles",
            _ => "rolebindings",
        }
    }

    fn rules(&self) -> Vec<PolicyRule> {
        self.lines.iter().filter_map(|line| rule(line)).collect()
    }

    fn object(&self, manager: &str) -> Value {
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), self.name.into());
        if let Some(namespace) = self.namespace {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        if manager == "kube-apiserver" {
            let mut labels = pairs(self.labels);
            labels.insert("kubernetes.io/bootstrapping".to_owned(), "rbac-defaults".into());
            metadata.insert("labels".to_owned(), labels.into());
            let annotations = json!({"rbac.authorization.kubernetes.io/autoupdate": "true"});
            metadata.insert("annotations".to_owned(), annotations);
        }
        let mut object = json!({"metadata": metadata});
        if let Some((kind, name)) = self.role {
            object["roleRef"] = json!({"apiGroup": GROUP, "kind": kind, "name": name});
            let subjects: Vec<Value> = self.lines.iter().filter_map(|line| subject(line)).collect();
            if !subjects.is_empty() {
                object["subjects"] = subjects.into();
            }
        } else if self.aggregates.is_some() {
            object["aggregationRule"] =
                json!({"clusterRoleSelectors": [{"matchLabels": pairs(self.aggregates)}]});
        } else {
            object["rules"] = json!(self.rules());
        }
        object
    }
}

fn rule(line: &str) -> Option<PolicyRule> {
    let mut words = line.split_whitespace();
    let mut rule = PolicyRule {
        verbs: names(words.next()?),
        ..PolicyRule::default()
    };
    match words.next()? {
        "@" => rule.paths = names(words.next()?),
        groups => {
            rule.api_groups = names(groups)
                .into_iter()
                .map(|group| if group == "core" { String::new() } else { group })
                .collect();
            rule.resources = names(words.next()?);
            if words.next() == Some("=") {
                rule.resource_names = names(words.next()?);
            }
        }
    }
    Some(rule)
}

fn subject(line: &str) -> Option<Value> {
    let (kind, name) = line.split_once(' ')?;
    Some(match name.split_once('/').filter(|_| kind == "ServiceAccount") {
        Some((namespace, name)) => json!({"kind": kind, "name": name, "namespace": namespace}),
        None => json!({"apiGroup": GROUP, "kind": kind, "name": name}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_texts_is_understood() {
        for text in [SERVER, KUBEADM] {
            let mut count = 0;
            for entry in entries(text) {
                count += 1 + entry.lines.len();
                let (rules, subjects) = match entry.role {
                    None => (entry.rules().len(), 0),
                    Some(_) => (0, entry.lines.iter().filter_map(|line| subject(line)).count()),
                };
                assert_eq!(rules + subjects, entry.lines.len(), "{entry:?}");
                assert!(["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"].contains(&entry.kind));
            }
            let lines = text.lines().filter(|line| !line.starts_with('#')).count();
            assert_eq!(count, lines);
        }
        assert_eq!(node_rules().len(), 25);
    }
}
