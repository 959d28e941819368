//! Calls to an Ironic that misbehaves: it only delays things.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use metalsim::clock::WallClock;
use metalsim::frontend::connection::Connection;
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::Exposition as _;
use metalsim::observer::Protocol;
use metalsim::outbound::boot_media::{IronicAccess, MediaReader, MediaSettings};
use metalsim::outbound::ironic::{CallLimits, IronicClient};
use metalsim::outbound::web::WebLimits;
use metalsim::telemetry::metrics::Metrics;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::seed::Seed;
use metalsim_actors::time::Clock;
use serde_json::{Value, json};

use crate::world::{Plan, World, until};

/// Ironic's id of every node.
const UUID: &str = "6d657461-6c73-4e1d-8a5e-00000000000a";

/// What the stub does instead of answering properly.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Status(u16),
    Garbage,
    WrongShape,
    Endless,
    Hang,
    Close,
}

#[derive(Debug)]
struct Seen {
    method: String,
    path: String,
    query: String,
    version: Option<String>,
    request_id: Option<String>,
    body: Option<Value>,
}

/// A stub of Ironic: first one mood a request, then properly.
#[derive(Default)]
struct Stub {
    moods: Mutex<VecDeque<Mood>>,
    seen: Mutex<Vec<Seen>>,
}

impl Stub {
    fn feels(&self, moods: &[Mood]) {
        self.moods.lock().unwrap().extend(moods);
    }

    fn count(&self, method: &str, path: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.method == method && seen.path.starts_with(path))
            .count()
    }
}

async fn stub(request: HttpRequest, body: web::Bytes, stub: web::Data<Stub>) -> HttpResponse {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
    stub.seen.lock().unwrap().push(Seen {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        version: header("x-openstack-ironic-api-version"),
        request_id: header("x-openstack-request-id"),
        body: serde_json::from_slice(&body).ok(),
    });
    let mood = stub.moods.lock().unwrap().pop_front();
    match mood {
        Some(Mood::Status(status)) => HttpResponse::build(StatusCode::from_u16(status).unwrap())
            .insert_header(("location", "/elsewhere"))
            .json(json!({"error_message": "no"})),
        Some(Mood::Garbage) => HttpResponse::Ok().body("<html>"),
        Some(Mood::WrongShape) => HttpResponse::Ok().json(json!({"node": 1})),
        Some(Mood::Endless) => HttpResponse::Ok().body(vec![b' '; 3 * 1024 * 1024]),
        Some(Mood::Hang) => std::future::pending().await,
        Some(Mood::Close) => {
            Connection::of(&request).unwrap().drop_unanswered();
            HttpResponse::Ok().finish()
        }
        None => match request.path() {
            "/v1/continue_inspection" => HttpResponse::Accepted().json(json!({"uuid": UUID})),
            "/" => HttpResponse::Ok().json(json!({"default_version": {"id": "v1", "version": "1.115"}})),
            "/v1/lookup" => HttpResponse::Ok().json(json!({
                "node": {"uuid": UUID, "properties": {}},
                "config": {"heartbeat_timeout": 300, "agent_token": "secret-token"},
            })),
            path if path == format!("/v1/heartbeat/{UUID}") => HttpResponse::Accepted().finish(),
            _ => HttpResponse::NotFound().finish(),
        },
    }
}

/// A simulated second takes a tenth of a millisecond: retries don't keep a test waiting.
const SPEED: f64 = 10_000.0;

async fn world(nodes: usize, limits: CallLimits) -> (World, Arc<Stub>) {
    metalsim::frontend::tls::install_provider();
    // The stub is served by a world of its own, since its address must be known first.
    let ironic = Arc::<Stub>::default();
    let mut servers = World::start(Plan {
        nodes: 0,
        ..Plan::default()
    })
    .await;
    let data = web::Data::from(Arc::clone(&ironic));
    let address = servers.serve(&ServerOptions::new(Protocol::Control), move |config| {
        config.app_data(data.clone()).default_service(web::to(stub));
    });
    // It is stopped with the test's process.
    std::mem::forget(servers);
    let metrics = Arc::<Metrics>::default();
    let clock: Arc<dyn Clock> = Arc::new(WallClock::start(SPEED));
    let client = IronicClient::start(limits, Seed::root(1), Arc::clone(&clock), metrics.clone()).unwrap();
    let access = IronicAccess {
        api_url: Some(format!("http://{address}/").into()),
        ..IronicAccess::default()
    };
    let plan = Plan {
        nodes: u32::try_from(nodes).unwrap(),
        ironic: Arc::new(client),
        media: Arc::new(MediaReader::start(unread(), &access).unwrap()),
        clock,
        metrics,
        ..Plan::default()
    };
    (World::start(plan).await, ironic)
}

/// Media that say what the settings say.
fn unread() -> MediaSettings {
    MediaSettings {
        fetch: false,
        limits: WebLimits {
            max_in_flight: 1,
            timeout: crate::world::PATIENCE,
            max_read: 0,
            max_skipped: 0,
        },
        ca_pem: None,
    }
}

const LIMITS: CallLimits = CallLimits {
    max_in_flight: 4,
    timeout: Duration::from_millis(500),
};

