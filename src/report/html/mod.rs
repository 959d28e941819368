//! One HTML page that needs nothing else: no font, picture or script from elsewhere. Its size does not depend on the number of nodes.
//!
//! The template escapes what it is given (minijinja's escaping for HTML), [`svg`] what is drawn. Beyond that the page forbids
//! all scripts and styles but its own, which it knows by their hashes.

mod chart;
mod durations;
mod nodes;
mod process;
mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod traffic;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metalsim_actors::phase::Phase;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::model::{Report, Traffic, Verdict};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Verdicts on the page at most: those that failed come first if there are more.
const MOST_VERDICTS: usize = 400;
/// Characters of a foreign text at most.
const MOST_TEXT: usize = 2000;

/// A plot, its legend, and what the script needs.
#[derive(Debug)]
struct Figure {
    svg: String,
    keys: Vec<Key>,
    data: String,
}

/// An entry of a legend.
#[derive(Debug, Serialize)]
struct Key {
    name: String,
    class: String,
    /// How it is drawn: `box`, which may be `hatched`, `line`, `half`, `thin` or `tick`.
    form: &'static str,
}

impl Key {
    fn new(name: &str, class: &str, form: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            class: class.to_owned(),
            form,
        }
    }
}

impl Figure {
    fn value(self) -> Value {
        context! {
            svg => Value::from_safe_string(self.svg),
            keys => Serde(self.keys),
            data => Value::from_safe_string(self.data),
        }
    }
}

/// The class of a phase's colour.
fn phase_class(phase: Phase) -> &'static str {
    match phase {
        Phase::Off => "p-off",
        Phase::PoweringOn => "p-powering-on",
        Phase::Post => "p-post",
        Phase::Booting => "p-booting",
        Phase::NoBootDevice => "p-no-boot-device",
        Phase::Inspecting => "p-inspecting",
        Phase::LookingUp => "p-looking-up",
        Phase::AgentReady => "p-agent-ready",
        Phase::AgentBusy => "p-agent-busy",
        Phase::AgentSilent => "p-agent-silent",
        Phase::CloudInit => "p-cloud-init",
        Phase::Bootstrapping => "p-bootstrapping",
        Phase::OsRunning => "p-os-running",
        Phase::LiveSystem => "p-live-system",
        Phase::PoweringOff => "p-powering-off",
        Phase::Parked => "p-parked",
    }
}

/// The class of a kind's colour and dashes.
fn traffic_class(kind: Traffic) -> &'static str {
    match kind {
        Traffic::Heartbeat => "t-heartbeat",
        Traffic::Redfish => "t-redfish",
        Traffic::Agent => "t-agent",
        Traffic::Ironic => "t-ironic",
        Traffic::BootMedia => "t-boot-media",
        Traffic::Kubernetes => "t-kubernetes",
        Traffic::Etcd => "t-etcd",
    }
}

/// The class of a fault's colour, by its place in the report. Colours come again; names tell the faults apart.
fn fault_class(place: usize) -> &'static str {
    const CLASSES: [&str; 6] = ["f-0", "f-1", "f-2", "f-3", "f-4", "f-5"];
    CLASSES[place % CLASSES.len()]
}

/// A row of the table of verdicts.
#[derive(Serialize)]
struct VerdictRow {
    expectation: String,
    held: bool,
    details: String,
    at: String,
}

/// A row of the table of slow nodes.
#[derive(Serialize)]
struct SlowRow {
    node: String,
    journey: String,
    /// Of the longest journey, in percent: the length of its bar.
    percent: String,
    arrived: bool,
    longest_phase: String,
    longest_class: &'static str,
    longest: String,
    phase: String,
    phase_class: &'static str,
}

/// A row of the table of traffic.
#[derive(Serialize)]
struct TrafficRow {
    name: String,
    class: &'static str,
    requests: String,
    errors: String,
    share: String,
    failing: bool,
}

