//! Shards: supervisors that start nodes in batches, restart those whose actor died, and stop them.
//!
//! They are the control plane. Requests go from the directory straight to a node's actor.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Arbiter, AsyncContext as _, Context, Handler, Message};
use tokio::sync::oneshot;

use super::board::FaultBoard;
use super::handle::{NodeRef, Permits};
use super::node::{NodeActor, Services};
use crate::fault::{Change, FaultSet, Fleet as FleetList, NotChanged};
use crate::node::disk::Image;
use crate::node::{Effect, Effects, Identity, Kind, Node, Record};
use crate::ports::{ShellEvent, Whom};
use crate::seed::Seed;
use crate::time::SimInstant;

/// Nodes that a shard starts before it lets other work of its thread run.
const BATCH: usize = 1000;
/// How often a shard looks for actors that died.
const SWEEP: Duration = Duration::from_secs(30);

/// A node to start.
pub struct NodeStart {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What it shares.
    pub kind: Arc<Kind>,
    /// It starts with power on, and boots.
    pub power_on: bool,
    /// What is on its disk; none: nothing.
    pub installed: Option<Installed>,
}

/// A system on a disk.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The image.
    pub image: Image,
    /// The config drive: base64 of a gzipped ISO 9660 file system.
    pub config_drive: Arc<str>,
}

/// How nodes are spread over threads.
#[derive(Clone, Copy, Debug)]
pub struct ShardPlan {
    /// Threads.
    pub arbiters: usize,
    /// Shards on each.
    pub shards_per_arbiter: usize,
}

/// The running nodes and the threads they run on.
pub struct Fleet {
    nodes: Vec<Arc<NodeRef>>,
    shards: Vec<actix::Addr<Supervisor>>,
    arbiters: Vec<Arbiter>,
}

impl Fleet {
    /// Starts `nodes`; returns when all run. `seed` is the scenario's.
    pub async fn start(
        plan: ShardPlan,
        seed: Seed,
        nodes: Vec<NodeStart>,
        services: Arc<Services>,
        permits: Arc<Permits>,
    ) -> Self {
        let arbiters: Vec<Arbiter> = (0..plan.arbiters.max(1)).map(|_| Arbiter::new()).collect();
        let shard_count = arbiters.len() * plan.shards_per_arbiter.max(1);
        let mut shares: Vec<Vec<Arc<NodeRef>>> = (0..shard_count).map(|_| Vec::new()).collect();
        let mut handles = Vec::with_capacity(nodes.len());
        let node_seed = seed.child("node");
        for start in nodes {
            let shard = shard_of(&start.identity, shard_count);
            let own = node_seed.child(&start.identity.id.to_string());
            let mut node = Node::new(start.identity, start.kind, own);
            let mut effects = Effects::under(services.faults.against(node.identity().index));
            if let Some(Installed { image, config_drive }) = start.installed {
                node.install(image, config_drive);
            }
            // However long the start of the fleet takes, its life begins at the start of time.
            node.start(SimInstant::START, start.power_on, &mut effects);
            let id = node.identity().id;
            services.recorder.power(id, None, node.power_state());
            for issued in effects.drain() {
                match issued.effect {
                    Effect::Record(Record::Phase(change)) => services.recorder.phase(id, &change),
                    Effect::Record(Record::Fault(hit)) => services.recorder.fault(Whom::Node(id), &hit),
                    // A node that was off asks for nothing before its first wait has ended.
                    _ => {}
                }
            }
            let index = u16::try_from(shard).unwrap_or(u16::MAX);
            let handle = Arc::new(NodeRef::new(
                node,
                index,
                Arc::clone(&permits),
                Arc::clone(&services),
            ));
            handles.push(Arc::clone(&handle));
            shares[shard].push(handle);
        }
        let mut shards = Vec::with_capacity(shard_count);
        let mut ready = Vec::with_capacity(shard_count);
        for (index, members) in shares.into_iter().enumerate() {
            let (started, done) = oneshot::channel();
            let services = Arc::clone(&services);
            let arbiter = arbiters[index % arbiters.len()].handle();
            shards.push(Supervisor::start_in_arbiter(&arbiter, move |_| Supervisor {
                services,
                nodes: members,
                next: 0,
                started: Some(started),
            }));
            ready.push(done);
        }
        for done in ready {
            // The sender lives in the supervisor, which outlives this call unless its thread panicked.
            if done.await.is_err() {
                tracing::error!("a shard did not start");
            }
        }
        Self {
            nodes: handles,
            shards,
            arbiters,
        }
    }

