//! A cluster of machines whose faults are those of the fleet, and clients of it.

use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use metalsim::boot::system;
use metalsim::clock::WallClock;
use metalsim::cluster::endpoints::Addressing;
use metalsim::cluster::simulated::SimulatedCluster;
use metalsim::forge::cluster::Settings;
use metalsim::forge::kubeadm::Node;
use metalsim::forge::{self, Bootstrap, Role, cloud_config};
use metalsim::observer::Exposition as _;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::os::description::SystemDescription;
use metalsim_actors::testkit::ReadDrives;
use serde_json::{Value, json};

use crate::kcp::access::Access;
use crate::kcp::etcd::Keys;
use crate::world::{Plan, World, own_address, until};

fn read(drive: &str) -> Arc<SystemDescription> {
    let description = system::of_config_drive(drive);
    assert!(description.warnings.is_empty(), "{:?}", description.warnings);
    Arc::new(description)
}

/// Three control planes, `n0` to `n2`, and the worker `n3`, all ready.
pub(super) struct Site {
    pub(super) world: World,
    pub(super) endpoint: String,
    forged: forge::Cluster,
}

impl Site {
    /// `number` tells the tests of a process apart; `speed`: simulated seconds in a real one.
    pub(super) async fn start(number: u8, speed: f64) -> Self {
        metalsim::frontend::tls::install_provider();
        let endpoint = format!("{}:6443", own_address(number + 1));
        let settings = Settings {
            endpoint: endpoint.parse().unwrap(),
            version: "v1.34.2".parse().unwrap(),
            token_ttl: "0".parse().unwrap(),
            pod_subnet: None,
            service_subnet: None,
            dns_domain: None,
            cert_sans: Vec::new(),
        };
        let forged = forge::Cluster::new("web".parse().unwrap(), settings, metalsim::clock::wall()).unwrap();
        let roles = [Role::Init, Role::ControlPlane, Role::ControlPlane, Role::Worker];
        let drive = |(index, role): (usize, Role)| {
            let bootstrap = Bootstrap::new(&forged, role, &Node::default()).unwrap();
            let name = format!("n{index}");
            json!({
                "meta_data": {"uuid": NodeId::from_name(&name).as_uuid().to_string(), "name": name, "local_hostname": name},
                "user_data": cloud_config::render(&bootstrap).expose(),
            })
            .to_string()
        };
        let world = World::start(Plan {
            nodes: 4,
            drives: Arc::new(ReadDrives(read)),
            clock: Arc::new(WallClock::start(speed)),
            addressing: Addressing::Address {
                network: own_address(number),
                length: 30,
                port: 6443,
            },
            installed: roles.into_iter().enumerate().map(drive).collect(),
            ..Plan::default()
        })
        .await;
        let site = Self {
            world,
            endpoint,
            forged,
        };
        until("four ready nodes", || async {
            site.metric(r#"metalsim_cluster_nodes{ready="true"}"#) == 4
        })
        .await;
        site
    }

    pub(super) fn cluster(&self) -> Arc<SimulatedCluster> {
        self.world.clusters.find(&self.endpoint).unwrap()
    }

    /// A client that has no connection yet.
    pub(super) async fn kube(&self) -> kube::Client {
        client(&self.cluster(), &self.endpoint, None).await
    }

    /// What KubeadmControlPlane has for the API and for etcd.
    pub(super) fn access(&self) -> (Access, Keys) {
        (Access::of(&self.forged), Keys::of(&self.forged))
    }

    /// Puts one fault in the place of all others; none: none.
    pub(super) fn fault(&self, which: Value, when: Value, what: Value) {
        self.world
            .set_faults(json!([{"name": "fault", "which": which, "when": when, "what": what}]));
    }

    pub(super) fn heal(&self) {
        self.world.set_faults(json!([]));
    }

    /// The value of a series.
    pub(super) fn metric(&self, series: &str) -> u64 {
        let page = self.world.metrics.render();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// How often the fault with this word struck, and the events that tell so: of nodes and of the cluster.
    pub(super) fn hits(&self, word: &str) -> (u64, Vec<String>) {
        let counted = self.metric(&format!("metalsim_fault_hits_total{{what=\"{word}\"}}"));
        let events = self.world.events.read(0, 10_000).events;
        let whom = events.iter().filter_map(|event| {
            let event = serde_json::to_value(&**event).unwrap();
            (event["kind"] == "fault_hit" && event["what"] == word).then(|| {
                let whom = event.get("node").or_else(|| event.get("cluster"));
                whom.unwrap().as_str().unwrap().to_owned()
            })
        });
        (counted, whom.collect())
    }
}

/// A client of a cluster that connects to `address`, and names this server when it does.
pub(super) async fn client(
    cluster: &SimulatedCluster,
    address: &str,
    server_name: Option<String>,
) -> kube::Client {
    let text = cluster.kubeconfig(address).unwrap().to_yaml().to_owned();
    let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
    let mut config = config.await.unwrap();
    if server_name.is_some() {
        config.tls_server_name = server_name;
    }
    // What goes wrong is to be seen.
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

/// The Status with which a call was refused.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> kube::core::Status {
    match answer {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}
