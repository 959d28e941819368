//! Faults of agents, seen by a client of their API and by Ironic.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use metalsim::clock::WallClock;
use metalsim_actors::fault::words::IronicCall as Word;
use metalsim_actors::ids::{MacAddress, NodeId};
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::node::effect::{IronicCall, IronicRequest, Outcome};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::ports::{Ironic, LocalFuture};
use metalsim_actors::testkit::{KindIronic, kind};
use metalsim_actors::timing::{Latency, Timing};
use metalsim_actors::wire::agent::InspectionData;
use serde_json::{Value, json};

use super::{assert_waited, hits, times};
use crate::world::{Plan, World, client, until};

/// What Ironic heard of an agent.
#[derive(Clone, Debug)]
enum Heard {
    Inspection(Box<InspectionData>),
    Discovery,
    LookUp(Vec<MacAddress>),
    Heartbeat(Option<String>),
}

impl Heard {
    fn word(&self) -> Word {
        match self {
            Self::Inspection(_) => Word::Inspect,
            Self::Discovery => Word::Discover,
            Self::LookUp(_) => Word::Lookup,
            Self::Heartbeat(_) => Word::Heartbeat,
        }
    }
}

/// An Ironic that takes everything and remembers it.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<(NodeId, Heard)>>,
    ironic: KindIronic,
}

impl Ironic for Ear {
    fn call(&self, node: NodeId, request: IronicRequest) -> LocalFuture<Outcome> {
        let heard = match &request.call {
            IronicCall::Inspect { data, .. } => Heard::Inspection(data.clone()),
            IronicCall::Discover { .. } => Heard::Discovery,
            IronicCall::Lookup { addresses, .. } => Heard::LookUp(addresses.clone()),
            IronicCall::Heartbeat { body, .. } => Heard::Heartbeat(body.agent_token.clone()),
        };
        self.heard.lock().unwrap().push((node, heard));
        self.ironic.call(node, request)
    }
}

/// Simulated seconds in a real one.
const SPEED: f64 = 1000.0;

/// A fleet whose time passes that fast, with an Ironic that listens.
struct Scene {
    world: World,
    ear: Arc<Ear>,
}

impl Scene {
    async fn start() -> Self {
        let ear = Arc::<Ear>::default();
        let plan = Plan {
            ironic: ear.clone(),
            clock: Arc::new(WallClock::start(SPEED)),
            ..Plan::default()
        };
        Self {
            world: World::start(plan).await,
            ear,
        }
    }

    fn heard(&self, index: usize) -> Vec<Heard> {
        let id = self.world.node(index).identity().id;
        let heard = self.ear.heard.lock().unwrap();
        heard
            .iter()
            .filter(|(node, _)| *node == id)
            .map(|(_, heard)| heard.clone())
            .collect()
    }

    fn count(&self, index: usize, word: Word) -> usize {
        self.heard(index)
            .iter()
            .filter(|heard| heard.word() == word)
            .count()
    }

    async fn until_heard(&self, index: usize, word: Word, times: usize) {
        until(&format!("{times} times {word:?}"), || async {
            self.count(index, word) >= times
        })
        .await;
    }
}

/// A fault of the first node alone.
fn first(when: Value, what: Value) -> Value {
    json!([{"name": "fault", "which": {"names": ["n0"]}, "when": when, "what": what}])
}

struct Agent {
    base: String,
}

impl Agent {
    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
        let answer = request.timeout(Duration::from_secs(2)).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await?))
    }

    async fn status(&self) -> reqwest::Result<(u16, Value)> {
        self.send(client().get(format!("{}/v1/status", self.base))).await
    }

    async fn list(&self) -> Vec<Value> {
        let url = format!("{}/v1/commands/?agent_token=token", self.base);
        let (status, body) = self.send(client().get(url)).await.unwrap();
        assert_eq!(status, 200);
        body["commands"].as_array().unwrap().clone()
    }

    async fn execute(&self, name: &str, params: Value, wait: bool) -> reqwest::Result<(u16, Value)> {
        let url = format!("{}/v1/commands/?wait={wait}&agent_token=token", self.base);
        self.send(client().post(url).json(&json!({"name": name, "params": params})))
            .await
    }
}

