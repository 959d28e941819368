//! Listeners of API servers: they come and go with their clusters, without a server each.
//!
//! A few threads run one HTTP service each. Opening a listener starts a task on one of them that accepts, does TLS and hands the stream to the
//! thread's service with the cluster in the connection's data; so ten thousand listeners cost ten thousand sockets and tasks.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use actix_http::{HttpService, KeepAlive};
use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_rt::{Arbiter, ArbiterHandle};
use actix_service::{
    Service as _, ServiceFactory as _, ServiceFactoryExt as _, boxed, fn_factory, map_config,
};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::{App, Error};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::server::TlsStream;

use super::http2::{self, Application, Shared};
use super::names::{Led, Names, NotLed, Target};
use super::{Peer, configure, faults, upgrade};
use crate::cluster::api_server::ApiServer;
use crate::frontend::body::BodyLimits;
use crate::frontend::connection::Watched;
use crate::frontend::measure::Measure;
use crate::frontend::server::ServerOptions;
use crate::observer::RequestObserver;

/// An accepted stream and the API server that it leads to.
struct Accepted {
    stream: TlsStream<TcpStream>,
    peer: Rc<Peer>,
    head: Head,
}

/// The first head of an HTTP/1.1 connection, which is looked at before actix-http sees it.
enum Head {
    /// It is still coming.
    Coming(BytesMut),
    /// It is there, or there was none: this is to be read before the stream.
    Read(BytesMut),
}

/// Longest head that is looked at.
const HEAD_MAX: usize = 64 * 1024;

impl Head {
    /// Reads until the head is there.
    fn poll(
        &mut self,
        stream: &mut TlsStream<TcpStream>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<&mut BytesMut>> {
        while let Self::Coming(bytes) = self {
            let mut room = [0; 4096];
            let mut room = ReadBuf::new(&mut room);
            std::task::ready!(Pin::new(&mut *stream).poll_read(context, &mut room))?;
            let ended = room.filled().is_empty();
            bytes.extend_from_slice(room.filled());
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if end.is_some() || ended || bytes.len() >= HEAD_MAX {
                let mut bytes = std::mem::take(bytes);
                if let Some(end) = end {
                    let rest = bytes.split_off(end + 4);
                    if let Some(shown) = upgrade::shown(&bytes) {
                        bytes = BytesMut::from(&shown[..]);
                    }
                    bytes.unsplit(rest);
                }
                *self = Self::Read(bytes);
            }
        }
        match self {
            Self::Read(bytes) => Poll::Ready(Ok(bytes)),
            Self::Coming(_) => Poll::Pending,
        }
    }
}

type HttpCall = (Watched<Accepted>, actix_http::Protocol, Option<SocketAddr>);
type Http = boxed::BoxService<HttpCall, (), actix_http::error::DispatchError>;

/// The threads that serve all clusters.
pub struct Workers {
    arbiters: Vec<Arbiter>,
    next: AtomicUsize,
    options: ServerOptions,
    observer: Arc<dyn RequestObserver>,
    bodies: BodyLimits,
    connections: Arc<Semaphore>,
}

/// An open listener. It closes when this is dropped; connections that are open end with it.
pub struct Listener {
    address: SocketAddr,
    socket: TcpListener,
    close: watch::Sender<bool>,
}

impl Listener {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its socket, for one that takes its place.
    ///
    /// # Errors
    /// Out of file handles.
    pub fn socket(&self) -> std::io::Result<TcpListener> {
        self.socket.try_clone()
    }

    /// Closes it. When this is done, nobody listens there any more.
    pub async fn closed(self) {
        let Self { socket, close, .. } = self;
        drop(socket);
        // Nobody may be there to be told.
        let _told = close.send(true);
        close.closed().await;
    }
}

/// What a thread serves connections with.
struct Services {
    http1: Http,
    application: Application,
}

thread_local! {
    /// The thread's services, made when its first listener opens.
    static SERVICES: RefCell<Option<Rc<Services>>> = const { RefCell::new(None) };
}

impl Workers {
    /// Starts `threads` threads.
    #[must_use]
    pub fn start(
        threads: usize,
        options: ServerOptions,
        observer: Arc<dyn RequestObserver>,
        bodies: BodyLimits,
    ) -> Self {
        Self {
            arbiters: (0..threads.max(1)).map(|_| Arbiter::new()).collect(),
            next: AtomicUsize::new(0),
            connections: Arc::new(Semaphore::new(options.max_connections)),
            options,
            observer,
            bodies,
        }
    }

