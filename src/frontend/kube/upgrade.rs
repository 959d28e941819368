//! Upgraded connections: WebSockets, and SPDY/3.1 of older clients.
//!
//! actix-http hands over the raw stream of WebSocket upgrades only. So the head of a SPDY upgrade is shown to it as that of a WebSocket,
//! by [`shown`], before it reads it; the answer is SPDY's own. Clients use a fresh connection for each upgrade (client-go:
//! `transport/spdy`), so only the first head of a connection is looked at.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, UPGRADE};
use bytes::Bytes;
use futures_util::stream;
use metalsim_actors::kube::status::Status;
use tokio::sync::mpsc;

/// Set by [`shown`]; a client that sends it itself gets SPDY as well.
const SHOWN: &str = "x-shown-as-websocket";
/// The protocol in `Upgrade`.
const SPDY: &str = "SPDY/3.1";
/// Names the protocol spoken on the streams.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
/// Pieces of an answer that wait for the connection.
const PIECES: usize = 16;

/// What a client wants to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    /// Messages.
    WebSocket,
    /// Streams.
    Spdy,
}

/// What the request wants to speak; `None` if it is no upgrade.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Protocol> {
    let upgrade = headers.get(UPGRADE)?.to_str().ok()?;
    if headers.contains_key(SHOWN) || upgrade.eq_ignore_ascii_case(SPDY) {
        Some(Protocol::Spdy)
    } else if upgrade.eq_ignore_ascii_case("websocket") {
        Some(Protocol::WebSocket)
    } else {
        None
    }
}

/// The first head of a connection as actix-http is to see it; `None` = as it is.
pub fn shown(head: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let mut new = String::with_capacity(text.len() + 64);
    new.push_str(lines.next()?);
    new.push_str("\r\n");
    let mut spdy = false;
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("upgrade") && value.trim().eq_ignore_ascii_case(SPDY) {
            spdy = true;
            new.push_str("Upgrade: websocket\r\n");
            new.push_str(SHOWN);
            new.push_str(": true\r\n");
        } else if name.eq_ignore_ascii_case("content-length") && value.trim() == "0" {
            // A stream follows, not a body.
        } else {
            new.push_str(line);
            new.push_str("\r\n");
        }
    }
    new.push_str("\r\n");
    spdy.then(|| new.into_bytes())
}

/// Accepts a SPDY upgrade. `supported` are the protocols of streams, best first; the best that the client names is spoken. What is
/// sent into the channel goes to the client.
///
/// # Errors
/// 403 when there is none in common, as a kubelet answers.
pub(super) fn accept_spdy(
    headers: &HeaderMap,
    supported: &[&'static str],
) -> Result<(HttpResponse, mpsc::Sender<Bytes>), Status> {
    let offered: Vec<&str> = headers
        .get_all(STREAM_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let spoken = supported
        .iter()
        .find(|one| offered.contains(*one))
        .ok_or_else(|| {
            Status::bad_request(format!(
                "unable to negotiate protocol: client supports {offered:?}, server accepts {supported:?}"
            ))
        })?;
    let (output, waiting) = mpsc::channel(PIECES);
    let body = stream::unfold(waiting, |mut waiting| async move {
        let bytes: Bytes = waiting.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), waiting))
    });
    let answer = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS)
        .upgrade(SPDY)
        .insert_header((STREAM_PROTOCOL, HeaderValue::from_static(spoken)))
        .streaming(body);
    Ok((answer, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spdy_head_is_shown_as_a_websocket() {
        let head = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n";
        let new = String::from_utf8(shown(head).unwrap()).unwrap();
        assert_eq!(
            new,
            "POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-shown-as-websocket: true\r\n\r\n"
        );
        for other in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            b"\xff\xfe\r\n\r\n",
            b"",
        ] {
            assert_eq!(shown(other), None);
        }
    }
}
