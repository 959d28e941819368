//! The actor of one node. It decides nothing: event in, step, commit, effects out, one timer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext, Context, Handler, SpawnHandle,
    WrapFuture as _,
};
use tokio::sync::oneshot;

use super::board::FaultBoard;
use super::faults;
use super::handle::NodeRef;
use super::lost::Lost;
use super::messages::{Apply, Failure, FaultsChanged, Kill, Look};
use crate::fault::{Site, SiteKind};
use crate::ids::{CommandId, Epoch};
use crate::node::affliction::{EtcdAffliction, KubeletAffliction};
use crate::node::agent::AgentReply;
use crate::node::effect::{Cause, Effect, Issued, Outcome, PhaseChange, Record};
use crate::node::os::membership::Activity;
use crate::node::phase::Phase;
use crate::node::{Effects, Event, Node, Refused, Reply, invariant};
use crate::ports::{BootMedia, Clusters, ConfigDrives, Ironic, Recorder, ShellEvent, Whom};
use crate::time::{Clock, SimInstant};
use crate::wire::agent::CommandStatus;

/// Panics in a row after which a node is parked: it still answers, but does nothing by itself.
const MOST_FAULTS: u8 = 5;
/// Outcomes at once that follow from one event: more than a boot order has entries.
const MOST_ANSWERS: usize = 64;
/// Requests that may wait for the end of a command of one node.
const MOST_WAITERS: usize = 8;

/// What the actors of a process share.
pub struct Services {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Calls to Ironic.
    pub ironic: Arc<dyn Ironic>,
    /// Boot media.
    pub boot_media: Arc<dyn BootMedia>,
    /// Config drives.
    pub config_drives: Arc<dyn ConfigDrives>,
    /// Clusters.
    pub clusters: Arc<dyn Clusters>,
    /// Counters and logs.
    pub recorder: Arc<dyn Recorder>,
    /// What goes wrong.
    pub faults: Arc<FaultBoard>,
}

/// A request that waits for the end of a command.
struct Waiter {
    epoch: Epoch,
    command: CommandId,
    reply: oneshot::Sender<Result<Reply, Failure>>,
}

/// The actor. The node's state is kept in its handle, so it outlives an actor that dies.
pub(super) struct NodeActor {
    handle: Arc<NodeRef>,
    timer: Option<(SimInstant, SpawnHandle)>,
    waiters: Vec<Waiter>,
    flying: Vec<Flying>,
    /// Outcomes that were there at once.
    answered: VecDeque<(SimInstant, Epoch, Outcome)>,
    launched: u32,
    faults: u8,
}

/// An effect that has not come back.
struct Flying {
    epoch: Epoch,
    number: u32,
    /// None while it is being started.
    handle: Option<SpawnHandle>,
    /// What came of it if this actor dies.
    lost: Option<Box<Lost>>,
}

impl NodeActor {
    pub(super) fn new(handle: Arc<NodeRef>) -> Self {
        Self {
            handle,
            timer: None,
            waiters: Vec::new(),
            flying: Vec::new(),
            answered: VecDeque::new(),
            launched: 0,
            faults: 0,
        }
    }

    fn services(&self) -> &Services {
        self.handle.services()
    }

    /// Applies one event now, and everything that follows from it at once.
    fn apply(&mut self, event: Event, context: &mut Context<Self>) -> Result<Reply, Failure> {
        self.apply_and_follow(None, event, context)
    }

    /// As [`Self::apply`], for an event that happened at `at`.
    fn apply_and_follow(
        &mut self,
        at: Option<SimInstant>,
        event: Event,
        context: &mut Context<Self>,
    ) -> Result<Reply, Failure> {
        let now = self.services().clock.now();
        let result = self.apply_at(at.unwrap_or(now), event, context);
        for _ in 0..MOST_ANSWERS {
            let Some((at, epoch, outcome)) = self.answered.pop_front() else {
                break;
            };
            // Refused as stale, or caught as a fault: both are counted where they happen.
            drop(self.apply_at(at, Event::Outcome { epoch, outcome }, context));
        }
        self.rearm(now, context);
        result
    }

