//! The Redfish service over real connections: what it tells whom, what it changes, and what it refuses.

use std::sync::Arc;
use std::time::Duration;

use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::redfish::{self, Auth, RedfishState, SessionStore};
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::Protocol;
use metalsim_actors::node::phase::Phase;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Plan, World, client};

const USER: &str = "admin";
const PASSWORD: &str = "s3cretX9";
const MOST_BODY: usize = 16 * 1024;

struct Service {
    world: World,
    base: String,
    client: reqwest::Client,
}

impl Service {
    async fn start(auth: Auth) -> Self {
        Self::with(auth, Duration::from_secs(60)).await
    }

    async fn with(auth: Auth, session_timeout: Duration) -> Self {
        let mut world = World::start(Plan::default()).await;
        let state = Arc::new(RedfishState::new(
            Arc::clone(&world.directory),
            Arc::clone(&world.clock),
            auth,
            SessionStore::new(session_timeout, 2),
            BodyLimits::new(MOST_BODY, Duration::from_millis(300), 1024 * 1024),
            Uuid::from_u128(1),
        ));
        let address = world.serve(&ServerOptions::new(Protocol::Redfish), redfish::configure(state));
        Self {
            world,
            base: format!("http://{address}"),
            client: client(),
        }
    }

    /// URI of node 0's system, or of something below it.
    fn system(&self, tail: &str) -> String {
        format!("/redfish/v1/Systems/{}{tail}", self.world.node(0).identity().id)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Response {
        let request = self.request(method, path).basic_auth(USER, Some(PASSWORD));
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.send(Method::GET, path, Value::Null).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }
}

fn single() -> Auth {
    Auth::single(USER, PASSWORD)
}

/// Status and the key of the first message.
async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert!(body["error"]["message"].is_string(), "{body}");
    let first = &body["error"]["@Message.ExtendedInfo"][0];
    let id = first["MessageId"].as_str().unwrap_or_default().to_owned();
    let key = id.rsplit('.').next().unwrap_or_default().to_owned();
    (status, key)
}

#[actix_web::test]
async fn strangers_see_only_the_way_in() {
    let service = Service::start(single()).await;
    for path in [
        "/redfish",
        "/redfish/v1",
        "/redfish/v1/",
        "/redfish/v1/odata",
        "/redfish/v1/$metadata",
    ] {
        let response = service.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["odata-version"], "4.0");
    }
    for path in [
        service.system(""),
        "/redfish/v1/Systems".to_owned(),
        "/redfish/v1/nothing".to_owned(),
    ] {
        let response = service.request(Method::GET, &path).send().await.unwrap();
        assert!(response.headers().contains_key("www-authenticate"), "{path}");
        assert_eq!(
            refusal(response).await,
            (401, "ResourceAtUriUnauthorized".to_owned()),
            "{path}"
        );
        let wrong = service
            .request(Method::GET, &path)
            .basic_auth(USER, Some("guess"));
        let response = wrong.send().await.unwrap();
        let text = response.text().await.unwrap();
        assert!(!text.contains("guess") && !text.contains(PASSWORD));
    }
    service.world.stop().await;
}

#[actix_web::test]
async fn without_accounts_everybody_may_come_in() {
    let service = Service::start(Auth::open()).await;
    let response = service
        .request(Method::GET, &service.system(""))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let login = json!({"UserName": "x", "Password": "y"});
    let sessions = "/redfish/v1/SessionService/Sessions";
    let response = service
        .request(Method::POST, sessions)
        .json(&login)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    service.world.stop().await;
}

