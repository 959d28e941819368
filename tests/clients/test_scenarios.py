"""Shipped scenarios against a real Ironic: BMCs that forget what they are told, an Ironic out of reach.

Ironic gives up a node whose BMC or agent lets it down for too long, and leaves it to its user to try again.
The Baremetal Operator does that; here ``Persistence`` does.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lib.ironic_config import IronicOptions
from lib.metalsim_server import REPOSITORY
from lib.rig import Rig
from lib.waiting import NotInTime

Json = dict[str, Any]
SCENARIOS = REPOSITORY / "config" / "scenarios"

# What to ask for next, by the state that a node rests in.
NEXT = {
    "enroll": "manage",
    "manageable": "provide",
    "clean failed": "manage",
    "available": "active",
    "deploy failed": "active",
    "error": "deleted",
}


class Persistence:
    """Asks for the next step until every node is active, whatever failed, as the Baremetal Operator does."""

    def __init__(self, rig: Rig) -> None:
        self._client = rig.client
        self.failures: Counter[str] = Counter()

    def run(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        while True:
            states = self._client.states()
            if all(node["provision_state"] == "active" for node in states.values()):
                return
            for uuid, node in states.items():
                self._push(uuid, node)
            if time.monotonic() > deadline:
                late = [
                    self._client.explain(u) for u, n in states.items() if n["provision_state"] != "active"
                ]
                raise NotInTime("not active:\n" + "\n".join(late))
            time.sleep(0.5)

    def _push(self, uuid: str, node: Json) -> None:
        state = node["provision_state"]
        failed = "failed" in state or state == "error"
        verb = NEXT.get(state)
        if verb is None or (node["target_provision_state"] and not failed):
            return
        if failed:
            self.failures[state] += 1
        if node["maintenance"]:
            self._client.set_maintenance(uuid, False)
        self._client.set_state(uuid, verb)


def prepared(folder: Path, name: str, **changes: Any) -> tuple[Path, Path]:
    """A shipped scenario whose report goes into the folder: its file, and its report's."""
    scenario = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    report = folder / "report.json"
    scenario |= {"report": {"json": str(report)}, **changes}
    file = folder / f"{name}.json"
    file.write_text(json.dumps(scenario))
    return file, report


def counted_by_ironic(log: Path) -> Counter[str]:
    """The calls of agents that Ironic answered, as its own log tells them: by kind, and how many well."""
    counts: Counter[str] = Counter()
    calls = re.compile(r" (?:POST|GET) /v1/(heartbeat|lookup)\S* - (\d+) ")
    for kind, status in calls.findall(log.read_text(errors="replace")):
        counts[kind] += 1
        counts[f"{kind} taken"] += status.startswith("2")
    return counts


@pytest.mark.parametrize("name", ["lossy-bmcs", "ironic-outage"])
def test_all_nodes_become_active(tmp_path: Path, note: Callable[[str], None], name: str) -> None:
    file, report_file = prepared(tmp_path, name)
    # A reset that nobody obeys is given up after this many seconds.
    options = IronicOptions(power_state_change_timeout=15)
    began = time.monotonic()
    with Rig(tmp_path, nodes=0, options=options, scenario=file) as rig:
        nodes: dict[str, str] = {}
        simulated = rig.metalsim.nodes()
        half = len(simulated) // 2
        # Media are there to be lost, too.
        for part, boot_interface in ((simulated[:half], "ipxe"), (simulated[half:], "redfish-virtual-media")):
            nodes |= rig.enroll(
                part,
                boot_interface=boot_interface,
                bios_interface="no-bios",
                firmware_interface="no-firmware",
            )
        persistence = Persistence(rig)
        persistence.run(limit=900)
        took = time.monotonic() - began
        sent = rig.metalsim.metric("metalsim_heartbeats_sent_total")
        stale = rig.metalsim.metric("metalsim_stale_outcomes_total")
        # Ends before its time; what is expected is judged then, and is its exit code.
        rig.metalsim.stop()
        report = json.loads(report_file.read_text())
        active = [node for node in rig.client.states().values() if node["provision_state"] == "active"]
    assert report["held"], report["verdicts"]
    assert report["journeys"]["arrived"] == report["run"]["nodes"] == len(active) == len(nodes)
    theirs = counted_by_ironic(rig.ironic.log)
    assert theirs["heartbeat"] == sent
    # A report counts answers; some came when their server had lost its power.
    ours = {traffic["kind"]: traffic["requests"] - traffic["errors"] for traffic in report["traffic"]}
    assert theirs["heartbeat taken"] - stale <= ours["heartbeat"] <= theirs["heartbeat taken"]
    hits = {fault["name"]: fault["hits"] for fault in report["faults"]}
    note(
        f"{name}: {len(active)} nodes active after {took:.0f} s; "
        f"failed and tried again: {dict(persistence.failures)}; {hits}"
    )
