//! What a server is told when it asks the kubelet of a pod's node.

use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::Kubelet;
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::Status;

/// The address of the pod's node if its kubelet is silent.
pub(super) fn silent(cluster: &Cluster, pod: &Object) -> Option<String> {
    let node = metalsim_actors::kube::store::node_of(pod);
    matches!(
        cluster.kubelets().get(node.as_str()),
        Some(Kubelet::Stopped { .. })
    )
    .then(|| {
        pod.at(&["status", "hostIP"])
            .and_then(|address| address.as_str().map(ToOwned::to_owned))
            .unwrap_or(node)
    })
}

/// A connection to the kubelet, for `exec`, `attach` and `portforward`.
///
/// # Errors
/// 400 for a pod without a node; 500 while the kubelet is silent (apimachinery: `pkg/util/proxy/upgradeaware.go`).
pub(super) fn dial(cluster: &Cluster, pod: &Object) -> Result<(), Status> {
    if pod.at(&["spec", "nodeName"]).is_none() {
        return Err(Status::bad_request(format!(
            "pod {} does not have a host assigned",
            pod.name()
        )));
    }
    silent(cluster, pod).map_or(Ok(()), |address| {
        Err(Status::behind(format!(
            "error dialing backend: dial tcp {address}:10250: connect: no route to host"
        )))
    })
}
