//! What a cluster is made from.

use std::net::Ipv4Addr;
use std::sync::Arc;

use metalsim_actors::kube::bootstrap;
use metalsim_actors::kube::kubeadm::ClusterFacts;
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::os::intent::{Endpoint, Init, KeyPair};

use super::keys::ClusterKeys;
use super::names::ClusterName;
use super::pki::{Authority, PkiError, PrivateKey, ServerNames};
use crate::clock;

/// The domain of services unless the configuration names another.
pub const DNS_DOMAIN: &str = "cluster.local";
/// Where images come from unless the configuration says otherwise.
const IMAGES: &str = "registry.k8s.io";
/// Network of the pods where none is configured.
const POD_SUBNET: &str = "10.244.0.0/16";

/// Everything that a new cluster is made from.
pub struct Founding {
    /// `clusterName`.
    pub name: String,
    /// Where its API server is reached.
    pub endpoint: Endpoint,
    /// Version of Kubernetes.
    pub version: KubernetesVersion,
    /// Signs certificates of the API server and of its clients.
    pub authority: Authority,
    /// Signs certificates of etcd's members and clients.
    pub etcd_authority: Authority,
    /// Signs tokens of service accounts.
    pub token_key: PrivateKey,
    /// The `ClusterConfiguration` as it was written; empty: made from the rest.
    pub document: Arc<str>,
    /// `imageRepository`.
    pub image_repository: String,
    /// `networking.dnsDomain`.
    pub dns_domain: String,
    /// `networking.serviceSubnet`.
    pub service_network: (Ipv4Addr, u8),
    /// `networking.podSubnet`.
    pub pod_subnet: String,
    /// Further names in the serving certificate.
    pub cert_sans: Vec<String>,
    /// The name by which it was registered; `None`: it was formed by a node.
    pub registered: Option<ClusterName>,
}

/// Why a cluster cannot be founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// Keys or certificates.
    #[error("{what}: {source}")]
    Pki {
        /// Which.
        what: &'static str,
        /// Why.
        source: PkiError,
    },
    /// A network that is none, or one of a family that is not simulated.
    #[error("{0:?} is no IPv4 network")]
    Network(Box<str>),
}

impl Founding {
    /// A cluster with keys of its own.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(name: &str, endpoint: Endpoint, version: KubernetesVersion) -> Result<Self, PkiError> {
        Ok(Self::with_keys(name, endpoint, version, ClusterKeys::generate()?))
    }

    /// A cluster with these keys.
    #[must_use]
    pub fn with_keys(name: &str, endpoint: Endpoint, version: KubernetesVersion, keys: ClusterKeys) -> Self {
        Self {
            name: name.to_owned(),
            endpoint,
            version,
            authority: keys.authority,
            etcd_authority: keys.etcd_authority,
            token_key: keys.token_key,
            document: "".into(),
            image_repository: IMAGES.to_owned(),
            dns_domain: DNS_DOMAIN.to_owned(),
            service_network: bootstrap::SERVICE_NETWORK,
            pod_subnet: POD_SUBNET.to_owned(),
            cert_sans: Vec::new(),
            registered: None,
        }
    }

    /// The names in the API server's certificate.
    #[must_use]
    pub fn server_names(&self) -> ServerNames {
        let service = Ipv4Addr::from(u32::from(self.service_network.0).saturating_add(1));
        ServerNames::api_server(
            &self.dns_domain,
            Some(service.into()),
            [&*self.endpoint.host, "localhost", "127.0.0.1"]
                .into_iter()
                .chain(self.cert_sans.iter().map(String::as_str)),
        )
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> ClusterKeys {
        ClusterKeys {
            authority: self.authority.clone(),
            etcd_authority: self.etcd_authority.clone(),
            token_key: self.token_key.clone(),
        }
    }

    /// What `kubeadm init` is told. Keys that the user data leave out are made, as kubeadm makes them.
    ///
    /// # Errors
    /// See [`FoundingError`].
    pub fn from_init(
        init: &Init,
        endpoint: Endpoint,
        version: KubernetesVersion,
    ) -> Result<Self, FoundingError> {
        let cluster = &init.cluster;
        let now = clock::wall();
        let made = |what: &'static str| move |source| FoundingError::Pki { what, source };
        let authority = match &init.pki.cluster_ca {
            Some(pair) => read(pair).map_err(made("ca.crt and ca.key"))?,
            None => Authority::generate("kubernetes", now).map_err(made("ca.crt"))?,
        };
        let etcd_authority = match &init.pki.etcd_ca {
            Some(pair) => read(pair).map_err(made("etcd/ca.crt and etcd/ca.key"))?,
            None => Authority::generate("etcd-ca", now).map_err(made("etcd/ca.crt"))?,
        };
        let private = init
            .pki
            .service_account
            .as_ref()
            .and_then(|pair| pair.private.as_ref());
        let token_key = match private {
            Some(key) => PrivateKey::from_pem(key.expose()),
            None => PrivateKey::generate(),
        }
        .map_err(made("sa.key"))?;
        let subnet = &cluster.networking.service_subnet;
        let first = subnet.split(',').next().unwrap_or_default();
        Ok(Self {
            name: cluster.cluster_name.to_string(),
            endpoint,
            version,
            authority,
            etcd_authority,
            token_key,
            document: Arc::clone(&cluster.document),
            image_repository: cluster.image_repository.as_deref().unwrap_or(IMAGES).to_owned(),
            dns_domain: cluster.networking.dns_domain.to_string(),
            service_network: network(first).ok_or_else(|| FoundingError::Network(first.into()))?,
            pod_subnet: cluster
                .networking
                .pod_subnet
                .as_deref()
                .unwrap_or(POD_SUBNET)
                .to_owned(),
            cert_sans: cluster.cert_sans.iter().map(ToString::to_string).collect(),
            registered: None,
        })
    }

    /// As the pure part takes them; `ca` is the authority's certificate.
    #[must_use]
    pub fn facts<'a>(&'a self, endpoint: &'a str, version: &'a str, ca: &'a str) -> ClusterFacts<'a> {
        ClusterFacts {
            name: &self.name,
            version,
            endpoint,
            ca,
            document: &self.document,
            image_repository: &self.image_repository,
            dns_domain: &self.dns_domain,
            service_network: self.service_network,
            pod_subnet: &self.pod_subnet,
        }
    }

    /// Network of the pods, if it is one that nodes can get addresses from.
    #[must_use]
    pub fn pod_network(&self) -> Option<(Ipv4Addr, u8)> {
        network(self.pod_subnet.split(',').next()?)
    }
}

fn read(pair: &KeyPair) -> Result<Authority, PkiError> {
    Authority::from_pem(&pair.public, pair.private.as_ref().map(|key| key.expose()))
}

/// `ADDRESS/LENGTH`, the address with its host bits cut off.
fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, length) = text.trim().split_once('/')?;
    let (address, length): (Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
    let mask = u32::MAX
        .checked_shl(32_u32.checked_sub(u32::from(length))?)
        .unwrap_or(0);
    Some((Ipv4Addr::from(u32::from(address) & mask), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(network("10.96.0.0/12"), Some((Ipv4Addr::new(10, 96, 0, 0), 12)));
        assert_eq!(
            network("192.168.7.9/16"),
            Some((Ipv4Addr::new(192, 168, 0, 0), 16))
        );
        assert_eq!(network("0.0.0.0/0"), Some((Ipv4Addr::UNSPECIFIED, 0)));
        for bad in ["fd00::/64", "10.0.0.0", "10.0.0.0/33", ""] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }
}
