//! Autoscalers, and devices that pods claim.

use serde_json::Value;

use super::amount;
use super::built_in::{Kind, Row, kind};
use super::cell::{self, NONE, UNSET, list, maybe_number, number, text as field};
use super::column::{AGE, NAME, text};

const DEVICES: &str = "resource.k8s.io";
/// What stands for a value that nobody measured.
const UNKNOWN: &str = "<unknown>";
/// The most metrics that one cell shows.
const SHOWN: usize = 2;

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind(
        "autoscaling",
        "horizontalpodautoscalers",
        &[
            NAME,
            text("Reference", "What is scaled."),
            text("Targets", "Measured values and their targets."),
            text("MinPods", "Fewest pods."),
            text("MaxPods", "Most pods."),
            text("Replicas", "Pods that there are."),
            AGE,
        ],
        autoscaler,
    ),
    kind(DEVICES, "deviceclasses", &[NAME, AGE], |row| {
        vec![row.name(), row.age()]
    }),
    kind(DEVICES, "resourceclaimtemplates", &[NAME, AGE], |row| {
        vec![row.name(), row.age()]
    }),
    kind(
        DEVICES,
        "resourceclaims",
        &[
            NAME,
            text("State", "Whether devices are allocated and reserved."),
            AGE,
        ],
        claim,
    ),
    kind(
        DEVICES,
        "resourceslices",
        &[
            NAME,
            text("Node", "The node that has the devices."),
            text("Driver", "Their driver."),
            text("Pool", "Their pool."),
            AGE,
        ],
        |row| {
            let spec = row.spec();
            let word = |pointer| Value::from(field(&spec, pointer));
            vec![
                row.name(),
                word("/nodeName"),
                word("/driver"),
                word("/pool/name"),
                row.age(),
            ]
        },
    ),
];

/// An autoscaler in `v2`, as it is stored.
fn autoscaler(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let target = format!(
        "{}/{}",
        field(&spec, "/scaleTargetRef/kind"),
        field(&spec, "/scaleTargetRef/name")
    );
    let least =
        maybe_number(&spec, "/minReplicas").map_or_else(|| UNSET.to_owned(), |least| least.to_string());
    vec![
        row.name(),
        target.into(),
        metrics(list(&spec, "/metrics"), list(&status, "/currentMetrics")).into(),
        least.into(),
        number(&spec, "/maxReplicas").into(),
        number(&status, "/currentReplicas").into(),
        row.age(),
    ]
}

fn metrics(wanted: &[Value], measured: &[Value]) -> String {
    if wanted.is_empty() {
        return NONE.to_owned();
    }
    let words: Vec<String> = wanted
        .iter()
        .enumerate()
        .map(|(index, wanted)| metric(wanted, measured.get(index).unwrap_or(&Value::Null)))
        .collect();
    match words.get(..SHOWN) {
        Some(shown) if words.len() > SHOWN => {
            format!("{} + {} more...", shown.join(", "), words.len() - SHOWN)
        }
        _ => words.join(", "),
    }
}

