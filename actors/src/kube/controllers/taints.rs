//! Taints of nodes and the tolerations of pods (kubernetes: `staging/src/k8s.io/component-helpers/scheduling/corev1/helpers.go`).

use serde::Deserialize;

use crate::kube::object::{Object, Second};

/// The kubelet says that its node is not ready.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Nothing is heard of the kubelet.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Somebody knows that the machine is off: its pods may be forced out.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum Effect {
    /// They are not put there.
    NoSchedule,
    /// They are put there only if there is no other place.
    PreferNoSchedule,
    /// They are not put there, and leave.
    NoExecute,
    /// In a toleration: every effect.
    #[default]
    #[serde(other)]
    Any,
}

/// A taint of a node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
    /// Effect.
    pub effect: Effect,
    /// Since when, for some.
    pub time_added: Option<String>,
}

impl Taint {
    /// Since when.
    #[must_use]
    pub fn since(&self) -> Option<Second> {
        self.time_added.as_deref().and_then(Second::parse)
    }
}

/// `Toleration.operator`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum Operator {
    /// Any value.
    Exists,
    /// The same value.
    #[default]
    #[serde(other)]
    Equal,
}

/// A toleration of a pod.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Key; empty with `Exists` = all.
    pub key: String,
    /// How values are compared.
    pub operator: Operator,
    /// Value.
    pub value: String,
    /// Effect.
    pub effect: Effect,
    /// How long a `NoExecute` taint is tolerated; `None` = for ever.
    pub toleration_seconds: Option<i64>,
}

impl Toleration {
    /// Whether it tolerates the taint, at least for a while.
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        (self.effect == Effect::Any || self.effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && (self.operator == Operator::Exists || (!self.key.is_empty() && self.value == taint.value))
    }
}

/// The taints of a node.
#[must_use]
pub fn of_node(node: &Object) -> Vec<Taint> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        taints: Vec<Taint>,
    }
    // Nearly every node has none: that shows without parsing.
    match node.section_text("spec") {
        Some(text) if text.contains("\"taints\":") => node.read::<Spec>("spec").unwrap_or_default().taints,
        _ => Vec::new(),
    }
}

/// The tolerations of a pod.
#[must_use]
pub fn of_pod(pod: &Object) -> Vec<Toleration> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        tolerations: Vec<Toleration>,
    }
    pod.read::<Spec>("spec").unwrap_or_default().tolerations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tolerates_what() {
        let taint: Taint =
            serde_json::from_value(json!({"key": "a", "value": "1", "effect": "NoExecute"})).unwrap();
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "a", "operator": "Exists"}), true),
            (json!({"key": "b", "operator": "Exists"}), false),
            (json!({"key": "a", "value": "1"}), true),
            (json!({"key": "a", "operator": "Equal", "value": "2"}), false),
            (
                json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
                false,
            ),
            (
                json!({"key": "a", "operator": "Exists", "effect": "NoExecute"}),
                true,
            ),
            (json!({"value": "1"}), false),
        ] {
            let read: Toleration = serde_json::from_value(toleration.clone()).unwrap();
            assert_eq!(read.tolerates(&taint), expected, "{toleration}");
        }
    }
}
