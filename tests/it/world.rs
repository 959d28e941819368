//! A fleet with its frontends in this process, on free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use metalsim::clock::WallClock;
use metalsim::cluster::endpoints::{Addressing, Endpoints};
use metalsim::cluster::image_version::ImageVersion;
use metalsim::cluster::keys::KeySource;
use metalsim::cluster::manager::{Manager, ManagerPort, NodeDefaults};
use metalsim::cluster::simulated::Host;
use metalsim::directory::Directory;
use metalsim::events::{EventLog, EventRecorder, Limits};
use metalsim::frontend::agent::{self, AgentApi};
use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::control::{self, ControlApi};
use metalsim::frontend::kube::listener::Workers;
use metalsim::frontend::readiness::Readiness;
use metalsim::frontend::server::{self, ServerOptions};
use metalsim::live::Live;
use metalsim::observer::{ClusterCensus, Protocol, RequestObserver};
use metalsim::telemetry::metrics::Metrics;
use metalsim_actors::fault::{FaultSet, NodeIndex};
use metalsim_actors::ids::{MacAddress, NodeId};
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::bmc::{BmcCommand, BootTarget, OverrideEnabled, ResetType};
use metalsim_actors::node::disk::Image;
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::{Event, Identity, Kind};
use metalsim_actors::ports::{BootMedia, ConfigDrives, Ironic};
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::{
    ClusterServices, FaultBoard, Fleet, Installed, NodeRef, NodeStart, Permits, Services, ShardPlan,
};
use metalsim_actors::testkit::{
    AgentMedia, KindClusters, KindIronic, Members, PlainDrives, boot_override, kind, only_faults,
};
use metalsim_actors::time::Clock;
use metalsim_actors::timing::{Latency, Timing};

/// Longest time for anything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What differs between tests.
pub(crate) struct Plan {
    pub(crate) nodes: u32,
    pub(crate) permits: u32,
    pub(crate) kind: Arc<Kind>,
    pub(crate) ironic: Arc<dyn Ironic>,
    pub(crate) media: Arc<dyn BootMedia>,
    pub(crate) drives: Arc<dyn ConfigDrives>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Limits,
    pub(crate) addressing: Addressing,
    pub(crate) keys: Option<Arc<dyn KeySource>>,
    /// Config drives of systems that are on the disks of the first nodes, which are on: then clusters are real.
    pub(crate) installed: Vec<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 2,
            permits: 1000,
            kind: kind(Timing::instant()),
            ironic: Arc::<KindIronic>::default(),
            media: Arc::new(AgentMedia),
            drives: Arc::new(PlainDrives),
            clock: Arc::new(WallClock::start(1.0)),
            metrics: Arc::default(),
            events: Limits::default(),
            addressing: Addressing::Port {
                host: "127.0.0.1".into(),
                listen: [127, 0, 0, 1].into(),
                ports: 20_000..=29_999,
            },
            keys: None,
            installed: Vec::new(),
        }
    }
}

/// Everything that runs.
pub(crate) struct World {
    fleet: Option<Fleet>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) clusters: Arc<Manager>,
    board: Arc<FaultBoard>,
    servers: Vec<ServerHandle>,
}

impl World {
    pub(crate) async fn start(plan: Plan) -> Self {
        let board = Arc::new(FaultBoard::new(FaultSet::none(Seed::root(1))));
        let events = EventLog::new(plan.events, Arc::clone(&plan.clock), plan.metrics.clone());
        let recorder = Arc::new(EventRecorder::new(plan.metrics.clone(), Arc::clone(&events)));
        let host = Host {
            services: ClusterServices {
                clock: Arc::clone(&plan.clock),
                recorder: recorder.clone(),
                faults: Arc::clone(&board),
            },
            workers: Workers::start(
                1,
                ServerOptions::new(Protocol::Kube),
                plan.metrics.clone(),
                BodyLimits::new(1 << 20, PATIENCE, 1 << 24),
            ),
            seed: Seed::root(1),
            behaviour: Behaviour {
                node_ready: Latency::ZERO,
                ..Behaviour::default()
            },
            interner: Arc::default(),
            observer: recorder.clone(),
            machines: Arc::default(),
        };
        let defaults = NodeDefaults {
            version: KubernetesVersion::default(),
            image_version: ImageVersion::default(),
        };
        let endpoints = Endpoints::open(plan.addressing, &host.workers).unwrap();
        let clusters = Manager::new(host, defaults, endpoints, plan.keys);
        let services = Arc::new(Services {
            clock: Arc::clone(&plan.clock),
            ironic: plan.ironic,
            boot_media: plan.media,
            config_drives: plan.drives,
            clusters: if plan.installed.is_empty() {
                Arc::new(KindClusters::default())
            } else {
                Arc::new(ManagerPort(Arc::clone(&clusters)))
            },
            recorder: recorder.clone(),
            faults: Arc::clone(&board),
        });
        let census: Arc<dyn ClusterCensus> = Arc::<Manager>::clone(&clusters);
        plan.metrics.watch_clusters(&census);
        plan.metrics.watch_clock(&plan.clock);
        let permits = Arc::new(Permits::new(plan.permits, 32, recorder.clone()));
        plan.metrics.watch_permits(&permits);
        let labels = Arc::new([("rack".into(), "a".into())].into());
        let starts: Vec<NodeStart> = (0..plan.nodes)
            .map(|index| {
                let name = format!("n{index}");
                NodeStart {
                    identity: Arc::new(Identity {
                        index: NodeIndex(index),
                        id: NodeId::from_name(&name),
                        macs: [0, 1].map(|nic| MacAddress::derived(&name, nic)).into(),
                        name: name.into(),
                        labels: if index == 0 {
                            Arc::clone(&labels)
                        } else {
                            Arc::default()
                        },
                    }),
                    kind: Arc::clone(&plan.kind),
                    power_on: plan.installed.len() > index as usize,
                    installed: plan.installed.get(index as usize).map(|drive| Installed {
                        image: Image {
                            id: "installed".into(),
                            url: "".into(),
                            checksum: None,
                            format: None,
                        },
                        config_drive: drive.as_str().into(),
                    }),
                }
            })
            .collect();
        recorder.know(starts.iter().map(|start| Arc::clone(&start.identity)));
        let shards = ShardPlan {
            arbiters: 1,
            shards_per_arbiter: 1,
        };
        let fleet = Fleet::start(shards, Seed::root(1), starts, services, permits).await;
        let directory = Arc::new(Directory::new(fleet.nodes().to_vec()));
        clusters.host().machines.know(Arc::clone(&directory));
        Self {
            directory,
            fleet: Some(fleet),
            clock: plan.clock,
            metrics: plan.metrics,
            events,
            clusters,
            board,
            servers: Vec::new(),
        }
    }

