//! What KubeadmControlPlane, and around it Cluster API's other controllers, ask of a workload cluster (cluster-api:
//! `controlplane/kubeadm/internal/workload_cluster*.go`, `internal/controllers/machine`, `bootstrap/kubeadm/internal/controllers`).

use std::collections::BTreeSet;

use metalsim::clock;
use metalsim::forge::{BootstrapToken, Role};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::access::{AGGREGATED, Access, Api, Informer};
use super::etcd::{Client, Keys, Member};
use super::machines::Machines;
use super::tunnel::{Way, dial};
use crate::kube::raw;
use crate::world::until;

/// Role of nodes of the control plane: a label, and a taint.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// The static pods of each of them.
pub(crate) const COMPONENTS: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];
const SYSTEM: &str = "/api/v1/namespaces/kube-system";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// A condition's status, empty if there is none.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    found
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or("")
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && condition(pod, "Ready") == "True"
}

/// What is known of etcd after a look at it.
pub(crate) struct Etcd {
    pub(crate) members: Vec<Member>,
    /// The name of the leader.
    pub(crate) leader: String,
}

/// The controllers of one cluster.
pub(crate) struct Controllers {
    pub(crate) access: Access,
    pub(crate) keys: Keys,
    pub(crate) api: Api,
    pub(crate) nodes: Informer,
    pub(crate) pods: Informer,
}

impl Controllers {
    /// ClusterCache connects (cluster-api: `controllers/clustercache/cluster_accessor_client.go`).
    pub(crate) async fn connect(machines: &Machines) -> Self {
        let access = Access::of(&machines.cluster);
        let api = Api::connect(&access).await;
        let root = api.get("/").await;
        assert_eq!(root.code, 200);
        for path in ["/api", "/apis"] {
            let found = api.send("GET", path, AGGREGATED, None).await;
            let kind = &found.headers["content-type"];
            assert_eq!(
                kind,
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            );
            let found = found.must(200);
            if path == "/api" {
                let resources = found["items"][0]["versions"][0]["resources"].as_array();
                let node = resources
                    .unwrap()
                    .iter()
                    .find(|resource| resource["resource"] == "nodes");
                assert_eq!(node.unwrap()["responseKind"]["kind"], "Node");
            }
        }
        // Whether it runs in this very cluster.
        let own = "/api/v1/namespaces/capi-kubeadm-control-plane-system/pods/manager-0";
        api.get(own).await.must(404);
        let nodes = Informer::start(&api, "/api/v1/nodes").await;
        let selector =
            "component in (etcd,kube-apiserver,kube-controller-manager,kube-scheduler),tier=control-plane";
        let selector: String =
            percent_encoding::utf8_percent_encode(selector, percent_encoding::NON_ALPHANUMERIC).collect();
        let pods = Informer::start(&api, &format!("{SYSTEM}/pods?labelSelector={selector}")).await;
        Self {
            access,
            keys: Keys::of(&machines.cluster),
            api,
            nodes,
            pods,
        }
    }

    /// One reconcile of a control plane of these machines, all of which are to be well. Returns what etcd says.
    pub(crate) async fn reconcile(&self, machines: &[&str], version: &str) -> Etcd {
        assert_eq!(self.api.get("/").await.code, 200);
        assert_eq!(self.configuration().await["kubernetesVersion"], version);
        for machine in machines {
            self.is_well(machine).await;
        }
        let selected = format!("/api/v1/nodes?labelSelector={CONTROL_PLANE}%3D");
        let listed = self.api.read(&selected).await;
        assert_eq!(names(&listed), sorted(machines));
        for machine in machines {
            self.certificate_expires_in_a_year(machine).await;
        }
        self.etcd(machines).await
    }

    /// `ClusterConfiguration` as it is in the cluster.
    pub(crate) async fn configuration(&self) -> Value {
        let map = self
            .api
            .read(&format!("{SYSTEM}/configmaps/kubeadm-config"))
            .await;
        let text = map["data"]["ClusterConfiguration"].as_str().unwrap();
        let configuration: Value = serde_saphyr::from_str(text).unwrap();
        assert_eq!(configuration["apiVersion"], "kubeadm.k8s.io/v1beta4");
        configuration
    }

