//! Writes the page of all metrics.

use std::fmt;
use std::sync::{Arc, PoisonError};

use metalsim_actors::fault::What;
use metalsim_actors::node::agent::CommandName;
use metalsim_actors::node::effect::CallKind;
use metalsim_actors::node::phase::Phase;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Metrics, Route, RouteKey, State};
use crate::observer::Exposition;
use crate::telemetry::definitions as metric;
use crate::telemetry::labels::{
    self, BOOT_RESULTS, CALLS, CLASSES, HANDSHAKES, OPEN, POWERS, RESULTS, ROLES, RUNNING, STATUSES, STREAMS,
    TRUTH, VERBS, call_index,
};
use crate::telemetry::page::{self, Page};
use crate::telemetry::process;

/// Bytes of a page without requests, about.
const USUAL_LENGTH: usize = 64 * 1024;

/// The state as the registry sees it.
pub(super) struct Exposed(pub(super) Arc<State>);

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposed")
    }
}

impl Exposition for Metrics {
    fn render(&self) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "cannot write the metrics");
        }
        text
    }

    fn render_plain(&self) -> String {
        page::plain(&self.render())
    }
}

impl Collector for Exposed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = &*self.0;
        let mut page = Page(encoder);
        state.nodes(&mut page)?;
        state.shell(&mut page)?;
        state.calls(&mut page)?;
        state.agents(&mut page)?;
        state.requests(&mut page)?;
        state.handshakes(&mut page)?;
        state.clusters(&mut page)?;
        state.faults(&mut page)?;
        state.events.write(&mut page)?;
        state.time(&mut page)?;
        process::write(&mut page)
    }
}

impl State {
    fn nodes(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut nodes = page.family(&metric::NODES)?;
        for (phase, level) in Phase::ALL.into_iter().zip(&self.phases) {
            nodes.level(&[phase.as_str()], level.get())?;
        }
        let mut powers = page.family(&metric::NODES_POWER)?;
        for (power, level) in POWERS.into_iter().zip(&self.powers) {
            powers.level(&[power], level.get())?;
        }
        let mut durations = page.family(&metric::PHASE_DURATION)?;
        for (phase, distribution) in Phase::ALL.into_iter().zip(&self.phase_durations) {
            durations.distribution(&[phase.as_str()], distribution)?;
        }
        Ok(())
    }

    fn shell(&self, page: &mut Page<'_>) -> fmt::Result {
        let permits = self.sources.permits.get().and_then(std::sync::Weak::upgrade);
        let (total, in_use) = permits.map_or((0, 0), |permits| (permits.total(), permits.in_use()));
        page.amount(&metric::PERMITS, total.into())?;
        page.amount(&metric::PERMITS_IN_USE, in_use.into())?;
        let counts = &self.shell;
        page.count(&metric::PERMITS_REFUSED, counts.permits_refused.get())?;
        page.family(&metric::STEP_DURATION)?
            .distribution(&[], &counts.steps)?;
        page.family(&metric::TIMER_LATENESS)?
            .distribution(&[], &counts.timers)?;
        page.count(&metric::STALE_OUTCOMES, counts.stale_outcomes.get())?;
        page.count(&metric::STEP_PANICS, counts.step_panics.get())?;
        page.count(&metric::NODES_PARKED, counts.nodes_parked.get())?;
        page.count(&metric::ACTOR_RESTARTS, counts.actor_restarts.get())
    }

    fn calls(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut calls = page.family(&metric::IRONIC_CALLS)?;
        for (kind, counts) in CALLS.into_iter().zip(&self.calls) {
            for (result, count) in RESULTS.into_iter().zip(counts) {
                calls.count(&[kind, result], count.get())?;
            }
        }
        for (definition, distributions) in [
            (&metric::IRONIC_CALL_DURATION, &self.durations),
            (&metric::IRONIC_CALL_LATENESS, &self.lateness),
        ] {
            let mut family = page.family(definition)?;
            for (kind, distribution) in CALLS.into_iter().zip(distributions) {
                family.distribution(&[kind], distribution)?;
            }
        }
        let heartbeats = self.lateness[call_index(CallKind::Heartbeat)].count();
        page.count(&metric::HEARTBEATS_SENT, heartbeats)?;
        page.level(&metric::IRONIC_CALLS_QUEUED, self.calls_queued.get())?;
        page.level(&metric::IRONIC_CALLS_IN_FLIGHT, self.calls_in_flight.get())
    }

