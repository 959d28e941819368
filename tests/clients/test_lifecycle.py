"""Ten servers at once through everything that Ironic does with a server in a normal life."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.rig import CONFIG_DRIVE, Rig

NODES = 10


@pytest.fixture(scope="module")
def rig(folder: Path) -> Iterator[Rig]:
    with Rig(folder, NODES) as rig:
        yield rig


def test_ten_nodes_live_a_whole_life(rig: Rig) -> None:
    nodes = rig.enroll(boot_interface="ipxe")
    steps = [MANAGE, INSPECT, PROVIDE, deploy_with(CONFIG_DRIVE)]
    done = Fleet(rig.client, nodes, steps).run()

    by_name = {node["name"]: node for node in rig.metalsim.nodes()}
    for progress in done:
        node = rig.client.node(progress.uuid)
        simulated = by_name[progress.name]
        assert node["power_state"] == "power on"
        assert node["properties"]["cpu_arch"] == "x86_64"
        assert simulated["power"] == "On"
        assert simulated["phase"] == "os_running"
        macs = {port["address"]: port["pxe_enabled"] for port in rig.client.ports(progress.uuid)}
        assert macs[simulated["mac"]] is True, "the port that the ramdisk booted from must stay bootable"
        inventory = rig.client.inventory(progress.uuid)["inventory"]
        assert inventory["boot"]["pxe_interface"] == simulated["mac"]
        assert inventory["memory"]["physical_mb"] > 0
        assert inventory["disks"]

    Fleet(rig.client, nodes, [UNDEPLOY]).run()
    assert {node["power"] for node in rig.metalsim.nodes()} == {"Off"}
    for progress in done:
        spent = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in progress.seconds.items())
        print(f"{progress.name}: {spent}")
    print(rig.cpu_report())
