//! `portforward`: connections to ports of a pod, many over one upgraded connection.
//!
//! A forwarded connection is two streams with one `requestid`: one for an error, one for the bytes (kubernetes:
//! `kubelet/pkg/cri/streaming/portforward`). They come as SPDY frames, bare or cut into WebSocket messages.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::Status;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

use super::answer::Answer;
use super::call::{Place, Server};
use super::kubelet;
use super::spdy;
use super::upgrade::{self, Protocol};

/// The protocol of the streams.
const PROTOCOL: [&str; 1] = ["portforward.k8s.io"];
/// The same frames, tunnelled in messages (apimachinery: `util/portforward`).
const TUNNEL: [&str; 1] = ["SPDY/3.1+portforward.k8s.io"];
/// Pieces that wait for the connection.
const PIECES: usize = 16;
/// Connections whose second stream has not come yet.
const HALF_OPEN_MAX: usize = 64;

/// Answers `portforward`.
///
/// # Errors
/// 400 without an upgrade or when the pod has no node, 404 without the pod, 500 when the kubelet of the node is silent.
pub(super) fn serve(server: &Server, request: &HttpRequest, place: &Place, payload: web::Payload) -> Answer {
    let pod = server.cluster.read(|cluster| {
        let pod = cluster.store.get(place.target(), &place.name)?;
        kubelet::dial(cluster, pod).map(|()| Arc::clone(pod))
    })?;
    let forwards = Forwards {
        server: Arc::clone(server),
        pod,
        half_open: HashMap::new(),
    };
    match upgrade::wanted(request.headers()) {
        Some(Protocol::Spdy) => {
            let (answer, output) = upgrade::accept_spdy(request.headers(), &PROTOCOL)?;
            actix_web::rt::spawn(spdy::serve(payload, output, forwards));
            Ok(answer)
        }
        Some(Protocol::WebSocket) => {
            let (answer, session, messages) = actix_ws::handle_with_protocols(request, payload, &TUNNEL)
                .map_err(|error| Status::bad_request(error.to_string()))?;
            let (output, waiting) = mpsc::channel(PIECES);
            actix_web::rt::spawn(send(session.clone(), waiting));
            actix_web::rt::spawn(spdy::serve(bytes_of(messages, session), output, forwards));
            Ok(answer)
        }
        None => Err(Status::bad_request("Upgrade request required")),
    }
}

/// The bytes in the messages, which are cut without regard to frames. It ends with a close, or with the connection.
pub fn bytes_of(
    messages: actix_ws::MessageStream,
    session: actix_ws::Session,
) -> impl Stream<Item = Result<Bytes, actix_ws::ProtocolError>> {
    messages
        .filter_map(move |message| {
            let mut session = session.clone();
            async move {
                use actix_ws::{Item, Message};
                match message {
                    Ok(Message::Binary(bytes)) => Some(Ok(Some(bytes))),
                    Ok(Message::Continuation(
                        Item::FirstBinary(bytes) | Item::Continue(bytes) | Item::Last(bytes),
                    )) => Some(Ok(Some(bytes))),
                    Ok(Message::Ping(bytes)) => {
                        let _gone = session.pong(&bytes).await;
                        None
                    }
                    Ok(Message::Close(_)) => Some(Ok(None)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                }
            }
        })
        // A close is the end.
        .take_while(|item| futures_util::future::ready(!matches!(item, Ok(None))))
        .filter_map(|item| futures_util::future::ready(item.transpose()))
}

/// What goes to the client, as messages.
async fn send(mut session: actix_ws::Session, mut waiting: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = waiting.recv().await {
        if session.binary(bytes).await.is_err() {
            return;
        }
    }
    let _gone = session.close(Some(actix_ws::CloseCode::Normal.into())).await;
}

/// The connections that are forwarded.
struct Forwards {
    server: Server,
    pod: Arc<Object>,
    /// Streams for errors whose connection has not come yet, by request.
    half_open: HashMap<String, DuplexStream>,
}

impl spdy::Acceptor for Forwards {
    fn accept(&mut self, headers: &spdy::Headers, stream: DuplexStream) -> bool {
        let request = spdy::header(headers, "requestid").to_owned();
        let Ok(port) = spdy::header(headers, "port").parse::<u16>() else {
            return false;
        };
        match spdy::header(headers, "streamtype") {
            "error" if self.half_open.len() < HALF_OPEN_MAX => {
                self.half_open.insert(request, stream).is_none()
            }
            "data" => {
                let Some(error) = self.half_open.remove(&request) else {
                    return false;
                };
                actix_web::rt::spawn(forward(
                    Arc::clone(&self.server),
                    Arc::clone(&self.pod),
                    port,
                    stream,
                    error,
                ));
                true
            }
            _ => false,
        }
    }
}

/// One connection, from its start to its end. Letting go of `error` unwritten says that all went well.
async fn forward(server: Server, pod: Arc<Object>, port: u16, stream: DuplexStream, mut error: DuplexStream) {
    let Err(why) = server.behind.connect(&pod, port, stream).await else {
        return;
    };
    let text = format!(
        "error forwarding port {port} to pod {}, uid : {why}",
        pod.uid_text()
    );
    // The client may have gone away.
    let _gone = error.write_all(text.as_bytes()).await;
}
