//! Faults of BMCs, seen over Redfish.

use std::sync::Arc;
use std::time::Duration;

use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::redfish::{self, Auth, RedfishState, SessionStore};
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::{Exposition as _, Protocol};
use metalsim_actors::testkit::HandClock;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Plan, World, client};

/// Two nodes behind one address.
pub(super) async fn world() -> (World, [String; 2]) {
    world_of(Plan::default()).await
}

pub(super) async fn world_of(plan: Plan) -> (World, [String; 2]) {
    let last = plan.nodes as usize - 1;
    let mut world = World::start(plan).await;
    let state = Arc::new(RedfishState::new(
        Arc::clone(&world.directory),
        Arc::clone(&world.clock),
        Auth::single("admin", "secret"),
        SessionStore::new(Duration::from_secs(60), 8),
        BodyLimits::new(1 << 20, Duration::from_secs(30), 1 << 24),
        Uuid::nil(),
    ));
    let address = world.serve(&ServerOptions::new(Protocol::Redfish), redfish::configure(state));
    let urls = [0, last.min(1)].map(|index| {
        let id = world.node(index).identity().id;
        format!("http://{address}/redfish/v1/Systems/{id}")
    });
    (world, urls)
}

pub(super) async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    client()
        .get(url)
        .basic_auth("admin", Some("secret"))
        .timeout(Duration::from_secs(2))
        .send()
        .await
}

pub(super) async fn post(url: &str, body: Value) -> reqwest::Response {
    client()
        .post(url)
        .basic_auth("admin", Some("secret"))
        .json(&body)
        .send()
        .await
        .unwrap()
}

/// A fault of the first node alone.
pub(super) fn first(when: Value, what: Value) -> Value {
    json!([{"name": "fault", "which": {"names": ["n0"]}, "when": when, "what": what}])
}

#[actix_web::test]
async fn an_error_instead_of_an_answer() {
    let (world, [hit, spared]) = world().await;
    let what = json!({"bmc_status": {"status": 503, "retry_after": "7s", "methods": ["GET"]}});
    world.set_faults(first(json!({"nth": 2}), what));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = get(&hit).await.unwrap();
        assert_eq!(get(&spared).await.unwrap().status(), StatusCode::OK);
        seen.push((
            answer.status().as_u16(),
            answer
                .headers()
                .get("retry-after")
                .map(|value| value.to_str().unwrap().to_owned()),
        ));
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            let body: Value = answer.json().await.unwrap();
            let id = body["error"]["@Message.ExtendedInfo"][0]["MessageId"]
                .as_str()
                .unwrap();
            assert!(id.ends_with("ServiceTemporarilyUnavailable"), "{body}");
        }
    }
    assert_eq!(seen, [(200, None), (503, Some("7".to_owned())), (200, None)]);
    world.stop().await;
}

#[actix_web::test]
async fn no_connection_in_each_way() {
    let (world, [hit, spared]) = world().await;
    for (how, timed_out) in [("refuse", false), ("drop", true), ("hang", true)] {
        world.set_faults(first(json!({}), json!({"bmc_unreachable": {"how": how}})));
        let error = get(&hit).await.expect_err("no answer comes");
        assert_eq!(error.is_timeout(), timed_out, "{how}: {error}");
        assert_eq!(get(&spared).await.unwrap().status(), StatusCode::OK);
    }
    world.set_faults(json!([]));
    assert_eq!(get(&hit).await.unwrap().status(), StatusCode::OK);
    world.stop().await;
}

