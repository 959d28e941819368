"""Agents that fail, hang, lie or do not answer, as the real Ironic meets them.

One Ironic and one fleet: every server has a fault of its own, given over the control API while the fleet is
running, and all of them are on their way at the same time. Each test looks at one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lib.ironic_config import IronicOptions
from lib.lifecycle import DEPLOY, MANAGE, PROVIDE, Fleet
from lib.rig import Rig
from lib.waiting import wait_until

Json = dict[str, Any]

# What each server is there for, and what is wrong with it.
FAULTS: dict[str, Json] = {
    "deploy-step": {
        "when": {"nth": 1},
        "what": {
            "agent_step_fails": {"steps": ["write_image"], "phases": ["deploy"], "message": "no space left"}
        },
    },
    "clean-step": {
        "when": {"nth": 1},
        "what": {
            "agent_step_fails": {"steps": ["erase_devices_*"], "phases": ["clean"], "message": "bad sector"}
        },
    },
    "command": {
        "when": {"nth": 1},
        "what": {"agent_command_fails": {"commands": ["clean.get_clean_steps"]}},
    },
    "shape-of-list": {
        "when": {"nth": 1},
        "what": {"agent_command_wrong_shape": {"commands": ["clean.get_clean_steps"]}},
    },
    "shape-of-step": {
        "when": {"nth": 1},
        "what": {"agent_command_wrong_shape": {"commands": ["clean.execute_clean_step"]}},
    },
    "hang": {
        "when": {"nth": 1},
        "what": {"agent_command_hangs": {"commands": ["clean.execute_clean_step"]}},
    },
    "token": {"what": "agent_wrong_token"},
    "unreachable": {"when": {"first": 5}, "what": "agent_unreachable"},
    "late": {"when": {"nth": 1}, "what": {"agent_starts_late": {"delay": "20s"}}},
    "missing": {"what": {"inventory_nic_missing": {"nic": 1}}},
    "small": {"what": {"inventory_disk_too_small": {"size_gib": 3}}},
    "twin": {},
}
# Two servers of which the second interface has the same address.
TWINS = ("small", "twin")
INSPECTED = ("missing", "small")
# Those that Ironic gives up cleaning.
GIVEN_UP = ("clean-step", "command", "shape-of-list", "shape-of-step", "hang")


@dataclass
class Cast:
    """The fleet, by what each server is there for."""

    rig: Rig
    uuids: dict[str, str]
    names: dict[str, str]

    def server(self, role: str) -> Json:
        return self.rig.metalsim.node(self.names[role])

    def fails(self, role: str, state: str) -> str:
        """Waits until Ironic has given the server up, and returns what it says of it."""
        self.rig.client.wait_for(self.uuids[role], state)
        # Its history keeps what the end of cleaning may have wiped from the node.
        return self.rig.client.explain(self.uuids[role])


@pytest.fixture(scope="module")
def cast(folder: Path) -> Iterator[Cast]:
    options = IronicOptions(heartbeat_timeout=15)
    with Rig(folder, nodes=len(FAULTS), options=options) as rig:
        nodes = rig.enroll()
        uuids = dict(zip(FAULTS, nodes, strict=True))
        cast = Cast(rig, uuids, {role: nodes[uuid] for role, uuid in uuids.items()})
        Fleet(rig.client, nodes, [MANAGE]).run()
        for role, fault in FAULTS.items():
            if fault:
                rig.metalsim.add_fault({"name": role, "which": {"names": [cast.names[role]]}, **fault})
        twins = {"names": [cast.names[role] for role in TWINS]}
        rig.metalsim.add_fault(
            {"name": "double", "which": twins, "what": {"inventory_duplicate_mac": {"nic": 1}}}
        )
        for role, uuid in uuids.items():
            # The twin's turn comes when the other has been inspected.
            if role != "twin":
                rig.client.set_state(uuid, "inspect" if role in INSPECTED else "provide")
        yield cast


def test_a_deploy_step_that_fails(cast: Cast) -> None:
    client, uuid = cast.rig.client, cast.uuids["deploy-step"]
    client.wait_for(uuid, "available")
    client.set_state(uuid, "active")
    error = cast.fails("deploy-step", "deploy failed")
    assert "Error performing deploy step write_image: no space left" in error
    Fleet(client, {uuid: "deploy-step"}, [DEPLOY]).run()
    assert client.node(uuid)["last_error"] is None
    wait_until("the system runs", lambda: cast.server("deploy-step")["phase"] == "os_running")


def test_a_clean_step_that_fails(cast: Cast) -> None:
    error = cast.fails("clean-step", "clean failed")
    assert "Error performing clean step erase_devices_metadata: bad sector" in error
    assert cast.rig.client.node(cast.uuids["clean-step"])["maintenance"]


def test_a_command_that_fails(cast: Cast) -> None:
    """Ironic takes what failed for what gave no result."""
    error = cast.fails("command", "clean failed")
    assert "Node failed to start the first cleaning step: 'NoneType' object is not iterable" in error


def test_results_of_another_shape(cast: Cast) -> None:
    for role, place in (
        ("shape-of-list", "Node failed to start the first cleaning step"),
        ("shape-of-step", "Node failed to check cleaning progress"),
    ):
        error = cast.fails(role, "clean failed")
        assert f"{place}: Expected a Mapping, got <class 'list'> instead" in error


def test_a_command_that_hangs(cast: Cast) -> None:
    """The agent lives on and says so, so Ironic would wait for ever; an operator ends it."""
    client, uuid = cast.rig.client, cast.uuids["hang"]
    client.wait_for(uuid, "clean wait")
    wait_until("the agent hangs", lambda: cast.server("hang")["phase"] == "agent_busy")

    def last_heartbeat() -> str:
        return str(client.node(uuid)["driver_internal_info"]["agent_last_heartbeat"])

    before = last_heartbeat()
    wait_until("a heartbeat is taken", lambda: last_heartbeat() > before)
    assert client.node(uuid)["provision_state"] == "clean wait"
    client.set_state(uuid, "abort")
    cast.fails("hang", "clean failed")
    wait_until("the server is off", lambda: cast.server("hang")["phase"] == "off")


def test_wrong_tokens(cast: Cast) -> None:
    """Ironic refuses the heartbeats; with the right token the agent gets on."""
    metalsim, uuid = cast.rig.metalsim, cast.uuids["token"]
    wait_until("heartbeats are refused", lambda: metalsim.fault_hits("agent_wrong_token") >= 2)
    cast.rig.client.wait_for(uuid, "clean wait")
    assert "agent_last_heartbeat" not in cast.rig.client.node(uuid)["driver_internal_info"]
    metalsim.remove_fault("token")
    cast.rig.client.wait_for(uuid, "available")


def test_an_agent_that_cannot_be_reached_at_first(cast: Cast) -> None:
    cast.rig.client.wait_for(cast.uuids["unreachable"], "available")
    assert cast.rig.metalsim.fault_hits("agent_unreachable") == 5


def test_an_agent_that_starts_late(cast: Cast) -> None:
    cast.rig.client.wait_for(cast.uuids["late"], "available")
    assert cast.rig.metalsim.fault_hits("agent_starts_late") == 1


def inspected(cast: Cast, role: str) -> Json:
    """What Ironic knows of a server's hardware after its inspection."""
    client, uuid = cast.rig.client, cast.uuids[role]
    wait_until(
        f"{role} is inspected",
        lambda: client.node(uuid)["inspection_finished_at"],
        describe=lambda: client.explain(uuid),
    )
    return client.inventory(uuid)["inventory"]


