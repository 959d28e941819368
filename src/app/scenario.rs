//! Runs a scenario: everything that runs otherwise, with faults and somebody who looks on, up to the scenario's end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metalsim_actors::time::SimInstant;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::{App, Plan};
use crate::clock::Stopwatch;
use crate::cluster::census::Census;
use crate::events::Happening;
use crate::events::event::{PhaseEdge, RunEnd};
use crate::frontend::{server, tls};
use crate::report::Report;
use crate::scenario::{Scenario, Verdict};
use crate::telemetry::process::Usage;

/// Real time between two looks at the clock, the process and the clusters.
const TICK: Duration = Duration::from_millis(500);

/// How far a run has come.
pub struct Progress<'a> {
    /// Simulated time.
    pub now: SimInstant,
    /// Simulated time at which it ends.
    pub end: SimInstant,
    /// Nodes by phase.
    pub nodes: BTreeMap<&'static str, usize>,
    /// Names of the phases of the timeline that last at present.
    pub phases: Vec<&'a str>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What came of the expectations, in the scenario's order.
    pub verdicts: Vec<Verdict>,
    /// When it ended, in simulated time.
    pub ended: SimInstant,
    /// Real time that it took.
    pub took: Duration,
    /// It was stopped before its end.
    pub stopped: bool,
    /// What people and machines are shown of it.
    pub report: Option<Report>,
}

impl Outcome {
    /// Whether every expectation held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held)
    }
}

/// Runs a scenario up to its end, or until SIGTERM or SIGINT. Reports its progress twice a second.
///
/// # Errors
/// If the scenario's parts do not start, as in [`super::run`].
pub fn run(scenario: Scenario, report: &mut dyn FnMut(&Progress<'_>)) -> anyhow::Result<Outcome> {
    tls::install_provider();
    server::raise_file_limit();
    actix_rt::System::new().block_on(rehearse(Arc::new(scenario), report))
}

async fn rehearse(scenario: Arc<Scenario>, report: &mut dyn FnMut(&Progress<'_>)) -> anyhow::Result<Outcome> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::start(Plan::Scenario(Arc::clone(&scenario))).await?;
    let begun = Stopwatch::start();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stopped = false;
    let mut edges = edges(&scenario).into_iter().peekable();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = terminate.recv() => stopped = true,
            _ = interrupt.recv() => stopped = true,
        }
        let now = app.clock.now().min(scenario.end());
        while let Some((at, happening)) = edges.next_if(|(at, _)| *at <= now) {
            app.events.log.publish_at(at, happening);
        }
        app.look(now, begun.elapsed());
        if let Some(watch) = &app.watch {
            report(&Progress {
                now,
                end: scenario.end(),
                nodes: watch.phases(),
                phases: phases(&scenario, now),
            });
        }
        if stopped || now >= scenario.end() {
            break;
        }
    }
    let ended = app.clock.now().min(scenario.end());
    let took = begun.elapsed();
    let page = app.metrics_page();
    let verdicts = app
        .watch
        .as_ref()
        .map_or_else(Vec::new, |watch| watch.verdicts(ended, &page));
    let report = app.chronicle.as_ref().map(|chronicle| {
        chronicle.look(ended, took, &page);
        chronicle.report(ended, took, &verdicts)
    });
    for (index, verdict) in (0..).zip(&verdicts) {
        let judged = Happening::Expectation {
            index,
            text: verdict.expectation.clone(),
            held: verdict.held,
        };
        app.events.log.publish_at(verdict.at.unwrap_or(ended), judged);
    }
    app.stop(if stopped {
        RunEnd::Stopped
    } else {
        RunEnd::Completed
    })
    .await;
    Ok(Outcome {
        verdicts,
        ended,
        took,
        stopped,
        report,
    })
}

/// Where phases of the timeline begin and end, by time; at the same time first what ends.
fn edges(scenario: &Scenario) -> Vec<(SimInstant, Happening)> {
    let ends = scenario
        .phases
        .iter()
        .map(|phase| (phase.until, phase, PhaseEdge::Ended));
    let begins = scenario
        .phases
        .iter()
        .map(|phase| (phase.from, phase, PhaseEdge::Began));
    let mut edges: Vec<(SimInstant, Happening)> = ends
        .chain(begins)
        .map(|(at, phase, change)| {
            let phase = phase.name.to_string().into();
            (at, Happening::ScenarioPhase { phase, change })
        })
        .collect();
    edges.sort_by_key(|(at, _)| *at);
    edges
}

/// The phases of the timeline that last at `now`.
fn phases(scenario: &Scenario, now: SimInstant) -> Vec<&str> {
    scenario
        .phases
        .iter()
        .filter(|phase| phase.from <= now && now < phase.until)
        .map(|phase| phase.name.as_str())
        .collect()
}

impl App {
    /// Tells the one who looks on what nobody records: memory, and nodes that are ready.
    fn look(&self, now: SimInstant, real: Duration) {
        let Some(watch) = &self.watch else { return };
        watch.memory(now, real, Usage::read().resident_bytes);
        if let Some(chronicle) = &self.chronicle {
            chronicle.look(now, real, &self.metrics_page());
        }
        if watch.wants_clusters() {
            for (_, cluster) in self.clusters.all() {
                let ready = cluster.cluster().read(Census::of).ready_nodes;
                watch.ready(now, &cluster.founding().name, ready as u64);
            }
        }
    }
}