/// One metric: what is measured, and what is wanted.
fn metric(wanted: &Value, measured: &Value) -> String {
    let part = match field(wanted, "/type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let none = Value::Null;
    let wanted = wanted.get(part).unwrap_or(&none);
    let measured = measured.get(part).filter(|part| !part.is_null());
    let target = |name: &str| cell::set(wanted, name);
    // What Go prints for an amount that is missing in a part that is there.
    let amount =
        |value: Option<&Value>| value.map_or_else(|| "<nil>".to_owned(), |some| amount::text(Some(some)));
    let current = |pointer: &str| {
        measured.map_or_else(
            || UNKNOWN.to_owned(),
            |measured| amount(cell::set(measured, pointer)),
        )
    };
    let (average, value) = ("/current/averageValue", "/current/value");
    match (part, target("/target/averageValue")) {
        ("external" | "object", Some(target)) => {
            let measured = measured.and_then(|measured| cell::set(measured, average));
            let current = measured.map_or_else(|| UNKNOWN.to_owned(), |current| amount::text(Some(current)));
            format!("{current}/{} (avg)", amount::text(Some(target)))
        }
        ("external" | "object", None) => {
            format!("{}/{}", current(value), amount(target("/target/value")))
        }
        ("pods", target) => format!("{}/{}", current(average), amount(target)),
        (_, Some(target)) => {
            let target = amount::text(Some(target));
            format!("{}: {}/{target}", field(wanted, "/name"), current(average))
        }
        (_, None) => {
            let percent =
                |part: &Value, pointer| maybe_number(part, pointer).map(|share| format!("{share}%"));
            let current = measured.and_then(|measured| percent(measured, "/current/averageUtilization"));
            let target = percent(wanted, "/target/averageUtilization");
            format!(
                "{}: {}/{}",
                field(wanted, "/name"),
                current.as_deref().unwrap_or(UNKNOWN),
                target.as_deref().unwrap_or("<auto>")
            )
        }
    }
}

fn claim(row: &Row<'_>) -> Vec<Value> {
    let status = row.status();
    let leaving = row.object.is_terminating();
    let mut states = Vec::new();
    if leaving {
        states.push("deleted");
    }
    if cell::set(&status, "/allocation").is_some() {
        states.push("allocated");
        if !list(&status, "/reservedFor").is_empty() {
            states.push("reserved");
        }
    } else if !leaving {
        states.push("pending");
    }
    vec![row.name(), states.join(",").into(), row.age()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::table::kit::{cells, object};

    fn targets(metrics: Value, current: Value) -> Value {
        let scaler = object(json!({
            "metadata": {"name": "h"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 10,
                "metrics": metrics},
            "status": {"currentReplicas": 4, "currentMetrics": current},
        }));
        let cells = cells("autoscaling", "horizontalpodautoscalers", &scaler);
        assert_eq!(
            json!([cells[1], cells[3], cells[4], cells[5], cells[6]]),
            json!(["Deployment/web", "2", 10, 4, "5m"])
        );
        cells[2].clone()
    }

    #[test]
    fn targets_of_autoscalers() {
        assert_eq!(targets(Value::Null, Value::Null), "<none>");
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
            "averageUtilization": 80}}});
        let used = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 50,
            "averageValue": "50m"}}});
        assert_eq!(targets(json!([cpu]), Value::Null), "cpu: <unknown>/80%");
        assert_eq!(targets(json!([cpu]), json!([used])), "cpu: 50%/80%");
        let value =
            json!({"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "1024Mi"}}});
        assert_eq!(targets(json!([value]), json!([used])), "memory: 50m/1Gi");
        assert_eq!(
            targets(json!([cpu, value, cpu]), Value::Null),
            "cpu: <unknown>/80%, memory: <unknown>/1Gi + 1 more..."
        );
        let external = json!({"type": "External", "external": {"target": {"averageValue": "100m"}}});
        let measured = json!({"external": {"current": {"averageValue": "50m", "value": "7"}}});
        assert_eq!(targets(json!([external]), json!([measured])), "50m/100m (avg)");
        let external = json!({"type": "External", "external": {"target": {"value": "100m"}}});
        assert_eq!(targets(json!([external]), json!([measured])), "7/100m");
        let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "100"}}});
        assert_eq!(targets(json!([pods]), Value::Null), "<unknown>/100");
        assert_eq!(targets(json!([{"type": "x"}]), Value::Null), "<unknown type>");
    }

    #[test]
    fn unset_bounds() {
        let scaler = object(json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3}}));
        assert_eq!(
            cells("autoscaling", "horizontalpodautoscalers", &scaler),
            json!(["h", "/", "<none>", "<unset>", 3, 0, "5m"])
        );
    }

    #[test]
    fn devices() {
        let claim = |metadata: Value, status: Value| {
            let claim = object(json!({"metadata": metadata, "status": status}));
            cells(DEVICES, "resourceclaims", &claim)
        };
        assert_eq!(
            claim(json!({"name": "c"}), Value::Null),
            json!(["c", "pending", "5m"])
        );
        let taken = json!({"allocation": {}, "reservedFor": [{"name": "p"}]});
        assert_eq!(
            claim(json!({"name": "c"}), taken.clone()),
            json!(["c", "allocated,reserved", "5m"])
        );
        let leaving = json!({"name": "c", "deletionTimestamp": "2026-01-01T00:04:00Z"});
        assert_eq!(
            claim(leaving, taken),
            json!(["c", "deleted,allocated,reserved", "5m"])
        );
        let slice = object(
            json!({"metadata": {"name": "s"}, "spec": {"nodeName": "n", "driver": "d", "pool": {"name": "p"}}}),
        );
        assert_eq!(
            cells(DEVICES, "resourceslices", &slice),
            json!(["s", "n", "d", "p", "5m"])
        );
        let class = object(json!({"metadata": {"name": "c"}}));
        assert_eq!(cells(DEVICES, "deviceclasses", &class), json!(["c", "5m"]));
    }
}
