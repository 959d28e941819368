//! Every metric that is exposed: its name, its type, its labels with all their values, what it means.
//!
//! What writes the page takes names and labels from here and nowhere else; the table in `docs/metrics.md`, the check of
//! scenarios, and the tests of alert rules and dashboards read the same definitions.

use std::fmt::{self, Write as _};

use super::labels;

/// What all names begin with.
pub const PREFIX: &str = "metalsim_";

/// A metric.
#[derive(Debug)]
pub struct Definition {
    /// The family's name, without the suffixes of its series.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [Label],
    /// What it means, in one sentence without a full stop.
    pub help: &'static str,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// The values that a label can have. All sets are closed: nothing that comes from outside becomes a value.
#[derive(Debug)]
pub enum Values {
    /// These.
    Words(fn() -> Vec<String>),
    /// Route templates of the program, and `other`.
    Routes,
}

impl Label {
    /// All values, if they can be listed without asking the frontends.
    #[must_use]
    pub fn words(&self) -> Option<Vec<String>> {
        match self.values {
            Values::Words(words) => Some(words()),
            Values::Routes => None,
        }
    }
}

const fn label(name: &'static str, words: fn() -> Vec<String>) -> Label {
    Label {
        name,
        values: Values::Words(words),
    }
}

const PHASE: Label = label("phase", labels::phases);
const POWER: Label = label("power", || labels::owned(labels::POWERS));
const CALL: Label = label("kind", || labels::owned(labels::CALLS));
const CALL_RESULT: Label = label("result", || labels::owned(labels::RESULTS));
const COMMAND: Label = label("command", labels::commands);
const COMMAND_STATUS: Label = label("status", || labels::owned(labels::STATUSES));
const BOOT_TARGET: Label = label("target", labels::boot_targets);
const BOOT_RESULT: Label = label("result", || labels::owned(labels::BOOT_RESULTS));
const PROTOCOL: Label = label("protocol", labels::protocols);
const METHOD: Label = label("method", || labels::owned(labels::METHODS));
const ROUTE: Label = Label {
    name: "route",
    values: Values::Routes,
};
const STATUS: Label = label("status", || labels::owned(labels::CLASSES));
const VERB: Label = label("verb", || labels::owned(labels::VERBS));
const GROUP: Label = label("group", labels::groups);
const FAULT: Label = label("what", labels::faults);
const OPEN: Label = label("state", || labels::owned(labels::OPEN));
const ROLE: Label = label("role", || labels::owned(labels::ROLES));
const RUNNING: Label = label("state", || labels::owned(labels::RUNNING));
const READY: Label = label("ready", || labels::owned(labels::TRUTH));
const QUORUM: Label = label("quorum", || labels::owned(labels::TRUTH));
const VALID: Label = label("valid", || labels::owned(labels::TRUTH));
const HANDSHAKE: Label = label("result", || labels::owned(labels::HANDSHAKES));
const STREAM: Label = label("kind", || labels::owned(labels::STREAMS));
const VERSION: Label = label("version", || labels::owned([env!("CARGO_PKG_VERSION")]));

/// The definitions and the list of them.
macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:ident),*] $help:literal;)*) => {
        $(pub(super) static $id: Definition = Definition {
            name: concat!("metalsim_", $name),
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// Every metric, in the order of the page.
        pub static ALL: &[&Definition] = &[$(&$id),*];
    };
}

metrics! {
    NODES = Gauge "nodes" [PHASE] "Nodes by where they are in their life";
    NODES_POWER = Gauge "nodes_power" [POWER] "Nodes by power state";
    PHASE_DURATION = Histogram "phase_duration_seconds" [PHASE]
        "Simulated time that nodes spent in a phase which they have left";

    PERMITS = Gauge "permits" []
        "Requests that may be under way at once for all nodes together";
    PERMITS_IN_USE = Gauge "permits_in_use" []
        "Requests that wait in mailboxes of nodes, or are being answered";
    PERMITS_REFUSED = Counter "permits_refused" []
        "Requests refused because too many were under way for a node, a cluster or all of them";
    STEP_DURATION = Histogram "step_duration_seconds" []
        "Real time that a step of a node took";
    TIMER_LATENESS = Histogram "timer_lateness_seconds" []
        "Real time by which the timer of a node was late";
    STALE_OUTCOMES = Counter "stale_outcomes" []
        "Results of effects dropped because power or boot had changed";
    STEP_PANICS = Counter "step_panics" []
        "Panics caught in a step of an actor, or in a look at one; those that a fault wants too";
    NODES_PARKED = Counter "nodes_parked" []
        "Nodes parked after repeated panics";
    ACTOR_RESTARTS = Counter "actor_restarts" []
        "Actors that had died and were started again";

    IRONIC_CALLS = Counter "ironic_calls" [CALL, CALL_RESULT]
        "Calls to Ironic that ended, by kind and result";
    IRONIC_CALL_DURATION = Histogram "ironic_call_duration_seconds" [CALL]
        "Real time from sending a call to Ironic to the end of its answer, or to its failure";
    IRONIC_CALL_LATENESS = Histogram "ironic_call_lateness_seconds" [CALL]
        "Simulated time from when a node wanted a call to when it was sent";
    HEARTBEATS_SENT = Counter "heartbeats_sent" []
        "Heartbeats sent";
    IRONIC_CALLS_QUEUED = Gauge "ironic_calls_queued" []
        "Calls to Ironic that wait for their turn";
    IRONIC_CALLS_IN_FLIGHT = Gauge "ironic_calls_in_flight" []
        "Calls to Ironic on their way";
    AGENT_COMMANDS = Counter "agent_commands" [COMMAND, COMMAND_STATUS]
        "Agent commands that ended, by name and status";
    BOOTS = Counter "boots" [BOOT_TARGET, BOOT_RESULT]
        "Boot targets tried, by target and what came of it";

    REQUESTS = Counter "requests" [PROTOCOL, METHOD, ROUTE, STATUS]
        "Requests by protocol, method, route template and class of the answer's status";
    REQUEST_DURATION = Histogram "request_duration_seconds" [PROTOCOL, METHOD, ROUTE]
        "Real time from a request's head to the head of its answer";
    API_REQUESTS = Counter "api_requests" [VERB, GROUP, STATUS]
        "Requests to API servers by verb, group of the resource and class of the answer's status";

    API_HANDSHAKES = Counter "api_handshakes" [HANDSHAKE]
        "TLS handshakes of API servers by what came of them: clients end one whose certificate they do not accept";

    CLUSTERS = Gauge "clusters" [OPEN]
        "Clusters by whether their API is served";
    CLUSTER_MACHINES = Gauge "cluster_machines" [ROLE, RUNNING]
        "Machines of clusters by role and by whether they run";
    CLUSTER_NODES = Gauge "cluster_nodes" [READY]
        "Node objects of clusters by their condition Ready";
    CLUSTER_QUORUM = Gauge "cluster_etcd_quorum" [QUORUM]
        "Clusters by whether their etcd has its quorum";
    QUORUM_LOSSES = Counter "cluster_etcd_quorum_losses" []
        "Times at which the etcd of a cluster lost its quorum";
    LEADER_CHANGES = Counter "cluster_etcd_leader_changes" []
        "Changes of etcd leaders that came by themselves, by faults; counted when somebody writes, and when they end";
    CLUSTER_CERTIFICATES = Gauge "cluster_certificates" [VALID]
        "Clusters by whether their API server shows its own certificate, and not a bad one by a fault";
    CLUSTER_STREAMS = Gauge "cluster_streams" [STREAM]
        "Watches of API servers that are open, and logs that are followed";
    CLUSTER_WRITES = Gauge "cluster_writes_waiting" []
        "Writes that wait for the actors of their clusters";

    FAULT_HITS = Counter "fault_hits" [FAULT]
        "Faults that struck, by what went wrong";

    EVENTS = Counter "events" []
        "Events published";
    EVENTS_MISSED = Counter "events_missed" []
        "Events lost to subscribers that were too slow";
    EVENTS_UNWRITTEN = Counter "events_unwritten" []
        "Events that are not in the file";
    EVENT_SUBSCRIBERS = Gauge "event_subscribers" []
        "Readers of the events";

    SPEED = Gauge "speed" []
        "Simulated seconds in a real one";
    SIMULATED_TIME = Gauge "simulated_time_seconds" []
        "Simulated time since the start";
    RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" []
        "Resident memory";
    VIRTUAL_MEMORY = Gauge "process_virtual_memory_bytes" []
        "Virtual memory";
    CPU_SECONDS = Counter "process_cpu_seconds" []
        "Processor time used";
    THREADS = Gauge "process_threads" []
        "Threads";
    OPEN_FILES = Gauge "process_open_files" []
        "Open files";
    OPEN_FILES_LIMIT = Gauge "process_open_files_limit" []
        "Limit of open files";
    START_TIME = Gauge "process_start_time_seconds" []
        "When the process started, in Unix time";
    UPTIME = Gauge "process_uptime_seconds" []
        "Real time since the process started";
    BUILD_INFO = Gauge "build_info" [VERSION]
        "Always 1; the label says which program this is";
}

impl Definition {
    /// Names of its series as Prometheus stores them.
    #[must_use]
    pub fn series(&self) -> Vec<String> {
        let with = |suffix: &str| format!("{}{suffix}", self.name);
        match self.kind {
            Kind::Counter => vec![with("_total")],
            Kind::Gauge => vec![with("")],
            Kind::Histogram => vec![with("_bucket"), with("_sum"), with("_count")],
        }
    }

    /// The name by which it is known to users: that of its series, or of the family if there are several.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

/// The metric with a series of this name, or whose family has it.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    ALL.iter()
        .copied()
        .find(|definition| definition.name == name || definition.series().iter().any(|series| series == name))
}

/// Most values of a label that the table lists.
const MOST_LISTED: usize = 10;

/// What stands above the table in `docs/metrics.md`.
const INTRODUCTION: &str = "\
<!-- Made by: metalsim metrics --form markdown > docs/metrics.md -->

# Metrics

`GET /metrics` of the control API (default `http://127.0.0.1:3333/metrics`) exposes what the process counts: as OpenMetrics to those who ask for
it, as Prometheus does, and in Prometheus' older text format to all others. If a token is configured, it wants the token. A scrape asks no actor and
takes milliseconds, however many nodes there are.

Labels come from closed sets: no name, address or path of a client ever becomes one. A counter or histogram series of a request or a command appears when it
has counted something for the first time; all others are there from the start.

[`config/prometheus`](../config/prometheus) has a scrape configuration and alert rules with their tests, [`config/grafana`](../config/grafana) a board.
Expectations of [scenarios](scenarios.md) name the same metrics.

";

/// The page `docs/metrics.md`.
#[must_use]
pub fn document() -> String {
    let long = long_labels();
    format!("{INTRODUCTION}{Table}\n## Labels with many values\n\n{long}")
}

/// Prints the table of all metrics, in Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Table;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| name | type | labels | meaning |\n| --- | --- | --- | --- |\n")?;
        for definition in ALL {
            let Definition { kind, help, .. } = definition;
            let name = definition.shown();
            write!(f, "| `{name}` | {} | ", kind.as_str())?;
            for (index, label) in definition.labels.iter().enumerate() {
                if index > 0 {
                    f.write_str("; ")?;
                }
                write!(f, "`{}`: ", label.name)?;
                values(f, label)?;
            }
            writeln!(f, " | {help} |")?;
        }
        Ok(())
    }
}

