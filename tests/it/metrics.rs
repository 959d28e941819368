//! Metrics: the page, its table, and what reads it beside people: alert rules and the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use metalsim::cluster::endpoints::Addressing;
use metalsim::cluster::etcd;
use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::redfish::{self, Auth, RedfishState, SessionStore};
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::{Exposition as _, Protocol};
use metalsim::telemetry::definitions::{self, Definition, Kind, Values};
use metalsim_actors::kube::resource::ROWS;
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{PATIENCE, Plan, World, client, own_address, until};

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// A line of the page: name, labels, value.
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Types by family, and all series.
fn parse(page: &str) -> (BTreeMap<String, String>, Vec<Series>) {
    let line = Regex::new(r"^(\w+)(?:\{(.*)\})? (\S+)$").unwrap();
    let label = Regex::new(r#"(\w+)="((?:[^"\\]|\\.)*)""#).unwrap();
    let (mut types, mut series) = (BTreeMap::new(), Vec::new());
    for text in page.lines() {
        if let Some((name, kind)) = text.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            assert_eq!(
                types.insert(name.to_owned(), kind.to_owned()),
                None,
                "{name} twice"
            );
        }
        if text.starts_with('#') {
            continue;
        }
        let parts = line.captures(text).unwrap_or_else(|| panic!("{text}"));
        let labels = parts.get(2).map_or("", |labels| labels.as_str());
        series.push(Series {
            name: parts[1].to_owned(),
            labels: label
                .captures_iter(labels)
                .map(|pair| (pair[1].to_owned(), pair[2].to_owned()))
                .collect(),
            value: parts[3].parse().unwrap(),
        });
    }
    (types, series)
}

/// What the routes of a frontend look like, read from its sources.
fn patterns(files: &[&str], prefix: &str) -> BTreeSet<String> {
    let literal = Regex::new(r#""((?:/[^"\\\s]*)?)""#).unwrap();
    files
        .iter()
        .flat_map(|file| {
            let text = read(file);
            let found: Vec<String> = literal
                .captures_iter(&text)
                .map(|found| format!("{prefix}{}", &found[1]))
                .collect();
            found
        })
        .collect()
}

/// All route templates of a protocol.
fn routes(protocol: &str) -> BTreeSet<String> {
    let mut routes = match protocol {
        "redfish" => patterns(&["src/frontend/redfish/mod.rs"], "/redfish"),
        "agent" => patterns(&["src/frontend/agent/mod.rs"], ""),
        "images" => patterns(&["src/frontend/images/mod.rs"], ""),
        "control" => patterns(&["src/frontend/control/operations.rs"], ""),
        "etcd" => etcd::CALLS.map(str::to_owned).into(),
        "kube" => ROWS
            .iter()
            .flat_map(|row| {
                let name = match row.group {
                    "" => row.plural.to_owned(),
                    group => format!("{}.{group}", row.plural),
                };
                let parts = row.subresources.iter();
                let parts: Vec<String> = parts.map(|part| format!("{name}/{}", part.0)).collect();
                parts.into_iter().chain([name])
            })
            .chain(["custom".to_owned()])
            .collect(),
        other => panic!("protocol {other}"),
    };
    routes.insert("other".to_owned());
    routes
}

/// Fails if a series is not as its definition says.
fn check_closed(series: &Series) {
    let Series { name, labels, .. } = series;
    let definition = definitions::find(name).unwrap_or_else(|| panic!("{name} is not defined"));
    assert!(definition.series().contains(name), "{name}");
    let own: Vec<&(String, String)> = labels
        .iter()
        .filter(|(label, _)| !(label == "le" && name.ends_with("_bucket")))
        .collect();
    let names: Vec<&str> = own.iter().map(|(label, _)| label.as_str()).collect();
    let defined: Vec<&str> = definition.labels.iter().map(|label| label.name).collect();
    assert_eq!(names, defined, "{name}");
    for ((_, value), label) in own.iter().zip(definition.labels) {
        let known = match &label.values {
            Values::Words(words) => words().contains(value),
            Values::Routes => {
                let protocol = &own.iter().find(|(label, _)| label == "protocol").unwrap().1;
                routes(protocol).contains(value)
            }
        };
        assert!(known, "{name}{{{}={value:?}}} is not of a closed set", label.name);
    }
}

#[test]
fn the_table_in_the_documentation_is_that_of_the_definitions() {
    let told = Command::new(env!("CARGO_BIN_EXE_metalsim"))
        .args(["metrics", "--form", "markdown"])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        read("docs/metrics.md") == told,
        "run: metalsim metrics --form markdown > docs/metrics.md"
    );
    let listed = Command::new(env!("CARGO_BIN_EXE_metalsim"))
        .arg("metrics")
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for definition in definitions::ALL {
        assert!(told.contains(&format!("| `{}` |", definition.shown())));
        assert!(listed.contains(definition.help), "{}", definition.name);
    }
}

