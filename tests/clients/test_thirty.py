"""Thirty servers that take no time for anything: no pause hides a race, and none may get stuck.

Ironic hashes each BMC's password on every Redfish call; that must be what takes the time, not metalsim.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lib.lifecycle import MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.rig import CONFIG_DRIVE, Rig

NODES = 30


@pytest.mark.parametrize("run", [1, 2, 3])
def test_from_enroll_to_active_and_back(tmp_path: Path, note: Callable[[str], None], run: int) -> None:
    began = time.monotonic()
    with Rig(tmp_path, NODES) as rig:
        # Without the caches of BIOS settings and firmware, which only cost Redfish calls here.
        nodes = rig.enroll(bios_interface="no-bios", firmware_interface="no-firmware")
        Fleet(rig.client, nodes, [MANAGE, PROVIDE, deploy_with(CONFIG_DRIVE), UNDEPLOY]).run(limit=3600)
        assert {node["provision_state"] for node in rig.client.states().values()} == {"available"}
        assert {node["power"] for node in rig.metalsim.nodes()} == {"Off"}
        note(f"run {run}, {NODES} nodes: {time.monotonic() - began:.0f} s. {rig.cpu_report()}")