    fn apply_at(
        &mut self,
        now: SimInstant,
        event: Event,
        context: &mut Context<Self>,
    ) -> Result<Reply, Failure> {
        let mut effects = Effects::under(self.services().faults.against(self.handle.identity().index));
        let mut next = self.handle.node().clone();
        // That the faults are others must not get lost.
        let panics = !matches!(event, Event::FaultsChanged)
            && self.handle.strike(Site::Plain(SiteKind::NodeStep)).is_some();
        let begun = self.services().clock.real();
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            assert!(!panics, "a fault has the node's actor panic");
            next.step(now, event, &mut effects)
        }));
        let took = self.services().clock.real().saturating_sub(begun);
        self.services().recorder.shell(ShellEvent::Stepped(took));
        match stepped {
            Ok(Ok(reply)) => {
                debug_assert_eq!(
                    invariant::check(&next),
                    Ok(()),
                    "after a step of {}",
                    next.identity().name
                );
                self.faults = 0;
                self.publish(now, &next);
                self.tell_clusters(&next);
                let epoch = next.epoch();
                self.handle.commit(next);
                self.call_off_stale(epoch, context);
                for issued in effects.drain() {
                    self.perform(issued, context);
                }
                self.settle_waiters();
                Ok(reply)
            }
            Ok(Err(refused)) => {
                if refused == Refused::Stale {
                    self.services().recorder.shell(ShellEvent::StaleOutcome);
                }
                Err(Failure::Refused(refused))
            }
            Err(_) => {
                self.faults = self.faults.saturating_add(1);
                let node = self.handle.node();
                self.services().recorder.panicked(Whom::Node(node.identity().id));
                tracing::error!(node = %node.identity().name, faults = self.faults, "a step panicked; state kept");
                if self.faults == MOST_FAULTS {
                    self.services().recorder.shell(ShellEvent::NodeParked);
                    let change = PhaseChange {
                        at: now,
                        from: Some(self.handle.phase()),
                        to: Phase::Parked,
                        lasted: Some(now.since(node.phase_since())),
                        epoch: node.epoch(),
                        cause: Cause::Panic,
                    };
                    self.services().recorder.phase(node.identity().id, &change);
                    self.handle.publish(node.power_state(), Phase::Parked);
                }
                Err(Failure::Fault)
            }
        }
    }

    /// Tells the directory and the recorder what changed.
    fn publish(&self, now: SimInstant, next: &Node) {
        let (power, phase) = (next.power_state(), next.phase());
        let (old_power, old_phase) = (self.handle.power(), self.handle.phase());
        if (power, phase) == (old_power, old_phase) {
            return;
        }
        let id = next.identity().id;
        if power != old_power {
            self.services().recorder.power(id, Some(old_power), power);
        }
        if old_phase == Phase::Parked {
            let change = PhaseChange {
                at: now,
                from: Some(old_phase),
                to: self.handle.node().phase(),
                lasted: None,
                epoch: next.epoch(),
                cause: Cause::Panic,
            };
            self.services().recorder.phase(id, &change);
        }
        self.handle.publish(power, phase);
    }

    /// Tells the clusters that the machine began or ceased to be a node.
    fn tell_clusters(&self, next: &Node) {
        let old = self.handle.node();
        let (was, is) = (old.activity(), next.activity());
        let id = next.identity().id;
        let clusters = &self.services().clusters;
        if was != is && was != Activity::None && is == Activity::None {
            clusters.stopped(id);
        }
        if let Some(left) = old.disk().membership()
            && next.disk().membership() != Some(left)
        {
            clusters.erased(id, left);
        }
        if let Activity::Member(membership) = is {
            let (was_wrong, is_wrong) = (shared(&old), shared(next));
            if was_wrong != is_wrong || (was != is && is_wrong != (None, None)) {
                clusters.afflicted(id, membership, is_wrong.0, is_wrong.1);
            }
            if was != is {
                let goes_on = was == Activity::None && old.os_hangs() && old.epoch() == next.epoch();
                clusters.started(id, membership, goes_on);
            }
        }
    }

    /// Starts an effect outside the handler; its outcome comes back as an event.
    fn perform(&mut self, Issued { epoch, at, effect }: Issued, context: &mut Context<Self>) {
        let id = self.handle.identity().id;
        if let Effect::Record(record) = effect {
            let recorder = &self.services().recorder;
            return match record {
                Record::Phase(change) => recorder.phase(id, &change),
                Record::Fault(hit) => recorder.fault(Whom::Node(id), &hit),
                other => recorder.record(id, at, other),
            };
        }
        if epoch != self.handle.node().epoch() {
            // The same step has begun another life.
            return self.services().recorder.shell(ShellEvent::StaleOutcome);
        }
        // What is only computed takes no simulated time, however long it takes.
        let computed = matches!(effect, Effect::ReadConfigDrive(_));
        self.launched = self.launched.wrapping_add(1);
        let number = self.launched;
        // From here on, since starting it may panic.
        self.flying.push(Flying {
            epoch,
            number,
            handle: None,
            lost: Lost::of(&effect).map(Box::new),
        });
        let mut outcome: crate::ports::LocalFuture<Outcome> = match effect {
            Effect::Record(_) => return,
            Effect::Ironic(request) => faults::call(&self.handle, at, request),
            Effect::FetchConfigDrive {
                command,
                url,
                parameters,
            } => {
                let drives = &self.services().config_drives;
                let fetched = drives.fetch(id, Arc::clone(&url), parameters);
                Box::pin(async move {
                    let result = fetched.await;
                    Outcome::ConfigDriveFetched { command, url, result }
                })
            }
            Effect::ReadConfigDrive(config_drive) => {
                let read = self.services().config_drives.read(id, config_drive);
                Box::pin(async move { Outcome::ConfigDriveRead(read.await) })
            }
            Effect::Bootstrap { description, machine } => {
                let bootstrapped = self.services().clusters.bootstrap(machine, description);
                Box::pin(async move { Outcome::Bootstrapped(bootstrapped.await) })
            }
            Effect::ResolveBoot(request) => {
                let resolved = faults::resolve(&self.handle, at, request);
                Box::pin(async move { Outcome::Boot(resolved.await) })
            }
        };
        if let Poll::Ready(outcome) = outcome
            .as_mut()
            .poll(&mut task::Context::from_waker(Waker::noop()))
        {
            self.flying.retain(|flying| flying.number != number);
            return self.answered.push_back((at, epoch, outcome));
        }
        let computed = computed.then_some(at);
        let returned = outcome.into_actor(self).map(move |outcome, actor, context| {
            actor.flying.retain(|flying| flying.number != number);
            // Refused as stale, or caught as a fault: both are counted where they happen.
            drop(actor.apply_and_follow(computed, Event::Outcome { epoch, outcome }, context));
        });
        let handle = context.spawn(returned);
        if let Some(flying) = self.flying.iter_mut().find(|flying| flying.number == number) {
            flying.handle = Some(handle);
        }
    }

    /// Calls off what an earlier power or boot state began: a server without power sends nothing more.
    fn call_off_stale(&mut self, epoch: Epoch, context: &mut Context<Self>) {
        let recorder = &self.handle.services().recorder;
        self.flying.retain(|flying| {
            let current = flying.epoch == epoch;
            if !current {
                if let Some(handle) = flying.handle {
                    context.cancel_future(handle);
                }
                recorder.shell(ShellEvent::StaleOutcome);
            }
            current
        });
    }

    /// Arms the one timer to the node's next deadline.
    fn rearm(&mut self, now: SimInstant, context: &mut Context<Self>) {
        let deadline = self
            .handle
            .node()
            .next_deadline()
            .filter(|_| self.faults < MOST_FAULTS);
        if let (Some((armed, _)), Some(deadline)) = (self.timer, deadline)
            && armed == deadline
            && self.faults == 0
        {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            context.cancel_future(handle);
        }
        let Some(deadline) = deadline else { return };
        let real = deadline.since(now).as_secs_f64() / self.services().clock.speed();
        // After a fault the same step would fail again at once; each further try waits twice as long.
        let pause = Duration::from_secs(if self.faults == 0 { 0 } else { 1 << self.faults });
        let wait = Duration::try_from_secs_f64(real)
            .unwrap_or(Duration::MAX)
            .max(pause);
        // After a fault it is late on purpose.
        let on_time = self.faults == 0;
        let handle = context.run_later(wait, move |actor, context| {
            actor.timer = None;
            if on_time {
                actor.served(deadline);
            }
            drop(actor.apply(Event::Timer, context));
        });
        self.timer = Some((deadline, handle));
    }

    /// Tells how late the timer for this deadline is.
    fn served(&self, deadline: SimInstant) {
        let Services { clock, recorder, .. } = self.services();
        let late = clock
            .now()
            .since(deadline)
            .div_f64(clock.speed().max(f64::MIN_POSITIVE));
        recorder.shell(ShellEvent::TimerServed(late));
    }

    /// Answers the requests whose command has ended, and lets go of those whose agent is gone.
    fn settle_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let node = self.handle.node();
        let (epoch, agent) = (node.epoch(), node.agent());
        let mut still_waiting = Vec::new();
        for waiter in std::mem::take(&mut self.waiters) {
            let result = agent
                .filter(|_| epoch == waiter.epoch)
                .and_then(|agent| agent.command(waiter.command));
            match result {
                // Dropping the sender tells the request that no answer will come.
                None => {}
                Some(result) if result.command_status == CommandStatus::Running => still_waiting.push(waiter),
                Some(result) => {
                    let reply = Reply::Agent(AgentReply::Command(Arc::clone(result)));
                    drop(waiter.reply.send(Ok(reply)));
                }
            }
        }
        self.waiters = still_waiting;
    }
}