#[test]
fn rules_and_dashboard_name_what_there_is() {
    let name = Regex::new(r"\bmetalsim_\w+(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"(\w+)\s*(=~|!~|!=|=)\s*\\?["']((?:[^"'\\])*)\\?["']"#).unwrap();
    for file in [
        "config/prometheus/alerts.yaml",
        "config/prometheus/alerts.test.yaml",
        "config/grafana/metalsim.json",
    ] {
        let text = read(file);
        let mut found = 0;
        for used in name.captures_iter(&text) {
            let series = used[0].split('{').next().unwrap();
            let definition = definitions::find(series).unwrap_or_else(|| panic!("{file}: {series}"));
            assert!(
                definition.series().iter().any(|known| known == series),
                "{file}: {series}"
            );
            found += 1;
            for pair in matcher.captures_iter(used.get(1).map_or("", |labels| labels.as_str())) {
                let (label, value) = (&pair[1], &pair[3]);
                if ["job", "instance", "le"].contains(&label) {
                    continue;
                }
                let known = definition.labels.iter().find(|known| known.name == label);
                let known = known.unwrap_or_else(|| panic!("{file}: {series} has no label {label}"));
                let words = known.words();
                for value in value.split('|') {
                    let there = match &words {
                        Some(words) => words.iter().any(|word| word == value),
                        None => routes("redfish").contains(value),
                    };
                    assert!(there, "{file}: {series}{{{label}={value:?}}}");
                }
            }
        }
        assert!(found > 20, "{file}: {found}");
    }
}

#[test]
fn each_alert_is_tested_both_ways() {
    let rules: Value = serde_saphyr::from_str(&read("config/prometheus/alerts.yaml")).unwrap();
    let tests: Value = serde_saphyr::from_str(&read("config/prometheus/alerts.test.yaml")).unwrap();
    let list = |value: &Value, key: &str| value[key].as_array().unwrap().clone();
    let alerts: BTreeSet<String> = list(&rules, "groups")
        .iter()
        .flat_map(|group| list(group, "rules"))
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect();
    let (mut fires, mut rests) = (BTreeSet::new(), BTreeSet::new());
    for test in list(&tests, "tests")
        .iter()
        .flat_map(|test| list(test, "alert_rule_test"))
    {
        let name = test["alertname"].as_str().unwrap().to_owned();
        if list(&test, "exp_alerts").is_empty() {
            rests.insert(name);
        } else {
            fires.insert(name);
        }
    }
    assert!(alerts.len() >= 15);
    assert_eq!(fires, alerts);
    assert_eq!(rests, alerts);
}

#[test]
fn the_dashboard_is_in_order() {
    let board: Value = serde_json::from_str(&read("config/grafana/metalsim.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && cells.insert((x, y)), "{} overlaps", panel["title"]);
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{}",
            panel["title"]
        );
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains(r#"instance=~"$instance""#), "{expr}");
            assert_eq!(expr.matches('(').count(), expr.matches(')').count(), "{expr}");
        }
    }
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        rows,
        [
            "Fleet",
            "Protocols",
            "Ironic",
            "Clusters",
            "Faults and events",
            "Process"
        ]
    );
}

