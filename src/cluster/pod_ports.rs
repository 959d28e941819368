//! What listens on the ports of the control plane's pods: etcd, and the API servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use metalsim_actors::fault::words::BadCertificate;
use metalsim_actors::kube::object::Object;
use tokio::io::DuplexStream;
use tokio::net::TcpSocket;

use super::api_server::{Behind, NoPorts};
use super::etcd::Member;
use super::pki::{Authority, Issued, PkiError, ServerNames};
use super::simulated::{CERTIFICATE, ETCD_PORT, SimulatedCluster};
use crate::clock;

/// Port of API servers in their pods.
const API_PORT: u16 = 6443;

/// The ports of the control plane's pods: etcd and the API servers.
pub(super) struct Ports(pub(super) Weak<SimulatedCluster>);

impl Behind for Ports {
    fn connect<'a>(
        &'a self,
        pod: &'a Object,
        port: u16,
        stream: DuplexStream,
    ) -> LocalBoxFuture<'a, Result<(), String>> {
        let Some(simulated) = self
            .0
            .upgrade()
            .filter(|_| pod.namespace() == Some("kube-system"))
        else {
            return NoPorts.connect(pod, port, stream);
        };
        if port == ETCD_PORT
            && let Some(node) = pod.name().strip_prefix("etcd-")
        {
            let member = simulated.cluster().read(|cluster| {
                let (id, member) = cluster.etcd()?.by_name(node)?;
                member.running.then_some(id)
            });
            if let Some(id) = member {
                let member = Member::new(Arc::clone(&simulated), node, id);
                let names = [node, &host_ip(pod)].map(str::to_owned);
                return Box::pin(async move { serve_etcd(&simulated, names, member, stream).await });
            }
        }
        if (port == API_PORT || Some(port) == secure_port(pod))
            && let Some(node) = pod.name().strip_prefix("kube-apiserver-").map(str::to_owned)
            && let Some(address) = simulated.address()
        {
            return Box::pin(async move {
                let forwarded = forward(&simulated, &node, address, stream).await;
                forwarded.map_err(|error| error.to_string())
            });
        }
        NoPorts.connect(pod, port, stream)
    }

    fn etcd_delay(&self) -> Duration {
        let simulated = self.0.upgrade();
        simulated.map_or(Duration::ZERO, |simulated| simulated.write_delay())
    }

    fn certificate(&self, peer: SocketAddr) -> Option<Arc<rustls::ServerConfig>> {
        Some(self.0.upgrade()?.certificates().shown_to(peer))
    }

    fn bad_certificate(&self, how: BadCertificate) -> Option<Arc<rustls::ServerConfig>> {
        let simulated = self.0.upgrade()?;
        let made = simulated.bad_certificate(how);
        made.inspect_err(|error| tracing::error!(%error, "a bad certificate cannot be made"))
            .ok()
    }
}

/// One connection to an etcd member: TLS with the member's certificate, clients with one of the same authority.
async fn serve_etcd(
    simulated: &SimulatedCluster,
    names: [String; 2],
    member: Member,
    stream: DuplexStream,
) -> Result<(), String> {
    let authority = &simulated.founding().etcd_authority;
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let issued = etcd_certificate(authority, &names).map_err(|error| words(&error))?;
    let config = authority
        .mutual_server_config(&issued)
        .map_err(|error| words(&error))?;
    match tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
        Ok(stream) => {
            if let Err(error) = super::etcd::serve(member, stream).await {
                tracing::debug!(%error, "a connection to etcd ended with an error");
            }
        }
        // The client sees the alert; the port itself is there.
        Err(error) => tracing::debug!(%error, "a TLS handshake with etcd failed"),
    }
    Ok(())
}

/// The address of a pod's node; empty before its kubelet has said so.
fn host_ip(pod: &Object) -> String {
    let address = pod.at(&["status", "hostIP"]);
    address
        .as_ref()
        .and_then(|address| address.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The port on which the API server of a static pod listens.
fn secure_port(pod: &Object) -> Option<u16> {
    let advertised = pod.annotation("kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint")?;
    advertised
        .parse::<SocketAddr>()
        .ok()
        .map(|address| address.port())
}

/// `etcd/server.crt` of a member, of its node's name and address (kubernetes: `cmd/kubeadm/app/util/pkiutil`, `GetEtcdAltNames`).
fn etcd_certificate(authority: &Authority, [node, address]: &[String; 2]) -> Result<Issued, PkiError> {
    let mut names = ServerNames::default();
    for name in [node, "localhost", address, "127.0.0.1", "::1"] {
        names.add(name);
    }
    authority.issue_server(node, &names, clock::wall(), CERTIFICATE)
}

/// Hands a connection on to a listener of this process, which shows the certificate of that node's API server.
async fn forward(
    simulated: &SimulatedCluster,
    node: &str,
    address: SocketAddr,
    mut stream: DuplexStream,
) -> std::io::Result<()> {
    let address = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        _ => address,
    };
    let (socket, own) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::LOCALHOST)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::LOCALHOST)),
    };
    // The listener must know where the connection comes from before it comes.
    socket.bind(SocketAddr::new(own, 0))?;
    let _forwarded = simulated.certificates().forward(socket.local_addr()?, node);
    let mut listener = socket.connect(address).await?;
    // Either side may end it at any time.
    let _ended = tokio::io::copy_bidirectional(&mut stream, &mut listener).await;
    Ok(())
}
