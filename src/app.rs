//! Composition root: the only module that names every concrete type.
//!
//! Order at the start: sockets, then nodes, then servers, so that a port that is taken costs nothing and no request
//! meets a fleet that is half there. Order at the end: not ready, servers drain, nodes stop, calls to Ironic stop.

mod chronicle;
mod clusters;
mod fleet;
mod installed;
pub mod scenario;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::ServiceConfig;
use anyhow::Context as _;
use futures_util::future::join_all;
use metalsim_actors::fault::FaultSet;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::agent::AgentSettings;
use metalsim_actors::ports::Recorder;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::{ClusterServices, FaultBoard, Fleet};
use metalsim_actors::time::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use self::chronicle::Chronicle;
use crate::clock::WallClock;
use crate::cluster::manager::Manager;
use crate::directory::Directory;
use crate::events::event::RunEnd;
use crate::events::{self, Happening};
use crate::frontend::body::BodyLimits;
use crate::frontend::readiness::Readiness;
use crate::frontend::server::{self, ServerOptions};
use crate::frontend::{agent, control, images, redfish, tls};
use crate::live::Live;
use crate::observer::{CallObserver, Exposition as _, Protocol};
use crate::scenario::{Scenario, Watch};
use crate::settings::{self, AgentTls, Settings};
use crate::telemetry::metrics::Metrics;

/// Longest time for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of request bodies held at once, of all Redfish and of all agent requests.
const REDFISH_BODIES: usize = 64 << 20;
const AGENT_BODIES: usize = 1 << 30;
/// Largest body of a request to the control API, and bytes of all of them at once.
const CONTROL_BODY: usize = 1 << 20;
const CONTROL_BODIES: usize = 32 << 20;

/// Redfish sessions of the process at once. Ironic keeps one a BMC address, and forgets to end them.
const MOST_SESSIONS: usize = 20_000;

/// Runs everything in the foreground until SIGTERM or SIGINT.
///
/// # Errors
/// If a socket cannot be opened, a certificate cannot be used, or a part does not start.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    tls::install_provider();
    server::raise_file_limit();
    actix_rt::System::new().block_on(async {
        let app = App::start(Plan::Settings(Box::new(settings))).await?;
        app.until_told_to_stop().await?;
        app.stop(RunEnd::Stopped).await;
        Ok(())
    })
}

/// What is to run.
pub enum Plan {
    /// A fleet, until it is stopped.
    Settings(Box<Settings>),
    /// A fleet under faults.
    Scenario(Arc<Scenario>),
}

impl Plan {
    fn settings(&self) -> &Settings {
        match self {
            Self::Settings(settings) => settings,
            Self::Scenario(scenario) => &scenario.settings,
        }
    }

    fn scenario(&self) -> Option<&Arc<Scenario>> {
        match self {
            Self::Settings(_) => None,
            Self::Scenario(scenario) => Some(scenario),
        }
    }

    fn faults(&self) -> FaultSet {
        match self {
            Self::Settings(settings) => settings.fault_set(&settings.faults),
            Self::Scenario(scenario) => scenario.fault_set(),
        }
    }
}

/// What all parts share.
struct Common {
    seed: Seed,
    services: ClusterServices,
    metrics: Arc<Metrics>,
    calls: Arc<dyn CallObserver>,
    events: events::Stream,
    /// Looks on at a scenario.
    watch: Option<Arc<Watch>>,
    /// Keeps what its report is made from.
    chronicle: Option<Arc<Chronicle>>,
}

