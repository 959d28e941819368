//! The control API over real connections.

use std::sync::Arc;

use metalsim::frontend::readiness::Readiness;
use metalsim::outbound::config_drives::DriveReader;
use metalsim::outbound::web::WebLimits;
use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::Event;
use metalsim_actors::node::agent::AgentRequest;
use metalsim_actors::node::agent::command::Operation;
use metalsim_actors::node::bmc::{BmcCommand, ResetType, Secret};
use metalsim_actors::node::phase::Phase;
use serde_json::{Value, json};

use crate::world::{PATIENCE, Plan, World, client, until};

async fn get(url: &str) -> (u16, Value) {
    let answer = client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn error(answer: &(u16, Value)) -> &str {
    assert_eq!(answer.1["error"]["code"], answer.0, "{answer:?}");
    answer.1["error"]["message"].as_str().unwrap()
}

#[actix_web::test]
async fn readiness_follows_the_listeners_and_health_does_not() {
    let mut world = World::start(Plan::default()).await;
    let readiness = Arc::<Readiness>::default();
    let base = world.serve_control(None, &readiness);
    let status = |path: &str| {
        let request = client().get(format!("{base}{path}"));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 503));
    readiness.set(true);
    assert_eq!(status("/readyz").await, 200);
    readiness.set(false);
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 503));
    world.stop().await;
}

#[actix_web::test]
async fn nodes_are_listed_in_pages_and_by_label_and_phase() {
    let mut world = World::start(Plan {
        nodes: 5,
        ..Plan::default()
    })
    .await;
    let base = world.serve_control(None, &Arc::default());
    let mut url = format!("{base}/api/v1/nodes?limit=2");
    let mut seen = Vec::new();
    loop {
        let (status, page) = get(&url).await;
        assert_eq!(status, 200);
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["continue"].as_str() {
            Some(next) => url = format!("{base}/api/v1/nodes?limit=2&continue={next}"),
            None => break,
        }
    }
    let names: Vec<&str> = seen.iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4"]);
    let id = world.node(0).identity().id;
    assert_eq!(
        seen[0],
        json!({
            "name": "n0",
            "uuid": id,
            "mac": MacAddress::derived("n0", 0),
            "macs": [MacAddress::derived("n0", 0), MacAddress::derived("n0", 1)],
            "labels": {"rack": "a"},
            "power": "Off",
            "phase": "off",
            "redfish": {"address": "http://127.0.0.1:8000", "system": format!("/redfish/v1/Systems/{id}")},
        })
    );
    assert_eq!(seen[1]["redfish"]["address"], "http://127.0.0.1:8001");
    let count = |query: &str| {
        let url = format!("{base}/api/v1/nodes?{query}");
        async move { get(&url).await.1["items"].as_array().unwrap().len() }
    };
    assert_eq!(count("label=rack=a").await, 1);
    assert_eq!(count("label=rack=b").await, 0);
    assert_eq!(count("phase=off").await, 5);
    world.boot_agent(3).await;
    // The directory shows what was published after the step.
    until("the directory to show the agent", || async {
        count("phase=agent_ready").await == 1
    })
    .await;
    assert_eq!(count("continue=99").await, 0);
    world.stop().await;
}

#[actix_web::test]
async fn a_node_is_found_by_name_and_id_and_tells_no_secrets() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    world.boot_agent(0).await;
    let id = world.node(0).identity().id;
    for key in ["n0".to_owned(), id.to_string(), id.to_string().to_uppercase()] {
        let (status, node) = get(&format!("{base}/api/v1/nodes/{key}")).await;
        assert_eq!((status, &node["name"]), (200, &json!("n0")));
        assert_eq!(node["phase"], Phase::AgentReady.as_str());
        assert_eq!(node["agent"]["serving"], true);
        assert_eq!(node["boot"]["progress"], "OSRunning");
        assert_eq!(node["disk"]["config_drive"], false);
        assert!(node["epoch"].as_u64().unwrap() > 0 && node["next_deadline"].is_string());
        assert!(!node.to_string().contains("token"), "{node}");
    }
    world.stop().await;
}

#[actix_web::test]
async fn errors_are_json() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    for (path, status, text) in [
        ("/api/v1/nodes/nobody", 404, "no node \"nobody\""),
        ("/api/v1/nothing", 404, "no resource /api/v1/nothing"),
        ("/api/v1/nodes?limit=x", 400, "limit"),
        ("/api/v1/nodes?phase=x", 400, "agent_ready"),
        ("/api/v1/nodes/n0?limit=1", 400, "limit"),
        ("/readyz", 503, "not ready"),
    ] {
        let answer = get(&format!("{base}{path}")).await;
        assert_eq!(answer.0, status, "{path}");
        assert!(error(&answer).contains(text), "{path}: {answer:?}");
    }
    let answer = client()
        .post(format!("{base}/api/v1/nodes"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"GET, HEAD".parse().unwrap())
    );
    assert_eq!(
        error(&(405, answer.json().await.unwrap())),
        "the method is not allowed here"
    );
    world.stop().await;
}