#[actix_web::test]
async fn a_session_opens_the_door_until_it_is_deleted() {
    let service = Service::start(single()).await;
    let sessions = "/redfish/v1/SessionService/Sessions";
    let login = json!({"UserName": USER, "Password": PASSWORD});
    let response = service
        .request(Method::POST, sessions)
        .json(&login)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    let token = response.headers()["x-auth-token"].to_str().unwrap().to_owned();
    let uri = response.headers()["location"].to_str().unwrap().to_owned();
    let get = |path: &str| {
        service
            .request(Method::GET, path)
            .header("X-Auth-Token", &token)
            .send()
    };
    assert_eq!(get(&service.system("")).await.unwrap().status(), 200);
    assert_eq!(
        get(&uri).await.unwrap().json::<Value>().await.unwrap()["UserName"],
        USER
    );
    // The limit of this service is two.
    assert_eq!(
        service.send(Method::POST, sessions, login.clone()).await.status(),
        201
    );
    let third = service.send(Method::POST, sessions, login).await;
    assert_eq!(refusal(third).await, (503, "SessionLimitExceeded".to_owned()));
    assert_eq!(
        service.send(Method::DELETE, &uri, Value::Null).await.status(),
        204
    );
    assert_eq!(
        refusal(get(&service.system("")).await.unwrap()).await,
        (401, "NoValidSession".to_owned())
    );
    let wrong = json!({"UserName": USER, "Password": "guess"});
    let refused = service.send(Method::POST, sessions, wrong).await;
    assert_eq!(
        refusal(refused).await,
        (401, "ResourceAtUriUnauthorized".to_owned())
    );
    service.world.stop().await;
}

#[actix_web::test]
async fn an_expired_session_is_no_session() {
    let service = Service::with(single(), Duration::ZERO).await;
    let login = json!({"UserName": USER, "Password": PASSWORD});
    let sessions = "/redfish/v1/SessionService/Sessions";
    let response = service.send(Method::POST, sessions, login).await;
    let token = response.headers()["x-auth-token"].clone();
    let request = service
        .request(Method::GET, &service.system(""))
        .header("X-Auth-Token", token);
    assert_eq!(
        refusal(request.send().await.unwrap()).await,
        (401, "NoValidSession".to_owned())
    );
    service.world.stop().await;
}

