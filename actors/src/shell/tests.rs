//! The shell: what it keeps when something breaks, and what it refuses when it is asked too much.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::{AskError, FaultBoard, Fleet, NodeRef, NodeStart, Permits, Services, ShardPlan};
use crate::node::agent::command::Operation;
use crate::node::agent::{AgentReply, AgentRequest};
use crate::node::bmc::{BmcCommand, BootTarget, OverrideEnabled, PowerState, ResetType, Secret};
use crate::node::os::intent::Role;
use crate::node::phase::Phase;
use crate::node::{Event, Kind, Refused, Reply};
use crate::ports::ShellEvent;
use crate::seed::Seed;
use crate::testkit::{
    AgentMedia, HandClock, KindClusters, KindIronic, Members, Notes, ReadDrives, Rig, boot_override,
    identity, kind, only_faults,
};
use crate::timing::{Latency, Timing};
use crate::wire::agent::CommandStatus;

struct World {
    fleet: Fleet,
    clock: Arc<HandClock>,
    ironic: Arc<KindIronic>,
    notes: Arc<Notes>,
    clusters: Arc<KindClusters>,
    board: Arc<FaultBoard>,
}

impl World {
    async fn start(nodes: usize, timing: Timing) -> Self {
        let (clock, ironic, notes) = (
            Arc::<HandClock>::default(),
            Arc::<KindIronic>::default(),
            Arc::<Notes>::default(),
        );
        let (clusters, board) = (Arc::<KindClusters>::default(), Arc::<FaultBoard>::default());
        let services = Arc::new(Services {
            clock: clock.clone(),
            ironic: ironic.clone(),
            boot_media: Arc::new(AgentMedia),
            config_drives: Arc::new(ReadDrives(|_| Rig::kubeadm_description("host", Role::JoinWorker))),
            clusters: clusters.clone(),
            recorder: notes.clone(),
            faults: board.clone(),
        });
        let permits = Arc::new(Permits::new(100, 4, notes.clone()));
        let kind: Arc<Kind> = kind(timing);
        let starts = (0..nodes)
            .map(|index| NodeStart {
                identity: identity(&format!("n{index}")),
                kind: Arc::clone(&kind),
                power_on: false,
                installed: None,
            })
            .collect();
        let plan = ShardPlan {
            arbiters: 2,
            shards_per_arbiter: 2,
        };
        let fleet = Fleet::start(plan, Seed::root(1), starts, services, permits).await;
        Self {
            fleet,
            clock,
            ironic,
            notes,
            clusters,
            board,
        }
    }

    fn set_faults(&self, faults: serde_json::Value) {
        let nodes = self.fleet.nodes();
        Fleet::change_faults(nodes, &self.board, only_faults(faults), &Members(nodes)).unwrap();
    }

    fn node(&self, index: usize) -> &Arc<NodeRef> {
        &self.fleet.nodes()[index]
    }

    fn stop(self) {
        self.fleet.stop();
    }
}

fn reset(reset: ResetType) -> Event {
    Event::Bmc {
        if_match: None,
        command: BmcCommand::Reset(reset),
    }
}

fn call(name: &str, params: serde_json::Value) -> Event {
    let operation = Operation::Execute {
        name: name.to_owned(),
        params: params.as_object().cloned().unwrap_or_default(),
    };
    Event::Agent(AgentRequest {
        token: Some(Secret::new("token")),
        operation,
    })
}

async fn wait_for(node: &Arc<NodeRef>, phase: Phase) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while node.read(|node, _| node.phase()).await.expect("the node answers") != phase {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("phase {phase:?} is reached, not {:?}", node.phase()));
}

async fn boot_from_network(node: &Arc<NodeRef>, enabled: OverrideEnabled) {
    let event = Event::Bmc {
        if_match: None,
        command: boot_override(BootTarget::Pxe, enabled),
    };
    node.act(event).await.unwrap();
}

async fn boot_agent(node: &Arc<NodeRef>) {
    boot_from_network(node, OverrideEnabled::Once).await;
    node.act(reset(ResetType::On)).await.unwrap();
    wait_for(node, Phase::AgentReady).await;
}

#[actix::test]
async fn nodes_boot_and_talk_to_ironic_by_themselves() {
    let world = World::start(5, Timing::instant()).await;
    for node in world.fleet.nodes() {
        boot_agent(node).await;
        assert_eq!(node.power(), PowerState::On);
    }
    let calls = world.ironic.calls.lock().unwrap().clone();
    for kind in ["inspect", "discover", "lookup", "heartbeat"] {
        assert_eq!(calls.iter().filter(|call| **call == kind).count(), 5, "{kind}");
    }
    world.stop();
}