/// What a client may send that must not become a label.
const HOSTILE: [&str; 5] = [
    "/h0stile",
    "/h0stile/%22%7D%0Ametalsim_nodes%201",
    "/redfish/v1/h0stile?h0stile=%22",
    "/api/v1/namespaces/h0stile/pods/h0stile",
    "/apis/h0stile.io/v1/h0stiles",
];

#[actix_web::test]
async fn labels_stay_closed_whatever_clients_send() {
    let host = own_address(60);
    let mut world = World::start(Plan {
        addressing: Addressing::Port {
            host: host.to_string().into(),
            listen: host.into(),
            ports: 20_000..=20_000,
        },
        ..Plan::default()
    })
    .await;
    let control = world.serve_control(None, &Arc::default());
    let agents = world.serve_agents(|_, _| {});
    let state = Arc::new(RedfishState::new(
        Arc::clone(&world.directory),
        Arc::clone(&world.clock),
        Auth::open(),
        SessionStore::new(PATIENCE, 2),
        BodyLimits::new(1 << 16, PATIENCE, 1 << 20),
        Uuid::from_u128(1),
    ));
    let redfish = world.serve(&ServerOptions::new(Protocol::Redfish), redfish::configure(state));
    world.boot_agent(0).await;
    let id = world.node(0).identity().id;
    // A cluster with a node, by FKAS's calls.
    for (method, path, body) in [
        (
            "POST",
            "/register",
            json!({"cluster": "h0stile", "namespace": "h0stile"}),
        ),
        (
            "PUT",
            "/updateNode",
            json!({
                "cluster": "h0stile", "namespace": "h0stile", "nodeName": "h0stile", "providerID": "metal3://h0stile",
                "uuid": id, "k8sversion": "v1.34.2", "labels": {"cluster.x-k8s.io/control-plane": ""},
            }),
        ),
    ] {
        let request = client().request(method.parse().unwrap(), format!("{control}{path}"));
        let answer = request.json(&body).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await.unwrap()
        );
    }
    let kubeconfig = client()
        .get(format!("{control}/api/v1/clusters/h0stile/kubeconfig"))
        .send()
        .await
        .unwrap();
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig.text().await.unwrap()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let cluster = kube::Client::try_from(config).unwrap();

    let good = [
        format!("{control}/api/v1/nodes/n0"),
        format!("{control}/metrics"),
        format!("{agents}/{id}/v1/status"),
        format!("http://{redfish}/redfish/v1/Systems/{id}"),
    ];
    let bad = HOSTILE.iter().flat_map(|path| {
        [
            format!("{control}{path}"),
            format!("{agents}{path}"),
            format!("http://{redfish}{path}"),
        ]
    });
    for url in good.into_iter().chain(bad) {
        for method in ["GET", "PUT", "H0STILE"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            // Some get no answer at all.
            drop(client().request(method, &url).send().await);
        }
    }
    let custom = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "h0stiles.h0stile.io"},
        "spec": {
            "group": "h0stile.io", "scope": "Cluster",
            "names": {"plural": "h0stiles", "kind": "H0stile"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    });
    let mut asked: Vec<(&str, String, String)> = vec![(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".into(),
        custom.to_string(),
    )];
    let paths = [
        "/version",
        "/api/v1/nodes",
        "/api/v1/namespaces/default/pods/x/log",
    ];
    asked.extend(
        paths
            .into_iter()
            .chain(HOSTILE)
            .map(|path| ("GET", path.to_owned(), String::new())),
    );
    asked.push(("H0STILE", "/api/v1/nodes".into(), String::new()));
    for (method, path, body) in asked {
        let request = http::Request::builder()
            .method(method)
            .uri(&path)
            .header("content-type", "application/json")
            .body(kube::client::Body::from(body.into_bytes()))
            .unwrap();
        drop(cluster.send(request).await.unwrap());
    }
    until("the custom resource to be served", || async {
        let request = http::Request::get("/apis/h0stile.io/v1/h0stiles")
            .body(kube::client::Body::empty())
            .unwrap();
        cluster.send(request).await.unwrap().status() == 200
    })
    .await;
    until("the node to be ready", || async {
        world
            .metrics
            .render()
            .contains("metalsim_cluster_nodes{ready=\"true\"} 1\n")
    })
    .await;

    let page = world.metrics.render();
    assert!(!page.to_lowercase().contains("h0stile"), "{page}");
    let (types, series) = parse(&page);
    let defined: BTreeMap<String, String> = definitions::ALL
        .iter()
        .map(|Definition { name, kind, .. }| ((*name).to_owned(), kind.as_str().to_owned()))
        .collect();
    assert_eq!(types, defined);
    for series in &series {
        check_closed(series);
    }
    let value = |name: &str, labels: &[(&str, &str)]| -> f64 {
        let fits = |series: &&Series| {
            series.name == name
                && labels.iter().all(|(label, value)| {
                    series
                        .labels
                        .contains(&((*label).to_owned(), (*value).to_owned()))
                })
        };
        series.iter().filter(fits).map(|series| series.value).sum()
    };
    for (name, labels) in [
        (
            "metalsim_requests_total",
            &[("protocol", "redfish"), ("route", "/redfish/v1/Systems/{id}")][..],
        ),
        (
            "metalsim_requests_total",
            &[("protocol", "redfish"), ("route", "other")],
        ),
        (
            "metalsim_requests_total",
            &[("protocol", "agent"), ("route", "other")],
        ),
        (
            "metalsim_requests_total",
            &[("protocol", "control"), ("method", "other")],
        ),
        (
            "metalsim_requests_total",
            &[("protocol", "kube"), ("route", "custom")],
        ),
        (
            "metalsim_requests_total",
            &[("protocol", "kube"), ("route", "nodes")],
        ),
        (
            "metalsim_api_requests_total",
            &[("verb", "list"), ("group", "core"), ("status", "2xx")],
        ),
        (
            "metalsim_api_requests_total",
            &[("verb", "list"), ("group", "custom"), ("status", "2xx")],
        ),
        (
            "metalsim_api_requests_total",
            &[("verb", "create"), ("group", "apiextensions.k8s.io")],
        ),
        (
            "metalsim_api_requests_total",
            &[("verb", "other"), ("group", "other")],
        ),
        ("metalsim_phase_duration_seconds_count", &[("phase", "post")]),
        ("metalsim_step_duration_seconds_count", &[]),
        ("metalsim_step_duration_seconds_sum", &[]),
        ("metalsim_clusters", &[("state", "open")]),
        (
            "metalsim_cluster_machines",
            &[("role", "control_plane"), ("state", "running")],
        ),
        ("metalsim_cluster_etcd_quorum", &[("quorum", "true")]),
        ("metalsim_permits", &[]),
        ("metalsim_process_threads", &[]),
    ] {
        assert!(value(name, labels) > 0.0, "{name} {labels:?}\n{page}");
    }
    assert_eq!(value("metalsim_permits_in_use", &[]), 0.0);
    assert_eq!(value("metalsim_nodes", &[]), 2.0);
    world.stop().await;
}

