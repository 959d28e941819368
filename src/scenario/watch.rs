//! Looks on while a scenario runs: keeps what the expectations are about, in memory that does not grow with the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metalsim_actors::fault::{FaultName, NodeIndex, NodeSet, What};
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{CallKind, FaultHit, PhaseChange, Record};
use metalsim_actors::phase::Phase;
use metalsim_actors::ports::{Recorder, ShellEvent, Whom};
use metalsim_actors::seed::Seed;
use metalsim_actors::time::SimInstant;

use super::judge::{Ending, judge};
use super::{Expectation, Scenario, Verdict};
use crate::observer::CallObserver;
use crate::settings::NodeList;

/// Points of a line through the process' memory. When there are more, every other one is left out.
const MOST_SAMPLES: usize = 4096;

/// What is known of a run while it lasts.
pub struct Watch {
    scenario: Arc<Scenario>,
    /// Nodes by id; sorted.
    nodes: Box<[(NodeId, NodeIndex)]>,
    state: Mutex<State>,
    /// What is recorded goes on to these.
    recorder: Arc<dyn Recorder>,
    calls: Arc<dyn CallObserver>,
}

struct State {
    now: SimInstant,
    nodes: Vec<NodeState>,
    /// One for each expectation.
    checks: Vec<Check>,
    counts: Counts,
}

/// What is kept of a node.
#[derive(Clone, Copy)]
struct NodeState {
    phase: Option<Phase>,
    /// An agent has worked on it since it last ran its own system.
    worked_on: bool,
}

/// What is counted for all expectations together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// How often each fault struck.
    pub(super) hits: BTreeMap<FaultName, u64>,
    /// Panics that were caught, and actors that died.
    pub(super) panics: u64,
    /// Panics that faults were to cause.
    pub(super) wanted_panics: u64,
    /// Resident memory over time.
    pub(super) memory: Vec<Sample>,
    /// Most ready nodes so far in each cluster, and when that was.
    pub(super) ready: BTreeMap<Box<str>, (u64, SimInstant)>,
    /// Nodes of each cluster that were ready and are no more.
    pub(super) lost: BTreeMap<Box<str>, Lost>,
    stride: u64,
    skipped: u64,
}

/// Nodes of a cluster that were ready and are no more.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Which.
    pub(super) now: BTreeSet<Box<str>>,
    /// The most at once.
    pub(super) most: u64,
}

/// Resident memory at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Simulated time.
    pub(super) at: SimInstant,
    /// Real time since the start.
    pub(super) real: Duration,
    /// Bytes.
    pub(super) resident: u64,
}

/// How an expectation about nodes or heartbeats stands.
#[derive(Debug)]
pub(super) enum Check {
    /// [`Expectation::NodesInPhase`].
    InPhase {
        which: NodeSet,
        needed: u64,
        inside: u64,
        /// The most at once up to `by`.
        most: u64,
        reached: Option<SimInstant>,
        /// When there were too few after `by`.
        lost: Option<SimInstant>,
    },
    /// [`Expectation::NodesNeverInPhase`].
    Never {
        which: NodeSet,
        offender: Option<(NodeIndex, Phase, SimInstant)>,
    },
    /// [`Expectation::NodesActive`].
    Active {
        which: NodeSet,
        needed: u64,
        active: NodeSet,
        reached: Option<SimInstant>,
    },
    /// [`Expectation::HeartbeatLateness`].
    Lateness {
        all: u64,
        punctual: u64,
        latest: Duration,
    },
    /// Others are judged at the end.
    AtTheEnd,
}

