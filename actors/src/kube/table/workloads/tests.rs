use serde_json::{Value, json};

use crate::kube::table::kit::{cells, object};

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}], "nodeSelector": {"d": "1"}},
    })
}

#[test]
fn replica_sets_and_controllers() {
    let status = json!({"replicas": 5, "readyReplicas": 2});
    let set = object(json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 5, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
        "status": status,
    }));
    assert_eq!(
        cells("apps", "replicasets", &set),
        json!(["web", 5, 5, 2, "5m", "a,b", "x:1,y:2", "app=web"])
    );
    let controller = object(json!({
        "metadata": {"name": "rc"}, "spec": {"replicas": 1, "selector": {"b": "2", "a": "1"}}, "status": status,
    }));
    assert_eq!(
        cells("", "replicationcontrollers", &controller),
        json!(["rc", 1, 5, 2, "5m", "", "", "a=1,b=2"])
    );
}

#[test]
fn deployments_and_sets() {
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template()});
    let deployment = object(json!({
        "metadata": {"name": "web"}, "spec": spec,
        "status": {"replicas": 3, "readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
    }));
    assert_eq!(
        cells("apps", "deployments", &deployment),
        json!(["web", "1/3", 2, 1, "5m", "a,b", "x:1,y:2", "app=web"])
    );
    let bare = object(json!({"metadata": {"name": "d"}}));
    assert_eq!(
        cells("apps", "deployments", &bare),
        json!(["d", "0/0", 0, 0, "5m", "", "", ""])
    );
    let stateful = object(json!({"metadata": {"name": "db"}, "spec": spec, "status": {"readyReplicas": 2}}));
    assert_eq!(
        cells("apps", "statefulsets", &stateful),
        json!(["db", "2/3", "5m", "a,b", "x:1,y:2"])
    );
    let daemon = object(json!({"metadata": {"name": "ds"}, "spec": spec, "status": {
        "desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3, "updatedNumberScheduled": 2,
        "numberAvailable": 1,
    }}));
    assert_eq!(
        cells("apps", "daemonsets", &daemon),
        json!(["ds", 5, 4, 3, 2, 1, "d=1", "5m", "a,b", "x:1,y:2", "app=web"])
    );
}

#[test]
fn revisions() {
    let revision = |owner: Value| {
        let metadata = json!({"name": "r", "ownerReferences": [owner]});
        cells(
            "apps",
            "controllerrevisions",
            &object(json!({"metadata": metadata, "revision": 3})),
        )
    };
    assert_eq!(
        revision(
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "foo", "uid": "u", "controller": true})
        ),
        json!(["r", "daemonset.apps/foo", 3, "5m"])
    );
    assert_eq!(
        revision(json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "foo", "uid": "u"})),
        json!(["r", "<none>", 3, "5m"])
    );
}

#[test]
fn jobs() {
    let job = |spec: Value, status: Value| {
        cells(
            "batch",
            "jobs",
            &object(json!({"metadata": {"name": "j"}, "spec": spec, "status": status})),
        )
    };
    assert_eq!(
        job(
            json!({"completions": 2, "selector": {"matchLabels": {"l": "x"}}, "template": template()}),
            json!({"succeeded": 2, "startTime": "2026-01-01T00:00:01Z", "completionTime": "2026-01-01T00:01:32Z",
                "conditions": [{"type": "Complete", "status": "True"}]})
        ),
        json!(["j", "Complete", "2/2", "91s", "5m", "a,b", "x:1,y:2", "l=x"])
    );
    assert_eq!(
        job(
            json!({"parallelism": 3}),
            json!({"startTime": "2026-01-01T00:00:00Z"})
        ),
        json!(["j", "Running", "0/1 of 3", "5m", "5m", "", "", "<none>"])
    );
    assert_eq!(
        job(json!({"parallelism": 1}), Value::Null),
        json!(["j", "Running", "0/1", "", "5m", "", "", "<none>"])
    );
    for kind in ["Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"] {
        let status = json!({"conditions": [{"type": kind, "status": "True"}]});
        assert_eq!(job(json!({}), status)[1], kind);
    }
    let leaving = object(json!({"metadata": {"name": "j", "deletionTimestamp": "2026-01-01T00:04:00Z"}}));
    assert_eq!(cells("batch", "jobs", &leaving)[1], "Terminating");
}

#[test]
fn cron_jobs() {
    let job = object(json!({
        "metadata": {"name": "c"},
        "spec": {"schedule": "0/5 * * * ?", "timeZone": "Etc/UTC", "suspend": false,
            "jobTemplate": {"spec": {"template": template()}}},
        "status": {"active": [{"name": "c-1"}], "lastScheduleTime": "2026-01-01T00:04:00Z"},
    }));
    assert_eq!(
        cells("batch", "cronjobs", &job),
        json!([
            "c",
            "0/5 * * * ?",
            "Etc/UTC",
            "False",
            1,
            "60s",
            "5m",
            "a,b",
            "x:1,y:2",
            "<none>"
        ])
    );
    let bare = object(json!({"metadata": {"name": "c"}, "spec": {"schedule": "@daily"}}));
    assert_eq!(
        cells("batch", "cronjobs", &bare),
        json!([
            "c", "@daily", "<none>", "<unset>", 0, "<none>", "5m", "", "", "<none>"
        ])
    );
}

#[test]
fn disruption_budgets() {
    let budget = |spec: Value| {
        let status = json!({"disruptionsAllowed": 5});
        cells(
            "policy",
            "poddisruptionbudgets",
            &object(json!({"metadata": {"name": "p"}, "spec": spec, "status": status})),
        )
    };
    assert_eq!(
        budget(json!({"minAvailable": 22})),
        json!(["p", "22", "N/A", 5, "5m"])
    );
    assert_eq!(
        budget(json!({"maxUnavailable": "25%"})),
        json!(["p", "N/A", "25%", 5, "5m"])
    );
}
