"""Aborting in each state in which Ironic waits for the agent, and going on afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lib.ironic_config import IronicOptions
from lib.lifecycle import DEPLOY, INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, Step
from lib.process import free_port
from lib.proxy import Answer, Cut, Forward, Proxy, Request
from lib.rig import Rig
from lib.waiting import wait_until


def unreachable(_: Request, __: Forward) -> Answer:
    """Ironic as agents see it while the network is down."""
    raise Cut


@pytest.fixture(scope="module")
def line(folder: Path) -> Iterator[Proxy]:
    """What stands between the agents and Ironic."""
    proxy = Proxy(f"http://127.0.0.1:{free_port()}")
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def rig(folder: Path, line: Proxy) -> Iterator[Rig]:
    with Rig(folder, nodes=5, options=IronicOptions(agent_api_url=line.url)) as rig:
        line.connect(rig.ironic.url)
        yield rig


def test_abort_in_every_waiting_state(rig: Rig, line: Proxy) -> None:
    """Agents that cannot reach Ironic keep each node waiting for as long as the test needs."""
    client = rig.client
    nodes = rig.enroll()
    inspected, cleaned, deployed, rescued, serviced = nodes
    Fleet(client, nodes, [MANAGE]).run()
    Fleet(client, {uuid: nodes[uuid] for uuid in (deployed, rescued, serviced)}, [PROVIDE]).run()
    Fleet(client, {uuid: nodes[uuid] for uuid in (rescued, serviced)}, [DEPLOY]).run()

    line.rule = unreachable
    client.set_state(inspected, "inspect")
    client.set_state(cleaned, "provide")
    client.set_state(deployed, "active")
    client.set_state(rescued, "rescue", rescue_password="a-long-password")
    steps = [{"interface": "deploy", "step": "burnin_cpu"}]
    client.set_state(serviced, "service", service_steps=steps)

    client.wait_for(inspected, "inspect wait")
    client.wait_for(cleaned, "clean wait")
    client.wait_for(deployed, "wait call-back")
    client.wait_for(rescued, "rescue wait")
    client.wait_for(serviced, "service wait")

    for uuid in (inspected, cleaned, rescued, serviced):
        client.set_state(uuid, "abort")
    client.set_state(deployed, "deleted")
    client.wait_for(inspected, "inspect failed")
    client.wait_for(cleaned, "clean failed")
    client.wait_for(rescued, "rescue failed")
    # An aborted service ends where it began.
    client.wait_for(serviced, "active", passing="service failed")
    # Undeploying cleans, so this one waits for an agent once more.
    client.wait_for(deployed, "clean wait")
    for uuid in (inspected, cleaned):
        wait_until(
            "an aborted node is off and its agent gone",
            lambda name=nodes[uuid]: rig.metalsim.node(name)["phase"] == "off",
        )

    line.rule = Proxy.healthy
    client.wait_for(deployed, "available")
    Fleet(client, {rescued: nodes[rescued]}, [Step("unrescue", "active", "unrescue")]).run()
    Fleet(client, {cleaned: nodes[cleaned]}, [MANAGE, PROVIDE]).run()
    Fleet(client, {inspected: nodes[inspected]}, [INSPECT, PROVIDE]).run()
    Fleet(client, {uuid: nodes[uuid] for uuid in (rescued, serviced)}, [UNDEPLOY]).run()
