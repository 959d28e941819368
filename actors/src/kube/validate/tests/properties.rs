//! Properties: what the server fills in passes its own checks, and no body breaks them.

use proptest::prelude::*;

use super::*;

fn kinds() -> Vec<&'static Arc<Resource>> {
    BUILT_IN
        .iter()
        .filter(|resource| resource.traits.stored && resource.home == resource.id)
        .collect()
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        "[a-zA-Z0-9%*./:é-]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("spec"),
        Just("template"),
        Just("metadata"),
        Just("containers"),
        Just("name"),
        Just("ports"),
        Just("selector"),
        Just("matchLabels"),
        Just("volumes"),
        Just("resources"),
        Just("requests"),
        Just("limits"),
        Just("versions"),
        Just("names"),
        Just("schema"),
        Just("openAPIV3Schema"),
        Just("properties"),
        Just("items"),
        Just("rules"),
        Just("subjects"),
        Just("roleRef"),
        Just("data"),
        Just("webhooks"),
        Just("endpoints"),
        Just("type"),
        Just("initContainers"),
        Just("env"),
        Just("valueFrom"),
        Just("tolerations"),
        Just("affinity"),
        Just("ingress"),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(8, 128, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Words of fields of pods, for texts that are good or nearly so.
fn container() -> impl Strategy<Value = Value> {
    (
        "[a-z][a-z0-9]{0,5}",
        prop::option::of(1_i64..65_535),
        prop::option::of(1_i64..100),
        prop::option::of("[A-Z_]{1,8}"),
        any::<bool>(),
    )
        .prop_map(|(name, port, cpu, variable, probe)| {
            let mut container = json!({"name": name, "image": "registry/image:1"});
            if let Some(port) = port {
                container["ports"] = json!([{"containerPort": port}]);
            }
            if let Some(cpu) = cpu {
                container["resources"] = json!({"limits": {"cpu": cpu}});
            }
            if let Some(variable) = variable {
                container["env"] = json!([{"name": variable, "value": "x"}, {"name": "n", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]);
            }
            if probe {
                container["livenessProbe"] = json!({"httpGet": {"port": "http"}});
                container["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
            }
            container
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_breaks_the_checks(body in json_value(), spec in json_value()) {
        for resource in kinds() {
            let mut body = if body.is_object() { body.clone() } else { json!({}) };
            body["spec"] = spec.clone();
            body["metadata"] = json!({"name": "x"});
            if let Err(status) = create(&resource.group, &resource.plural, body) {
                prop_assert!(status.code == 422 || status.code == 400, "{} {}", resource, status);
                prop_assert!(status.message.len() < 8 * 1024 * 1024);
            }
        }
    }

    #[test]
    fn what_has_its_defaults_passes(containers in prop::collection::vec(container(), 1..4)) {
        let mut containers = containers;
        for (index, container) in containers.iter_mut().enumerate() {
            container["name"] = format!("c{index}").into();
        }
        let spec = json!({"containers": containers, "volumes": [{"name": "v"}]});
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
        let mut job = template.clone();
        job["spec"]["restartPolicy"] = "Never".into();
        let selector = json!({"matchLabels": {"a": "b"}});
        for (group, plural, body) in [
            ("", "pods", json!({"spec": spec})),
            ("", "podtemplates", json!({"template": template})),
            ("", "replicationcontrollers", json!({"spec": {"template": template}})),
            ("apps", "deployments", json!({"spec": {"selector": selector, "template": template}})),
            ("apps", "replicasets", json!({"spec": {"selector": selector, "template": template}})),
            ("apps", "daemonsets", json!({"spec": {"selector": selector, "template": template}})),
            ("apps", "statefulsets", json!({"spec": {"selector": selector, "template": template}})),
            ("batch", "jobs", json!({"spec": {"template": job}})),
            ("batch", "cronjobs", json!({"spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": job}}}})),
        ] {
            let made = create(group, plural, body);
            prop_assert!(made.is_ok(), "{} {:?}", plural, made.map_err(|status| status.message));
        }
    }
}
