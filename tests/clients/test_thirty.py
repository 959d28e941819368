"""Thirty servers that take no time for anything: no pause hides a race, and none may get stuck.

metalsim is told nothing of Ironic. A run for each way of booting: what a node knows it has read from its boot media
(on iPXE, from the scripts below the HTTP root that DHCP would have named). Ironic hashes each BMC's password on every
Redfish call; that must be what takes the time, not metalsim.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.rig import CONFIG_DRIVE, Rig

NODES = 30
INSPECTED = 10


@pytest.mark.parametrize("boot_interface", ["ipxe", "redfish-virtual-media", "redfish-https"])
def test_from_enroll_to_active_and_back(
    tmp_path: Path, note: Callable[[str], None], boot_interface: str
) -> None:
    began = time.monotonic()
    with Rig(tmp_path, NODES, told_by_media=True) as rig:
        # Without the caches of BIOS settings and firmware, which only cost Redfish calls here.
        nodes = rig.enroll(
            boot_interface=boot_interface, bios_interface="no-bios", firmware_interface="no-firmware"
        )
        # Several boots in a row, each with a token of its own.
        some = dict(list(nodes.items())[:INSPECTED])
        Fleet(rig.client, some, [MANAGE, INSPECT]).run()
        Fleet(rig.client, {uuid: nodes[uuid] for uuid in nodes if uuid not in some}, [MANAGE]).run()
        Fleet(rig.client, nodes, [PROVIDE, deploy_with(CONFIG_DRIVE), UNDEPLOY]).run(limit=3600)
        assert {node["provision_state"] for node in rig.client.states().values()} == {"available"}
        assert {node["power"] for node in rig.metalsim.nodes()} == {"Off"}
        for uuid in some:
            ports = {port["address"]: port["pxe_enabled"] for port in rig.client.ports(uuid)}
            if boot_interface == "ipxe":
                assert any(ports.values()), "an iPXE node without a bootable port cannot boot again"
        note(f"{boot_interface}, {NODES} nodes: {time.monotonic() - began:.0f} s. {rig.cpu_report()}")
