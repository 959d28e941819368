//! Ports that answer from a script and remember what they were asked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::rig::{LookupAnswer, Rig};
use crate::ids::NodeId;
use crate::node::affliction::{EtcdAffliction, KubeletAffliction};
use crate::node::bmc::PowerState;
use crate::node::effect::{
    AgentParameters, BootFailure, BootImage, BootRequest, FaultHit, FetchFailure, IronicCall, IronicRequest,
    Outcome, PhaseChange, Record,
};
use crate::node::os::description::SystemDescription;
use crate::node::os::membership::{BootstrapFailure, Machine, Membership};
use crate::node::phase::Phase;
use crate::ports::{BootMedia, Clusters, ConfigDrives, Ironic, LocalFuture, Recorder, ShellEvent, Whom};
use crate::time::{Clock, SimInstant};
use crate::wire::agent::ApiVersion;

/// A clock that a test moves by hand.
#[derive(Default)]
pub struct HandClock(AtomicU64);

impl HandClock {
    /// Moves time on.
    pub fn pass(&self, duration: Duration) {
        self.0.fetch_add(
            u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            Ordering::AcqRel,
        );
    }
}

impl Clock for HandClock {
    fn now(&self) -> SimInstant {
        SimInstant::from_millis(self.0.load(Ordering::Acquire))
    }

    fn speed(&self) -> f64 {
        1.0
    }

    fn real(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Acquire))
    }

    fn epoch(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

/// An Ironic that takes everything. `panicking` makes the next call panic in the caller's actor.
#[derive(Default)]
pub struct KindIronic {
    /// Kinds of the calls so far.
    pub calls: Mutex<Vec<&'static str>>,
    /// The next call panics.
    pub panicking: AtomicBool,
    /// Calls are never answered.
    pub silent: AtomicBool,
    /// Calls that were called off before they were answered.
    pub called_off: Arc<AtomicU64>,
}

/// Counts when a call's future is dropped unanswered.
struct CallOff(Arc<AtomicU64>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Ironic for KindIronic {
    fn call(&self, _: NodeId, request: IronicRequest) -> LocalFuture<Outcome> {
        let (name, outcome) = match request.call {
            IronicCall::Inspect { .. } => ("inspect", Outcome::Inspected(Ok(Rig::inspection_accepted()))),
            IronicCall::Discover { .. } => ("discover", Outcome::Discovered(Ok(ApiVersion { minor: 115 }))),
            IronicCall::Lookup { .. } => {
                let mut reply = Rig::lookup_reply(LookupAnswer::Token);
                reply.node.uuid = Uuid::from_u128(7);
                ("lookup", Outcome::LookedUp(Ok(Box::new(reply))))
            }
            IronicCall::Heartbeat { .. } => ("heartbeat", Outcome::Beat(Ok(()))),
        };
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name);
        let panicking = self.panicking.swap(false, Ordering::AcqRel);
        if self.silent.load(Ordering::Acquire) {
            let call_off = CallOff(Arc::clone(&self.called_off));
            return Box::pin(async move {
                let _call_off = call_off;
                std::future::pending().await
            });
        }
        Box::pin(async move {
            assert!(!panicking, "a bug in a port, on purpose");
            outcome
        })
    }
}

/// Boot media that always hold the agent.
pub struct AgentMedia;

impl BootMedia for AgentMedia {
    fn resolve(&self, _: NodeId, request: BootRequest) -> LocalFuture<Result<BootImage, BootFailure>> {
        let mut parameters = (*Rig::parameters(true)).clone();
        parameters.boot_mac = request.boot_mac();
        Box::pin(async move { Ok(BootImage::Agent(Arc::new(parameters))) })
    }
}

/// Config drives that all say the same.
pub struct PlainDrives;

impl ConfigDrives for PlainDrives {
    fn fetch(
        &self,
        _: NodeId,
        _: Arc<str>,
        _: Arc<AgentParameters>,
    ) -> LocalFuture<Result<Arc<str>, FetchFailure>> {
        Box::pin(async { Ok("ZHJpdmU=".into()) })
    }

    fn read(&self, _: NodeId, _: Arc<str>) -> LocalFuture<Arc<SystemDescription>> {
        Box::pin(async { Rig::description("host") })
    }
}

/// Config drives out of which this makes a description. None can be fetched.
pub struct ReadDrives(pub fn(&str) -> Arc<SystemDescription>);

impl ConfigDrives for ReadDrives {
    fn fetch(
        &self,
        _: NodeId,
        _: Arc<str>,
        _: Arc<AgentParameters>,
    ) -> LocalFuture<Result<Arc<str>, FetchFailure>> {
        Box::pin(async { Err(FetchFailure("nothing is fetched".into())) })
    }

    fn read(&self, _: NodeId, drive: Arc<str>) -> LocalFuture<Arc<SystemDescription>> {
        let description = (self.0)(&drive);
        Box::pin(async move { description })
    }
}

/// Clusters that take every machine, and remember what they were told.
#[derive(Default)]
pub struct KindClusters {
    /// What was told, in order.
    pub told: Mutex<Vec<&'static str>>,
}

impl KindClusters {
    fn tell(&self, word: &'static str) {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(word);
    }
}

impl Clusters for KindClusters {
    fn bootstrap(
        &self,
        machine: Box<Machine>,
        _: Arc<SystemDescription>,
    ) -> LocalFuture<Result<Arc<Membership>, BootstrapFailure>> {
        self.tell("bootstrap");
        let membership = Arc::new(Membership {
            cluster: "127.0.0.1:6443".into(),
            name: "kind".into(),
            node: machine.identity.name.clone(),
            control_plane: false,
        });
        Box::pin(async move { Ok(membership) })
    }

    fn started(&self, _: NodeId, _: &Arc<Membership>, _: bool) {
        self.tell("started");
    }

    fn stopped(&self, _: NodeId) {
        self.tell("stopped");
    }

    fn afflicted(
        &self,
        _: NodeId,
        _: &Arc<Membership>,
        _: Option<Arc<KubeletAffliction>>,
        _: Option<Arc<EtcdAffliction>>,
    ) {
        self.tell("afflicted");
    }

    fn erased(&self, _: NodeId, _: &Arc<Membership>) {
        self.tell("erased");
    }
}

/// Remembers what the shell counted.
#[derive(Default)]
pub struct Notes {
    /// Shell events.
    pub shell: Mutex<Vec<ShellEvent>>,
    /// Phases entered.
    pub phases: Mutex<Vec<Phase>>,
    /// Faults that struck.
    pub faults: Mutex<Vec<FaultHit>>,
}

impl Notes {
    /// How often `event` happened.
    #[must_use]
    pub fn count(&self, event: ShellEvent) -> usize {
        let events = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|known| **known == event).count()
    }
}

impl Recorder for Notes {
    fn record(&self, _: NodeId, _: SimInstant, _: Record) {}

    fn phase(&self, _: NodeId, change: &PhaseChange) {
        self.phases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(change.to);
    }

    fn fault(&self, _: Whom<'_>, hit: &FaultHit) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hit.clone());
    }

    fn power(&self, _: NodeId, _: Option<PowerState>, _: PowerState) {}

    fn shell(&self, event: ShellEvent) {
        // These come with every step.
        if matches!(event, ShellEvent::Stepped(_) | ShellEvent::TimerServed(_)) {
            return;
        }
        self.shell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }

    fn node_ready(&self, _: &str, _: &str, _: bool) {}

    fn panicked(&self, _: Whom<'_>) {
        self.shell(ShellEvent::StepPanicked);
    }
}
