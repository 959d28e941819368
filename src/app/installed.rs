//! Nodes whose disks hold a system from the start: what Ironic would have written there, with the user data that Cluster
//! API's bootstrap provider would have made.

use std::collections::HashMap;

use anyhow::Context as _;
use metalsim_actors::fault::words::Role;
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::disk::Image;
use metalsim_actors::shell::Installed;
use serde_json::{Map, json};

use crate::clock;
use crate::cluster::manager::Manager;
use crate::forge::cluster::Settings as ClusterSettings;
use crate::forge::config_drive::{self, Beside};
use crate::forge::kubeadm::Node;
use crate::forge::{self, Bootstrap, Cluster, cloud_config};
use crate::settings::NodeSpec;
use crate::values::names::ClusterName;

/// Name of a node: that of its machine, as Cluster API's templates for Metal3 have it.
const NODE_NAME: &str = "{{ ds.meta_data.name }}";

/// Makes what is on the disks. Clusters get their endpoints here; their first control planes form them.
pub(super) struct Installer<'a> {
    manager: &'a Manager,
    version: KubernetesVersion,
    /// By name, and whether a machine forms it.
    clusters: HashMap<ClusterName, (Cluster, bool)>,
    /// The image, which all share.
    image: Image,
}

impl<'a> Installer<'a> {
    pub(super) fn new(manager: &'a Manager, version: KubernetesVersion) -> Self {
        let image = Image {
            id: "installed".into(),
            url: "".into(),
            checksum: None,
            format: None,
        };
        Self {
            manager,
            version,
            clusters: HashMap::new(),
            image,
        }
    }

    /// What is on a node's disk; none: nothing. To be called in the fleet's order.
    ///
    /// # Errors
    /// If there is no endpoint for its cluster.
    pub(super) fn install(&mut self, node: &NodeSpec) -> anyhow::Result<Option<Installed>> {
        let Some(member) = &node.cluster else {
            return Ok(None);
        };
        if !self.clusters.contains_key(&member.name) {
            let cluster = self
                .found(&member.name)
                .with_context(|| format!("cluster {}", member.name.name()))?;
            self.clusters.insert(member.name.clone(), (cluster, false));
        }
        let Some((cluster, is_formed)) = self.clusters.get_mut(&member.name) else {
            return Ok(None);
        };
        let role = match member.role {
            // The first one forms it.
            Role::ControlPlane if !std::mem::replace(is_formed, true) => forge::Role::Init,
            Role::ControlPlane => forge::Role::ControlPlane,
            Role::Worker => forge::Role::Worker,
        };
        let kubelet = Node {
            name: Some(NODE_NAME.to_owned()),
            ..Node::default()
        };
        let user_data = cloud_config::render(&Bootstrap::new(cluster, role, &kubelet)?);
        let mut meta_data = Map::new();
        for (key, value) in [("uuid", node.id.to_string()), ("name", node.name.to_string())] {
            meta_data.insert(key.to_owned(), json!(value));
        }
        let beside = Beside {
            meta_data: Some(meta_data),
            network_data: None,
        };
        let drive = config_drive::packed(&config_drive::image(&user_data, &beside)?)?;
        Ok(Some(Installed {
            image: self.image.clone(),
            config_drive: drive.into(),
        }))
    }

    fn found(&self, name: &ClusterName) -> anyhow::Result<Cluster> {
        let endpoint = self.manager.endpoints().reserve(name)?;
        let settings = ClusterSettings {
            endpoint,
            version: self.version.to_string().parse()?,
            // Machines may come up at any time.
            token_ttl: "0".parse()?,
            pod_subnet: None,
            service_subnet: None,
            dns_domain: None,
            cert_sans: Vec::new(),
        };
        Ok(Cluster::new(name.name().parse()?, settings, clock::wall())?)
    }
}
