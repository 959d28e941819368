//! Faults of power, boot and installed systems, on nodes that run.

use std::sync::Arc;
use std::time::Duration;

use metalsim::clock::WallClock;
use metalsim_actors::node::agent::AgentRequest;
use metalsim_actors::node::agent::command::Operation;
use metalsim_actors::node::bmc::{BmcCommand, PowerState, ResetType, Secret};
use metalsim_actors::node::os::Os;
use metalsim_actors::node::os::intent::Role;
use metalsim_actors::node::os::membership::Activity;
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::{Event, Node};
use metalsim_actors::testkit::{ReadDrives, Rig};
use serde_json::{Value, json};

use super::{assert_waited, hits, redfish};
use crate::world::{Plan, World, client, until};

/// Simulated seconds in a real one.
const SPEED: f64 = 1000.0;

/// Nodes whose time passes that fast.
async fn fast() -> World {
    World::start(Plan {
        clock: Arc::new(WallClock::start(SPEED)),
        drives: Arc::new(ReadDrives(|_| Rig::kubeadm_description("host", Role::JoinWorker))),
        ..Plan::default()
    })
    .await
}

async fn reset(world: &World, index: usize, reset: ResetType) {
    world.bmc(index, BmcCommand::Reset(reset)).await;
}

/// Writes a system with a config drive to the node's disk and turns the node off.
async fn install(world: &World, index: usize) {
    world.boot_agent(index).await;
    let image = json!({"id": "i", "urls": ["http://images/i"]});
    let args = json!({"image_info": image, "configdrive": "ZHJpdmU="});
    let step = json!({"interface": "deploy", "step": "write_image", "args": args});
    let params = json!({"step": step}).as_object().unwrap().clone();
    let request = AgentRequest {
        token: Some(Secret::new("token")),
        operation: Operation::Execute {
            name: "deploy.execute_deploy_step".into(),
            params,
        },
    };
    world
        .node(index)
        .act_and_wait(Event::Agent(request))
        .await
        .unwrap();
    reset(world, index, ResetType::ForceOff).await;
}

async fn look<T: Send + 'static>(
    world: &World,
    index: usize,
    look: impl FnOnce(&Node) -> T + Send + 'static,
) -> T {
    world.node(index).read(|node, _| look(node)).await.unwrap()
}

fn is_member(node: &Node) -> bool {
    matches!(node.activity(), Activity::Member(_))
}

/// A fault of the first node alone.
fn first(when: Value, what: Value) -> Value {
    json!([{"name": "fault", "which": {"names": ["n0"]}, "when": when, "what": what}])
}

// --- boot ---------------------------------------------------------------------------------------------------------

#[actix_web::test]
async fn media_that_cannot_be_read_end_the_boot() {
    for what in [
        json!("boot_media_unreachable"),
        json!({"boot_media_corrupt": {"how": "truncated"}}),
        json!({"boot_media_corrupt": {"how": "noise"}}),
    ] {
        let world = fast().await;
        world.set_faults(first(json!({"nth": 1}), what.clone()));
        for (index, phase) in [(0, Phase::NoBootDevice), (1, Phase::AgentReady)] {
            world.power_on_agent(index).await;
            world.wait_for(index, phase).await;
        }
        // The next time all is well.
        reset(&world, 0, ResetType::ForceOff).await;
        world.boot_agent(0).await;
        world.stop().await;
    }
}