    /// The conditions of a machine: its node, its static pods, label and taint.
    async fn is_well(&self, machine: &str) {
        let what = format!("{machine} to be well");
        until(&what, || async {
            let node = self.nodes.find(machine);
            let wanted = [
                ("Ready", "True"),
                ("MemoryPressure", "False"),
                ("DiskPressure", "False"),
                ("PIDPressure", "False"),
            ];
            let is_well = wanted
                .iter()
                .all(|(kind, status)| condition(&node, kind) == *status);
            is_well
                && COMPONENTS
                    .iter()
                    .all(|component| is_ready(&self.pods.find(&format!("{component}-{machine}"))))
        })
        .await;
        let node = self.nodes.find(machine);
        assert_eq!(node["metadata"]["labels"][CONTROL_PLANE], "", "{machine}");
        let taints = node["spec"]["taints"].as_array().unwrap();
        let taint = json!({"key": CONTROL_PLANE, "effect": "NoSchedule"});
        assert!(taints.contains(&taint), "{machine}: {taints:?}");
        assert_eq!(node["spec"]["providerID"], Machines::provider_id(machine));
        for component in COMPONENTS {
            let pod = self.pods.find(&format!("{component}-{machine}"));
            let owner = &pod["metadata"]["ownerReferences"][0];
            assert_eq!(owner["uid"], node["metadata"]["uid"], "{component}-{machine}");
            assert!(pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string());
        }
    }

