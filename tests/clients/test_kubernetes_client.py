"""The Kubernetes client for Python, unmodified, generated and dynamic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from lib.cluster_server import ClusterServer
from lib.waiting import wait_until

NAMESPACE = "default"


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[ClusterServer]:
    server = ClusterServer(folder / "cluster", 3)
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def api(cluster: ClusterServer) -> client.ApiClient:
    return config.new_client_from_config(str(cluster.kubeconfig))


@pytest.fixture(scope="module")
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"test": "yes"}), data=data)


# What a kubelet of 1.34 without swap and outside of a user namespace leaves out.
NOT_TOLD = {"swap", "running_in_user_namespace", "kube_proxy_version"}


def test_nodes_have_what_a_node_has(core: client.CoreV1Api) -> None:

    def ready(node: client.V1Node) -> bool:
        return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions)

    # They are a second after the start of their kubelets.
    wait_until("the nodes are ready", lambda: all(map(ready, core.list_node().items)))
    nodes = core.list_node().items
    assert len(nodes) == 3
    for node in nodes:
        info = node.status.node_info
        assert all(getattr(info, field) for field in info.attribute_map if field not in NOT_TOLD), info
        conditions = {one.type: one.status for one in node.status.conditions}
        assert conditions == {
            "MemoryPressure": "False",
            "DiskPressure": "False",
            "PIDPressure": "False",
            "Ready": "True",
        }
        assert {one.type for one in node.status.addresses} == {"InternalIP", "Hostname"}
        assert int(node.status.capacity["pods"]) == 110
        lease = client.CoordinationV1Api(core.api_client).read_namespaced_lease(
            node.metadata.name, "kube-node-lease"
        )
        assert lease.metadata.owner_references[0].uid == node.metadata.uid


def test_a_life_of_an_object(core: client.CoreV1Api) -> None:
    made = core.create_namespaced_config_map(NAMESPACE, config_map("life", a="1"))
    assert made.metadata.uid
    assert made.metadata.creation_timestamp
    with pytest.raises(ApiException) as taken:
        core.create_namespaced_config_map(NAMESPACE, config_map("life"))
    assert taken.value.status == 409
    assert "already exists" in taken.value.body
    patched = core.patch_namespaced_config_map("life", NAMESPACE, {"data": {"b": "2"}})
    assert patched.data == {"a": "1", "b": "2"}
    made.data = {"c": "3"}
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map("life", NAMESPACE, made)
    assert stale.value.status == 409
    assert "the object has been modified" in stale.value.body
    made.metadata.resource_version = None
    assert core.replace_namespaced_config_map("life", NAMESPACE, made).data == {"c": "3"}
    core.delete_namespaced_config_map("life", NAMESPACE)
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("life", NAMESPACE)
    assert gone.value.status == 404


def test_a_watch_tells_everything_in_order(core: client.CoreV1Api) -> None:
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    for index in range(5):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"seen-{index}"))
    core.patch_namespaced_config_map("seen-1", NAMESPACE, {"metadata": {"labels": {"test": "no"}}})
    core.delete_namespaced_config_map("seen-2", NAMESPACE)
    told = [
        (event["type"], event["object"].metadata.name)
        for event in watch.Watch().stream(
            core.list_namespaced_config_map,
            NAMESPACE,
            resource_version=start,
            label_selector="test=yes",
            timeout_seconds=2,
        )
    ]
    assert told == [("ADDED", f"seen-{index}") for index in range(5)] + [
        ("DELETED", "seen-1"),
        ("DELETED", "seen-2"),
    ]
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="test")
    assert core.list_namespaced_config_map(NAMESPACE, label_selector="test").items == []


def test_pages(core: client.CoreV1Api) -> None:
    for index in range(7):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-{index}"))
    names: list[str] = []
    token = None
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="test=yes", limit=3, _continue=token)
        names += [one.metadata.name for one in page.items]
        token = page.metadata._continue
        if not token:
            break
        # What comes in between is not part of the list that was begun.
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-later-{len(names)}"))
    assert names == [f"page-{index}" for index in range(7)]
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="test")


def test_deployment_from_a_file_becomes_ready(api: client.ApiClient, folder: Path) -> None:
    manifest = folder / "web.yaml"
    manifest.write_text(
        """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "registry.k8s.io/pause:3.9"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
    )
    utils.create_from_yaml(api, str(manifest))
    apps = client.AppsV1Api(api)
    wait_until(
        "the deployment is ready",
        lambda: apps.read_namespaced_deployment("web", NAMESPACE).status.ready_replicas == 2,
    )
    scaled = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 1}})
    assert scaled.spec.replicas == 1
    wait_until(
        "one pod is left", lambda: apps.read_namespaced_deployment("web", NAMESPACE).status.replicas == 1
    )
    assert client.CoreV1Api(api).read_namespaced_service("web", NAMESPACE).spec.cluster_ip.startswith("10.")
    apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Foreground")
    wait_until(
        "nothing is left",
        lambda: not client.CoreV1Api(api).list_namespaced_pod(NAMESPACE, label_selector="app=web").items,
    )


def test_evictions_and_logs(core: client.CoreV1Api) -> None:
    spec = client.V1PodSpec(containers=[client.V1Container(name="main", image="registry.k8s.io/pause:3.9")])
    pod = client.V1Pod(metadata=client.V1ObjectMeta(generate_name="bare-"), spec=spec)
    name = core.create_namespaced_pod(NAMESPACE, pod).metadata.name
    wait_until("the pod runs", lambda: core.read_namespaced_pod(name, NAMESPACE).status.phase == "Running")
    wait_until("it has said something", lambda: core.read_namespaced_pod_log(name, NAMESPACE))
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=name))
    core.create_namespaced_pod_eviction(name, NAMESPACE, eviction)
    wait_until(
        "the pod is gone",
        lambda: name not in {one.metadata.name for one in core.list_namespaced_pod(NAMESPACE).items},
    )


def test_the_dynamic_client_discovers_and_applies(api: client.ApiClient) -> None:
    found = dynamic.DynamicClient(api)
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    applied = maps.server_side_apply(body, namespace=NAMESPACE, name="applied", field_manager="test")
    assert applied.data.a == "1"
    with pytest.raises(dynamic.exceptions.ConflictError):
        maps.server_side_apply(
            {**body, "data": {"a": "2"}}, namespace=NAMESPACE, name="applied", field_manager="other"
        )
    assert found.resources.get(api_version="apps/v1", kind="Deployment").namespaced
    maps.delete(name="applied", namespace=NAMESPACE)


def test_who_am_i(api: client.ApiClient) -> None:
    review = client.AuthenticationV1Api(api).create_self_subject_review(client.V1SelfSubjectReview())
    user = review.status.user_info
    assert user.username == "kubernetes-admin"
    assert "system:authenticated" in user.groups


def test_a_pod_of_unknown_shape_is_refused_with_causes(core: client.CoreV1Api) -> None:
    bad = {
        "metadata": {"name": "Bad_Name"},
        "spec": {"containers": [{"name": "x"}], "restartPolicy": "Sometimes"},
    }
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_pod(NAMESPACE, bad)
    assert refused.value.status == 422
    for word in ("metadata.name", "spec.containers[0].image", "spec.restartPolicy"):
        assert word in refused.value.body, refused.value.body
