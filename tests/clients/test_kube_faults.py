"""Faults of Kubernetes nodes, API servers and etcd, as Debian's kubectl and etcdctl see them.

One metalsim with three control planes and a worker on their disks from the start; each test adds faults by
the control API and takes them away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from lib.etcdctl import Etcdctl, client_certificate, forwarded
from lib.kubectl import DEBIAN, Kubectl
from lib.metalsim_server import MetalsimServer, parse_metrics
from lib.waiting import wait_until

Json = dict[str, Any]
TOKEN = "not-a-secret"
CONTROL_PLANES = ["control-1", "control-2", "control-3"]
WORKER = "worker-1"


class Site:
    """The cluster ``web``."""

    def __init__(self, server: MetalsimServer) -> None:
        self.server = server
        self.folder = server.folder
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"
        wait_until("the cluster is there", self._kubeconfig, describe=server.child.tail)
        self.kubectl = Kubectl(DEBIAN, self.folder / "admin.conf", self.folder / "home")
        wait_until("four nodes are ready", lambda: list(self.ready().values()) == ["True"] * 4)
        authority = self._etcd_authority()
        (self.folder / "etcd-ca.crt").write_text(authority[0])
        self.etcd_client = client_certificate(self.folder, "etcd-client", authority)

    def _kubeconfig(self) -> bool:
        answer = self.call("get", "clusters/web/kubeconfig")
        (self.folder / "admin.conf").write_text(answer.text)
        return answer.ok

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, f"{self.server.control_url}/api/v1/{path}", timeout=30, **more)

    def _etcd_authority(self) -> tuple[str, str]:
        """Certificate and key, from the user data of the first control plane."""
        drive = self.call("get", f"nodes/{CONTROL_PLANES[0]}/config-drive?secrets=true").json()
        files = yaml.safe_load(drive["user_data"]["text"])["write_files"]
        content = {file["path"]: file["content"] for file in files}
        return content["/etc/kubernetes/pki/etcd/ca.crt"], content["/etc/kubernetes/pki/etcd/ca.key"]

    @contextmanager
    def fault(self, what: Any, which: Json | None = None, when: Json | None = None) -> Iterator[None]:
        """A fault that is in force while this is open."""
        body = {"name": "fault", "which": which or {}, "when": when or {}, "what": what}
        answer = self.call("post", "faults?base=now", json=body)
        assert answer.ok, answer.text
        try:
            yield
        finally:
            assert self.call("delete", "faults/fault").ok

    def hits(self, what: str) -> int:
        text = self.session.get(f"{self.server.control_url}/metrics", timeout=30).text
        samples = [sample for sample in parse_metrics(text) if sample.labels.get("what") == what]
        return int(sum(sample.value for sample in samples if sample.name == "metalsim_fault_hits_total"))

    def nodes(self) -> dict[str, Json]:
        return {node["metadata"]["name"]: node for node in self.kubectl.json("get", "nodes")["items"]}

    def condition(self, name: str, kind: str) -> Json:
        conditions = self.nodes()[name]["status"]["conditions"]
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def ready(self) -> dict[str, str]:
        return {
            name: next(c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready")
            for name, node in self.nodes().items()
        }

    def taints(self, name: str) -> set[str]:
        taints = self.nodes()[name]["spec"].get("taints", [])
        # Machines of Cluster API have one of theirs.
        prefix = "node.kubernetes.io/"
        return {
            f"{taint['key'].removeprefix(prefix)}:{taint['effect']}"
            for taint in taints
            if taint["key"].startswith(prefix)
        }

    @contextmanager
    def etcdctl(self, node: str) -> Iterator[Etcdctl]:
        with forwarded(self.kubectl, f"etcd-{node}", 2379, {}) as (port, _):
            yield Etcdctl(port, self.folder / "etcd-ca.crt", self.etcd_client)


def status(etcdctl: Etcdctl) -> Json:
    return etcdctl.json("endpoint", "status")[0]["Status"]


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    def machines(name: str, count: int, role: str) -> Json:
        return {"name": name, "count": count, "power": "on", "cluster": {"name": "web", "role": role}}

    settings = {
        "fleet": [machines("control-{}", 3, "control_plane"), machines("worker-{}", 1, "worker")],
        "clusters": {"node_ready": "0s", "pod_start": "0s", "node_monitor_grace": "2s"},
        "control": {"token": TOKEN},
    }
    server = MetalsimServer(folder / "metalsim", 0, settings=settings)
    try:
        yield Site(server.start())
        server.stop()
    finally:
        server.kill()


def test_a_node_that_is_not_ready(site: Site) -> None:
    with site.fault({"node_not_ready": {"reason": "Broken"}}, {"names": [WORKER]}):
        wait_until("it is not ready", lambda: site.condition(WORKER, "Ready")["reason"] == "Broken")
        wait_until(
            "it is tainted",
            lambda: site.taints(WORKER) == {"not-ready:NoSchedule", "not-ready:NoExecute"},
            describe=lambda: str(site.taints(WORKER)),
        )
        row = next(line for line in site.kubectl("get", "nodes").splitlines() if line.startswith(WORKER))
        assert row.split()[1] == "NotReady"
    wait_until("it is ready", lambda: site.ready()[WORKER] == "True")
    wait_until("it has no taints", lambda: not site.taints(WORKER))
    assert site.hits("node_not_ready") == 1


def test_a_kubelet_that_comes_and_goes(site: Site) -> None:
    boot = site.nodes()[WORKER]["status"]["nodeInfo"]["bootID"]
    with site.fault({"kubelet_flaps": {"down": "6s", "up": "4s"}}, {"names": [WORKER]}):
        wait_until("it is lost", lambda: site.ready()[WORKER] == "Unknown")
        assert site.condition(WORKER, "Ready")["reason"] == "NodeStatusUnknown"
        wait_until("it is back", lambda: site.ready()[WORKER] == "True")
        wait_until("it is lost again", lambda: site.ready()[WORKER] == "Unknown")
    wait_until("it is back", lambda: site.ready()[WORKER] == "True")
    assert site.nodes()[WORKER]["status"]["nodeInfo"]["bootID"] == boot


def test_pressure(site: Site) -> None:
    with site.fault({"node_pressure": {"conditions": ["memory", "network"]}}, {"names": [WORKER]}):
        wanted = {"memory-pressure:NoSchedule", "network-unavailable:NoSchedule"}
        wait_until("it is tainted", lambda: site.taints(WORKER) == wanted)
        described = site.kubectl("describe", "node", WORKER)
        assert "KubeletHasInsufficientMemory" in described
        assert "NoRouteCreated" in described
        assert site.ready()[WORKER] == "True"
    wait_until("it has no taints", lambda: not site.taints(WORKER))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (500, "Error from server (InternalError): an error on the server"),
        (503, "Error from server (ServiceUnavailable): the server is currently unable to handle the request"),
        (504, "Error from server (Timeout): Timeout: request did not complete"),
        (403, "Error from server (Forbidden): "),
    ],
)
def test_errors(site: Site, code: int, words: str) -> None:
    with site.fault({"api_status": {"status": code, "verbs": ["list"], "resources": ["nodes"]}}):
        said = site.kubectl.fails("get", "nodes")
        # The older kubectl prints the server's own words behind the reason.
        assert words.split(":", 1)[0] in said, said
        assert site.kubectl("get", "node", WORKER, "-o", "name").strip() == f"node/{WORKER}"


def test_come_back_later(site: Site) -> None:
    before = site.hits("api_too_many_requests")
    what = {"api_too_many_requests": {"retry_after": "1s", "resources": ["nodes"]}}
    with site.fault(what, when={"nth": 1}):
        begun = time.monotonic()
        site.kubectl("get", "nodes")
        assert time.monotonic() - begun >= 1, "it waited as it was told to, and tried again"
    assert site.hits("api_too_many_requests") == before + 1


def test_late_answers(site: Site) -> None:
    with site.fault({"api_slow": {"delay": "1s", "resources": ["nodes"]}}):
        begun = time.monotonic()
        site.kubectl("get", "nodes")
        assert time.monotonic() - begun >= 1
        said = site.kubectl.fails("get", "nodes", "--request-timeout=300ms")
        assert "imeout" in said or "deadline exceeded" in said, said


@pytest.mark.parametrize(
    ("how", "words"),
    [
        # It tries again after a reset, until its time is over.
        ("refuse", ("EOF", "connection reset by peer", "context deadline")),
        ("drop", ("TLS handshake timeout", "imeout", "deadline exceeded")),
        ("hang", ("imeout", "deadline exceeded")),
    ],
)
def test_no_connection(site: Site, how: str, words: tuple[str, ...]) -> None:
    with site.fault({"api_unreachable": {"how": how}}):
        said = site.kubectl.fails("get", "nodes", "--request-timeout=2s")
        assert any(word in said for word in words), said
    site.kubectl("get", "nodes")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("expired", "x509: certificate has expired or is not yet valid"),
        ("not_yet_valid", "x509: certificate has expired or is not yet valid"),
        ("wrong_name", "x509: certificate is valid for 192.0.2.1, not 127.0.0.1"),
        ("wrong_issuer", "x509: certificate signed by unknown authority"),
    ],
)
def test_bad_certificates(site: Site, how: str, words: str) -> None:
    before = site.hits("api_bad_certificate")
    with site.fault({"api_bad_certificate": {"how": how}}):
        said = site.kubectl.fails("get", "nodes")
        assert words in said, said
        site.kubectl.fails("get", "nodes")
    site.kubectl("get", "nodes")
    assert site.hits("api_bad_certificate") == before + 1, "with the state, not with each handshake"


def test_watches_that_are_cut(site: Site) -> None:
    what = {"api_watch_cut": {"after": "1s", "resources": ["configmaps"]}}
    with site.fault(what):
        site.kubectl("get", "configmaps", "-n", "kube-system", "--watch")
    path = "/api/v1/namespaces/kube-system/configmaps"
    version = json.loads(site.kubectl("get", "--raw", path))["metadata"]["resourceVersion"]
    path += f"?watch=1&resourceVersion={version}"
    what["api_watch_cut"]["expired"] = True
    with site.fault(what, when={"nth": 1}):
        for _ in range(2):
            # The second is told at once: the version is gone.
            last = json.loads(site.kubectl("get", "--raw", path).splitlines()[-1])
            assert last["type"] == "ERROR"
            assert (last["object"]["code"], last["object"]["reason"]) == (410, "Expired")


def test_members_that_are_down(site: Site) -> None:
    first, second, third = CONTROL_PLANES
    with site.etcdctl(third) as etcdctl:
        ids = etcdctl.members()
        with site.fault("etcd_member_down", {"names": [first]}):
            wait_until("another one leads", lambda: f"{status(etcdctl)['leader']:x}" != ids[first])
            assert site.kubectl("create", "configmap", "one-down")
            with pytest.raises(AssertionError), site.etcdctl(first) as gone:
                gone("endpoint", "status")
        with site.fault("etcd_member_down", {"names": [first, second]}):
            wait_until("nobody leads", lambda: status(etcdctl).get("leader", 0) == 0)
            said = site.kubectl.fails("get", "nodes")
            assert "etcdserver: request timed out" in said, said
        wait_until("somebody leads", lambda: status(etcdctl).get("leader", 0) != 0)
    with site.etcdctl(first) as etcdctl:
        assert etcdctl.members() == ids
    site.kubectl("create", "configmap", "well")


def test_alarms(site: Site) -> None:
    with site.etcdctl(CONTROL_PLANES[0]) as etcdctl:
        ill = etcdctl.members()[CONTROL_PLANES[1]]
        for alarm, word, words in [
            ("no_space", "NOSPACE", "etcdserver: mvcc: database space exceeded"),
            ("corrupt", "CORRUPT", "etcdserver: corrupt cluster"),
        ]:
            with site.fault({"etcd_alarm": {"alarm": alarm}}, {"names": [CONTROL_PLANES[1]]}):
                raised = f"memberID:{int(ill, 16)} alarm:{word}"
                wait_until("the alarm is raised", lambda raised=raised: raised in etcdctl("alarm", "list"))
                etcdctl("alarm", "disarm")
                assert raised in etcdctl("alarm", "list"), "its cause lasts"
                said = site.kubectl.fails("create", "configmap", "no-room")
                assert said.strip().endswith(words), said
                site.kubectl("get", "nodes")
            wait_until("the alarm is over", lambda: not etcdctl("alarm", "list").strip())


def test_a_slow_member(site: Site) -> None:
    with site.etcdctl(CONTROL_PLANES[2]) as etcdctl:
        leads = f"{status(etcdctl)['leader']:x}"
        leader = next(name for name, member in etcdctl.members().items() if member == leads)
        with site.fault({"etcd_slow": {"delay": "1s"}}, {"names": [CONTROL_PLANES[2]]}):
            begun = time.monotonic()
            etcdctl("member", "list")
            assert time.monotonic() - begun >= 1
        with site.fault({"etcd_slow": {"delay": "1s"}}, {"names": [leader]}):
            begun = time.monotonic()
            site.kubectl("create", "configmap", "late")
            assert time.monotonic() - begun >= 1


def test_a_leader_that_changes(site: Site) -> None:
    with site.etcdctl(CONTROL_PLANES[2]) as etcdctl, site.fault({"etcd_leader_flaps": {"every": "500ms"}}):
        first = status(etcdctl)
        leaders: set[int] = set()

        def seen() -> bool:
            leaders.add(status(etcdctl)["leader"])
            return len(leaders) == 3

        wait_until("each has led", seen)
        assert status(etcdctl)["raftTerm"] > first["raftTerm"] + 1
    assert site.hits("etcd_leader_flaps") == 1


def test_a_step_that_panics(site: Site) -> None:
    with site.fault("cluster_actor_panics", when={"nth": 1}):
        said = site.kubectl.fails("create", "configmap", "unlucky")
        assert "Error from server (InternalError)" in said, said
        site.kubectl("create", "configmap", "unlucky")
    assert site.hits("cluster_actor_panics") == 1
