"""An Ironic that is ill, slow or gone for a while may delay a node, but never lose one."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lib.ironic_config import IronicOptions
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.process import free_port
from lib.proxy import Answer, Cut, Forward, Hang, Proxy, Request
from lib.rig import CONFIG_DRIVE, Rig
from lib.waiting import wait_until

JSON = {"Content-Type": "application/json"}


def error(status: int) -> Callable[[], Answer]:
    """An error as Ironic's API words it: JSON in a string in JSON."""
    inner = json.dumps({"faultcode": "Client", "faultstring": "ill", "debuginfo": None})
    return lambda: Answer(status, json.dumps({"error_message": inner}).encode(), JSON)


def garbage() -> Answer:
    return Answer(200, b"<html>\xff\xfe{]", {"Content-Type": "text/html"})


def cut() -> Answer:
    raise Cut


def hang() -> Answer:
    raise Hang


ILLNESSES: dict[str, Callable[[], Answer]] = {
    "not found": error(404),
    "conflict": error(409),
    "internal error": error(500),
    "garbage": garbage,
    "closed connection": cut,
    "silence": hang,
}
# Silence costs a client's whole time-out each time, so it comes once; the others come three times.
TIMES = {name: 1 if name == "silence" else 3 for name in ILLNESSES}


class PatientIronic:
    """Gives each node an illness of its own on each of the agent's three calls, then lets it through.

    Every node must be told apart by what its agent sends: a MAC in inspection data and look-ups, the UUID in
    heartbeats.
    """

    def __init__(self) -> None:
        self.macs: dict[str, str] = {}
        self.uuids: dict[str, str] = {}
        self.seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def rule(self, request: Request, forward: Forward) -> Answer:
        call, illness = self._diagnose(request)
        if not illness:
            return forward()
        with self._lock:
            self.seen[call, illness] += 1
            count = self.seen[call, illness]
        return ILLNESSES[illness]() if count <= TIMES[illness] else forward()

    def _diagnose(self, request: Request) -> tuple[str, str | None]:
        path, _, query = request.path.partition("?")
        if path.endswith("/continue_inspection"):
            text = request.body.decode().lower()
            return "inspect", self._by(self.macs, text)
        if path.endswith("/lookup"):
            text = query.lower().replace("%3a", ":")
            return "lookup", self._by(self.macs, text) or self._by(self.uuids, text)
        if "/heartbeat/" in path:
            return "heartbeat", self._by(self.uuids, path)
        return "other", None

    @staticmethod
    def _by(table: dict[str, str], text: str) -> str | None:
        return next((illness for key, illness in table.items() if key in text), None)


@pytest.fixture
def line() -> Iterator[Proxy]:
    """What stands between the agents and Ironic."""
    proxy = Proxy(f"http://127.0.0.1:{free_port()}")
    yield proxy
    proxy.close()


def test_every_illness_only_delays(tmp_path: Path, line: Proxy) -> None:
    # The real agent waits 30 s for an answer; silence is as silent after 5.
    settings = {"ironic": {"request_timeout": "5s"}}
    options = IronicOptions(agent_api_url=line.url)
    with Rig(tmp_path, len(ILLNESSES), options=options, settings=settings) as rig:
        line.connect(rig.ironic.url)
        ironic = PatientIronic()
        line.rule = ironic.rule
        nodes = rig.enroll()
        macs = {node["name"]: node["mac"].lower() for node in rig.metalsim.nodes()}
        for (uuid, name), illness in zip(nodes.items(), ILLNESSES, strict=True):
            ironic.macs[macs[name]] = illness
            ironic.uuids[uuid] = illness
        Fleet(rig.client, nodes, [MANAGE, INSPECT, PROVIDE, deploy_with(CONFIG_DRIVE)]).run()
        for illness, times in TIMES.items():
            for call in ("inspect", "lookup", "heartbeat"):
                assert ironic.seen[call, illness] > times, f"{illness} on {call} was not outlived"


