//! What `scripts/bench clusters` drives.
//!
//! `cargo run --release --example clusters -- CLUSTERS THREADS PROBES FILE`: registers that many clusters in one process, one after the other, and
//! adds a control plane to each: every one has its own authorities, certificate and listener, and answers a request over TLS to a client that trusts
//! its authority alone. Then PROBES more come and go, one at a time. FILE gets the resident bytes of the process with one cluster and
//! with all, and of the probes the seconds from the call to the registered node, the seconds of the request, and the CPU
//! seconds of both for each.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use metalsim::cluster::endpoints::{Addressing, Endpoints};
use metalsim::cluster::image_version::ImageVersion;
use metalsim::cluster::manager::{Manager, NodeDefaults};
use metalsim::cluster::names::ClusterName;
use metalsim::cluster::registered::{RegisteredNode, Registering};
use metalsim::cluster::simulated::SimulatedCluster;
use metalsim::frontend::server;
use metalsim::frontend::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use common::{VERSION, host, resident, settled, tell};

/// The label of a Machine of the control plane.
const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
/// Ports, on an address of this process alone.
const PORTS: std::ops::RangeInclusive<u16> = 10_000..=29_999;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    tls::install_provider();
    server::raise_file_limit();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [clusters, threads, probes, file] = arguments.as_slice() else {
        anyhow::bail!("see the head of examples/clusters.rs");
    };
    run(
        clusters.parse()?,
        threads.parse()?,
        probes.parse()?,
        Path::new(file),
    )
    .await
}

async fn run(clusters: usize, threads: usize, probes: usize, file: &Path) -> anyhow::Result<()> {
    let host = host(threads);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 128 | (high & 0x3f), low, 1);
    let addressing = Addressing::Port {
        host: address.to_string().into(),
        listen: address.into(),
        ports: PORTS,
    };
    let endpoints = Endpoints::open(addressing, &host.workers)?;
    let defaults = NodeDefaults {
        version: VERSION.parse()?,
        image_version: ImageVersion::default(),
    };
    let manager = Manager::new(host, defaults, endpoints, None);
    let mut all = Vec::with_capacity(clusters);
    let mut first = 0;
    for index in 0..clusters {
        let cluster = activate(&manager, &name(index)?).await?;
        request(&cluster).await?;
        all.push(cluster);
        if index == 0 {
            settled(&all).await?;
            first = resident()?;
        }
    }
    settled(&all).await?;
    let full = resident()?;
    let (mut activations, mut requests) = (Vec::new(), Vec::new());
    let before = cpu_seconds()?;
    for index in 0..probes {
        let name = name(clusters + index)?;
        let start = Instant::now();
        let cluster = activate(&manager, &name).await?;
        activations.push(start.elapsed().as_secs_f64());
        requests.push(request(&cluster).await?.as_secs_f64());
        manager.unregister(&name).await?;
    }
    let cpu = (cpu_seconds()? - before) / probes.max(1) as f64;
    let told = json!({
        "first": first, "full": full, "activations": activations, "requests": requests, "cpu": cpu,
    });
    tell(file, &told)?;
    manager.stop();
    Ok(())
}

fn name(index: usize) -> anyhow::Result<ClusterName> {
    Ok(ClusterName::new("bench", &format!("cluster-{index}"))?)
}

/// Registers a cluster and adds its first control plane.
async fn activate(manager: &Manager, name: &ClusterName) -> anyhow::Result<Arc<SimulatedCluster>> {
    let registering = Registering {
        name: name.clone(),
        keys: None,
        version: Some(VERSION.parse()?),
    };
    let endpoint = manager.register(registering).await?;
    let node = RegisteredNode {
        cluster: name.clone(),
        name: format!("{}-0", name.name()),
        provider_id: String::new(),
        host: String::new(),
        labels: vec![(CONTROL_PLANE.to_owned(), String::new())],
        version: Some(VERSION.parse()?),
    };
    anyhow::ensure!(manager.add_registered_node(node).await?, "the node is new");
    manager.find(&endpoint.to_string()).context("it is there")
}

/// Asks whether the API server is ready, over a new connection that is verified with the cluster's own authority.
async fn request(cluster: &SimulatedCluster) -> anyhow::Result<Duration> {
    let mut roots = RootCertStore::empty();
    for certificate in cluster.founding().authority.certificates() {
        roots.add(certificate.clone())?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let address: SocketAddr = cluster.founding().endpoint.to_string().parse()?;
    let start = Instant::now();
    let stream = TcpStream::connect(address).await?;
    // As Go's clients do; otherwise the request waits for the end of the handshake to be acknowledged.
    stream.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    let mut stream = connector.connect(name, stream).await?;
    let head = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let took = start.elapsed();
    anyhow::ensure!(
        answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"ok"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    Ok(took)
}

/// CPU seconds of this process (proc(5): `/proc/pid/stat`, in hundredths).
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let times: Vec<&str> = fields.split(' ').skip(11).take(2).collect();
    let [user, system] = times.as_slice() else {
        anyhow::bail!("no times");
    };
    Ok((user.parse::<f64>()? + system.parse::<f64>()?) / 100.0)
}
