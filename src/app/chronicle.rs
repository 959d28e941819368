//! Keeps what a scenario's report is made from, while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metalsim_actors::ids::NodeId;
use metalsim_actors::node::Record;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{CallKind, FaultHit, PhaseChange};
use metalsim_actors::ports::{Recorder, ShellEvent, Whom};
use metalsim_actors::time::SimInstant;

use crate::report::{self, Collector, FaultPlan, Header, ProcessSample, Report, Stage, Stretch, Traffic};
use crate::scenario::{Protocol, Requests, Scenario, Verdict};
use crate::telemetry::process::Usage;

/// Requests that are counted by protocol, and what they are in a report.
const PROTOCOLS: [(Protocol, Traffic); 4] = [
    (Protocol::Redfish, Traffic::Redfish),
    (Protocol::Agent, Traffic::Agent),
    (Protocol::Kubernetes, Traffic::Kubernetes),
    (Protocol::BootMedia, Traffic::BootMedia),
];

/// Is told what happens, hands it on, and keeps what a report needs.
pub(super) struct Chronicle {
    scenario: Arc<Scenario>,
    started: chrono::DateTime<chrono::Utc>,
    /// Nodes by id, with their place in the fleet; sorted.
    nodes: Box<[(NodeId, u32)]>,
    kept: Mutex<Kept>,
    next: Arc<dyn Recorder>,
}

struct Kept {
    collector: Collector,
    /// Requests and errors so far.
    requests: [Requests; PROTOCOLS.len()],
}

impl Chronicle {
    pub(super) fn new(
        scenario: Arc<Scenario>,
        started: chrono::DateTime<chrono::Utc>,
        next: Arc<dyn Recorder>,
    ) -> Self {
        let mut nodes: Box<[_]> = (0_u32..)
            .zip(&scenario.settings.nodes)
            .map(|(index, node)| (node.id, index))
            .collect();
        nodes.sort_unstable();
        let faults = scenario
            .faults
            .iter()
            .map(|fault| FaultPlan {
                name: fault.name.to_string(),
                what: fault.what.word().to_owned(),
                windows: report::windows(&fault.when, scenario.end()),
            })
            .collect();
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        Self {
            kept: Mutex::new(Kept {
                collector: Collector::new(count, faults),
                requests: [Requests::default(); PROTOCOLS.len()],
            }),
            scenario,
            started,
            nodes,
            next,
        }
    }

    /// Looks at the process, and at how many requests were counted. `page`: the metrics.
    pub(super) fn look(&self, at: SimInstant, wall: Duration, page: &str) {
        let usage = Usage::read();
        let sample = ProcessSample {
            resident_bytes: usage.resident_bytes,
            handles: usage.open_files,
            processor_time: Duration::try_from_secs_f64(usage.cpu_seconds).unwrap_or_default(),
            wall,
            heartbeats_late: None,
        };
        let requests = Requests::of(page, PROTOCOLS.map(|(protocol, _)| protocol));
        self.with(|kept| {
            kept.collector.advance(at);
            kept.collector.sample(at, &sample);
            for (((_, traffic), known), found) in PROTOCOLS.iter().zip(&mut kept.requests).zip(requests) {
                let more = found.all.saturating_sub(known.all);
                let errors = found.errors.saturating_sub(known.errors);
                if more > 0 {
                    kept.collector.calls(at, *traffic, more, errors);
                }
                *known = found;
            }
        });
    }

    /// The report at the end of the run.
    pub(super) fn report(&self, end: SimInstant, wall: Duration, verdicts: &[Verdict]) -> Report {
        let settings = &self.scenario.settings;
        let header = Header {
            scenario: self.scenario.name.to_string(),
            description: self
                .scenario
                .description
                .as_deref()
                .map(|text| text.trim().to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: settings.seed,
            speed: settings.speed,
            nodes: settings.nodes.len() as u64,
            started: Some(self.started),
            simulated_ms: end.as_millis(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        };
        let stages = self.scenario.phases.iter().map(|phase| Stage {
            name: phase.name.to_string(),
            stretch: Stretch {
                from_ms: phase.from.as_millis(),
                until_ms: phase.until.as_millis(),
            },
        });
        let verdicts = verdicts.iter().map(|verdict| report::Verdict {
            expectation: verdict.expectation.to_string(),
            held: verdict.held,
            details: verdict.details.to_string(),
            at_ms: verdict.at.map(SimInstant::as_millis),
        });
        let name = |index: u32| Some(settings.nodes.get(index as usize)?.name.to_string());
        self.with(|kept| {
            kept.collector
                .report(end, header, stages.collect(), verdicts.collect(), name)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recorder for Chronicle {
    fn record(&self, node: NodeId, at: SimInstant, record: Record) {
        if let Record::Call(kind, result) = &record {
            let traffic = match kind {
                CallKind::Heartbeat => Traffic::Heartbeat,
                CallKind::Inspect | CallKind::Discover | CallKind::Lookup => Traffic::Ironic,
            };
            let ok = result.is_ok();
            self.with(|kept| kept.collector.call(at, traffic, ok));
        }
        self.next.record(node, at, record);
    }

    fn phase(&self, node: NodeId, change: &PhaseChange) {
        if let Ok(found) = self.nodes.binary_search_by_key(&node, |(id, _)| *id)
            && let Some((_, index)) = self.nodes.get(found)
        {
            self.with(|kept| kept.collector.phase(change.at, *index, change.from, change.to));
        }
        self.next.phase(node, change);
    }

    fn fault(&self, whom: Whom<'_>, hit: &FaultHit) {
        self.with(|kept| kept.collector.fault_hit(hit.at, hit.fault.as_str(), hit.what));
        self.next.fault(whom, hit);
    }

    fn power(&self, node: NodeId, from: Option<PowerState>, to: PowerState) {
        self.next.power(node, from, to);
    }

    fn shell(&self, event: ShellEvent) {
        self.next.shell(event);
    }

    fn node_ready(&self, cluster: &str, node: &str, ready: bool) {
        self.next.node_ready(cluster, node, ready);
    }

    fn panicked(&self, whom: Whom<'_>) {
        self.with(|kept| kept.collector.panicked());
        self.next.panicked(whom);
    }
}
