//! A stub of the calls that an agent makes to Ironic: it takes everything, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use uuid::Uuid;

/// What agents call. Every machine is known, under an id that follows from its addresses.
pub(crate) struct IronicStub {
    /// Seconds within which an agent has to send its next heartbeat, as the look-up tells it.
    pub(crate) heartbeat_timeout: u64,
    /// Heartbeats so far.
    pub(crate) heartbeats: AtomicU64,
    /// Look-ups so far.
    pub(crate) lookups: AtomicU64,
}

impl IronicStub {
    pub(crate) fn new(heartbeat_timeout: u64) -> Arc<Self> {
        Arc::new(Self {
            heartbeat_timeout,
            heartbeats: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
        })
    }
}

/// Answers a request (ironic: `api/controllers/v1/ramdisk.py`).
pub(crate) async fn answer(request: HttpRequest, stub: web::Data<IronicStub>) -> HttpResponse {
    match request.path() {
        "/" | "/v1" => HttpResponse::Ok().json(json!({"default_version": {"id": "v1", "version": "1.115"}})),
        "/v1/continue_inspection" => HttpResponse::Accepted().json(json!({"uuid": Uuid::nil()})),
        "/v1/lookup" => {
            stub.lookups.fetch_add(1, Ordering::Relaxed);
            let uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, request.query_string().as_bytes());
            HttpResponse::Ok().json(json!({
                "node": {"uuid": uuid, "properties": {}},
                "config": {"heartbeat_timeout": stub.heartbeat_timeout, "agent_token": uuid.simple().to_string()},
            }))
        }
        path if path.starts_with("/v1/heartbeat/") => {
            stub.heartbeats.fetch_add(1, Ordering::Relaxed);
            HttpResponse::Accepted().finish()
        }
        _ => HttpResponse::NotFound().finish(),
    }
}