#[actix_web::test]
async fn an_agent_says_what_the_real_one_says() {
    let (world, ironic) = world(1, LIMITS).await;
    world.boot_agent(0).await;
    until("a heartbeat", || async {
        ironic.count("POST", "/v1/heartbeat") > 0
    })
    .await;
    let seen = std::mem::take(&mut *ironic.seen.lock().unwrap());
    let first = |path: &str| seen.iter().find(|seen| seen.path == path).unwrap();
    let inspection = first("/v1/continue_inspection");
    assert_eq!((inspection.method.as_str(), &inspection.version), ("POST", &None));
    let mac = world.node(0).identity().macs[0].to_string();
    let inventory = &inspection.body.as_ref().unwrap()["inventory"];
    assert_eq!(inventory["boot"]["pxe_interface"], mac);
    assert_eq!((first("/").method.as_str(), &first("/").version), ("GET", &None));
    let lookup = first("/v1/lookup");
    assert_eq!(lookup.version.as_deref(), Some("1.62"));
    let query: Vec<(String, String)> = web::Query::from_query(&lookup.query)
        .map(web::Query::into_inner)
        .unwrap();
    assert!(
        query[0].0 == "addresses" && query[0].1.starts_with(&mac),
        "{query:?}"
    );
    assert_eq!(query[1], ("node_uuid".to_owned(), UUID.to_owned()));
    let beat = seen
        .iter()
        .find(|seen| seen.path.starts_with("/v1/heartbeat/"))
        .unwrap();
    assert_eq!((beat.version.as_deref(), &beat.request_id), (Some("1.68"), &None));
    let body = beat.body.as_ref().unwrap();
    assert_eq!(body["agent_token"], "secret-token");
    let id = world.node(0).identity().id;
    assert_eq!(body["callback_url"], format!("http://127.0.0.1:9999/{id}"));
    world.stop().await;
}

#[actix_web::test]
async fn whatever_ironic_answers_the_agent_gets_there() {
    use Mood::{Close, Endless, Garbage, Hang, Status, WrongShape};
    let (world, ironic) = world(1, LIMITS).await;
    for mood in [
        Status(404),
        Status(409),
        Status(500),
        Status(302),
        Garbage,
        WrongShape,
        Endless,
        Hang,
        Close,
    ] {
        // Inspection, discovery, look-up and heartbeat may each meet it.
        ironic.feels(&[mood; 4]);
        world.boot_agent(0).await;
        until(&format!("the end of {mood:?}"), || async {
            ironic.moods.lock().unwrap().is_empty()
        })
        .await;
        let beats = ironic.count("POST", "/v1/heartbeat");
        until("the next heartbeat", || async {
            ironic.count("POST", "/v1/heartbeat") > beats
        })
        .await;
        world.bmc(0, BmcCommand::Reset(ResetType::ForceOff)).await;
        world.wait_for(0, Phase::Off).await;
    }
    assert_eq!(ironic.count("GET", "/elsewhere"), 0, "redirects are not followed");
    let page = world.metrics.render();
    for result in [
        "ok",
        "not_found",
        "conflict",
        "server_error",
        "redirect",
        "bad_answer",
        "no_connection",
    ] {
        let counted = page.lines().any(|line| {
            line.starts_with("metalsim_ironic_calls_total")
                && line.contains(&format!("result=\"{result}\""))
                && !line.ends_with(" 0")
        });
        assert!(counted, "{result} in\n{page}");
    }
    world.stop().await;
}

#[actix_web::test]
async fn only_202_is_an_accepted_heartbeat() {
    let (world, ironic) = world(1, LIMITS).await;
    world.boot_agent(0).await;
    ironic.feels(&[Mood::Garbage]);
    until("a heartbeat that was not accepted", || async {
        world.metrics.render().lines().any(|line| {
            line.starts_with("metalsim_ironic_calls_total")
                && line.contains("heartbeat")
                && line.contains("result=\"bad_answer\"")
                && !line.ends_with(" 0")
        })
    })
    .await;
    world.stop().await;
}

#[actix_web::test]
async fn calls_in_flight_are_bounded_and_everybody_gets_a_turn() {
    let patient = CallLimits {
        timeout: crate::world::PATIENCE,
        ..LIMITS
    };
    let (world, ironic) = world(20, patient).await;
    ironic.feels(&[Mood::Hang; 4]);
    for index in 0..20 {
        world.power_on_agent(index).await;
    }
    let level = |name: &str| {
        let page = world.metrics.render();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("metalsim_{name} ")))
            .unwrap();
        line.parse::<i64>().unwrap()
    };
    until("a full queue", || async { level("ironic_calls_queued") == 16 }).await;
    assert_eq!(level("ironic_calls_in_flight"), 4);
    // What is in flight takes a moment to arrive; what waits never does.
    let arrived = || ironic.seen.lock().unwrap().len();
    until("the calls in flight to arrive", || async { arrived() >= 4 }).await;
    assert_eq!((arrived(), level("ironic_calls_queued")), (4, 16));
    // Power loss calls a node's call off, and the next one gets its turn: first those that hang, whichever they are.
    for index in 0..20 {
        world.bmc(index, BmcCommand::Reset(ResetType::ForceOff)).await;
        world.wait_for(index, Phase::Off).await;
    }
    until("all calls to be called off", || async {
        level("ironic_calls_queued") == 0 && level("ironic_calls_in_flight") == 0
    })
    .await;
    ironic.moods.lock().unwrap().clear();
    for index in 0..20 {
        world.power_on_agent(index).await;
    }
    for index in 0..20 {
        world.wait_for(index, Phase::AgentReady).await;
    }
    world.stop().await;
}

#[actix_web::test]
async fn a_missing_ironic_is_found_when_it_comes() {
    let (world, ironic) = world(1, LIMITS).await;
    ironic.feels(&[Mood::Close; 30]);
    world.boot_agent(0).await;
    assert!(ironic.moods.lock().unwrap().is_empty());
    world.stop().await;
}
