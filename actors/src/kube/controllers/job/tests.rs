//! Jobs on a node whose kubelet runs: pods start after two seconds and end after five more.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, kind, merge};
use crate::kube::store::{DeleteOptions, Part, Propagation, Target};

const COUNTS: [&str; 4] = ["active", "ready", "succeeded", "failed"];

fn job(more: Value) -> Value {
    let mut body = json!({
        "metadata": {"name": "work"},
        "spec": {"template": {"spec": {
            "nodeName": "n1",
            "restartPolicy": "Never",
            "containers": [{"name": "app", "image": "busybox:1"}],
        }}},
    });
    merge(&mut body, more);
    body
}

fn failing(more: Value) -> Value {
    let annotations = json!({"metalsim.io/exit-code": "1", "metalsim.io/run-duration": "1s"});
    let mut body = job(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}));
    merge(&mut body, more);
    body
}

fn counts(world: &World) -> [i64; 4] {
    world.numbers("jobs", "work", COUNTS)
}

fn conditions(world: &World) -> Vec<String> {
    let list = world.at("jobs", "work", "/status/conditions");
    let list = list.as_array().cloned().unwrap_or_default();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    list.iter()
        .map(|one| {
            format!(
                "{}={} {}",
                text(one, "type"),
                text(one, "status"),
                text(one, "reason")
            )
        })
        .collect()
}

#[test]
fn a_job_runs_to_its_end() {
    let mut world = World::with_node();
    world.create("jobs", job(json!({})));
    assert_eq!(counts(&world), [1, 0, 0, 0]);
    let pod = world.names("pods").remove(0);
    let uid = world.get("jobs", "work").uid_text();
    assert_eq!(
        world.at("pods", &pod, "/metadata/labels"),
        json!({
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": "work",
            "controller-uid": uid,
            "job-name": "work",
        })
    );
    assert_eq!(
        world.at("pods", &pod, "/metadata/finalizers"),
        json!(["batch.kubernetes.io/job-tracking"])
    );
    world.after(3);
    assert_eq!(counts(&world), [1, 1, 0, 0]);
    world.after(6);
    assert_eq!(counts(&world), [0, 0, 1, 0]);
    assert_eq!(
        conditions(&world),
        [
            "SuccessCriteriaMet=True CompletionsReached",
            "Complete=True CompletionsReached"
        ]
    );
    let status = world.at("jobs", "work", "/status");
    assert!(status["completionTime"].is_string() && status["startTime"].is_string());
    assert_eq!(
        (&status["terminating"], &status["uncountedTerminatedPods"]),
        (&json!(0), &json!({}))
    );
    assert_eq!(
        world.at("pods", &pod, "/metadata/finalizers"),
        Value::Null,
        "it is counted"
    );
    assert_eq!(world.events("work"), ["Completed", "SuccessfulCreate"]);
    assert_eq!(world.after(100).looks, 0);
}

#[test]
fn so_many_at_once_until_so_many_are_done() {
    let mut world = World::with_node();
    world.create("jobs", job(json!({"spec": {"completions": 5, "parallelism": 2}})));
    let mut most = 0;
    for _ in 0..40 {
        most = most.max(counts(&world)[0]);
        world.after(1);
    }
    assert_eq!((most, counts(&world)), (2, [0, 0, 5, 0]));
    assert_eq!(world.names("pods").len(), 5);
    assert_eq!(conditions(&world).len(), 2);
}

#[test]
fn a_work_queue_is_done_when_all_its_pods_are() {
    let mut world = World::with_node();
    world.create(
        "jobs",
        job(json!({"spec": {"parallelism": 3, "completions": null}})),
    );
    assert_eq!(counts(&world)[0], 3);
    world.after(10);
    assert_eq!(counts(&world), [0, 0, 3, 0]);
    assert_eq!(conditions(&world).len(), 2);
}

#[test]
fn failures_are_tried_again_later_and_later_until_the_limit() {
    let mut world = World::with_node();
    world.create("jobs", failing(json!({"spec": {"backoffLimit": 2}})));
    world.after(4);
    assert_eq!(counts(&world), [0, 0, 0, 1]);
    world.after(9);
    assert_eq!(
        counts(&world),
        [1, 0, 0, 1],
        "ten seconds after the end of the first"
    );
    world.after(5);
    assert_eq!(counts(&world), [0, 0, 0, 2]);
    world.after(15);
    assert_eq!(world.names("pods").len(), 2, "twenty seconds after the second");
    world.after(10);
    assert_eq!(counts(&world), [0, 0, 0, 3]);
    assert_eq!(
        conditions(&world),
        [
            "FailureTarget=True BackoffLimitExceeded",
            "Failed=True BackoffLimitExceeded"
        ]
    );
    assert_eq!(
        world.message("work", "BackoffLimitExceeded"),
        "Job has reached the specified backoff limit"
    );
}