/// Two agents that have been looked up.
async fn agents(timing: Timing) -> (World, [Agent; 2]) {
    let plan = Plan {
        kind: kind(timing),
        ..Plan::default()
    };
    let mut world = World::start(plan).await;
    let base = world.serve_agents(|_, api| api.longest_wait = Duration::from_millis(200));
    for index in [0, 1] {
        world.boot_agent(index).await;
    }
    let agents = [0, 1].map(|index| Agent {
        base: format!("{base}/{}", world.node(index).identity().id),
    });
    (world, agents)
}

fn clean(step: &str) -> Value {
    json!({"step": {"interface": "deploy", "step": step}})
}

#[actix_web::test]
async fn no_connection_to_the_agent_in_each_way() {
    let (world, [hit, spared]) = agents(Timing::instant()).await;
    for (how, timed_out) in [("refuse", false), ("drop", true), ("hang", true)] {
        world.set_faults(first(json!({}), json!({"agent_unreachable": {"how": how}})));
        let error = hit.status().await.expect_err("no answer comes");
        assert_eq!(error.is_timeout(), timed_out, "{how}: {error}");
        let sent = hit.execute("standby.sync", json!({}), false).await;
        assert!(sent.is_err(), "{how}: {sent:?}");
        assert_eq!(spared.status().await.unwrap().0, 200);
    }
    world.set_faults(first(json!({"first": 2}), json!("agent_unreachable")));
    for answered in [false, false, true] {
        assert_eq!(hit.status().await.is_ok(), answered);
    }
    assert!(hit.list().await.is_empty(), "nothing was begun");
    assert_eq!(hits(&world, "agent_unreachable"), 8);
    world.stop().await;
}

#[actix_web::test]
async fn commands_that_fail_are_answered_with_status_200() {
    let (world, [hit, spared]) = agents(Timing::instant()).await;
    let what = json!({"agent_command_fails": {"commands": ["clean.*"], "message": "no more"}});
    world.set_faults(first(json!({}), what));
    let error = json!({"type": "CommandExecutionError", "code": 500, "message": "Command execution failed", "details": "no more"});
    for (name, params, shown) in [
        ("clean.get_clean_steps", json!({}), "clean.get_clean_steps"),
        (
            "clean.execute_clean_step",
            clean("erase_devices"),
            "execute_clean_step",
        ),
    ] {
        let (status, result) = hit.execute(name, params.clone(), true).await.unwrap();
        assert_eq!((status, &result["command_status"]), (200, &json!("FAILED")));
        assert_eq!(result["command_error"], error);
        assert_eq!(
            (&result["command_name"], &result["command_result"]),
            (&json!(shown), &Value::Null)
        );
        let (_, result) = spared.execute(name, params, true).await.unwrap();
        assert_eq!(result["command_status"], "SUCCEEDED");
    }
    assert_eq!(hits(&world, "agent_command_fails"), 2);
    world.stop().await;
}

#[actix_web::test]
async fn steps_that_fail_name_the_step() {
    let (world, [hit, _]) = agents(Timing::instant()).await;
    let what = json!({"agent_step_fails": {"steps": ["erase_devices"], "phases": ["clean"], "message": "bad sector"}});
    world.set_faults(first(json!({"nth": 2}), what));
    for failed in [false, true, false] {
        let (_, result) = hit
            .execute("clean.execute_clean_step", clean("erase_devices"), true)
            .await
            .unwrap();
        let error = &result["command_error"];
        assert_eq!(
            result["command_status"],
            if failed { "FAILED" } else { "SUCCEEDED" }
        );
        if failed {
            assert_eq!(error["type"], "CleaningError");
            assert!(
                error["details"].as_str().unwrap().contains("bad sector"),
                "{error}"
            );
        }
    }
    assert_eq!(hits(&world, "agent_step_fails"), 1);
    world.stop().await;
}

