//! The metrics: every name and every label value of the program stands here.
//!
//! Labels come from closed sets; nodes, addresses and clients are none. A scrape asks no actor.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metalsim_actors::ids::NodeId;
use metalsim_actors::node::Record;
use metalsim_actors::node::agent::CommandName;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{BootResult, CallError, CallKind, FaultHit, PhaseChange};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::profile::HardwareProfile;
use metalsim_actors::ports::{Recorder, ShellEvent, Whom};
use metalsim_actors::time::SimInstant;
use metalsim_actors::wire::agent::CommandStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::events::EventCounts;
use super::primitives::{Count, Distribution, LATENESS_LIMITS, Level, REQUEST_LIMITS};
use crate::observer::{CallObserver, Exposition, Protocol, RequestObserver, RouteObserver};

/// Routes that are told apart; all others are `other`.
const MOST_ROUTES: usize = 1024;

const POWERS: [&str; 4] = ["off", "powering_on", "on", "powering_off"];
const CALLS: [&str; 4] = ["inspect", "discover", "lookup", "heartbeat"];
const RESULTS: [&str; 8] = [
    "ok",
    "redirect",
    "not_found",
    "conflict",
    "client_error",
    "server_error",
    "no_connection",
    "bad_answer",
];
const BOOT_RESULTS: [&str; 4] = ["agent", "disk", "live", "failed"];
const STATUSES: [&str; 4] = ["running", "succeeded", "failed", "version_mismatch"];
const CLASSES: [&str; 6] = ["dropped", "1xx", "2xx", "3xx", "4xx", "5xx"];
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "other",
];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    phases: [Level; Phase::ALL.len()],
    powers: [Level; POWERS.len()],
    shell: [Count; 5],
    calls: [[Count; RESULTS.len()]; CALLS.len()],
    lateness: [Distribution; CALLS.len()],
    calls_queued: Level,
    calls_in_flight: Level,
    commands: Vec<[Count; STATUSES.len()]>,
    boots: [[Count; BOOT_RESULTS.len()]; HardwareProfile::BOOT_ORDER.len()],
    routes: RwLock<BTreeMap<RouteKey, Arc<Route>>>,
    events: EventCounts,
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
        if let Some(count) = self.classes.get(usize::from(status / 100)) {
            count.one();
        }
        self.latency.observe(elapsed);
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
            powers: Default::default(),
            shell: Default::default(),
            calls: Default::default(),
            lateness: [(); CALLS.len()].map(|()| Distribution::new(LATENESS_LIMITS)),
            calls_queued: Level::default(),
            calls_in_flight: Level::default(),
            commands: CommandName::ALL.iter().map(|_| Default::default()).collect(),
            boots: Default::default(),
            routes: RwLock::default(),
            events: EventCounts::default(),
        });
        let mut registry = Registry::with_prefix("metalsim");
        registry.register_collector(Box::new(Page(Arc::clone(&state))));
        Self { registry, state }
    }

    pub(super) fn events(&self) -> &EventCounts {
        &self.state.events
    }
}

impl Exposition for Metrics {
    fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "cannot write the metrics");
        }
        text
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
        if let Some(entered) = level(change.to) {
            entered.add(1);
        }
        if change.from.is_some() {
            tracing::debug!(%node, phase = change.to.as_str(), cause = change.cause.word(), "phase");
        }
    }

    fn fault(&self, whom: Whom<'_>, hit: &FaultHit) {
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
        self.state.shell[shell_index(event)].one();
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
        let mut routes = self.state.routes.write().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= MOST_ROUTES && !routes.contains_key(&key) {
            key.route = "other".into();
        }
        let route = routes.entry(key).or_insert_with(|| {
            Arc::new(Route {
                classes: Default::default(),
                latency: Distribution::new(REQUEST_LIMITS),
            })
        });
        Arc::<Route>::clone(route)
    }
}

/// Writes the page of all metrics.
#[derive(Debug)]
struct Page(Arc<State>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = &*self.0;
        state.encode_nodes(&mut encoder)?;
        state.encode_shell(&mut encoder)?;
        state.encode_calls(&mut encoder)?;
        state.encode_commands(&mut encoder)?;
        state.encode_boots(&mut encoder)?;
        state.encode_requests(&mut encoder)?;
        state.events.encode(&mut encoder)?;
        super::process::encode(&mut encoder)
    }
}

