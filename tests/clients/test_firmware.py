"""Ironic's firmware interface updates BIOS and BMC of servers that share one Redfish service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from lib.ironic_config import IronicOptions
from lib.lifecycle import INSPECT, MANAGE, Fleet, Step
from lib.metalsim_server import NO_LATENCY
from lib.rig import Rig
from lib.waiting import wait_until

Json = dict[str, Any]

# The images are not read: the names say what they bring.
BIOS, BMC = "http://127.0.0.1:9/firmware/bios-7.8.9.bin", "http://127.0.0.1:9/firmware/bmc-4.5.6.bin"


@pytest.fixture(scope="module")
def rig(folder: Path) -> Iterator[Rig]:
    # Ironic looks once a minute, and waits minutes for BMCs to come round.
    impatient = {
        "firmware_update_status_interval": 1,
        "firmware_update_bmc_version_check_interval": 1,
        "firmware_update_validation_interval": 0,
    }
    options = IronicOptions(extra={"redfish": impatient})
    timing = NO_LATENCY | {"firmware_update": "2s"}
    with Rig(folder, nodes=2, options=options, timing=timing) as rig:
        yield rig


def versions(rig: Rig, uuid: str) -> dict[str, str]:
    """What Ironic has last read."""
    listing = rig.client.request("GET", f"/v1/nodes/{uuid}/firmware")
    return {entry["component"]: entry["current_version"] for entry in listing["firmware"]}


def cleaning(*settings: Json) -> Step:
    """A manual cleaning that updates firmware."""
    update = {"interface": "firmware", "step": "update", "args": {"settings": list(settings)}}
    return Step("clean", "manageable", "clean", {"clean_steps": [update]})


def test_manual_cleaning_updates_firmware(rig: Rig) -> None:
    nodes = rig.enroll()
    Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()
    updated, unlucky = nodes
    before = {uuid: versions(rig, uuid) for uuid in nodes}
    clean = cleaning({"component": "bios", "url": BIOS}, {"component": "bmc", "url": BMC, "wait": 1})
    Fleet(rig.client, {updated: nodes[updated]}, [clean]).run()
    assert versions(rig, updated) == before[updated] | {"bios": "7.8.9", "bmc": "4.5.6"}
    assert versions(rig, unlucky) == before[unlucky]

    fault = {
        "name": "broken",
        "which": {"names": [nodes[unlucky]]},
        "what": {"task_fails": {"message": "The image is for another model."}},
    }
    faults = f"{rig.metalsim.control_url}/api/v1/faults"
    assert requests.post(faults, json=fault, timeout=30).status_code == 201
    clean = cleaning({"component": "bios", "url": BIOS})
    rig.client.set_state(unlucky, clean.verb, **clean.arguments)
    wait_until(
        "the cleaning has failed",
        lambda: rig.client.node(unlucky)["provision_state"] == "clean failed",
        describe=lambda: rig.client.explain(unlucky),
    )
    assert "The image is for another model." in rig.client.node(unlucky)["last_error"]
