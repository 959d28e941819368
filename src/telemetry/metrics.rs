//! The metrics: counts what happens, and writes it when somebody asks.
//!
//! Names and label values stand in [`super::definitions`]. Labels come from closed sets; nodes, addresses and clients are
//! none. A scrape asks no actor.

mod exposition;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use metalsim_actors::fault::What;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::Record;
use metalsim_actors::node::agent::CommandName;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{CallKind, FaultHit, PhaseChange};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::profile::HardwareProfile;
use metalsim_actors::ports::{Recorder, ShellEvent, Whom};
use metalsim_actors::shell::Permits;
use metalsim_actors::time::{Clock, SimInstant};
use prometheus_client::registry::Registry;

use self::exposition::Exposed;
use super::events::EventCounts;
use super::labels::{
    self, BOOT_RESULTS, CALLS, CLASSES, METHODS, POWERS, RESULTS, STATUSES, VERBS, boot_index, call_index,
    power_index, result_index, status_index,
};
use super::primitives::{Count, Distribution, LATENESS, Level, PHASES, REQUESTS, STEPS};
use crate::observer::{CallObserver, ClusterCensus, Protocol, RequestObserver, RouteObserver};

/// Routes that are told apart; all others are `other`.
const MOST_ROUTES: usize = 2048;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    state: Arc<State>,
}

struct State {
    phases: [Level; Phase::ALL.len()],
    phase_durations: [Distribution; Phase::ALL.len()],
    powers: [Level; POWERS.len()],
    shell: ShellCounts,
    calls: [[Count; RESULTS.len()]; CALLS.len()],
    lateness: [Distribution; CALLS.len()],
    durations: [Distribution; CALLS.len()],
    calls_queued: Level,
    calls_in_flight: Level,
    commands: Vec<[Count; STATUSES.len()]>,
    boots: [[Count; BOOT_RESULTS.len()]; HardwareProfile::BOOT_ORDER.len()],
    routes: RwLock<BTreeMap<RouteKey, Arc<Route>>>,
    api: ApiCounts,
    /// TLS handshakes of API servers: completed, failed.
    handshakes: [Count; 2],
    faults: [Count; What::WORDS.len()],
    events: EventCounts,
    sources: Sources,
}

/// What the shell counts and measures.
struct ShellCounts {
    stale_outcomes: Count,
    permits_refused: Count,
    step_panics: Count,
    nodes_parked: Count,
    actor_restarts: Count,
    quorum_losses: Count,
    leader_changes: Count,
    steps: Distribution,
    timers: Distribution,
}

/// What is asked when somebody wants the metrics. It is not kept alive for that.
#[derive(Default)]
struct Sources {
    clock: OnceLock<Weak<dyn Clock>>,
    permits: OnceLock<Weak<Permits>>,
    clusters: OnceLock<Weak<dyn ClusterCensus>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RouteKey {
    protocol: &'static str,
    method: &'static str,
    route: Box<str>,
}

#[derive(Debug)]
struct Route {
    classes: [Count; CLASSES.len()],
    latency: Distribution,
}

impl RouteObserver for Route {
    fn answered(&self, status: u16, elapsed: Duration) {
        count_class(&self.classes, status);
        self.latency.observe(elapsed);
    }
}

fn count_class(classes: &[Count; CLASSES.len()], status: u16) {
    if let Some(count) = classes.get(usize::from(status / 100)) {
        count.one();
    }
}

/// Requests to API servers by verb and group.
struct ApiCounts {
    groups: Vec<String>,
    /// By verb, then by group.
    counts: Vec<[Count; CLASSES.len()]>,
}

impl ApiCounts {
    fn new() -> Self {
        let groups = labels::groups();
        let counts = (0..VERBS.len() * groups.len())
            .map(|_| Default::default())
            .collect();
        Self { groups, counts }
    }

