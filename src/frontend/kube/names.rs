//! API servers that share a port, told apart by the server name of the TLS handshake (RFC 6066 section 3).

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use actix_rt::net::TcpStream;
use dashmap::DashMap;
use metalsim_actors::fault::words::Unreachable;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::faults;
use crate::cluster::api_server::ApiServer;

/// The API servers behind one port by their names, which are in lower case.
#[derive(Default)]
pub struct Names {
    by_name: DashMap<Box<str>, Named>,
}

/// One of them.
#[derive(Clone)]
struct Named {
    server: Arc<ApiServer>,
    tls: Arc<ServerConfig>,
    closed: watch::Receiver<bool>,
}

/// An API server that is served under a name. It is closed when this is dropped; connections that are open end with it.
pub struct NameEntry {
    names: Arc<Names>,
    name: Box<str>,
    close: watch::Sender<bool>,
}

impl Names {
    /// Serves an API server under a name, in the place of one that has it.
    #[must_use]
    pub fn open(self: &Arc<Self>, name: &str, server: &Arc<ApiServer>, tls: &Arc<ServerConfig>) -> NameEntry {
        let (close, closed) = watch::channel(false);
        let name: Box<str> = name.to_ascii_lowercase().into();
        let named = Named {
            server: Arc::clone(server),
            tls: Arc::clone(tls),
            closed,
        };
        self.by_name.insert(name.clone(), named);
        NameEntry {
            names: Arc::clone(self),
            name,
            close,
        }
    }

    /// Whether an API server is served under a name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(&*name.to_ascii_lowercase())
    }
}

impl Drop for NameEntry {
    fn drop(&mut self) {
        let own = self.close.subscribe();
        // The name may have gone to another one.
        self.names
            .by_name
            .remove_if(&self.name, |_, named| named.closed.same_channel(&own));
    }
}

/// Where connections of a listener lead to.
#[derive(Clone)]
pub(super) enum Target {
    /// One API server.
    One {
        /// It.
        server: Arc<ApiServer>,
        /// Its certificate.
        tls: Arc<ServerConfig>,
    },
    /// The one that the client names.
    Named(Arc<Names>),
}

/// A connection after its handshake.
pub(super) struct Led {
    /// The stream.
    pub(super) stream: TlsStream<TcpStream>,
    /// Where it leads to.
    pub(super) server: Arc<ApiServer>,
    /// Tells when that is no longer served at its name.
    pub(super) closed: Option<watch::Receiver<bool>>,
    /// A fault has it that nothing is ever answered.
    pub(super) hangs: bool,
}

/// Why a connection leads nowhere.
pub(super) enum NotLed {
    /// It failed.
    Failed(io::Error),
    /// A fault has it refused: it was closed.
    Refused,
    /// A fault has the packets vanish: this lasts until the client gives up, or the API server is no longer served.
    Held(Pin<Box<dyn Future<Output = ()>>>),
}

impl From<io::Error> for NotLed {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Target {
    /// The handshake. A client that names nobody, or one who is not served here, is left without an answer.
    pub(super) async fn lead(self, stream: TcpStream) -> Result<Led, NotLed> {
        let names = match self {
            Self::One { server, tls } => {
                let hangs = match faults::unreachable(&server) {
                    Some(Unreachable::Refuse) => {
                        // As if nobody listened: a reset, as early as it can come.
                        let _late = stream.set_zero_linger();
                        return Err(NotLed::Refused);
                    }
                    Some(Unreachable::Drop) => return Err(NotLed::Held(Box::pin(faults::hold(stream)))),
                    Some(Unreachable::Hang) => true,
                    None => false,
                };
                let tls = server.certificate(stream.peer_addr().ok()).unwrap_or(tls);
                return Ok(Led {
                    stream: TlsAcceptor::from(tls).accept(stream).await?,
                    server,
                    closed: None,
                    hangs,
                });
            }
            Self::Named(names) => names,
        };
        let peer = stream.peer_addr().ok();
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = hello
            .client_hello()
            .server_name()
            .map(str::to_ascii_lowercase)
            .ok_or_else(|| io::Error::other("the client names no server"))?;
        let named = names
            .by_name
            .get(&*name)
            .map(|named| named.clone())
            .ok_or_else(|| io::Error::other(format!("no API server has the name {name:?}")))?;
        // Only here it is known whom the client wants.
        let hangs = match faults::unreachable(&named.server) {
            Some(Unreachable::Refuse) => {
                let _late = hello.io.set_zero_linger();
                return Err(NotLed::Refused);
            }
            Some(Unreachable::Drop) => {
                let mut closed = named.closed;
                let held = async move {
                    tokio::select! {
                        () = faults::hold(hello.io) => {}
                        _ = closed.changed() => {}
                    }
                };
                return Err(NotLed::Held(Box::pin(held)));
            }
            Some(Unreachable::Hang) => true,
            None => false,
        };
        let tls = named.server.certificate(peer).unwrap_or(named.tls);
        Ok(Led {
            stream: hello.into_stream(tls).await?,
            server: named.server,
            closed: Some(named.closed),
            hangs,
        })
    }
}
