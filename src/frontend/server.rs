//! Listeners: sockets, TLS, limits, and the way from an accepted stream to a frontend's routes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_rt::net::TcpStream;
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::{AppConfig, Server, ServiceFactory};
use actix_web::{App, Error, web};
use socket2::{Domain, Protocol as Transport, Socket, Type};
use tokio::sync::watch;

use super::connection::Watched;
use super::measure::Measure;
use crate::observer::{Protocol, RequestObserver};

/// Limits and threads of a frontend.
#[derive(Clone)]
pub struct ServerOptions {
    /// What is served.
    pub protocol: Protocol,
    /// Threads.
    pub workers: usize,
    /// Most open connections of a thread.
    pub max_connections: usize,
    /// Longest time until the head of a connection's first request is there.
    pub request_timeout: Duration,
    /// How long a connection may be idle between requests. One that holds only a part of a further request
    /// lives at most twice as long.
    pub keep_alive: Duration,
    /// Longest time for closing a connection in order.
    pub disconnect_timeout: Duration,
    /// Longest time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Longest time for requests under way to end when the server stops.
    pub shutdown_timeout: Duration,
    /// TLS; none: plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Once it holds `true`, connections close after the request under way, idle ones at once. Without it a server
    /// that is stopped gracefully waits `shutdown_timeout` for clients that keep their connections.
    pub drain: Option<watch::Receiver<bool>>,
}

impl ServerOptions {
    /// Defaults for `protocol`.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            workers: 1,
            max_connections: 20_000,
            request_timeout: Duration::from_secs(10),
            // Longer than the time that Ironic's and sushy's pools keep an idle connection between polls.
            keep_alive: Duration::from_secs(75),
            disconnect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(10),
            tls: None,
            drain: None,
        }
    }
}

/// A socket that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {protocol}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What was to be served there.
    pub protocol: &'static str,
    /// Why.
    pub source: io::Error,
}

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Opens the sockets of a frontend.
///
/// # Errors
/// Every address that cannot be opened, not only the first.
pub fn bind(protocol: Protocol, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Vec<BindError>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut errors = Vec::new();
    for &address in addresses {
        match open(address) {
            Ok(listener) => listeners.push(listener),
            Err(source) => errors.push(BindError {
                address,
                protocol: protocol.as_str(),
                source,
            }),
        }
    }
    if errors.is_empty() {
        Ok(listeners)
    } else {
        Err(errors)
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    // A restart must not wait for the connections of the process before it.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the limit of open files to what the system allows, since every connection is one. Returns the limit.
pub fn raise_file_limit() -> u64 {
    const WANTED: u64 = 1 << 20;
    rlimit::increase_nofile_limit(WANTED).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot raise the limit of open files");
        0
    })
}

/// Serves on `listeners` what `configure` registers. The future ends when the server has stopped; its handle stops it.
///
/// # Errors
/// If a listener cannot be taken over.
pub fn serve<F>(
    options: &ServerOptions,
    listeners: Vec<TcpListener>,
    observer: &Arc<dyn RequestObserver>,
    configure: F,
) -> io::Result<Server>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let mut builder = Server::build()
        .workers(options.workers.max(1))
        .max_concurrent_connections(options.max_connections)
        .shutdown_timeout(options.shutdown_timeout.as_secs())
        .disable_signals();
    for listener in listeners {
        let address = listener.local_addr()?;
        let name = format!("{}-{address}", options.protocol.as_str());
        let (options, observer, configure) = (options.clone(), Arc::clone(observer), configure.clone());
        builder =
            match options.tls.clone() {
                None => builder.listen(name, listener, move || {
                    let watch = options.keep_alive.max(options.request_timeout);
                    fn_service(move |io: TcpStream| async move { Ok(wrap(io, watch, |io| io)) })
                        .and_then(http(&options, address, &observer, configure.clone()))
                })?,
                Some(tls) => builder.listen(name, listener, move || {
                    let watch = options.keep_alive.max(options.request_timeout);
                    let mut acceptor = Acceptor::new((*tls).clone());
                    acceptor.set_handshake_timeout(options.handshake_timeout);
                    acceptor
                        .map_init_err(|_| ())
                        .map_err(|_| ())
                        .map(move |io: TlsStream<TcpStream>| wrap(io, watch, |io| io.get_ref().0))
                        .and_then(http(&options, address, &observer, configure.clone()).map_err(|_| ()))
                })?,
            };
    }
    Ok(builder.run())
}

/// Ends when `drain` says so; otherwise never.
async fn drained(drain: Option<watch::Receiver<bool>>) {
    if let Some(mut drain) = drain
        && drain.wait_for(|draining| *draining).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

type Accepted<Io> = (Watched<Io>, actix_http::Protocol, Option<SocketAddr>);

fn wrap<Io>(io: Io, watch: Duration, socket: impl Fn(&Io) -> &TcpStream) -> Accepted<Io> {
    let peer = socket(&io).peer_addr().ok();
    // Answers are small and written at once: waiting for more only delays them.
    if let Err(error) = socket(&io).set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before its first request");
    }
    (Watched::new(io, watch), actix_http::Protocol::Http1, peer)
}

/// The routes of a frontend as a service for accepted streams.
fn http<Io, F>(
    options: &ServerOptions,
    address: SocketAddr,
    observer: &Arc<dyn RequestObserver>,
    configure: F,
) -> impl ServiceFactory<
    Accepted<Io>,
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
> + use<Io, F>
where
    Io: actix_rt::net::ActixStream + 'static,
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let app = App::new()
        .wrap(Measure::new(options.protocol, Arc::clone(observer)))
        .configure(configure);
    let app =
        actix_service::IntoServiceFactory::into_factory(app).map_err(|error: Error| error.error_response());
    let drain = options.drain.clone();
    HttpService::build()
        // What actix-web's own server uses for the same purpose; not in the documentation.
        .graceful_shutdown_signal(move || drained(drain.clone()))
        .keep_alive(KeepAlive::Timeout(options.keep_alive))
        .client_request_timeout(options.request_timeout)
        .client_disconnect_timeout(options.disconnect_timeout)
        .local_addr(address)
        .on_connect_ext(|io: &Watched<Io>, data| {
            data.insert(Rc::clone(io.connection()));
        })
        .finish(map_config(app, |()| AppConfig::default()))
}