/// What is wrong with the node, as far as its cluster sees it.
fn shared(node: &Node) -> (Option<Arc<KubeletAffliction>>, Option<Arc<EtcdAffliction>>) {
    node.afflictions().map_or((None, None), |afflictions| {
        (afflictions.kubelet.clone(), afflictions.etcd.clone())
    })
}

impl Handler<FaultsChanged> for NodeActor {
    type Result = ();

    fn handle(&mut self, _: FaultsChanged, context: &mut Self::Context) {
        self.handle.told_of_faults();
        drop(self.apply(Event::FaultsChanged, context));
    }
}

impl Actor for NodeActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let now = self.services().clock.now();
        for (epoch, lost) in self.handle.take_lost() {
            match lost {
                Lost::Failed(outcome) => drop(self.apply(Event::Outcome { epoch, outcome }, context)),
                Lost::Again(drive) => {
                    let effect = Effect::ReadConfigDrive(drive);
                    self.perform(
                        Issued {
                            epoch,
                            at: now,
                            effect,
                        },
                        context,
                    );
                }
            }
        }
        self.rearm(now, context);
    }
}

impl Handler<Apply> for NodeActor {
    type Result = ();

    fn handle(
        &mut self,
        Apply {
            event,
            wait,
            reply,
            permit,
        }: Apply,
        context: &mut Self::Context,
    ) {
        let result = self.apply(event, context);
        // Before the answer: whoever has it may ask again.
        drop(permit);
        if let Ok(Reply::Agent(AgentReply::Command(command))) = &result
            && wait
            && command.command_status == CommandStatus::Running
        {
            self.waiters.retain(|waiter| !waiter.reply.is_closed());
            if self.waiters.len() < MOST_WAITERS {
                let epoch = self.handle.node().epoch();
                self.waiters.push(Waiter {
                    epoch,
                    command: command.id,
                    reply,
                });
                // It may have ended within the very step that began it.
                self.settle_waiters();
                return;
            }
        }
        // A caller that went away wants no answer; the change stands.
        drop(reply.send(result));
    }
}

