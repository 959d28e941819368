//! The agents' API over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metalsim::frontend::tls;
use metalsim_actors::node::Kind;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::testkit::kind;
use metalsim_actors::timing::{Latency, Timing};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{Plan, World, client};

const TOKEN: &str = "agent_token=token";

/// A client of one agent.
struct Agent {
    client: reqwest::Client,
    base: String,
}

impl Agent {
    fn new(base: &str, world: &World, index: usize) -> Self {
        Self {
            client: client(),
            base: format!("{base}/{}", world.node(index).identity().id),
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        json_of(self.client.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        json_of(
            self.client
                .post(format!("{}{path}", self.base))
                .body(body.to_owned()),
        )
        .await
    }

    async fn execute(&self, name: &str, params: Value) -> (u16, Value) {
        let body = json!({"name": name, "params": params}).to_string();
        self.post(&format!("/v1/commands/?{TOKEN}"), &body).await
    }

    /// Whether a request fails without an answer.
    async fn is_dropped(&self, path: &str) -> bool {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await;
        answer.is_err_and(|error| !error.is_timeout() && !error.is_connect())
    }
}

async fn json_of(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").unwrap().clone();
    assert!(kind.to_str().unwrap().starts_with("application/json"), "{kind:?}");
    (status, answer.json().await.unwrap())
}

fn fault(answer: &(u16, Value)) -> (u16, &str) {
    let (status, body) = answer;
    let code = if *status >= 500 { "Server" } else { "Client" };
    assert_eq!(body["faultcode"], code, "{body}");
    (*status, body["faultstring"].as_str().expect("a faultstring"))
}

async fn started() -> (World, Agent) {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_agents(|_, _| {});
    world.boot_agent(0).await;
    let agent = Agent::new(&base, &world, 0);
    (world, agent)
}

#[actix_web::test]
async fn documents_stand_with_and_without_slash_and_version() {
    let (world, agent) = started().await;
    for path in ["", "/"] {
        let (status, root) = agent.get(path).await;
        assert_eq!((status, &root["default_version"]["id"]), (200, &json!("v1")));
        let url = format!("http://127.0.0.1:9999/{}/v1", world.node(0).identity().id);
        assert_eq!(root["versions"][0]["links"][0]["href"], url);
    }
    for path in ["/v1", "/v1/"] {
        let (status, v1) = agent.get(path).await;
        assert_eq!((status, &v1["id"]), (200, &json!("v1")));
        assert_eq!(v1["commands"][1]["rel"], "bookmark");
    }
    for path in ["/v1/status", "/v1/status/", "/status", "/status/"] {
        let (status, body) = agent.get(path).await;
        assert_eq!((status, &body["version"]), (200, &json!("13.0.0")), "{path}");
        assert!(body["started_at"].as_f64().unwrap() > 1.6e9, "{body}");
    }
    for path in ["/v1/commands/", "/v1/commands", "/commands/", "/commands"] {
        assert_eq!(
            agent.get(&format!("{path}?{TOKEN}")).await,
            (200, json!({"commands": []}))
        );
    }
    world.stop().await;
}

#[actix_web::test]
async fn commands_run_and_are_remembered() {
    let (world, agent) = started().await;
    let (status, result) = agent.execute("standby.sync", json!({})).await;
    assert_eq!((status, &result["command_status"]), (200, &json!("SUCCEEDED")));
    assert_eq!(result["command_name"], "sync");
    let id = result["id"].as_str().unwrap();
    for path in [
        format!("/v1/commands/{id}?{TOKEN}"),
        format!("/commands/{id}/?wait=true&{TOKEN}"),
    ] {
        assert_eq!(agent.get(&path).await, (200, result.clone()));
    }
    let (_, list) = agent.get(&format!("/v1/commands/?{TOKEN}")).await;
    assert_eq!(list["commands"], json!([result]));
    world.stop().await;
}

#[actix_web::test]
async fn refusals_have_their_status_and_a_faultstring() {
    let (world, agent) = started().await;
    let commands = format!("/v1/commands/?{TOKEN}");
    for body in [
        "",
        "{",
        "[]",
        r#"{"name": "standby.sync"}"#,
        r#"{"name": "standby.sync", "params": []}"#,
    ] {
        let answer = agent.post(&commands, body).await;
        let (status, text) = fault(&answer);
        assert!(
            status == 400 && text.starts_with("400 Bad Request: "),
            "{body}: {text}"
        );
    }
    let body = r#"{"name": "standby.sync", "params": {}}"#;
    for query in ["", "?agent_token=wrong", "?agent_token="] {
        let answer = agent.post(&format!("/v1/commands/{query}"), body).await;
        assert_eq!(fault(&answer), (401, "401 Unauthorized: Token invalid."));
        let answer = agent.get(&format!("/v1/commands/{query}")).await;
        assert_eq!(fault(&answer), (401, "401 Unauthorized: Token invalid."));
    }
    for (name, status, text) in [
        (
            "sync",
            400,
            "Invalid command: Command name must be of the form <extension>.<name>",
        ),
        ("standby.brew", 400, "Invalid command: Unknown command: brew"),
        (
            "coffee.brew",
            404,
            "Not found: Extension with id coffee not found.",
        ),
    ] {
        assert_eq!(fault(&agent.execute(name, json!({})).await), (status, text));
    }
    let unknown = agent.get(&format!("/v1/commands/abc?{TOKEN}")).await;
    assert_eq!(
        fault(&unknown),
        (404, "Not found: Command Result with id abc not found.")
    );
    let (status, text) = (
        404,
        "404 Not Found: The requested URL was not found on the server.",
    );
    assert_eq!(fault(&agent.get("/v1/brew").await), (status, text));
    assert_eq!(fault(&agent.get("/v2/").await), (status, text));
    let answer = agent.post("/v1/status", "").await;
    assert!(matches!(fault(&answer), (405, text) if text.starts_with("405 Method Not Allowed")));
    let answer = json_of(agent.client.delete(format!("{}{commands}", agent.base))).await;
    assert_eq!(fault(&answer).0, 405);
    let (_, list) = agent.get(&commands).await;
    assert_eq!(list, json!({"commands": []}), "nothing was begun");
    world.stop().await;
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let (world, agent) = started().await;
    let large = format!(
        r#"{{"name": "standby.sync", "params": {{"x": "{}"}}}}"#,
        "y".repeat(70_000)
    );
    let answer = agent.post(&format!("/v1/commands/?{TOKEN}"), &large).await;
    let (status, text) = fault(&answer);
    assert!(status == 413 && text.contains("65536"), "{text}");
    let pieces = futures_util::stream::iter(vec![Ok::<_, std::io::Error>(large.into_bytes())]);
    let chunked = agent.client.post(format!("{}/v1/commands/?{TOKEN}", agent.base));
    let answer = json_of(chunked.body(reqwest::Body::wrap_stream(pieces))).await;
    assert_eq!(fault(&answer).0, 413);
    world.stop().await;
}

fn slow_kind(command: Latency) -> Arc<Kind> {
    kind(Timing {
        agent_command: command,
        ..Timing::instant()
    })
}

#[actix_web::test]
async fn a_second_command_is_refused_while_one_runs_and_a_wait_ends_with_it() {
    let plan = Plan {
        kind: slow_kind(Latency::millis(200)),
        ..Plan::default()
    };
    let mut world = World::start(plan).await;
    let base = world.serve_agents(|_, _| {});
    world.boot_agent(0).await;
    let agent = Agent::new(&base, &world, 0);
    let step = json!({"step": {"interface": "deploy", "step": "erase_pstore"}});
    let (status, running) = agent.execute("clean.execute_clean_step", step).await;
    assert_eq!((status, &running["command_status"]), (200, &json!("RUNNING")));
    let answer = agent.execute("clean.get_clean_steps", json!({})).await;
    // The first may have ended if this machine is very slow.
    if answer.0 != 200 {
        assert_eq!(
            fault(&answer),
            (409, "Agent is busy: executing command execute_clean_step")
        );
    }
    let id = running["id"].as_str().unwrap();
    let (_, ended) = agent.get(&format!("/v1/commands/{id}?wait=True&{TOKEN}")).await;
    assert_eq!(ended["command_status"], "SUCCEEDED");
    world.stop().await;
}

#[actix_web::test]
async fn a_wait_that_takes_too_long_answers_with_the_running_command() {
    let plan = Plan {
        kind: slow_kind(Latency::millis(3_600_000)),
        ..Plan::default()
    };
    let mut world = World::start(plan).await;
    let base = world.serve_agents(|_, api| api.longest_wait = Duration::from_millis(20));
    world.boot_agent(0).await;
    let agent = Agent::new(&base, &world, 0);
    let body = json!({
        "name": "clean.execute_clean_step",
        "params": {"step": {"interface": "deploy", "step": "erase_pstore"}},
    });
    let path = format!("/v1/commands/?wait=true&{TOKEN}");
    let (status, result) = agent.post(&path, &body.to_string()).await;
    assert_eq!((status, &result["command_status"]), (200, &json!("RUNNING")));
    world.stop().await;
}

#[actix_web::test]
async fn without_a_running_agent_the_connection_is_dropped() {
    let (world, agent) = started().await;
    let base = agent.base.rsplit_once('/').unwrap().0.to_owned();
    let off = Agent::new(&base, &world, 1);
    let body = r#"{"name": "standby.sync", "params": {}}"#;
    for path in [
        "",
        "/",
        "/v1/",
        "/v1/status",
        "/v1/commands/?agent_token=token",
        "/v1/brew",
    ] {
        assert!(off.is_dropped(path).await, "{path}");
    }
    assert!(
        off.client
            .post(format!("{}/v1/commands/", off.base))
            .body(body)
            .send()
            .await
            .is_err()
    );
    assert!(off.client.head(format!("{}/v1/", off.base)).send().await.is_err());
    for path in [
        "",
        "/",
        "/nobody/v1/",
        "/6d657461-6c73-5e1d-8a5e-000000000009/v1/status",
    ] {
        let nobody = Agent {
            client: client(),
            base: base.clone(),
        };
        assert!(nobody.is_dropped(path).await, "{path}");
    }
    let (status, _) = agent.execute("system.lockdown", json!({})).await;
    assert_eq!(status, 200, "the answer goes out first");
    assert!(agent.is_dropped(&format!("/v1/commands/?{TOKEN}")).await);
    world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
    assert!(agent.is_dropped("/v1/status").await);
    world.stop().await;
}

#[actix_web::test]
async fn a_request_that_waits_loses_its_connection_with_the_agent() {
    let plan = Plan {
        kind: slow_kind(Latency::millis(3_600_000)),
        ..Plan::default()
    };
    let mut world = World::start(plan).await;
    let base = world.serve_agents(|_, _| {});
    world.boot_agent(0).await;
    let agent = Agent::new(&base, &world, 0);
    let step = json!({"step": {"interface": "deploy", "step": "erase_pstore"}});
    let (_, running) = agent.execute("clean.execute_clean_step", step).await;
    let path = format!(
        "/v1/commands/{}?wait=true&{TOKEN}",
        running["id"].as_str().unwrap()
    );
    let waiting = actix_web::rt::spawn(async move { agent.is_dropped(&path).await });
    world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
    assert!(waiting.await.unwrap());
    world.stop().await;
}

#[actix_web::test]
async fn no_permit_means_come_back_later() {
    let (client, base, world) = {
        let mut world = World::start(Plan {
            permits: 0,
            ..Plan::default()
        })
        .await;
        let base = world.serve_agents(|_, _| {});
        (client(), base, world)
    };
    let url = format!("{base}/{}/v1/status", world.node(0).identity().id);
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    let body: Value = answer.json().await.unwrap();
    assert!(body["faultstring"].is_string(), "{body}");
    world.stop().await;
}

#[actix_web::test]
async fn a_certificate_of_our_own_serves_and_drops_as_plain_http_does() {
    tls::install_provider();
    let made = tls::self_signed(&["127.0.0.1".to_owned()]).unwrap();
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_agents(|options, _| options.tls = Some(Arc::clone(&made.config)));
    world.boot_agent(0).await;
    let trusting = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(made.pem.as_bytes()).unwrap()])
        .tls_version_min(reqwest::tls::Version::TLS_1_3)
        .build()
        .unwrap();
    let mut agent = Agent::new(&base, &world, 0);
    assert!(
        agent
            .client
            .get(format!("{}/v1/status", agent.base))
            .send()
            .await
            .is_err(),
        "not trusted"
    );
    agent.client = trusting;
    assert_eq!(agent.get("/v1/status").await.0, 200);
    agent.base = format!("{base}/{}", world.node(1).identity().id);
    assert!(agent.is_dropped("/v1/status").await);
    world.stop().await;
}