def addresses(inventory: Json) -> list[str]:
    return [interface["mac_address"] for interface in inventory["interfaces"]]


def test_inventories_that_lie(cast: Cast) -> None:
    small, missing = inspected(cast, "small"), inspected(cast, "missing")
    assert small["disks"][0]["size"] == 3 << 30
    assert missing["disks"][0]["size"] > 3 << 30
    assert len(addresses(missing)) == len(addresses(small)) - 1
    ports = {port["address"] for port in cast.rig.client.ports(cast.uuids["small"])}
    assert ports == set(addresses(small))


def test_two_servers_with_the_same_address(cast: Cast) -> None:
    """The address belongs to the first one, so Ironic cannot tell whose data the second one's are."""
    client, metalsim, uuid = cast.rig.client, cast.rig.metalsim, cast.uuids["twin"]
    double = addresses(inspected(cast, "small"))[1]
    before = metalsim.fault_hits("inventory_duplicate_mac")
    client.set_state(uuid, "inspect")
    client.wait_for(uuid, "inspect wait")
    wait_until(
        "its data are refused again and again",
        lambda: metalsim.fault_hits("inventory_duplicate_mac") >= before + 5,
    )
    assert client.node(uuid)["provision_state"] == "inspect wait"
    metalsim.remove_fault("double")
    assert double not in addresses(inspected(cast, "twin"))


def test_all_get_on_afterwards(cast: Cast) -> None:
    """What was given up is tried again, and nothing is left of what went wrong."""
    client = cast.rig.client
    nodes = {cast.uuids[role]: role for role in GIVEN_UP}
    client.wait_for(nodes, "clean failed")
    for uuid in nodes:
        client.set_maintenance(uuid, False)
    Fleet(client, nodes, [MANAGE, PROVIDE]).run()
