//! The configuration maps: what `kubeadm join`, kubelets, kube-proxy and Cluster API read.

use serde_json::{Value, json};

use super::{ClusterFacts, config_map};

/// The maps, each with its namespace.
pub(super) fn maps(facts: &ClusterFacts<'_>) -> Vec<(&'static str, Value)> {
    let mut proxy = config_map(
        "kube-proxy",
        json!({"config.conf": proxy_configuration(facts), "kubeconfig.conf": proxy_kubeconfig(facts)}),
    );
    proxy["metadata"]["labels"] = json!({"app": "kube-proxy"});
    vec![
        (
            "kube-system",
            config_map(
                "kubeadm-config",
                json!({"ClusterConfiguration": cluster_configuration(facts)}),
            ),
        ),
        (
            "kube-system",
            config_map("kubelet-config", json!({"kubelet": kubelet_configuration(facts)})),
        ),
        ("kube-system", proxy),
        (
            "kube-system",
            config_map("coredns", json!({"Corefile": corefile(facts)})),
        ),
        (
            "kube-system",
            config_map(
                "extension-apiserver-authentication",
                json!({
                    "client-ca-file": facts.ca,
                    "requestheader-allowed-names": "[\"front-proxy-client\"]",
                    "requestheader-client-ca-file": facts.ca,
                    "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
                    "requestheader-group-headers": "[\"X-Remote-Group\"]",
                    "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
                    "requestheader-username-headers": "[\"X-Remote-User\"]",
                }),
            ),
        ),
        (
            "kube-public",
            config_map("cluster-info", json!({"kubeconfig": cluster_info(facts)})),
        ),
    ]
}

/// `ClusterConfiguration` (kubeadm v1beta4), unless the user wrote one.
fn cluster_configuration(facts: &ClusterFacts<'_>) -> String {
    if !facts.document.is_empty() {
        return facts.document.to_owned();
    }
    let pods = match facts.pod_subnet {
        "" => String::new(),
        subnet => format!("  podSubnet: {subnet}\n"),
    };
    format!(
        "apiServer: {{}}
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificateValidityPeriod: 8760h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: {name}
controlPlaneEndpoint: {endpoint}
controllerManager: {{}}
dns: {{}}
encryptionAlgorithm: RSA-2048
etcd:
  local:
    dataDir: /var/lib/etcd
imageRepository: {repository}
kind: ClusterConfiguration
kubernetesVersion: {version}
networking:
  dnsDomain: {domain}
{pods}  serviceSubnet: {services}
proxy: {{}}
scheduler: {{}}
",
        name = facts.name,
        endpoint = facts.endpoint,
        repository = facts.image_repository,
        version = facts.version,
        domain = facts.dns_domain,
        services = facts.service_subnet(),
    )
}

fn kubelet_configuration(facts: &ClusterFacts<'_>) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    cacheTTL: 0s
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
cgroupDriver: systemd
clusterDNS:
- {dns}
clusterDomain: {domain}
healthzBindAddress: 127.0.0.1
healthzPort: 10248
kind: KubeletConfiguration
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
",
        dns = facts.dns_address(),
        domain = facts.dns_domain,
    )
}

fn proxy_configuration(facts: &ClusterFacts<'_>) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
clientConnection:
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
clusterCIDR: {pods:?}
kind: KubeProxyConfiguration
mode: \"\"
",
        pods = facts.pod_subnet,
    )
}

fn proxy_kubeconfig(facts: &ClusterFacts<'_>) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://{endpoint}
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
",
        endpoint = facts.endpoint,
    )
}

fn corefile(facts: &ClusterFacts<'_>) -> String {
    format!(
        ".:53 {{
    errors
    health {{
       lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :9153
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success {domain}
       disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
",
        domain = facts.dns_domain,
    )
}

/// The kubeconfig that a joining node reads anonymously: only where the cluster is, and its CA.
fn cluster_info(facts: &ClusterFacts<'_>) -> String {
    use base64::Engine as _;
    let ca = base64::prelude::BASE64_STANDARD.encode(facts.ca);
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {ca}
    server: https://{endpoint}
  name: \"\"
contexts: null
current-context: \"\"
kind: Config
preferences: {{}}
users: null
",
        endpoint = facts.endpoint,
    )
}