impl Watch {
    /// Before the run. What is recorded goes on to `recorder` and `calls`.
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, recorder: Arc<dyn Recorder>, calls: Arc<dyn CallObserver>) -> Self {
        let settings = &scenario.settings;
        let mut nodes: Box<[_]> = (0_u32..)
            .zip(&settings.nodes)
            .map(|(index, node)| (node.id, NodeIndex(index)))
            .collect();
        nodes.sort_unstable();
        let pick = |expectation: &Expectation| {
            let seed = Seed::root(settings.seed);
            expectation.nodes().map_or_else(NodeSet::default, |which| {
                which.pick(&NodeList(&settings.nodes), seed)
            })
        };
        let needed = |which: &NodeSet, amount: super::Amount| amount.of(which.count() as u64);
        let checks = scenario
            .expectations
            .iter()
            .map(|expectation| match expectation {
                Expectation::NodesInPhase { at_least, .. } => {
                    let which = pick(expectation);
                    Check::InPhase {
                        needed: needed(&which, *at_least),
                        which,
                        inside: 0,
                        most: 0,
                        reached: None,
                        lost: None,
                    }
                }
                Expectation::NodesNeverInPhase { .. } => Check::Never {
                    which: pick(expectation),
                    offender: None,
                },
                Expectation::NodesActive { at_least, .. } => {
                    let which = pick(expectation);
                    Check::Active {
                        needed: needed(&which, *at_least),
                        which,
                        active: NodeSet::with_room(settings.nodes.len()),
                        reached: None,
                    }
                }
                Expectation::HeartbeatLateness { .. } => Check::Lateness {
                    all: 0,
                    punctual: 0,
                    latest: Duration::ZERO,
                },
                _ => Check::AtTheEnd,
            })
            .collect();
        let fresh = NodeState {
            phase: None,
            worked_on: false,
        };
        let state = State {
            now: SimInstant::START,
            nodes: vec![fresh; settings.nodes.len()],
            checks,
            counts: Counts::default(),
        };
        Self {
            scenario,
            nodes,
            state: Mutex::new(state),
            recorder,
            calls,
        }
    }

    /// The process' memory now.
    pub fn memory(&self, at: SimInstant, real: Duration, resident: u64) {
        self.with(|state| {
            let counts = &mut state.counts;
            counts.skipped += 1;
            if counts.skipped < counts.stride {
                return;
            }
            counts.skipped = 0;
            counts.memory.push(Sample { at, real, resident });
            if counts.memory.len() >= MOST_SAMPLES {
                let mut odd = false;
                counts.memory.retain(|_| {
                    odd = !odd;
                    odd
                });
                counts.stride = counts.stride.max(1).saturating_mul(2);
            }
        });
    }

    /// Ready nodes of a cluster now.
    pub fn ready(&self, at: SimInstant, cluster: &str, nodes: u64) {
        self.with(|state| {
            let known = state.counts.ready.entry(cluster.into()).or_insert((0, at));
            if nodes > known.0 {
                *known = (nodes, at);
            }
        });
    }

    /// Whether any expectation is about clusters.
    #[must_use]
    pub fn wants_clusters(&self) -> bool {
        let about = |expectation: &Expectation| matches!(expectation, Expectation::ClusterReadyNodes { .. });
        self.scenario.expectations.iter().any(about)
    }

    /// Whether each expectation held. `now`: when the run ended; `page`: the metrics then.
    #[must_use]
    pub fn verdicts(&self, now: SimInstant, page: &str) -> Vec<Verdict> {
        self.with(|state| {
            let ending = Ending {
                now,
                page,
                counts: &state.counts,
                nodes: &self.scenario.settings.nodes,
            };
            self.scenario
                .expectations
                .iter()
                .zip(&state.checks)
                .map(|(expectation, check)| judge(expectation, check, &ending))
                .collect()
        })
    }

    /// Nodes by phase.
    #[must_use]
    pub fn phases(&self) -> BTreeMap<&'static str, usize> {
        self.with(|state| {
            let mut phases = BTreeMap::new();
            for phase in state.nodes.iter().filter_map(|node| node.phase) {
                *phases.entry(phase.as_str()).or_default() += 1;
            }
            phases
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn index(&self, node: NodeId) -> Option<NodeIndex> {
        let found = self.nodes.binary_search_by_key(&node, |(id, _)| *id).ok()?;
        self.nodes.get(found).map(|(_, index)| *index)
    }

    fn on_phase(&self, index: NodeIndex, change: &PhaseChange) {
        self.with(|state| {
            state.now = state.now.max(change.at);
            let Some(node) = state.nodes.get_mut(index.0 as usize) else {
                return;
            };
            let from = node.phase.replace(change.to);
            let runs = matches!(change.to, Phase::OsRunning);
            let is_active = runs && node.worked_on;
            match change.to {
                Phase::AgentBusy => node.worked_on = true,
                Phase::OsRunning => node.worked_on = false,
                _ => {}
            }
            for (expectation, check) in self.scenario.expectations.iter().zip(&mut state.checks) {
                check.phase(expectation, index, from, change, is_active, self.scenario.end());
            }
        });
    }
}

impl Check {
    fn phase(
        &mut self,
        expectation: &Expectation,
        index: NodeIndex,
        from: Option<Phase>,
        change: &PhaseChange,
        is_active: bool,
        end: SimInstant,
    ) {
        let at = change.at;
        let deadline =
            |by: Option<metalsim_actors::timing::Span>| by.map_or(end, |by| SimInstant::START + by.0);
        match (self, expectation) {
            (
                Self::InPhase {
                    which,
                    needed,
                    inside,
                    most,
                    reached,
                    lost,
                },
                Expectation::NodesInPhase { phases, by, .. },
            ) if which.contains(index) => {
                let before = *inside;
                let was = from.is_some_and(|from| phases.contains(&from));
                let is = phases.contains(&change.to);
                match (was, is) {
                    (false, true) => *inside += 1,
                    (true, false) => *inside = inside.saturating_sub(1),
                    _ => {}
                }
                if at <= deadline(*by) {
                    *most = (*most).max(*inside);
                    if *inside >= *needed {
                        reached.get_or_insert(at);
                    }
                } else if before.min(*inside) < *needed {
                    lost.get_or_insert(at);
                }
            }
            (Self::Never { which, offender }, Expectation::NodesNeverInPhase { phases, from, .. })
                if which.contains(index) =>
            {
                let begin = from.map_or(SimInstant::START, |from| SimInstant::START + from.0);
                if at >= begin && phases.contains(&change.to) {
                    offender.get_or_insert((index, change.to, at));
                }
            }
            (
                Self::Active {
                    which,
                    needed,
                    active,
                    reached,
                },
                Expectation::NodesActive { by, .. },
            ) if is_active && which.contains(index) && at <= deadline(*by) => {
                active.insert(index);
                if active.count() as u64 >= *needed {
                    reached.get_or_insert(at);
                }
            }
            _ => {}
        }
    }
}

impl Recorder for Watch {
    fn record(&self, node: NodeId, at: SimInstant, record: Record) {
        self.recorder.record(node, at, record);
    }

    fn phase(&self, node: NodeId, change: &PhaseChange) {
        self.recorder.phase(node, change);
        if let Some(index) = self.index(node) {
            self.on_phase(index, change);
        }
    }

    fn fault(&self, whom: Whom<'_>, hit: &FaultHit) {
        self.recorder.fault(whom, hit);
        self.with(|state| {
            *state.counts.hits.entry(hit.fault.clone()).or_default() += 1;
            if [WORDS[0], WORDS[1]].contains(&hit.what) {
                state.counts.wanted_panics += 1;
            }
        });
    }

    fn power(&self, node: NodeId, from: Option<PowerState>, to: PowerState) {
        self.recorder.power(node, from, to);
    }

    fn shell(&self, event: ShellEvent) {
        self.recorder.shell(event);
        if event == ShellEvent::ActorRestarted {
            self.with(|state| state.counts.panics += 1);
        }
    }

    fn node_ready(&self, cluster: &str, node: &str, ready: bool) {
        self.recorder.node_ready(cluster, node, ready);
        self.with(|state| {
            let lost = state.counts.lost.entry(cluster.into()).or_default();
            if ready {
                lost.now.remove(node);
            } else {
                lost.now.insert(node.into());
                lost.most = lost.most.max(lost.now.len() as u64);
            }
        });
    }

    fn panicked(&self, whom: Whom<'_>) {
        self.recorder.panicked(whom);
        self.with(|state| state.counts.panics += 1);
    }
}

impl CallObserver for Watch {
    fn queued(&self, waits: bool) {
        self.calls.queued(waits);
    }

    fn in_flight(&self, flies: bool) {
        self.calls.in_flight(flies);
    }

    fn ended(&self, kind: CallKind, elapsed: Duration) {
        self.calls.ended(kind, elapsed);
    }

    fn sent(&self, kind: CallKind, lateness: Duration) {
        self.calls.sent(kind, lateness);
        if kind != CallKind::Heartbeat {
            return;
        }
        self.with(|state| {
            for (expectation, check) in self.scenario.expectations.iter().zip(&mut state.checks) {
                if let (
                    Expectation::HeartbeatLateness { below, .. },
                    Check::Lateness {
                        all,
                        punctual,
                        latest,
                    },
                ) = (expectation, check)
                {
                    *all += 1;
                    *punctual += u64::from(lateness < below.0);
                    *latest = (*latest).max(lateness);
                }
            }
        });
    }
}

/// Words of the faults that make actors panic.
static WORDS: std::sync::LazyLock<[&'static str; 2]> = std::sync::LazyLock::new(|| {
    [
        What::NodeActorPanics {}.word(),
        What::ClusterActorPanics {}.word(),
    ]
});
