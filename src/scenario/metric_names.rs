//! Holds the metrics that expectations name against those that there are.

use std::collections::BTreeMap;

use metalsim_actors::fault::Glob;

use super::Expectation;
use crate::settings::nearest;
use crate::telemetry::definitions::{self, ALL, Definition, Kind};

/// What is wrong: the parameter, as keys below the expectation, and the reason.
pub(super) type Wrong = (Vec<String>, String);

/// Labels with patterns of their values.
type Labels = BTreeMap<Box<str>, Glob>;

/// Complaints about the metrics that an expectation names.
pub(super) fn complaints(expectation: &Expectation) -> Vec<Wrong> {
    match expectation {
        Expectation::Metric {
            name,
            labels,
            quantile,
            ..
        } => about(&[], name.as_str(), labels, quantile.is_some()),
        Expectation::MetricRatio { of, to, .. } => [("of", of), ("to", to)]
            .into_iter()
            .flat_map(|(key, metric)| about(&[key], metric.name.as_str(), &metric.labels, false))
            .collect(),
        _ => Vec::new(),
    }
}

fn about(keys: &[&str], name: &str, labels: &Labels, quantile: bool) -> Vec<Wrong> {
    let below = |more: &[&str]| keys.iter().chain(more).map(|key| (*key).to_owned()).collect();
    let Some(definition) = definitions::find(name) else {
        return vec![(below(&["name"]), unknown(name))];
    };
    let mut wrong: Vec<Wrong> = Vec::new();
    let family = definition.name;
    match (definition.kind, quantile) {
        (Kind::Histogram, true) if name != family => {
            wrong.push((below(&["name"]), format!("a quantile is one of {family}")));
        }
        (Kind::Histogram, false) if name == family => {
            let reason = format!("{name} is a histogram: give a quantile, or name its _count or _sum");
            wrong.push((below(&["name"]), reason));
        }
        (Kind::Counter | Kind::Gauge, true) => {
            let kind = definition.kind.as_str();
            let reason = format!("{name} is a {kind}: only histograms have quantiles");
            wrong.push((below(&["quantile"]), reason));
        }
        _ => {}
    }
    for (label, glob) in labels {
        if let Some(reason) = label_complaint(definition, name, label, glob) {
            wrong.push((below(&["labels", label]), reason));
        }
    }
    wrong
}

fn unknown(name: &str) -> String {
    let known: Vec<String> = ALL
        .iter()
        .flat_map(|definition| definition.series().into_iter().chain([definition.shown()]))
        .collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("there is no metric {name}; did you mean {near}?"),
        None => format!("there is no metric {name}; `metalsim metrics` lists them"),
    }
}

fn label_complaint(definition: &Definition, name: &str, label: &str, glob: &Glob) -> Option<String> {
    if label == "le" && name.ends_with("_bucket") {
        return None;
    }
    let Some(known) = definition.labels.iter().find(|known| known.name == label) else {
        let names: Vec<&str> = definition.labels.iter().map(|label| label.name).collect();
        let hint = match nearest(label, names.iter().copied()) {
            Some(near) => format!("; did you mean {near}?"),
            None if names.is_empty() => "; it has none".to_owned(),
            None => format!("; known are {}", names.join(", ")),
        };
        return Some(format!("{name} has no label {label:?}{hint}"));
    };
    let words = known.words()?;
    if words.iter().any(|word| glob.matches(word)) {
        return None;
    }
    let hint = match nearest(glob.as_str(), words.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean {near}?"),
        None if words.len() <= 10 => format!("; known are {}", words.join(", ")),
        None => format!("; it has {} others", words.len()),
    };
    Some(format!("no value of the label fits {glob}{hint}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(expectation: Value) -> Vec<String> {
        let expectation: Expectation = serde_json::from_value(expectation).unwrap();
        complaints(&expectation)
            .into_iter()
            .map(|(keys, reason)| format!("{}: {reason}", keys.join(".")))
            .collect()
    }

    #[test]
    fn metrics_that_there_are_pass() {
        for good in [
            json!({"metric": {"name": "metalsim_nodes", "labels": {"phase": "agent_*"}, "at_least": 1}}),
            json!({"metric": {"name": "metalsim_requests", "at_least": 1}}),
            json!({"metric": {"name": "metalsim_requests_total", "labels": {"route": "/x"}, "at_least": 1}}),
            json!({"metric": {"name": "metalsim_phase_duration_seconds", "quantile": 0.5, "at_most": 1}}),
            json!({"metric": {"name": "metalsim_phase_duration_seconds_count", "at_most": 1}}),
            json!({"metric_ratio": {
                "of": {"name": "metalsim_phase_duration_seconds_bucket", "labels": {"le": "1.0"}},
                "to": {"name": "metalsim_phase_duration_seconds_count"},
                "at_least": 0.5,
            }}),
        ] {
            assert_eq!(said(good.clone()), [""; 0], "{good}");
        }
    }

    #[test]
    fn others_get_a_hint() {
        let metric = |fields: Value| {
            let mut fields = fields;
            fields["at_least"] = json!(1);
            said(json!({"metric": fields}))
        };
        assert_eq!(
            metric(json!({"name": "metalsim_node"})),
            ["name: there is no metric metalsim_node; did you mean metalsim_nodes?"]
        );
        assert_eq!(
            metric(json!({"name": "up"})),
            ["name: there is no metric up; `metalsim metrics` lists them"]
        );
        assert_eq!(
            metric(json!({"name": "metalsim_nodes", "quantile": 0.5})),
            ["quantile: metalsim_nodes is a gauge: only histograms have quantiles"]
        );
        assert_eq!(
            metric(json!({"name": "metalsim_step_duration_seconds"})),
            [
                "name: metalsim_step_duration_seconds is a histogram: give a quantile, or name its _count or _sum"
            ]
        );
        assert_eq!(
            metric(json!({"name": "metalsim_step_duration_seconds_sum", "quantile": 0.5})),
            ["name: a quantile is one of metalsim_step_duration_seconds"]
        );
        assert_eq!(
            metric(json!({"name": "metalsim_nodes", "labels": {"phases": "off", "phase": "offf"}})),
            [
                "labels.phase: no value of the label fits offf; did you mean off?",
                "labels.phases: metalsim_nodes has no label \"phases\"; did you mean phase?",
            ]
        );
        assert_eq!(
            metric(json!({"name": "metalsim_permits", "labels": {"node": "*"}})),
            ["labels.node: metalsim_permits has no label \"node\"; it has none"]
        );
        assert_eq!(
            said(json!({"metric_ratio": {
                "of": {"name": "metalsim_boots", "labels": {"result": "no"}},
                "to": {"name": "metalsim_botos"},
                "at_least": 1,
            }})),
            [
                "of.labels.result: no value of the label fits no; known are agent, disk, live, failed",
                "to.name: there is no metric metalsim_botos; did you mean metalsim_boots_total?",
            ]
        );
    }
}
