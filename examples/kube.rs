//! What `scripts/bench kube` drives.
//!
//! `cargo run --release --example kube -- serve CLUSTERS THREADS FILE`: a process with that many clusters, each with its own authority,
//! certificate, listener and one ready node. FILE gets the address of the first cluster, a token of an administrator of it, and the
//! resident bytes of the process with one cluster and with all. It runs until it is killed.
//!
//! `... bare THREADS FILE BODY`: the limit that it is measured against, an actix-web handler that answers every request with the
//! bytes of the file BODY, behind the same TLS. FILE gets its address.
//!
//! `... watch ADDRESS TOKEN WATCHERS CHANGES`: that many watchers of config maps, each on a connection of its own, see that many changes. Prints
//! the seconds from the first change to the last event.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use futures_util::future::try_join_all;
use metalsim::clock;
use metalsim::cluster::founding::Founding;
use metalsim::cluster::pki::{Authority, ServerNames};
use metalsim::cluster::simulated::{Host, SimulatedCluster, add_node, found_etcd};
use metalsim::frontend::server;
use metalsim::frontend::tls;
use metalsim::observer::Protocol;
use metalsim_actors::ids::NodeId;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::node::{NodeSpec, Role};
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{Target, WriteOptions};
use metalsim_actors::node::os::intent::Endpoint;
use serde_json::{Value, json};

use common::{VERSION, host, resident, settled, tell};

/// Config maps in the first cluster: they are listed.
const LISTED: usize = 500;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    tls::install_provider();
    server::raise_file_limit();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", clusters, threads, file] => {
            serve(clusters.parse()?, threads.parse()?, Path::new(file)).await
        }
        ["bare", threads, file, body] => bare(threads.parse()?, Path::new(file), Path::new(body)).await,
        ["watch", address, token, watchers, changes] => {
            watch(address, token, watchers.parse()?, changes.parse()?).await
        }
        _ => anyhow::bail!("see the head of examples/kube.rs"),
    }
}

async fn serve(clusters: usize, threads: usize, file: &Path) -> anyhow::Result<()> {
    let host = host(threads);
    let mut all = Vec::with_capacity(clusters);
    let mut first = 0;
    for index in 0..clusters {
        all.push(cluster(&host, index, if index == 0 { threads } else { 1 }).await?);
        if index == 0 {
            settled(&all).await?;
            first = resident()?;
        }
    }
    settled(&all).await?;
    let full = resident()?;
    let cluster = all.first().context("at least one cluster")?;
    let token = cluster
        .cluster()
        .write(|cluster, now| administrator(cluster, WriteOptions::by("bench", now)))
        .await?
        .and_then(|()| {
            let server = cluster.server();
            cluster.cluster().read(|cluster| {
                server
                    .identity
                    .token_request(&cluster.store, "kube-system", "bench", &json!({}))
            })
        })
        .map_err(refused)?;
    let objects = cluster.cluster().read(|cluster| cluster.store.len());
    let told = json!({
        "address": cluster.address().context("the cluster listens")?,
        "token": token["status"]["token"],
        "objects": objects,
        "first": first,
        "full": full,
    });
    tell(file, &told)?;
    std::future::pending().await
}

/// A cluster with one ready node, as kubeadm leaves it. Several threads may accept its connections.
async fn cluster(host: &Host, index: usize, threads: usize) -> anyhow::Result<Arc<SimulatedCluster>> {
    let sockets = server::bind(Protocol::Kube, &[(Ipv4Addr::LOCALHOST, 0).into()])
        .map_err(|_| anyhow::anyhow!("no socket"))?;
    let socket = sockets.first().context("no socket")?;
    let port = socket.local_addr()?.port();
    let endpoint = Endpoint {
        host: "127.0.0.1".into(),
        port,
    };
    let name = format!("cluster-{index}");
    let founding = Founding::new(&name, endpoint, VERSION.parse()?)?;
    let cluster = SimulatedCluster::found(host, founding)?;
    let mut spec = NodeSpec::worker(&format!("{name}-0"), Ipv4Addr::new(10, 0, 0, 10), VERSION);
    spec.role = Role::ControlPlane;
    let (made, written, seed) = (Arc::clone(&cluster), spec.clone(), host.seed.child("etcd"));
    cluster
        .cluster()
        .write(move |state, now| {
            found_etcd(state, seed, &written);
            add_node(state, made.founding(), &written, port, now)
        })
        .await?
        .map_err(refused)?;
    let machine = NodeId::from_name(&spec.name);
    cluster.seat(machine, &spec);
    cluster.started(machine, false);
    let sockets = (0..threads)
        .map(|_| socket.try_clone())
        .collect::<Result<Vec<_>, _>>()?;
    cluster.open(host, &sockets)?;
    Ok(cluster)
}