#[actix_web::test]
async fn media_whose_server_does_not_answer_are_given_up_in_simulated_time() {
    for how in ["drop", "hang"] {
        let world = fast().await;
        world.set_faults(first(
            json!({"nth": 1}),
            json!({"boot_media_unreachable": {"how": how}}),
        ));
        for (index, phase) in [(0, Phase::NoBootDevice), (1, Phase::AgentReady)] {
            world.power_on_agent(index).await;
            world.wait_for(index, phase).await;
        }
        let struck = json!({"kind": "fault_hit", "node": "n0", "what": "boot_media_unreachable"});
        let failed = json!({"kind": "boot", "node": "n0", "target": "Pxe", "result": "failed"});
        assert_waited(&world, &struck, &failed, Duration::from_secs(60), SPEED);
        assert_eq!(hits(&world, "boot_media_unreachable"), 1, "{how}");
        reset(&world, 0, ResetType::ForceOff).await;
        world.boot_agent(0).await;
        world.stop().await;
    }
}

#[actix_web::test]
async fn media_that_load_slowly_hold_the_boot_up() {
    let world = fast().await;
    world.set_faults(first(json!({}), json!({"boot_media_slow": {"delay": "1d"}})));
    for index in [0, 1] {
        world.power_on_agent(index).await;
    }
    world.wait_for(1, Phase::AgentReady).await;
    world.wait_for(0, Phase::Booting).await;
    reset(&world, 0, ResetType::ForceOff).await;
    world.set_faults(first(json!({}), json!({"boot_media_slow": {"delay": "100s"}})));
    world.boot_agent(0).await;
    assert_eq!(hits(&world, "boot_media_slow"), 2);
    world.stop().await;
}

#[actix_web::test]
async fn nothing_to_boot_from_and_overrides_that_are_ignored() {
    let world = fast().await;
    for index in [0, 1] {
        install(&world, index).await;
    }
    world.set_faults(json!([
        {"name": "blind", "which": {"names": ["n0"]}, "what": "no_boot_device"},
        {"name": "deaf", "which": {"names": ["n1"]}, "when": {"first": 1}, "what": "boot_override_ignored"},
    ]));
    reset(&world, 0, ResetType::On).await;
    world.wait_for(0, Phase::NoBootDevice).await;
    world.power_on_agent(1).await;
    world.wait_for(1, Phase::OsRunning).await;
    reset(&world, 1, ResetType::ForceOff).await;
    world.boot_agent(1).await;
    world.set_faults(json!([]));
    reset(&world, 0, ResetType::ForceRestart).await;
    world.wait_for(0, Phase::OsRunning).await;
    world.stop().await;
}

#[actix_web::test]
async fn a_self_test_that_does_not_end() {
    let world = fast().await;
    world.set_faults(first(json!({}), json!("stuck_in_post")));
    for index in [0, 1] {
        world.power_on_agent(index).await;
    }
    world.wait_for(1, Phase::AgentReady).await;
    world.wait_for(0, Phase::Post).await;
    world.set_faults(json!([]));
    world.wait_for(0, Phase::AgentReady).await;
    world.stop().await;
}

#[actix_web::test]
async fn power_that_fails_and_comes_back() {
    let world = fast().await;
    install(&world, 0).await;
    reset(&world, 0, ResetType::On).await;
    world.wait_for(0, Phase::OsRunning).await;
    let epoch = look(&world, 0, Node::epoch).await;
    let when = json!({"lasts": "1s", "repeats": "400s"});
    world.set_faults(first(when, json!({"power_flap": {"off_for": "100s"}})));
    until("the power was gone", || async {
        look(&world, 0, Node::power_state).await == PowerState::Off
    })
    .await;
    assert!(hits(&world, "power_flap") > 0);
    world.wait_for(0, Phase::OsRunning).await;
    assert!(look(&world, 0, Node::epoch).await > epoch);
    assert_eq!(look(&world, 1, Node::power_state).await, PowerState::Off);
    world.stop().await;
}

