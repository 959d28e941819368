//! Firmware updates over Redfish, and the faults of their tasks.

use std::sync::Arc;
use std::time::Duration;

use metalsim_actors::testkit::{HandClock, kind};
use metalsim_actors::timing::Timing;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::redfish::{first, get, post, world_of};
use crate::world::{Plan, World, client};

/// What an update takes by default.
const UPDATE: Duration = Duration::from_secs(60);

/// A service with nodes and a clock of its own.
struct Bench {
    world: World,
    clock: Arc<HandClock>,
    base: String,
    ids: Vec<String>,
}

impl Bench {
    async fn of(nodes: u32) -> Self {
        let clock = Arc::new(HandClock::default());
        let plan = Plan {
            nodes,
            kind: kind(Timing {
                firmware_update: Timing::default().firmware_update,
                ..Timing::instant()
            }),
            clock: clock.clone(),
            ..Plan::default()
        };
        let (world, urls) = world_of(plan).await;
        let ids = urls
            .iter()
            .map(|url| url.rsplit('/').next().unwrap().to_owned())
            .collect();
        let base = urls[0].split("/redfish").next().unwrap().to_owned();
        Self {
            world,
            clock,
            base,
            ids,
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = get(&format!("{}{path}", self.base)).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn update(&self, body: Value) -> reqwest::Response {
        let action = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
        post(&format!("{}{action}", self.base), body).await
    }

    /// Begins an update and answers with the path of its monitor.
    async fn begin(&self, node: usize, image: &str) -> String {
        let target = format!("/redfish/v1/Systems/{}", self.ids[node]);
        let answer = self
            .update(json!({"ImageURI": image, "TransferProtocol": "HTTP", "Targets": [target]}))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(
            answer.bytes().await.unwrap().len(),
            0,
            "sushy follows what a body names"
        );
        location
    }

    async fn delete(&self, path: &str) -> u16 {
        let request = client()
            .delete(format!("{}{path}", self.base))
            .basic_auth("admin", Some("secret"));
        request.send().await.unwrap().status().as_u16()
    }

    async fn bmc_version(&self, node: usize) -> Value {
        let id = &self.ids[node];
        let (_, manager) = self.get(&format!("/redfish/v1/Managers/{id}")).await;
        let (_, member) = self
            .get(&format!("/redfish/v1/UpdateService/FirmwareInventory/{id}-BMC"))
            .await;
        assert_eq!(manager["FirmwareVersion"], member["Version"]);
        member["Version"].clone()
    }
}

const BMC: &str = "http://images/bmc-7.8.9.bin";

#[actix_web::test]
async fn a_task_from_its_beginning_to_its_end() {
    let bench = Bench::of(2).await;
    let old = bench.bmc_version(0).await;
    let monitor = bench.begin(0, BMC).await;
    let task = monitor.replace("TaskMonitors", "Tasks");
    let (status, seen) = bench.get(&monitor).await;
    assert_eq!((status, &seen["TaskState"]), (202, &json!("New")));
    bench.clock.pass(UPDATE / 2);
    for (path, expected) in [(&monitor, 202), (&task, 200)] {
        let (status, seen) = bench.get(path).await;
        assert_eq!(status, expected, "{path}");
        assert_eq!(seen["@odata.id"], *task);
        assert_eq!(seen["TaskMonitor"], *monitor);
        assert_eq!(seen["TaskState"], "Running");
        assert_eq!(seen["PercentComplete"], 50);
        assert_eq!(seen["EndTime"], Value::Null);
        assert_eq!(seen["Messages"][0]["MessageId"], "Update.1.0.UpdateInProgress");
    }
    assert_eq!(bench.bmc_version(0).await, old);
    bench.clock.pass(UPDATE);
    let (status, seen) = bench.get(&monitor).await;
    assert_eq!((status, &seen["TaskState"]), (200, &json!("Completed")));
    assert_eq!(
        (&seen["TaskStatus"], &seen["PercentComplete"]),
        (&json!("OK"), &json!(100))
    );
    assert_eq!(seen["StartTime"], "1970-01-01T00:00:00+00:00");
    assert_eq!(seen["EndTime"], "1970-01-01T00:01:00+00:00");
    assert_eq!(seen["Messages"][0]["MessageId"], "Update.1.0.UpdateSuccessful");
    assert_eq!(bench.bmc_version(0).await, "7.8.9");
    assert_eq!(bench.bmc_version(1).await, old);
    let (_, tasks) = bench.get("/redfish/v1/TaskService/Tasks").await;
    assert_eq!(tasks["Members"], json!([{"@odata.id": task}]));
    assert_eq!(bench.delete(&task).await, 204);
    for path in [&task, &monitor] {
        assert_eq!(bench.get(path).await.0, 404);
        assert_eq!(bench.delete(path).await, 404);
    }
    let (_, tasks) = bench.get("/redfish/v1/TaskService/Tasks").await;
    assert_eq!(tasks["Members@odata.count"], 0);
    assert_eq!(bench.bmc_version(0).await, "7.8.9", "what is done stays done");
    bench.world.stop().await;
}

#[actix_web::test]
async fn targets_say_whose_firmware() {
    let bench = Bench::of(2).await;
    let (id, other) = (&bench.ids[0], &bench.ids[1]);
    let inventory = format!("/redfish/v1/UpdateService/FirmwareInventory/{id}");
    for (target, image, member) in [
        (format!("/redfish/v1/Systems/{id}"), "http://h/bios-1.0.1", "BIOS"),
        (
            format!("/redfish/v1/Systems/{id}/"),
            "http://h/idrac-1.0.2",
            "BMC",
        ),
        ("/redfish/v1/Systems/n0".to_owned(), "http://h/x-1.0.3", "BIOS"),
        (format!("/redfish/v1/Managers/{id}"), "http://h/x-1.0.4", "BMC"),
        (format!("{inventory}-BIOS"), "http://h/bmc-1.0.5", "BIOS"),
        (format!("{inventory}-BMC"), "http://h/bios-1.0.6", "BMC"),
    ] {
        let answer = bench
            .update(json!({"ImageURI": image, "Targets": [target]}))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{target}");
        bench.clock.pass(UPDATE);
        let reset = format!(
            "{}/redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset",
            bench.base
        );
        post(&reset, json!({"ResetType": "ForceRestart"})).await;
        let (_, shown) = bench.get(&format!("{inventory}-{member}")).await;
        let version = image.rsplit('-').next().unwrap();
        assert_eq!(
            (&shown["Version"], &shown["Name"]),
            (&json!(version), &json!(member))
        );
    }
    let (_, system) = bench.get(&format!("/redfish/v1/Systems/{id}")).await;
    assert_eq!(system["BiosVersion"], "1.0.5");
    for (body, message) in [
        (
            json!({"Targets": [format!("/redfish/v1/Systems/{id}")]}),
            "ActionParameterMissing",
        ),
        (json!({"ImageURI": BMC}), "ActionParameterMissing"),
        (json!({"ImageURI": BMC, "Targets": []}), "ActionParameterMissing"),
        (
            json!({"ImageURI": BMC, "Targets": "x"}),
            "ActionParameterValueTypeError",
        ),
        (
            json!({"ImageURI": BMC, "Targets": [1]}),
            "ActionParameterValueNotInList",
        ),
        (
            json!({"ImageURI": BMC, "Targets": ["/redfish/v1/Chassis/1"]}),
            "ActionParameterValueNotInList",
        ),
        (
            json!({"ImageURI": BMC, "Targets": [format!("/redfish/v1/Systems/{id}"), format!("/redfish/v1/Systems/{other}")]}),
            "ActionParameterValueConflict",
        ),
        (
            json!({"ImageURI": "ftp://h/x", "Targets": [format!("/redfish/v1/Systems/{id}")]}),
            "ActionParameterValueFormatError",
        ),
        (
            json!({"ImageURI": BMC, "TransferProtocol": "NFS", "Targets": [format!("/redfish/v1/Systems/{id}")]}),
            "ActionParameterValueNotInList",
        ),
    ] {
        let answer = bench.update(body.clone()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let shown: Value = answer.json().await.unwrap();
        let id = shown["error"]["@Message.ExtendedInfo"][0]["MessageId"]
            .as_str()
            .unwrap();
        assert!(id.ends_with(message), "{body}: {shown}");
    }
    bench.world.stop().await;
}

#[actix_web::test]
async fn what_the_service_is_made_of() {
    let bench = Bench::of(2).await;
    let (_, root) = bench.get("/redfish/v1").await;
    let service = root["UpdateService"]["@odata.id"].as_str().unwrap();
    let (_, service) = bench.get(service).await;
    let (_, inventory) = bench
        .get(service["FirmwareInventory"]["@odata.id"].as_str().unwrap())
        .await;
    let members = inventory["Members"].as_array().unwrap();
    assert_eq!(members.len(), 4);
    for member in members {
        let (status, software) = bench.get(member["@odata.id"].as_str().unwrap()).await;
        assert_eq!((status, &software["@odata.id"]), (200, &member["@odata.id"]));
        let related = software["RelatedItem"][0]["@odata.id"].as_str().unwrap();
        assert_eq!(bench.get(related).await.0, 200, "{related}");
    }
    let (_, registry) = bench.get("/redfish/v1/Registries/Update.1.0/Registry").await;
    assert_eq!(registry["RegistryPrefix"], "Update");
    for missing in [
        "UpdateService/FirmwareInventory/x",
        "TaskService/Tasks/x",
        "TaskService/TaskMonitors/x",
    ] {
        assert_eq!(
            bench.get(&format!("/redfish/v1/{missing}")).await.0,
            404,
            "{missing}"
        );
    }
    let wrong = format!("/redfish/v1/TaskService/Tasks/{}-01", bench.ids[0]);
    assert_eq!(bench.get(&wrong).await.0, 404);
    bench.world.stop().await;
}

#[actix_web::test]
async fn tasks_that_never_end_and_tasks_that_fail() {
    let bench = Bench::of(2).await;
    let old = bench.bmc_version(0).await;
    let faults = &bench.world;
    faults.set_faults(first(json!({}), json!("task_never_ends")));
    let (stuck, other) = (bench.begin(0, BMC).await, bench.begin(1, BMC).await);
    faults.set_faults(json!([]));
    bench.clock.pass(UPDATE * 100);
    assert_eq!(bench.get(&other).await.0, 200);
    let (status, seen) = bench.get(&stuck).await;
    assert_eq!((status, &seen["PercentComplete"]), (202, &json!(99)));
    let target = json!([format!("/redfish/v1/Managers/{}", bench.ids[0])]);
    let second = bench.update(json!({"ImageURI": BMC, "Targets": target})).await;
    assert_eq!(second.status(), StatusCode::CONFLICT);
    assert_eq!(bench.delete(&stuck).await, 204, "it is called off");
    faults.set_faults(first(json!({}), json!({"task_fails": {"message": "no room"}})));
    let failing = bench.begin(0, BMC).await;
    bench.clock.pass(UPDATE);
    let (status, seen) = bench.get(&failing).await;
    assert_eq!((status, &seen["TaskState"]), (200, &json!("Exception")));
    assert_eq!(seen["TaskStatus"], "Critical");
    assert_eq!(seen["Messages"][0]["Message"], "no room");
    assert_eq!(seen["Messages"][0]["MessageId"], "Update.1.0.ApplyFailed");
    assert_eq!(bench.bmc_version(0).await, old);
    assert_eq!(bench.bmc_version(1).await, "7.8.9");
    bench.world.stop().await;
}

/// The node is known when the body was read: its faults strike then.
#[actix_web::test]
async fn faults_of_the_node_that_an_update_names() {
    let bench = Bench::of(2).await;
    let target = |node: usize| json!([format!("/redfish/v1/Systems/{}", bench.ids[node])]);
    let faults = &bench.world;
    for (what, expected) in [
        (json!({"bmc_status": {"status": 503, "methods": ["POST"]}}), 503),
        (json!("bmc_wrong_credentials"), 401),
        (
            json!({"bmc_status": {"status": 500, "routes": ["**/UpdateService/**"]}}),
            500,
        ),
    ] {
        faults.set_faults(first(json!({}), what));
        let hit = bench.update(json!({"ImageURI": BMC, "Targets": target(0)})).await;
        assert_eq!(hit.status().as_u16(), expected);
    }
    let spared = bench.update(json!({"ImageURI": BMC, "Targets": target(1)})).await;
    assert_eq!(spared.status(), StatusCode::ACCEPTED);
    faults.set_faults(first(json!({}), json!("bmc_unreachable")));
    let action = format!(
        "{}/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate",
        bench.base
    );
    let request = client().post(action).basic_auth("admin", Some("secret"));
    let sent = request
        .json(&json!({"ImageURI": BMC, "Targets": target(0)}))
        .send()
        .await;
    assert!(sent.is_err(), "{sent:?}");
    faults.set_faults(json!([]));
    let (_, tasks) = bench.get("/redfish/v1/TaskService/Tasks").await;
    assert_eq!(
        tasks["Members@odata.count"], 1,
        "nothing of all this began a task"
    );
    bench.world.stop().await;
}

#[actix_web::test]
async fn one_node_needs_no_name() {
    let bench = Bench::of(1).await;
    let answer = bench.update(json!({"ImageURI": BMC})).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    bench.clock.pass(UPDATE);
    assert_eq!(
        bench.bmc_version(0).await,
        "7.8.9",
        "the image's name says whose it is"
    );
    bench.world.stop().await;
}
