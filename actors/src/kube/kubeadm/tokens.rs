//! Bootstrap tokens as `kubeadm init` writes them (kubernetes: `cmd/kubeadm/app/phases/bootstraptoken/node`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::put;
use crate::kube::status::Status;
use crate::kube::store::{Store, WriteOptions};

/// The group of machines that join.
const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

/// Writes the Secret of a token `id.secret`. `expiration`: until when it holds, by real time; `None`: for ever.
///
/// # Errors
/// 400 for a text that is no token; a refused write.
pub fn bootstrap_token(
    store: &mut Store,
    token: &str,
    expiration: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), Status> {
    let (id, secret) = token
        .split_once('.')
        .filter(|(id, secret)| id.len() == 6 && secret.len() == 16)
        .ok_or_else(|| {
            Status::bad_request("the bootstrap token is not of the form abcdef.0123456789abcdef")
        })?;
    let text = |text: &str| STANDARD.encode(text);
    let mut data = json!({
        "token-id": text(id),
        "token-secret": text(secret),
        "usage-bootstrap-authentication": text("true"),
        "usage-bootstrap-signing": text("true"),
        "auth-extra-groups": text(GROUP),
    });
    if let Some(expiration) = expiration {
        data["expiration"] = text(&expiration.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).into();
    }
    let secret = json!({
        "metadata": {"name": format!("bootstrap-token-{id}")},
        "type": "bootstrap.kubernetes.io/token",
        "data": data,
    });
    put(
        store,
        "",
        "secrets",
        Some("kube-system"),
        secret,
        WriteOptions::by("kubeadm", now),
    )
}
