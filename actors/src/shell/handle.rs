//! What the rest of the program holds of a node: its identity, its committed state, and the one way to change it.
//!
//! Only the node's actor writes the state; readers take it where it is, without a message. A reader sees every change
//! that was answered before it asked, because a change is committed before it is answered.
//!
//! actix mailboxes do not push back, so a permit is taken before a message is sent: one of the node's, one of the
//! whole process. Without a permit the caller is told at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use super::lost::Lost;
use super::messages::{Apply, Failure, FaultsChanged, Kill, Look};
use super::node::{NodeActor, Services};
use crate::fault::{Occasions, Site, SiteKind, Struck};
use crate::ids::{Epoch, NodeId};
use crate::node::bmc::PowerState;
use crate::node::effect::FaultHit;
use crate::node::os::description::SystemDescription;
use crate::node::phase::Phase;
use crate::node::{Event, Identity, Kind, Node, Refused, Reply};
use crate::ports::{Recorder, ShellEvent, Whom};
use crate::time::SimInstant;

/// Requests that may be under way at once.
pub struct Permits {
    total: u32,
    free: AtomicU32,
    per_node: u16,
    recorder: Arc<dyn Recorder>,
}

impl Permits {
    /// `total` for the whole process, `per_node` for one node.
    #[must_use]
    pub fn new(total: u32, per_node: u16, recorder: Arc<dyn Recorder>) -> Self {
        Self {
            total,
            free: AtomicU32::new(total),
            per_node,
            recorder,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// How many are taken: requests that wait in mailboxes, or are being answered.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.total.saturating_sub(self.free.load(Ordering::Acquire))
    }
}

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Too many requests are under way for this node or for the process.
    #[error("too many requests are under way")]
    Busy,
    /// The node refused; it is unchanged.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A bug of the simulator was caught; the node is unchanged.
    #[error("internal error")]
    Fault,
    /// The answer cannot come any more: the agent that should have given it is gone, or the process is stopping.
    #[error("no answer")]
    Gone,
}

/// A node as the rest of the program sees it.
pub struct NodeRef {
    identity: Arc<Identity>,
    kind: Arc<Kind>,
    shard: u16,
    node: RwLock<Node>,
    address: RwLock<Option<Addr<NodeActor>>>,
    in_use: AtomicU16,
    power: AtomicU8,
    phase: AtomicU8,
    /// How often its frontends met each fault.
    met: Mutex<Occasions>,
    /// Its actor is to be told that the faults in force are others.
    faults_changed: AtomicBool,
    /// What an actor that died was waiting for.
    lost: Mutex<Vec<(Epoch, Lost)>>,
    permits: Arc<Permits>,
    services: Arc<Services>,
}

/// A permit of a node and of the process; both return when it is dropped.
pub(super) struct Permit(Arc<NodeRef>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::AcqRel);
        self.0.permits.free.fetch_add(1, Ordering::AcqRel);
    }
}

impl NodeRef {
    pub(super) fn new(node: Node, shard: u16, permits: Arc<Permits>, services: Arc<Services>) -> Self {
        Self {
            identity: Arc::clone(node.identity()),
            kind: Arc::clone(node.shared_kind()),
            shard,
            address: RwLock::new(None),
            in_use: AtomicU16::new(0),
            power: AtomicU8::new(power_index(node.power_state())),
            phase: AtomicU8::new(node.phase() as u8),
            met: Mutex::default(),
            faults_changed: AtomicBool::new(false),
            lost: Mutex::default(),
            node: RwLock::new(node),
            permits,
            services,
        }
    }

    /// The committed state.
    pub(super) fn node(&self) -> RwLockReadGuard<'_, Node> {
        // A panic while it was held cannot have left it half changed: it is replaced whole.
        self.node.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the committed state. Only the node's actor calls this.
    pub(super) fn commit(&self, next: Node) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// What the actors of the process share.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    /// Who the node is.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// What it shares with others of its kind.
    #[must_use]
    pub fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    /// The shard that runs it.
    #[must_use]
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// Power state as last published: after every step, without asking the actor.
    #[must_use]
    pub fn power(&self) -> PowerState {
        match self.power.load(Ordering::Acquire) {
            1 => PowerState::PoweringOn,
            2 => PowerState::On,
            3 => PowerState::PoweringOff,
            _ => PowerState::Off,
        }
    }

