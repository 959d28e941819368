"""A Kubernetes cluster out of nothing but deployments by Ironic, and its life: etcd, power, the end.

The tests belong together and run in the order in which they stand: three control planes and two workers come
up, are looked at, lose power, and go.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from kubernetes import client, config
from lib.etcdctl import Certificate, Etcdctl, client_certificate, forwarded
from lib.forge import Forge
from lib.kubectl import Kubectl, programs
from lib.lifecycle import MANAGE, PROVIDE, UNDEPLOY, Fleet, Progress, deploy_with
from lib.process import Child, free_port
from lib.rig import Rig
from lib.waiting import wait_until

Json = dict[str, Any]

# An address of its own: whoever listens on the same port of another is not in the way.
HOST = "127.0.77.1"
CONTROL_PLANES = ["node-1", "node-2", "node-3"]
WORKERS = ["node-4", "node-5"]
NAMES = CONTROL_PLANES + WORKERS
GRACE = "3s"
UNINITIALIZED = "node.cluster.x-k8s.io/uninitialized"
KUBECTLS = sorted(programs())
# Ways to forward a port: a kubectl and what it is told. Debian's speaks SPDY only, newer ones tunnel it
# through WebSockets.
WEBSOCKETS = "KUBECTL_PORT_FORWARD_WEBSOCKETS"
WAYS = {"debian": ("debian", {})}
if "path" in KUBECTLS:
    WAYS |= {"websocket": ("path", {WEBSOCKETS: "true"}), "spdy": ("path", {WEBSOCKETS: "false"})}


@dataclass
class Site:
    """Ironic, its five servers, and the cluster on them."""

    rig: Rig
    forge: Forge
    folder: Path
    uuids: dict[str, str]
    """Ironic's UUID of each server by its name."""
    spent: list[str] = field(default_factory=list)
    """What each step of its deployment took each server."""

    def kubectl(self, which: str = KUBECTLS[-1]) -> Kubectl:
        return Kubectl(programs()[which], self.forge.kubeconfig, self.folder / f"home-{which}")

    @contextmanager
    def forwarded(self, way: str, pod: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to one of a pod, in one of ``WAYS``."""
        which, env = WAYS[way]
        with forwarded(self.kubectl(which), pod, port, env) as (here, log):
            yield here
            assert ("negotiated protocol: portforward.k8s.io" in log.read_text()) == (way == "websocket")

    def power(self, target: str, *names: str) -> None:
        """Turn servers on or off by Ironic, and wait until they are."""
        for name in names:
            self.rig.client.set_power(self.uuids[name], f"power {target}")
        wanted = {"on": ("On", "os_running"), "off": ("Off", "off")}[target]

        def reached() -> bool:
            nodes = [self.rig.metalsim.node(name) for name in names]
            states = self.rig.client.states()
            return all((node["power"], node["phase"]) == wanted for node in nodes) and all(
                states[self.uuids[name]]["power_state"] == f"power {target}" for name in names
            )

        wait_until(f"{names} are {target}", reached, describe=lambda: str(self.rig.client.states()))

    def ready(self) -> dict[str, str]:
        """Status of the condition ``Ready`` of each node."""
        nodes = self.kubectl().json("get", "nodes")["items"]
        return {node["metadata"]["name"]: condition(node, "Ready")["status"] for node in nodes}

    def wait_for_nodes(self) -> None:
        everyone = dict.fromkeys(NAMES, "True")
        wait_until(
            "all nodes are ready", lambda: self.ready() == everyone, describe=lambda: str(self.ready())
        )

    def etcdctl(self, port: int, client: Certificate | None) -> Etcdctl:
        ca = self.folder / "etcd-ca.crt"
        ca.write_text(self.forge.authority("etcd")[0])
        return Etcdctl(port, ca, client)

    def etcd_client(self) -> Certificate:
        return client_certificate(self.folder, "etcd-client", self.forge.authority("etcd"))

    def leader(self) -> str:
        """Name of etcd's leader."""
        with self.forwarded("debian", f"etcd-{CONTROL_PLANES[0]}", 2379) as port:
            etcdctl = self.etcdctl(port, self.etcd_client())
            leader = etcdctl.json("endpoint", "status")[0]["Status"]["leader"]
            return next(name for name, member in etcdctl.members().items() if int(member, 16) == leader)


def condition(thing: Json, kind: str) -> Json:
    return next(condition for condition in thing["status"]["conditions"] if condition["type"] == kind)


def taints(node: Json) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in node["spec"].get("taints", [])}


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    endpoint = f"{HOST}:{free_port()}"
    forge = Forge(folder / "forge", "c1", endpoint, "--token-ttl", "0")
    settings = {"clusters": {"node_ready": "0s", "pod_start": "0s", "node_monitor_grace": GRACE}}
    with Rig(folder, nodes=len(NAMES), settings=settings, told_by_media=True) as rig:
        # Without the caches of BIOS settings and firmware, which only cost Redfish calls here.
        nodes = rig.enroll(boot_interface="ipxe", bios_interface="no-bios", firmware_interface="no-firmware")
        for uuid in nodes:
            # Their disks are empty; they are cleaned when the cluster goes.
            rig.client.update(uuid, automated_clean=False)
        site = Site(rig, forge, folder, {name: uuid for uuid, name in nodes.items()})
        drives = {"node-1": forge.init_drive}
        drives |= dict.fromkeys(CONTROL_PLANES[1:], forge.drive("control-plane"))
        drives["node-4"] = forge.drive("worker")
        drives["node-5"] = forge.image("worker", site.uuids["node-5"], "node-5")
        steps = {uuid: [MANAGE, PROVIDE, deploy_with(drives[name])] for uuid, name in nodes.items()}
        done = Fleet(rig.client, nodes, steps).run()
        site.spent = [f"{node.name}: {spent(node)}" for node in done]
        wait_until(
            "everyone has joined",
            lambda: forge_answers(site) and len(site.ready()) == len(NAMES),
            describe=lambda: rig.metalsim.child.tail(),
        )
        site.wait_for_nodes()
        yield site


