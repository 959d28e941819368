"""The calls of FKAS as its documentation makes them, with curl's bodies; then kubectl at what they opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from lib.kubectl import Kubectl, programs
from lib.metalsim_server import MetalsimServer
from lib.process import free_port

Json = dict[str, Any]
NAME = {"cluster": "test1", "namespace": "metal3"}


@pytest.fixture(scope="module")
def metalsim(folder: Path) -> Iterator[MetalsimServer]:
    port = free_port()
    settings = {"clusters": {"ports": f"{port}-{port}", "node_ready": "0s"}}
    server = MetalsimServer(folder / "fkas", 1, settings=settings)
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()


def update_node(metalsim: MetalsimServer, name: str, **labels: str) -> requests.Response:
    body: Json = {
        **NAME,
        "nodeName": name,
        "providerID": f"metal3://metal3/host/{name}",
        "uuid": f"uuid-of-{name}",
        "labels": labels,
        "k8sversion": "v1.33.1",
    }
    return requests.put(f"{metalsim.control_url}/updateNode", json=body, timeout=30)


def test_kubectl_at_a_registered_cluster(metalsim: MetalsimServer, folder: Path) -> None:
    registered = requests.post(f"{metalsim.control_url}/register", json=NAME, timeout=30)
    assert registered.status_code == 200, registered.text
    endpoint = registered.json()
    assert endpoint["ResourceName"] == "metal3/test1"

    early = update_node(metalsim, "worker-1")
    assert (early.status_code, early.json()["error"]["message"]) == (
        500,
        "Workload Cluster has not been activated",
    )
    first = update_node(metalsim, "cp-1", **{"cluster.x-k8s.io/control-plane": ""})
    assert (first.status_code, first.text) == (200, "")
    assert update_node(metalsim, "worker-1").status_code == 200

    url = f"{metalsim.control_url}/api/v1/clusters/test1"
    kubeconfig = folder / "fkas.kubeconfig"
    kubeconfig.write_text(requests.get(f"{url}/kubeconfig", timeout=30).text)
    assert f"https://{endpoint['Host']}:{endpoint['Port']}" in kubeconfig.read_text()
    for name, program in programs().items():
        kubectl = Kubectl(program, kubeconfig, folder / f"home-fkas-{name}")
        kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
        rows = [line.split() for line in kubectl("get", "nodes").splitlines()[1:]]
        assert [[row[0], row[1], row[2], row[4]] for row in rows] == [
            ["cp-1", "Ready", "control-plane", "v1.33.1"],
            ["worker-1", "Ready", "<none>", "v1.33.1"],
        ]
        # etcd is reached through the API server, so its pod is there and ready.
        kubectl("wait", "--for=condition=Ready", "pod/etcd-cp-1", "-n", "kube-system", "--timeout=60s")

    listed = requests.get(f"{metalsim.control_url}/api/v1/clusters", timeout=30).json()["items"]
    assert [(item["name"], item["ready_nodes"], item["control_planes"]) for item in listed] == [
        ("test1", 2, 1)
    ]
    assert requests.delete(url, timeout=30).status_code == 204
    with pytest.raises(requests.ConnectionError):
        requests.get(f"https://{endpoint['Host']}:{endpoint['Port']}", timeout=30, verify=False)
    again = requests.post(f"{metalsim.control_url}/register", json={**NAME, "cluster": "test2"}, timeout=30)
    assert again.json()["Port"] == endpoint["Port"]
