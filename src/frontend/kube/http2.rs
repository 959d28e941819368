//! HTTP/2 connections of API servers: every stream of one is a request to the thread's application.
//!
//! A client that resets a stream, as informers do whenever they begin anew, has to give back at once what its watch holds, also while there
//! is nothing to send. actix-http looks at a stream only when it has something to send, so hyper carries these connections. The two
//! know different versions of the same types: heads are copied from one to the other.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::{HttpMessage as _, Payload, Request};
use actix_service::{Service as _, boxed};
use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::dev::ServiceResponse;
use actix_web::error::PayloadError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri, Version};
use actix_web::{Error, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Peer;
use crate::frontend::connection::Connection;

/// Streams of one connection at once (kubernetes: `apiserver/pkg/server/secure_serving.go`).
const STREAMS: u32 = 100;
/// Bytes of one body that a client may send before they are read (same place).
const STREAM_WINDOW: u32 = 256 << 10;
/// Bytes of all bodies of one connection that a client may send before they are read.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What answers requests.
pub(super) type Application = Rc<boxed::BoxService<Request, ServiceResponse<BoxBody>, Error>>;

/// What all requests of a connection share.
pub(super) struct Shared {
    pub(super) application: Application,
    pub(super) peer: Rc<Peer>,
    pub(super) connection: Rc<Connection>,
    pub(super) address: SocketAddr,
}

/// Serves a connection to its end. A peer that does not answer a ping, sent every `ping`, is given up after `pong`.
///
/// # Errors
/// What ended it, if not the client in good order.
pub(super) async fn serve<Io>(io: Io, shared: Shared, ping: Duration, pong: Duration) -> hyper::Result<()>
where
    Io: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let shared = Rc::new(shared);
    let service = service_fn(move |request| answer(Rc::clone(&shared), request));
    Builder::new(Local)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(ping)
        .keep_alive_timeout(pong)
        .serve_connection(TokioIo::new(io), service)
        .await
}

/// Runs futures on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        actix_rt::spawn(async move {
            future.await;
        });
    }
}

async fn answer(
    shared: Rc<Shared>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Outgoing>, io::Error> {
    let is_head = request.method() == http::Method::HEAD;
    let request = incoming(&shared, request)?;
    let answer = match shared.application.call(request).await {
        Ok(answer) => answer.into_parts().1,
        Err(error) => error.error_response(),
    };
    outgoing(answer, is_head).map_err(io::Error::other)
}

/// A request as the application takes it.
fn incoming(shared: &Shared, request: http::Request<Incoming>) -> io::Result<Request> {
    let (head, body) = request.into_parts();
    let body: Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, PayloadError>>>> =
        Box::pin(stream::unfold(body, |mut body| async move {
            loop {
                let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await?;
                let data = match frame {
                    Ok(frame) => match frame.into_data() {
                        Ok(data) => Ok(data),
                        // Trailers say nothing here.
                        Err(_) => continue,
                    },
                    Err(error) => Err(PayloadError::Incomplete(Some(io::Error::other(error)))),
                };
                return Some((data, body));
            }
        }));
    let mut request = Request::with_payload(Payload::Stream { payload: body });
    {
        let to = request.head_mut();
        to.uri = Uri::try_from(head.uri.to_string()).map_err(io::Error::other)?;
        to.method = Method::from_bytes(head.method.as_str().as_bytes()).map_err(io::Error::other)?;
        to.version = Version::HTTP_2;
        to.peer_addr = Some(shared.address);
        to.headers = HeaderMap::with_capacity(head.headers.len());
        for (name, value) in &head.headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).map_err(io::Error::other)?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(io::Error::other)?;
            to.headers.append(name, value);
        }
    }
    request.extensions_mut().insert(Rc::clone(&shared.peer));
    request.extensions_mut().insert(Rc::clone(&shared.connection));
    Ok(request)
}

/// An answer as hyper takes it.
fn outgoing(answer: HttpResponse, is_head: bool) -> Result<http::Response<Outgoing>, http::Error> {
    let status = answer.status().as_u16();
    let mut response = http::Response::builder().status(status);
    if let Some(headers) = response.headers_mut() {
        for (name, value) in answer.headers() {
            let name = http::HeaderName::from_bytes(name.as_str().as_bytes())?;
            // What is about a connection has no place in HTTP/2 (RFC 9113, 8.2.2).
            if !matches!(name, CONNECTION | TRANSFER_ENCODING | UPGRADE) {
                headers.append(name, http::HeaderValue::from_bytes(value.as_bytes())?);
            }
        }
        if let (true, BodySize::Sized(length)) = (is_head, answer.body().size()) {
            headers.insert(CONTENT_LENGTH, length.into());
        }
    }
    let body = if is_head {
        BoxBody::new(())
    } else {
        answer.into_body()
    };
    response.body(Outgoing(body))
}

/// The body of an answer.
struct Outgoing(BoxBody);

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.0).poll_next(context).map(|piece| {
            let piece = piece?;
            Some(
                piece
                    .map(Frame::data)
                    .map_err(|error| io::Error::other(error.to_string())),
            )
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.size().is_eof()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.size() {
            BodySize::None => SizeHint::with_exact(0),
            BodySize::Sized(length) => SizeHint::with_exact(length),
            BodySize::Stream => SizeHint::new(),
        }
    }
}