impl Common {
    fn start(plan: &Plan) -> anyhow::Result<Self> {
        let settings = plan.settings();
        let clock: Arc<dyn Clock> = Arc::new(WallClock::start(settings.speed));
        let metrics = Arc::new(Metrics::new());
        metrics.watch_clock(&clock);
        let events = start_events(plan, &clock, &metrics)?;
        let chronicle = plan.scenario().map(|scenario| {
            let next = events.recorder.clone();
            Arc::new(Chronicle::new(Arc::clone(scenario), clock.epoch(), next))
        });
        let watch = plan.scenario().zip(chronicle.as_ref()).map(|(scenario, next)| {
            let next = Arc::<Chronicle>::clone(next);
            Arc::new(Watch::new(Arc::clone(scenario), next, metrics.clone()))
        });
        let (recorder, calls): (Arc<dyn Recorder>, Arc<dyn CallObserver>) = match &watch {
            Some(watch) => (Arc::<Watch>::clone(watch), Arc::<Watch>::clone(watch)),
            None => (events.recorder.clone(), metrics.clone()),
        };
        let services = ClusterServices {
            clock,
            recorder,
            faults: Arc::new(FaultBoard::new(plan.faults())),
        };
        Ok(Self {
            seed: Seed::root(settings.seed),
            services,
            metrics,
            calls,
            events,
            watch,
            chronicle,
        })
    }
}

/// Everything that runs.
pub struct App {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    watch: Option<Arc<Watch>>,
    chronicle: Option<Arc<Chronicle>>,
    fleet: Fleet,
    clusters: Arc<Manager>,
    /// Adds nodes to registered clusters.
    reconciling: Option<JoinHandle<()>>,
    readiness: Arc<Readiness>,
    events: events::Stream,
    servers: Vec<ServerHandle>,
    /// Tells idle connections to end.
    drain: tokio::sync::watch::Sender<bool>,
}

/// The sockets of all frontends, open but not served yet.
struct Sockets {
    redfish: Vec<TcpListener>,
    agent: Vec<TcpListener>,
    control: Vec<TcpListener>,
    images: Vec<TcpListener>,
}

impl Sockets {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        let mut errors = Vec::new();
        let mut open = |protocol, addresses: &[SocketAddr]| {
            server::bind(protocol, addresses).unwrap_or_else(|refused| {
                errors.extend(refused.into_iter().map(|error| error.to_string()));
                Vec::new()
            })
        };
        let sockets = Self {
            redfish: open(Protocol::Redfish, &settings.redfish.listen),
            agent: open(Protocol::Agent, &[settings.agent.listen]),
            control: open(Protocol::Control, &settings.control.listen),
            images: open(Protocol::Images, &settings.images.listen),
        };
        anyhow::ensure!(errors.is_empty(), "{}", errors.join("\n"));
        Ok(sockets)
    }
}

/// How the agents' API is served, and what the agents say of it.
struct AgentSide {
    tls: Option<Arc<rustls::ServerConfig>>,
    settings: AgentSettings,
}

impl AgentSide {
    fn new(settings: &Settings, listener: Option<&TcpListener>) -> anyhow::Result<Self> {
        let address = match listener {
            Some(listener) => listener.local_addr()?,
            None => settings.agent.listen,
        };
        let scheme = if settings.agent.tls == AgentTls::Off {
            "http"
        } else {
            "https"
        };
        let advertise_url = match &settings.agent.advertise_url {
            Some(url) => url.as_str().to_owned(),
            None => format!("{scheme}://{address}"),
        };
        let (tls, verify_ca) = match &settings.agent.tls {
            AgentTls::Off => (None, None),
            AgentTls::SelfSigned => {
                let mut hosts = vec![address.ip().to_string()];
                hosts.extend(host_of(&advertise_url));
                hosts.dedup();
                let made = tls::self_signed(&hosts).context("agent.tls")?;
                (Some(made.config), Some(made.pem))
            }
            AgentTls::Files(files) => (
                Some(tls::from_files(&files.cert, &files.key).context("agent.tls")?),
                None,
            ),
        };
        let settings = AgentSettings {
            advertise_url: advertise_url.into(),
            version: settings.agent.version.as_ref().into(),
            verify_ca,
            command_history: settings.agent.command_history,
            bmc_address: bmc_address(&settings.redfish.listen),
        };
        Ok(Self { tls, settings })
    }
}

