//! What all requests to one cluster's API server share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use metalsim_actors::fault::words::BadCertificate;
use metalsim_actors::fault::{SiteKind, What};
use metalsim_actors::kube::object::Object;
use metalsim_actors::shell::ClusterRef;
use rustls::ServerConfig;
use tokio::io::DuplexStream;

use super::identity::Identity;

/// Watches and followed logs of one cluster at once.
const MOST_STREAMS: u32 = 20_000;

/// What stands behind an API server: what listens on the ports of the cluster's pods, its etcd, its certificates.
pub trait Behind: Send + Sync + 'static {
    /// Serves a connection to a port of a pod until it ends.
    ///
    /// # Errors
    /// Why nobody answers there, in the words of a container runtime.
    fn connect<'a>(
        &'a self,
        pod: &'a Object,
        port: u16,
        stream: DuplexStream,
    ) -> LocalBoxFuture<'a, Result<(), String>>;

    /// How much real time etcd's answer to a write takes longer than usual, if a fault makes it so: which is recorded.
    fn etcd_delay(&self) -> Duration {
        Duration::ZERO
    }

    /// TLS for a connection from this address; none: as for all.
    fn certificate(&self, _peer: SocketAddr) -> Option<Arc<ServerConfig>> {
        None
    }

    /// TLS with a certificate that is bad in this way; none: there is none.
    fn bad_certificate(&self, _how: BadCertificate) -> Option<Arc<ServerConfig>> {
        None
    }
}

/// Pods on whose ports nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPorts;

impl Behind for NoPorts {
    fn connect<'a>(
        &'a self,
        pod: &'a Object,
        port: u16,
        _stream: DuplexStream,
    ) -> LocalBoxFuture<'a, Result<(), String>> {
        let namespace = pod.uid;
        let why = format!(
            "failed to execute portforward in network namespace \"/var/run/netns/cni-{namespace}\": failed to connect to localhost:{port} inside namespace {namespace}, IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused"
        );
        Box::pin(std::future::ready(Err(why)))
    }
}

/// One cluster's API server.
pub struct ApiServer {
    /// The cluster.
    pub cluster: Arc<ClusterRef>,
    /// Who it is and whom it knows.
    pub identity: Identity,
    /// What stands behind it.
    pub behind: Arc<dyn Behind>,
    streams: AtomicU32,
    /// Those of them that follow a log.
    logs: AtomicU32,
    most_streams: u32,
}

/// Why an answer goes on and on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamKind {
    /// A watch.
    Watch,
    /// A log that is followed.
    Log,
}

impl ApiServer {
    /// An API server for a cluster.
    #[must_use]
    pub const fn new(cluster: Arc<ClusterRef>, identity: Identity, behind: Arc<dyn Behind>) -> Self {
        Self {
            cluster,
            identity,
            behind,
            streams: AtomicU32::new(0),
            logs: AtomicU32::new(0),
            most_streams: MOST_STREAMS,
        }
    }

    /// TLS for a connection from `peer`; none: as for all. It is asked at each handshake.
    #[must_use]
    pub fn certificate(&self, peer: Option<SocketAddr>) -> Option<Arc<ServerConfig>> {
        self.bad_certificate().or_else(|| self.behind.certificate(peer?))
    }

    /// TLS with another certificate than its own, while a fault has it show one.
    fn bad_certificate(&self) -> Option<Arc<ServerConfig>> {
        let struck = self.cluster.state(SiteKind::ApiHandshake).into_iter().next()?;
        match struck.what {
            What::ApiBadCertificate { how } => self.behind.bad_certificate(how),
            _ => None,
        }
    }

    /// With another limit of watches and followed logs at once.
    #[must_use]
    pub fn with_most_streams(mut self, most: u32) -> Self {
        self.most_streams = most;
        self
    }

    /// Watches that are open, and logs that are followed.
    #[must_use]
    pub fn open_streams(&self) -> (u32, u32) {
        let logs = self.logs.load(Ordering::Acquire);
        (self.streams.load(Ordering::Acquire).saturating_sub(logs), logs)
    }

    /// Room for one more stream; `None` when there are too many.
    #[must_use]
    pub fn stream(self: &Arc<Self>, kind: StreamKind) -> Option<StreamPermit> {
        self.streams
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < self.most_streams).then_some(open + 1)
            })
            .ok()?;
        if kind == StreamKind::Log {
            self.logs.fetch_add(1, Ordering::AcqRel);
        }
        Some(StreamPermit {
            server: Arc::clone(self),
            kind,
        })
    }
}

/// A stream that is open; it counts until it is dropped.
pub struct StreamPermit {
    server: Arc<ApiServer>,
    kind: StreamKind,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        if self.kind == StreamKind::Log {
            self.server.logs.fetch_sub(1, Ordering::AcqRel);
        }
        self.server.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