impl State {
    fn encode_nodes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Nodes by where they are in their life";
        let mut nodes = encoder.encode_descriptor("nodes", help, None, MetricType::Gauge)?;
        for phase in Phase::ALL {
            gauge(
                &mut nodes,
                &[("phase", phase.as_str())],
                self.phases[phase as usize].get(),
            )?;
        }
        let help = "Nodes by power state";
        let mut powers = encoder.encode_descriptor("nodes_power", help, None, MetricType::Gauge)?;
        for (name, level) in POWERS.into_iter().zip(&self.powers) {
            gauge(&mut powers, &[("power", name)], level.get())?;
        }
        Ok(())
    }

    fn encode_shell(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        const NAMES: [(&str, &str); 5] = [
            (
                "stale_outcomes",
                "Results of effects dropped because power or boot had changed",
            ),
            (
                "permits_refused",
                "Requests refused because too many were under way",
            ),
            ("step_panics", "Panics caught in a node's step or in a look at it"),
            ("nodes_parked", "Nodes parked after repeated panics"),
            ("actor_restarts", "Actors that had died and were started again"),
        ];
        for ((name, help), count) in NAMES.into_iter().zip(&self.shell) {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, f64>(&count.get(), None)?;
        }
        Ok(())
    }

    fn encode_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls to Ironic that ended, by kind and result";
        let mut calls = encoder.encode_descriptor("ironic_calls", help, None, MetricType::Counter)?;
        for (kind, counts) in CALLS.into_iter().zip(&self.calls) {
            for (result, count) in RESULTS.into_iter().zip(counts) {
                counter(&mut calls, &[("kind", kind), ("result", result)], count.get())?;
            }
        }
        let help = "Simulated time from when a node wanted a call to when it was sent";
        let name = "ironic_call_lateness_seconds";
        let mut lateness = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (kind, distribution) in CALLS.into_iter().zip(&self.lateness) {
            distribution.encode(&mut lateness, &[("kind", kind)])?;
        }
        let heartbeats = self.lateness[call_index(CallKind::Heartbeat)].count();
        encoder
            .encode_descriptor("heartbeats_sent", "Heartbeats sent", None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&heartbeats, None)?;
        for (name, help, level) in [
            (
                "ironic_calls_queued",
                "Calls to Ironic that wait for their turn",
                &self.calls_queued,
            ),
            (
                "ironic_calls_in_flight",
                "Calls to Ironic on their way",
                &self.calls_in_flight,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&level.get())?;
        }
        Ok(())
    }

    fn encode_commands(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Agent commands that ended, by name and status";
        let mut commands = encoder.encode_descriptor("agent_commands", help, None, MetricType::Counter)?;
        for (name, counts) in CommandName::ALL.iter().zip(&self.commands) {
            for (status, count) in STATUSES.into_iter().zip(counts) {
                // Most commands are never called: they would be most of the page.
                if count.get() > 0 {
                    counter(
                        &mut commands,
                        &[("command", name.full()), ("status", status)],
                        count.get(),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn encode_boots(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Boot targets tried, by target and what came of it";
        let mut boots = encoder.encode_descriptor("boots", help, None, MetricType::Counter)?;
        for (target, counts) in HardwareProfile::BOOT_ORDER.iter().zip(&self.boots) {
            for (result, count) in BOOT_RESULTS.into_iter().zip(counts) {
                let target = format!("{target:?}");
                counter(
                    &mut boots,
                    &[("target", target.as_str()), ("result", result)],
                    count.get(),
                )?;
            }
        }
        Ok(())
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes: Vec<(RouteKey, Arc<Route>)> = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes
                .iter()
                .map(|(key, route)| (key.clone(), Arc::clone(route)))
                .collect()
        };
        let help = "Requests by protocol, method, route and class of the answer's status";
        let mut requests = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (key, route) in &routes {
            for (class, count) in CLASSES.into_iter().zip(&route.classes) {
                if count.get() > 0 {
                    let [protocol, method, template] = key.labels();
                    counter(
                        &mut requests,
                        &[protocol, method, template, ("status", class)],
                        count.get(),
                    )?;
                }
            }
        }
        let help = "Time from a request's head to its answer";
        let name = "request_duration_seconds";
        let mut latency = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (key, route) in &routes {
            route.latency.encode(&mut latency, &key.labels())?;
        }
        Ok(())
    }
}

impl RouteKey {
    fn labels(&self) -> [(&str, &str); 3] {
        [
            ("protocol", self.protocol),
            ("method", self.method),
            ("route", &self.route),
        ]
    }
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn gauge<L: EncodeLabelSet>(
    encoder: &mut MetricEncoder<'_>,
    labels: &L,
    value: i64,
) -> fmt::Result {
    encoder.encode_family(labels)?.encode_gauge(&value)
}

fn counter<L: EncodeLabelSet>(encoder: &mut MetricEncoder<'_>, labels: &L, value: u64) -> fmt::Result {
    encoder
        .encode_family(labels)?
        .encode_counter::<NoLabelSet, _, f64>(&value, None)
}

fn power_index(power: PowerState) -> usize {
    match power {
        PowerState::Off => 0,
        PowerState::PoweringOn => 1,
        PowerState::On => 2,
        PowerState::PoweringOff => 3,
    }
}

fn call_index(kind: CallKind) -> usize {
    match kind {
        CallKind::Inspect => 0,
        CallKind::Discover => 1,
        CallKind::Lookup => 2,
        CallKind::Heartbeat => 3,
    }
}

fn result_index(result: Result<(), CallError>) -> usize {
    match result {
        Ok(()) => 0,
        Err(CallError::Status(404)) => 2,
        Err(CallError::Status(409)) => 3,
        Err(CallError::Status(400..500)) => 4,
        Err(CallError::Status(500..)) => 5,
        Err(CallError::Status(_)) => 1,
        Err(CallError::Connection) => 6,
        Err(CallError::Body) => 7,
    }
}

fn boot_index(result: BootResult) -> usize {
    match result {
        BootResult::Agent => 0,
        BootResult::Disk => 1,
        BootResult::Live => 2,
        BootResult::Failed => 3,
    }
}

fn status_index(status: CommandStatus) -> usize {
    match status {
        CommandStatus::Running => 0,
        CommandStatus::Succeeded => 1,
        CommandStatus::Failed => 2,
        CommandStatus::CleanVersionMismatch => 3,
    }
}

fn shell_index(event: ShellEvent) -> usize {
    match event {
        ShellEvent::StaleOutcome => 0,
        ShellEvent::PermitRefused => 1,
        ShellEvent::StepPanicked => 2,
        ShellEvent::NodeParked => 3,
        ShellEvent::ActorRestarted => 4,
    }
}

#[cfg(test)]
mod tests;
