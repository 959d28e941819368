//! The machines of a cluster, as the nodes' actors drive them: through the port `Clusters`, with user data in Cluster API's shape.

use std::collections::BTreeMap;
use std::sync::Arc;

use metalsim::boot::system;
use metalsim::cluster::manager::ManagerPort;
use metalsim::forge::cluster::Settings;
use metalsim::forge::kubeadm::Node;
use metalsim::forge::{self, Bootstrap, BootstrapToken, Role, cloud_config};
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::os::membership::{BootstrapFailure, Machine, Membership};
use metalsim_actors::ports::Clusters as _;
use metalsim_actors::testkit::{identity, kind};
use metalsim_actors::timing::Timing;
use serde_json::json;

use crate::world::World;

/// A cluster's machines and what they are made with.
pub(crate) struct Machines {
    pub(crate) cluster: forge::Cluster,
    port: ManagerPort,
    known: BTreeMap<String, (NodeId, Arc<Membership>)>,
}

impl Machines {
    pub(crate) fn new(world: &World, name: &str, endpoint: &str, version: &str) -> Self {
        let settings = Settings {
            endpoint: endpoint.parse().unwrap(),
            version: version.parse().unwrap(),
            token_ttl: "15m".parse().unwrap(),
            pod_subnet: None,
            service_subnet: None,
            dns_domain: None,
            cert_sans: Vec::new(),
        };
        Self {
            cluster: forge::Cluster::new(name.parse().unwrap(), settings, metalsim::clock::wall()).unwrap(),
            port: ManagerPort(Arc::clone(&world.clusters)),
            known: BTreeMap::new(),
        }
    }

    /// The id of the machine of that name: its node has it in the label `metal3.io/uuid`.
    pub(crate) fn uuid(name: &str) -> String {
        identity(name).id.as_uuid().to_string()
    }

    pub(crate) fn provider_id(name: &str) -> String {
        format!("metal3://metal3/host-{name}/{name}")
    }

    /// A machine boots for the first time, and kubeadm does its work. A join has a token of its own.
    pub(crate) async fn boot(
        &mut self,
        name: &str,
        role: Role,
        token: Option<&BootstrapToken>,
    ) -> Result<(), BootstrapFailure> {
        let mut cluster = self.cluster.clone();
        if let Some(token) = token {
            cluster.token = token.clone();
        }
        let node = Node {
            name: None,
            labels: vec!["metal3.io/uuid={{ ds.meta_data.uuid }}".parse().unwrap()],
            provider_id: Some("metal3://{{ ds.meta_data.providerid }}".to_owned()),
        };
        let bootstrap = Bootstrap::new(&cluster, role, &node).unwrap();
        let machine = Machine {
            identity: identity(name),
            kind: kind(Timing::instant()),
            image: None,
        };
        let drive = json!({
            "meta_data": {"uuid": Self::uuid(name), "name": name, "local_hostname": name, "providerid": format!("metal3/host-{name}/{name}")},
            "user_data": cloud_config::render(&bootstrap).expose(),
        });
        let description = Arc::new(system::of_config_drive(&drive.to_string()));
        assert!(description.warnings.is_empty(), "{:?}", description.warnings);
        let id = machine.identity.id;
        let membership = self.port.bootstrap(Box::new(machine), description).await?;
        self.port.started(id, &membership, false);
        self.known.insert(name.to_owned(), (id, membership));
        Ok(())
    }

    pub(crate) fn power_off(&self, name: &str) {
        self.port.stopped(self.known[name].0);
    }

    pub(crate) fn power_on(&self, name: &str) {
        let (id, membership) = &self.known[name];
        self.port.started(*id, membership, false);
    }

    /// The host is deprovisioned: powered off, its disk erased.
    pub(crate) fn deprovision(&mut self, name: &str) {
        let (id, membership) = self.known.remove(name).unwrap();
        self.port.stopped(id);
        self.port.erased(id, &membership);
    }
}
