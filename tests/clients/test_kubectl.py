"""Two kubectls, years apart, at work on one cluster: what a person types, and what it prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lib.cluster_server import ClusterServer
from lib.kubectl import Kubectl, programs
from lib.waiting import wait_until

Json = dict[str, Any]
NODES = 6


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[ClusterServer]:
    server = ClusterServer(folder / "cluster", NODES)
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module", params=sorted(programs()))
def kubectl(request: pytest.FixtureRequest, cluster: ClusterServer, folder: Path) -> Kubectl:
    return Kubectl(programs()[request.param], cluster.kubeconfig, folder / f"home-{request.param}")


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that only this test uses."""
    name = (
        request.node.name.replace("test_", "")
        .replace("_", "-")
        .replace("[", "-")
        .rstrip("]")[:60]
        .rstrip("-")
    )
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def is_debian(kubectl: Kubectl) -> bool:
    return "kubernetes-client" in str(kubectl.program)


def deployment(name: str, replicas: int = 2, image: str = "registry.k8s.io/pause:3.9") -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": image, "ports": [{"containerPort": 80}]}]},
            },
        },
    }


def worker(kubectl: Kubectl, offset: int = 0) -> str:
    """A worker node; another one for each kubectl, so that they do not drain each other's."""
    names = [node["metadata"]["name"] for node in kubectl.json("get", "nodes")["items"]]
    workers = [name for name in sorted(names)][1:]
    return workers[(2 if is_debian(kubectl) else 0) + offset]


def test_version_and_cluster_info(kubectl: Kubectl) -> None:
    version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]
    assert version["gitVersion"].startswith("v1.")
    assert version["major"] == "1"
    # Older ones print in colours wherever they print to.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", kubectl("cluster-info"))
    assert "is running at https://127.0.0.1:" in plain
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "[+]ping ok" in kubectl("get", "--raw", "/livez?verbose")


def test_nodes_are_ready(kubectl: Kubectl) -> None:
    kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
    lines = kubectl("get", "nodes").splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert len(lines) == NODES + 1
    assert all(" Ready " in line for line in lines[1:]), lines
    assert sum("control-plane" in line for line in lines[1:]) == 1