impl Handler<Look> for NodeActor {
    type Result = ();

    fn handle(&mut self, Look(look): Look, context: &mut Self::Context) {
        let now = self.services().clock.now();
        // A timer that is late must not show the past: what is due happens before anybody looks.
        for _ in 0..MOST_ANSWERS {
            let deadline = self.handle.node().next_deadline();
            if self.faults > 0 || deadline.is_none_or(|deadline| deadline > now) {
                break;
            }
            drop(self.apply(Event::Timer, context));
        }
        look(&self.handle.node(), now);
    }
}

impl Handler<Kill> for NodeActor {
    type Result = ();

    fn handle(&mut self, Kill { gone, permit }: Kill, context: &mut Self::Context) {
        drop(permit);
        // Dropped with all that the actor waits for.
        context.spawn(
            async move {
                let _gone = gone;
                std::future::pending::<()>().await;
            }
            .into_actor(self),
        );
        context.terminate();
    }
}

impl Drop for NodeActor {
    fn drop(&mut self) {
        // Its successor learns what it waits for in vain.
        let lost = self.flying.drain(..);
        self.handle
            .lose(lost.filter_map(|flying| Some((flying.epoch, *flying.lost?))));
        if std::thread::panicking() {
            tracing::error!(node = %self.handle.identity().name, "a node's actor panicked");
        }
    }
}