    pub(crate) fn node(&self, index: usize) -> &Arc<NodeRef> {
        &self.directory.nodes()[index]
    }

    /// Puts these faults, a list as a scenario file holds it, in the place of all others.
    pub(crate) fn set_faults(&self, faults: serde_json::Value) {
        let nodes = self.directory.nodes();
        Fleet::change_faults(nodes, &self.board, only_faults(faults), &Members(nodes)).unwrap();
    }

    /// Boots the agent on a node and waits until it has sent a heartbeat.
    pub(crate) async fn boot_agent(&self, index: usize) {
        self.power_on_agent(index).await;
        self.wait_for(index, Phase::AgentReady).await;
    }

    /// Powers a node on with a network boot.
    pub(crate) async fn power_on_agent(&self, index: usize) {
        let command = boot_override(BootTarget::Pxe, OverrideEnabled::Once);
        self.bmc(index, command).await;
        self.bmc(index, BmcCommand::Reset(ResetType::On)).await;
    }

    pub(crate) async fn bmc(&self, index: usize, command: BmcCommand) {
        let event = Event::Bmc {
            if_match: None,
            command,
        };
        self.node(index).act(event).await.unwrap();
    }

    pub(crate) async fn wait_for(&self, index: usize, phase: Phase) {
        let node = Arc::clone(self.node(index));
        until(&format!("phase {phase:?}"), || {
            let node = Arc::clone(&node);
            async move { node.read(|node, _| node.phase()).await.unwrap() == phase }
        })
        .await;
    }

    /// Serves the agents' API and returns its base URL.
    pub(crate) fn serve_agents(&mut self, change: impl Fn(&mut ServerOptions, &mut AgentApi)) -> String {
        let mut api = AgentApi {
            directory: Arc::clone(&self.directory),
            clock: Arc::clone(&self.clock),
            bodies: BodyLimits::new(64 * 1024, PATIENCE, 1024 * 1024),
            longest_wait: PATIENCE,
        };
        let mut options = ServerOptions::new(Protocol::Agent);
        change(&mut options, &mut api);
        let address = self.serve(&options, agent::configure(api));
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// Serves the control API and returns its base URL.
    pub(crate) fn serve_control(&mut self, token: Option<&str>, readiness: &Arc<Readiness>) -> String {
        let api = ControlApi {
            directory: Arc::clone(&self.directory),
            metrics: self.metrics.clone(),
            readiness: Arc::clone(readiness),
            clock: Arc::clone(&self.clock),
            redfish: ["http://127.0.0.1:8000".into(), "http://127.0.0.1:8001".into()].into(),
            clusters: Arc::clone(&self.clusters),
            live: Live::new(
                Arc::clone(&self.directory),
                Arc::clone(&self.board),
                Arc::clone(&self.events),
                self.fleet.as_ref().unwrap().shards(),
            ),
            events: Arc::clone(&self.events),
            bodies: BodyLimits::new(64 * 1024, PATIENCE, 1024 * 1024),
            token: token.map(Arc::from),
        };
        let address = self.serve(&ServerOptions::new(Protocol::Control), control::configure(api));
        format!("http://{address}")
    }

    pub(crate) fn serve(
        &mut self,
        options: &ServerOptions,
        configure: impl Fn(&mut actix_web::web::ServiceConfig) + Clone + Send + 'static,
    ) -> SocketAddr {
        let listeners = free_port(options.protocol);
        let address = listeners[0].local_addr().unwrap();
        let observer: Arc<dyn RequestObserver> = self.metrics.clone();
        let server = server::serve(options, listeners, &observer, configure).unwrap();
        self.servers.push(server.handle());
        actix_web::rt::spawn(server);
        address
    }

    /// Stops the servers when the requests under way have been answered.
    pub(crate) async fn drain(&mut self) {
        for server in self.servers.drain(..) {
            server.stop(true).await;
        }
    }

    pub(crate) async fn stop(mut self) {
        for server in self.servers.drain(..) {
            server.stop(false).await;
        }
        if let Some(fleet) = self.fleet.take() {
            fleet.stop();
        }
        self.clusters.stop();
    }
}

/// A loopback address that no other process of these tests uses; `number` tells the tests of a process apart.
pub(crate) fn own_address(number: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 0x3f), low, number)
}

fn free_port(protocol: Protocol) -> Vec<TcpListener> {
    server::bind(protocol, &["127.0.0.1:0".parse().unwrap()]).unwrap()
}

/// Waits until `condition` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}

/// A client that opens a connection for each request.
pub(crate) fn client() -> reqwest::Client {
    metalsim::frontend::tls::install_provider();
    reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .build()
        .unwrap()
}