def test_columns_are_those_of_a_real_server(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply({**deployment("web"), "metadata": {"name": "web", "namespace": namespace}})
    kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    assert kubectl("get", "nodes", "-o", "wide").splitlines()[0].split() == [
        *("NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP", "EXTERNAL-IP"),
        *("OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"),
    ]
    text = kubectl("get", "nodes,pods,deploy", "-A", "-o", "wide")
    heads = [line.split() for line in text.splitlines() if line.startswith("NAME")]
    assert [
        "NAME",
        "STATUS",
        "ROLES",
        "AGE",
        "VERSION",
        "INTERNAL-IP",
        "EXTERNAL-IP",
        "OS-IMAGE",
        "KERNEL-VERSION",
        "CONTAINER-RUNTIME",
    ] in heads, heads
    assert [
        "NAMESPACE",
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED",
        "NODE",
        "READINESS",
        "GATES",
    ] in heads, heads
    assert [
        "NAMESPACE",
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
        "CONTAINERS",
        "IMAGES",
        "SELECTOR",
    ] in heads, heads
    assert any("2/2" in line and "registry.k8s.io/pause:3.9" in line for line in text.splitlines())
    assert "service/kubernetes" in kubectl("get", "all", "-n", "default")


def test_describe(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply({**deployment("web", 1), "metadata": {"name": "web", "namespace": namespace}})
    kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    text = kubectl("describe", "node", worker(kubectl))
    for word in (
        "Roles:",
        "Lease:",
        "KubeletHasSufficientMemory",
        "Non-terminated Pods:",
        "Allocated resources:",
    ):
        assert word in text, text
    pod = kubectl.json("get", "pods", "-n", namespace)["items"][0]["metadata"]["name"]
    text = kubectl("describe", "pod", pod, "-n", namespace)
    for word in ("Scheduled", "Pulled", "Created", "Started", "Controlled By:  ReplicaSet/web-"):
        assert word in text, text
    assert "ScalingReplicaSet" in kubectl("describe", "deployment", "web", "-n", namespace)
    assert "Active" in kubectl("describe", "namespace", namespace)


def test_apply_edit_replace_and_diff(kubectl: Kubectl, namespace: str) -> None:
    wanted = {**deployment("web"), "metadata": {"name": "web", "namespace": namespace}}
    assert kubectl.apply(wanted) == "deployment.apps/web created\n"
    assert kubectl.apply(wanted) == "deployment.apps/web unchanged\n"
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    assert kubectl.apply(wanted) == "deployment.apps/web configured\n"
    again = kubectl.run("diff", "-f", "-", stdin=json.dumps(wanted), code=None)
    assert again.returncode == 0, again.stdout
    wanted["spec"]["replicas"] = 3
    differs = kubectl.run("diff", "-f", "-", stdin=json.dumps(wanted), code=1)
    assert "replicas: 3" in differs.stdout

    # As an editor does: the whole object with one change.
    def replaced() -> dict[str, Any] | None:
        live = kubectl.json("get", "deployment", "web", "-n", namespace)
        live["spec"]["replicas"] = 4
        done = kubectl.run("replace", "-f", "-", stdin=json.dumps(live), code=None)
        # Controllers may have written its status meanwhile, as in a real cluster.
        assert done.returncode == 0 or "the object has been modified" in done.stderr, done.stderr
        return live if done.returncode == 0 else None

    live = wait_until("the object is replaced", replaced)
    live["spec"]["replicas"] = 5
    assert "the object has been modified" in kubectl.fails("replace", "-f", "-", stdin=json.dumps(live))
    assert kubectl.json("get", "deployment", "web", "-n", namespace)["spec"]["replicas"] == 4
    assert (
        "invalid"
        in kubectl.fails(
            "apply", "--validate=false", "-f", "-", stdin=json.dumps({**wanted, "spec": {"replicas": 1}})
        ).lower()
    )


def test_server_side_apply_finds_conflicts(kubectl: Kubectl, namespace: str) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}}
    one = {**config, "data": {"a": "1", "b": "1"}}
    two = {**config, "data": {"a": "2"}}
    flags = ("--server-side", "--field-manager=one")
    assert "serverside-applied" in kubectl.apply(one, flags=flags)
    refused = kubectl.fails("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=json.dumps(two))
    assert 'conflict with "one"' in refused
    assert ".data.a" in refused
    kubectl.apply(two, flags=("--server-side", "--field-manager=two", "--force-conflicts"))
    assert kubectl.json("get", "configmap", "c", "-n", namespace)["data"] == {"a": "2", "b": "1"}
    # What nobody wants any more goes.
    kubectl.apply({**config, "data": {}}, flags=flags)
    assert kubectl.json("get", "configmap", "c", "-n", namespace)["data"] == {"a": "2"}


def test_the_three_patches(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply({**deployment("web"), "metadata": {"name": "web", "namespace": namespace}})

    def patch(kind: str, body: object) -> str:
        return kubectl("patch", "deployment", "web", "-n", namespace, "--type", kind, "-p", json.dumps(body))

    container = {"name": "side", "image": "side:1"}
    patch("strategic", {"spec": {"template": {"spec": {"containers": [container]}}}})
    live = kubectl.json("get", "deployment", "web", "-n", namespace)
    names = {one["name"] for one in live["spec"]["template"]["spec"]["containers"]}
    assert names == {"main", "side"}
    patch("merge", {"metadata": {"labels": {"x": "y"}}, "spec": {"paused": True}})
    patch(
        "json",
        [
            {"op": "remove", "path": "/metadata/labels/x"},
            {"op": "replace", "path": "/spec/paused", "value": False},
        ],
    )
    live = kubectl.json("get", "deployment", "web", "-n", namespace)
    assert "x" not in live["metadata"].get("labels", {})
    assert not live["spec"].get("paused")
    failed = kubectl.fails(
        "patch", "deployment", "web", "-n", namespace, "--type", "json", "-p",
        '[{"op":"test","path":"/spec/replicas","value":77}]',
    )  # fmt: skip
    assert "The request is invalid" in failed
    assert "(no change)" in patch("merge", {"spec": {"replicas": 2}})


def test_label_and_annotate(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", namespace)
    kubectl("label", "configmap", "c", "-n", namespace, "tier=front")
    assert "--overwrite is false" in kubectl.fails("label", "configmap", "c", "-n", namespace, "tier=back")
    kubectl("annotate", "configmap", "c", "-n", namespace, "note=a b c")
    found = kubectl.json("get", "configmap", "-n", namespace, "-l", "tier in (front,back)")["items"]
    assert [one["metadata"]["annotations"]["note"] for one in found] == ["a b c"]
    kubectl("label", "configmap", "c", "-n", namespace, "tier-")
    assert kubectl("get", "configmap", "-n", namespace, "-l", "tier", "-o", "name") == ""
    assert "invalid" in kubectl.fails("label", "configmap", "c", "-n", namespace, "tier=not/valid").lower()


def test_scale_and_rollouts(kubectl: Kubectl, namespace: str) -> None:
    where = ("-n", namespace)
    kubectl.apply({**deployment("web"), "metadata": {"name": "web", "namespace": namespace}})
    kubectl("rollout", "status", "deployment/web", *where, "--timeout=60s")
    kubectl("scale", "deployment/web", "--replicas=3", *where)
    assert "successfully rolled out" in kubectl(
        "rollout", "status", "deployment/web", *where, "--timeout=60s"
    )
    kubectl("set", "image", "deployment/web", "main=registry.k8s.io/pause:3.10", *where)
    kubectl("rollout", "status", "deployment/web", *where, "--timeout=60s")
    images = {pod["spec"]["containers"][0]["image"] for pod in kubectl.json("get", "pods", *where)["items"]
              if "deletionTimestamp" not in pod["metadata"]}  # fmt: skip
    assert images == {"registry.k8s.io/pause:3.10"}
    assert [
        line.split()[0] for line in kubectl("rollout", "history", "deployment/web", *where).splitlines()[2:4]
    ] == ["1", "2"]
    kubectl("rollout", "undo", "deployment/web", *where)
    kubectl("rollout", "status", "deployment/web", *where, "--timeout=60s")
    live = kubectl.json("get", "deployment", "web", *where)
    assert live["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":3.9")
    before = {pod["metadata"]["uid"] for pod in kubectl.json("get", "pods", *where)["items"]}
    kubectl("rollout", "restart", "deployment/web", *where)
    kubectl("rollout", "status", "deployment/web", *where, "--timeout=60s")
    wait_until(
        "only new pods are left",
        lambda: before.isdisjoint(
            pod["metadata"]["uid"] for pod in kubectl.json("get", "pods", *where)["items"]
        ),
    )


def test_delete_with_each_cascade(kubectl: Kubectl, namespace: str) -> None:
    where = ("-n", namespace)
    orphan = "--cascade=orphan"
    kubectl.apply(
        *({**deployment(name), "metadata": {"name": name, "namespace": namespace}} for name in "abc")
    )
    for name in "abc":
        kubectl("rollout", "status", f"deployment/{name}", *where, "--timeout=60s")
    kubectl("delete", "deployment", "a", *where, "--cascade=foreground")
    assert kubectl("get", "replicasets", "-l", "app=a", *where, "-o", "name") == ""
    kubectl("delete", "deployment", "b", *where, "--cascade=background")
    wait_until(
        "background deletion", lambda: kubectl("get", "pods", "-l", "app=b", *where, "-o", "name") == ""
    )
    kubectl("delete", "deployment", "c", *where, orphan)
    left = kubectl.json("get", "replicasets", "-l", "app=c", *where)["items"]
    assert len(left) == 1
    assert "ownerReferences" not in left[0]["metadata"]


def test_wait_for_a_deletion(kubectl: Kubectl, namespace: str) -> None:
    kubectl("run", "one", "--image=registry.k8s.io/pause:3.9", "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/one", "-n", namespace, "--timeout=60s")
    kubectl("delete", "pod", "one", "-n", namespace, "--wait=false")
    kubectl("wait", "--for=delete", "pod/one", "-n", namespace, "--timeout=60s")
    assert "NotFound" in kubectl.fails("get", "pod", "one", "-n", namespace)


def test_top_says_that_there_are_no_metrics(kubectl: Kubectl) -> None:
    assert "Metrics API not available" in kubectl.fails("top", "nodes")


def test_logs(kubectl: Kubectl, namespace: str) -> None:
    where = ("-n", namespace)
    kubectl("run", "one", "--image=registry.k8s.io/pause:3.9", *where)
    kubectl("wait", "--for=condition=Ready", "pod/one", *where, "--timeout=60s")
    lines = kubectl("logs", "one", *where).splitlines()
    assert lines
    # Lines begin with their time; another one may have come.
    (last,) = kubectl("logs", "one", *where, "--tail=1").splitlines()
    assert last >= lines[-1]
    assert kubectl("logs", "one", *where, "--tail=1", "--timestamps").startswith("20")
    assert "not found" in kubectl.fails("logs", "two", *where)


def test_exec_and_attach_fail_like_a_container_without_a_shell(kubectl: Kubectl, namespace: str) -> None:
    where = ("-n", namespace)
    kubectl("run", "one", "--image=registry.k8s.io/pause:3.9", *where)
    kubectl("wait", "--for=condition=Ready", "pod/one", *where, "--timeout=60s")
    said = kubectl.fails("exec", "one", *where, "--", "sh", "-c", "ls")
    assert "executable file not found" in said, said


def test_auth_can_i(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "nodes").strip() == "yes"
    account = "--as=system:serviceaccount:default:default"
    denied = kubectl.run("auth", "can-i", "delete", "nodes", account, code=1)
    assert denied.stdout.startswith("no")
    assert "forbidden" in kubectl.fails("get", "secrets", "-A", account).lower()
    assert "*.*" in kubectl("auth", "can-i", "--list")


def test_explain(kubectl: Kubectl) -> None:
    text = kubectl("explain", "deployment.spec.template.spec.containers")
    assert "image" in text
    assert "livenessProbe" in text
    assert "matchExpressions" in kubectl("explain", "deployment.spec.selector")
    assert "RESOURCE" in text or "FIELD" in text
    assert "does not exist" in kubectl.fails("explain", "deployment.spec.nothing")


def test_api_resources_and_versions(kubectl: Kubectl) -> None:
    lines = kubectl("api-resources").splitlines()
    words = {line.split()[0]: line.split() for line in lines[1:]}
    assert words["deployments"] == ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    assert words["nodes"][:2] == ["nodes", "no"]
    assert {"apps/v1", "batch/v1", "v1", "rbac.authorization.k8s.io/v1"} <= set(
        kubectl("api-versions").split()
    )


def test_events(kubectl: Kubectl, namespace: str) -> None:
    kubectl("run", "one", "--image=registry.k8s.io/pause:3.9", "-n", namespace)
    kubectl("wait", "--for=condition=Ready", "pod/one", "-n", namespace, "--timeout=60s")
    text = kubectl("get", "events", "-n", namespace, "--sort-by=.metadata.creationTimestamp")
    assert text.splitlines()[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert "Successfully assigned" in text
    assert "pod/one" in text
    if not is_debian(kubectl):
        assert "Scheduled" in kubectl("events", "--for", "pod/one", "-n", namespace)


def test_drain_cordon_and_taint(kubectl: Kubectl, namespace: str) -> None:
    node = worker(kubectl)
    where = ("-n", namespace)
    pinned = deployment("web", 2)
    pinned["metadata"]["namespace"] = namespace
    pinned["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    kubectl.apply(pinned)
    kubectl("rollout", "status", "deployment/web", *where, "--timeout=60s")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }
    kubectl.apply(budget)
    wait_until(
        "the budget counts its pods",
        lambda: kubectl.json("get", "pdb", "web", *where)["status"].get("currentHealthy") == 2,
    )
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force")
    assert "disruption budget" in kubectl.fails(*drain, "--timeout=3s")
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    kubectl("delete", "pdb", "web", *where)
    kubectl(*drain, "--timeout=60s")
    assert all("Pending" in line for line in kubectl("get", "pods", *where, "--no-headers").splitlines()
               if "Terminating" not in line)  # fmt: skip
    kubectl("taint", "nodes", node, "example.com/no=x:NoSchedule")
    kubectl("uncordon", node)
    pod = kubectl.json("get", "pods", *where)["items"][0]["metadata"]["name"]
    wait_until(
        "the scheduler says why",
        lambda: "untolerated taint" in kubectl("describe", "pod", pod, *where),
    )
    kubectl("taint", "nodes", node, "example.com/no-")
    kubectl("rollout", "status", "deployment/web", *where, "--timeout=60s")


def test_other_workloads_settle(kubectl: Kubectl, namespace: str) -> None:
    where = ("-n", namespace)
    pod = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.9"}]}
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    selector = {"matchLabels": labels}
    daemons = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {"selector": selector, "template": template},
    }
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "s", "namespace": namespace},
        "spec": {
            "serviceName": "s",
            "replicas": 2,
            "selector": {"matchLabels": {"app": "y"}},
            "template": {"metadata": {"labels": {"app": "y"}}, "spec": pod},
        },
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": namespace},
           "spec": {"completions": 2, "template": {"spec": {**pod, "restartPolicy": "Never"}}}}  # fmt: skip
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": namespace},
               "spec": {"selector": labels, "ports": [{"port": 80}]}}  # fmt: skip
    kubectl.apply(daemons, stateful, job, service)
    kubectl("rollout", "status", "daemonset/d", *where, "--timeout=60s")
    kubectl("rollout", "status", "statefulset/s", *where, "--timeout=60s")
    kubectl("wait", "--for=condition=Complete", "job/j", *where, "--timeout=60s")
    # The control plane's taint keeps the daemon off it.
    assert kubectl.json("get", "daemonset", "d", *where)["status"]["numberReady"] == NODES - 1
    assert {"s-0", "s-1"} <= set(
        kubectl("get", "pods", *where, "-o", "jsonpath={.items[*].metadata.name}").split()
    )
    addresses = kubectl.json("get", "endpoints", "x", *where)["subsets"][0]["addresses"]
    assert len(addresses) == NODES - 1
    slices = kubectl.json("get", "endpointslices", *where, "-l", "kubernetes.io/service-name=x")["items"]
    assert sum(len(one["endpoints"]) for one in slices) == NODES - 1


def test_a_custom_resource_is_served_at_once(kubectl: Kubectl, namespace: str) -> None:
    group = "debian.example.com" if is_debian(kubectl) else "path.example.com"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"crontabs.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "plural": "crontabs",
                "singular": "crontab",
                "kind": "CronTab",
                "shortNames": ["ct"],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"}
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "required": ["cronSpec"],
                                    "properties": {
                                        "cronSpec": {"type": "string", "pattern": "^[0-9* /]+$"},
                                        "replicas": {"type": "integer", "minimum": 0, "default": 1},
                                    },
                                },
                                "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                            },
                        }
                    },
                }
            ],
        },
    }
    kubectl.apply(definition)
    kubectl("wait", "--for=condition=Established", f"crd/crontabs.{group}", "--timeout=60s")
    one = {
        "apiVersion": f"{group}/v1",
        "kind": "CronTab",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": {"cronSpec": "* * *"},
    }
    wait_until("the new kind is known", lambda: f"crontabs.{group}" in kubectl("api-resources", "-o", "name"))
    kubectl.apply(one)
    assert kubectl.json("get", f"crontabs.{group}", "one", "-n", namespace)["spec"]["replicas"] == 1
    lines = kubectl("get", f"crontabs.{group}", "-n", namespace).splitlines()
    assert lines[0].split() == ["NAME", "SPEC"]
    assert "* * *" in lines[1]
    bad = {**one, "spec": {"cronSpec": "every day", "replicas": -1}}
    said = kubectl.fails("apply", "-f", "-", "--validate=false", stdin=json.dumps(bad))
    assert "spec.cronSpec" in said
    assert "spec.replicas" in said
    kubectl("scale", f"crontabs.{group}/one", "--replicas=5", "-n", namespace)
    assert kubectl.json("get", f"crontabs.{group}", "one", "-n", namespace)["spec"]["replicas"] == 5
    assert "cronSpec" in kubectl("explain", "crontabs.spec", "--api-version", f"{group}/v1")
    kubectl("delete", "crd", f"crontabs.{group}")
    assert "the server doesn't have a resource type" in kubectl.fails(
        "get", f"crontabs.{group}", "-n", namespace
    )