#[actix_web::test]
async fn right_credentials_that_are_refused() {
    let (world, [hit, spared]) = world().await;
    world.set_faults(first(json!({"first": 1}), json!("bmc_wrong_credentials")));
    assert_eq!(get(&hit).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(get(&hit).await.unwrap().status(), StatusCode::OK);
    assert_eq!(get(&spared).await.unwrap().status(), StatusCode::OK);
    world.stop().await;
}

#[actix_web::test]
async fn bodies_that_are_broken() {
    let (world, [hit, spared]) = world().await;
    for how in ["malformed", "truncated", "empty", "html", "wrong_shape"] {
        world.set_faults(first(
            json!({}),
            json!({"bmc_bad_body": {"how": how, "methods": ["GET"]}}),
        ));
        let answer = get(&hit).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{how}");
        let document = answer.json::<serde_json::Map<String, Value>>().await;
        assert!(document.is_err(), "{how}: {document:?}");
        let whole: Value = get(&spared).await.unwrap().json().await.unwrap();
        assert_eq!(whole["Name"], "n1");
    }
    world.stop().await;
}

#[actix_web::test]
async fn media_that_are_not_there() {
    let (world, [hit, _]) = world().await;
    let media = format!("{hit}/VirtualMedia/Cd");
    let insert = format!("{media}/Actions/VirtualMedia.InsertMedia");
    let image = json!({"Image": "http://127.0.0.1/boot.iso"});
    world.set_faults(first(json!({}), json!({"media_insert_fails": {"status": 500}})));
    assert_eq!(
        post(&insert, image.clone()).await.status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    world.set_faults(first(json!({}), json!("media_insert_fails")));
    assert_eq!(
        post(&insert, image.clone()).await.status(),
        StatusCode::NO_CONTENT
    );
    let shown: Value = get(&media).await.unwrap().json().await.unwrap();
    assert_eq!(shown["Image"], Value::Null, "{shown}");
    world.set_faults(first(json!({}), json!("media_eject_ignored")));
    assert_eq!(post(&insert, image).await.status(), StatusCode::NO_CONTENT);
    let eject = format!("{media}/Actions/VirtualMedia.EjectMedia");
    assert_eq!(post(&eject, json!({})).await.status(), StatusCode::NO_CONTENT);
    let shown: Value = get(&media).await.unwrap().json().await.unwrap();
    assert_eq!(shown["Image"], "http://127.0.0.1/boot.iso", "{shown}");
    world.stop().await;
}

#[actix_web::test]
async fn resets_and_power() {
    let (world, [hit, spared]) = world().await;
    let reset = |url: &str| format!("{url}/Actions/ComputerSystem.Reset");
    world.set_faults(first(json!({}), json!("reset_ignored")));
    for url in [&hit, &spared] {
        let status = post(&reset(url), json!({"ResetType": "On"})).await.status();
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let power = async |url: &str| {
        let system: Value = get(url).await.unwrap().json().await.unwrap();
        system["PowerState"].clone()
    };
    assert_eq!(
        (power(&hit).await, power(&spared).await),
        (json!("Off"), json!("On"))
    );
    world.set_faults(json!([
        {"name": "dark", "which": {"names": ["n1"]}, "what": {"power_loss": {"restore": "on"}}},
    ]));
    assert_eq!(power(&spared).await, "Off");
    world.set_faults(json!([{"name": "dark", "what": {"power_loss": {"bmc": true}}}]));
    assert!(get(&hit).await.unwrap_err().is_timeout());
    world.stop().await;
}

/// Reads with a token or an entity tag.
async fn get_with(url: &str, header: &str, value: &str) -> reqwest::Response {
    let request = client().get(url).header(header, value);
    let request = if header == "x-auth-token" {
        request
    } else {
        request.basic_auth("admin", Some("secret"))
    };
    request.send().await.unwrap()
}

fn etag(answer: &reqwest::Response) -> String {
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

async fn light(url: &str, state: &str, if_match: &str) -> StatusCode {
    let request = client().patch(url).basic_auth("admin", Some("secret"));
    let request = request
        .header("if-match", if_match)
        .json(&json!({"IndicatorLED": state}));
    request.send().await.unwrap().status()
}

#[actix_web::test]
async fn reads_that_are_stale() {
    let (world, [hit, spared]) = world().await;
    let route = "/redfish/v1/Systems/{id}";
    world.set_faults(first(
        json!({}),
        json!({"bmc_stale_reads": {"age": "1h", "routes": [route]}}),
    ));
    let led = async |url: &str| {
        let answer = get(url).await.unwrap();
        let tag = etag(&answer);
        let system: Value = answer.json().await.unwrap();
        assert_eq!(system["@odata.etag"], tag, "body and header are of one read");
        (system["IndicatorLED"].clone(), tag)
    };
    let mut first_tag = String::new();
    for url in [&hit, &spared] {
        let (off, tag) = led(url).await;
        assert_eq!(off, "Off");
        first_tag.clone_from(&tag);
        assert_eq!(light(url, "Lit", &tag).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(led(&spared).await.0, "Lit");
    let (stale, tag) = led(&hit).await;
    assert_eq!((stale, &tag), (json!("Off"), &first_tag));
    // Conditional reads are told what the stale answer says, and changes are compared with what is so.
    assert_eq!(
        get_with(&hit, "if-none-match", &tag).await.status(),
        StatusCode::NOT_MODIFIED
    );
    assert_eq!(
        get_with(&hit, "if-none-match", "\"99\"").await.status(),
        StatusCode::OK
    );
    assert_eq!(
        light(&hit, "Blinking", &tag).await,
        StatusCode::PRECONDITION_FAILED
    );
    let head = client().head(&hit).basic_auth("admin", Some("secret"));
    assert_eq!(etag(&head.send().await.unwrap()), tag);
    // Another resource, and the same one asked for in another way.
    let query: Value = get(&format!("{hit}?x=1")).await.unwrap().json().await.unwrap();
    assert_eq!(query["IndicatorLED"], "Lit");
    // Each stale answer is a hit, and what was made anew is none.
    let page = world.metrics.render();
    let count = page
        .lines()
        .find(|line| line.starts_with("metalsim_fault_hits") && line.contains("bmc_stale_reads"))
        .unwrap_or_else(|| panic!("{page}"));
    assert!(count.ends_with(" 4"), "{count}");
    world.set_faults(json!([]));
    assert_eq!(led(&hit).await.0, "Lit");
    // What was kept is gone with the fault.
    assert_eq!(light(&hit, "Off", "*").await, StatusCode::NO_CONTENT);
    world.set_faults(first(json!({}), json!({"bmc_stale_reads": {"age": "1h"}})));
    assert_eq!(led(&hit).await.0, "Off");
    world.stop().await;
}

#[actix_web::test]
async fn stale_reads_come_to_an_end() {
    let clock = Arc::new(HandClock::default());
    let plan = Plan {
        clock: clock.clone(),
        ..Plan::default()
    };
    let (world, [hit, _]) = world_of(plan).await;
    world.set_faults(first(json!({}), json!({"bmc_stale_reads": {"age": "10s"}})));
    let led = async || {
        let system: Value = get(&hit).await.unwrap().json().await.unwrap();
        system["IndicatorLED"].clone()
    };
    assert_eq!(led().await, "Off");
    assert_eq!(light(&hit, "Lit", "*").await, StatusCode::NO_CONTENT);
    clock.pass(Duration::from_secs(10));
    assert_eq!(led().await, "Off");
    clock.pass(Duration::from_millis(1));
    assert_eq!(led().await, "Lit");
    world.stop().await;
}

#[actix_web::test]
async fn sessions_that_end_before_their_time() {
    let clock = Arc::new(HandClock::default());
    let plan = Plan {
        clock: clock.clone(),
        ..Plan::default()
    };
    let (world, [hit, spared]) = world_of(plan).await;
    let sessions = format!(
        "{}/SessionService/Sessions",
        hit.split("/Systems").next().unwrap()
    );
    let log_in = async || {
        let answer = post(&sessions, json!({"UserName": "admin", "Password": "secret"})).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let token = answer.headers()["x-auth-token"].to_str().unwrap().to_owned();
        let place = answer.headers()["location"].to_str().unwrap().to_owned();
        let id = place.rsplit('/').next().unwrap().to_owned();
        (token, format!("{sessions}/{id}"))
    };
    world.set_faults(first(json!({}), json!({"session_expires": {"after": "60s"}})));
    let (token, session) = log_in().await;
    let with = async |url: &str| get_with(url, "x-auth-token", &token).await;
    assert_eq!(with(&hit).await.status(), StatusCode::OK);
    clock.pass(Duration::from_secs(60));
    // Others do not end it, however old it is.
    assert_eq!(with(&spared).await.status(), StatusCode::OK);
    assert_eq!(get(&session).await.unwrap().status(), StatusCode::OK);
    // Credentials without a session are none.
    assert_eq!(get(&hit).await.unwrap().status(), StatusCode::OK);
    let refused = with(&hit).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let body: Value = refused.json().await.unwrap();
    let id = &body["error"]["@Message.ExtendedInfo"][0]["MessageId"];
    assert!(id.as_str().unwrap().ends_with("NoValidSession"), "{body}");
    // It is gone, for every node.
    assert_eq!(get(&session).await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(with(&spared).await.status(), StatusCode::UNAUTHORIZED);
    let (token, _) = log_in().await;
    let again = get_with(&hit, "x-auth-token", &token).await;
    assert_eq!(again.status(), StatusCode::OK);
    world.stop().await;
}
