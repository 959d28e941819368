//! A day of 2,000 agents in three minutes: memory stays flat, and heartbeats leave in time.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use actix_web::{App, HttpServer, web};
use serde_json::json;

#[path = "../../examples/common/ironic.rs"]
mod ironic;

use self::ironic::{IronicStub, answer};
use crate::rehearsal::{prepared, rehearse, text};

/// Simulated seconds in a real one: a day in three minutes.
const SPEED: u32 = 480;
/// Within it every agent has to send its next heartbeat: real time, as Ironic tells it. Agents take between three and six
/// tenths of it.
const HEARTBEAT_TIMEOUT: u64 = 30;

#[actix_web::test]
async fn a_day_of_two_thousand_agents_leaves_no_trace() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let stub = IronicStub::new(HEARTBEAT_TIMEOUT);
    let data = web::Data::from(std::sync::Arc::clone(&stub));
    let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)))
        .workers(1)
        .disable_signals()
        .listen(socket)
        .unwrap()
        .run();
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    let folder = tempfile::TempDir::new().unwrap();
    let file = prepared(&folder, "quiet-soak.yaml", |scenario| {
        scenario["speed"] = json!(SPEED);
        for expectation in scenario["expect"].as_array_mut().unwrap() {
            // The limits of the file are for a machine that does nothing else, and half of this speed. Lateness that
            // grows passes these as well.
            if let Some(phases) = expectation.get_mut("nodes_in_phase") {
                phases["by"] = json!("12h");
            }
            if let Some(lateness) = expectation.get_mut("heartbeat_lateness") {
                lateness["below"] = json!("6h");
            }
            if let Some(slope) = expectation.get_mut("memory_slope") {
                *slope = json!({"per_hour": "256MiB", "after": "12h"});
            }
        }
    });
    let set = [format!("ironic.api_url=http://{address}")];
    let output = web::block(move || rehearse(&file, &set)).await.unwrap();
    handle.stop(false).await;
    serving.await.unwrap().unwrap();
    let text = text(&output);
    println!("{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(stub.lookups.load(Ordering::Relaxed), 2000, "{text}");
    let heartbeats = stub.heartbeats.load(Ordering::Relaxed);
    assert!(heartbeats >= 2000 * 2, "{heartbeats} heartbeats: {text}");
}
