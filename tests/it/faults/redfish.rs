//! Faults of BMCs, seen over Redfish.

use std::time::Duration;

use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::redfish::{self, Auth, RedfishState, SessionStore};
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::Protocol;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Plan, World, client};

/// Two nodes behind one address.
pub(super) async fn world() -> (World, [String; 2]) {
    let mut world = World::start(Plan::default()).await;
    let state = std::sync::Arc::new(RedfishState::new(
        std::sync::Arc::clone(&world.directory),
        std::sync::Arc::clone(&world.clock),
        Auth::single("admin", "secret"),
        SessionStore::new(Duration::from_secs(60), 8),
        BodyLimits::new(1 << 20, Duration::from_secs(30), 1 << 24),
        Uuid::nil(),
    ));
    let address = world.serve(&ServerOptions::new(Protocol::Redfish), redfish::configure(state));
    let urls = [0, 1].map(|index| {
        let id = world.node(index).identity().id;
        format!("http://{address}/redfish/v1/Systems/{id}")
    });
    (world, urls)
}

async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    client()
        .get(url)
        .basic_auth("admin", Some("secret"))
        .timeout(Duration::from_secs(2))
        .send()
        .await
}

async fn post(url: &str, body: Value) -> reqwest::Response {
    client()
        .post(url)
        .basic_auth("admin", Some("secret"))
        .json(&body)
        .send()
        .await
        .unwrap()
}

/// A fault of the first node alone.
fn first(when: Value, what: Value) -> Value {
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
