//! Says in words what a scenario will do: its timeline, and whom each fault picks.

use std::fmt::Write as _;
use std::time::Duration;

use metalsim_actors::fault::{Fault, FaultSet, Occasion, Selector, Subject, When};
use metalsim_actors::seed::Seed;
use metalsim_actors::time::SimInstant;
use metalsim_actors::timing::Span;

use super::Scenario;
use crate::settings::{NodeList, NodeSpec};

/// Names that are shown of many.
const MOST_NAMES: usize = 5;

/// What the scenario will do, in lines for people.
#[must_use]
pub fn explain(scenario: &Scenario) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write(&mut text, scenario);
    text
}

fn write(text: &mut String, scenario: &Scenario) -> std::fmt::Result {
    let settings = &scenario.settings;
    let real = scenario.duration.div_f64(settings.speed);
    writeln!(
        text,
        "{}: {} nodes for {} ({} at speed {}), seed {}",
        scenario.name,
        settings.nodes.len(),
        Span(scenario.duration),
        Span(Duration::from_secs(real.as_secs())),
        settings.speed,
        settings.seed
    )?;
    if let Some(description) = &scenario.description {
        writeln!(text, "{}", description.trim())?;
    }
    let set = scenario.fault_set();
    writeln!(text, "\nTimeline")?;
    for (at, what) in timeline(scenario) {
        writeln!(text, "  {:>10}  {what}", clock(at))?;
    }
    if !scenario.faults.is_empty() {
        writeln!(text, "\nFaults")?;
    }
    for fault in &scenario.faults {
        writeln!(text, "  {}: {}", fault.name, parameters(fault))?;
        writeln!(text, "    when   {}", moments(&fault.when))?;
        writeln!(text, "    which  {}", picked(fault, &set, &settings.nodes))?;
    }
    if !scenario.expectations.is_empty() {
        writeln!(text, "\nExpectations")?;
    }
    for expectation in &scenario.expectations {
        write!(text, "  {expectation}")?;
        if let Some(which) = expectation.nodes()
            && *which != Selector::default()
        {
            let nodes = which.pick(&NodeList(&settings.nodes), Seed::root(settings.seed));
            let names = nodes.iter().filter_map(|index| name(&settings.nodes, index.0));
            write!(text, ": {}", list(nodes.count(), settings.nodes.len(), names))?;
        }
        writeln!(text)?;
    }
    let report = &scenario.report;
    let files = [
        ("json", &report.json),
        ("junit", &report.junit),
        ("html", &report.html),
    ];
    if files.iter().any(|(_, file)| file.is_some()) {
        writeln!(text, "\nReport")?;
    }
    for (form, file) in files {
        if let Some(file) = file {
            writeln!(text, "  {form:<5}  {}", file.display())?;
        }
    }
    Ok(())
}

/// What happens when, in order.
fn timeline(scenario: &Scenario) -> Vec<(SimInstant, String)> {
    let end = scenario.end();
    let mut moments = Vec::new();
    for phase in &scenario.phases {
        moments.push((phase.from, format!("phase {} begins", phase.name)));
        if phase.until < end {
            moments.push((phase.until, format!("phase {} ends", phase.name)));
        }
    }
    for fault in &scenario.faults {
        let When {
            from,
            until,
            lasts,
            repeats,
            ..
        } = &fault.when;
        moments.push((*from, format!("fault {} begins", fault.name)));
        let only = lasts
            .filter(|_| repeats.is_none())
            .map(|lasts| *from + lasts + fault.when.spread);
        let over = match (only, *until) {
            (Some(only), Some(until)) => Some(only.min(until)),
            (only, until) => only.or(until),
        };
        if let Some(over) = over.filter(|over| *over < end) {
            moments.push((over, format!("fault {} is over", fault.name)));
        }
    }
    for expectation in &scenario.expectations {
        if let Some(("by", Span(by))) = expectation.times() {
            moments.push((SimInstant::START + by, format!("expected: {expectation}")));
        }
    }
    moments.push((end, "end".to_owned()));
    moments.sort_by_key(|(at, _)| *at);
    moments
}

/// Hours, minutes and seconds.
fn clock(at: SimInstant) -> String {
    let seconds = at.as_millis() / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The fault's word and its parameters, in the form of a file.
fn parameters(fault: &Fault) -> String {
    let word = fault.what.word();
    let parameters = serde_json::to_value(&fault.what).ok();
    let parameters = parameters
        .as_ref()
        .and_then(|what| what.get(word))
        .and_then(|table| table.as_object());
    let Some(parameters) = parameters.filter(|table| !table.is_empty()) else {
        return word.to_owned();
    };
    let members: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name} {}", value.to_string().replace('"', "")))
        .collect();
    format!("{word}, {}", members.join(", "))
}

fn moments(when: &When) -> String {
    let mut parts = vec![match when.until {
        Some(until) => format!("{} to {}", clock(when.from), clock(until)),
        None => format!("from {}", clock(when.from)),
    }];
    let mut part = |text: String| parts.push(text);
    if let Some(lasts) = when.lasts {
        part(format!("for {}", Span(lasts)));
    }
    if let Some(repeats) = when.repeats {
        part(format!("again every {}", Span(repeats)));
    }
    if !when.spread.is_zero() {
        part(format!("each up to {} later", Span(when.spread)));
    }
    if !when.phases.is_empty() {
        let phases: Vec<&str> = when.phases.iter().map(|phase| phase.as_str()).collect();
        part(format!("while {}", phases.join(" or ")));
    }
    match when.occasions {
        Occasion::All => {}
        Occasion::Nth(n) => part(format!("only occasion {n}")),
        Occasion::First(n) => part(format!("the first {n} occasions")),
        Occasion::After(n) => part(format!("after {n} occasions")),
        Occasion::Every(n) => part(format!("each {n}th occasion")),
    }
    let chance = when.probability.value();
    if chance < 1.0 {
        part(format!("with a chance of {}%", chance * 100.0));
    }
    parts.join(", ")
}

fn picked(fault: &Fault, set: &FaultSet, nodes: &[NodeSpec]) -> String {
    let which = &fault.which;
    let clusters: Vec<&str> = which.clusters.iter().map(|glob| glob.as_str()).collect();
    let mut text = match fault.what.subject() {
        Subject::Cluster => {
            let share = which
                .fraction
                .map(|share| format!("{}% of ", share.value() * 100.0));
            let names = if clusters.is_empty() {
                "all".to_owned()
            } else {
                clusters.join(", ")
            };
            return format!("clusters: {}{names}", share.unwrap_or_default());
        }
        Subject::Node => set
            .picked(fault.name.as_str())
            .map_or_else(String::new, |picked| {
                let names = picked.iter().filter_map(|index| name(nodes, index.0));
                list(picked.count(), nodes.len(), names)
            }),
    };
    if !clusters.is_empty() {
        let _ = write!(text, "; of them those in cluster {}", clusters.join(" or "));
    }
    if let Some(role) = which.role {
        let _ = write!(text, "; of them those with role {}", role.as_str());
    }
    text
}

fn name(nodes: &[NodeSpec], index: u32) -> Option<&str> {
    nodes.get(usize::try_from(index).ok()?).map(|node| &*node.name)
}

/// How many of how many, and the first names.
fn list<'a>(count: usize, all: usize, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.take(MOST_NAMES).collect();
    let more = if count > names.len() { ", ..." } else { "" };
    format!("{count} of {all} nodes: {}{more}", names.join(", "))
}