fn redfish_auth(settings: &settings::Redfish) -> redfish::Auth {
    match &settings.auth {
        None => redfish::Auth::open(),
        Some(settings::Auth::Single { username, password }) => {
            redfish::Auth::single(username, password.expose())
        }
        Some(settings::Auth::Htpasswd(accounts)) => {
            redfish::Auth::htpasswd(accounts.iter().map(|(name, hash)| (&**name, hash.expose())))
        }
    }
}

/// The host of a URL, without port and brackets.
fn host_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    Some(url.host_str()?.trim_matches(['[', ']']).to_owned())
}

/// What the agents report as their BMC's address: only if it is the same for all, and one that Ironic does not ignore.
fn bmc_address(listen: &[SocketAddr]) -> Option<Arc<str>> {
    let first = listen.first()?.ip();
    let same = listen.iter().all(|address| address.ip() == first);
    (same && first.is_ipv4() && !first.is_unspecified() && !first.is_loopback())
        .then(|| first.to_string().into())
}

impl App {
    /// Opens the sockets, starts the nodes, serves. A scenario's faults are in force from the start.
    ///
    /// # Errors
    /// Every socket that cannot be opened; a certificate that cannot be used; threads that do not start.
    pub async fn start(plan: Plan) -> anyhow::Result<Self> {
        let settings = plan.settings();
        let sockets = Sockets::open(settings)?;
        let agents = AgentSide::new(settings, sockets.agent.first())?;
        let redfish_tls = match &settings.redfish.tls {
            Some(files) => Some(tls::from_files(&files.cert, &files.key).context("redfish.tls")?),
            None => None,
        };
        let common = Common::start(&plan)?;
        let (clusters, reconciling) = clusters::start(settings, &common).await?;
        let fleet = fleet::start(settings, agents.settings, &common, &clusters).await?;
        let Common {
            services,
            metrics,
            events,
            watch,
            chronicle,
            ..
        } = common;
        let clock = services.clock;
        let directory = Arc::new(Directory::new(fleet.nodes().to_vec()));
        let readiness = Arc::new(Readiness::default());

        let (drain, draining) = tokio::sync::watch::channel(false);
        let mut servers = Servers {
            settings,
            metrics: &metrics,
            draining,
            running: Vec::new(),
        };
        let with_tls = redfish_tls.is_some();
        let redfish_urls = local_addresses(&sockets.redfish)?
            .into_iter()
            .map(|address| control::ControlApi::base_url(address, with_tls))
            .collect();
        let redfish = redfish::configure(Arc::new(redfish::RedfishState::new(
            Arc::clone(&directory),
            Arc::clone(&clock),
            redfish_auth(&settings.redfish),
            redfish::SessionStore::new(settings.redfish.session_timeout, MOST_SESSIONS),
            BodyLimits::new(settings.redfish.max_body, BODY_TIMEOUT, REDFISH_BODIES),
            *NodeId::from_name("metalsim redfish service").as_uuid(),
        )));
        servers.add(
            Protocol::Redfish,
            sockets.redfish,
            settings.redfish.max_connections,
            redfish_tls,
            redfish,
        )?;
        let agent = agent::configure(agent::AgentApi {
            directory: Arc::clone(&directory),
            clock: Arc::clone(&clock),
            bodies: BodyLimits::new(settings.agent.max_body, BODY_TIMEOUT, AGENT_BODIES),
            longest_wait: agent::AgentApi::LONGEST_WAIT,
        });
        servers.add(
            Protocol::Agent,
            sockets.agent,
            settings.agent.max_connections,
            agents.tls,
            agent,
        )?;
        let control = control::configure(control::ControlApi {
            directory: Arc::clone(&directory),
            readiness: Arc::clone(&readiness),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            token: settings.control.token.as_ref().map(|token| token.expose().into()),
            clusters: Arc::clone(&clusters),
            live: Live::new(
                Arc::clone(&directory),
                services.faults,
                Arc::clone(&events.log),
                fleet.shards(),
            ),
            events: Arc::clone(&events.log),
            bodies: BodyLimits::new(CONTROL_BODY, BODY_TIMEOUT, CONTROL_BODIES),
            redfish: redfish_urls,
        });
        let few = ServerOptions::new(Protocol::Control).max_connections;
        servers.add(Protocol::Control, sockets.control, few, None, control)?;
        servers.add(
            Protocol::Images,
            sockets.images,
            few,
            None,
            images::configure(images::ImageSizes::default()),
        )?;
        let servers = servers.run();

        readiness.set(true);
        tracing::info!(nodes = directory.len(), "ready");
        Ok(Self {
            clock,
            metrics,
            watch,
            chronicle,
            fleet,
            clusters,
            reconciling,
            readiness,
            events,
            servers,
            drain,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    ///
    /// # Errors
    /// If the signals cannot be caught.
    pub async fn until_told_to_stop(&self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("told to stop (SIGTERM)"),
            _ = interrupt.recv() => tracing::info!("told to stop (SIGINT)"),
        }
        Ok(())
    }

    /// All metrics, in Prometheus' text format.
    #[must_use]
    pub fn metrics_page(&self) -> String {
        self.metrics.render()
    }

    /// Lets requests under way end, then stops the nodes.
    pub async fn stop(self, reason: RunEnd) {
        self.readiness.set(false);
        // Those who read the events get the last one, and their connections end.
        self.events.log.publish(Happening::RunEnded { reason });
        // Nobody listens any more if all servers have ended by themselves.
        self.drain.send(true).ok();
        join_all(self.servers.iter().map(|server| server.stop(true))).await;
        if let Some(reconciling) = &self.reconciling {
            reconciling.abort();
        }
        self.clusters.stop();
        self.fleet.stop();
        self.events.written().await;
        tracing::info!("stopped");
    }
}

/// The stream of events. Its first one is that the run has begun.
fn start_events(
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<events::Stream> {
    let settings = plan.settings();
    let limits = events::Limits {
        keep: settings.events.keep,
        ..events::Limits::default()
    };
    let file = settings.events.file.as_deref();
    let events = events::Stream::start(limits, file, Arc::clone(clock), metrics).context("events.file")?;
    events.log.publish(Happening::RunStarted {
        seed: settings.seed,
        speed: settings.speed,
        nodes: settings.nodes.len() as u64,
        scenario: plan.scenario().map(|scenario| scenario.name.clone()),
    });
    Ok(events)
}

/// The servers to start, and what they share.
struct Servers<'a> {
    settings: &'a Settings,
    metrics: &'a Arc<Metrics>,
    draining: tokio::sync::watch::Receiver<bool>,
    running: Vec<Server>,
}

impl Servers<'_> {
    fn add(
        &mut self,
        protocol: Protocol,
        listeners: Vec<TcpListener>,
        max_connections: usize,
        tls: Option<Arc<rustls::ServerConfig>>,
        configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> anyhow::Result<()> {
        if listeners.is_empty() {
            return Ok(());
        }
        for address in local_addresses(&listeners)? {
            tracing::info!(protocol = protocol.as_str(), %address, tls = tls.is_some(), "listening");
        }
        let workers = match protocol {
            Protocol::Redfish | Protocol::Agent | Protocol::Kube => self.settings.runtime.http_workers,
            Protocol::Control | Protocol::Images | Protocol::Etcd => 1,
        };
        let options = ServerOptions {
            workers,
            max_connections,
            tls,
            drain: Some(self.draining.clone()),
            ..ServerOptions::new(protocol)
        };
        let observer = Arc::clone(self.metrics) as Arc<dyn crate::observer::RequestObserver>;
        self.running
            .push(server::serve(&options, listeners, &observer, configure)?);
        Ok(())
    }

    fn run(self) -> Vec<ServerHandle> {
        let handles = self.running.iter().map(Server::handle).collect();
        for server in self.running {
            actix_rt::spawn(async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "a server ended");
                }
            });
        }
        handles
    }
}

fn local_addresses(listeners: &[TcpListener]) -> std::io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}