    /// Where verb and group are counted. What is not known is among the others.
    fn index(&self, verb: &str, group: Option<&str>) -> usize {
        let verb = VERBS.iter().position(|known| *known == verb);
        let group = self.groups.iter().position(|known| known == labels::group(group));
        let group = group.unwrap_or(self.groups.len().saturating_sub(1));
        verb.unwrap_or(VERBS.len() - 1) * self.groups.len() + group
    }
}

/// One verb and group of them.
struct ApiCall {
    state: Arc<State>,
    index: usize,
}

impl RouteObserver for ApiCall {
    fn answered(&self, status: u16, _: Duration) {
        if let Some(classes) = self.state.api.counts.get(self.index) {
            count_class(classes, status);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let state = Arc::new(State {
            phases: Default::default(),
            phase_durations: Phase::ALL.map(|_| Distribution::new(&PHASES)),
            powers: Default::default(),
            shell: ShellCounts {
                stale_outcomes: Count::default(),
                permits_refused: Count::default(),
                step_panics: Count::default(),
                nodes_parked: Count::default(),
                actor_restarts: Count::default(),
                quorum_losses: Count::default(),
                leader_changes: Count::default(),
                steps: Distribution::spread(&STEPS),
                timers: Distribution::spread(&LATENESS),
            },
            calls: Default::default(),
            lateness: CALLS.map(|_| Distribution::new(&LATENESS)),
            durations: CALLS.map(|_| Distribution::new(&REQUESTS)),
            calls_queued: Level::default(),
            calls_in_flight: Level::default(),
            commands: CommandName::ALL.iter().map(|_| Default::default()).collect(),
            boots: Default::default(),
            routes: RwLock::default(),
            api: ApiCounts::new(),
            handshakes: Default::default(),
            faults: What::WORDS.map(|_| Count::default()),
            events: EventCounts::default(),
            sources: Sources::default(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposed(Arc::clone(&state))));
        Self { registry, state }
    }

    pub(super) fn events(&self) -> &EventCounts {
        &self.state.events
    }

    /// Says which clock the simulation has. Only the first one counts, here as for the other sources.
    pub fn watch_clock(&self, clock: &Arc<dyn Clock>) {
        self.state.sources.clock.set(Arc::downgrade(clock)).ok();
    }

    /// Says which permits the nodes have.
    pub fn watch_permits(&self, permits: &Arc<Permits>) {
        self.state.sources.permits.set(Arc::downgrade(permits)).ok();
    }

    /// Says who knows the clusters.
    pub fn watch_clusters(&self, clusters: &Arc<dyn ClusterCensus>) {
        self.state.sources.clusters.set(Arc::downgrade(clusters)).ok();
    }
}

impl Recorder for Metrics {
    fn record(&self, node: NodeId, _: SimInstant, record: Record) {
        match record {
            Record::Call(kind, result) => {
                self.state.calls[call_index(kind)][result_index(result)].one();
                if let Err(error) = result {
                    tracing::debug!(%node, ?kind, %error, "a call to Ironic failed");
                }
            }
            Record::Command(name, status) => {
                let position = CommandName::ALL.iter().position(|known| *known == name);
                if let Some(counts) = position.and_then(|position| self.state.commands.get(position)) {
                    counts[status_index(status)].one();
                }
                tracing::debug!(%node, command = name.full(), ?status, "an agent command ended");
            }
            Record::Boot(target, result) => {
                let targets = HardwareProfile::BOOT_ORDER;
                let position = targets.iter().position(|known| *known == target);
                if let Some(counts) = position.and_then(|position| self.state.boots.get(position)) {
                    counts[boot_index(result)].one();
                }
                tracing::debug!(%node, ?target, ?result, "boot");
            }
            Record::Phase(change) => self.phase(node, &change),
            Record::Fault(hit) => self.fault(Whom::Node(node), &hit),
        }
    }

    fn phase(&self, node: NodeId, change: &PhaseChange) {
        let level = |phase: Phase| self.state.phases.get(phase as usize);
        if let Some(left) = change.from.and_then(level) {
            left.add(-1);
        }
        if let (Some(left), Some(lasted)) = (change.from, change.lasted)
            && let Some(durations) = self.state.phase_durations.get(left as usize)
        {
            durations.observe(lasted);
        }
        if let Some(entered) = level(change.to) {
            entered.add(1);
        }
        if change.from.is_some() {
            tracing::debug!(%node, phase = change.to.as_str(), cause = change.cause.word(), "phase");
        }
    }

    fn fault(&self, whom: Whom<'_>, hit: &FaultHit) {
        let known = What::WORDS.iter().position(|word| *word == hit.what);
        if let Some(count) = known.and_then(|index| self.state.faults.get(index)) {
            count.one();
        }
        match whom {
            Whom::Node(node) => {
                tracing::debug!(%node, fault = %hit.fault, what = hit.what, "a fault strikes");
            }
            Whom::Cluster(cluster) => {
                tracing::debug!(cluster, fault = %hit.fault, what = hit.what, "a fault strikes");
            }
        }
    }

    fn power(&self, node: NodeId, from: Option<PowerState>, to: PowerState) {
        if let Some(from) = from {
            self.state.powers[power_index(from)].add(-1);
            tracing::debug!(%node, power = POWERS[power_index(to)], "power");
        }
        self.state.powers[power_index(to)].add(1);
    }

    fn shell(&self, event: ShellEvent) {
        let counts = &self.state.shell;
        match event {
            ShellEvent::StaleOutcome => counts.stale_outcomes.one(),
            ShellEvent::PermitRefused => counts.permits_refused.one(),
            ShellEvent::StepPanicked => counts.step_panics.one(),
            ShellEvent::NodeParked => counts.nodes_parked.one(),
            ShellEvent::ActorRestarted => counts.actor_restarts.one(),
            ShellEvent::QuorumLost => counts.quorum_losses.one(),
            ShellEvent::LeadersChanged(changes) => counts.leader_changes.add(changes),
            ShellEvent::Stepped(took) => counts.steps.observe(took),
            ShellEvent::TimerServed(late) => counts.timers.observe(late),
        }
    }

    fn node_ready(&self, _: &str, _: &str, _: bool) {}

    fn panicked(&self, _: Whom<'_>) {
        self.shell(ShellEvent::StepPanicked);
    }
}

impl CallObserver for Metrics {
    fn queued(&self, waits: bool) {
        self.state.calls_queued.add(if waits { 1 } else { -1 });
    }

    fn in_flight(&self, flies: bool) {
        self.state.calls_in_flight.add(if flies { 1 } else { -1 });
    }

    fn sent(&self, kind: CallKind, lateness: Duration) {
        self.state.lateness[call_index(kind)].observe(lateness);
    }

    fn ended(&self, kind: CallKind, elapsed: Duration) {
        self.state.durations[call_index(kind)].observe(elapsed);
    }
}

impl RequestObserver for Metrics {
    fn route(&self, protocol: Protocol, method: &str, template: Option<&str>) -> Arc<dyn RouteObserver> {
        let method = METHODS
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("other");
        let mut key = RouteKey {
            protocol: protocol.as_str(),
            method,
            route: template.unwrap_or("other").into(),
        };
        let routes = self.state.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(&key) {
            return Arc::<Route>::clone(route);
        }
        drop(routes);
        let mut routes = self.state.routes.write().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= MOST_ROUTES && !routes.contains_key(&key) {
            key.route = "other".into();
        }
        let route = routes.entry(key).or_insert_with(|| {
            Arc::new(Route {
                classes: Default::default(),
                latency: Distribution::new(&REQUESTS),
            })
        });
        Arc::<Route>::clone(route)
    }

    fn api(&self, verb: &str, group: Option<&str>) -> Arc<dyn RouteObserver> {
        Arc::new(ApiCall {
            state: Arc::clone(&self.state),
            index: self.state.api.index(verb, group),
        })
    }

    fn handshake(&self, completed: bool) {
        self.state.handshakes[usize::from(!completed)].one();
    }
}

#[cfg(test)]
mod tests;