    /// KCP looks for the certificate with this name behind the pod's port, whatever name it is for.
    async fn certificate_expires_in_a_year(&self, machine: &str) {
        let pod = format!("kube-apiserver-{machine}");
        let stream = dial(&self.access, &pod, 6443, Way::WebSocket).await.unwrap();
        // A server name that is an address is not told.
        let name = ServerName::IpAddress(self.access.address.ip().into());
        let stream = raw::connector(&[]).connect(name, stream).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        let found = chain.iter().find_map(|certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
            let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
            let names = certificate.subject_alternative_name().ok()??.value;
            // It is that of this machine, not of the endpoint.
            let own = names.general_names.contains(&GeneralName::DNSName(machine));
            (name == "kube-apiserver" && own).then(|| certificate.validity().not_after.timestamp())
        });
        let left = found.expect("a certificate of the machine") - clock::wall().timestamp();
        let day = 86_400;
        assert!((364 * day..366 * day).contains(&left), "{left}");
    }

    /// Asks every member, as versions before 1.10 do. What they say must agree, and be about these machines.
    pub(crate) async fn etcd(&self, machines: &[&str]) -> Etcd {
        let mut told = BTreeSet::new();
        let (mut members, mut leader) = (Vec::new(), String::new());
        for (machine, way) in machines
            .iter()
            .zip([Way::WebSocket, Way::Spdy].into_iter().cycle())
        {
            let client = Client::of(&self.access, &self.keys, machine, way).await.unwrap();
            let status = &client.status;
            assert_eq!(status.errors, Vec::<String>::new(), "{machine}");
            assert!(status.version.starts_with("3.6."), "{machine}");
            assert!(status.db_size > 0 && status.raft_index > 0, "{machine}");
            let list = client.members().await.unwrap();
            let own = list
                .members
                .iter()
                .find(|member| member.id == list.header.member_id);
            assert_eq!(own.unwrap().name, *machine);
            assert_eq!(client.alarms().await.unwrap().alarms, Vec::new());
            for member in &list.members {
                assert!(!member.is_learner && member.id != 0, "{member:?}");
                assert_eq!((member.peer_urls.len(), member.client_urls.len()), (1, 1));
            }
            let lead = list.members.iter().find(|member| member.id == status.leader);
            leader.clone_from(&lead.expect("a leader among the members").name);
            let ids: Vec<u64> = list.members.iter().map(|member| member.id).collect();
            told.insert((list.header.cluster_id, status.leader, list.header.raft_term, ids));
            members = list.members;
        }
        assert_eq!(told.len(), 1, "{told:?}");
        assert_ne!(told.first().unwrap().0, 0);
        let mut names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
        names.sort_unstable();
        assert_eq!(names, sorted(machines));
        Etcd { members, leader }
    }

    /// A client of the first member that can be reached: by messages, else by bare frames.
    async fn first_available(&self, machines: &[&str]) -> Client {
        let mut failures = Vec::new();
        for machine in machines {
            for way in [Way::WebSocket, Way::Spdy] {
                match Client::of(&self.access, &self.keys, machine, way).await {
                    Ok(client) => return client,
                    Err(error) => failures.push(error),
                }
            }
        }
        panic!("no member can be reached: {failures:?}");
    }

    /// `ForwardEtcdLeadership`.
    pub(crate) async fn forward_leadership(&self, from: &str, to: &str, machines: &[&str]) {
        let any = self.first_available(machines).await;
        let members = any.members().await.unwrap().members;
        let lead = members.iter().find(|member| member.id == any.status.leader);
        let lead = &lead.expect("a leader among the members").name;
        if lead != from {
            return;
        }
        let next = members.iter().find(|member| member.name == to).unwrap().id;
        // Only the leader itself can do it.
        if let Some(other) = machines.iter().find(|machine| *machine != lead) {
            let other = self.first_available(&[other]).await;
            let refused = other.move_leader(next).await;
            assert_eq!(refused, Err((9, "etcdserver: not leader".to_owned())));
        }
        let leader = self.first_available(&[lead]).await;
        assert_eq!(
            leader.move_leader(1).await,
            Err((9, "etcdserver: bad leader transferee".to_owned()))
        );
        leader.move_leader(next).await.unwrap();
        let term = leader.status.header.raft_term;
        let leader = self.first_available(&[to]).await;
        assert_eq!(leader.status.leader, next);
        assert!(leader.status.header.raft_term > term);
    }

    /// `RemoveEtcdMember`, asked of one of the others.
    pub(crate) async fn remove_member(&self, name: &str, others: &[&str]) {
        let client = self.first_available(others).await;
        let members = client.members().await.unwrap().members;
        let member = members.iter().find(|member| member.name == name).unwrap();
        assert!(members.len() > 1);
        let left = client.remove(member.id).await.unwrap();
        assert_eq!(left.members.len(), members.len() - 1);
        assert!(left.members.iter().all(|left| left.id != member.id));
        let again = client.remove(member.id).await;
        assert_eq!(again, Err((5, "etcdserver: member not found".to_owned())));
    }

    /// CABPK makes a token, and the machine joins with it (cluster-api: `bootstrap/kubeadm/internal/controllers/token.go`).
    pub(crate) async fn join(&self, machines: &mut Machines, name: &str) {
        let token = BootstrapToken::generate().unwrap();
        let (id, secret) = token.expose().split_once('.').unwrap();
        let refused = machines.boot(name, Role::ControlPlane, Some(&token)).await;
        assert!(refused.unwrap_err().again, "its token is not there yet");
        let encoded = |text: &str| {
            use base64::Engine as _;
            base64::prelude::BASE64_STANDARD.encode(text)
        };
        let expiration = |minutes| {
            let time = clock::wall() + chrono::Duration::minutes(minutes);
            encoded(&time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        };
        let mut body = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "data": {
                "token-id": encoded(id), "token-secret": encoded(secret), "expiration": expiration(15),
                "usage-bootstrap-signing": encoded("true"), "usage-bootstrap-authentication": encoded("true"),
                "auth-extra-groups": encoded("system:bootstrappers:kubeadm:default-node-token"),
                "description": encoded("token generated by cluster-api-bootstrap-provider-kubeadm"),
            },
        });
        let path = format!("{SYSTEM}/secrets");
        self.api.typed("POST", &path, &body).await.must(201);
        machines
            .boot(name, Role::ControlPlane, Some(&token))
            .await
            .unwrap();
        // It is kept alive until the node is there.
        let path = format!("{path}/bootstrap-token-{id}");
        body["metadata"] = self.api.read(&path).await["metadata"].clone();
        body["data"]["expiration"] = expiration(20).into();
        self.api.typed("PUT", &path, &body).await.must(200);
        self.adopt(name).await;
    }

    /// CAPM3 and the Machine controller find the node and mark it.
    pub(crate) async fn adopt(&self, name: &str) {
        let selector = format!(
            "/api/v1/nodes?labelSelector=metal3.io%2Fuuid%3D{}",
            Machines::uuid(name)
        );
        let found = self.api.read(&selector).await;
        assert_eq!(names(&found), [name]);
        assert_eq!(
            found["items"][0]["spec"]["providerID"],
            Machines::provider_id(name)
        );
        until("the node to be seen", || async {
            !self.nodes.find(name).is_null()
        })
        .await;
        let path = format!("/api/v1/nodes/{name}");
        let patch = |version: &Value| {
            json!({"metadata": {
                "resourceVersion": version,
                "annotations": {"cluster.x-k8s.io/machine": name, "cluster.x-k8s.io/owner-kind": "KubeadmControlPlane"},
                "labels": {"node.cluster.x-k8s.io/owned": ""},
            }})
        };
        let stale = self
            .api
            .patch("strategic-merge", &path, &patch(&"1".into()))
            .await;
        assert_eq!(stale.must(409)["reason"], "Conflict");
        // Others write to a new node too.
        until("the node to be marked", || async {
            let node = self.api.read(&path).await;
            let patch = patch(&node["metadata"]["resourceVersion"]);
            let marked = self.api.patch("strategic-merge", &path, &patch).await;
            marked.code != 409
                && marked.must(200)["metadata"]["annotations"]["cluster.x-k8s.io/machine"] == name
        })
        .await;
    }

    /// The Machine controller drains the node. On one that does not answer, pods only have to be told to go.
    pub(crate) async fn drain(&self, name: &str, is_reachable: bool) {
        let path = format!("/api/v1/nodes/{name}");
        let cordon = json!({"spec": {"unschedulable": true}});
        let cordoned = self.api.patch("merge", &path, &cordon).await.must(200);
        assert_eq!(cordoned["spec"]["unschedulable"], true);
        let on_node = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{name}&limit=100");
        until(&format!("{name} to be drained"), || async {
            let mut left = 0;
            for pod in self.api.read(&on_node).await["items"].as_array().unwrap() {
                let metadata = &pod["metadata"];
                let owner = &metadata["ownerReferences"][0];
                let (namespace, pod_name) = (metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap());
                self.api.read(&format!("/api/v1/namespaces/{namespace}")).await;
                if owner["kind"] == "DaemonSet" {
                    let set = owner["name"].as_str().unwrap();
                    self.api.read(&format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{set}")).await;
                    continue;
                }
                let is_mirror = metadata["annotations"]["kubernetes.io/config.mirror"].is_string();
                if is_mirror || (!is_reachable && metadata["deletionTimestamp"].is_string()) {
                    continue;
                }
                left += 1;
                let mut eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod_name, "namespace": namespace}});
                if !is_reachable {
                    eviction["deleteOptions"] = json!({"gracePeriodSeconds": 1});
                }
                let path = format!("/api/v1/namespaces/{namespace}/pods/{pod_name}/eviction");
                let evicted = self.api.typed("POST", &path, &eviction).await;
                assert!([201, 404].contains(&evicted.code), "{evicted:?}");
            }
            left == 0
        })
        .await;
        for volumes in [
            "/apis/storage.k8s.io/v1/volumeattachments",
            "/api/v1/persistentvolumes",
        ] {
            let listed = self.api.read(&format!("{volumes}?limit=100")).await;
            assert_eq!(listed["items"], json!([]));
        }
    }

    /// The Machine controller deletes the Node of a machine that is gone. What it ran goes with it.
    pub(crate) async fn delete_node(&self, name: &str) {
        let path = format!("/api/v1/nodes/{name}");
        self.api.delete(&path).await.must(200);
        self.api.delete(&path).await.must(404);
        until("the node and its pods to be gone", || async {
            let is_gone = |component: &&str| self.pods.find(&format!("{component}-{name}")).is_null();
            self.nodes.find(name).is_null() && COMPONENTS.iter().all(is_gone)
        })
        .await;
    }

    /// What KCP writes before the first machine of another version (cluster-api: `UpdateClusterConfiguration`, `workload_cluster_rbac.go`).
    pub(crate) async fn prepare_upgrade(&self, from: &str, to: &str) {
        let path = format!("{SYSTEM}/configmaps/kubeadm-config");
        let mut map = self.api.read(&path).await;
        let text = map["data"]["ClusterConfiguration"].as_str().unwrap();
        let wanted = text.replace(
            &format!("kubernetesVersion: {from}"),
            &format!("kubernetesVersion: {to}"),
        );
        assert_ne!(text, wanted);
        map["data"]["ClusterConfiguration"] = wanted.into();
        let mut stale = map.clone();
        stale["metadata"]["resourceVersion"] = "1".into();
        let conflict = self.api.typed("PUT", &path, &stale).await.must(409);
        assert_eq!(
            conflict["message"],
            "Operation cannot be fulfilled on configmaps \"kubeadm-config\": the object has been modified; please apply your changes to the latest version and try again"
        );
        self.api.typed("PUT", &path, &map).await.must(200);
        assert_eq!(self.configuration().await["kubernetesVersion"], to);

        // Its cache looks first, and it creates what is missing.
        let roles = Informer::start(&self.api, ROLES).await;
        let bindings = [
            (
                "kubeadm:cluster-admins",
                "cluster-admin",
                "Group",
                "kubeadm:cluster-admins",
            ),
            (
                "kubeadm:apiserver-kubelet-client",
                "system:kubelet-api-admin",
                "User",
                "kube-apiserver-kubelet-client",
            ),
        ];
        for (name, role, kind, subject) in bindings {
            let body = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
            });
            let created = self.api.typed("POST", ROLES, &body).await;
            if roles.find(name).is_null() {
                created.must(201);
            } else {
                assert_eq!(created.must(409)["reason"], "AlreadyExists");
            }
            until("the binding to be seen", || async { !roles.find(name).is_null() }).await;
        }
    }

    /// What KCP writes when all machines are of the new version: kube-proxy and CoreDNS.
    pub(crate) async fn finish_upgrade(&self, version: &str) {
        let apps = "/apis/apps/v1/namespaces/kube-system";
        let path = format!("{apps}/daemonsets/kube-proxy");
        let mut set = self.api.read(&path).await;
        let containers = &mut set["spec"]["template"]["spec"]["containers"];
        containers[0]["image"] = format!("registry.k8s.io/kube-proxy:{version}").into();
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        self.api.patch("merge", &path, &patch).await.must(200);

        let map = format!("{SYSTEM}/configmaps/coredns");
        let corefile = self.api.read(&map).await["data"]["Corefile"].clone();
        let deployment = format!("{apps}/deployments/coredns");
        let found = self.api.read(&deployment).await;
        let mut pod = found["spec"]["template"]["spec"].clone();
        let image = pod["containers"][0]["image"].as_str().unwrap();
        let (repository, _) = image.split_once(":v1.").unwrap();
        let image = format!("{repository}:v1.13.1");
        // Without a version: whatever it is by now.
        let put = async |data: Value| {
            let metadata = json!({"name": "coredns", "namespace": "kube-system"});
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
            self.api.typed("PUT", &map, &body).await.must(200);
        };
        put(json!({"Corefile": corefile, "Corefile-backup": corefile})).await;
        let item = |pod: &mut Value, key: &str| {
            assert_eq!(pod["volumes"][0]["name"], "config-volume");
            pod["volumes"][0]["configMap"]["items"][0]["key"] = key.into();
            json!({"spec": {"template": {"spec": {"containers": pod["containers"], "volumes": pod["volumes"]}}}})
        };
        let patch = item(&mut pod, "Corefile-backup");
        self.api.patch("merge", &deployment, &patch).await.must(200);
        put(json!({"Corefile": format!("# migrated\n{}", corefile.as_str().unwrap()), "Corefile-backup": corefile})).await;
        pod["containers"][0]["image"] = image.as_str().into();
        let patch = item(&mut pod, "Corefile");
        let patched = self.api.patch("merge", &deployment, &patch).await.must(200);
        assert_eq!(
            patched["spec"]["template"]["spec"]["containers"][0]["image"],
            *image
        );
        until("the add-ons to be rolled out", || async {
            let set = self.api.read(&path).await;
            let (proxies, dns) = (&set["status"], self.api.read(&deployment).await);
            let status = &dns["status"];
            let is_seen =
                |object: &Value| object["status"]["observedGeneration"] == object["metadata"]["generation"];
            is_seen(&set)
                && is_seen(&dns)
                && proxies["updatedNumberScheduled"] == proxies["desiredNumberScheduled"]
                && proxies["numberAvailable"] == proxies["desiredNumberScheduled"]
                && (
                    &status["updatedReplicas"],
                    &status["availableReplicas"],
                    &status["replicas"],
                ) == (&json!(2), &json!(2), &json!(2))
        })
        .await;
    }
}

/// The names of what is in a list, in order.
fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    let mut names: Vec<&str> = Vec::new();
    for item in items {
        names.extend(item["metadata"]["name"].as_str());
    }
    names.sort_unstable();
    names
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}