#[actix_web::test]
async fn a_command_that_hangs_runs_for_ever_and_refuses_others() {
    let (world, [hit, spared]) = agents(Timing::instant()).await;
    world.set_faults(first(json!({}), json!("agent_command_hangs")));
    let (status, begun) = hit
        .execute("clean.execute_clean_step", clean("erase_devices"), true)
        .await
        .unwrap();
    assert_eq!((status, &begun["command_status"]), (200, &json!("RUNNING")));
    let (status, refused) = hit.execute("standby.sync", json!({}), false).await.unwrap();
    assert_eq!(
        (status, &refused["faultstring"]),
        (409, &json!("Agent is busy: executing command execute_clean_step"))
    );
    assert_eq!(hit.list().await, [begun]);
    assert_eq!(
        spared.execute("standby.sync", json!({}), false).await.unwrap().0,
        200
    );
    world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
    assert!(!hit.status().await.unwrap_err().is_timeout(), "the agent is gone");
    world.set_faults(json!([]));
    world.boot_agent(0).await;
    assert_eq!(
        hit.execute("standby.sync", json!({}), false).await.unwrap().0,
        200
    );
    world.stop().await;
}

#[actix_web::test]
async fn a_synchronous_command_that_hangs_is_never_answered() {
    let (world, [hit, _]) = agents(Timing::instant()).await;
    world.set_faults(first(json!({"nth": 1}), json!("agent_command_hangs")));
    for wait in [true, false] {
        let error = hit.execute("clean.get_clean_steps", json!({}), wait).await;
        assert!(error.unwrap_err().is_timeout());
    }
    assert!(hit.list().await.is_empty(), "it is listed when it ends");
    assert_eq!(hit.status().await.unwrap().0, 200, "the agent lives");
    assert_eq!(hits(&world, "agent_command_hangs"), 1);
    // Without power there is nobody left who could answer.
    let url = format!("{}/v1/commands/?agent_token=token", hit.base);
    let body = json!({"name": "standby.sync", "params": {}});
    let waiting = actix_web::rt::spawn(client().post(url).json(&body).send());
    world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
    assert!(!waiting.await.unwrap().unwrap_err().is_timeout());
    world.stop().await;
}

#[actix_web::test]
async fn results_of_another_shape_look_well() {
    let (world, [hit, _]) = agents(Timing::instant()).await;
    let what = json!({"agent_command_wrong_shape": {"commands": ["clean.*"]}});
    world.set_faults(first(json!({}), what));
    for (name, params) in [
        ("clean.get_clean_steps", json!({})),
        ("clean.execute_clean_step", clean("erase_devices")),
    ] {
        let (status, result) = hit.execute(name, params, true).await.unwrap();
        assert_eq!((status, &result["command_status"]), (200, &json!("SUCCEEDED")));
        assert_eq!(result["command_result"], json!(["unexpected"]));
    }
    world.stop().await;
}

#[actix_web::test]
async fn an_agent_that_never_starts_and_one_that_starts_late() {
    let mut scene = Scene::start().await;
    let base = scene.world.serve_agents(|_, _| {});
    let agents = [0, 1].map(|index| Agent {
        base: format!("{base}/{}", scene.world.node(index).identity().id),
    });
    // The late one waits for as long as the test wants to look.
    let late =
        json!({"name": "late", "which": {"names": ["n1"]}, "what": {"agent_starts_late": {"delay": "1d"}}});
    let dead = json!({"name": "dead", "which": {"names": ["n0"]}, "what": "agent_never_starts"});
    scene.world.set_faults(json!([dead, late]));
    for (index, agent) in agents.iter().enumerate() {
        scene.world.power_on_agent(index).await;
        scene.world.wait_for(index, Phase::AgentSilent).await;
        assert!(!agent.status().await.unwrap_err().is_timeout());
        assert!(scene.heard(index).is_empty());
    }
    scene.world.bmc(1, BmcCommand::Reset(ResetType::ForceOff)).await;
    let late =
        json!({"name": "late", "which": {"names": ["n1"]}, "what": {"agent_starts_late": {"delay": "300s"}}});
    scene.world.set_faults(json!([dead, late]));
    scene.world.boot_agent(1).await;
    assert_eq!(agents[1].status().await.unwrap().0, 200);
    assert!(scene.heard(0).is_empty(), "the other is still dead");
    assert_eq!(hits(&scene.world, "agent_starts_late"), 2);
    scene.world.stop().await;
}

