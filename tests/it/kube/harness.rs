//! A cluster with its API server. The only place of these tests that knows how one is made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metalsim::clock::{self, WallClock};
use metalsim::cluster::api_server::{ApiServer, NoPorts};
use metalsim::cluster::identity::Identity;
use metalsim::cluster::pki::{Authority, PrivateKey, ServerNames};
use metalsim::frontend::body::BodyLimits;
use metalsim::frontend::kube::listener::{Listener, Workers};
use metalsim::frontend::server::{self, ServerOptions};
use metalsim::frontend::tls;
use metalsim::observer::{Protocol, RequestObserver};
use metalsim::telemetry::metrics::Metrics;
use metalsim_actors::kube::bootstrap;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::intern::Interner;
use metalsim_actors::kube::store::{Limits, Settings, Store, Target, WriteOptions};
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::{ClusterRef, ClusterServices};
use metalsim_actors::time::{Clock, SimInstant};
use serde_json::json;

/// Largest body of a request.
pub(crate) const MOST_BODY: usize = 3 << 20;

/// What differs between tests.
#[derive(Default)]
pub(crate) struct Plan {
    /// Bounds of the store.
    pub(crate) limits: Limits,
    /// Most streams; none: the default.
    pub(crate) streams: Option<u32>,
    /// Bytes that the kernel keeps of what a client does not take; none: its default.
    pub(crate) send_buffer: Option<usize>,
}

/// A running cluster.
pub(crate) struct Running {
    pub(crate) cluster: Arc<ClusterRef>,
    address: SocketAddr,
    token: String,
    listeners: Vec<Listener>,
    _workers: Workers,
}

impl Running {
    pub(crate) fn start(plan: &Plan) -> Self {
        tls::install_provider();
        server::raise_file_limit();
        let clock: Arc<dyn Clock> = Arc::new(WallClock::start(1.0));
        let metrics = Arc::new(Metrics::new());
        let seed = Seed::root(7);
        let settings = Settings {
            seed,
            limits: plan.limits,
            service_network: Some(bootstrap::SERVICE_NETWORK),
        };
        let mut store = Store::new(settings, Arc::new(Interner::default()));
        bootstrap::create(&mut store, clock.calendar(SimInstant::START)).unwrap();
        administrator(&mut store, clock.calendar(SimInstant::START));
        let authority = Authority::generate("kubernetes", clock::wall()).unwrap();
        let identity = Identity::new(
            authority.clone(),
            PrivateKey::generate().unwrap(),
            "v1.34.2".parse().unwrap(),
            seed,
        )
        .unwrap();
        let token = identity
            .token_request(&store, "kube-system", "administrator", &json!({}))
            .unwrap();
        let token = token["status"]["token"].as_str().unwrap().to_owned();
        let cluster = Cluster::new(
            store,
            Arc::new(Behaviour::default()),
            authority.pem().into(),
            seed,
        );
        let workers = Workers::start(
            2,
            ServerOptions::new(Protocol::Kube),
            Arc::clone(&metrics) as Arc<dyn RequestObserver>,
            BodyLimits::new(MOST_BODY, Duration::from_secs(30), 64 << 20),
        );
        let services = ClusterServices {
            clock,
            recorder: metrics,
            faults: Arc::default(),
        };
        let cluster = ClusterRef::start("test", cluster, services, &workers.arbiter().unwrap());
        let mut api_server = ApiServer::new(Arc::clone(&cluster), identity, Arc::new(NoPorts));
        if let Some(streams) = plan.streams {
            api_server = api_server.with_most_streams(streams);
        }
        let api_server = Arc::new(api_server);
        let sockets = server::bind(Protocol::Kube, &["127.0.0.1:0".parse().unwrap()]).unwrap();
        if let Some(bytes) = plan.send_buffer {
            // Accepted sockets inherit it.
            socket2::SockRef::from(&sockets[0])
                .set_send_buffer_size(bytes)
                .unwrap();
        }
        let address = sockets[0].local_addr().unwrap();
        let names = ServerNames::api_server("cluster.local", None, ["127.0.0.1"]);
        let issued = authority
            .issue_server("kube-apiserver", &names, clock::wall(), chrono::Duration::days(1))
            .unwrap();
        let config = authority.server_config(&issued).unwrap();
        let listeners = (0..2)
            .map(|_| workers.open(&sockets[0], &api_server, &config).unwrap())
            .collect();
        Self {
            cluster,
            address,
            token,
            listeners,
            _workers: workers,
        }
    }

    /// Where the API server listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Headers with which a request is one of an administrator.
    pub(crate) fn credentials(&self) -> Vec<(&'static str, String)> {
        vec![("authorization", format!("Bearer {}", self.token))]
    }

    /// A kube-rs client of an administrator that connects to `address`: the API server, or something before it.
    pub(crate) fn kube(&self, address: SocketAddr) -> kube::Client {
        let mut config = kube::Config::new(format!("https://{address}").parse().unwrap());
        config.accept_invalid_certs = true;
        config.headers = self
            .credentials()
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        kube::Client::try_from(config).unwrap()
    }

    /// Forgets the history, as etcd's compaction does.
    pub(crate) async fn compact(&self) {
        let compacted = self.cluster.write(|cluster, _| {
            let version = cluster.store.version();
            cluster.store.compact(version);
        });
        compacted.await.unwrap();
    }
}

/// A service account that may do everything.
fn administrator(store: &mut Store, now: DateTime<Utc>) {
    let by = WriteOptions::by("test", now);
    let subject = json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "administrator"});
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    for (group, plural, namespace, body) in [
        (
            "",
            "serviceaccounts",
            Some("kube-system"),
            json!({"metadata": {"name": "administrator"}}),
        ),
        (
            "rbac.authorization.k8s.io",
            "clusterrolebindings",
            None,
            json!({"metadata": {"name": "administrator"}, "subjects": [subject], "roleRef": role}),
        ),
    ] {
        let resource = store.registry().find(group, plural).cloned().unwrap();
        store
            .create(Target::stored(&resource, namespace), body, by)
            .unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listeners.clear();
        self.cluster.stop();
    }
}
