//! What breaks real clients when it is wrong, one test each.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::harness::{MOST_BODY, Plan, Running};
use super::raw::{Http, Http2, Plain, connect};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn start() -> (Running, Http) {
    let running = Running::start(&Plan::default());
    let http = Http::new(&running);
    (running, http)
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

// --- watches

#[actix_web::test]
async fn the_head_of_a_watch_comes_before_its_first_event() {
    let (running, http) = start();
    let now = http.get(MAPS).await.must(200);
    let path = format!("{MAPS}?watch=true&resourceVersion={}", version(&now));
    // Over both protocols; nothing has happened, so no event can bring the head along.
    let mut events = http.watch(&path).await;
    let mut shared = {
        let connection = Http2::connect(&running, 1 << 20).await;
        let response = connection.ask(&path).await.await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    };
    let mut plain = Plain::ask(&running, &path, None).await;
    let head = plain.head().await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");

    http.post(MAPS, &config_map("a")).await.must(201);
    let event = events.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("a"))
    );
    let data = shared.data().await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(event["object"]["kind"], "ConfigMap");
}

#[actix_web::test]
async fn one_port_speaks_http2_and_http1_without_alpn() {
    let (running, _) = start();
    let shared = Http2::connect(&running, 1 << 20).await;
    let (code, body) = shared.get("/api/v1/nodes").await;
    assert_eq!(code, 200);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["kind"],
        "NodeList"
    );
    let mut plain = Plain::ask(&running, "/api/v1/nodes", None).await;
    assert!(plain.head().await.starts_with("http/1.1 200"));
    let chosen = connect(running.address(), &[b"http/1.1"], None).await;
    assert_eq!(chosen.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[actix_web::test]
async fn a_watch_list_sends_what_is_there_and_a_bookmark_that_closes_it() {
    let (_running, http) = start();
    let made = http.post(MAPS, &config_map("a")).await.must(201);
    let path = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=300";
    let mut events = http
        .watch(&format!("{MAPS}{path}&fieldSelector=metadata.name%3Da"))
        .await;
    let first = events.next().await.unwrap();
    assert_eq!(first["type"], "ADDED");
    assert_eq!(first["object"]["kind"], "ConfigMap");
    assert_eq!(first["object"]["apiVersion"], "v1");
    assert_eq!(version(&first["object"]), version(&made));
    let closing = events.next().await.unwrap();
    assert_eq!(closing["type"], "BOOKMARK");
    let object = &closing["object"];
    assert_eq!(
        (&object["kind"], &object["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    assert_eq!(
        object["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    let told: u64 = version(object).parse().unwrap();
    assert!(told >= version(&made).parse().unwrap());
    // It goes on with what happens.
    http.send("DELETE", &format!("{MAPS}/a"), None).await.must(200);
    let last = events.next().await.unwrap();
    assert_eq!(last["type"], "DELETED");
    assert!(
        version(&last["object"]).parse::<u64>().unwrap() > told,
        "the version is the deletion's"
    );
}

#[actix_web::test]
async fn a_watch_list_with_many_objects_closes_after_all_of_them() {
    let (_running, http) = start();
    const MANY: usize = 300;
    for index in 0..MANY {
        let mut map = config_map(&format!("m-{index:03}"));
        map["metadata"]["labels"] = json!({"many": ""});
        // Larger together than one piece of a stream.
        map["data"]["bulk"] = "x".repeat(1000).into();
        http.post(MAPS, &map).await.must(201);
    }
    let path = "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = http.watch(&format!("{MAPS}{path}&labelSelector=many")).await;
    for index in 0..MANY {
        let event = events.next().await.unwrap();
        assert_eq!(event["type"], "ADDED");
        assert_eq!(event["object"]["metadata"]["name"], format!("m-{index:03}"));
    }
    assert_eq!(events.next().await.unwrap()["type"], "BOOKMARK");
}

#[actix_web::test]
async fn a_watch_list_with_parameters_that_do_not_go_together_is_invalid() {
    let (_running, http) = start();
    for wrong in [
        "watch=1&sendInitialEvents=true",
        "watch=1&sendInitialEvents=true&allowWatchBookmarks=true",
        "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact&allowWatchBookmarks=true",
        "watch=1&resourceVersionMatch=NotOlderThan",
        "watch=1&sendInitialEvents=false&resourceVersionMatch=Wrong",
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersion=1&resourceVersionMatch=NotOlderThan",
    ] {
        let status = http.get(&format!("{MAPS}?{wrong}")).await.must(422);
        assert_eq!(status["reason"], "Invalid", "{wrong}: {status}");
        assert!(
            status["details"]["causes"][0]["field"].is_string(),
            "{wrong}: {status}"
        );
    }
}

#[actix_web::test]
async fn a_watch_ends_when_its_time_is_over() {
    let (_running, http) = start();
    let mut events = http
        .watch(&format!(
            "{MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true"
        ))
        .await;
    while let Some(event) = events.next().await {
        assert_ne!(event["type"], "ERROR", "{event}");
    }
}

#[actix_web::test]
async fn objects_that_move_in_and_out_of_a_selection_are_added_and_deleted() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let mut events = http
        .watch(&format!("{MAPS}?watch=1&labelSelector=in%3Dyes"))
        .await;
    let label = |value: Value| json!({"metadata": {"labels": {"in": value}}});
    let one = format!("{MAPS}/a");
    http.patch("merge", &one, &label("yes".into())).await.must(200);
    http.patch("merge", &one, &json!({"data": {"a": "2"}}))
        .await
        .must(200);
    let out = http.patch("merge", &one, &label(Value::Null)).await.must(200);
    http.patch("merge", &one, &json!({"data": {"a": "3"}}))
        .await
        .must(200);
    http.patch("merge", &one, &label("yes".into())).await.must(200);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = events.next().await.unwrap();
        if event["type"] == "DELETED" {
            assert_eq!(version(&event["object"]), version(&out));
            assert_eq!(
                event["object"]["metadata"]["labels"]["in"], "yes",
                "the last state inside"
            );
        }
        seen.push(event["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["ADDED", "MODIFIED", "DELETED", "ADDED"]);
}

#[actix_web::test]
async fn a_watch_from_a_forgotten_version_is_gone() {
    let (running, http) = start();
    let made = http.post(MAPS, &config_map("a")).await.must(201);
    let old = version(&made).to_owned();
    http.put(&format!("{MAPS}/a"), &json!({"metadata": {"name": "a"}}))
        .await
        .must(200);
    running.compact().await;
    // Within the stream: clients that are refused without one try the same version again.
    let mut events = http.watch(&format!("{MAPS}?watch=1&resourceVersion={old}")).await;
    let event = events.next().await.unwrap();
    assert!(events.next().await.is_none());
    let status = &event["object"];
    assert_eq!(
        (&event["type"], &status["code"], &status["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("too old resource version: "),
        "{status}"
    );
}

// --- lists

#[actix_web::test]
async fn items_of_a_list_have_no_kind_but_single_objects_do() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let list = http.get(MAPS).await.must(200);
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("ConfigMapList"), &json!("v1"))
    );
    assert!(list["items"][0]["kind"].is_null() && list["items"][0]["apiVersion"].is_null());
    let one = http.get(&format!("{MAPS}/a")).await.must(200);
    assert_eq!(
        (&one["kind"], &one["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    // An empty one has a version and a list too.
    let empty = http.get("/api/v1/namespaces/missing/pods").await.must(200);
    assert_eq!(empty["items"], json!([]));
    assert!(version(&empty).parse::<u64>().unwrap() > 0);
}

#[actix_web::test]
async fn pods_of_a_node_are_paged() {
    let (_running, http) = start();
    for index in 0..7 {
        let pod = json!({
            "metadata": {"name": format!("p{index}")},
            "spec": {
                "nodeName": if index == 3 { "other" } else { "n" },
                "containers": [{"name": "c", "image": "example.org/c:1"}],
            },
        });
        http.post("/api/v1/namespaces/default/pods", &pod).await.must(201);
    }
    let base = "/api/v1/pods?fieldSelector=spec.nodeName%3Dn&limit=4";
    let first = http.get(base).await.must(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    // What comes between two pages is not in the second.
    let late = json!({
        "metadata": {"name": "p9"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "example.org/c:1"}]},
    });
    http.post("/api/v1/namespaces/default/pods", &late)
        .await
        .must(201);
    let second = http.get(&format!("{base}&continue={token}")).await.must(200);
    assert!(second["metadata"]["continue"].is_null(), "{second}");
    assert_eq!(version(&first), version(&second));
    let names: Vec<&str> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|pod| pod["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["p0", "p1", "p2", "p4", "p5", "p6"]);
}

#[actix_web::test]
async fn a_token_of_a_forgotten_page_is_gone_and_brings_another() {
    let (running, http) = start();
    for name in ["a", "b", "c"] {
        http.post(MAPS, &config_map(name)).await.must(201);
    }
    let first = http.get(&format!("{MAPS}?limit=1")).await.must(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert!(first["metadata"]["remainingItemCount"].as_u64().unwrap() >= 2);
    http.post(MAPS, &config_map("d")).await.must(201);
    running.compact().await;
    let status = http
        .get(&format!("{MAPS}?limit=1&continue={token}"))
        .await
        .must(410);
    assert_eq!(status["reason"], "Expired");
    let other = status["metadata"]["continue"].as_str().unwrap();
    let rest = http.get(&format!("{MAPS}?continue={other}")).await.must(200);
    let names: Vec<&Value> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|map| &map["metadata"]["name"])
        .collect();
    assert!(names.contains(&&json!("d")) && !names.contains(&&first["items"][0]["metadata"]["name"]));
    http.get(&format!("{MAPS}?limit=1&continue=nonsense"))
        .await
        .must(400);
}

#[actix_web::test]
async fn a_version_of_the_future_is_not_there_yet() {
    let (_running, http) = start();
    for path in ["?resourceVersion=999999999", "?watch=1&resourceVersion=999999999"] {
        let reply = http.get(&format!("{MAPS}{path}")).await;
        let status = reply.must(504);
        assert_eq!(status["reason"], "Timeout");
        assert_eq!(
            status["details"]["causes"][0]["reason"],
            "ResourceVersionTooLarge"
        );
        assert_eq!(reply.headers["retry-after"], "1");
    }
    http.get(&format!("{MAPS}?resourceVersion=x")).await.must(400);
}

#[actix_web::test]
async fn unknown_selectors_are_refused() {
    let (_running, http) = start();
    http.get("/api/v1/pods?fieldSelector=spec.unknown%3Dx")
        .await
        .must(400);
    http.get("/api/v1/pods?labelSelector=a%3D%3D%3Db").await.must(400);
    http.get("/api/v1/pods?limit=x").await.must(400);
}

// --- writes

/// An object of each kind that clients replace without a version.
fn unconditional() -> [(&'static str, Value); 5] {
    let meta = json!({"name": "u", "labels": {"app": "u"}});
    [
        (MAPS, json!({"metadata": meta, "data": {"a": "1"}})),
        (
            "/api/v1/namespaces/default/secrets",
            json!({"metadata": meta, "stringData": {"a": "1"}}),
        ),
        (
            "/api/v1/nodes",
            // Who gets a network later may not leave it out.
            json!({"metadata": meta, "spec": {
                "providerID": "metal3://u", "podCIDR": "192.0.2.0/24", "podCIDRs": ["192.0.2.0/24"],
            }}),
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"metadata": meta, "spec": {
                "selector": {"matchLabels": {"app": "u"}},
                "template": {
                    "metadata": {"labels": {"app": "u"}},
                    "spec": {"containers": [{"name": "c", "image": "example.org/c:1"}]},
                },
            }}),
        ),
        (
            "/api/v1/namespaces/default/services",
            json!({"metadata": meta, "spec": {"selector": {"app": "u"}, "ports": [{"port": 80}]}}),
        ),
    ]
}

#[actix_web::test]
async fn a_put_without_a_version_is_unconditional() {
    let (_running, http) = start();
    for (path, mut object) in unconditional() {
        let made = http.post(path, &object).await.must(201);
        http.patch(
            "merge",
            &format!("{path}/u"),
            &json!({"metadata": {"labels": {"x": "y"}}}),
        )
        .await
        .must(200);
        object["metadata"]["labels"]["z"] = "1".into();
        let put = http.put(&format!("{path}/u"), &object).await.must(200);
        assert_eq!(put["metadata"]["labels"], json!({"app": "u", "z": "1"}), "{path}");
        assert_eq!(put["metadata"]["uid"], made["metadata"]["uid"], "{path}");
        assert_eq!(
            put["metadata"]["creationTimestamp"],
            made["metadata"]["creationTimestamp"]
        );
        // What the server gave stays.
        assert_eq!(put["spec"]["clusterIP"], made["spec"]["clusterIP"], "{path}");
    }
}

#[actix_web::test]
async fn fields_of_the_server_that_a_merge_patch_nulls_are_filled_again() {
    let (_running, http) = start();
    for (path, object) in unconditional() {
        let made = http.post(path, &object).await.must(201);
        let patch = json!({
            "metadata": {
                "uid": null, "creationTimestamp": null, "managedFields": null, "generation": null,
                "selfLink": null, "labels": {"patched": "yes"},
            },
            "status": null,
        });
        let patched = http.patch("merge", &format!("{path}/u"), &patch).await.must(200);
        for field in ["uid", "creationTimestamp"] {
            assert_eq!(
                patched["metadata"][field], made["metadata"][field],
                "{path} {field}"
            );
        }
        assert_eq!(patched["metadata"]["labels"]["patched"], "yes", "{path}");
        assert_eq!(
            patched["metadata"]["generation"], made["metadata"]["generation"],
            "{path}"
        );
        assert!(!patched["metadata"]["resourceVersion"].is_null());
        assert_eq!(patched["status"].is_null(), made["status"].is_null(), "{path}");
    }
    let spec = json!({"spec": {
        "replicas": null, "strategy": null, "revisionHistoryLimit": null, "progressDeadlineSeconds": null,
        "template": {"spec": {"restartPolicy": null, "dnsPolicy": null, "schedulerName": null, "securityContext": null}},
    }});
    let path = "/apis/apps/v1/namespaces/default/deployments/u";
    let before = http.get(path).await.must(200);
    let after = http.patch("merge", path, &spec).await.must(200);
    assert_eq!(before["spec"], after["spec"]);
    assert_eq!(after["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    let path = "/api/v1/namespaces/default/services/u";
    let before = http.get(path).await.must(200);
    let nulls = json!({"spec": {
        "clusterIP": null, "clusterIPs": null, "type": null, "sessionAffinity": null, "ipFamilies": null,
        "ipFamilyPolicy": null, "internalTrafficPolicy": null,
    }});
    let after = http.patch("merge", path, &nulls).await.must(200);
    assert_eq!(before["spec"], after["spec"]);
}

#[actix_web::test]
async fn a_stale_version_is_a_conflict() {
    let (_running, http) = start();
    let made = http.post(MAPS, &config_map("a")).await.must(201);
    let one = format!("{MAPS}/a");
    http.patch("merge", &one, &json!({"data": {"b": "2"}}))
        .await
        .must(200);
    let mut stale = made.clone();
    stale["data"]["c"] = "3".into();
    let status = http.put(&one, &stale).await.must(409);
    assert_eq!(status["reason"], "Conflict");
    assert_eq!(
        (&status["details"]["name"], &status["details"]["kind"]),
        (&json!("a"), &json!("configmaps"))
    );
    let patch = json!({"metadata": {"resourceVersion": version(&made)}, "data": {"c": "3"}});
    http.patch("merge", &one, &patch).await.must(409);
    http.patch("strategic-merge", &one, &patch).await.must(409);
    let options = json!({"preconditions": {"resourceVersion": version(&made)}}).to_string();
    let body = Some(("application/json", options.into_bytes()));
    http.send("DELETE", &one, body).await.must(409);
}

#[actix_web::test]
async fn writes_that_change_nothing_keep_the_version() {
    let (_running, http) = start();
    for (path, object) in unconditional() {
        let one = format!("{path}/u");
        http.post(path, &object).await.must(201);
        // Not what the answer of the POST says: controllers may have come in between.
        let made = http.get(&one).await.must(200);
        let mut same = made.clone();
        same["metadata"].as_object_mut().unwrap().remove("managedFields");
        for again in [
            http.put(&one, &made).await.must(200),
            http.put(&one, &same).await.must(200),
            http.patch("merge", &one, &json!({"metadata": {"labels": {"app": "u"}}}))
                .await
                .must(200),
            http.patch("strategic-merge", &one, &json!({})).await.must(200),
            http.patch("json", &one, &json!([])).await.must(200),
        ] {
            assert_eq!(version(&again), version(&made), "{path}");
        }
    }
}

#[actix_web::test]
async fn a_patch_cannot_make_an_object_another_one() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let one = format!("{MAPS}/a");
    for (field, value, code) in [
        ("name", "b", 400),
        ("namespace", "kube-system", 400),
        ("uid", "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a", 409),
    ] {
        let merge = json!({"metadata": {field: value}});
        let json_patch = json!([{"op": "replace", "path": format!("/metadata/{field}"), "value": value}]);
        http.patch("merge", &one, &merge).await.must(code);
        http.patch("strategic-merge", &one, &merge).await.must(code);
        http.patch("json", &one, &json_patch).await.must(code);
    }
    assert_eq!(http.get(&one).await.must(200)["metadata"]["name"], "a");
    http.get(&format!("{MAPS}/b")).await.must(404);
}

#[actix_web::test]
async fn a_put_to_another_name_or_namespace_is_refused() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    http.put(&format!("{MAPS}/a"), &config_map("b")).await.must(400);
    let mut elsewhere = config_map("a");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    http.put(&format!("{MAPS}/a"), &elsewhere).await.must(400);
    http.post(MAPS, &elsewhere).await.must(400);
    let mut other_kind = config_map("a");
    other_kind["kind"] = "Secret".into();
    http.put(&format!("{MAPS}/a"), &other_kind).await.must(400);
}

#[actix_web::test]
async fn patches_that_cannot_be_done_are_refused() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let one = format!("{MAPS}/a");
    let failed = json!([{"op": "test", "path": "/data/a", "value": "2"}]);
    http.patch("json", &one, &failed).await.must(422);
    http.patch("json", &one, &json!({"no": "list"})).await.must(400);
    http.patch("json", &one, &json!([{"op": "fly", "path": "/data"}]))
        .await
        .must(422);
    http.patch("merge", &format!("{MAPS}/missing"), &json!({}))
        .await
        .must(404);
    let mistyped = http
        .patch("merge", &one, &json!({"data": {"a": 1}}))
        .await
        .must(422);
    assert_eq!(mistyped["details"]["causes"][0]["field"], "patch", "{mistyped}");
    http.patch("merge", &one, &json!(["no", "object"]))
        .await
        .must(400);
    http.patch("merge", &one, &json!({"data": {"not a key!": "1"}}))
        .await
        .must(422);
}

// --- bodies

#[actix_web::test]
async fn a_body_that_is_too_large_is_refused() {
    let (running, http) = start();
    let status = http
        .send(
            "POST",
            MAPS,
            Some(("application/json", vec![b' '; MOST_BODY + 1])),
        )
        .await
        .must(413);
    assert_eq!(status["reason"], "RequestEntityTooLarge");
    // One object has its own limit, which not all kinds reach.
    let [.., (path, mut large), _] = unconditional();
    let environment = json!([{"name": "X", "value": "x".repeat(2 << 20)}]);
    large["spec"]["template"]["spec"]["containers"][0]["env"] = environment;
    http.post(path, &large).await.must(413);
    let mut map = config_map("a");
    map["data"]["a"] = "x".repeat(2 << 20).into();
    http.post(MAPS, &map).await.must(422);
    // A body that does not say how long it is.
    let mut stream = connect(running.address(), &[], None).await;
    let mut head = format!("POST {MAPS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
    for (name, value) in running.credentials() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..4 {
        // The server may have closed its side already.
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut room).await {
        answer.extend_from_slice(&room[..read]);
        if answer.windows(4).any(|four| four == b"\r\n\r\n") {
            break;
        }
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[actix_web::test]
async fn an_unknown_content_type_is_refused() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let text = config_map("b").to_string().into_bytes();
    for (method, path, kind) in [
        ("POST", MAPS.to_owned(), "text/plain"),
        ("PUT", format!("{MAPS}/a"), "application/xml"),
        ("PATCH", format!("{MAPS}/a"), "application/json"),
        ("PATCH", format!("{MAPS}/a"), "text/plain"),
        ("DELETE", format!("{MAPS}/a"), "text/plain"),
    ] {
        let status = http
            .send(method, &path, Some((kind, text.clone())))
            .await
            .must(415);
        assert_eq!(status["reason"], "UnsupportedMediaType", "{method} {kind}");
    }
    // Strategic merges are for kinds that the server knows the lists of: not of custom ones.
    http.get(&format!("{MAPS}/a")).await.must(200);
}

#[actix_web::test]
async fn a_malformed_body_is_a_bad_request() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    for (method, path, kind, body) in [
        ("POST", MAPS.to_owned(), "application/json", "{\"metadata\":"),
        ("POST", MAPS.to_owned(), "application/json", ""),
        ("POST", MAPS.to_owned(), "application/json", "[]"),
        ("POST", MAPS.to_owned(), "application/json", "null"),
        ("POST", MAPS.to_owned(), "application/yaml", "a: [b"),
        ("PUT", format!("{MAPS}/a"), "application/json", "7"),
        ("PATCH", format!("{MAPS}/a"), "application/merge-patch+json", "{"),
        ("PATCH", format!("{MAPS}/a"), "application/json-patch+json", "{"),
        (
            "PATCH",
            format!("{MAPS}/a?fieldManager=m"),
            "application/apply-patch+yaml",
            "\t{",
        ),
        ("DELETE", format!("{MAPS}/a"), "application/json", "{"),
    ] {
        let status = http
            .send(method, &path, Some((kind, body.as_bytes().to_vec())))
            .await
            .must(400);
        assert_eq!(status["reason"], "BadRequest", "{method} {kind} {body}");
    }
}

#[actix_web::test]
async fn deeply_nested_bodies_break_nothing() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "1");
    let lists = "[".repeat(1_000_000);
    for (method, path, kind) in [
        ("POST", MAPS.to_owned(), "application/json"),
        ("POST", MAPS.to_owned(), "application/yaml"),
        ("PATCH", format!("{MAPS}/a"), "application/merge-patch+json"),
        (
            "PATCH",
            format!("{MAPS}/a?fieldManager=m"),
            "application/apply-patch+yaml",
        ),
    ] {
        for body in [&deep, &lists] {
            let body = Some((kind, body.clone().into_bytes()));
            http.send(method, &path, body).await.must(400);
        }
    }
    http.get(&format!("{MAPS}/a")).await.must(200);
}

// --- paths

#[actix_web::test]
async fn the_root_answers_well() {
    let (running, http) = start();
    let reply = http.get("/").await;
    assert!((200..300).contains(&reply.code), "{reply:?}");
    let (code, _) = Http2::connect(&running, 1 << 20).await.get("/").await;
    assert!((200..300).contains(&code), "{code}");
}

#[actix_web::test]
async fn unknown_paths_are_not_found() {
    let (_running, http) = start();
    for path in [
        "/nothing",
        "/api/v2",
        "/api/v1/nothing",
        "/api/v1/namespaces/default/nothing",
        "/api/v1/namespaces/default/configmaps/a/nothing",
        "/api/v1/configmaps/a",
        "/api/v1/namespaces/default/nodes/a",
        "/api/v1//configmaps",
        "/api/v1/namespaces//configmaps",
        "/apis/nothing.example/v1",
        "/apis/nothing.example/v1/things",
        "/apis/apps/v9/deployments",
        "/apis/apps/v1/namespaces/default/deployments/a/nothing/x/y",
        "/apis/apps/v1/namespaces/default/deployments/missing",
        "/apis/apps",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/namespaces/default/configmaps/%00",
        "/api/v1/namespaces/default/configmaps/a%2Fb",
        "/api/v1/namespaces/default/pods/missing/log",
        "/watch",
        "/api/v1/watch",
    ] {
        let reply = http.get(path).await;
        if path == "/apis/apps" {
            continue;
        }
        let status = reply.must(404);
        assert_eq!(status["reason"], "NotFound", "{path}");
    }
    http.get("/api/v1/namespaces/%ff/pods").await.must(400);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let reply = http.send(method, "/api/v1/nothing", None).await;
        assert!((400..500).contains(&reply.code), "{method} {reply:?}");
        reply.must(reply.code);
    }
}

#[actix_web::test]
async fn verbs_that_a_resource_does_not_have_are_not_allowed() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    for (method, path) in [
        ("PUT", MAPS),
        ("PATCH", MAPS),
        ("POST", "/api/v1/configmaps"),
        ("DELETE", "/api/v1/configmaps"),
        ("POST", "/api/v1/namespaces/default/configmaps/a"),
        ("OPTIONS", MAPS),
        ("DELETE", "/api/v1/nodes/n/status"),
    ] {
        let body = Some(("application/json", config_map("a").to_string().into_bytes()));
        let status = http.send(method, path, body).await.must(405);
        assert_eq!(status["reason"], "MethodNotAllowed", "{method} {path}");
    }
}

#[actix_web::test]
async fn head_is_get_without_a_body() {
    let (_running, http) = start();
    http.post(MAPS, &config_map("a")).await.must(201);
    let reply = http.send("HEAD", &format!("{MAPS}/a"), None).await;
    assert_eq!((reply.code, reply.body.len()), (200, 0));
    let reply = http.send("HEAD", &format!("{MAPS}/missing"), None).await;
    assert_eq!((reply.code, reply.body.len()), (404, 0));
}
