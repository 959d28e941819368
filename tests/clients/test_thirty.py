"""Thirty servers that take no time for anything, three times: no pause hides a race, and none may get stuck.

metalsim is told nothing of Ironic: what a node knows it has read from its boot media, and on iPXE from the
scripts below the HTTP root that DHCP would have named. Ironic must be what takes the time, not metalsim.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.rig import CONFIG_DRIVE, Rig

NODES = 30
IPXE = ["ipxe"]
EACH = ["ipxe", "redfish-virtual-media", "redfish-https"]


@pytest.mark.parametrize(("run", "boot_interfaces"), [(1, IPXE), (2, EACH), (3, IPXE)])
def test_from_enroll_to_active_and_back(
    tmp_path: Path, note: Callable[[str], None], run: int, boot_interfaces: list[str]
) -> None:
    began = time.monotonic()
    with Rig(tmp_path, NODES, told_by_media=True) as rig:
        simulated = rig.metalsim.nodes()
        share = NODES // len(boot_interfaces)
        nodes: dict[str, str] = {}
        for index, boot_interface in enumerate(boot_interfaces):
            # Without the caches of BIOS settings and firmware, which only cost Redfish calls here.
            nodes |= rig.enroll(
                simulated[index * share : (index + 1) * share],
                boot_interface=boot_interface,
                bios_interface="no-bios",
                firmware_interface="no-firmware",
            )
        assert len(nodes) == NODES
        # Inspection is one more boot: with cleaning, deployment and cleaning again each node then boots its
        # ramdisk four times in a row, each time with a token of its own.
        more = [INSPECT] if boot_interfaces == EACH else []
        steps = [MANAGE, *more, PROVIDE, deploy_with(CONFIG_DRIVE), UNDEPLOY]
        Fleet(rig.client, nodes, steps).run(limit=3600)
        assert {node["provision_state"] for node in rig.client.states().values()} == {"available"}
        assert {node["power"] for node in rig.metalsim.nodes()} == {"Off"}
        kinds = ", ".join(boot_interfaces)
        note(f"run {run}, {NODES} nodes ({kinds}): {time.monotonic() - began:.0f} s. {rig.cpu_report()}")