def spent(node: Progress) -> str:
    return ", ".join(f"{step} {seconds:.0f} s" for step, seconds in node.seconds.items())


def forge_answers(site: Site) -> bool:
    return site.kubectl().run("get", "--raw", "/readyz", code=None).returncode == 0


@pytest.mark.parametrize("which", KUBECTLS)
def test_three_control_planes_and_two_workers(site: Site, which: str) -> None:
    kubectl = site.kubectl(which)
    assert kubectl("get", "--raw", "/readyz") == "ok"
    text = kubectl("get", "nodes", "-o", "wide")
    assert text.splitlines()[0].split()[:6] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"], (
        text
    )
    rows = {row[0]: row for row in (line.split() for line in text.splitlines()[1:])}
    assert sorted(rows) == NAMES
    for name, row in rows.items():
        assert row[1] == "Ready", text
        assert row[2] == ("control-plane" if name in CONTROL_PLANES else "<none>"), text
        assert row[4] == "v1.34.2", text
    assert len({row[5] for row in rows.values()}) == len(NAMES), "each has an address of its own"

    for node in kubectl.json("get", "nodes")["items"]:
        name, uuid = node["metadata"]["name"], site.uuids[node["metadata"]["name"]]
        assert node["spec"]["providerID"] == f"metal3://{uuid}"
        labels = node["metadata"]["labels"]
        assert labels["metal3.io/uuid"] == uuid
        assert labels["kubernetes.io/hostname"] == name
        control_plane = name in CONTROL_PLANES
        assert ("node-role.kubernetes.io/control-plane" in labels) == control_plane
        # Cluster API takes its taint off workers once it knows them.
        expected = "node-role.kubernetes.io/control-plane" if control_plane else UNINITIALIZED
        assert taints(node) == {(expected, "NoSchedule")}

    static = ("-n", "kube-system", "-l", "tier=control-plane")
    # The probes of a static pod begin after ten seconds.
    kubectl("wait", "--for=condition=Ready", "pods", *static, "--timeout=60s")
    pods = kubectl.json("get", "pods", *static)["items"]
    components = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    assert {pod["metadata"]["name"] for pod in pods} == {
        f"{c}-{n}" for c in components for n in CONTROL_PLANES
    }
    for pod in pods:
        assert pod["status"]["phase"] == "Running", pod["metadata"]["name"]
    kubectl("rollout", "status", "daemonset/kube-proxy", "-n", "kube-system", "--timeout=60s")
    kubectl("rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=60s")
    assert site.forge.endpoint in kubectl("cluster-info")

    (cluster,) = site.rig.metalsim.clusters()
    told = [cluster[key] for key in ("name", "endpoint", "open", "control_planes", "machines", "ready_nodes")]
    assert told == ["c1", site.forge.endpoint, True, len(CONTROL_PLANES), len(NAMES), len(NAMES)]


