//! A connection that can be dropped without an answer, and that does not live on without making progress.
//!
//! actix-http times out the first request's head and idle keep-alive, but not a later request of which only a part
//! came. So every stream is watched here: between two looks at it there must have been a request in
//! a handler, or bytes written.

use std::cell::Cell;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::{ActixStream, Ready};
use actix_rt::time::{Sleep, sleep};
use actix_web::{HttpMessage as _, HttpRequest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// State of a connection, shared between its stream and the requests on it.
#[derive(Debug, Default)]
pub struct Connection {
    dropped: Cell<bool>,
    requests: Cell<u32>,
    progress: Cell<bool>,
}

impl Connection {
    /// The connection of a request; `None` in tests without a socket.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<Rc<Self>> {
        of_connection(request)
    }

    /// Closes the connection as soon as the handler has returned; what it returns is not sent.
    pub fn drop_unanswered(&self) {
        self.dropped.set(true);
    }

    /// Whether [`Self::drop_unanswered`] was called.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.dropped.get()
    }

    /// A handler works on a request until the guard is dropped; the handler bounds that time itself.
    pub(super) fn enter(self: &Rc<Self>) -> InRequest {
        self.requests.set(self.requests.get().saturating_add(1));
        InRequest(Rc::clone(self))
    }
}

/// What belongs to the connection of a request: the data of the connection, or, where actix-http does not carry it, of the request.
pub(super) fn of_connection<T: Clone + 'static>(request: &HttpRequest) -> Option<T> {
    match request.conn_data::<T>() {
        Some(data) => Some(data.clone()),
        None => request.extensions().get::<T>().cloned(),
    }
}

/// A request in a handler.
pub(super) struct InRequest(Rc<Connection>);

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
        self.0.progress.set(true);
    }
}

/// A stream that is watched.
pub(super) struct Watched<Io> {
    io: Io,
    connection: Rc<Connection>,
    look: Pin<Box<Sleep>>,
    every: Duration,
}

impl<Io> Watched<Io> {
    /// Ends the stream if there is no progress between two looks, so after `every` to twice that.
    pub(super) fn new(io: Io, every: Duration) -> Self {
        Self {
            io,
            connection: Rc::default(),
            look: Box::pin(sleep(every)),
            every,
        }
    }

    /// The stream.
    pub(super) const fn get_ref(&self) -> &Io {
        &self.io
    }

    pub(super) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.connection.is_dropped() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        while self.look.as_mut().poll(context).is_ready() {
            if self.connection.requests.get() == 0 && !self.connection.progress.take() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.look.set(sleep(self.every));
        }
        Ok(())
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.io).poll_write(context, buffer);
        if let Poll::Ready(Ok(1..)) = written {
            self.connection.progress.set(true);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl<Io: ActixStream> ActixStream for Watched<Io> {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.io.poll_read_ready(context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.io.poll_write_ready(context)
    }
}