/// A service account that may do everything, and objects to read.
fn administrator(cluster: &mut Cluster, by: WriteOptions<'_>) -> Result<(), Status> {
    let subject = json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "bench"});
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    let mut make = |group: &str, plural: &str, namespace: Option<&str>, body: Value| {
        let resource = cluster
            .store
            .registry()
            .find(group, plural)
            .cloned()
            .ok_or_else(Status::unknown_resource)?;
        cluster
            .store
            .create(Target::stored(&resource, namespace), body, by)
            .map(drop)
    };
    make(
        "",
        "serviceaccounts",
        Some("kube-system"),
        json!({"metadata": {"name": "bench"}}),
    )?;
    make(
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        None,
        json!({"metadata": {"name": "bench"}, "subjects": [subject], "roleRef": role}),
    )?;
    for name in ["listed", "written", "watched"] {
        make("", "namespaces", None, json!({"metadata": {"name": name}}))?;
    }
    for index in 0..LISTED {
        let body = json!({
            "metadata": {"name": format!("map-{index}"), "labels": {"bench": "listed"}},
            "data": {"key": "value", "index": index.to_string()},
        });
        make("", "configmaps", Some("listed"), body)?;
    }
    Ok(())
}

fn refused(status: Status) -> anyhow::Error {
    anyhow::anyhow!("{}", status.message)
}

async fn bare(threads: usize, file: &Path, body: &Path) -> anyhow::Result<()> {
    let body = web::Bytes::from(std::fs::read(body)?);
    let authority = Authority::generate("kubernetes", clock::wall())?;
    let names = ServerNames::api_server("cluster.local", None, ["127.0.0.1"]);
    let issued = authority.issue_server("bare", &names, clock::wall(), chrono::Duration::days(1))?;
    let config = authority.server_config(&issued)?;
    let server = HttpServer::new(move || {
        let body = body.clone();
        let answer = move || {
            let body = body.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(body) }
        };
        App::new().default_service(web::to(answer))
    })
    .workers(threads)
    .bind_rustls_0_23((Ipv4Addr::LOCALHOST, 0), rustls::ServerConfig::clone(&config))?;
    let address: Option<SocketAddr> = server.addrs().first().copied();
    let told = json!({"address": address.context("no socket")?});
    tell(file, &told)?;
    Ok(server.run().await?)
}

/// A client of the first cluster.
fn client(token: &str) -> anyhow::Result<reqwest::Client> {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse()?);
    Ok(reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .default_headers(headers)
        .build()?)
}

async fn watch(address: &str, token: &str, watchers: usize, changes: usize) -> anyhow::Result<()> {
    let client = client(token)?;
    let maps = format!("https://{address}/api/v1/namespaces/watched/configmaps");
    let mut open = Vec::with_capacity(watchers);
    for _ in 0..watchers {
        let url = format!("{maps}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
        let response = client.get(url).send().await?.error_for_status()?;
        open.push(response);
    }
    let start = Instant::now();
    let readers = try_join_all(open.into_iter().map(|mut response| async move {
        let mut seen = 0;
        while seen < changes {
            let chunk = response.chunk().await?.context("a watch ended")?;
            seen += chunk.iter().filter(|byte| **byte == b'\n').count();
        }
        anyhow::Ok(())
    }));
    let writer = async {
        for _ in 0..changes {
            let map = json!({"metadata": {"generateName": "map-"}, "data": {"key": "value"}});
            client
                .post(&maps)
                .header("content-type", "application/json")
                .body(map.to_string())
                .send()
                .await?
                .error_for_status()?;
        }
        anyhow::Ok(())
    };
    futures_util::future::try_join(readers, writer).await?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::print_stdout, reason = "that is its answer")]
    {
        println!("{seconds}");
    }
    Ok(())
}
