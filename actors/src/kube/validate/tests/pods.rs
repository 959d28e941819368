//! Pods and the kinds that make them.

use super::*;

#[test]
fn pods_that_are_refused() {
    let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let c = "/spec/containers/0";
    let at = |rest: &str| format!("{c}{rest}");
    check(
        "",
        "pods",
        &pod(),
        &[
            (
                &[("/spec/containers", json!([]))],
                "spec.containers: Required value",
            ),
            (
                &[("/spec/containers", json!([{}]))],
                "[spec.containers[0].name: Required value, spec.containers[0].image: Required value]",
            ),
            (
                &[(&at("/name"), json!("Bad_Name"))],
                &format!("spec.containers[0].name: Invalid value: \"Bad_Name\": {label}"),
            ),
            (
                &[("/spec/containers/1", json!({"name": "c", "image": "i"}))],
                "spec.containers[1].name: Duplicate value: \"c\"",
            ),
            (
                &[(&at("/image"), json!(" i"))],
                "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
            ),
            (
                &[(&at("/imagePullPolicy"), json!("Sometimes"))],
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ),
            (
                &[(
                    &at("/ports"),
                    json!([{"containerPort": 70000}, {"containerPort": 0, "name": "a--b"}, {"containerPort": 1, "protocol": "X"}]),
                )],
                "[spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.containers[0].ports[1].name: Invalid value: \"a--b\": must not contain consecutive hyphens, spec.containers[0].ports[1].containerPort: Required value, spec.containers[0].ports[2].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"]",
            ),
            (
                &[(
                    &at("/ports"),
                    json!([{"containerPort": 1, "name": "p"}, {"containerPort": 2, "name": "p"}]),
                )],
                "spec.containers[0].ports[1].name: Duplicate value: \"p\"",
            ),
            (
                &[(
                    &at("/ports"),
                    json!([{"containerPort": 1, "hostPort": 8}, {"containerPort": 2, "hostPort": 8}]),
                )],
                "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//8\"",
            ),
            (
                &[(
                    &at("/env"),
                    json!([{"value": "v"}, {"name": "A=B"}, {"name": "n", "valueFrom": {}}]),
                )],
                "[spec.containers[0].env[0].name: Required value, spec.containers[0].env[1].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '=', spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`]",
            ),
            (
                &[(
                    &at("/env"),
                    json!([{"name": "n", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a b']"}}}, {"name": "m", "valueFrom": {"fieldRef": {"fieldPath": "metadata.other"}}}]),
                )],
                "[spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.other\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"]",
            ),
            (
                &[(&at("/volumeMounts"), json!([{"name": "v", "mountPath": "/a"}]))],
                "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            ),
            (
                &[
                    ("/spec/volumes", json!([{"name": "v"}])),
                    (
                        &at("/volumeMounts"),
                        json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]),
                    ),
                ],
                "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            ),
            (
                &[(
                    "/spec/volumes",
                    json!([{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}, {"name": "w", "secret": {}}, {"name": "x", "configMap": {"name": "c", "items": [{"key": "k", "path": "../p"}]}}]),
                )],
                "[spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type, spec.volumes[1].secret.secretName: Required value, spec.volumes[2].configMap.items[0].path: Invalid value: \"../p\": must not contain '..']",
            ),
            (
                &[("/spec/volumes", json!([{"name": "v"}, {"name": "v"}]))],
                "spec.volumes[1].name: Duplicate value: \"v\"",
            ),
            (
                &[("/spec/restartPolicy", json!("Maybe"))],
                "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ),
            (
                &[("/spec/dnsPolicy", json!("None"))],
                "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            ),
            (
                &[(
                    &at("/resources"),
                    json!({"requests": {"cpu": "2", "memory": "-1"}, "limits": {"cpu": "1", "memory": "1Gi"}}),
                )],
                "[spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1, spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0]",
            ),
            (
                &[(
                    &at("/resources"),
                    json!({"requests": {"gpu": "1", "a.com/b": "1"}}),
                )],
                "[spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources, spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified, spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers]",
            ),
            (
                &[(
                    &at("/livenessProbe"),
                    json!({"successThreshold": 2, "tcpSocket": {"port": 0}}),
                )],
                "[spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1]",
            ),
            (
                &[(&at("/readinessProbe"), json!({"periodSeconds": -1}))],
                "[spec.containers[0].readinessProbe: Required value: must specify a handler type, spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0]",
            ),
            (
                &[(
                    "/spec/tolerations",
                    json!([{"operator": "Equal", "key": "", "value": "v"}, {"key": "k", "operator": "Exists", "value": "v"}, {"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1}, {"key": "k", "operator": "Exists", "effect": "What"}]),
                )],
                "[spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\", spec.tolerations[1].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists', spec.tolerations[2].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set, spec.tolerations[3].effect: Unsupported value: \"What\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"]",
            ),
            (
                &[(
                    "/spec/affinity",
                    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}, "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "k", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}]}}),
                )],
                "[spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term, spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].operator: Invalid value: \"Gt\": not a valid selector operator]",
            ),
            (
                &[
                    ("/spec/activeDeadlineSeconds", json!(0)),
                    ("/spec/hostname", json!("a.b")),
                ],
                "[spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive, spec.hostname: Invalid value: \"a.b\": must not contain dots]",
            ),
            (
                &[(
                    "/spec/initContainers",
                    json!([{"name": "c", "image": "i", "livenessProbe": {"exec": {"command": ["a"]}}}]),
                )],
                "[spec.initContainers[0].name: Duplicate value: \"c\", spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always]",
            ),
            (
                &[(
                    "/spec/topologySpreadConstraints",
                    json!([{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "X"}]),
                )],
                "[spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero, spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty, spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"]",
            ),
            (
                &[("/spec/nodeSelector", json!({"a": "b c"}))],
                "spec.nodeSelector: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ],
    );
}

#[test]
fn what_may_change_in_a_pod() {
    let update = |patch: Value| words(patched("", "pods", pod(), Part::Main, &patch));
    let container = |image: &str| json!({"spec": {"containers": [{"name": "c", "image": image}]}});
    // The merge patch replaces the list, so only the fields of the container that have defaults are filled in again.
    assert_eq!(update(container("other")), "");
    assert_eq!(
        update(json!({"spec": {"containers": []}})),
        "[spec.containers: Required value, spec.containers: Forbidden: pod updates may not add or remove containers]"
    );
    let mut renamed = container("i");
    renamed["spec"]["containers"][0]["name"] = "d".into();
    for patch in [
        renamed,
        json!({"spec": {"nodeName": "n1"}}),
        json!({"spec": {"restartPolicy": "Never"}}),
        json!({"spec": {"terminationGracePeriodSeconds": 5}}),
    ] {
        let text = update(patch);
        assert!(
            text.starts_with("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"),
            "{text}"
        );
    }
    assert_eq!(update(json!({"spec": {"activeDeadlineSeconds": 5}})), "");
    assert_eq!(
        update(json!({"spec": {"tolerations": []}})),
        "",
        "the tolerations of admission come back"
    );
    let gated = with(
        &pod(),
        &[("/spec/tolerations", json!([{"key": "k", "operator": "Exists"}]))],
    );
    assert_eq!(
        words(patched(
            "",
            "pods",
            gated,
            Part::Main,
            &json!({"spec": {"tolerations": []}})
        )),
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    );
    assert_eq!(
        update(json!({"spec": {"schedulingGates": [{"name": "g"}]}})),
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"
    );
}

#[test]
fn other_doors_of_a_pod() {
    let bound = patched(
        "",
        "pods",
        pod(),
        Part::Binding,
        &json!({"spec": {"nodeName": "n1", "priority": 5}, "status": {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]}}),
    )
    .unwrap();
    assert_eq!(bound.at(&["spec", "nodeName"]), Some(json!("n1")));
    assert_eq!(bound.at(&["spec", "priority"]), Some(json!(0)));
    assert_eq!(bound.at(&["status", "phase"]), Some(json!("Pending")));
    assert_eq!(
        bound.at(&["status", "conditions"]).unwrap()[0]["type"],
        json!("PodScheduled")
    );
    let mut store = store();
    let target = target("", "pods");
    let mut body = pod();
    body["metadata"] = json!({"name": "x"});
    store.create(target, body, options()).unwrap();
    let mut patch = |part: Part, patch: Value| {
        words(
            store
                .patch(target, "x", part, PatchKind::Merge, &patch, options())
                .map(|written| written.object),
        )
    };
    let ephemeral = |image: &str| json!({"spec": {"ephemeralContainers": [{"name": "e", "image": image}]}});
    assert_eq!(
        patch(
            Part::EphemeralContainers,
            json!({"spec": {"ephemeralContainers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1}]}]}})
        ),
        "[spec.ephemeralContainers[0].name: Duplicate value: \"c\", spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container]"
    );
    assert_eq!(patch(Part::EphemeralContainers, ephemeral("i")), "");
    assert_eq!(
        patch(Part::EphemeralContainers, ephemeral("j")),
        "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be changed\n"
    );
    assert_eq!(
        patch(
            Part::EphemeralContainers,
            json!({"spec": {"ephemeralContainers": []}})
        ),
        "spec.ephemeralContainers: Forbidden: existing ephemeral containers [\"e\"] may not be removed\n"
    );
    let resources = |resources: Value| json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": resources}}]}});
    assert_eq!(patch(Part::Resize, resources(json!({"cpu": "1"}))), "");
    assert_eq!(
        patch(Part::Resize, resources(json!({"ephemeral-storage": "1"}))),
        "spec: Forbidden: only cpu and memory resources are mutable"
    );
}

#[test]
fn deployments() {
    check(
        "apps",
        "deployments",
        &set(),
        &[
            (
                &[("/spec/selector", Value::Null)],
                "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`]",
            ),
            (
                &[("/spec/selector/matchLabels", json!({}))],
                "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
            ),
            (
                &[("/spec/template/metadata/labels", json!({"a": "c"}))],
                "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
            ),
            (
                &[("/spec/replicas", json!(-10))],
                "spec.replicas: Invalid value: -10: must be greater than or equal to 0",
            ),
            (
                &[("/spec/template/spec/restartPolicy", json!("OnFailure"))],
                "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
            ),
            (
                &[("/spec/strategy", json!({"type": "Recreate", "rollingUpdate": {}}))],
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
            (
                &[(
                    "/spec/strategy",
                    json!({"rollingUpdate": {"maxSurge": "20Percent"}}),
                )],
                "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"20Percent\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            ),
            (
                &[(
                    "/spec/strategy",
                    json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}),
                )],
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ),
            (
                &[(
                    "/spec/strategy",
                    json!({"rollingUpdate": {"maxUnavailable": "110%"}}),
                )],
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"110%\": must not be greater than 100%",
            ),
            (
                &[
                    ("/spec/progressDeadlineSeconds", json!(600)),
                    ("/spec/minReadySeconds", json!(600)),
                ],
                "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
            ),
            (
                &[("/spec/template/spec/activeDeadlineSeconds", json!(5))],
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
            ),
        ],
    );
    for plural in ["deployments", "replicasets", "daemonsets"] {
        let other = json!({"spec": {"selector": {"matchLabels": {"a": null, "z": "y"}}, "template": {"metadata": {"labels": {"a": null, "z": "y"}}}}});
        assert_eq!(
            words(patched("apps", plural, set(), Part::Main, &other)),
            "spec.selector: Invalid value: {\"matchLabels\":{\"z\":\"y\"}}: field is immutable",
            "{plural}"
        );
    }
}

#[test]
fn other_sets() {
    check(
        "apps",
        "daemonsets",
        &set(),
        &[
            (
                &[(
                    "/spec/updateStrategy",
                    json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}),
                )],
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
            ),
            (
                &[(
                    "/spec/updateStrategy",
                    json!({"rollingUpdate": {"maxUnavailable": 0}}),
                )],
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ),
        ],
    );
    let mut stateful = set();
    stateful["spec"]["serviceName"] = json!("s");
    stateful["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    stateful["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/d"}]);
    check(
        "apps",
        "statefulsets",
        &stateful,
        &[
            (
                &[("/spec/podManagementPolicy", json!("X"))],
                "spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'",
            ),
            (
                &[(
                    "/spec/updateStrategy",
                    json!({"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
                )],
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
            ),
            (
                &[("/spec/volumeClaimTemplates/0/spec/accessModes", json!([]))],
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
            ),
        ],
    );
    assert_eq!(
        words(patched(
            "apps",
            "statefulsets",
            stateful.clone(),
            Part::Main,
            &json!({"spec": {"serviceName": "t"}})
        )),
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    );
    assert_eq!(
        words(patched(
            "apps",
            "statefulsets",
            stateful,
            Part::Main,
            &json!({"spec": {"replicas": 3}})
        )),
        ""
    );
    let controller = json!({"spec": {"replicas": 1, "selector": {"a": "b"}, "template": template()}});
    check(
        "",
        "replicationcontrollers",
        &controller,
        &[(
            &[("/spec/selector", json!({"a": "c"}))],
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
        )],
    );
    assert_eq!(
        words(patched(
            "apps",
            "deployments",
            set(),
            Part::Status,
            &json!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": -1}})
        )),
        "[status.availableReplicas: Invalid value: -1: must be greater than or equal to 0, status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas]"
    );
}

#[test]
fn jobs() {
    let mut template = template();
    template["spec"]["restartPolicy"] = "Never".into();
    let job = json!({"spec": {"template": template}});
    check(
        "batch",
        "jobs",
        &job,
        &[
            (
                &[("/spec/template/spec/restartPolicy", json!("Always"))],
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
            (
                &[
                    ("/spec/parallelism", json!(-1)),
                    ("/spec/backoffLimit", json!(-1)),
                ],
                "[spec.parallelism: Invalid value: -1: must be greater than or equal to 0, spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0]",
            ),
            (
                &[
                    ("/spec/completionMode", json!("Indexed")),
                    ("/spec/parallelism", json!(2)),
                ],
                "spec.completions: Required value: when completion mode is Indexed",
            ),
            (
                &[("/spec/manualSelector", json!(true))],
                "spec.selector: Required value",
            ),
        ],
    );
    for (patch, expected) in [
        (
            json!({"spec": {"completions": 5}}),
            "spec.completions: Invalid value: 5: field is immutable",
        ),
        (json!({"spec": {"parallelism": 5}}), ""),
        (json!({"spec": {"suspend": true}}), ""),
    ] {
        assert_eq!(
            words(patched("batch", "jobs", job.clone(), Part::Main, &patch)),
            expected
        );
    }
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "j"}]}}}});
    let text = words(patched("batch", "jobs", job.clone(), Part::Main, &image));
    assert!(
        text.starts_with("spec.template: Invalid value: ") && text.ends_with(": field is immutable"),
        "{text}"
    );
    let cron = json!({"spec": {"schedule": "* * * * *", "jobTemplate": job}});
    check(
        "batch",
        "cronjobs",
        &cron,
        &[
            (&[("/spec/schedule", json!(""))], "spec.schedule: Required value"),
            (
                &[("/spec/schedule", json!("error"))],
                "spec.schedule: Invalid value: \"error\": expected exactly 5 fields, found 1: [error]",
            ),
            (
                &[("/spec/schedule", json!("TZ=UTC 0 * * * *"))],
                "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            ),
            (
                &[("/spec/timeZone", json!("a/../b"))],
                "spec.timeZone: Invalid value: \"a/../b\": unknown time zone a/../b",
            ),
            (
                &[("/spec/concurrencyPolicy", json!("X"))],
                "spec.concurrencyPolicy: Unsupported value: \"X\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
            ),
        ],
    );
    let long = "x".repeat(53);
    let mut named = cron;
    named["metadata"] = json!({"name": long});
    assert_eq!(
        words(create("batch", "cronjobs", named)),
        format!("metadata.name: Invalid value: \"{long}\": must be no more than 52 characters")
    );
}
