//! kubeadm's documents: `kubeadm.k8s.io/v1beta1` to `v1beta4`, whose arguments are a map or, in v1beta4, a list.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::os::intent::{
    BootstrapToken, ClusterConfiguration, Discovery, DiscoveryTrust, Endpoint, Etcd, LocalApiEndpoint,
    Networking, NodeRegistration, Taint, TokenLifetime,
};
use serde::Deserialize;
use serde_json::Value;

use super::super::user_data::{LARGEST, parse_yaml};
use super::CERTIFICATES_DIR;
use crate::forge::values::TokenTtl;

/// How long a token holds unless it says otherwise.
const TOKEN: Duration = Duration::from_secs(24 * 3600);

/// Most documents of a file.
const MOST_DOCUMENTS: usize = 64;

/// What a file of documents holds.
#[derive(Default)]
pub(super) struct Documents {
    pub(super) cluster: Option<ClusterConfiguration>,
    pub(super) init: Option<GivenInit>,
    pub(super) join: Option<GivenJoin>,
    /// Documents of other kinds, as text.
    pub(super) others: Vec<Arc<str>>,
    pub(super) problems: Vec<Box<str>>,
}

#[derive(Default)]
pub(super) struct GivenInit {
    pub(super) node: NodeRegistration,
    pub(super) local: LocalApiEndpoint,
    pub(super) tokens: Vec<BootstrapToken>,
}