/// A row of the table of faults.
#[derive(Serialize)]
struct FaultRow {
    name: String,
    what: String,
    class: &'static str,
    windows: String,
    hits: String,
    struck: bool,
}

/// A number in the head of the page.
#[derive(Serialize)]
struct Tile {
    name: &'static str,
    value: String,
    note: String,
    /// It needs a smaller font.
    long: bool,
}

fn tile(name: &'static str, value: impl Into<String>, note: impl Into<String>) -> Tile {
    let value = value.into();
    Tile {
        name,
        long: value.chars().count() > 11,
        value,
        note: note.into(),
    }
}

fn foreign(text: &str) -> String {
    text::shortened(text.trim(), MOST_TEXT)
}

pub(super) fn render(report: &Report) -> String {
    match try_render(report) {
        Ok(page) => page,
        // Template and values are our own, and the tests render all of it.
        Err(error) => {
            format!("<!DOCTYPE html><title>metalsim</title><p>the page cannot be made: {error}</p>")
        }
    }
}

fn try_render(report: &Report) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_template("page", PAGE)?;
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let failed = report.verdicts.iter().filter(|verdict| !verdict.held).count();
    let process: Vec<Value> = process::draw(report)
        .into_iter()
        .map(|(name, figure)| context! { name, figure => figure.value() })
        .collect();
    environment.get_template("page")?.render(context! {
        policy => Value::from_safe_string(format!(
            "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        )),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        scenario => foreign(&report.run.scenario),
        description => report.run.description.as_deref().map(foreign),
        version => foreign(&report.run.version),
        format => report.format,
        held => failed == 0,
        failed,
        expected => report.verdicts.len(),
        tiles => Serde(tiles(report)),
        missed => (report.missed > 0).then(|| text::count(report.missed)),
        panics => (report.panics > 0).then(|| text::count(report.panics)),
        verdicts => Serde(verdicts(&report.verdicts)),
        more_verdicts => report.verdicts.len().saturating_sub(MOST_VERDICTS),
        nodes => nodes::draw(report).map(Figure::value),
        durations => durations::draw(report).map(Figure::value),
        traffic => traffic::draw(report).map(Figure::value),
        traffic_rows => Serde(traffic_rows(report)),
        fault_rows => Serde(fault_rows(report)),
        slowest => Serde(slowest(report)),
        process,
    })
}

/// How the run went, in lines of text.
pub(super) fn summary(report: &Report) -> String {
    let run = &report.run;
    let mut lines = vec![
        format!(
            "{}: {} nodes, {} simulated in {}, seed {}, speed {}",
            foreign(&run.scenario),
            text::count(run.nodes),
            text::duration(run.simulated_ms as f64),
            text::duration(run.wall_ms as f64),
            run.seed,
            text::value(run.speed)
        ),
        format!(
            "{} nodes reached their system",
            text::count(report.journeys.arrived)
        ),
    ];
    for count in &report.traffic {
        lines.push(format!(
            "{}: {}, {} with errors",
            traffic::kind_words(count.kind),
            text::count(count.requests),
            text::count(count.errors)
        ));
    }
    for fault in &report.faults {
        lines.push(format!(
            "fault {}: {} hits",
            foreign(&fault.name),
            text::count(fault.hits)
        ));
    }
    for verdict in &report.verdicts {
        let (word, details) = (
            if verdict.held { "held" } else { "FAILED" },
            foreign(&verdict.details),
        );
        let colon = if details.is_empty() { "" } else { ": " };
        lines.push(format!(
            "{word:<6}  {}{colon}{details}",
            foreign(&verdict.expectation)
        ));
    }
    // A terminal obeys control characters; a report may come from anywhere.
    let clean = |line: &String| {
        line.replace(
            |character: char| character.is_control() || character == '\u{a0}',
            " ",
        )
    };
    lines.iter().map(|line| clean(line) + "\n").collect()
}

fn tiles(report: &Report) -> Vec<Tile> {
    let run = &report.run;
    let journeys = &report.journeys;
    let mut arrived = format!("of {}", text::count(run.nodes));
    if journeys.arrived > 0 {
        arrived = format!("{arrived}; median {}", text::duration(journeys.spread.p50_ms));
    }
    let started = run
        .started
        .map(|started| started.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    vec![
        tile("Nodes", text::count(run.nodes), ""),
        tile("Deployed", text::count(journeys.arrived), arrived),
        tile("Simulated time", text::duration(run.simulated_ms as f64), ""),
        tile(
            "Wall time",
            text::duration(run.wall_ms as f64),
            started.map_or_else(String::new, |started| format!("from {started}")),
        ),
        tile("Speed", format!("{}×", text::value(run.speed)), ""),
        tile("Seed", run.seed.to_string(), ""),
        tile("metalsim", foreign(&run.version), ""),
    ]
}

fn verdicts(verdicts: &[Verdict]) -> Vec<VerdictRow> {
    let mut chosen: Vec<&Verdict> = verdicts.iter().collect();
    if chosen.len() > MOST_VERDICTS {
        chosen.sort_by_key(|verdict| verdict.held);
        chosen.truncate(MOST_VERDICTS);
    }
    let rows = chosen.into_iter().map(|verdict| VerdictRow {
        expectation: foreign(&verdict.expectation),
        held: verdict.held,
        details: foreign(&verdict.details),
        at: verdict
            .at_ms
            .map_or_else(String::new, |at| text::duration(at as f64)),
    });
    rows.collect()
}

fn slowest(report: &Report) -> Vec<SlowRow> {
    let longest = report.slowest.iter().map(|node| node.journey_ms).max();
    let longest = longest.unwrap_or_default().max(1) as f64;
    let rows = report.slowest.iter().map(|node| SlowRow {
        node: text::shortened(&node.node, chart::MOST_NAME),
        journey: text::duration(node.journey_ms as f64),
        percent: format!("{:.1}", node.journey_ms as f64 / longest * 100.0),
        arrived: node.arrived,
        longest_phase: text::words(node.longest_phase.as_str()),
        longest_class: phase_class(node.longest_phase),
        longest: text::duration(node.longest_ms as f64),
        phase: text::words(node.phase.as_str()),
        phase_class: phase_class(node.phase),
    });
    rows.collect()
}

fn traffic_rows(report: &Report) -> Vec<TrafficRow> {
    let rows = report.traffic.iter().map(|count| TrafficRow {
        name: traffic::kind_words(count.kind),
        class: traffic_class(count.kind),
        requests: text::count(count.requests),
        errors: text::count(count.errors),
        share: text::share(count.errors, count.requests),
        failing: count.errors > 0,
    });
    rows.collect()
}

/// A time since the start.
fn moment(millis: u64) -> String {
    if millis == 0 {
        return "0".to_owned();
    }
    text::duration(millis as f64)
}

fn fault_rows(report: &Report) -> Vec<FaultRow> {
    let rows = report.faults.iter().enumerate().map(|(place, fault)| {
        let windows = match fault.windows.as_slice() {
            [] if fault.hits == 0 => "not in this run".to_owned(),
            [] => "added on the way".to_owned(),
            [one] => format!("{} to {}", moment(one.from_ms), moment(one.until_ms)),
            [first, .., last] => format!(
                "{} windows, {} to {}",
                fault.windows.len(),
                moment(first.from_ms),
                moment(last.until_ms)
            ),
        };
        FaultRow {
            name: text::shortened(&fault.name, chart::MOST_NAME),
            what: text::words(&text::shortened(&fault.what, chart::MOST_NAME)),
            class: fault_class(place),
            windows,
            hits: text::count(fault.hits),
            struck: fault.hits > 0,
        }
    });
    rows.collect()
}
