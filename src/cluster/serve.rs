//! One cluster in the foreground: an API server with ready nodes and nothing else around it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use metalsim_actors::kube::bootstrap;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::intern::Interner;
use metalsim_actors::kube::kubeadm::{self, ClusterFacts};
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{Limits, Settings, Store};
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::{ClusterRef, ClusterServices};
use metalsim_actors::time::{Clock, SimInstant};
use tokio::signal::unix::{SignalKind, signal};

use super::api_server::{ApiServer, NoPorts};
use super::identity::Identity;
use super::pki::{Authority, Kubeconfig, PrivateKey, ServerNames, write_private};
use crate::clock::WallClock;
use crate::frontend::body::BodyLimits;
use crate::frontend::kube::listener::Workers;
use crate::frontend::server::{self, ServerOptions};
use crate::frontend::tls;
use crate::observer::Protocol;
use crate::telemetry::metrics::Metrics;

/// Largest body of a request (kube-apiserver: `--max-request-body-bytes`, 3 MiB).
const MOST_BODY: usize = 3 << 20;
/// Bytes of request bodies held at once.
const BODIES: usize = 256 << 20;
/// Longest time for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The domain of the services.
const DNS_DOMAIN: &str = "cluster.local";
/// The user of the kubeconfig, a member of the masters.
const ADMIN: &str = "kubernetes-admin";
/// How long certificates are valid (kubeadm: `constants.CertificateValidityPeriod`, a year).
const CERTIFICATE: chrono::Duration = chrono::Duration::days(365);

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
    let clock: Arc<dyn Clock> = Arc::new(WallClock::start(options.speed));
    let metrics = Arc::new(Metrics::new());
    let seed = Seed::root(options.seed).child("cluster").child(&options.name);
    let address = socket.local_addr()?;
    let endpoint = address.to_string();
    let version: KubernetesVersion = options.version.parse()?;
    let authority = Authority::generate("kubernetes", crate::clock::wall())?;
    let root_ca = authority.pem();
    let now = clock.calendar(SimInstant::START);
    let facts = ClusterFacts {
        name: &options.name,
        version: &options.version,
        endpoint: &endpoint,
        ca: &root_ca,
        document: "",
        image_repository: "registry.k8s.io",
        dns_domain: DNS_DOMAIN,
        service_network: bootstrap::SERVICE_NETWORK,
        pod_subnet: "10.244.0.0/16",
    };
    let cluster = cluster(&facts, options.nodes, address.port(), seed, now)
        .map_err(|status| anyhow::anyhow!("{}", status.message))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Workers::start(
        threads,
        ServerOptions::new(Protocol::Kube),
        Arc::clone(&metrics) as Arc<dyn crate::observer::RequestObserver>,
        BodyLimits::new(MOST_BODY, BODY_TIMEOUT, BODIES),
    );
    let services = ClusterServices {
        clock: Arc::clone(&clock),
        recorder: metrics,
    };
    let arbiter = workers.arbiter().context("no thread")?;
    let cluster = ClusterRef::start(&options.name, cluster, services, &arbiter);
    let names = ServerNames::api_server(
        DNS_DOMAIN,
        Some(bootstrap::first_service_address().into()),
        [address.ip().to_string().as_str(), "localhost", "127.0.0.1"],
    );
    let wall = crate::clock::wall();
    let serving = authority.issue_server("kube-apiserver", &names, wall, CERTIFICATE)?;
    let config = authority.server_config(&serving)?;
    let admin = authority.issue_client(ADMIN, &["system:masters"], wall, CERTIFICATE)?;
    let kubeconfig = Kubeconfig::new(
        &options.name,
        &format!("https://{address}"),
        ADMIN,
        &authority,
        &admin,
    )?;
    let identity = Identity::new(authority, PrivateKey::generate()?, version, seed)?;
    let server = Arc::new(ApiServer::new(Arc::clone(&cluster), identity, Arc::new(NoPorts)));
    let listeners = (0..threads)
        .map(|_| workers.open(socket, &server, &config))
        .collect::<Result<Vec<_>, _>>()?;
    write_private(&options.kubeconfig, &kubeconfig.to_yaml())?;
    tracing::info!(cluster = options.name, %address, nodes = options.nodes, "ready");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(listeners);
    cluster.stop();
    Ok(())
}

/// A cluster as kubeadm leaves it, with its nodes; the first is the control plane.
fn cluster(
    facts: &ClusterFacts<'_>,
    _nodes: u32,
    _port: u16,
    seed: Seed,
    now: DateTime<Utc>,
) -> Result<Cluster, Status> {
    let settings = Settings {
        seed,
        limits: Limits::default(),
        service_network: Some(facts.service_network),
    };
    let mut store = Store::new(settings, Arc::new(Interner::default()));
    bootstrap::create(&mut store, now)?;
    kubeadm::init(&mut store, facts, now)?;
    Ok(Cluster::new(
        store,
        Arc::new(Behaviour::default()),
        facts.ca.into(),
        seed,
    ))
}