pub(super) struct GivenJoin {
    pub(super) discovery: GivenDiscovery,
    pub(super) node: NodeRegistration,
    pub(super) control_plane: Option<LocalApiEndpoint>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawCluster {
    cluster_name: Option<String>,
    control_plane_endpoint: Option<String>,
    kubernetes_version: Option<String>,
    networking: RawNetworking,
    api_server: RawApiServer,
    certificates_dir: Option<String>,
    image_repository: Option<String>,
    etcd: RawEtcd,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawNetworking {
    dns_domain: Option<String>,
    pod_subnet: Option<String>,
    service_subnet: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawApiServer {
    #[serde(rename = "certSANs")]
    cert_sans: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawEtcd {
    external: Option<RawExternalEtcd>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawExternalEtcd {
    endpoints: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawInit {
    node_registration: RawRegistration,
    #[serde(rename = "localAPIEndpoint")]
    local_api_endpoint: RawLocal,
    bootstrap_tokens: Option<Vec<RawToken>>,
}

#[derive(Deserialize)]
struct RawToken {
    token: String,
    #[serde(default)]
    ttl: Option<String>,
    #[serde(default)]
    expires: Option<DateTime<Utc>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawLocal {
    advertise_address: Option<String>,
    bind_port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRegistration {
    name: Option<String>,
    cri_socket: Option<String>,
    taints: Option<Vec<RawTaint>>,
    kubelet_extra_args: Option<Arguments>,
}

#[derive(Deserialize)]
struct RawTaint {
    key: String,
    #[serde(default)]
    value: Option<String>,
    effect: String,
}

/// Arguments of a component.
#[derive(Deserialize)]
#[serde(untagged)]
enum Arguments {
    /// v1beta4: an argument may be there several times.
    List(Vec<Argument>),
    /// Before.
    Map(BTreeMap<String, Value>),
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    /// Kubernetes' YAML takes any scalar for a text.
    #[serde(default)]
    value: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawJoin {
    discovery: GivenDiscovery,
    node_registration: RawRegistration,
    control_plane: Option<RawControlPlane>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawControlPlane {
    #[serde(rename = "localAPIEndpoint")]
    local_api_endpoint: Option<RawLocal>,
}

/// `discovery`, not checked yet.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct GivenDiscovery {
    bootstrap_token: Option<RawBootstrapToken>,
    file: Option<RawFile>,
    tls_bootstrap_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawBootstrapToken {
    token: Option<String>,
    #[serde(rename = "apiServerEndpoint")]
    api_server_endpoint: Option<String>,
    #[serde(rename = "caCertHashes")]
    ca_cert_hashes: Option<Vec<String>>,
    #[serde(rename = "unsafeSkipCAVerification")]
    unsafe_skip_ca_verification: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawFile {
    kube_config_path: Option<String>,
}

/// Reads the documents of a file.
pub(super) fn read(path: &str, text: &str) -> Documents {
    let mut documents = Documents::default();
    for (index, document) in split(text).into_iter().enumerate() {
        let place = format!("{path}, document {}", index + 1);
        if index >= MOST_DOCUMENTS {
            documents
                .problems
                .push(format!("{path}: too many documents").into());
            break;
        }
        let value = match parse_yaml(document, LARGEST) {
            Ok(Value::Null) => continue,
            Ok(value) => value,
            Err(error) => {
                documents.problems.push(format!("{place}: {error}").into());
                continue;
            }
        };
        let text_of = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (kind, version) = (text_of("kind"), text_of("apiVersion"));
        if version.split('/').next() != Some("kubeadm.k8s.io") {
            documents.others.push(document.trim().into());
            continue;
        }
        const VERSIONS: [&str; 4] = ["v1beta1", "v1beta2", "v1beta3", "v1beta4"];
        if !VERSIONS.iter().any(|known| version.ends_with(known)) {
            documents
                .problems
                .push(format!("{place}: apiVersion {version} is unknown").into());
            continue;
        }
        let problems = &mut documents.problems;
        match kind.as_str() {
            "ClusterConfiguration" => {
                documents.cluster =
                    typed(value, &place, problems).map(|raw| cluster(raw, document, &place, problems));
            }
            "InitConfiguration" => {
                documents.init = typed(value, &place, problems).map(|raw: RawInit| GivenInit {
                    node: registration(raw.node_registration, &place, problems),
                    local: local(raw.local_api_endpoint),
                    tokens: raw
                        .bootstrap_tokens
                        .unwrap_or_default()
                        .iter()
                        .map(|given| token(given, &place, problems))
                        .collect(),
                });
            }
            "JoinConfiguration" => {
                documents.join = typed(value, &place, problems).map(|raw: RawJoin| GivenJoin {
                    discovery: raw.discovery,
                    node: registration(raw.node_registration, &place, problems),
                    control_plane: raw
                        .control_plane
                        .map(|given| local(given.local_api_endpoint.unwrap_or_default())),
                });
            }
            _ => documents.others.push(document.trim().into()),
        }
    }
    documents
}

/// A token; without a time to live it holds for kubeadm's (kubernetes: `cmd/kubeadm/app/constants`, `DefaultTokenDuration`).
fn token(given: &RawToken, place: &str, problems: &mut Vec<Box<str>>) -> BootstrapToken {
    let ttl = given.ttl.as_deref().map(TokenTtl::from_str).transpose();
    let lifetime = match (given.expires, ttl) {
        (Some(expires), _) => TokenLifetime::Until(expires),
        (None, Ok(None)) => TokenLifetime::For(TOKEN),
        (None, Ok(Some(ttl))) if ttl.seconds() == 0 => TokenLifetime::Ever,
        (None, Ok(Some(ttl))) => TokenLifetime::For(Duration::from_secs(ttl.seconds().into())),
        (None, Err(error)) => {
            problems.push(format!("{place}: bootstrapTokens: {error}").into());
            TokenLifetime::For(TOKEN)
        }
    };
    BootstrapToken {
        token: Secret::new(&given.token),
        lifetime,
    }
}

/// The documents between lines of three dashes.
fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            documents.push(&text[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    documents.push(&text[start..]);
    documents.retain(|document| !document.trim().is_empty());
    documents
}

/// A document in its type; what is wrong is told without its values, which may be secrets.
fn typed<T: for<'de> Deserialize<'de>>(value: Value, place: &str, problems: &mut Vec<Box<str>>) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            problems.push(format!("{place}: {} has the wrong type", error.path()).into());
            None
        }
    }
}

fn cluster(
    raw: RawCluster,
    document: &str,
    place: &str,
    problems: &mut Vec<Box<str>>,
) -> ClusterConfiguration {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Box::<str>::from);
    let endpoint = filled(raw.control_plane_endpoint).and_then(|text| {
        text.parse::<Endpoint>()
            .map_err(|error| problems.push(format!("{place}: controlPlaneEndpoint: {error}").into()))
            .ok()
    });
    let default = default_cluster();
    ClusterConfiguration {
        cluster_name: filled(raw.cluster_name).unwrap_or(default.cluster_name),
        control_plane_endpoint: endpoint,
        kubernetes_version: filled(raw.kubernetes_version),
        networking: Networking {
            dns_domain: filled(raw.networking.dns_domain).unwrap_or(default.networking.dns_domain),
            pod_subnet: filled(raw.networking.pod_subnet),
            service_subnet: filled(raw.networking.service_subnet)
                .unwrap_or(default.networking.service_subnet),
        },
        cert_sans: boxed(raw.api_server.cert_sans.unwrap_or_default()),
        certificates_dir: filled(raw.certificates_dir).unwrap_or(default.certificates_dir),
        image_repository: filled(raw.image_repository),
        etcd: raw
            .etcd
            .external
            .map_or(Etcd::Local, |external| Etcd::External(boxed(external.endpoints))),
        document: document.trim().into(),
    }
}

/// What kubeadm assumes without a `ClusterConfiguration` (kubernetes:
/// `cmd/kubeadm/app/apis/kubeadm/v1beta4/defaults.go`).
pub(super) fn default_cluster() -> ClusterConfiguration {
    ClusterConfiguration {
        cluster_name: "kubernetes".into(),
        control_plane_endpoint: None,
        kubernetes_version: None,
        networking: Networking {
            dns_domain: "cluster.local".into(),
            pod_subnet: None,
            service_subnet: "10.96.0.0/12".into(),
        },
        cert_sans: Box::default(),
        certificates_dir: CERTIFICATES_DIR.into(),
        image_repository: None,
        etcd: Etcd::Local,
        document: Arc::from(""),
    }
}

fn boxed(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(Box::from).collect()
}

fn local(raw: RawLocal) -> LocalApiEndpoint {
    let usual = LocalApiEndpoint::default();
    LocalApiEndpoint {
        advertise_address: raw
            .advertise_address
            .filter(|text| !text.is_empty())
            .map(Box::from),
        bind_port: raw.bind_port.filter(|port| *port > 0).unwrap_or(usual.bind_port),
    }
}

fn registration(raw: RawRegistration, place: &str, problems: &mut Vec<Box<str>>) -> NodeRegistration {
    let mut arguments: BTreeMap<Box<str>, Box<str>> = match raw.kubelet_extra_args {
        None => BTreeMap::new(),
        Some(Arguments::List(list)) => list
            .into_iter()
            .map(|argument| (argument.name.into(), scalar(argument.value)))
            .collect(),
        Some(Arguments::Map(map)) => map
            .into_iter()
            .map(|(name, value)| (name.into(), scalar(value)))
            .collect(),
    };
    let labels = arguments.remove("node-labels").unwrap_or_default();
    let provider_id = arguments.remove("provider-id").filter(|id| !id.is_empty());
    let taints = raw.taints.map(|taints| {
        let taint = |taint: RawTaint| {
            let effect = taint.effect.parse().ok();
            if effect.is_none() {
                problems.push(format!("{place}: taint {}: effect {:?}", taint.key, taint.effect).into());
            }
            Some(Taint {
                key: taint.key.into(),
                value: taint.value.filter(|value| !value.is_empty()).map(Box::from),
                effect: effect?,
            })
        };
        taints.into_iter().filter_map(taint).collect()
    });
    NodeRegistration {
        name: raw.name.filter(|name| !name.is_empty()).map(Box::from),
        cri_socket: raw.cri_socket.filter(|text| !text.is_empty()).map(Box::from),
        taints,
        labels: labels
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key.trim().into(), value.trim().into())
            })
            .collect(),
        provider_id,
        kubelet_arguments: arguments,
    }
}

fn scalar(value: Value) -> Box<str> {
    match value {
        Value::String(text) => text.into(),
        Value::Null => "".into(),
        other => other.to_string().into(),
    }
}

impl GivenDiscovery {
    /// Checks what is there. `file` gives the text of a written file.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn resolve<'a>(
        self,
        file: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Discovery, Vec<Box<str>>> {
        let tls_token = self.tls_bootstrap_token.as_deref().map(Secret::new);
        match (self.bootstrap_token, self.file) {
            (Some(given), _) => {
                let mut missing = Vec::new();
                let endpoint = given
                    .api_server_endpoint
                    .filter(|text| !text.is_empty())
                    .ok_or_else(|| "discovery.bootstrapToken.apiServerEndpoint is missing".to_owned())
                    .and_then(|text| text.parse::<Endpoint>().map_err(|error| error.to_string()))
                    .map_err(|error| missing.push(error.into()))
                    .ok();
                let token = given.token.filter(|token| is_token(token));
                if token.is_none() {
                    missing.push(
                        "discovery.bootstrapToken.token is missing or not of the form id.secret".into(),
                    );
                }
                let hashes = given.ca_cert_hashes.unwrap_or_default();
                let trust = if given.unsafe_skip_ca_verification {
                    DiscoveryTrust::Unverified
                } else {
                    if hashes.is_empty() || !hashes.iter().all(|hash| is_hash(hash)) {
                        missing.push("discovery.bootstrapToken.caCertHashes are missing or not of the form sha256:<hex>".into());
                    }
                    DiscoveryTrust::CaCertHashes(boxed(hashes))
                };
                match (endpoint, missing.is_empty()) {
                    (Some(endpoint), true) => Ok(Discovery {
                        endpoint,
                        trust,
                        token: tls_token.or_else(|| token.as_deref().map(Secret::new)),
                    }),
                    _ => Err(missing),
                }
            }
            (None, Some(given)) => {
                let path = given.kube_config_path.unwrap_or_default();
                let text = file(&path)
                    .ok_or_else(|| vec![format!("{path:?}: the discovery file was not written").into()])?;
                kubeconfig(text, tls_token)
                    .ok_or_else(|| vec![format!("{path}: no kubeconfig with a server").into()])
            }
            (None, None) => Err(vec!["discovery has neither bootstrapToken nor file".into()]),
        }
    }
}

/// The cluster of a discovery kubeconfig.
fn kubeconfig(text: &str, token: Option<Secret>) -> Option<Discovery> {
    let value = parse_yaml(text, LARGEST).ok()?;
    let cluster = value.get("clusters")?.get(0)?.get("cluster")?;
    let server = cluster.get("server")?.as_str()?.strip_prefix("https://")?;
    let ca = cluster
        .get("certificate-authority-data")
        .and_then(Value::as_str)
        .and_then(super::super::config_drive::decode_base64)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Some(Discovery {
        endpoint: server.trim_end_matches('/').parse().ok()?,
        trust: DiscoveryTrust::File(ca.map(Box::from)),
        token,
    })
}

/// `[a-z0-9]{6}.[a-z0-9]{16}` (kubernetes: `cluster-bootstrap/token/api/types.go`).
fn is_token(text: &str) -> bool {
    let plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split_once('.')
        .is_some_and(|(id, secret)| id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret))
}

fn is_hash(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_of_tokens() {
        let hours = |hours: u64| TokenLifetime::For(Duration::from_secs(hours * 3600));
        let until = "2030-01-01T00:00:00Z".parse().unwrap();
        for (line, lifetime, problems) in [
            ("", hours(24), 0),
            ("ttl: 2h0m0s", hours(2), 0),
            ("ttl: 0s", TokenLifetime::Ever, 0),
            ("expires: '2030-01-01T00:00:00Z'", TokenLifetime::Until(until), 0),
            ("ttl: soon", hours(24), 1),
        ] {
            let text = format!(
                "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nbootstrapTokens:\n- token: abcdef.0123456789abcdef\n  {line}\n"
            );
            let read = read("kubeadm.yaml", &text);
            assert_eq!(read.init.unwrap().tokens[0].lifetime, lifetime, "{line}");
            assert_eq!(read.problems.len(), problems, "{line}: {:?}", read.problems);
        }
    }
}