    fn agents(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut commands = page.family(&metric::AGENT_COMMANDS)?;
        for (name, counts) in CommandName::ALL.iter().zip(&self.commands) {
            for (status, count) in STATUSES.into_iter().zip(counts) {
                // Most commands are never called: they would be most of the page.
                if count.get() > 0 {
                    commands.count(&[name.full(), status], count.get())?;
                }
            }
        }
        let mut boots = page.family(&metric::BOOTS)?;
        for (target, counts) in labels::boot_targets().iter().zip(&self.boots) {
            for (result, count) in BOOT_RESULTS.into_iter().zip(counts) {
                boots.count(&[target, result], count.get())?;
            }
        }
        Ok(())
    }

    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let routes: Vec<(RouteKey, Arc<Route>)> = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes
                .iter()
                .map(|(key, route)| (key.clone(), Arc::clone(route)))
                .collect()
        };
        let mut requests = page.family(&metric::REQUESTS)?;
        for (key, route) in &routes {
            for (class, count) in CLASSES.into_iter().zip(&route.classes) {
                if count.get() > 0 {
                    requests.count(&[key.protocol, key.method, &key.route, class], count.get())?;
                }
            }
        }
        let mut durations = page.family(&metric::REQUEST_DURATION)?;
        for (key, route) in &routes {
            durations.distribution(&[key.protocol, key.method, &key.route], &route.latency)?;
        }
        let mut api = page.family(&metric::API_REQUESTS)?;
        let groups = &self.api.groups;
        let calls = VERBS
            .iter()
            .flat_map(|verb| groups.iter().map(move |group| (verb, group)));
        for ((verb, group), classes) in calls.zip(&self.api.counts) {
            for (class, count) in CLASSES.into_iter().zip(classes) {
                if count.get() > 0 {
                    api.count(&[verb, group, class], count.get())?;
                }
            }
        }
        Ok(())
    }

    fn handshakes(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut handshakes = page.family(&metric::API_HANDSHAKES)?;
        for (result, count) in HANDSHAKES.into_iter().zip(&self.handshakes) {
            handshakes.count(&[result], count.get())?;
        }
        Ok(())
    }

    fn clusters(&self, page: &mut Page<'_>) -> fmt::Result {
        let census = self.sources.clusters.get().and_then(std::sync::Weak::upgrade);
        let totals = census.map(|census| census.totals()).unwrap_or_default();
        let mut clusters = page.family(&metric::CLUSTERS)?;
        for (state, count) in OPEN.into_iter().zip(totals.open) {
            clusters.amount(&[state], count)?;
        }
        let mut machines = page.family(&metric::CLUSTER_MACHINES)?;
        for (role, counts) in ROLES.into_iter().zip([totals.control_planes, totals.workers]) {
            for (state, count) in RUNNING.into_iter().zip(counts) {
                machines.amount(&[role, state], count)?;
            }
        }
        let mut nodes = page.family(&metric::CLUSTER_NODES)?;
        for (ready, count) in TRUTH.into_iter().zip(totals.nodes) {
            nodes.amount(&[ready], count)?;
        }
        let mut quorum = page.family(&metric::CLUSTER_QUORUM)?;
        for (held, count) in TRUTH.into_iter().zip(totals.quorum) {
            quorum.amount(&[held], count)?;
        }
        page.count(&metric::QUORUM_LOSSES, self.shell.quorum_losses.get())?;
        page.count(&metric::LEADER_CHANGES, self.shell.leader_changes.get())?;
        let mut certificates = page.family(&metric::CLUSTER_CERTIFICATES)?;
        for (valid, count) in TRUTH.into_iter().zip(totals.certificates) {
            certificates.amount(&[valid], count)?;
        }
        let mut streams = page.family(&metric::CLUSTER_STREAMS)?;
        for (kind, count) in STREAMS.into_iter().zip([totals.watches, totals.logs]) {
            streams.amount(&[kind], count)?;
        }
        page.amount(&metric::CLUSTER_WRITES, totals.writes)
    }

    fn faults(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut hits = page.family(&metric::FAULT_HITS)?;
        for (what, count) in What::WORDS.into_iter().zip(&self.faults) {
            hits.count(&[what], count.get())?;
        }
        Ok(())
    }

    fn time(&self, page: &mut Page<'_>) -> fmt::Result {
        let clock = self.sources.clock.get().and_then(std::sync::Weak::upgrade);
        let (speed, now) = clock.map_or((1.0, 0.0), |clock| {
            let now = clock.now().since(metalsim_actors::time::SimInstant::START);
            (clock.speed(), now.as_secs_f64())
        });
        page.number(&metric::SPEED, speed)?;
        page.number(&metric::SIMULATED_TIME, now)
    }
}