def test_workers_are_used(site: Site) -> None:
    """As Cluster API would, the test makes them known."""
    kubectl = site.kubectl()
    kubectl("taint", "nodes", *WORKERS, f"{UNINITIALIZED}:NoSchedule-")
    kubectl("create", "deployment", "web", "--image=registry.k8s.io/pause:3.9", "--replicas=4")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    pods = kubectl.json("get", "pods", "-l", "app=web")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == set(WORKERS)


@pytest.mark.parametrize("way", WAYS)
def test_etcd_of_each_control_plane(site: Site, way: str) -> None:
    certificate = site.etcd_client()
    seen = set()
    for name in CONTROL_PLANES:
        with site.forwarded(way, f"etcd-{name}", 2379) as port:
            etcdctl = site.etcdctl(port, certificate)
            members = etcdctl.json("member", "list")
            assert sorted(member["name"] for member in members["members"]) == CONTROL_PLANES
            assert all(member["clientURLs"][0].endswith(":2379") for member in members["members"])
            (status,) = etcdctl.json("endpoint", "status")
            header = status["Status"]["header"]
            assert f"{header['member_id']:x}" == etcdctl.members()[name], "each port leads to its own member"
            assert status["Status"]["dbSize"] > 0
            assert "is healthy" in etcdctl.run("endpoint", "health").stderr + etcdctl("endpoint", "health")
            assert "/registry/pods/kube-system/etcd-node-1" in etcdctl(
                "get", "/registry/pods/kube-system/", "--prefix", "--keys-only"
            )
            seen.add((header["cluster_id"], status["Status"]["leader"]))
    assert len(seen) == 1, f"all tell the same: {seen}"


@pytest.mark.parametrize("way", WAYS)
def test_leader_moves(site: Site, way: str) -> None:
    certificate, leader = site.etcd_client(), site.leader()
    follower = next(name for name in CONTROL_PLANES if name != leader)
    with site.forwarded(way, f"etcd-{follower}", 2379) as port:
        etcdctl = site.etcdctl(port, certificate)
        assert "no leader endpoint" in etcdctl.fails("move-leader", etcdctl.members()[leader])
    with site.forwarded(way, f"etcd-{leader}", 2379) as port:
        etcdctl = site.etcdctl(port, certificate)
        assert "Leadership transferred" in etcdctl("move-leader", etcdctl.members()[follower])
    assert site.leader() == follower


@pytest.mark.parametrize("way", WAYS)
def test_etcd_knows_its_clients_by_their_certificates(site: Site, way: str) -> None:
    strange = client_certificate(site.folder, "strange", site.forge.authority("ca"))
    with site.forwarded(way, "etcd-node-1", 2379) as port:
        # Both authorities have one name, so what is wrong is the signature.
        for certificate, alert in ((strange, "ALERT_DECRYPT_ERROR"), (None, "ALERT_CERTIFICATE_REQUIRED")):
            etcdctl = site.etcdctl(port, certificate)
            # It tries again and again, and tells no reason.
            assert "deadline exceeded" in etcdctl.fails("member", "list", "--command-timeout", "2s")
            assert alert in etcdctl.alert()
        assert site.etcdctl(port, site.etcd_client()).members(), "the same connection serves others"


