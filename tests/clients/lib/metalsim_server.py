"""metalsim as a user starts it: one process, one settings file, known by its control API."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .process import Child, free_port
from .waiting import wait_until

Json = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parents[3]
USERNAME = "admin"
PASSWORD = "password"

# No simulated latency at all: what is left is Ironic's own time and the protocol's own pauses.
NO_LATENCY: Json = {
    key: "0s"
    for key in (
        "power_on",
        "power_off",
        "graceful_shutdown",
        "post",
        "ramdisk_boot",
        "os_boot",
        "cloud_init",
        "agent_command",
        "virtual_media",
        "firmware_update",
    )
}

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    """One line of the metrics."""

    name: str
    labels: dict[str, str]
    value: float


def parse_metrics(text: str) -> list[Sample]:
    """The samples of a Prometheus text answer."""
    samples = []
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            name, labels, value = match.groups()
            samples.append(Sample(name, dict(_LABEL.findall(labels or "")), float(value)))
    return samples


def binary() -> str:
    """The program to test: ``METALSIM_BIN``, or the debug build."""
    return os.environ.get("METALSIM_BIN") or str(REPOSITORY / "target" / "debug" / "metalsim")


class MetalsimServer:
    """One metalsim with a fleet of equal nodes. Killed and started again it has the same addresses."""

    def __init__(
        self,
        folder: Path,
        nodes: int,
        ironic_url: str | None = None,
        timing: Json | None = None,
        settings: Json | None = None,
        name: str = "node-{}",
        agent_tls: bool = False,
        scenario: Path | None = None,
    ) -> None:
        """``scenario``: a file to run, with a fleet of its own, instead of ``nodes`` until it is stopped."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.redfish_port, self.agent_port, self.control_port = free_port(), free_port(), free_port()
        self.redfish_url = f"http://127.0.0.1:{self.redfish_port}"
        self.agent_url = f"{'https' if agent_tls else 'http'}://127.0.0.1:{self.agent_port}"
        self.control_url = f"http://127.0.0.1:{self.control_port}"
        self.log = self.folder / "metalsim.log"
        self.config = self.folder / "metalsim.json"
        document: Json = {
            "fleet": [{"name": name, "count": nodes}],
            "redfish": {
                "listen": f"127.0.0.1:{self.redfish_port}",
                "addressing": "path",
                "username": USERNAME,
                "password": PASSWORD,
            },
            "agent": {
                "listen": f"127.0.0.1:{self.agent_port}",
                "advertise_url": self.agent_url,
                "tls": "self_signed" if agent_tls else "off",
            },
            "control": {"listen": f"127.0.0.1:{self.control_port}"},
            "state": {"store": "none"},
            "timing": NO_LATENCY if timing is None else timing,
        }
        if ironic_url:
            document["ironic"] = {
                "api_url": ironic_url,
                "inspection_callback_url": f"{ironic_url}/v1/continue_inspection",
            }
        self.config.write_text(json.dumps(merge(document, settings or {}), indent=2))
        self._child: Child | None = None
        self._verb = ["scenario", "run", str(scenario)] if scenario else ["run"]

    def start(self) -> MetalsimServer:
        self._child = Child("metalsim", [binary(), *self._verb, "--config", str(self.config)], self.log)
        wait_until("metalsim is ready", self._is_ready, limit=60, describe=self._child.tail)
        return self

    @property
    def child(self) -> Child:
        assert self._child, "metalsim was not started"
        return self._child

    def _is_ready(self) -> bool:
        assert self.child.running(), f"metalsim ended at once.\n{self.child.tail()}"
        try:
            return requests.get(f"{self.control_url}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def nodes(self) -> list[Json]:
        """All nodes as the control API tells them, over all its pages."""
        items: list[Json] = []
        page: Json = {"limit": "500"}
        while True:
            answer = requests.get(f"{self.control_url}/api/v1/nodes", params=page, timeout=30)
            answer.raise_for_status()
            document = answer.json()
            items += document["items"]
            if not document.get("continue"):
                return items
            page["continue"] = document["continue"]

    def node(self, name_or_uuid: str) -> Json:
        answer = requests.get(f"{self.control_url}/api/v1/nodes/{name_or_uuid}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def clusters(self) -> list[Json]:
        """The first page of clusters."""
        answer = requests.get(f"{self.control_url}/api/v1/clusters", timeout=30)
        answer.raise_for_status()
        return answer.json()["items"]

    def reset(self, name_or_uuid: str, reset_type: str) -> None:
        """Press a node's power button behind Ironic's back."""
        bmc = self.node(name_or_uuid)["redfish"]
        answer = requests.post(
            f"{bmc['address']}{bmc['system']}/Actions/ComputerSystem.Reset",
            json={"ResetType": reset_type},
            auth=(USERNAME, PASSWORD),
            timeout=30,
        )
        answer.raise_for_status()

    def add_fault(self, fault: Json) -> None:
        """One more fault. Its times count from now."""
        url = f"{self.control_url}/api/v1/faults"
        answer = requests.post(url, params={"base": "now"}, json=fault, timeout=30)
        assert answer.ok, answer.text

    def remove_fault(self, name: str) -> None:
        answer = requests.delete(f"{self.control_url}/api/v1/faults/{name}", timeout=30)
        assert answer.ok, answer.text

    def fault_hits(self, what: str) -> float:
        """How often faults of this kind struck."""
        return self.metric("metalsim_fault_hits_total", what=what)

    def metrics(self) -> list[Sample]:
        return parse_metrics(requests.get(f"{self.control_url}/metrics", timeout=30).text)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return sum(
            sample.value
            for sample in self.metrics()
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def cpu_seconds(self) -> float:
        return self._child.cpu_seconds() if self._child else 0.0

    def kill(self) -> None:
        if self._child:
            self._child.kill()

    def stop(self) -> None:
        """End it as a service manager would; it must drain and say that all went well."""
        if self._child and self._child.running():
            code = self._child.stop()
            assert code == 0, f"metalsim ended with {code}.\n{self._child.tail()}"


def merge(base: Json, more: Json) -> Json:
    """``base`` with the keys of ``more`` laid over it, deep."""
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
