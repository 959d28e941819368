//! Watchers that do not read.

use std::cell::RefCell;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use metalsim_actors::kube::store::Limits;
use serde_json::{Value, json};

use super::harness::{Plan, Running};
use super::raw::{Http, Http2, Plain, last_event};
use crate::world::until;

/// Watchers that hold a connection each.
const CONNECTIONS: usize = 1000;
/// Connections that watchers share, and how many share one.
const SHARED: (usize, usize) = (20, 50);
/// What a watcher may cost: the piece that it does not take, once as JSON and once encrypted, the client's window with it in the
/// same process, and what a connection and a request need.
const PER_WATCHER: usize = 4 * (64 << 10);
/// What everything else in the process may need, other tests included.
const SLACK: usize = 256 << 20;
/// Bytes in the object that changes.
const BULK: usize = 16 << 10;
/// Changes. All of them for all watchers are 13 GB.
const CHANGES: usize = 400;
/// Most of what is done at once.
const AT_ONCE: usize = 16;

/// Resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

fn config_map(change: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "large"},
        "data": {"change": change.to_string(), "bulk": "x".repeat(BULK)},
    })
}

fn assert_expired(event: &Value) {
    assert_eq!(event["type"], "ERROR", "{event}");
    assert_eq!(event["object"]["kind"], "Status", "{event}");
    assert_eq!(event["object"]["code"], 410, "{event}");
    assert_eq!(event["object"]["reason"], "Expired", "{event}");
}

#[actix_web::test]
async fn two_thousand_watchers_that_never_read_cost_little_and_are_told_in_the_end() {
    let limits = Limits {
        window_events: 256,
        ..Limits::default()
    };
    let running = Running::start(&Plan {
        limits,
        send_buffer: Some(16 << 10),
        ..Plan::default()
    });
    let http = Http::new(&running);
    let path = "/api/v1/namespaces/default/configmaps";
    let made = http.post(path, &config_map(0)).await.must(201);
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let watch = format!("{path}?watch=1&resourceVersion={version}");
    let before = resident();

    let running = &running;
    let plain: Vec<Plain> = stream::iter(0..CONNECTIONS)
        .map(|_| async {
            let mut plain = Plain::ask(running, &watch, Some(4 << 10)).await;
            let head = plain.head().await;
            assert!(head.starts_with("http/1.1 200"), "{head}");
            plain
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let shared: Vec<Arc<Http2>> = stream::iter(0..SHARED.0)
        .then(|_| async { Arc::new(Http2::connect(running, 64 << 10).await) })
        .collect()
        .await;
    let streams: Vec<h2::RecvStream> = stream::iter(shared.iter().flat_map(|one| [one].repeat(SHARED.1)))
        .map(|connection| async {
            let response = connection.ask(&watch).await.await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body()
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    for change in 1..=CHANGES {
        http.put(&format!("{path}/large"), &config_map(change))
            .await
            .must(200);
        if change % 20 == 0 {
            // Streams that are full do not hold up others on their connection.
            let (code, body) = shared[change % SHARED.0].get(&format!("{path}/large")).await;
            assert_eq!(code, 200);
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["data"]["change"], change.to_string());
        }
    }
    let watchers = plain.len() + streams.len();
    let grown = resident().saturating_sub(before);
    let limit = watchers * PER_WATCHER + SLACK;
    assert!(
        grown < limit,
        "{watchers} watchers hold {grown} bytes, more than {limit}"
    );

    stream::iter(plain)
        .for_each_concurrent(AT_ONCE, |mut plain| async move {
            assert_expired(&plain.last_event().await);
        })
        .await;
    stream::iter(streams)
        .for_each_concurrent(AT_ONCE, |mut body| async move {
            assert_expired(&last_event(&mut body).await);
        })
        .await;
}

#[actix_web::test]
async fn one_watcher_too_many_is_asked_to_come_back_later() {
    let running = Running::start(&Plan {
        streams: Some(3),
        ..Plan::default()
    });
    let http = Http::new(&running);
    let path = "/api/v1/nodes?watch=1";
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(http.watch(path).await);
    }
    let refused = http.get(path).await;
    let status = refused.must(429);
    assert_eq!(status["reason"], "TooManyRequests");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    // Everything else is served.
    http.get("/api/v1/nodes").await.must(200);

    let is_free = || async { http.request("GET", path).send().await.unwrap().status() == 200 };
    // The answer that says so is dropped, and with it its place.
    open.pop();
    until("the place of a watcher that went is free", is_free).await;

    // One that resets its stream, and one whose connection goes.
    let shared = Http2::connect(&running, 64 << 10).await;
    let watch = opened(&shared, path).await;
    http.get(path).await.must(429);
    drop(watch);
    until("the place of a stream that was reset is free", is_free).await;
    http.get("/api/v1/nodes").await.must(200);
    let _watch = opened(&shared, path).await;
    http.get(path).await.must(429);
    shared.cut();
    until("the place of a connection that ended is free", is_free).await;
}

/// A watch, as soon as there is room for it.
async fn opened(connection: &Http2, path: &str) -> h2::RecvStream {
    let open = RefCell::new(None);
    until("there is room for a watch", || async {
        let response = connection.ask(path).await.await.unwrap();
        let is_open = response.status() == 200;
        open.replace(Some(response.into_body()).filter(|_| is_open));
        is_open
    })
    .await;
    open.into_inner().unwrap()
}
