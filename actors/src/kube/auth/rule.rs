//! Policy rules: what they allow, and whether some rules cover others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize};

use crate::kube::status::quote;

use super::attributes::{Attributes, Requested, ResourceRequest};

/// Atoms into which rules are broken to compare them, at most: a role of 1.5 MiB could make billions.
const MOST_ATOMS: usize = 100_000;

/// A rule of a role (kubernetes: `rbac/v1/types.go`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// Verbs; `*` = all.
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    /// API groups; `*` = all.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources, `pods`, `pods/log`, `*/scale`; `*` = all.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of objects; empty = all.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths; a `*` at the end stands for anything.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub paths: Vec<String>,
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == wanted)
}

fn has_or_all(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

fn path_matches(rule: &str, path: &str) -> bool {
    rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

impl PolicyRule {
    /// A rule for everything that is a resource, and one for every path.
    pub(super) fn everything() -> [Self; 2] {
        let all = || vec!["*".to_owned()];
        let resources = Self {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..Self::default()
        };
        let paths = Self {
            verbs: all(),
            paths: all(),
            ..Self::default()
        };
        [resources, paths]
    }

    /// Whether it allows the request (kubernetes: `pkg/apis/rbac/v1/evaluation_helpers.go`).
    #[must_use]
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !has_or_all(&self.verbs, attributes.verb) {
            return false;
        }
        match attributes.requested {
            Requested::Path(path) => self.paths.iter().any(|rule| path_matches(rule, path)),
            Requested::Resource(request) => {
                has_or_all(&self.api_groups, request.group)
                    && self.allows_resource(&request)
                    && (self.resource_names.is_empty() || has(&self.resource_names, request.name))
            }
        }
    }

    fn allows_resource(&self, request: &ResourceRequest<'_>) -> bool {
        self.resources.iter().any(|rule| {
            if rule == "*" {
                return true;
            }
            if request.subresource.is_empty() {
                return rule == request.resource;
            }
            rule.split_once('/').is_some_and(|(resource, subresource)| {
                subresource == request.subresource && (resource == "*" || resource == request.resource)
            })
        })
    }

    /// Whether it covers an atom: a rule with at most one of each.
    fn covers(&self, atom: &Self) -> bool {
        let all = |own: &[String], wanted: &[String]| wanted.iter().all(|entry| has_or_all(own, entry));
        let resources = atom.resources.iter().all(|resource| {
            has_or_all(&self.resources, resource)
                || resource
                    .split_once('/')
                    .is_some_and(|(_, subresource)| has(&self.resources, &format!("*/{subresource}")))
        });
        let paths = atom
            .paths
            .iter()
            .all(|path| self.paths.iter().any(|own| path_matches(own, path)));
        let names = self.resource_names.is_empty()
            || (!atom.resource_names.is_empty()
                && atom
                    .resource_names
                    .iter()
                    .all(|name| has(&self.resource_names, name)));
        all(&self.verbs, &atom.verbs)
            && all(&self.api_groups, &atom.api_groups)
            && resources
            && paths
            && names
    }

    /// Appends the atoms of the rule. `false` when there are too many.
    fn break_down(&self, atoms: &mut Vec<Self>) -> bool {
        let names: Vec<Vec<String>> = if self.resource_names.is_empty() {
            vec![Vec::new()]
        } else {
            self.resource_names
                .iter()
                .map(|name| vec![name.clone()])
                .collect()
        };
        let resources = self
            .api_groups
            .len()
            .saturating_mul(self.resources.len())
            .saturating_mul(names.len());
        let count = resources
            .saturating_add(self.paths.len())
            .saturating_mul(self.verbs.len());
        if atoms.len().saturating_add(count) > MOST_ATOMS {
            return false;
        }
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    for names in &names {
                        atoms.push(Self {
                            verbs: vec![verb.clone()],
                            api_groups: vec![group.clone()],
                            resources: vec![resource.clone()],
                            resource_names: names.clone(),
                            paths: Vec::new(),
                        });
                    }
                }
            }
        }
        for path in &self.paths {
            for verb in &self.verbs {
                atoms.push(Self {
                    verbs: vec![verb.clone()],
                    paths: vec![path.clone()],
                    ..Self::default()
                });
            }
        }
        true
    }

    /// The rule in one line, as messages show it (kubernetes: `CompactString`).
    pub(super) fn compact(&self) -> String {
        let mut text = String::from("{");
        for (name, list) in [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.paths),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ] {
            if !list.is_empty() {
                let separator = if text.len() > 1 { ", " } else { "" };
                let _ = write!(text, "{separator}{name}:{}", quoted(list));
            }
        }
        text.push('}');
        text
    }
}

/// `["a" "b"]`, as Go prints lists of texts.
pub(super) fn quoted(list: &[String]) -> String {
    let texts: Vec<String> = list.iter().map(|text| quote(text)).collect();
    format!("[{}]", texts.join(" "))
}

/// Whether `owned` covers all that `wanted` allows (kubernetes: `component-helpers/auth/rbac/validation`, `Covers`).
///
/// # Errors
/// The atoms that are not covered, compacted. Rules with more than 100,000 atoms are never covered; the error then
/// names the rule as it is.
pub fn covers(owned: &[PolicyRule], wanted: &[PolicyRule]) -> Result<(), Vec<PolicyRule>> {
    let mut atoms = Vec::new();
    for rule in wanted {
        if !rule.break_down(&mut atoms) {
            return Err(vec![rule.clone()]);
        }
    }
    atoms.retain(|atom| !owned.iter().any(|rule| rule.covers(atom)));
    if atoms.is_empty() {
        Ok(())
    } else {
        Err(compacted(atoms))
    }
}

/// Joins the verbs of atoms that are otherwise the same.
fn compacted(atoms: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut paths = Vec::new();
    let mut simple: BTreeMap<_, PolicyRule> = BTreeMap::new();
    for mut atom in atoms {
        if atom.paths.is_empty() {
            let key = (
                atom.api_groups.clone(),
                atom.resources.clone(),
                atom.resource_names.clone(),
            );
            match simple.get_mut(&key) {
                Some(rule) => rule.verbs.append(&mut atom.verbs),
                None => {
                    simple.insert(key, atom);
                }
            }
        } else {
            paths.push(atom);
        }
    }
    paths.extend(simple.into_values());
    paths
}
