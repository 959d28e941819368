"""What an operator does with single servers: rescue, manual cleaning, servicing, power."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lib.lifecycle import DEPLOY, INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, Step
from lib.rig import Rig
from lib.waiting import wait_until

RESCUE = Step("rescue", "rescue", "rescue", {"rescue_password": "a-long-password"})
UNRESCUE = Step("unrescue", "active", "unrescue")


def in_band(verb: str, target: str, *steps: str) -> Step:
    """A manual clean or a service of the agent's own steps, in this order."""
    chosen = [{"interface": "deploy", "step": step} for step in steps]
    return Step(verb, target, verb, {f"{verb}_steps": chosen})


@pytest.fixture(scope="module")
def rig(folder: Path) -> Iterator[Rig]:
    with Rig(folder, nodes=3) as rig:
        yield rig


def test_rescue_service_and_manual_clean(rig: Rig) -> None:
    """Three servers at once, each on a way of its own."""
    nodes = rig.enroll()
    Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()
    cleaned, rescued, serviced = nodes

    clean = in_band("clean", "manageable", "erase_devices_metadata", "burnin_cpu", "erase_devices")
    Fleet(rig.client, {cleaned: nodes[cleaned]}, [clean]).run()
    assert rig.metalsim.node(nodes[cleaned])["power"] == "Off"

    others = {uuid: nodes[uuid] for uuid in (rescued, serviced)}
    Fleet(rig.client, others, [PROVIDE, DEPLOY]).run()

    rig.client.set_state(rescued, RESCUE.verb, **RESCUE.arguments)
    service = in_band("service", "active", "burnin_cpu")
    rig.client.set_state(serviced, service.verb, **service.arguments)

    rig.client.wait_for(rescued, "rescue")
    silent = rig.metalsim.node(nodes[rescued])
    assert (silent["power"], silent["phase"]) == ("On", "agent_silent")
    Fleet(rig.client, {rescued: nodes[rescued]}, [UNRESCUE]).run()

    rig.client.wait_for(serviced, "active")
    for uuid in others:
        wait_until(
            "the installed system runs again",
            lambda name=nodes[uuid]: rig.metalsim.node(name)["phase"] == "os_running",
        )
    press_all_buttons(rig, serviced, nodes[serviced])
    Fleet(rig.client, others, [UNDEPLOY]).run()


def press_all_buttons(rig: Rig, uuid: str, name: str) -> None:
    """Every power action that Ironic offers, on a server whose operating system runs and so can obey."""
    for target, expected in (
        ("rebooting", "On"),
        ("power off", "Off"),
        ("power on", "On"),
        ("soft rebooting", "On"),
        ("soft power off", "Off"),
        ("power on", "On"),
    ):
        if target.startswith("soft"):
            wait_until("the system runs", lambda: rig.metalsim.node(name)["phase"] == "os_running")
        rig.client.set_power(uuid, target)
        wait_until(
            f"{target} is done",
            lambda: rig.client.node(uuid)["target_power_state"] is None,
            describe=lambda: rig.client.explain(uuid),
        )
        assert rig.client.node(uuid)["last_error"] is None, target
        assert rig.metalsim.node(name)["power"] == expected, target