def test_killed_ironic_finds_its_agents_again(tmp_path: Path) -> None:
    """Agents that were waiting, and one that was busy, go on with the Ironic that comes back."""
    options = IronicOptions(fast_track=True, heartbeat_timeout=30)
    with (
        Rig(tmp_path, nodes=3, options=options, timing={"agent_command": "20s"}) as rig,
        Proxy(rig.metalsim.redfish_url) as bmcs,
    ):
        nodes = rig.enroll(address=bmcs.url)
        busy = next(iter(nodes))
        waiting = {uuid: name for uuid, name in nodes.items() if uuid != busy}
        Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()
        Fleet(rig.client, waiting, [PROVIDE]).run()
        resets = bmcs.count("/Actions/ComputerSystem.Reset")

        rig.client.set_state(busy, "provide")
        rig.client.wait_for(busy, "clean wait")
        wait_until(
            "the agent works on the step", lambda: rig.metalsim.node(nodes[busy])["phase"] == "agent_busy"
        )
        before = {uuid: last_heartbeat(rig, uuid) for uuid in waiting}
        rig.ironic.kill()
        # What the agents do while nobody answers is seen by what they do afterwards.
        wait_until(
            "the step ended while Ironic was gone",
            lambda: rig.metalsim.node(nodes[busy])["phase"] == "agent_ready",
        )
        rig.ironic.start()

        rig.client.wait_for(busy, "available")
        for uuid in waiting:
            wait_until("agents beat again", lambda uuid=uuid: last_heartbeat(rig, uuid) > before[uuid])
        assert bmcs.count("/Actions/ComputerSystem.Reset") == resets, "no node may have booted again"
        Fleet(rig.client, nodes, [deploy_with(CONFIG_DRIVE)]).run()


def last_heartbeat(rig: Rig, uuid: str) -> str:
    """When Ironic last heard of the node's agent (ISO 8601, so it sorts)."""
    return rig.client.node(uuid)["driver_internal_info"]["agent_last_heartbeat"]


def test_power_that_ironic_sees_late_does_not_lose_the_inspection(tmp_path: Path, line: Proxy) -> None:
    """The race that leaves a node in ``inspect wait`` for good.

    Ironic takes inspection data only after it has seen the power come on. Here the BMC's answer stays ``Off``
    until the agent's data has been refused twice.
    """
    with Rig(tmp_path, nodes=3, options=IronicOptions(agent_api_url=line.url)) as rig:
        line.connect(rig.ironic.url)
        refused: Counter[str] = Counter()
        macs = {node["redfish"]["system"]: node["mac"].lower() for node in rig.metalsim.nodes()}

        def count_refusals(request: Request, forward: Forward) -> Answer:
            answer = forward()
            if request.path.endswith("/continue_inspection") and answer.status == 404:
                text = request.body.decode().lower()
                refused.update(mac for mac in macs.values() if mac in text)
            return answer

        def report_on_late(request: Request, forward: Forward) -> Answer:
            answer = forward()
            mac = macs.get(request.path.rstrip("/"))
            if request.method == "GET" and mac and answer.status == 200 and refused[mac] < 2:
                system = json.loads(answer.body)
                return answer.with_body(json.dumps({**system, "PowerState": "Off"}).encode())
            return answer

        line.rule = count_refusals
        with Proxy(rig.metalsim.redfish_url, report_on_late) as bmcs:
            nodes = rig.enroll(address=bmcs.url)
            Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()
        assert all(refused[mac] >= 2 for mac in macs.values()), refused


def test_power_lost_in_the_middle_of_a_step(tmp_path: Path, line: Proxy) -> None:
    """The agent dies with its server: not one more heartbeat, and the next boot is a fresh one."""
    options = IronicOptions(
        agent_api_url=line.url, heartbeat_timeout=15, callback_timeout=60, check_interval=5
    )
    with Rig(tmp_path, nodes=2, options=options, timing={"agent_command": "30s"}) as rig:
        line.connect(rig.ironic.url)
        nodes = rig.enroll()
        cleaning, deploying = nodes
        Fleet(rig.client, nodes, [MANAGE]).run()
        Fleet(rig.client, {deploying: nodes[deploying]}, [PROVIDE]).run()
        rig.client.set_state(cleaning, "provide")
        rig.client.set_state(deploying, "active")
        for uuid, waits in ((cleaning, "clean wait"), (deploying, "wait call-back")):
            rig.client.wait_for(uuid, waits)
            wait_until(
                "the agent works on a step",
                lambda name=nodes[uuid]: rig.metalsim.node(name)["phase"] == "agent_busy",
            )
        for name in nodes.values():
            rig.metalsim.reset(name, "ForceOff")
            wait_until("the server is off", lambda name=name: rig.metalsim.node(name)["phase"] == "off")
        beats = {uuid: line.count(f"/heartbeat/{uuid}") for uuid in nodes}

        # Ironic gives up on both. That takes several times as long as two heartbeats are ever apart.
        rig.client.wait_for(cleaning, "clean failed")
        rig.client.wait_for(deploying, "deploy failed")
        assert {uuid: line.count(f"/heartbeat/{uuid}") for uuid in nodes} == beats

        rig.client.set_maintenance(cleaning, False)
        Fleet(rig.client, {cleaning: nodes[cleaning]}, [MANAGE, PROVIDE]).run()
        Fleet(rig.client, {deploying: nodes[deploying]}, [UNDEPLOY]).run()
