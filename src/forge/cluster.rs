//! What all machines of a cluster share, and how it is kept between calls.

use chrono::{DateTime, Utc};
use metalsim_actors::node::os::intent::Endpoint;
use serde::{Deserialize, Serialize};

use super::authorities::Kept;
use super::values::{ClusterName, KubernetesVersion, Subnets, TokenTtl};
use super::{Authorities, BootstrapToken, ForgeError};

/// What a cluster is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `controlPlaneEndpoint`.
    pub endpoint: Endpoint,
    /// `kubernetesVersion`.
    pub version: KubernetesVersion,
    /// How long the bootstrap token lives, from `kubeadm init` on.
    pub token_ttl: TokenTtl,
    /// `networking.podSubnet`.
    pub pod_subnet: Option<Subnets>,
    /// `networking.serviceSubnet`.
    pub service_subnet: Option<Subnets>,
    /// `networking.dnsDomain`.
    pub dns_domain: Option<String>,
    /// `apiServer.certSANs`.
    pub cert_sans: Vec<String>,
}

/// A cluster: its settings and its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Name.
    pub name: ClusterName,
    /// What it is made with.
    pub settings: Settings,
    /// The token that machines join with. Cluster API makes one for each machine, in the cluster itself; nothing can be
    /// made in a cluster that is not there yet, so one token goes with the first machine, and kubeadm makes its Secret.
    pub token: BootstrapToken,
    /// Key pairs.
    pub authorities: Authorities,
}

/// The form in which a cluster is kept. It holds secrets.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct State {
    cluster: String,
    endpoint: String,
    kubernetes_version: String,
    token: String,
    token_ttl: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod_subnet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_subnet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns_domain: Option<String>,
    #[serde(default, rename = "certSANs", skip_serializing_if = "Vec::is_empty")]
    cert_sans: Vec<String>,
    authorities: Kept,
}

impl Cluster {
    /// A new cluster, with new secrets.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(name: ClusterName, settings: Settings, now: DateTime<Utc>) -> Result<Self, ForgeError> {
        Ok(Self {
            name,
            settings,
            token: BootstrapToken::generate()?,
            authorities: Authorities::generate(now)?,
        })
    }

    /// Reads what [`Self::to_state`] wrote, for the cluster of this name.
    ///
    /// # Errors
    /// What is wrong, without the text, which is full of secrets.
    pub fn from_state(name: &ClusterName, text: &str) -> Result<Self, ForgeError> {
        let state: State = serde_json::from_str(text).map_err(|error| ForgeError::State {
            line: error.line(),
            column: error.column(),
        })?;
        let kept: ClusterName = state.cluster.parse()?;
        if kept != *name {
            return Err(ForgeError::OtherCluster {
                kept: kept.to_string().into(),
                asked: name.to_string().into(),
            });
        }
        let subnet = |text: Option<String>| text.map(|text| text.parse::<Subnets>()).transpose();
        Ok(Self {
            name: kept,
            settings: Settings {
                endpoint: state
                    .endpoint
                    .parse()
                    .map_err(super::values::InvalidValue::from)?,
                version: state.kubernetes_version.parse()?,
                token_ttl: state.token_ttl.parse()?,
                pod_subnet: subnet(state.pod_subnet)?,
                service_subnet: subnet(state.service_subnet)?,
                dns_domain: state.dns_domain,
                cert_sans: state.cert_sans,
            },
            token: state.token.parse()?,
            authorities: Authorities::read(state.authorities)?,
        })
    }

    /// The cluster as JSON, to be kept where only its owner can read it.
    ///
    /// # Errors
    /// Never for what is in a cluster.
    pub fn to_state(&self) -> Result<String, ForgeError> {
        let settings = &self.settings;
        let text = |subnet: &Option<Subnets>| subnet.as_ref().map(ToString::to_string);
        let state = State {
            cluster: self.name.to_string(),
            endpoint: settings.endpoint.to_string(),
            kubernetes_version: settings.version.to_string(),
            token: self.token.expose().to_owned(),
            token_ttl: settings.token_ttl.to_string(),
            pod_subnet: text(&settings.pod_subnet),
            service_subnet: text(&settings.service_subnet),
            dns_domain: settings.dns_domain.clone(),
            cert_sans: settings.cert_sans.clone(),
            authorities: self.authorities.keep(),
        };
        serde_json::to_string_pretty(&state)
            .map(|text| text + "\n")
            .map_err(|error| ForgeError::Document(error.to_string().into()))
    }
}