fn values(f: &mut fmt::Formatter<'_>, label: &Label) -> fmt::Result {
    let Some(words) = label.words() else {
        return f.write_str("route templates, `other`");
    };
    for (index, word) in words.iter().take(MOST_LISTED).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "`{word}`")?;
    }
    match words.len().saturating_sub(MOST_LISTED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// All values of the labels that have too many for the table, in Markdown.
fn long_labels() -> String {
    let mut text = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for label in ALL.iter().flat_map(|definition| definition.labels) {
        let Some(words) = label.words().filter(|words| words.len() > MOST_LISTED) else {
            continue;
        };
        if seen.contains(&label.name) {
            continue;
        }
        seen.push(label.name);
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        // Writing to a text does not fail.
        let _ = writeln!(text, "- `{}`: {}", label.name, words.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_rules() {
        let mut names = BTreeSet::new();
        for definition in ALL {
            for series in definition.series() {
                assert!(names.insert(series.clone()), "{series} twice");
                assert_eq!(find(&series).map(|found| found.name), Some(definition.name));
            }
            assert!(!definition.help.ends_with('.'), "{}", definition.name);
            assert!(definition.name.starts_with(PREFIX), "{}", definition.name);
            for suffix in ["_total", "_count", "_sum", "_bucket"] {
                assert!(!definition.name.ends_with(suffix), "{}", definition.name);
            }
            let labels: BTreeSet<&str> = definition.labels.iter().map(|label| label.name).collect();
            assert_eq!(labels.len(), definition.labels.len(), "{}", definition.name);
        }
    }

    #[test]
    fn values_of_a_label_are_unique_and_label_names_of_long_ones_mean_one_thing() {
        for label in ALL.iter().flat_map(|definition| definition.labels) {
            let words = label.words().unwrap_or_default();
            let unique: BTreeSet<&String> = words.iter().collect();
            assert_eq!(unique.len(), words.len(), "{}", label.name);
            if words.len() > MOST_LISTED {
                let same = ALL.iter().flat_map(|definition| definition.labels);
                for other in same.filter(|other| other.name == label.name) {
                    assert_eq!(other.words().unwrap_or_default(), words, "{}", label.name);
                }
            }
        }
    }
}
