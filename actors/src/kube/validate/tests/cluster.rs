//! Everything that makes no pods.

use super::*;

#[test]
fn services() {
    let service = json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
    check(
        "",
        "services",
        &service,
        &[
            (&[("/spec/ports", json!([]))], "spec.ports: Required value"),
            (
                &[("/spec/ports", json!([{"port": 0}, {"port": 70000, "name": "a"}]))],
                "[spec.ports[0].name: Required value, spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[1].port: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.ports[1].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive]",
            ),
            (
                &[(
                    "/spec/ports",
                    json!([{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]),
                )],
                "spec.ports[1].name: Duplicate value: \"a\"",
            ),
            (
                &[(
                    "/spec/ports",
                    json!([{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]),
                )],
                "spec.ports[1]: Duplicate value: {\"AppProtocol\":null,\"Name\":\"\",\"NodePort\":0,\"Port\":1,\"Protocol\":\"TCP\",\"TargetPort\":0}",
            ),
            (
                &[("/spec/type", json!("What"))],
                "spec.type: Unsupported value: \"What\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ),
            (
                &[("/spec/ports/0/nodePort", json!(30_001))],
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                &[
                    ("/spec/type", json!("NodePort")),
                    ("/spec/ports/0/nodePort", json!(80)),
                ],
                "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
            ),
            (
                &[
                    ("/spec/type", json!("NodePort")),
                    ("/spec/clusterIP", json!("None")),
                ],
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
            ),
            (
                &[("/spec/clusterIP", json!("300.0.0.1"))],
                "spec.clusterIPs[0]: Invalid value: \"300.0.0.1\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ),
            (
                &[
                    ("/spec/type", json!("ExternalName")),
                    ("/spec/externalName", json!("")),
                ],
                "spec.externalName: Required value",
            ),
            (
                &[("/spec/sessionAffinity", json!("X"))],
                "spec.sessionAffinity: Unsupported value: \"X\": supported values: \"ClientIP\", \"None\"",
            ),
            (
                &[("/spec/externalIPs", json!(["127.0.0.1"]))],
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ),
            (
                &[("/spec/externalTrafficPolicy", json!("Local"))],
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ),
            (
                &[
                    ("/spec/type", json!("NodePort")),
                    (
                        "/spec/ports",
                        json!([{"name": "t", "port": 53, "nodePort": 30_053}, {"name": "u", "port": 53, "nodePort": 30_053, "protocol": "UDP"}]),
                    ),
                ],
                "",
            ),
        ],
    );
    let update = |base: &Value, patch: Value| patched("", "services", base.clone(), Part::Main, &patch);
    assert_eq!(
        words(update(
            &service,
            json!({"spec": {"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"]}})
        )),
        "spec.clusterIPs[0]: Invalid value: [\"10.0.0.9\"]: may not change once set"
    );
    // A change of the type brings or takes along what goes with it.
    let node = update(&service, json!({"spec": {"type": "NodePort"}})).unwrap();
    assert_eq!(node.at(&["spec", "ports"]).unwrap()[0]["nodePort"], json!(30_000));
    let mut open = service.clone();
    open["spec"]["type"] = json!("NodePort");
    let closed = update(&open, json!({"spec": {"type": "ClusterIP"}})).unwrap();
    assert_eq!(closed.at(&["spec", "ports"]).unwrap()[0].get("nodePort"), None);
    assert_eq!(closed.at(&["spec", "externalTrafficPolicy"]), None);
    let external = update(
        &service,
        json!({"spec": {"type": "ExternalName", "externalName": "a.b"}}),
    )
    .unwrap();
    assert_eq!(external.at(&["spec", "clusterIP"]), None);
}

#[test]
fn config_maps_and_secrets() {
    let key = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    check(
        "",
        "configmaps",
        &json!({"data": {"a": "b"}}),
        &[
            (
                &[("/data", json!({"a b": "", "..": ""}))],
                &format!(
                    "[data[..]: Invalid value: \"..\": must not be '..', data[a b]: Invalid value: \"a b\": {key}]"
                ),
            ),
            (
                &[("/binaryData", json!({"a": "eA=="}))],
                "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
            ),
            (
                &[("/data", json!({"a": "x".repeat(1024 * 1024 + 1)}))],
                "[]: Too long: may not be more than 1048576 bytes",
            ),
        ],
    );
    let frozen = json!({"data": {"a": "b"}, "immutable": true});
    assert_eq!(
        words(patched(
            "",
            "configmaps",
            frozen,
            Part::Main,
            &json!({"immutable": false, "data": {"a": "c"}})
        )),
        "[immutable: Forbidden: field is immutable when `immutable` is set, data: Forbidden: field is immutable when `immutable` is set]"
    );
    check(
        "",
        "secrets",
        &json!({"data": {"a": "eA=="}}),
        &[
            (
                &[("/type", json!("kubernetes.io/tls"))],
                "[data[tls.crt]: Required value, data[tls.key]: Required value]",
            ),
            (
                &[("/type", json!("kubernetes.io/dockerconfigjson"))],
                "data[.dockerconfigjson]: Required value",
            ),
            (
                &[("/type", json!("kubernetes.io/service-account-token"))],
                "metadata.annotations[kubernetes.io/service-account.name]: Required value",
            ),
            (
                &[("/type", json!("kubernetes.io/basic-auth"))],
                "[data[username]: Required value, data[password]: Required value]",
            ),
        ],
    );
    assert_eq!(
        words(patched(
            "",
            "secrets",
            json!({}),
            Part::Main,
            &json!({"type": "x"})
        )),
        "type: Invalid value: \"x\": field is immutable"
    );
}

#[test]
fn nodes_and_namespaces() {
    check(
        "",
        "nodes",
        &json!({"spec": {"podCIDRs": ["10.0.0.0/24"]}}),
        &[
            (
                &[("/spec/podCIDRs", json!(["10.0.0.0"]))],
                "spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ),
            (
                &[("/spec/podCIDRs", json!(["10.0.0.0/24", "10.0.1.0/24"]))],
                "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one CIDR for each IP family",
            ),
            (
                &[(
                    "/spec/taints",
                    json!([{"key": "a", "effect": ""}, {"key": "b", "effect": "X"}]),
                )],
                "[metadata.taints[0].effect: Required value, metadata.taints[1].effect: Unsupported value: \"X\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"]",
            ),
            (
                &[(
                    "/spec/taints",
                    json!([{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]),
                )],
                "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key and effect pair",
            ),
        ],
    );
    let node =
        json!({"spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": "a://b"}});
    for (patch, expected) in [
        (
            json!({"spec": {"providerID": "c://d"}}),
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ),
        (
            json!({"spec": {"podCIDRs": ["10.0.1.0/24"]}}),
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
        ),
        (json!({"spec": {"unschedulable": true}}), ""),
    ] {
        assert_eq!(
            words(patched("", "nodes", node.clone(), Part::Main, &patch)),
            expected
        );
    }
    let fresh = patched(
        "",
        "nodes",
        json!({"spec": {}}),
        Part::Main,
        &json!({"spec": {"providerID": "a://b"}}),
    );
    assert_eq!(words(fresh), "");
    assert_eq!(
        words(patched(
            "",
            "nodes",
            json!({}),
            Part::Status,
            &json!({"status": {"capacity": {"cpu": "-1"}}})
        )),
        "status.capacity[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"
    );
    assert_eq!(
        words(create(
            "",
            "namespaces",
            json!({"spec": {"finalizers": ["what"]}})
        )),
        "spec.finalizers: Invalid value: \"what\": name is neither a standard finalizer name nor is it fully qualified"
    );
}

#[test]
fn storage() {
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}});
    check(
        "",
        "persistentvolumeclaims",
        &claim,
        &[
            (
                &[("/spec/accessModes", json!([])), ("/spec/resources", json!({}))],
                "[spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: Required value]",
            ),
            (
                &[("/spec/accessModes", json!(["X"]))],
                "spec.accessModes: Unsupported value: \"X\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ),
            (
                &[("/spec/resources/requests/storage", json!("0"))],
                "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            ),
        ],
    );
    let grown = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    assert_eq!(
        words(patched("", "persistentvolumeclaims", claim, Part::Main, &grown)),
        "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    );
    let volume = json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a"}}});
    check(
        "",
        "persistentvolumes",
        &volume,
        &[
            (
                &[("/spec/hostPath", Value::Null)],
                "spec: Required value: must specify a volume type",
            ),
            (
                &[("/spec/nfs", json!({"server": "s", "path": "/p"}))],
                "spec.nfs: Forbidden: may not specify more than 1 volume type",
            ),
            (
                &[("/spec/capacity", Value::Null)],
                "[spec.capacity: Required value, spec.capacity: Unsupported value: null: supported values: \"storage\"]",
            ),
        ],
    );
    let moved = json!({"spec": {"hostPath": {"path": "/b"}}});
    assert_eq!(
        words(patched("", "persistentvolumes", volume, Part::Main, &moved)),
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
    );
    check(
        "storage.k8s.io",
        "storageclasses",
        &json!({"provisioner": "a.b/c"}),
        &[
            (&[("/provisioner", json!(""))], "provisioner: Required value"),
            (
                &[("/volumeBindingMode", json!("X"))],
                "volumeBindingMode: Unsupported value: \"X\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ),
        ],
    );
    let other = json!({"reclaimPolicy": "Retain"});
    assert_eq!(
        words(patched(
            "storage.k8s.io",
            "storageclasses",
            json!({"provisioner": "p"}),
            Part::Main,
            &other
        )),
        "reclaimPolicy: Invalid value: \"Retain\": field is immutable"
    );
}

#[test]
fn roles_and_bindings() {
    let group = "rbac.authorization.k8s.io";
    check(
        group,
        "roles",
        &json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
        &[
            (
                &[("/rules", json!([{}]))],
                "[rules[0].verbs: Required value: verbs must contain at least one value, rules[0].apiGroups: Required value: resource rules must supply at least one api group, rules[0].resources: Required value: resource rules must supply at least one resource]",
            ),
            (
                &[("/rules", json!([{"verbs": ["get"], "nonResourceURLs": ["/x"]}]))],
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ),
        ],
    );
    assert_eq!(
        words(create(
            group,
            "clusterroles",
            json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]})
        )),
        ""
    );
    let binding =
        json!({"roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]});
    check(
        group,
        "clusterrolebindings",
        &binding,
        &[
            (
                &[("/roleRef", json!({"kind": "Role", "name": ""}))],
                "[roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\", roleRef.name: Required value]",
            ),
            (
                &[(
                    "/subjects",
                    json!([{"kind": "ServiceAccount", "name": "s"}, {"kind": "X", "name": "x"}]),
                )],
                "[subjects[0].namespace: Required value, subjects[1].kind: Unsupported value: \"X\": supported values: \"ServiceAccount\", \"User\", \"Group\"]",
            ),
        ],
    );
    assert_eq!(
        words(patched(
            group,
            "clusterrolebindings",
            binding,
            Part::Main,
            &json!({"roleRef": {"name": "s"}})
        )),
        "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"s\"}: cannot change roleRef"
    );
}

#[test]
fn networking() {
    let ingress = json!({"spec": {"rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}});
    let path = "/spec/rules/0/http/paths/0";
    check(
        "networking.k8s.io",
        "ingresses",
        &ingress,
        &[
            (
                &[("/spec/rules", Value::Null)],
                "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
            ),
            (
                &[(&format!("{path}/pathType"), Value::Null)],
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
            ),
            (
                &[(&format!("{path}/path"), json!("a//b"))],
                "[spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must be an absolute path, spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//']",
            ),
            (
                &[(&format!("{path}/backend/service/port"), json!({}))],
                "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
            ),
            (
                &[("/spec/rules/0/host", json!("10.0.0.1"))],
                "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
            ),
            (&[("/spec/rules/0/host", json!("*.a.b"))], ""),
        ],
    );
    check(
        "networking.k8s.io",
        "networkpolicies",
        &json!({"spec": {"podSelector": {}, "ingress": [{}], "egress": []}}),
        &[
            (
                &[(
                    "/spec/ingress",
                    json!([{"from": [{}], "ports": [{"port": 0}, {"endPort": 5}]}]),
                )],
                "[spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ingress[0].ports[1].endPort: Invalid value: 5: may not be specified when `port` is not specified, spec.ingress[0].from[0]: Required value: must specify a peer]",
            ),
            (
                &[(
                    "/spec/egress",
                    json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16", "10.0.0.0/8", "10.1.0.0/16"]}}]}]),
                )],
                "[spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`, spec.egress[0].to[0].ipBlock.except[1]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`]",
            ),
            (
                &[("/spec/policyTypes", json!(["X"]))],
                "spec.policyTypes[0]: Unsupported value: \"X\": supported values: \"Ingress\", \"Egress\"",
            ),
        ],
    );
    check(
        "discovery.k8s.io",
        "endpointslices",
        &json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 1, "name": "", "protocol": "TCP"}]}),
        &[
            (&[("/addressType", json!(""))], "addressType: Required value"),
            (
                &[("/endpoints", json!([{"addresses": []}, {"addresses": ["::1"]}]))],
                "[endpoints[0].addresses: Required value: must contain at least 1 address, endpoints[1].addresses: Invalid value: \"::1\": must be an IPv4 address, endpoints[1].addresses[0]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, ::1/128)]",
            ),
        ],
    );
    check(
        "",
        "endpoints",
        &json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
        &[(
            &[("/subsets", json!([{"ports": [{"port": 0}]}]))],
            "[subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`, subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive]",
        )],
    );
}

#[test]
fn policies() {
    check(
        "policy",
        "poddisruptionbudgets",
        &json!({"spec": {"minAvailable": "50%"}}),
        &[
            (
                &[("/spec/maxUnavailable", json!(1))],
                "spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":\"50%\"}: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                &[("/spec/minAvailable", json!("110%"))],
                "spec.minAvailable: Invalid value: \"110%\": must not be greater than 100%",
            ),
        ],
    );
    check(
        "scheduling.k8s.io",
        "priorityclasses",
        &json!({"value": 5}),
        &[(
            &[("/value", json!(2_000_000_000))],
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        )],
    );
    assert_eq!(
        words(patched(
            "scheduling.k8s.io",
            "priorityclasses",
            json!({"value": 5}),
            Part::Main,
            &json!({"value": 6})
        )),
        "value: Forbidden: may not be changed in an update."
    );
    check(
        "coordination.k8s.io",
        "leases",
        &json!({"spec": {}}),
        &[(
            &[
                ("/spec/leaseDurationSeconds", json!(0)),
                ("/spec/leaseTransitions", json!(-1)),
            ],
            "[spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0, spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0]",
        )],
    );
    check(
        "autoscaling",
        "horizontalpodautoscalers",
        &json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}}),
        &[
            (
                &[
                    ("/spec/maxReplicas", json!(0)),
                    ("/spec/scaleTargetRef", json!({})),
                ],
                "[spec.maxReplicas: Required value: must be set and greater than 0, spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`, spec.scaleTargetRef.kind: Required value, spec.scaleTargetRef.name: Required value]",
            ),
            (
                &[(
                    "/spec/metrics",
                    json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]),
                )],
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
            ),
        ],
    );
    let hook = json!({"webhooks": [{"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://x"}}]});
    let at = |rest: &str| format!("/webhooks/0/{rest}");
    for plural in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
        check(
            "admissionregistration.k8s.io",
            plural,
            &hook,
            &[
                (
                    &[
                        (&at("name"), json!("a.b")),
                        (&at("clientConfig"), json!({})),
                        (&at("sideEffects"), Value::Null),
                    ],
                    "[webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots, webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun, webhooks[0].clientConfig: Required value: exactly one of url or service is required]",
                ),
                (
                    &[
                        (&at("timeoutSeconds"), json!(31)),
                        (
                            &at("rules"),
                            json!([{"operations": ["*", "CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]),
                        ),
                    ],
                    "[webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations, webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds]",
                ),
            ],
        );
    }
    check(
        "certificates.k8s.io",
        "certificatesigningrequests",
        &json!({"spec": {"request": "eA==", "signerName": "a.b/c", "usages": ["client auth"]}}),
        &[(
            &[("/spec/signerName", json!("x")), ("/spec/usages", json!([]))],
            "[spec.usages: Required value, spec.signerName: Invalid value: \"x\": must be a fully qualified domain and path of the form 'example.com/signer-name']",
        )],
    );
    check(
        "",
        "events",
        &json!({"involvedObject": {"namespace": "n", "name": "p"}}),
        &[(
            &[("/involvedObject/namespace", json!("other"))],
            "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace",
        )],
    );
}