#[actix_web::test]
async fn a_token_guards_everything_but_health() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(Some("secret"), &Arc::default());
    for path in ["/metrics", "/api/v1/nodes", "/api/v1/nodes/n0", "/api/v1/nothing"] {
        for given in [
            None,
            Some("Bearer wrong"),
            Some("Basic secret"),
            Some("secret"),
            Some("Bearer "),
        ] {
            let mut request = client().get(format!("{base}{path}"));
            if let Some(given) = given {
                request = request.header("authorization", given);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{path} {given:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
    }
    let request = client()
        .get(format!("{base}/metrics"))
        .header("authorization", "bearer secret");
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(
        client()
            .get(format!("{base}/healthz"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    world.stop().await;
}

#[actix_web::test]
async fn metrics_count_requests_by_route_template() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    let agents = world.serve_agents(|_, _| {});
    world.boot_agent(0).await;
    let id = world.node(0).identity().id;
    for path in [
        format!("{id}/v1/status"),
        format!("{id}/v1/status"),
        format!("{id}/v1/{{x}}"),
    ] {
        client().get(format!("{agents}/{path}")).send().await.unwrap();
    }
    drop(
        client()
            .get(format!("{agents}/{}/v1/status", world.node(1).identity().id))
            .send()
            .await,
    );
    let url = format!("{base}/metrics");
    until("all requests to be counted", || async {
        let answer = client().get(&url).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        let page = answer.text().await.unwrap();
        let line = |start: &str| page.lines().any(|line| line == start);
        let route = r#"metalsim_requests_total{protocol="agent",method="GET",route="/{node}/v1/status""#;
        line(&format!(r#"{route},status="2xx"}} 2"#))
            && line(&format!(r#"{route},status="dropped"}} 1"#))
            && line(r#"metalsim_requests_total{protocol="agent",method="GET",route="other",status="4xx"} 1"#)
            && line(r#"metalsim_nodes{phase="agent_ready"} 1"#)
    })
    .await;
    assert!(
        !client()
            .get(&url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains(&id.to_string())
    );
    world.stop().await;
}

/// Installs a system with this config drive and waits until it is up.
async fn install(world: &World, index: usize, config_drive: &str) {
    world.boot_agent(index).await;
    let image = json!({"id": "img", "urls": ["http://images/img"]});
    let step = json!({
        "interface": "deploy",
        "step": "write_image",
        "args": {"image_info": image, "configdrive": config_drive},
    });
    let params = json!({ "step": step });
    let request = AgentRequest {
        token: Some(Secret::new("token")),
        operation: Operation::Execute {
            name: "deploy.execute_deploy_step".to_owned(),
            params: params.as_object().unwrap().clone(),
        },
    };
    world
        .node(index)
        .act_and_wait(Event::Agent(request))
        .await
        .unwrap();
    world.bmc(index, BmcCommand::Reset(ResetType::ForceRestart)).await;
    world.wait_for(index, Phase::OsRunning).await;
}

#[actix_web::test]
async fn an_installed_system_is_known_by_its_config_drive() {
    metalsim::frontend::tls::install_provider();
    let limits = WebLimits {
        max_in_flight: 1,
        timeout: PATIENCE,
        max_read: 0,
        max_skipped: 0,
    };
    let mut world = World::start(Plan {
        nodes: 3,
        drives: Arc::new(DriveReader::start(limits).unwrap()),
        ..Plan::default()
    })
    .await;
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/user_data/capi-1.5-join-worker-metal3"
    );
    let user_data = std::fs::read_to_string(format!("{folder}/user_data")).unwrap();
    let meta_data: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{folder}/meta_data.json")).unwrap()).unwrap();
    let drive = json!({"meta_data": meta_data, "user_data": user_data}).to_string();
    install(&world, 0, &drive).await;
    install(&world, 1, "no drive at all").await;

    let open = world.serve_control(None, &Arc::default());
    let (_, page) = get(&format!("{open}/api/v1/nodes?phase=os_running")).await;
    assert_eq!(
        page["items"][0]["system"],
        json!({"hostname": "host-1", "intent": "join_worker"})
    );
    let (_, node) = get(&format!("{open}/api/v1/nodes/n0")).await;
    assert_eq!(node["system"]["up"], true);
    assert_eq!(
        node["system"]["intent"]["discovery"]["endpoint"],
        "172.22.0.10:6443"
    );
    let (_, broken) = get(&format!("{open}/api/v1/nodes/n1")).await;
    assert_eq!(broken["system"]["intent"]["kind"], "standalone");
    assert!(
        broken["system"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("config drive")
    );

    let url = |base: &str, node: &str, query: &str| format!("{base}/api/v1/nodes/{node}/config-drive{query}");
    let (status, shown) = get(&url(&open, "n0", "")).await;
    assert_eq!(status, 200);
    assert_eq!(shown["meta_data"], meta_data);
    assert_eq!(shown["user_data"], json!({"bytes": user_data.len()}));
    assert_eq!(shown["system"]["hostname"], "host-1");
    assert!(
        !shown.to_string().contains("abcdef.0123456789abcdef"),
        "a token is shown"
    );
    assert_eq!(get(&url(&open, "n1", "")).await.0, 200);
    let absent = get(&url(&open, "n2", "")).await;
    assert_eq!(
        (absent.0, error(&absent)),
        (404, "no config drive on the disk of node \"n2\"")
    );
    let refused = get(&url(&open, "n0", "?secrets=true")).await;
    assert_eq!(refused.0, 403);
    assert!(error(&refused).contains("control.token"));
    for query in ["?secrets=maybe", "?colour=red"] {
        assert_eq!(get(&url(&open, "n0", query)).await.0, 400);
    }

    let guarded = world.serve_control(Some("s3cret"), &Arc::default());
    let answer = client()
        .get(url(&guarded, "n0", "?secrets=true"))
        .bearer_auth("s3cret")
        .send()
        .await
        .unwrap();
    let shown: Value = answer.json().await.unwrap();
    assert_eq!(shown["user_data"]["text"], user_data);
    assert_eq!(get(&url(&guarded, "n0", "?secrets=true")).await.0, 401);
    world.stop().await;
}
