//! Cells of pods, as kubernetes: `pkg/printers/internalversion/printers_test.go` has them.

use serde_json::{Value, json};

use crate::kube::table::kit::{cells, object};

/// `READY`, `STATUS` and `RESTARTS` of a pod with this spec and status.
fn row(spec: Value, status: Value) -> Value {
    let pod = object(json!({"metadata": {"name": "p", "namespace": "d"}, "spec": spec, "status": status}));
    let cells = cells("", "pods", &pod);
    json!([cells[1], cells[2], cells[3]])
}

fn two() -> Value {
    json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]})
}

#[test]
fn every_column() {
    let pod = object(json!({
        "metadata": {"name": "web-0", "namespace": "d"},
        "spec": {"containers": [{"name": "a"}], "nodeName": "n1", "readinessGates": [
            {"conditionType": "x/one"}, {"conditionType": "x/two"}
        ]},
        "status": {
            "phase": "Running", "podIP": "10.1.0.7", "podIPs": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}],
            "conditions": [{"type": "x/one", "status": "True"}, {"type": "x/two", "status": "False"}],
            "containerStatuses": [{"name": "a", "ready": true, "restartCount": 3, "state": {"running": {"startedAt": null}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:02:00Z"}}}],
        },
    }));
    assert_eq!(
        cells("", "pods", &pod),
        json!([
            "web-0",
            "1/1",
            "Running",
            "3 (3m ago)",
            "5m",
            "10.1.0.7",
            "n1",
            "<none>",
            "1/2"
        ])
    );
    let pod = object(json!({"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}}));
    assert_eq!(
        cells("", "pods", &pod),
        json!([
            "p", "0/0", "Pending", "0", "5m", "<none>", "<none>", "<none>", "<none>"
        ])
    );
}

#[test]
fn states_of_containers() {
    let status = |containers: Value| json!({"phase": "Running", "containerStatuses": containers});
    assert_eq!(
        row(
            two(),
            status(json!([
                {"ready": true, "restartCount": 3, "state": {"running": {}}},
                {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            ]))
        ),
        json!(["1/2", "CrashLoopBackOff", "6"])
    );
    // The first container of the list has the last word.
    assert_eq!(
        row(
            two(),
            status(json!([
                {"state": {"terminated": {"exitCode": 2}}},
                {"state": {"waiting": {"reason": "ErrImagePull"}}},
            ]))
        ),
        json!(["0/2", "ExitCode:2", "0"])
    );
    assert_eq!(
        row(
            two(),
            status(json!([{"state": {"terminated": {"signal": 9, "exitCode": 137}}}]))
        ),
        json!(["0/2", "Signal:9", "0"])
    );
    assert_eq!(
        row(
            two(),
            status(json!([{"state": {"terminated": {"reason": "OOMKilled"}}}]))
        ),
        json!(["0/2", "OOMKilled", "0"])
    );
    let done = json!([
        {"state": {"terminated": {"reason": "Completed"}}},
        {"ready": true, "state": {"running": {}}},
    ]);
    assert_eq!(row(two(), status(done.clone())), json!(["1/2", "NotReady", "0"]));
    let ready = json!({"phase": "Running", "containerStatuses": done, "conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(row(two(), ready), json!(["1/2", "Running", "0"]));
}

#[test]
fn init_containers() {
    let spec = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "j"}]});
    let status = |init: Value| json!({"phase": "Pending", "initContainerStatuses": init});
    let check = |init: Value, expected: Value| assert_eq!(row(spec.clone(), status(init)), expected);
    let done = json!({"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}});
    check(
        json!([{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]),
        json!(["0/1", "Init:0/2", "0"]),
    );
    check(
        json!([done, {"name": "j", "state": {"running": {}}}]),
        json!(["0/1", "Init:1/2", "1"]),
    );
    check(
        json!([done, {"name": "j", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:04:50Z"}}}]),
        json!(["0/1", "Init:CrashLoopBackOff", "5 (10s ago)"]),
    );
    check(
        json!([{"name": "i", "state": {"terminated": {"exitCode": 3}}}]),
        json!(["0/1", "Init:ExitCode:3", "0"]),
    );
    check(
        json!([{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]),
        json!(["0/1", "Init:Error", "0"]),
    );
    // Restarts of init containers are forgotten once all are done.
    let all = json!({"phase": "Running", "initContainerStatuses": [done, done],
        "containerStatuses": [{"ready": true, "restartCount": 2, "state": {"running": {}}}]});
    assert_eq!(row(spec.clone(), all), json!(["1/1", "Running", "2"]));
}

#[test]
fn sidecars_count() {
    let spec = json!({
        "containers": [{"name": "a"}],
        "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}],
    });
    let status = json!({
        "phase": "Running",
        "initContainerStatuses": [
            {"name": "s", "ready": true, "started": true, "restartCount": 3, "state": {"running": {}}},
            {"name": "i", "restartCount": 2, "state": {"terminated": {"exitCode": 0}}},
        ],
        "containerStatuses": [{"name": "a", "ready": true, "restartCount": 1, "state": {"running": {}}}],
    });
    assert_eq!(row(spec.clone(), status), json!(["2/2", "Running", "4"]));
    let starting = json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "s", "started": false, "state": {"running": {}}}
    ]});
    assert_eq!(row(spec, starting), json!(["0/2", "Init:0/2", "0"]));
}

#[test]
fn words_of_the_pod_itself() {
    let gated = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    ]});
    assert_eq!(row(two(), gated)[1], "SchedulingGated");
    assert_eq!(
        row(two(), json!({"phase": "Failed", "reason": "Evicted"}))[1],
        "Evicted"
    );

    let leaving = |status: Value| {
        let pod = object(json!({
            "metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:04:00Z"},
            "spec": two(), "status": status,
        }));
        cells("", "pods", &pod)[2].clone()
    };
    assert_eq!(leaving(json!({"phase": "Running"})), "Terminating");
    assert_eq!(
        leaving(json!({"phase": "Running", "reason": "NodeLost"})),
        "Unknown"
    );
    assert_eq!(leaving(json!({"phase": "Succeeded"})), "Succeeded");
}

#[test]
fn templates() {
    let template = object(json!({"metadata": {"name": "t"}, "template": {
        "metadata": {"labels": {"b": "2", "a": "1"}},
        "spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}]},
    }}));
    assert_eq!(
        cells("", "podtemplates", &template),
        json!(["t", "a,b", "x:1,y", "a=1,b=2"])
    );
}