#[actix_web::test]
async fn clients_get_the_form_that_they_ask_for() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    let get = |accept: Option<&'static str>| {
        let mut request = client().get(format!("{base}/metrics"));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        async move {
            let answer = request.send().await.unwrap();
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (kind, answer.text().await.unwrap())
        }
    };
    // What Prometheus sends.
    let (kind, page) = get(Some(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    ))
    .await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("# EOF\n"));
    assert!(page.contains("# TYPE metalsim_boots counter\n"), "{page}");
    for accept in [None, Some("text/plain"), Some("*/*")] {
        let (kind, page) = get(accept).await;
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert!(!page.contains("# EOF"), "{page}");
        let (types, series) = parse(&page);
        for definition in definitions::ALL {
            let shown = definition.shown();
            assert_eq!(
                types.get(&shown).map(String::as_str),
                Some(definition.kind.as_str()),
                "{shown}"
            );
        }
        // Each series follows the head of its own family.
        for Series { name, .. } in series {
            let definition = definitions::find(&name).unwrap();
            let family = match definition.kind {
                Kind::Counter => format!("{}_total", definition.name),
                Kind::Gauge | Kind::Histogram => definition.name.to_owned(),
            };
            assert!(types.contains_key(&family), "{name}");
        }
    }
    world.stop().await;
}
