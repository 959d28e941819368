//! Live control: faults, labels, power and actors, changed over the control API while nodes run.

use std::collections::BTreeSet;
use std::sync::Arc;

use metalsim::events::Happening;
use metalsim::events::event::{Cause, FaultChange};
use metalsim::observer::Exposition as _;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::node::phase::Phase;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Plan, World, client, until};

struct Api {
    base: String,
}

impl Api {
    fn of(world: &mut World) -> Self {
        Self {
            base: world.serve_control(None, &Arc::default()),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = client().request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        let value: Value = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        assert_eq!(status >= 400, value.get("error").is_some(), "{status} {value}");
        (status, value)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PUT, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> u16 {
        self.send(Method::DELETE, path, None).await.0
    }
}

fn message(answer: &(u16, Value)) -> &str {
    answer.1["error"]["message"].as_str().unwrap()
}

fn told(world: &World) -> Vec<Happening> {
    let batch = world.events.read(0, 10_000);
    batch.events.iter().map(|event| event.happening.clone()).collect()
}

#[actix_web::test]
async fn faults_are_listed_added_changed_and_removed() {
    let mut world = World::start(Plan {
        nodes: 4,
        ..Plan::default()
    })
    .await;
    let api = Api::of(&mut world);
    assert_eq!(
        api.get("/api/v1/faults").await,
        (200, json!({"version": 0, "items": []}))
    );
    let slow = json!({"name": "slow", "which": {"count": 3}, "what": {"bmc_slow": {"delay": "2s"}}});
    let (status, shown) = api.post("/api/v1/faults", slow.clone()).await;
    assert_eq!(status, 201, "{shown}");
    assert_eq!(shown["name"], "slow");
    assert_eq!(shown["status"], json!({"subject": "node", "nodes": 3}));
    assert_eq!(api.get("/api/v1/faults/slow").await, (200, shown.clone()));
    let (_, list) = api.get("/api/v1/faults").await;
    assert_eq!(list, json!({"version": 1, "items": [shown.clone()]}));
    // A name is taken once; what is shown may be sent back.
    assert_eq!(api.post("/api/v1/faults", slow).await.0, 409);
    let mut changed = shown;
    changed["which"] = json!({"labels": {"rack": "a"}});
    let (status, shown) = api.put("/api/v1/faults/slow", changed).await;
    assert_eq!((status, &shown["status"]["nodes"]), (200, &json!(1)), "{shown}");
    // A word alone stands for a fault without parameters, and the path gives the name.
    let (status, shown) = api
        .put("/api/v1/faults/flaps", json!({"what": "api_unreachable"}))
        .await;
    assert_eq!(
        (status, &shown["status"]),
        (201, &json!({"subject": "cluster"})),
        "{shown}"
    );
    assert_eq!(api.delete("/api/v1/faults/slow").await, 204);
    assert_eq!(api.delete("/api/v1/faults/slow").await, 404);
    assert_eq!(api.get("/api/v1/faults/slow").await.0, 404);
    assert_eq!(api.delete("/api/v1/faults").await, 204);
    assert_eq!(api.get("/api/v1/faults").await.1["items"], json!([]));
    let changes: Vec<_> = told(&world)
        .into_iter()
        .filter_map(|happening| match happening {
            Happening::FaultChanged { change, fault } => Some((change, fault)),
            _ => None,
        })
        .collect();
    assert_eq!(
        changes,
        [
            (FaultChange::Added, Some("slow".into())),
            (FaultChange::Replaced, Some("slow".into())),
            (FaultChange::Added, Some("flaps".into())),
            (FaultChange::Removed, Some("slow".into())),
            (FaultChange::Reset, None),
        ]
    );
    world.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_with_a_fault_is_told_and_changes_nothing() {
    let mut world = World::start(Plan::default()).await;
    let api = Api::of(&mut world);
    for (fault, hint) in [
        (json!({"what": "no_boot_device"}), "name: is required"),
        (json!({"name": "a"}), "what: is required"),
        (json!({"name": "a b", "what": "no_boot_device"}), "name: "),
        (
            json!({"name": "a", "what": {"bmc_slow": {"delay": "2 moons"}}}),
            "what",
        ),
        (json!({"name": "a", "what": {"bmc_fast": {}}}), "bmc_fast"),
        (
            json!({"name": "a", "what": "no_boot_device", "colour": "red"}),
            "colour",
        ),
        (
            json!({"name": "a", "what": "no_boot_device", "when": {"during": "night"}}),
            "when.during",
        ),
        (
            json!({"name": "a", "what": "no_boot_device", "which": {"fraction": 0.5, "count": 2}}),
            "which.count",
        ),
        (
            json!({"name": "a", "what": "no_boot_device", "when": {"nth": 1, "every": 2}}),
            "when.every",
        ),
        (json!([]), ""),
        (json!("no_boot_device"), ""),
    ] {
        let answer = api.post("/api/v1/faults", fault.clone()).await;
        assert_eq!(answer.0, 400, "{fault}: {answer:?}");
        assert!(message(&answer).contains(hint), "{fault}: {answer:?}");
    }
    let fault = json!({"name": "a", "what": "no_boot_device"});
    for (path, hint) in [
        ("/api/v1/faults/b", "the name in the path"),
        ("/api/v1/faults/a%20b", "is no name"),
        ("/api/v1/faults/a?base=tomorrow", "base=now"),
    ] {
        let answer = api.put(path, fault.clone()).await;
        assert_eq!(answer.0, 400, "{path}: {answer:?}");
        assert!(message(&answer).contains(hint), "{path}: {answer:?}");
    }
    assert_eq!(api.delete("/api/v1/faults/a%20b").await, 404);
    let plain = client().post(format!("{}/api/v1/faults", api.base)).body("{}");
    assert_eq!(plain.send().await.unwrap().status(), 415);
    let wrong = client()
        .patch(format!("{}/api/v1/faults/a", api.base))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 405);
    assert_eq!(wrong.headers()["allow"], "GET, HEAD, PUT, DELETE");
    assert_eq!(
        api.get("/api/v1/faults").await,
        (200, json!({"version": 0, "items": []}))
    );
    // Times count from the start, or from now.
    let lasting = json!({"name": "a", "what": "no_boot_device", "when": {"from": "1ms"}});
    let (_, from_start) = api.post("/api/v1/faults", lasting.clone()).await;
    assert_eq!(from_start["when"]["from"], "1ms");
    let (_, from_now) = api.put("/api/v1/faults/a?base=now", lasting).await;
    assert_ne!(from_now["when"]["from"], "1ms");
    world.stop().await;
}

#[actix_web::test]
async fn faults_follow_the_labels() {
    let mut world = World::start(Plan {
        nodes: 2,
        ..Plan::default()
    })
    .await;
    let api = Api::of(&mut world);
    world.boot_agent(0).await;
    world.boot_agent(1).await;
    let loss = json!({"name": "dark", "which": {"labels": {"rack": "a"}}, "what": "power_loss"});
    assert_eq!(api.post("/api/v1/faults", loss).await.0, 201);
    world.wait_for(0, Phase::Off).await;
    let labels = |name: &str| format!("/api/v1/nodes/{name}/labels");
    assert_eq!(
        api.patch(&labels("n1"), json!({"rack": "a", "row": "7"})).await,
        (200, json!({"rack": "a", "row": "7"}))
    );
    world.wait_for(1, Phase::Off).await;
    assert_eq!(api.get("/api/v1/faults/dark").await.1["status"]["nodes"], 2);
    // Whoever is picked no more has its power back.
    assert_eq!(
        api.patch(&labels("n0"), json!({"rack": null})).await,
        (200, json!({}))
    );
    until("the power to be back", || async {
        world.node(0).phase() != Phase::Off
    })
    .await;
    assert_eq!(world.node(1).phase(), Phase::Off);
    // Lists and single nodes show the labels too.
    let (_, list) = api.get("/api/v1/nodes?label=rack%3Da").await;
    assert_eq!(list["items"][0]["name"], "n1");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/api/v1/nodes/n0").await.1["labels"], json!({}));
    assert_eq!(
        api.put(&labels("n1"), json!({"rack": "b"})).await,
        (200, json!({"rack": "b"}))
    );
    assert_eq!(api.get(&labels("n1")).await, (200, json!({"rack": "b"})));
    // What changes nothing is no event.
    assert_eq!(
        api.patch(&labels("n1"), json!({"rack": "b", "row": null}))
            .await
            .0,
        200
    );
    let relabelled: Vec<_> = told(&world)
        .into_iter()
        .filter_map(|happening| match happening {
            Happening::NodeLabels { node, labels } => Some((node, labels.len())),
            _ => None,
        })
        .collect();
    assert_eq!(relabelled, [("n1".into(), 2), ("n0".into(), 0), ("n1".into(), 1)]);
    let many: Value = (0..65)
        .map(|n| (n.to_string(), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for bad in [
        json!({"": "x"}),
        json!({"a": 1}),
        json!({"a": "x".repeat(257)}),
        json!([]),
        many,
    ] {
        assert_eq!(api.put(&labels("n1"), bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(api.put(&labels("n9"), json!({})).await.0, 404);
    assert_eq!(api.get(&labels("n1")).await.1, json!({"rack": "b"}));
    world.stop().await;
}

#[actix_web::test]
async fn power_buttons_are_pressed() {
    let mut world = World::start(Plan::default()).await;
    let api = Api::of(&mut world);
    let press = |reset: &str| {
        let body = json!({"reset": reset});
        api.post("/api/v1/nodes/n0/power", body)
    };
    assert_eq!(press("On").await, (204, Value::Null));
    until("the power to be on", || async {
        world.node(0).phase() != Phase::Off
    })
    .await;
    assert_eq!(press("ForceOff").await.0, 204);
    world.wait_for(0, Phase::Off).await;
    for bad in [
        json!({"reset": "Off"}),
        json!({}),
        json!({"reset": "On", "when": "later"}),
    ] {
        assert_eq!(
            api.post("/api/v1/nodes/n0/power", bad.clone()).await.0,
            400,
            "{bad}"
        );
    }
    assert_eq!(
        api.post("/api/v1/nodes/n7/power", json!({"reset": "On"})).await.0,
        404
    );
    let causes: BTreeSet<String> = told(&world)
        .into_iter()
        .filter_map(|happening| match happening {
            Happening::NodePhase {
                cause: Cause::Reset,
                by,
                ..
            } => by.map(String::from),
            _ => None,
        })
        .collect();
    assert_eq!(causes, ["ForceOff".to_owned(), "On".to_owned()].into());
    world.stop().await;
}

#[actix_web::test]
async fn a_node_whose_actor_is_killed_goes_on() {
    let mut world = World::start(Plan::default()).await;
    let api = Api::of(&mut world);
    world.boot_agent(0).await;
    let (_, before) = api.get("/api/v1/nodes/n0").await;
    assert_eq!(
        api.send(Method::POST, "/api/v1/nodes/n0/kill", None).await,
        (204, Value::Null)
    );
    let (status, after) = api.get("/api/v1/nodes/n0").await;
    assert_eq!(
        (status, &after["phase"], &after["epoch"]),
        (200, &json!("agent_ready"), &before["epoch"])
    );
    world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
    world.wait_for(0, Phase::Off).await;
    let page = world.metrics.render();
    assert!(page.contains("metalsim_actor_restarts_total 1\n"), "{page}");
    assert!(told(&world).contains(&Happening::ActorKilled { node: "n0".into() }));
    assert_eq!(api.send(Method::POST, "/api/v1/nodes/n7/kill", None).await.0, 404);
    world.stop().await;
}

/// Routes and document are made from one table; this asks the server itself.
#[actix_web::test]
async fn the_document_has_every_route_with_its_methods() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(Some("secret"), &Arc::default());
    let document: Value = client()
        .get(format!("{base}/openapi.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(document["openapi"], "3.1.1");
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/healthz",
        "/metrics",
        "/api/v1/nodes/{node}/power",
        "/api/v1/events",
        "/api/v1/clusters/{cluster}/kubeconfig",
        "/register",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, item) in paths {
        let real = path
            .replace("{node}", "n0")
            .replace("{cluster}", "c")
            .replace("{fault}", "f");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let described = item.get(method.to_lowercase());
            let send = |token: bool| {
                let method = method.parse().unwrap();
                let mut request = client().request(method, format!("{base}{real}"));
                if token {
                    request = request.bearer_auth("secret");
                }
                request.send()
            };
            let Some(described) = described else {
                assert_eq!(send(true).await.unwrap().status(), 405, "{method} {path}");
                continue;
            };
            let status = send(false).await.unwrap().status().as_u16();
            if described["security"] == json!([{}]) {
                // Not ready: nobody said so.
                assert!([200, 503].contains(&status), "{method} {path}: {status}");
            } else {
                assert_eq!(status, 401, "{method} {path}");
            }
        }
    }
    world.stop().await;
}
