//! Shards: supervisors that start nodes in batches, restart those whose actor died, and stop them.
//!
//! They are the control plane. Requests go from the directory straight to a node's actor.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Arbiter, AsyncContext as _, Context, Handler, Message};
use tokio::sync::oneshot;

use super::handle::{NodeRef, Permits};
use super::node::{NodeActor, Services};
use crate::node::{Identity, Kind, Node};
use crate::ports::ShellEvent;
use crate::seed::Seed;

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
        let mut shares: Vec<Vec<Member>> = (0..shard_count).map(|_| Vec::new()).collect();
        let mut handles = Vec::with_capacity(nodes.len());
        let node_seed = seed.child("node");
        for start in nodes {
            let shard = shard_of(&start.identity, shard_count);
            let own = node_seed.child(&start.identity.id.to_string());
            let index = u16::try_from(shard).unwrap_or(u16::MAX);
            let (identity, kind) = (Arc::clone(&start.identity), Arc::clone(&start.kind));
            let handle = Arc::new(NodeRef::new(identity, kind, index, Arc::clone(&permits)));
            handles.push(Arc::clone(&handle));
            shares[shard].push(Member {
                handle,
                start,
                seed: own,
            });
        }
        let mut shards = Vec::with_capacity(shard_count);
        let mut ready = Vec::with_capacity(shard_count);
        for (index, members) in shares.into_iter().enumerate() {
            let (started, done) = oneshot::channel();
            let services = Arc::clone(&services);
            let arbiter = arbiters[index % arbiters.len()].handle();
            shards.push(Supervisor::start_in_arbiter(&arbiter, move |_| Supervisor {
                services,
                waiting: members,
                running: Vec::new(),
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

    /// Looks for actors that died and starts them again, now. Returns how many there were.
    pub async fn sweep(&self) -> usize {
        let mut restarted = 0;
        for shard in &self.shards {
            restarted += shard.send(Sweep).await.unwrap_or(0);
        }
        restarted
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

struct Member {
    handle: Arc<NodeRef>,
    start: NodeStart,
    seed: Seed,
}

struct Running {
    handle: Arc<NodeRef>,
    node: Rc<RefCell<Node>>,
}

struct Supervisor {
    services: Arc<Services>,
    waiting: Vec<Member>,
    running: Vec<Running>,
    started: Option<oneshot::Sender<()>>,
}

impl Supervisor {
    /// Starts a batch, then comes back for the next.
    fn start_batch(&mut self, context: &mut Context<Self>) {
        let first = self.waiting.len().saturating_sub(BATCH);
        for Member { handle, start, seed } in self.waiting.split_off(first) {
            let mut node = Node::new(start.identity, start.kind, seed);
            if start.power_on {
                node.start_powered(self.services.clock.now());
            }
            let id = node.identity().id;
            let recorder = &self.services.recorder;
            handle.publish(node.power_state(), node.phase());
            recorder.power(id, None, node.power_state());
            recorder.phase(id, None, node.phase());
            let running = Running {
                handle,
                node: Rc::new(RefCell::new(node)),
            };
            self.start_actor(&running);
            self.running.push(running);
        }
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
            if let Some(started) = self.started.take() {
                started.send(()).ok();
            }
        } else {
            context.run_later(Duration::ZERO, Self::start_batch);
        }
    }

    fn start_actor(&self, running: &Running) {
        let actor = NodeActor::new(
            Rc::clone(&running.node),
            Arc::clone(&running.handle),
            Arc::clone(&self.services),
        );
        running.handle.attach(actor.start());
    }

    /// An actor that panicked outside its caught step is gone, its node is not.
    fn sweep(&self) -> usize {
        let dead = self
            .running
            .iter()
            .filter(|running| !running.handle.is_connected());
        dead.map(|running| {
            self.services.recorder.shell(ShellEvent::ActorRestarted);
            self.start_actor(running);
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