#[actix_web::test]
async fn a_reset_changes_power_and_a_one_time_override_is_used_once() {
    let service = Service::start(single()).await;
    let boot = json!({"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}});
    assert_eq!(
        service
            .send(Method::PATCH, &service.system(""), boot)
            .await
            .status(),
        204
    );
    assert_eq!(
        service.get(&service.system("")).await["Boot"]["BootSourceOverrideTarget"],
        "Pxe"
    );
    let reset = service.system("/Actions/ComputerSystem.Reset");
    assert_eq!(
        service
            .send(Method::POST, &reset, json!({"ResetType": "On"}))
            .await
            .status(),
        204
    );
    service.world.wait_for(0, Phase::AgentReady).await;
    let system = service.get(&service.system("")).await;
    assert_eq!(system["PowerState"], "On");
    assert_eq!(system["BootProgress"]["LastState"], "OSRunning");
    assert_eq!(system["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    assert_eq!(
        service
            .send(Method::POST, &reset, json!({"ResetType": "ForceOff"}))
            .await
            .status(),
        204
    );
    assert_eq!(service.get(&service.system("")).await["PowerState"], "Off");
    let log = service
        .get(&service.system("/LogServices/EventLog/Entries"))
        .await;
    assert!(log["Members@odata.count"].as_u64().unwrap() >= 4, "{log}");
    service.world.stop().await;
}

#[actix_web::test]
async fn every_link_of_a_system_leads_somewhere() {
    let service = Service::start(single()).await;
    let (mut seen, mut waiting) = (std::collections::BTreeSet::new(), vec!["/redfish/v1/".to_owned()]);
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let response = service.send(Method::GET, &path, Value::Null).await;
        assert_eq!(response.status(), 200, "{path}");
        let allow = response.headers()["allow"].clone();
        assert!(response.headers().contains_key("link"), "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["@odata.id"], path.as_str(), "a resource knows where it is");
        collect_links(&body, &mut waiting);
        // Other methods are refused with the same list.
        let refused = service.send(Method::PUT, &path, json!({})).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &allow),
            "{path}"
        );
    }
    assert!(seen.len() > 60, "{seen:?}");
    service.world.stop().await;
}

/// The targets of all links, without those that point into the same payload.
fn collect_links(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(uri) if name == "@odata.id" && !uri.contains('#') => {
                        found.push(uri.clone());
                    }
                    member => collect_links(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_links(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[actix_web::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let service = Service::start(single()).await;
    let before = service.get(&service.system("")).await;
    let reset = "/Actions/ComputerSystem.Reset";
    let insert = "/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia";
    let patch = Method::PATCH;
    let post = Method::POST;
    let image = |image: &str| json!({"Image": image});
    let boot = |name: &str, value: &str| json!({"Boot": {name: value}});
    let cases = [
        (&patch, "", json!({}), 400, "EmptyJSON"),
        (&patch, "", json!([]), 400, "UnrecognizedRequestBody"),
        (&patch, "", json!({"@odata.id": "/x"}), 400, "NoOperation"),
        (
            &patch,
            "",
            json!({"PowerState": "On"}),
            400,
            "PropertyNotWritable",
        ),
        (&patch, "", json!({"Colour": "red"}), 400, "PropertyUnknown"),
        (
            &patch,
            "",
            json!({"IndicatorLED": 1}),
            400,
            "PropertyValueTypeError",
        ),
        (
            &patch,
            "",
            boot("BootSourceOverrideTarget", "Tape"),
            400,
            "PropertyValueNotInList",
        ),
        (
            &patch,
            "",
            boot("BootSourceOverrideTarget", "Recovery"),
            400,
            "PropertyValueNotInList",
        ),
        (
            &patch,
            "",
            boot("HttpBootUri", "nfs://x/y"),
            400,
            "PropertyValueFormatError",
        ),
        (
            &patch,
            "/Bios/Settings",
            json!({"Attributes": {"Nope": 1}}),
            400,
            "PropertyUnknown",
        ),
        (
            &patch,
            "/Bios/Settings",
            json!({"Attributes": {"QuietBoot": 1}}),
            400,
            "PropertyValueTypeError",
        ),
        (
            &patch,
            "/Bios/Settings",
            json!({"Attributes": {"QuietBoot": null}}),
            400,
            "PropertyValueTypeError",
        ),
        (&post, reset, json!({}), 400, "ActionParameterMissing"),
        (
            &post,
            reset,
            json!({"ResetType": "Explode"}),
            400,
            "ActionParameterValueNotInList",
        ),
        (
            &post,
            reset,
            json!({"ResetType": "On", "Delay": 1}),
            400,
            "ActionParameterUnknown",
        ),
        (&post, insert, Value::Null, 400, "ActionParameterMissing"),
        (
            &post,
            insert,
            image("ftp://host/x"),
            400,
            "ActionParameterValueFormatError",
        ),
        (
            &post,
            insert,
            json!({"Image": 5}),
            400,
            "ActionParameterValueTypeError",
        ),
        (&post, "", json!({}), 405, "OperationNotAllowed"),
        (&patch, "/Nothing", json!({}), 404, "ResourceMissingAtURI"),
        (
            &patch,
            "/VirtualMedia/Tape",
            json!({}),
            404,
            "ResourceMissingAtURI",
        ),
    ];
    for (method, tail, body, status, key) in cases {
        let response = service
            .send(method.clone(), &service.system(tail), body.clone())
            .await;
        assert_eq!(
            refusal(response).await,
            (status, key.to_owned()),
            "{method} {tail} {body}"
        );
    }
    let unknown = "/redfish/v1/Systems/00000000-0000-0000-0000-000000000000";
    let response = service.send(Method::GET, unknown, Value::Null).await;
    assert_eq!(refusal(response).await, (404, "ResourceMissingAtURI".to_owned()));
    let raw = |body: Vec<u8>| {
        let request = service.request(Method::PATCH, &service.system(""));
        request.basic_auth(USER, Some(PASSWORD)).body(body).send()
    };
    assert_eq!(
        refusal(raw(b"{\"Boot\":".to_vec()).await.unwrap()).await,
        (400, "MalformedJSON".to_owned())
    );
    let large = raw(vec![b' '; MOST_BODY + 1]).await.unwrap();
    assert_eq!(refusal(large).await, (413, "PayloadTooLarge".to_owned()));
    let version = service
        .request(Method::GET, &service.system(""))
        .basic_auth(USER, Some(PASSWORD));
    let response = version.header("OData-Version", "4.1").send().await.unwrap();
    assert_eq!(response.status(), 412);
    assert_eq!(service.get(&service.system("")).await, before);
    service.world.stop().await;
}

#[actix_web::test]
async fn of_changes_that_depend_on_the_same_state_one_wins() {
    let service = Service::start(single()).await;
    let path = service.system("");
    let tag = service.send(Method::GET, &path, Value::Null).await.headers()["etag"].clone();
    let led = |value: &str, tag: &str| {
        let request = service
            .request(Method::PATCH, &path)
            .basic_auth(USER, Some(PASSWORD));
        request
            .header("If-Match", tag)
            .json(&json!({"IndicatorLED": value}))
            .send()
    };
    let current = tag.to_str().unwrap();
    let answers =
        futures_util::future::join_all(["Lit", "Off", "Blinking", "Lit"].map(|value| led(value, current)))
            .await;
    let mut statuses: Vec<u16> = answers
        .into_iter()
        .map(|answer| answer.unwrap().status().as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 412, 412, 412]);
    assert_eq!(
        refusal(led("Lit", "\"never\"").await.unwrap()).await,
        (412, "PreconditionFailed".to_owned())
    );
    assert_eq!(led("Lit", "*").await.unwrap().status(), 204);
    let now = service.send(Method::GET, &path, Value::Null).await.headers()["etag"].clone();
    assert_ne!(now, tag);
    let unless = service
        .request(Method::GET, &path)
        .basic_auth(USER, Some(PASSWORD));
    assert_eq!(
        unless.header("If-None-Match", now).send().await.unwrap().status(),
        304
    );
    service.world.stop().await;
}

#[actix_web::test]
async fn media_are_inserted_shown_and_ejected() {
    let service = Service::start(single()).await;
    let slot = service.system("/VirtualMedia/Cd");
    let insert = format!("{slot}/Actions/VirtualMedia.InsertMedia");
    let eject = format!("{slot}/Actions/VirtualMedia.EjectMedia");
    let medium = json!({"Image": "https://h/a/boot.iso?k=v", "UserName": "u", "Password": "hush77"});
    assert_eq!(service.send(Method::POST, &insert, medium).await.status(), 204);
    let shown = service.get(&slot).await;
    assert_eq!(shown["Inserted"], true);
    assert_eq!(shown["ImageName"], "boot.iso");
    assert_eq!(shown["TransferProtocolType"], "HTTPS");
    assert!(!shown.to_string().contains("hush77"));
    // Twice, and without a body: a client repeats what it got no answer to.
    for _ in 0..2 {
        assert_eq!(
            service.send(Method::POST, &eject, Value::Null).await.status(),
            204
        );
    }
    assert_eq!(service.get(&slot).await["Image"], Value::Null);
    service.world.stop().await;
}

#[actix_web::test]
async fn names_lead_to_ids_and_closing_is_announced() {
    let service = Service::start(single()).await;
    let system = service.get("/redfish/v1/Systems/n0").await;
    assert_eq!(system["@odata.id"], service.system("").as_str());
    let closing = service
        .request(Method::GET, "/redfish/v1/")
        .header("Connection", "close");
    assert_eq!(closing.send().await.unwrap().headers()["connection"], "close");
    service.world.stop().await;
}

#[actix_web::test]
async fn sensors_come_with_the_chassis_if_asked_for() {
    let service = Service::start(single()).await;
    let id = service.world.node(0).identity().id;
    let chassis = service
        .get(&format!("/redfish/v1/Chassis/{id}?$expand=.($levels=1)"))
        .await;
    assert!(chassis["Thermal"]["Fans"].is_array() && chassis["Power"]["PowerSupplies"].is_array());
    let storage = service
        .get(&service.system("/Storage?$expand=.($levels=1)"))
        .await;
    assert!(storage["Members"][0]["Drives"].is_array());
    service.world.stop().await;
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let service = Service::start(Auth::open()).await;
    let address = service.base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let path = service.system("");
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"Boot\""
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    service.world.stop().await;
}