@pytest.mark.parametrize("way", WAYS)
def test_api_server_of_each_control_plane(site: Site, way: str) -> None:
    """What KubeadmControlPlane does to learn when a certificate expires."""
    ca = site.folder / "ca.crt"
    ca.write_text(site.forge.authority("ca")[0])
    for name in CONTROL_PLANES:
        with site.forwarded(way, f"kube-apiserver-{name}", 6443) as port:
            certificate = x509.load_pem_x509_certificate(
                ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(ca)).encode()
            )
        (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert common_name.value == "kube-apiserver"


def test_worker_without_power(site: Site) -> None:
    kubectl = site.kubectl()
    site.power("off", "node-5")
    wait_until("it is lost", lambda: site.ready()["node-5"] == "Unknown")
    unreachable = "node.kubernetes.io/unreachable"
    wait_until(
        "it is tainted",
        lambda: (
            {(unreachable, "NoSchedule"), (unreachable, "NoExecute")}
            <= taints(kubectl.json("get", "node", "node-5"))
        ),
    )
    node = kubectl.json("get", "node", "node-5")
    assert condition(node, "Ready")["reason"] == "NodeStatusUnknown"
    assert condition(node, "Ready")["message"] == "Kubelet stopped posting node status."
    assert "NotReady" in kubectl("get", "node", "node-5")
    assert set(site.ready().values()) == {"True", "Unknown"}
    proxy = next(
        pod["metadata"]["name"]
        for pod in kubectl.json("get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-proxy")["items"]
        if pod["spec"]["nodeName"] == "node-5"
    )
    assert ":10250" in kubectl.fails("logs", "-n", "kube-system", proxy)
    assert "error dialing backend" in kubectl.fails("exec", "-n", "kube-system", proxy, "--", "true")

    site.power("on", "node-5")
    site.wait_for_nodes()
    wait_until("its taints are gone", lambda: not taints(kubectl.json("get", "node", "node-5")))
    assert kubectl.json("get", "node", "node-5")["metadata"]["uid"] == node["metadata"]["uid"]


def test_one_control_plane_without_power(site: Site) -> None:
    """The API goes on, with another leader of etcd if it was this one that led."""
    leader = site.leader()
    site.power("off", leader)
    others = [name for name in CONTROL_PLANES if name != leader]
    kubectl = site.kubectl()
    assert kubectl("get", "--raw", "/readyz") == "ok"
    kubectl("create", "configmap", "with-two", "-n", "default")
    assert "no route to host" in kubectl.fails(
        "port-forward", "-n", "kube-system", f"pod/etcd-{leader}", ":2379"
    )
    with site.forwarded("debian", f"etcd-{others[0]}", 2379) as port:
        etcdctl = site.etcdctl(port, site.etcd_client())
        (status,) = etcdctl.json("endpoint", "status")
        members = etcdctl.members()
        assert sorted(members) == CONTROL_PLANES
        assert f"{status['Status']['leader']:x}" in {members[name] for name in others}
    wait_until("it is lost", lambda: site.ready()[leader] == "Unknown")
    site.power("on", leader)
    site.wait_for_nodes()


def test_etcd_without_quorum(site: Site) -> None:
    """Two of three are off: what a real API server answers then; back on, all is as before."""
    kubectl = site.kubectl()
    watch = Child(
        "kubectl get --watch",
        [str(kubectl.program), "get", "nodes", "--watch"],
        site.folder / "watch.log",
        kubectl.env,
    )
    try:
        wait_until("it watches", lambda: "node-5" in watch.log.read_text(), describe=watch.tail)
        site.power("off", *CONTROL_PLANES[1:])
        for which in KUBECTLS:
            without_quorum(site.kubectl(which))
        wait_until("watches end", lambda: not watch.running())
    finally:
        watch.kill()
    # kubectl would try ten times.
    configuration = client.Configuration()
    config.load_kube_config(str(site.forge.kubeconfig), client_configuration=configuration)
    configuration.retries = False
    with client.ApiClient(configuration) as api, pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(api).list_node(watch=True)
    assert (refused.value.status, refused.value.reason) == (429, "Too Many Requests")
    assert json.loads(refused.value.body)["message"] == "storage is (re)initializing"

    site.power("off", CONTROL_PLANES[0])
    assert "refused" in kubectl.fails("get", "nodes"), "nobody is left"

    site.power("on", CONTROL_PLANES[2])
    wait_until(
        "one of three answers", lambda: "request timed out" in kubectl.run("get", "nodes", code=None).stderr
    )
    without_quorum(kubectl)
    site.power("on", *CONTROL_PLANES[:2])
    site.wait_for_nodes()
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert kubectl("get", "configmap", "with-two", "-n", "default", "-o", "name") == "configmap/with-two\n"
    kubectl("create", "configmap", "with-three", "-n", "default")


def without_quorum(kubectl: Kubectl) -> None:
    for command in (
        ["get", "nodes"],
        ["get", "pod", "etcd-node-1", "-n", "kube-system"],
        ["create", "configmap", "without-quorum", "-n", "default"],
        ["delete", "configmap", "with-two", "-n", "default"],
    ):
        said = kubectl.fails(*command)
        assert "etcdserver: request timed out" in said, said
    for endpoint in ("readyz", "livez"):
        said = kubectl.fails("get", "--raw", f"/{endpoint}").replace("\\n", "\n")
        assert "[-]etcd failed: reason withheld" in said, said
        assert "[+]ping ok" in said, said
        assert f"{endpoint} check failed" in said, said
        assert ("[-]etcd-readiness failed" in said) == (endpoint == "readyz"), said
    assert kubectl("get", "--raw", "/livez?exclude=etcd") == "ok"
    assert kubectl("get", "--raw", "/readyz/ping") == "ok"
    # What needs no storage.
    assert json.loads(kubectl("get", "--raw", "/version"))["gitVersion"] == "v1.34.2"
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"


@pytest.mark.parametrize("way", list(WAYS)[:2])
def test_member_is_removed(site: Site, way: str) -> None:
    """As before a control plane is deleted; the last two go by different ways."""
    with site.forwarded(way, "etcd-node-1", 2379) as port:
        etcdctl = site.etcdctl(port, site.etcd_client())
        before = etcdctl.members()
        gone = max(before)
        assert "removed from cluster" in etcdctl("member", "remove", before[gone])
        assert etcdctl.members() == {name: member for name, member in before.items() if name != gone}
        assert "member not found" in etcdctl.fails("member", "remove", before[gone]).lower()
    assert site.kubectl()("get", "--raw", "/readyz") == "ok"


def test_nothing_is_left(site: Site, note: Callable[[str], None]) -> None:
    """Undeployed by Ironic, which cleans the disks: the endpoint is free again."""
    for uuid in site.uuids.values():
        site.rig.client.update(uuid, automated_clean=True)
    done = Fleet(site.rig.client, {uuid: name for name, uuid in site.uuids.items()}, [UNDEPLOY]).run()
    site.spent += [f"{node.name}: {spent(node)}" for node in done]
    assert "refused" in site.kubectl().fails("get", "nodes")
    host, port = site.forge.endpoint.rsplit(":", 1)
    with socket.socket() as probe:
        # Connections that ended a moment ago are no listeners.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(port)))
        probe.listen()
    assert site.rig.metalsim.clusters() == []
    for line in [*site.spent, site.rig.cpu_report()]:
        note(line)