#[actix_web::test]
async fn heartbeats_that_are_lost_are_followed_by_others() {
    let scene = Scene::start().await;
    scene
        .world
        .set_faults(first(json!({"first": 3}), json!("agent_loses_heartbeats")));
    for index in [0, 1] {
        scene.world.boot_agent(index).await;
    }
    scene.until_heard(0, Word::Heartbeat, 1).await;
    assert_eq!(hits(&scene.world, "agent_loses_heartbeats"), 3);
    scene.until_heard(0, Word::Heartbeat, 3).await;
    scene.until_heard(1, Word::Heartbeat, 5).await;
    scene.world.stop().await;
}

#[actix_web::test]
async fn wrong_tokens_do_not_replace_the_right_one() {
    let scene = Scene::start().await;
    scene
        .world
        .set_faults(first(json!({"first": 2}), json!("agent_wrong_token")));
    scene.world.boot_agent(0).await;
    scene.until_heard(0, Word::Heartbeat, 4).await;
    let tokens: Vec<bool> = scene
        .heard(0)
        .iter()
        .filter_map(|heard| match heard {
            Heard::Heartbeat(token) => Some(token.as_deref() == Some("token")),
            _ => None,
        })
        .take(4)
        .collect();
    assert_eq!(tokens, [false, false, true, true]);
    scene.world.stop().await;
}

#[actix_web::test]
async fn calls_that_do_not_reach_ironic_are_made_again() {
    let scene = Scene::start().await;
    scene.world.set_faults(json!([
        {"name": "gone", "which": {"names": ["n0"]}, "when": {"first": 2}, "what": {"ironic_unreachable": {"calls": ["lookup", "discover"]}}},
        {"name": "ill", "which": {"names": ["n0"]}, "when": {"first": 2}, "what": {"ironic_status": {"calls": ["inspect"], "status": 503}}},
        {"name": "tired", "which": {"names": ["n1"]}, "when": {"nth": 2}, "what": {"ironic_status": {"calls": ["heartbeat"], "status": 409}}},
    ]));
    for index in [0, 1] {
        scene.world.boot_agent(index).await;
    }
    assert_eq!(hits(&scene.world, "ironic_unreachable"), 2);
    assert_eq!(scene.count(0, Word::Inspect), 1, "two did not get there");
    scene.until_heard(1, Word::Heartbeat, 2).await;
    assert_eq!(hits(&scene.world, "ironic_status"), 3);
    scene.world.stop().await;
}

#[actix_web::test]
async fn calls_that_ironic_does_not_answer_are_given_up_in_simulated_time() {
    const CALLS: [&str; 4] = ["inspect", "discover", "lookup", "heartbeat"];
    for how in ["drop", "hang"] {
        let scene = Scene::start().await;
        let fault = |call: &str| json!({"name": call, "which": {"names": ["n0"]}, "when": {"nth": 1}, "what": {"ironic_unreachable": {"calls": [call], "how": how}}});
        scene.world.set_faults(CALLS.map(fault).into());
        for index in [0, 1] {
            scene.world.power_on_agent(index).await;
        }
        scene.until_heard(0, Word::Heartbeat, 1).await;
        scene.world.wait_for(1, Phase::AgentReady).await;
        for call in CALLS {
            let struck = json!({"kind": "fault_hit", "node": "n0", "fault": call});
            let failed = json!({"kind": "call", "node": "n0", "call": call, "result": "no_connection"});
            assert_waited(&scene.world, &struck, &failed, Duration::from_secs(30), SPEED);
        }
        assert_eq!(hits(&scene.world, "ironic_unreachable"), 4, "{how}");
        assert_eq!(scene.count(0, Word::Lookup), 1, "{how}: one did not get there");
        let failed = json!({"kind": "call", "node": "n1", "result": "no_connection"});
        assert!(times(&scene.world, &failed).is_empty(), "{how}");
        scene.world.stop().await;
    }
}