    /// The nodes, in the order in which they were given.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<NodeRef>] {
        &self.nodes
    }

    /// Changes the faults, and tells the nodes that it concerns. Answers with the snapshot in force.
    ///
    /// # Errors
    /// Why the change was not made.
    pub fn change_faults(
        nodes: &[Arc<NodeRef>],
        board: &FaultBoard,
        change: Change,
        fleet: &dyn FleetList,
    ) -> Result<Arc<FaultSet>, NotChanged> {
        let (before, after) = board.change(change, fleet)?;
        for node in nodes {
            let index = node.identity().index;
            if before.touches_node(index) || after.touches_node(index) {
                node.tell_of_faults();
            }
        }
        Ok(after)
    }

    /// Looks for actors that died and starts them again, now. Returns how many there were.
    pub async fn sweep(&self) -> usize {
        let mut restarted = 0;
        for shard in &self.shards {
            restarted += shard.send(Sweep).await.unwrap_or(0);
        }
        restarted
    }

    /// The supervisors, for those who kill actors.
    #[must_use]
    pub fn shards(&self) -> Shards {
        Shards(self.shards.as_slice().into())
    }

    /// Stops the threads and waits for them.
    pub fn stop(self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        for arbiter in self.arbiters {
            if arbiter.join().is_err() {
                tracing::error!("a thread of nodes panicked while stopping");
            }
        }
    }
}

/// The supervisors of a fleet.
#[derive(Clone)]
pub struct Shards(Arc<[actix::Addr<Supervisor>]>);

impl Shards {
    /// Has a node's supervisor look for actors that died and start them again, now.
    pub async fn revive(&self, node: &NodeRef) {
        if let Some(shard) = self.0.get(usize::from(node.shard())) {
            // One that has stopped has no nodes to start.
            shard.send(Sweep).await.ok();
        }
    }
}

/// Stable over processes and replicas: FNV-1a of the UUID.
fn shard_of(identity: &Identity, shards: usize) -> usize {
    let hash = identity
        .id
        .as_uuid()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    usize::try_from(hash % shards.max(1) as u64).unwrap_or(0)
}

pub(super) struct Supervisor {
    services: Arc<Services>,
    nodes: Vec<Arc<NodeRef>>,
    /// The first node that has not been started.
    next: usize,
    started: Option<oneshot::Sender<()>>,
}

impl Supervisor {
    /// Starts a batch, then comes back for the next.
    fn start_batch(&mut self, context: &mut Context<Self>) {
        for node in self.nodes.iter().skip(self.next).take(BATCH) {
            start_actor(node);
        }
        self.next += BATCH;
        if self.next < self.nodes.len() {
            context.run_later(Duration::ZERO, Self::start_batch);
        } else if let Some(started) = self.started.take() {
            started.send(()).ok();
        }
    }

    /// An actor that panicked outside its caught step is gone, its node is not: the state is kept in the handle.
    fn sweep(&self) -> usize {
        let dead = self
            .nodes
            .iter()
            .take(self.next)
            .filter(|node| !node.is_connected());
        dead.map(|node| {
            self.services.recorder.shell(ShellEvent::ActorRestarted);
            start_actor(node);
        })
        .count()
    }

    fn sweep_later(&mut self, context: &mut Context<Self>) {
        context.run_later(SWEEP, |supervisor, context| {
            supervisor.sweep();
            supervisor.sweep_later(context);
        });
    }
}

/// Starts the actor of a node on this thread.
fn start_actor(node: &Arc<NodeRef>) {
    node.attach(NodeActor::new(Arc::clone(node)).start());
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.start_batch(context);
        self.sweep_later(context);
    }
}

#[derive(Message)]
#[rtype(result = "usize")]
struct Sweep;

impl Handler<Sweep> for Supervisor {
    type Result = usize;

    fn handle(&mut self, _: Sweep, _: &mut Self::Context) -> usize {
        self.sweep()
    }
}