#[actix::test]
async fn power_loss_calls_off_what_the_agent_has_under_way() {
    let world = World::start(1, Timing::instant()).await;
    let node = world.node(0);
    world.ironic.silent.store(true, Ordering::Release);
    boot_from_network(node, OverrideEnabled::Once).await;
    node.act(reset(ResetType::On)).await.unwrap();
    wait_for(node, Phase::Inspecting).await;
    assert_eq!(world.ironic.called_off.load(Ordering::Acquire), 0);
    node.act(reset(ResetType::ForceOff)).await.unwrap();
    let called_off = tokio::time::timeout(Duration::from_secs(60), async {
        while world.ironic.called_off.load(Ordering::Acquire) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    called_off.await.expect("the call is called off");
    assert_eq!(world.notes.count(ShellEvent::StaleOutcome), 1);
    world.stop();
}

#[actix::test]
async fn a_panic_in_a_step_leaves_the_node_as_it_was() {
    let world = World::start(1, Timing::instant()).await;
    let node = world.node(0);
    for _ in 0..7 {
        assert!(matches!(node.act(Event::Bug).await, Err(AskError::Fault)));
        assert_eq!(
            node.read(|node, _| node.power_state()).await.unwrap(),
            PowerState::Off
        );
    }
    assert_eq!(world.notes.count(ShellEvent::StepPanicked), 7);
    assert_eq!(world.notes.count(ShellEvent::NodeParked), 1);
    assert_eq!(
        node.act(reset(ResetType::On)).await.unwrap(),
        Reply::Done,
        "it works on after a good step"
    );
    assert_eq!(node.phase(), Phase::NoBootDevice);
    world.stop();
}

#[actix::test]
async fn a_panic_in_a_read_costs_the_reader_only() {
    let world = World::start(1, Timing::instant()).await;
    let panicking = world
        .node(0)
        .read(|_, _| -> () { panic!("a bug in a frontend, on purpose") })
        .await;
    assert!(matches!(panicking, Err(AskError::Fault)));
    assert!(world.node(0).read(|node, _| node.epoch()).await.is_ok());
    world.stop();
}

#[actix::test]
async fn an_actor_that_died_is_started_again_with_its_last_state() {
    let world = World::start(2, Timing::instant()).await;
    let node = world.node(0);
    node.act(Event::Bmc {
        if_match: None,
        command: BmcCommand::SetAssetTag("kept".into()),
    })
    .await
    .unwrap();
    world.ironic.panicking.store(true, Ordering::Release);
    boot_from_network(node, OverrideEnabled::Continuous).await;
    drop(node.act(reset(ResetType::On)).await);
    let restarted = tokio::time::timeout(Duration::from_secs(60), async {
        while world.fleet.sweep().await == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    restarted.await.expect("the actor died and was found");
    assert_eq!(world.notes.count(ShellEvent::ActorRestarted), 1);
    let tag = node
        .read(|node, _| node.bmc().asset_tag().map(str::to_owned))
        .await
        .unwrap();
    assert_eq!(tag.as_deref(), Some("kept"));
    assert!(world.node(1).read(|_, _| ()).await.is_ok(), "neighbours live on");
    node.act(reset(ResetType::ForceRestart)).await.unwrap();
    wait_for(node, Phase::AgentReady).await;
    world.stop();
}

#[actix::test]
async fn an_actor_that_was_killed_goes_on_where_it_was() {
    let world = World::start(2, Timing::instant()).await;
    let node = world.node(0);
    boot_from_network(node, OverrideEnabled::Continuous).await;
    // Its first call hangs, and dies with the actor.
    world.ironic.silent.store(true, Ordering::Release);
    node.act(reset(ResetType::On)).await.unwrap();
    while world.ironic.calls.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let phase = node.phase();
    world.ironic.silent.store(false, Ordering::Release);
    node.kill().await.unwrap();
    assert!(matches!(
        node.act(reset(ResetType::Nmi)).await,
        Err(AskError::Gone)
    ));
    world.fleet.shards().revive(node).await;
    assert_eq!(world.notes.count(ShellEvent::ActorRestarted), 1);
    assert_eq!(node.read(|node, _| node.phase()).await.unwrap(), phase);
    // The call has failed, so it is tried again.
    while node.read(|node, _| node.next_deadline()).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.clock.pass(Duration::from_secs(3600));
    wait_for(node, Phase::AgentReady).await;
    assert!(world.node(1).read(|_, _| ()).await.is_ok(), "neighbours live on");
    world.stop();
}

#[actix::test]
async fn a_request_that_nobody_waits_for_takes_effect() {
    let world = World::start(1, Timing::default()).await;
    let node = Arc::clone(world.node(0));
    let release = keep_busy(&world, &node).await;
    {
        let tag = BmcCommand::SetAssetTag("set".into());
        let mut request = Box::pin(node.act(Event::Bmc {
            if_match: None,
            command: tag,
        }));
        // The first poll sends; then the client hangs up.
        assert!(futures_poll_once(&mut request).await);
    }
    release.send(()).unwrap();
    let set = tokio::time::timeout(Duration::from_secs(60), async {
        while node
            .read(|node, _| node.bmc().asset_tag().is_none())
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    set.await.expect("the change is made");
    world.stop();
}

/// Keeps a node's actor from its mailbox until the sender sends. The world's timing must be the default one.
async fn keep_busy(world: &World, node: &Arc<NodeRef>) -> std::sync::mpsc::SyncSender<()> {
    node.act(reset(ResetType::On)).await.unwrap();
    // The node's timer is late now, so a look goes through its actor.
    world.clock.pass(Duration::from_secs(1));
    let (release, blocked) = std::sync::mpsc::sync_channel::<()>(1);
    let (entered, inside) = tokio::sync::oneshot::channel();
    let node = Arc::clone(node);
    actix::spawn(async move {
        let busy = node.read(move |_, _| {
            entered.send(()).ok();
            blocked.recv().is_ok()
        });
        busy.await.expect("the look ends");
    });
    inside.await.expect("the actor is busy");
    release
}

/// Polls once; true if the future is not ready.
async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[actix::test]
async fn too_many_requests_for_a_node_are_refused_and_the_permits_return() {
    let world = World::start(1, Timing::default()).await;
    let node = Arc::clone(world.node(0));
    let release = keep_busy(&world, &node).await;
    let mut resets: Vec<_> = (0..3)
        .map(|_| Box::pin(node.act(reset(ResetType::Nmi))))
        .collect();
    for waiting in &mut resets {
        assert!(futures_poll_once(waiting).await);
    }
    assert!(matches!(
        node.act(reset(ResetType::Nmi)).await,
        Err(AskError::Busy)
    ));
    assert_eq!(world.notes.count(ShellEvent::PermitRefused), 1);
    // Callers that hang up do not get their permits back before their messages are dealt with.
    drop(resets);
    assert!(matches!(
        node.act(reset(ResetType::Nmi)).await,
        Err(AskError::Busy)
    ));
    release.send(()).unwrap();
    let free = tokio::time::timeout(Duration::from_secs(60), async {
        while matches!(node.act(reset(ResetType::Nmi)).await, Err(AskError::Busy)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    free.await.expect("the permits are free again");
    world.stop();
}

#[actix::test]
async fn a_waiting_request_is_answered_at_the_end_and_dropped_with_the_agent() {
    let world = World::start(
        1,
        Timing {
            agent_command: Latency::millis(20),
            ..Timing::instant()
        },
    )
    .await;
    let node = world.node(0);
    boot_agent(node).await;
    world.clock.pass(Duration::from_secs(1));
    let clock = Arc::clone(&world.clock);
    let ticking = actix::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            clock.pass(Duration::from_millis(1));
        }
    });
    let step = json!({"step": {"interface": "deploy", "step": "erase_pstore"}});
    let Reply::Agent(AgentReply::Command(done)) = node
        .act_and_wait(call("clean.execute_clean_step", step))
        .await
        .unwrap()
    else {
        panic!("a command result")
    };
    assert_eq!(done.command_status, CommandStatus::Succeeded);
    let gone = node.act_and_wait(call("standby.power_off", json!({}))).await;
    assert!(matches!(gone, Err(AskError::Gone)), "{gone:?}");
    let refused = node.act(call("standby.sync", json!({}))).await;
    assert!(
        matches!(refused, Err(AskError::Refused(Refused::NoAgent))),
        "{refused:?}"
    );
    ticking.abort();
    world.stop();
}

#[actix::test]
async fn a_cluster_sees_each_restart_of_a_system_that_restarts_again_and_again() {
    let world = World::start(1, Timing::instant()).await;
    let node = world.node(0);
    boot_agent(node).await;
    let image = json!({"id": "i", "urls": ["http://images/i"]});
    let args = json!({"image_info": image, "configdrive": "ZHJpdmU="});
    let step = json!({"interface": "deploy", "step": "write_image", "args": args});
    node.act_and_wait(call("deploy.execute_deploy_step", json!({"step": step})))
        .await
        .unwrap();
    world.set_faults(
        json!([{"name": "loop", "when": {"first": 2}, "what": {"reboot_loop": {"uptime": "60s"}}}]),
    );
    node.act(reset(ResetType::ForceRestart)).await.unwrap();
    wait_for(node, Phase::OsRunning).await;
    for _ in 0..2 {
        world.clock.pass(Duration::from_secs(60));
        // Reading catches up with what was due.
        wait_for(node, Phase::OsRunning).await;
    }
    world.clock.pass(Duration::from_secs(3600));
    wait_for(node, Phase::OsRunning).await;
    let told = world.clusters.told.lock().unwrap().clone();
    assert_eq!(
        told,
        ["bootstrap", "started", "stopped", "started", "stopped", "started"]
    );
    let faults = world.notes.faults.lock().unwrap();
    let numbers: Vec<u64> = faults.iter().map(|hit| hit.number).collect();
    assert_eq!(numbers, [1, 2]);
    drop(faults);
    world.stop();
}