    /// Phase as last published.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::from_index(self.phase.load(Ordering::Acquire)).unwrap_or(Phase::Off)
    }

    /// What the config drive made of the installed system that runs, as last committed.
    #[must_use]
    pub fn system(&self) -> Option<Arc<SystemDescription>> {
        self.node().os()?.description().cloned()
    }

    pub(super) fn publish(&self, power: PowerState, phase: Phase) {
        self.power.store(power_index(power), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn attach(&self, address: Addr<NodeActor>) {
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(super) fn is_connected(&self) -> bool {
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        address.as_ref().is_some_and(Addr::connected)
    }

    fn permit(self: &Arc<Self>) -> Result<Permit, AskError> {
        let refuse = || {
            self.permits.recorder.shell(ShellEvent::PermitRefused);
            AskError::Busy
        };
        let free = &self.permits.free;
        if free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1))
            .is_err()
        {
            return Err(refuse());
        }
        let below_limit = |used: u16| (used < self.permits.per_node).then_some(used + 1);
        if self
            .in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, below_limit)
            .is_err()
        {
            free.fetch_add(1, Ordering::AcqRel);
            return Err(refuse());
        }
        Ok(Permit(Arc::clone(self)))
    }

    /// The one place that puts a message into a node's mailbox.
    #[expect(
        clippy::disallowed_methods,
        reason = "the permit bounds the mailbox, of other messages one waits at most; a message carries its own reply"
    )]
    fn send<M>(&self, message: M) -> Result<(), AskError>
    where
        M: actix::Message<Result = ()> + Send + 'static,
        NodeActor: actix::Handler<M>,
    {
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        address.as_ref().ok_or(AskError::Gone)?.do_send(message);
        Ok(())
    }

    /// Something is about to be done for the node outside its step: the first fault that makes it go wrong, if one does.
    /// It is recorded.
    #[must_use]
    pub fn strike(&self, site: Site<'_>) -> Option<Struck> {
        self.strike_at(self.services.clock.now(), site)
    }

    /// As [`Self::strike`], for something that happens at `now`, however late the node's timer was served.
    pub(super) fn strike_at(&self, now: SimInstant, site: Site<'_>) -> Option<Struck> {
        let faults = self
            .services
            .faults
            .against_at(site.kind(), self.identity.index)?;
        let struck = {
            let node = self.node();
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            faults.at(site, node.facts(), now, &mut met).map(Struck::from)
        }?;
        self.record_fault(now, &struck);
        Some(struck)
    }

    /// As [`Self::strike`], but every fault that strikes, where several add up.
    #[must_use]
    pub fn strike_all(&self, site: Site<'_>) -> Vec<Struck> {
        self.strike_all_at(self.services.clock.now(), site)
    }

    /// As [`Self::strike_all`], for something that happens at `now`.
    pub(super) fn strike_all_at(&self, now: SimInstant, site: Site<'_>) -> Vec<Struck> {
        let Some(faults) = self.services.faults.against_at(site.kind(), self.identity.index) else {
            return Vec::new();
        };
        let struck: Vec<Struck> = {
            let node = self.node();
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            let hits = faults.all_at(site, node.facts(), now, &mut met);
            hits.into_iter().map(Struck::from).collect()
        };
        for struck in &struck {
            self.record_fault(now, struck);
        }
        struck
    }

    /// Whether a fault could ever strike at this very site. Counts and records nothing.
    #[must_use]
    pub fn concerned(&self, site: Site<'_>) -> bool {
        let index = self.identity.index;
        let faults = self.services.faults.against_at(site.kind(), index);
        faults.is_some_and(|faults| faults.concerns(site, index))
    }

    /// Version of the faults in force, which are those of all nodes.
    #[must_use]
    pub fn faults_version(&self) -> u64 {
        self.services.faults.version()
    }

    fn record_fault(&self, now: SimInstant, struck: &Struck) {
        let recorder = &self.services.recorder;
        recorder.fault(Whom::Node(self.identity.id), &FaultHit::new(now, struck));
    }

    /// Whether its BMC has no power.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        let faults = &self.services.faults;
        faults.against_at(SiteKind::Power, self.identity.index).is_some()
            && self
                .node()
                .afflictions()
                .and_then(|afflictions| afflictions.power_loss)
                .is_some_and(|loss| loss.bmc)
    }

    /// The real time that a delay of a fault takes.
    #[must_use]
    pub fn real_time(&self, simulated: Duration) -> Duration {
        simulated.div_f64(self.services.clock.speed().max(f64::MIN_POSITIVE))
    }

    /// The faults in force are others: the node's actor is told, unless it will be anyway.
    pub(super) fn tell_of_faults(&self) {
        if !self.faults_changed.swap(true, Ordering::AcqRel) && self.send(FaultsChanged).is_err() {
            self.told_of_faults();
        }
    }

    /// The actor looks at the faults in force.
    pub(super) fn told_of_faults(&self) {
        self.faults_changed.store(false, Ordering::Release);
    }

    /// An actor dies while it waits for these.
    pub(super) fn lose(&self, lost: impl Iterator<Item = (Epoch, Lost)>) {
        self.lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(lost);
    }

    /// What an actor that died was waiting for.
    pub(super) fn take_lost(&self) -> Vec<(Epoch, Lost)> {
        std::mem::take(&mut self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the node's actor, as a bug would: its state stays, what it was asked is not answered, and what it was waiting for has
    /// failed. [`super::Shards::revive`] or its supervisor's next round starts it again. Returns when it is gone.
    ///
    /// # Errors
    /// `Busy` without a permit, `Gone` if there is no actor.
    pub async fn kill(self: &Arc<Self>) -> Result<(), AskError> {
        let permit = self.permit()?;
        let (gone, wait) = oneshot::channel();
        self.send(Kill { gone, permit })?;
        // It is never sent, but dropped with the actor.
        wait.await.ok();
        Ok(())
    }

    /// Runs `look` on the node. It sees every change that was answered before.
    ///
    /// If the node's timer is late, its actor catches up first: a look never shows the past.
    ///
    /// # Errors
    /// `Fault` if `look` panicked; if the actor has to be asked, `Busy` without a permit and `Gone` while the process
    /// stops.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Node, SimInstant) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        let now = self.services.clock.now();
        {
            let node = self.node();
            if node.next_deadline().is_none_or(|deadline| deadline > now) {
                return caught(&self.services, self.identity.id, || look(&node, now));
            }
        }
        let permit = self.permit()?;
        let (sender, receiver) = oneshot::channel();
        let (services, id) = (Arc::clone(&self.services), self.identity.id);
        self.send(Look(Box::new(move |node, now| {
            // A reader that went away wants no answer.
            if !sender.is_closed() {
                let seen = caught(&services, id, || look(node, now));
                drop(permit);
                drop(sender.send(seen));
            }
        })))?;
        receiver.await.map_err(|_| AskError::Gone)?
    }

    /// Applies an event. It takes effect even if the caller stops waiting.
    ///
    /// # Errors
    /// Every [`AskError`].
    pub async fn act(self: &Arc<Self>, event: Event) -> Result<Reply, AskError> {
        self.apply(event, false).await
    }

    /// Applies an event of the agent's API and waits until the command that it begins or names has ended.
    ///
    /// # Errors
    /// Every [`AskError`]; `Gone` if the agent stops before.
    pub async fn act_and_wait(self: &Arc<Self>, event: Event) -> Result<Reply, AskError> {
        self.apply(event, true).await
    }

    async fn apply(self: &Arc<Self>, event: Event, wait: bool) -> Result<Reply, AskError> {
        let permit = self.permit()?;
        let (reply, receiver) = oneshot::channel();
        self.send(Apply {
            event,
            wait,
            reply,
            permit,
        })?;
        match receiver.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(Failure::Refused(refused))) => Err(AskError::Refused(refused)),
            Ok(Err(Failure::Fault)) => Err(AskError::Fault),
            Err(_) => Err(AskError::Gone),
        }
    }
}

fn power_index(power: PowerState) -> u8 {
    match power {
        PowerState::Off => 0,
        PowerState::PoweringOn => 1,
        PowerState::On => 2,
        PowerState::PoweringOff => 3,
    }
}

/// Runs a look; a panic in it costs the one who asked, and is counted.
fn caught<T>(services: &Services, node: NodeId, look: impl FnOnce() -> T) -> Result<T, AskError> {
    catch_unwind(AssertUnwindSafe(look)).map_err(|_| {
        services.recorder.panicked(Whom::Node(node));
        AskError::Fault
    })
}
