//! One cluster in the foreground: an API server with ready nodes and nothing else around it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metalsim_actors::ids::NodeId;
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::node::{NodeSpec, Role};
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::os::intent::Endpoint;
use metalsim_actors::ports::Recorder;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::ClusterServices;
use tokio::signal::unix::{SignalKind, signal};

use super::founding::Founding;
use super::pki::write_private;
use super::simulated::{Host, SimulatedCluster, add_node, found_etcd};
use crate::clock::WallClock;
use crate::frontend::body::BodyLimits;
use crate::frontend::kube::listener::Workers;
use crate::frontend::server::{self, ServerOptions};
use crate::frontend::tls;
use crate::observer::{Protocol, Unobserved};
use crate::telemetry::metrics::Metrics;

/// Largest body of a request (kube-apiserver: `--max-request-body-bytes`, 3 MiB).
const MOST_BODY: usize = 3 << 20;
/// Bytes of request bodies held at once.
const BODIES: usize = 256 << 20;
/// Longest time for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the nodes' addresses come from: a network for documentation and tests has room for a few only, this one for many.
const NODE_NETWORK: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 0);

/// What to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Number of nodes.
    pub nodes: u32,
    /// Name of the cluster.
    pub name: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// File for the kubeconfig.
    pub kubeconfig: PathBuf,
    /// Version of Kubernetes.
    pub version: String,
    /// Simulated seconds in a real one.
    pub speed: f64,
    /// Root of all chance.
    pub seed: u64,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// If the socket cannot be opened, or the kubeconfig cannot be written.
pub fn run(options: &ServeOptions) -> anyhow::Result<()> {
    tls::install_provider();
    server::raise_file_limit();
    actix_rt::System::new().block_on(serve(options))
}

async fn serve(options: &ServeOptions) -> anyhow::Result<()> {
    let version: KubernetesVersion = options.version.parse()?;
    let sockets = server::bind(Protocol::Kube, &[options.listen]).map_err(|errors| {
        anyhow::anyhow!(
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )
    })?;
    let socket = sockets.first().context("no socket")?;
    let address = socket.local_addr()?;
    let metrics = Arc::new(Metrics::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let host = Host {
        services: ClusterServices {
            clock: Arc::new(WallClock::start(options.speed)),
            recorder: Arc::clone(&metrics) as Arc<dyn Recorder>,
            faults: Arc::default(),
        },
        workers: Workers::start(threads, ServerOptions::new(Protocol::Kube), metrics, bodies()),
        seed: Seed::root(options.seed),
        behaviour: Behaviour::default(),
        interner: Arc::default(),
        observer: Arc::new(Unobserved),
        machines: Arc::default(),
    };
    let endpoint = Endpoint {
        host: address.ip().to_string().into(),
        port: address.port(),
    };
    let cluster = SimulatedCluster::found(&host, Founding::new(&options.name, endpoint, version)?)?;
    add_nodes(&host, &cluster, options.nodes).await?;
    // Each thread accepts.
    let sockets = (0..threads)
        .map(|_| socket.try_clone())
        .collect::<Result<Vec<_>, _>>()?;
    cluster.open(&host, &sockets)?;
    let kubeconfig = cluster.kubeconfig(&address.to_string())?;
    write_private(&options.kubeconfig, kubeconfig.to_yaml())?;
    tracing::info!(cluster = options.name, %address, nodes = options.nodes, "ready");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    cluster.stop();
    Ok(())
}

/// Limits of request bodies.
pub(crate) fn bodies() -> BodyLimits {
    BodyLimits::new(MOST_BODY, BODY_TIMEOUT, BODIES)
}

/// Adds ready nodes; the first has the control plane.
async fn add_nodes(host: &Host, cluster: &Arc<SimulatedCluster>, nodes: u32) -> anyhow::Result<()> {
    let founding = cluster.founding();
    let version = founding.version.to_string();
    for index in 0..nodes {
        let address = Ipv4Addr::from(u32::from(NODE_NETWORK).saturating_add(index).saturating_add(10));
        let name = format!("{}-{index}", founding.name);
        let mut spec = NodeSpec::worker(&name, address, &version);
        if index == 0 {
            spec.role = Role::ControlPlane;
        }
        let machine = NodeId::from_name(&name);
        let (made, port) = (Arc::clone(cluster), founding.endpoint.port);
        let seed = host.seed.child("etcd");
        let written = spec.clone();
        cluster
            .cluster()
            .write(move |state, now| {
                if index == 0 {
                    found_etcd(state, seed, &written);
                }
                add_node(state, made.founding(), &written, port, now)
            })
            .await?
            .map_err(|status| anyhow::anyhow!("{}", status.message))?;
        cluster.seat(machine, &spec);
        cluster.started(machine, false);
    }
    Ok(())
}