    /// Who counts requests.
    #[must_use]
    pub fn observer(&self) -> &Arc<dyn RequestObserver> {
        &self.observer
    }

    /// A thread, each in its turn: for a cluster's actor.
    #[must_use]
    pub fn arbiter(&self) -> Option<ArbiterHandle> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.arbiters.len().max(1);
        self.arbiters.get(index).map(Arbiter::handle)
    }

    /// Serves an API server on an open socket.
    ///
    /// # Errors
    /// If the socket cannot be taken over.
    pub fn open(
        &self,
        socket: &TcpListener,
        server: &Arc<ApiServer>,
        tls: &Arc<rustls::ServerConfig>,
    ) -> std::io::Result<Listener> {
        let target = Target::One {
            server: Arc::clone(server),
            tls: Arc::clone(tls),
        };
        self.accept(socket, target)
    }

    /// Serves the API servers that share a port on its open socket, in every thread.
    ///
    /// # Errors
    /// If the socket cannot be taken over.
    pub fn open_shared(&self, socket: &TcpListener, names: &Arc<Names>) -> std::io::Result<Vec<Listener>> {
        let target = Target::Named(Arc::clone(names));
        self.arbiters
            .iter()
            .map(|_| self.accept(socket, target.clone()))
            .collect()
    }

    fn accept(&self, socket: &TcpListener, target: Target) -> std::io::Result<Listener> {
        let (close, closed) = watch::channel(false);
        let task = Accept {
            target,
            options: self.options.clone(),
            observer: Arc::clone(&self.observer),
            bodies: self.bodies.clone(),
            connections: Arc::clone(&self.connections),
            closed,
        };
        let accepting = socket.try_clone()?;
        if let Some(arbiter) = self.arbiter() {
            arbiter.spawn_fn(move || {
                actix_rt::spawn(task.run(accepting));
            });
        }
        Ok(Listener {
            address: socket.local_addr()?,
            socket: socket.try_clone()?,
            close,
        })
    }
}

/// The permit with which a listener waits for its next connection: it is not taken from those of the open ones.
struct Seat(Arc<Semaphore>);

impl Seat {
    fn add(connections: &Arc<Semaphore>) -> Self {
        connections.add_permits(1);
        Self(Arc::clone(connections))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.forget_permits(1);
    }
}

/// What accepts for one listener.
struct Accept {
    target: Target,
    options: ServerOptions,
    observer: Arc<dyn RequestObserver>,
    bodies: BodyLimits,
    connections: Arc<Semaphore>,
    closed: watch::Receiver<bool>,
}

