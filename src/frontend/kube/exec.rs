//! `exec` and `attach`: the streams open, as to a real node, and the container has nothing to run.
//!
//! What follows is the error that a container runtime gives for an image without a shell. It comes on the error stream of the
//! remote command protocol, so that clients print it and end as they do in life (kubernetes: `kubelet/pkg/cri/streaming/remotecommand`).

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use actix_ws::CloseCode;
use metalsim_actors::kube::status::Status;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use uuid::Uuid;

use super::answer::Answer;
use super::call::{Place, Server};
use super::kubelet;
use super::query::Query;
use super::spdy;
use super::upgrade::{self, Protocol};

/// The remote command protocols whose errors are a Status, best first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The channel of errors in messages.
const ERROR_CHANNEL: u8 = 3;

/// Answers `exec` and `attach`.
///
/// # Errors
/// 400 without an upgrade, a command or a node, 404 without the pod or the container.
pub(super) fn serve(
    server: &Server,
    request: &HttpRequest,
    place: &Place,
    query: &Query<'_>,
    payload: web::Payload,
) -> Answer {
    let pod = server.cluster.read(|cluster| {
        let pod = cluster.store.get(place.target(), &place.name)?;
        kubelet::dial(cluster, pod).map(|()| Arc::clone(pod))
    })?;
    let why = if place.subresource == "exec" {
        let command = query.text("command");
        if command.is_empty() {
            return Err(Status::bad_request(
                "you must specify at least 1 command for the container",
            ));
        }
        no_such_program(pod.uid, command)
    } else {
        "error attaching to container: the container has no stream to attach to".to_owned()
    };
    let status = Status::internal(&why);
    let text = serde_json::to_vec(&status).map_err(|error| Status::internal(&error.to_string()))?;
    match upgrade::wanted(request.headers()) {
        Some(Protocol::WebSocket) => {
            let (answer, mut session, _messages) =
                actix_ws::handle_with_protocols(request, payload, &PROTOCOLS)
                    .map_err(|error| Status::bad_request(error.to_string()))?;
            actix_web::rt::spawn(async move {
                let mut message = vec![ERROR_CHANNEL];
                message.extend(text);
                // The client may have gone away.
                if session.binary(message).await.is_ok() {
                    let _gone = session.close(Some(CloseCode::Normal.into())).await;
                }
            });
            Ok(answer)
        }
        Some(Protocol::Spdy) => {
            let (answer, output) = upgrade::accept_spdy(request.headers(), &PROTOCOLS)?;
            actix_web::rt::spawn(spdy::serve(payload, output, ErrorOnly(text)));
            Ok(answer)
        }
        None => Err(Status::bad_request("Upgrade request required")),
    }
}

/// Writes the error into the stream for it, and ends all others.
struct ErrorOnly(Vec<u8>);

impl spdy::Acceptor for ErrorOnly {
    fn accept(&mut self, headers: &spdy::Headers, mut stream: DuplexStream) -> bool {
        if spdy::header(headers, "streamtype") == "error" {
            let text = std::mem::take(&mut self.0);
            actix_web::rt::spawn(async move {
                // The client may have gone away.
                let _gone = stream.write_all(&text).await;
            });
        }
        true
    }
}

/// What containerd and runc say of a program that the image does not hold.
fn no_such_program(pod: Uuid, command: &str) -> String {
    let id = Uuid::new_v5(&pod, command.as_bytes()).simple();
    format!(
        "error executing command in container: failed to exec in container: failed to start exec \"{id}{id}\": OCI runtime exec failed: exec failed: unable to start container process: exec: {}: executable file not found in $PATH: unknown",
        metalsim_actors::kube::status::quote(command)
    )
}