def test_unknown_fields_are_refused(kubectl: Kubectl, namespace: str) -> None:
    wrong = deployment("web")
    wrong["metadata"]["namespace"] = namespace
    wrong["spec"]["replica"] = 3
    said = kubectl.fails("apply", "-f", "-", stdin=json.dumps(wrong))
    assert "replica" in said
    assert "unknown field" in said
    kubectl("apply", "-f", "-", "--validate=false", stdin=json.dumps(wrong))
    assert "replica" not in kubectl.json("get", "deployment", "web", "-n", namespace)["spec"]


def test_dry_run_leaves_no_trace(kubectl: Kubectl, namespace: str) -> None:
    where = ("-n", namespace)
    assert "created (server dry run)" in kubectl(
        "create", "configmap", "c", "--from-literal=a=b", "--dry-run=server", *where
    )
    assert "NotFound" in kubectl.fails("get", "configmap", "c", *where)


def test_service_accounts_and_tokens(kubectl: Kubectl, namespace: str, cluster: ClusterServer) -> None:
    where = ("-n", namespace)
    wait_until("the default account is there", lambda: "default" in kubectl("get", "serviceaccounts", *where))
    assert (
        "BEGIN CERTIFICATE" in kubectl.json("get", "configmap", "kube-root-ca.crt", *where)["data"]["ca.crt"]
    )
    if is_debian(kubectl):
        return
    token = kubectl("create", "token", "default", *where).strip()
    kubectl(
        "create", "rolebinding", "view", "--clusterrole=view", f"--serviceaccount={namespace}:default", *where
    )
    as_account = (
        "--token",
        token,
        "--kubeconfig",
        "/dev/null",
        "--server",
        cluster.url,
        "--insecure-skip-tls-verify",
    )
    assert "kube-root-ca.crt" in kubectl("get", "configmaps", *where, *as_account)
    assert "forbidden" in kubectl.fails("get", "secrets", *where, *as_account).lower()
    assert "Unauthorized" in kubectl.fails(
        "get", "pods", *where, *as_account[2:], "--token", token[:-3] + "abc"
    )


def test_get_watch_prints_changes(kubectl: Kubectl, namespace: str) -> None:
    kubectl("run", "one", "--image=registry.k8s.io/pause:3.9", "-n", namespace)
    text = kubectl.run("get", "pods", "-n", namespace, "-w", "--request-timeout=8s", code=None).stdout
    assert text.splitlines()[0].split()[:3] == ["NAME", "READY", "STATUS"]
    assert sum(line.startswith("NAME") for line in text.splitlines()) == 1
    assert "1/1" in text
