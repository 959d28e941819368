//! kubeadm's documents as Cluster API writes them: keys in the order of the alphabet, empty structs as `{}`
//! (cluster-api: `bootstrap/kubeadm/types`).

use std::collections::BTreeMap;

use metalsim_actors::node::bmc::Secret;
use serde::Serialize;
use serde_saphyr::SingleQuoted;

use super::values::{KubeadmApi, NodeLabel};
use super::{Cluster, ForgeError, Role};

/// The taint that a worker bears until Cluster API has seen its node
/// (cluster-api: `api/core/v1beta1/common_types.go`, `NodeUninitializedTaint`).
const UNINITIALIZED: Taint = Taint {
    effect: "NoSchedule",
    key: "node.cluster.x-k8s.io/uninitialized",
};
/// kubeadm's own words for a token (kubernetes: `cmd/kubeadm/app/apis/bootstraptoken/v1/defaults.go`).
const TOKEN_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
const TOKEN_USAGES: [&str; 2] = ["signing", "authentication"];

/// `nodeRegistration` of one machine. Texts may be templates of cloud-init.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `name`; `None`: the host name.
    pub name: Option<String>,
    /// Labels that the kubelet gives itself.
    pub labels: Vec<NodeLabel>,
    /// The kubelet's `provider-id`.
    pub provider_id: Option<String>,
}

/// A struct of which nothing is set.
#[derive(Serialize)]
struct Unset {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterConfiguration<'a> {
    api_server: ApiServer<'a>,
    api_version: &'static str,
    cluster_name: String,
    control_plane_endpoint: String,
    controller_manager: Unset,
    dns: Unset,
    etcd: Unset,
    kind: &'static str,
    kubernetes_version: String,
    networking: Networking<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Unset>,
    scheduler: Unset,
}

#[derive(Serialize)]
struct ApiServer<'a> {
    #[serde(rename = "certSANs", skip_serializing_if = "<[String]>::is_empty")]
    cert_sans: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Networking<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_subnet: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitConfiguration<'a> {
    api_version: &'static str,
    bootstrap_tokens: [Token<'a>; 1],
    kind: &'static str,
    #[serde(rename = "localAPIEndpoint")]
    local_api_endpoint: Unset,
    node_registration: NodeRegistration<'a>,
}

#[derive(Serialize)]
struct Token<'a> {
    groups: [&'static str; 1],
    token: &'a str,
    ttl: String,
    usages: [&'static str; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JoinConfiguration<'a> {
    api_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_plane: Option<ControlPlane>,
    discovery: Discovery<'a>,
    kind: &'static str,
    node_registration: NodeRegistration<'a>,
}

#[derive(Serialize)]
struct ControlPlane {
    #[serde(rename = "localAPIEndpoint")]
    local_api_endpoint: Unset,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovery<'a> {
    bootstrap_token: TokenDiscovery<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenDiscovery<'a> {
    api_server_endpoint: String,
    ca_cert_hashes: [String; 1],
    token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeRegistration<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kubelet_extra_args: Option<Arguments<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    taints: Option<[Taint; 1]>,
}

/// A name, in the quotes in which Go's YAML puts templates.
#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Plain(&'a str),
    Template(SingleQuoted<&'a str>),
}

impl<'a> Name<'a> {
    fn of(text: &'a str) -> Self {
        if text.starts_with('{') && !text.contains(char::is_control) {
            Self::Template(SingleQuoted(text))
        } else {
            Self::Plain(text)
        }
    }
}

/// Arguments of the kubelet, a list since v1beta4.
#[derive(Serialize)]
#[serde(untagged)]
enum Arguments<'a> {
    Map(BTreeMap<&'static str, &'a str>),
    List(Vec<Argument<'a>>),
}

#[derive(Serialize)]
struct Argument<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Taint {
    effect: &'static str,
    key: &'static str,
}

/// The documents for a machine: two for the first control plane, one for any other.
///
/// # Errors
/// Never for a cluster that was made or read.
pub fn documents(cluster: &Cluster, role: Role, node: &Node) -> Result<Vec<Secret>, ForgeError> {
    let api = cluster.settings.version.kubeadm_api();
    let labels: Vec<String> = node.labels.iter().map(ToString::to_string).collect();
    let labels = labels.join(",");
    let node_registration = NodeRegistration {
        kubelet_extra_args: arguments(api, &labels, node.provider_id.as_deref()),
        name: node.name.as_deref().map(Name::of),
        taints: (role == Role::Worker).then_some([UNINITIALIZED]),
    };
    let api_version = api.as_str();
    if role == Role::Init {
        let init = InitConfiguration {
            api_version,
            bootstrap_tokens: [Token {
                groups: [TOKEN_GROUP],
                token: cluster.token.expose(),
                ttl: cluster.settings.token_ttl.to_string(),
                usages: TOKEN_USAGES,
            }],
            kind: "InitConfiguration",
            local_api_endpoint: Unset {},
            node_registration,
        };
        return Ok(vec![yaml(&cluster_configuration(cluster, api))?, yaml(&init)?]);
    }
    let join = JoinConfiguration {
        api_version,
        control_plane: (role == Role::ControlPlane).then_some(ControlPlane {
            local_api_endpoint: Unset {},
        }),
        discovery: Discovery {
            bootstrap_token: TokenDiscovery {
                api_server_endpoint: cluster.settings.endpoint.to_string(),
                ca_cert_hashes: [cluster.authorities.ca_cert_hash()?],
                token: cluster.token.expose(),
            },
        },
        kind: "JoinConfiguration",
        node_registration,
    };
    Ok(vec![yaml(&join)?])
}

fn cluster_configuration(cluster: &Cluster, api: KubeadmApi) -> ClusterConfiguration<'_> {
    let settings = &cluster.settings;
    ClusterConfiguration {
        api_server: ApiServer {
            cert_sans: &settings.cert_sans,
        },
        api_version: api.as_str(),
        cluster_name: cluster.name.to_string(),
        control_plane_endpoint: settings.endpoint.to_string(),
        controller_manager: Unset {},
        dns: Unset {},
        etcd: Unset {},
        kind: "ClusterConfiguration",
        kubernetes_version: settings.version.to_string(),
        networking: Networking {
            dns_domain: settings.dns_domain.as_deref(),
            pod_subnet: settings.pod_subnet.as_ref().map(ToString::to_string),
            service_subnet: settings.service_subnet.as_ref().map(ToString::to_string),
        },
        proxy: (api == KubeadmApi::V1beta4).then_some(Unset {}),
        scheduler: Unset {},
    }
}

fn arguments<'a>(api: KubeadmApi, labels: &'a str, provider_id: Option<&'a str>) -> Option<Arguments<'a>> {
    let labels = Some(labels).filter(|labels| !labels.is_empty());
    let given = [("node-labels", labels), ("provider-id", provider_id)];
    let mut given = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .peekable();
    given.peek()?;
    Some(match api {
        KubeadmApi::V1beta3 => Arguments::Map(given.collect()),
        KubeadmApi::V1beta4 => Arguments::List(given.map(|(name, value)| Argument { name, value }).collect()),
    })
}

/// The document as YAML, ended by a line feed.
fn yaml(document: &impl Serialize) -> Result<Secret, ForgeError> {
    let options = serde_saphyr::ser_options! {
        // Cluster API folds no long lines.
        prefer_block_scalars: false,
    };
    let mut text = serde_saphyr::to_string_with_options(document, options)
        .map_err(|error| ForgeError::Document(error.to_string().into()))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(Secret::new(&text))
}
