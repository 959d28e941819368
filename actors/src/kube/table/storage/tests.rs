use serde_json::{Value, json};

use crate::kube::table::kit::{cells, object};

const GROUP: &str = "storage.k8s.io";

#[test]
fn volumes() {
    let volume = object(json!({
        "metadata": {"name": "pv"},
        "spec": {"capacity": {"storage": "4096Mi"}, "accessModes": ["ReadOnlyMany", "ReadWriteOnce", "ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "fast", "volumeMode": "Filesystem",
            "claimRef": {"namespace": "d", "name": "data"}},
        "status": {"phase": "Bound"},
    }));
    assert_eq!(
        cells("", "persistentvolumes", &volume),
        json!([
            "pv",
            "4Gi",
            "RWO,ROX",
            "Retain",
            "Bound",
            "d/data",
            "fast",
            "<unset>",
            "",
            "5m",
            "Filesystem"
        ])
    );
    let leaving = object(json!({
        "metadata": {"name": "pv", "deletionTimestamp": "2026-01-01T00:04:00Z",
            "annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
        "spec": {"volumeAttributesClassName": "gold"}, "status": {"phase": "Failed", "reason": "Why"},
    }));
    assert_eq!(
        cells("", "persistentvolumes", &leaving),
        json!([
            "pv",
            "0",
            "",
            "",
            "Terminating",
            "",
            "old",
            "gold",
            "Why",
            "5m",
            "<unset>"
        ])
    );
}

#[test]
fn claims() {
    let claim = |spec: Value, status: Value| {
        let claim = object(json!({"metadata": {"name": "c"}, "spec": spec, "status": status}));
        cells("", "persistentvolumeclaims", &claim)
    };
    assert_eq!(
        claim(
            json!({"volumeName": "pv", "storageClassName": "fast", "volumeMode": "Block"}),
            json!({"phase": "Bound", "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOncePod"]})
        ),
        json!([
            "c", "Bound", "pv", "10Gi", "RWOP", "fast", "<unset>", "5m", "Block"
        ])
    );
    assert_eq!(
        claim(
            json!({"resources": {"requests": {"storage": "1Gi"}}}),
            json!({"phase": "Pending"})
        ),
        json!(["c", "Pending", "", "", "", "", "<unset>", "5m", "<unset>"])
    );
}

#[test]
fn classes() {
    let class = object(json!({
        "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "example.com/p", "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
    }));
    assert_eq!(
        cells(GROUP, "storageclasses", &class),
        json!([
            "fast (default)",
            "example.com/p",
            "Retain",
            "WaitForFirstConsumer",
            true,
            "5m"
        ])
    );
    let class = object(json!({"metadata": {"name": "s"}, "provisioner": "p"}));
    assert_eq!(
        cells(GROUP, "storageclasses", &class),
        json!(["s", "p", "Delete", "Immediate", false, "5m"])
    );
    let class = object(json!({"metadata": {"name": "gold"}, "driverName": "d"}));
    assert_eq!(
        cells(GROUP, "volumeattributesclasses", &class),
        json!(["gold", "d", "5m"])
    );
}

#[test]
fn drivers() {
    let driver = |spec: Value| {
        cells(
            GROUP,
            "csidrivers",
            &object(json!({"metadata": {"name": "d"}, "spec": spec})),
        )
    };
    assert_eq!(
        driver(json!({})),
        json!(["d", true, false, false, "<unset>", false, "<none>", "5m"])
    );
    assert_eq!(
        driver(
            json!({"attachRequired": false, "podInfoOnMount": true, "storageCapacity": true, "requiresRepublish": true,
            "tokenRequests": [{"audience": "a"}, {"audience": "b"}], "volumeLifecycleModes": ["Persistent", "Ephemeral"]})
        ),
        json!(["d", false, true, true, "a,b", true, "Persistent,Ephemeral", "5m"])
    );
    let node =
        object(json!({"metadata": {"name": "n"}, "spec": {"drivers": [{"name": "a"}, {"name": "b"}]}}));
    assert_eq!(cells(GROUP, "csinodes", &node), json!(["n", 2, "5m"]));
    let capacity =
        object(json!({"metadata": {"name": "c"}, "storageClassName": "fast", "capacity": "2048Gi"}));
    assert_eq!(
        cells(GROUP, "csistoragecapacities", &capacity),
        json!(["c", "fast", "2Ti"])
    );
    let attachment = object(json!({
        "metadata": {"name": "a"},
        "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "pv"}},
        "status": {"attached": true},
    }));
    assert_eq!(
        cells(GROUP, "volumeattachments", &attachment),
        json!(["a", "d", "pv", "n", true, "5m"])
    );
}
