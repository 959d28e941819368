//! Which nodes a pod's spec allows: node selectors, node affinity, taints (kubernetes: `component-helpers/scheduling/corev1`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::kube::object::{Object, StringMap};

/// An entry of `spec.taints` of a node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Taint {
    pub(crate) key: String,
    pub(crate) value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub(crate) effect: String,
}

/// An entry of `spec.tolerations` of a pod.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Toleration {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) value: String,
    pub(crate) effect: String,
}

impl Toleration {
    fn covers(&self, taint: &Taint) -> bool {
        (self.effect.is_empty() || self.effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && match self.operator.as_str() {
                "" | "Equal" => self.value == taint.value,
                "Exists" => true,
                _ => false,
            }
    }
}

/// The first taint with one of the effects that nothing tolerates.
pub(crate) fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effects: &[&str],
) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        effects.contains(&taint.effect.as_str()) && !tolerations.iter().any(|one| one.covers(taint))
    })
}

/// One requirement of a node selector.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Requirement {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Vec<String>,
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|one| one == value);
        let compare = |test: fn(&i64, &i64) -> bool| {
            let limit = self.values.first().and_then(|limit| limit.parse().ok());
            let number = value.and_then(|value| value.parse().ok());
            matches!((number, limit), (Some(number), Some(limit)) if test(&number, &limit))
        };
        match self.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => value.is_none_or(|value| !listed(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => compare(i64::gt),
            "Lt" => compare(i64::lt),
            _ => false,
        }
    }
}

/// A term: all of its requirements.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeTerm {
    pub(crate) match_expressions: Vec<Requirement>,
    pub(crate) match_fields: Vec<Requirement>,
}

impl NodeTerm {
    /// Whether the node fits. A term without requirements fits none.
    pub(crate) fn matches(&self, node: &Object) -> bool {
        if self.match_expressions.is_empty() && self.match_fields.is_empty() {
            return false;
        }
        self.match_expressions
            .iter()
            .all(|one| one.holds(node.label(&one.key)))
            && self
                .match_fields
                .iter()
                .all(|one| one.holds(Some(node.name()).filter(|_| one.key == "metadata.name")))
    }
}

/// `requiredDuringSchedulingIgnoredDuringExecution` of a node affinity: one of its terms.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSelector {
    pub(crate) node_selector_terms: Vec<NodeTerm>,
}

/// An entry of `preferredDuringSchedulingIgnoredDuringExecution`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PreferredNode {
    pub(crate) weight: i64,
    pub(crate) preference: NodeTerm,
}

/// `spec.affinity.nodeAffinity`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) required: Option<NodeSelector>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) preferred: Vec<PreferredNode>,
}

/// A term of an affinity between pods.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodTerm {
    pub(crate) label_selector: Option<Value>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) namespace_selector: Option<Value>,
    pub(crate) topology_key: String,
}

/// A preferred term.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PreferredPod {
    pub(crate) weight: i64,
    pub(crate) pod_affinity_term: PodTerm,
}

/// `podAffinity` or `podAntiAffinity`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) required: Vec<PodTerm>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) preferred: Vec<PreferredPod>,
}

/// `spec.affinity`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub(crate) node_affinity: Option<NodeAffinity>,
    pub(crate) pod_affinity: Option<PodAffinity>,
    pub(crate) pod_anti_affinity: Option<PodAffinity>,
}

/// What a pod's spec says about nodes.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Placement {
    pub(crate) node_selector: StringMap,
    pub(crate) affinity: Affinity,
    pub(crate) tolerations: Vec<Toleration>,
}

impl Placement {
    /// Whether node selector and required affinity allow the node.
    pub(crate) fn selects(&self, node: &Object) -> bool {
        let selected = self
            .node_selector
            .iter()
            .all(|(key, value)| node.label(key) == Some(value));
        let required = self
            .affinity
            .node_affinity
            .as_ref()
            .and_then(|affinity| affinity.required.as_ref());
        selected
            && required
                .is_none_or(|required| required.node_selector_terms.iter().any(|term| term.matches(node)))
    }

    /// The nodes that the required affinity names, if each of its terms names some: a DaemonSet's pod names one.
    pub(crate) fn named_nodes(&self) -> Option<Vec<&str>> {
        let required = self.affinity.node_affinity.as_ref()?.required.as_ref()?;
        let mut names = Vec::new();
        for term in &required.node_selector_terms {
            let field = term
                .match_fields
                .iter()
                .find(|field| field.key == "metadata.name" && field.operator == "In")?;
            names.extend(field.values.iter().map(String::as_str));
        }
        (!names.is_empty()).then_some(names)
    }
}

/// What the spec of a node says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpec {
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
}

impl NodeSpec {
    /// Reads it.
    pub(crate) fn of(node: &Arc<Object>) -> Self {
        node.read("spec").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: &str, values: &[&str]) -> Requirement {
        Requirement {
            key: "k".to_owned(),
            operator: operator.to_owned(),
            values: values.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn requirements() {
        for (operator, values, value, holds) in [
            ("In", &["a", "b"][..], Some("b"), true),
            ("In", &["a"], None, false),
            ("NotIn", &["a"], None, true),
            ("NotIn", &["a"], Some("a"), false),
            ("Exists", &[], Some(""), true),
            ("DoesNotExist", &[], Some(""), false),
            ("Gt", &["5"], Some("6"), true),
            ("Gt", &["5"], Some("x"), false),
            ("Lt", &["5"], Some("4"), true),
            ("Lt", &["5"], Some("5"), false),
            ("Odd", &["5"], Some("5"), false),
        ] {
            assert_eq!(
                requirement(operator, values).holds(value),
                holds,
                "{operator} {value:?}"
            );
        }
    }

    #[test]
    fn tolerations() {
        let taint = |effect: &str| Taint {
            key: "k".to_owned(),
            value: "v".to_owned(),
            effect: effect.to_owned(),
        };
        let toleration = |key: &str, operator: &str, value: &str, effect: &str| Toleration {
            key: key.to_owned(),
            operator: operator.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
        };
        let taints = [taint("PreferNoSchedule"), taint("NoSchedule")];
        for (one, tolerated) in [
            (toleration("k", "", "v", ""), true),
            (toleration("k", "Equal", "w", ""), false),
            (toleration("k", "Exists", "", "NoSchedule"), true),
            (toleration("k", "Exists", "", "NoExecute"), false),
            (toleration("", "Exists", "", ""), true),
            (toleration("other", "Exists", "", ""), false),
        ] {
            let found = untolerated(&taints, std::slice::from_ref(&one), &["NoSchedule"]);
            assert_eq!(found.is_none(), tolerated, "{one:?}");
        }
    }
}