/// Sends `text` and reads until the server closes.
async fn raw(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let read = tokio::time::timeout(crate::world::PATIENCE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("the server ends the connection"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn half_requests_end_and_do_not_keep_others_waiting() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_agents(|options, api| {
        // Long enough that a good request is never taken for half a one, however busy the machine is.
        options.request_timeout = Duration::from_secs(4);
        options.keep_alive = Duration::from_secs(4);
        options.disconnect_timeout = Duration::from_secs(1);
        api.bodies.timeout = Duration::from_secs(4);
    });
    world.boot_agent(0).await;
    let agent = Agent::new(&base, &world, 0);
    let address: SocketAddr = base.strip_prefix("http://").unwrap().parse().unwrap();
    let id = world.node(0).identity().id;
    let whole = format!("GET /{id}/v1/status HTTP/1.1\r\nHost: a\r\n\r\n");
    let half_body =
        format!("POST /{id}/v1/commands/?{TOKEN} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{");
    let halves = [
        String::new(),
        whole[..30].to_owned(),
        // A second request of which a part came with the first, and one whose part comes alone.
        format!("{whole}{}", &whole[..30]),
        half_body,
    ];
    let stuck: Vec<_> = halves
        .iter()
        .cycle()
        .take(200)
        .cloned()
        .map(|text| actix_web::rt::spawn(async move { (raw(address, &text).await, text) }))
        .collect();
    assert_eq!(agent.get("/v1/status").await.0, 200);
    for stuck in stuck {
        let (answer, text) = stuck.await.unwrap();
        let first = answer.lines().next().unwrap_or_default();
        let expected = match text.len() {
            0 => "",
            _ if text.contains("Content-Length") || text.len() == 30 => "HTTP/1.1 408 Request Timeout",
            _ => "HTTP/1.1 200 OK",
        };
        assert!(
            first == expected || (text.is_empty() && first.contains("408")),
            "{text:?}: {answer:?}"
        );
    }
    assert_eq!(agent.get("/v1/status").await.0, 200);
    world.stop().await;
}

#[actix_web::test]
async fn a_server_that_drains_lets_go_of_idle_connections() {
    metalsim::frontend::tls::install_provider();
    let (draining, drain) = tokio::sync::watch::channel(false);
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_agents(|options, _| {
        options.drain = Some(drain.clone());
        options.shutdown_timeout = crate::world::PATIENCE;
    });
    world.boot_agent(0).await;
    let keeping = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{base}/{}/v1/status", world.node(0).identity().id);
    assert_eq!(keeping.get(&url).send().await.unwrap().status(), 200);
    draining.send(true).unwrap();
    let stopped = tokio::time::timeout(crate::world::PATIENCE / 2, world.drain());
    stopped.await.expect("the server stops before its time-out");
    assert!(keeping.get(&url).send().await.is_err());
    world.stop().await;
}
