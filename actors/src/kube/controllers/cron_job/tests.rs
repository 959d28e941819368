//! CronJobs on a node whose kubelet runs. The tests' time starts at 22:13:20 in Greenwich.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, merge};
use crate::kube::store::Part;

fn cron(more: Value) -> Value {
    let mut body = json!({
        "metadata": {"name": "tick"},
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {
                "metadata": {"labels": {"kind": "tick"}},
                "spec": {"template": {"spec": {
                    "nodeName": "n1",
                    "restartPolicy": "Never",
                    "containers": [{"name": "app", "image": "busybox:1"}],
                }}},
            },
        },
    });
    merge(&mut body, more);
    body
}

fn long() -> Value {
    json!({"metadata": {"annotations": {"metalsim.io/run-duration": "90s"}}})
}

/// A cluster in which a CronJob has just been made.
fn with(more: Value) -> World {
    let mut world = World::with_node();
    world.create("cronjobs", cron(more));
    world
}

fn active(world: &World) -> usize {
    let list = world.at("cronjobs", "tick", "/status/active");
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn a_job_starts_each_minute() {
    let mut world = with(json!({}));
    assert_eq!(world.names("jobs").len(), 0);
    world.after(39);
    let job = world.names("jobs").remove(0);
    assert_eq!(job, "tick-28333334");
    assert_eq!(active(&world), 1);
    let metadata = world.at("jobs", &job, "/metadata");
    assert_eq!(metadata["labels"]["kind"], "tick");
    assert_eq!(
        metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        "2023-11-14T22:14:00Z"
    );
    assert_eq!(metadata["ownerReferences"][0]["kind"], "CronJob");
    assert_eq!(
        world.at("cronjobs", "tick", "/status/lastScheduleTime"),
        "2023-11-14T22:14:00Z"
    );
    assert_eq!(
        world.message("tick", "SuccessfulCreate"),
        format!("Created job {job}")
    );
    world.after(20);
    assert_eq!(active(&world), 0);
    assert_eq!(
        world.message("tick", "SawCompletedJob"),
        format!("Saw completed job: {job}, condition: Complete")
    );
    assert!(
        world
            .at("cronjobs", "tick", "/status/lastSuccessfulTime")
            .is_string()
    );
    world.after(600);
    assert_eq!(world.names("jobs").len(), 3, "the history");
}

#[test]
fn what_runs_may_be_alone_or_be_replaced() {
    let policy = |policy: &str| json!({"spec": {"concurrencyPolicy": policy, "jobTemplate": {"spec": {"template": long()}}}});
    let mut world = with(policy("Forbid"));
    world.after(110);
    assert_eq!((world.names("jobs").len(), active(&world)), (1, 1));
    assert!(world.events("tick").contains(&"JobAlreadyActive".to_owned()));
    let mut world = with(policy("Replace"));
    world.after(100);
    assert_eq!(
        (world.names("jobs"), active(&world)),
        (vec!["tick-28333335".to_owned()], 1)
    );
    let mut world = with(policy("Allow"));
    world.after(100);
    assert_eq!((world.names("jobs").len(), active(&world)), (2, 2));
}

#[test]
fn a_suspended_one_starts_nothing_and_a_late_one_only_the_last() {
    let mut world = with(json!({"spec": {"suspend": true}}));
    world.after(600);
    assert_eq!(world.names("jobs").len(), 0);
    world.patch(
        "cronjobs",
        "tick",
        Part::Main,
        json!({"spec": {"suspend": false}}),
    );
    assert_eq!(world.names("jobs"), ["tick-28333343"]);

    let mut world =
        with(json!({"spec": {"suspend": true, "schedule": "0 * * * *", "startingDeadlineSeconds": 60}}));
    world.after(3600);
    world.patch(
        "cronjobs",
        "tick",
        Part::Main,
        json!({"spec": {"suspend": false}}),
    );
    assert_eq!(world.names("jobs").len(), 0, "it is too late for the last hour's");
    world.after(2800);
    assert_eq!(world.names("jobs").len(), 1);
}

#[test]
fn failed_jobs_are_kept_by_their_own_limit() {
    let failing = json!({"metadata": {"annotations": {"metalsim.io/exit-code": "1", "metalsim.io/run-duration": "1s"}}});
    let mut world =
        with(json!({"spec": {"jobTemplate": {"spec": {"backoffLimit": 0, "template": failing}}}}));
    world.after(300);
    assert_eq!(world.names("jobs").len(), 1);
    assert_eq!(
        world.at("cronjobs", "tick", "/status/lastSuccessfulTime"),
        Value::Null
    );
    assert!(
        world
            .message("tick", "SawCompletedJob")
            .ends_with("condition: Failed")
    );
}

#[test]
fn a_job_that_goes_missing() {
    let mut world = with(json!({"spec": {"jobTemplate": {"spec": {"template": long()}}}}));
    world.after(39);
    let job = world.names("jobs").remove(0);
    let release = json!({"metadata": {"ownerReferences": null}});
    world.patch("jobs", &job, Part::Main, release);
    world.patch(
        "cronjobs",
        "tick",
        Part::Main,
        json!({"metadata": {"labels": {"a": "b"}}}),
    );
    assert_eq!(active(&world), 0);
    assert_eq!(
        world.message("tick", "MissingJob"),
        format!("Active job went missing: {job}")
    );
}