#[actix_web::test]
async fn a_medium_that_lingers_is_not_shown_yet() {
    let (world, systems) = redfish::world().await;
    world.set_faults(first(json!({}), json!({"media_insert_lingers": {"delay": "1d"}})));
    for (url, shown) in systems.iter().zip([false, true]) {
        let media = format!("{url}/VirtualMedia/Cd");
        let request = client()
            .post(format!("{media}/Actions/VirtualMedia.InsertMedia"))
            .basic_auth("admin", Some("secret"))
            .json(&json!({"Image": "http://127.0.0.1/boot.iso"}));
        assert!(request.send().await.unwrap().status().is_success());
        let request = client().get(media).basic_auth("admin", Some("secret"));
        let document: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(document["Inserted"], shown, "{document}");
    }
    assert_eq!(hits(&world, "media_insert_lingers"), 1);
    world.stop().await;
}

// --- installed systems --------------------------------------------------------------------------------------------

#[actix_web::test]
async fn a_system_whose_cloud_init_fails_does_not_know_what_it_is_for() {
    let world = fast().await;
    let what = json!({"cloud_init_fails": {"message": "no data source"}});
    for index in [0, 1] {
        install(&world, index).await;
    }
    world.set_faults(first(json!({}), what));
    for index in [0, 1] {
        reset(&world, index, ResetType::On).await;
        world.wait_for(index, Phase::OsRunning).await;
    }
    let system = world.node(0).system().unwrap();
    assert_eq!(&*system.warnings, ["no data source".into()]);
    assert!(!look(&world, 0, is_member).await);
    assert!(look(&world, 1, is_member).await);
    world.stop().await;
}

#[actix_web::test]
async fn a_node_whose_kubeadm_fails_joins_at_its_next_boot() {
    let world = fast().await;
    install(&world, 0).await;
    let what = json!({"kubeadm_fails": {"message": "couldn't validate the identity of the API Server"}});
    world.set_faults(first(json!({"nth": 1}), what));
    reset(&world, 0, ResetType::On).await;
    world.wait_for(0, Phase::OsRunning).await;
    let complaint = |node: &Node| node.os().and_then(Os::complaint).map(str::to_owned);
    assert_eq!(
        look(&world, 0, complaint).await.as_deref(),
        Some("couldn't validate the identity of the API Server")
    );
    assert!(!look(&world, 0, is_member).await);
    reset(&world, 0, ResetType::ForceRestart).await;
    world.wait_for(0, Phase::OsRunning).await;
    assert!(look(&world, 0, is_member).await);
    world.stop().await;
}

#[actix_web::test]
async fn a_system_that_hangs_is_no_node_and_its_boot_stands_still() {
    let world = fast().await;
    for index in [0, 1] {
        install(&world, index).await;
    }
    reset(&world, 0, ResetType::On).await;
    world.wait_for(0, Phase::OsRunning).await;
    assert!(look(&world, 0, is_member).await);
    world.set_faults(json!([{"name": "hang", "what": "os_hangs"}]));
    until("its node is silent", || async {
        !look(&world, 0, is_member).await
    })
    .await;
    reset(&world, 1, ResetType::On).await;
    world.wait_for(1, Phase::CloudInit).await;
    assert_eq!(look(&world, 1, Node::power_state).await, PowerState::On);
    world.set_faults(json!([]));
    world.wait_for(1, Phase::OsRunning).await;
    until("its node is back", || look(&world, 0, is_member)).await;
    world.stop().await;
}

#[actix_web::test]
async fn a_system_that_restarts_again_and_again_is_a_node_in_between() {
    let world = fast().await;
    install(&world, 0).await;
    world.set_faults(first(json!({}), json!({"reboot_loop": {"uptime": "100s"}})));
    reset(&world, 0, ResetType::On).await;
    let epoch = look(&world, 0, Node::epoch).await;
    until("it has come up three times", || async {
        hits(&world, "reboot_loop") >= 3
    })
    .await;
    assert!(look(&world, 0, Node::epoch).await > epoch);
    world.set_faults(json!([]));
    // What was struck before restarts once more.
    until("it stays up", || async {
        look(&world, 0, |node| {
            is_member(node) && node.next_deadline().is_none()
        })
        .await
    })
    .await;
    world.stop().await;
}