#[actix_web::test]
async fn answers_that_are_late_hold_the_agent_up() {
    let scene = Scene::start().await;
    scene.world.set_faults(first(
        json!({}),
        json!({"ironic_slow": {"calls": ["lookup"], "delay": "1d"}}),
    ));
    for index in [0, 1] {
        scene.world.power_on_agent(index).await;
    }
    scene.until_heard(0, Word::Lookup, 1).await;
    scene.world.wait_for(1, Phase::AgentReady).await;
    scene.world.wait_for(0, Phase::LookingUp).await;
    assert_eq!(scene.count(0, Word::Heartbeat), 0);
    // It dies with its host.
    scene.world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
    scene
        .world
        .set_faults(first(json!({}), json!({"ironic_slow": {"delay": "100s"}})));
    scene.world.boot_agent(0).await;
    scene.until_heard(0, Word::Heartbeat, 2).await;
    scene.world.stop().await;
}

#[actix_web::test]
async fn inventories_that_lie() {
    let scene = Scene::start().await;
    scene.world.set_faults(json!([
        {"name": "double", "what": {"inventory_duplicate_mac": {"nic": 0}}},
        {"name": "gone", "which": {"names": ["n1"]}, "what": {"inventory_nic_missing": {"nic": 1}}},
        {"name": "small", "which": {"names": ["n0"]}, "what": {"inventory_disk_too_small": {"size_gib": 3}}},
    ]));
    let mut seen = Vec::new();
    for index in [0, 1] {
        scene.world.boot_agent(index).await;
        let heard = scene.heard(index);
        let data = heard.iter().find_map(|heard| match heard {
            Heard::Inspection(data) => Some(data.clone()),
            _ => None,
        });
        let data = data.unwrap();
        let macs: Vec<MacAddress> = data
            .inventory
            .interfaces
            .iter()
            .map(|interface| interface.mac_address)
            .collect();
        let looked_up = heard.iter().find_map(|heard| match heard {
            Heard::LookUp(addresses) => Some(addresses.clone()),
            _ => None,
        });
        assert_eq!(looked_up, Some(macs.clone()));
        assert_eq!(data.inventory.boot.pxe_interface, Some(macs[0]));
        seen.push((macs, data.inventory.disks[0].size));
    }
    assert_eq!(seen[0].0[0], seen[1].0[0], "the same on both");
    assert_ne!(seen[0].0[0], scene.world.node(0).identity().macs[0]);
    assert_eq!((seen[0].0.len(), seen[1].0.len()), (2, 1));
    assert_eq!(seen[0].1, 3 << 30);
    assert!(seen[1].1 > 3 << 30);
    scene.world.stop().await;
}

/// A command takes its time before it fails.
#[actix_web::test]
async fn a_failing_step_is_busy_first() {
    let timing = Timing {
        agent_command: Latency::millis(300),
        ..Timing::instant()
    };
    let (world, [hit, _]) = agents(timing).await;
    world.set_faults(first(json!({}), json!({"agent_step_fails": {"steps": ["*"]}})));
    let (_, begun) = hit
        .execute("clean.execute_clean_step", clean("erase_devices"), false)
        .await
        .unwrap();
    assert_eq!(begun["command_status"], "RUNNING");
    until("the step has failed", || async {
        hit.list().await[0]["command_status"] == "FAILED"
    })
    .await;
    world.stop().await;
}
