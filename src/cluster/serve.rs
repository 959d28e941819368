//! One cluster in the foreground: an API server with ready nodes and nothing else around it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metalsim_actors::kube::bootstrap;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::intern::Interner;
use metalsim_actors::kube::store::{Limits, Settings, Store};
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::{ClusterRef, ClusterServices};
use metalsim_actors::time::{Clock, SimInstant};
use tokio::signal::unix::{SignalKind, signal};

use super::api_server::{ApiServer, NoPorts};
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
    let settings = Settings {
        seed,
        limits: Limits::default(),
        service_network: Some(bootstrap::SERVICE_NETWORK),
    };
    let mut store = Store::new(settings, Arc::new(Interner::default()));
    let now = clock.calendar(SimInstant::START);
    bootstrap::create(&mut store, now).map_err(|status| anyhow::anyhow!("{status}"))?;
    let cluster = Cluster::new(store, Arc::new(Behaviour::default()), "".into(), seed);
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
    let server = Arc::new(ApiServer::new(Arc::clone(&cluster), Arc::new(NoPorts)));
    let made = tls::self_signed(&[options.listen.ip().to_string()])?;
    let mut config = (*made.config).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listeners = (0..threads)
        .map(|_| workers.open(socket, &server, &config))
        .collect::<Result<Vec<_>, _>>()?;
    let address = socket.local_addr()?;
    std::fs::write(
        &options.kubeconfig,
        format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: 'https://{address}', insecure-skip-tls-verify: true}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
current-context: a
users: [{{name: a, user: {{}}}}]
"
        ),
    )?;
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