#[test]
fn a_deadline_ends_what_runs() {
    let mut world = World::with_node();
    let long = json!({"metadata": {"annotations": {"metalsim.io/run-duration": "1h"}}});
    world.create(
        "jobs",
        job(json!({"spec": {"activeDeadlineSeconds": 10, "template": long}})),
    );
    world.after(9);
    assert_eq!(counts(&world), [1, 1, 0, 0]);
    world.after(1);
    assert_eq!(conditions(&world), ["FailureTarget=True DeadlineExceeded"]);
    assert_eq!(world.at("jobs", "work", "/status/active"), Value::Null);
    world.after(2);
    assert_eq!(conditions(&world)[1], "Failed=True DeadlineExceeded");
    assert_eq!(counts(&world), [0, 0, 0, 1]);
    assert_eq!(world.names("pods").len(), 0);
}

#[test]
fn indexed_pods_are_each_done_once() {
    let mut world = World::with_node();
    let more = json!({"spec": {"completionMode": "Indexed", "completions": 3, "parallelism": 3}});
    world.create("jobs", job(more));
    let mut hosts: Vec<Value> = world
        .names("pods")
        .iter()
        .map(|pod| world.at("pods", pod, "/spec/hostname"))
        .collect();
    hosts.sort_by_key(ToString::to_string);
    assert_eq!(hosts, ["work-0", "work-1", "work-2"]);
    let first = world.names("pods").remove(0);
    assert!(first.starts_with("work-0-"));
    assert_eq!(
        world.at("pods", &first, "/spec/containers/0/env/0/name"),
        "JOB_COMPLETION_INDEX"
    );
    world.after(3);
    world.delete("pods", &first);
    world.after(2);
    assert_eq!(counts(&world)[3], 1, "what is deleted has failed");
    world.after(30);
    assert_eq!(counts(&world), [0, 0, 3, 1]);
    assert_eq!(world.at("jobs", "work", "/status/completedIndexes"), "0-2");
}

#[test]
fn a_suspended_job_has_no_pods() {
    let mut world = World::with_node();
    world.create("jobs", job(json!({"spec": {"suspend": true}})));
    assert_eq!(world.names("pods").len(), 0);
    assert_eq!(conditions(&world), ["Suspended=True JobSuspended"]);
    assert_eq!(world.at("jobs", "work", "/status/startTime"), Value::Null);
    world.after(60);
    world.patch("jobs", "work", Part::Main, json!({"spec": {"suspend": false}}));
    assert_eq!(counts(&world)[0], 1);
    assert_eq!(conditions(&world), ["Suspended=False JobResumed"]);
    world.after(3);
    world.patch("jobs", "work", Part::Main, json!({"spec": {"suspend": true}}));
    world.after(3);
    assert_eq!((counts(&world)[0], world.names("pods").len()), (0, 0));
    world.patch("jobs", "work", Part::Main, json!({"spec": {"suspend": false}}));
    world.after(30);
    assert_eq!(counts(&world)[2], 1);
    assert_eq!(conditions(&world).len(), 3);
}

#[test]
fn restarts_in_place_count_too() {
    let mut world = World::with_node();
    let more = json!({"spec": {"backoffLimit": 1, "template": {"spec": {"restartPolicy": "OnFailure"}}}});
    world.create("jobs", failing(more));
    world.after(60);
    assert_eq!(conditions(&world)[0], "FailureTarget=True BackoffLimitExceeded");
    assert_eq!(world.names("pods").len(), 0);
}

#[test]
fn a_finished_job_goes_after_a_while() {
    let mut world = World::with_node();
    world.create("jobs", job(json!({"spec": {"ttlSecondsAfterFinished": 30}})));
    world.after(30);
    assert!(!world.get("jobs", "work").is_terminating());
    world.after(10);
    let job = world.find("jobs", "default", "work");
    assert!(job.is_none_or(|job| job.is_terminating()));
}

#[test]
fn pods_of_a_job_that_is_gone_are_let_go() {
    let mut world = World::with_node();
    world.create("jobs", job(json!({})));
    let pod = world.names("pods").remove(0);
    // Without a word about it, Jobs leave their pods.
    let options = DeleteOptions {
        propagation: Some(Propagation::Background),
        ..DeleteOptions::default()
    };
    let target = Target::stored(kind("jobs"), Some("default"));
    world
        .cluster
        .store
        .delete(target, "work", &options, world.now)
        .unwrap();
    world.settle();
    assert!(world.find("jobs", "default", "work").is_none());
    assert!(
        world
            .find("pods", "default", &pod)
            .is_none_or(|pod| pod.head.finalizers.is_empty())
    );
}