impl Accept {
    async fn run(mut self, socket: TcpListener) {
        let Some(services) = self.services().await else {
            tracing::error!("the HTTP service of a thread did not start");
            return;
        };
        let socket = match actix_rt::net::TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "a listener of a cluster cannot be used");
                return;
            }
        };
        let _seat = Seat::add(&self.connections);
        loop {
            // A connection that cannot be served waits in the kernel.
            let permit = tokio::select! {
                permit = Arc::clone(&self.connections).acquire_owned() => permit,
                _ = self.closed.changed() => return,
            };
            let Ok(permit) = permit else {
                return;
            };
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = self.closed.changed() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer, Rc::clone(&services));
                    let mut closed = self.closed.clone();
                    actix_rt::spawn(async move {
                        let _permit = permit;
                        tokio::select! {
                            () = connection => {}
                            _ = closed.changed() => {}
                        }
                    });
                }
                Err(error) => {
                    // Out of file handles, mostly: it passes when connections end.
                    tracing::warn!(%error, "a connection to a cluster could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The thread's services.
    async fn services(&self) -> Option<Rc<Services>> {
        if let Some(services) = SERVICES.with_borrow(Clone::clone) {
            return Some(services);
        }
        let app = App::new()
            .wrap(Measure::new(self.options.protocol, Arc::clone(&self.observer)))
            .configure(configure(self.bodies.clone()));
        let app = map_config(actix_service::IntoServiceFactory::into_factory(app), |()| {
            AppConfig::default()
        });
        let application = app
            .map(|answer: ServiceResponse<_>| answer.map_into_boxed_body())
            .new_service(())
            .await
            .ok()?;
        let application: Application = Rc::new(boxed::service(application));
        let shared = Rc::clone(&application);
        let factory = HttpService::build()
            .keep_alive(KeepAlive::Timeout(self.options.keep_alive))
            .client_request_timeout(self.options.request_timeout)
            .client_disconnect_timeout(self.options.disconnect_timeout)
            // A client that has closed its side has gone: it frees what its watch holds.
            .h1_allow_half_closed(false)
            .on_connect_ext(|io: &Watched<Accepted>, data| {
                data.insert(Rc::clone(io.connection()));
                data.insert(Rc::clone(&io.get_ref().peer));
            })
            .finish(
                fn_factory(move || std::future::ready(Ok::<_, ()>(Rc::clone(&shared))))
                    .map_err(|error: Error| error.error_response()),
            );
        let http1 = boxed::service(factory.new_service(()).await.ok()?);
        let services = Rc::new(Services { http1, application });
        SERVICES.with_borrow_mut(|slot| Some(Rc::clone(slot.get_or_insert(services))))
    }

    /// One connection, from the handshake to its end.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        services: Rc<Services>,
    ) -> impl Future<Output = ()> + use<> {
        let target = self.target.clone();
        let handshake = self.options.handshake_timeout;
        let (keep_alive, request_timeout) = (self.options.keep_alive, self.options.request_timeout);
        let watch = keep_alive.max(request_timeout);
        let observer = Arc::clone(&self.observer);
        async move {
            // Answers are small and written at once: waiting for more only delays them.
            let _ended = stream.set_nodelay(true);
            let Led {
                stream,
                server,
                closed,
                hangs,
            } = match tokio::time::timeout(handshake, target.lead(stream)).await {
                Ok(Ok(led)) => led,
                Ok(Err(NotLed::Failed(error))) => {
                    observer.handshake(false);
                    tracing::debug!(%error, "a TLS handshake failed");
                    return;
                }
                Ok(Err(NotLed::Refused)) => return,
                Ok(Err(NotLed::Held(held))) => return held.await,
                Err(_) => return observer.handshake(false),
            };
            observer.handshake(true);
            let certificate = match stream.get_ref().1.peer_certificates() {
                Some(chain) => server.identity.peer(chain),
                None => Ok(None),
            };
            let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let shown = Rc::new(Peer {
                server,
                certificate,
                token: RefCell::default(),
                fresh: Cell::new(true),
            });
            let serving = async {
                if hangs {
                    faults::hold(stream).await;
                    return Ok(());
                }
                if !speaks_http2 {
                    // Upgrades come on connections without ALPN.
                    let accepted = Accepted {
                        stream,
                        peer: shown,
                        head: Head::Coming(BytesMut::new()),
                    };
                    let call = (
                        Watched::new(accepted, watch),
                        actix_http::Protocol::Http1,
                        Some(peer),
                    );
                    return services.http1.call(call).await.map_err(|error| error.to_string());
                }
                let stream = Watched::new(stream, watch);
                let shared = Shared {
                    application: Rc::clone(&services.application),
                    peer: shown,
                    connection: Rc::clone(stream.connection()),
                    address: peer,
                };
                http2::serve(stream, shared, keep_alive, request_timeout)
                    .await
                    .map_err(|error| error.to_string())
            };
            let ended = match closed {
                None => serving.await,
                Some(mut closed) => tokio::select! {
                    ended = serving => ended,
                    _ = closed.changed() => Ok(()),
                },
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended with an error");
            }
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        let head = std::task::ready!(this.head.poll(&mut this.stream, context))?;
        if !head.is_empty() {
            let piece = head.split_to(head.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl ActixStream for Accepted {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<std::io::Result<Ready>> {
        ActixStream::poll_read_ready(self.stream.get_ref().0, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<std::io::Result<Ready>> {
        ActixStream::poll_write_ready(self.stream.get_ref().0, context)
    }
}
