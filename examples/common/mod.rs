//! What the benchmarks share.

#![allow(dead_code, reason = "each of them uses a part")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use metalsim::clock::WallClock;
use metalsim::cluster::simulated::{Host, SimulatedCluster};
use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::kube::listener::Workers;
use metalsim::frontend::server::ServerOptions;
use metalsim::observer::{Protocol, Unobserved};
use metalsim::telemetry::metrics::Metrics;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::object::Object;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::ClusterServices;
use serde_json::Value;

/// Version of the clusters.
pub(crate) const VERSION: &str = "v1.34.2";
/// Simulated seconds in a real one: nodes get ready, and add-ons settle, soon.
const SPEED: f64 = 100.0;

/// What clusters run on.
pub(crate) fn host(threads: usize) -> Host {
    let metrics = Arc::new(Metrics::new());
    let bodies = BodyLimits::new(3 << 20, Duration::from_secs(30), 256 << 20);
    let options = ServerOptions::new(Protocol::Kube);
    Host {
        services: ClusterServices {
            clock: Arc::new(WallClock::start(SPEED)),
            recorder: Arc::clone(&metrics) as _,
            faults: Arc::default(),
        },
        workers: Workers::start(threads, options, metrics, bodies),
        seed: Seed::root(1),
        behaviour: Behaviour::default(),
        interner: Arc::default(),
        observer: Arc::new(Unobserved),
        machines: Arc::default(),
    }
}

/// Waits until all pods run, and nothing more changes.
pub(crate) async fn settled(clusters: &[Arc<SimulatedCluster>]) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = Vec::new();
    loop {
        let versions: Vec<Option<u64>> = clusters
            .iter()
            .map(|cluster| cluster.cluster().read(version_if_running))
            .collect();
        if versions == before && versions.iter().all(Option::is_some) {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the clusters do not settle: {before:?}, {versions:?}"
        );
        before = versions;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The version of a cluster, if its pods run.
fn version_if_running(cluster: &Cluster) -> Option<u64> {
    let running = |pod: &Arc<Object>| pod.at(&["status", "phase"]) == Some("Running".into());
    let mut pods = cluster.store.all_of("", "pods", None).peekable();
    (pods.peek().is_some() && pods.all(running)).then(|| cluster.store.version())
}

/// Resident bytes of this process.
pub(crate) fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// Writes a file, whole or not at all.
pub(crate) fn tell(file: &Path, told: &Value) -> std::io::Result<()> {
    std::fs::write(file.with_extension("new"), told.to_string())?;
    std::fs::rename(file.with_extension("new"), file)
}
