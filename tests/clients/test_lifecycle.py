"""Servers through everything that Ironic does with them in a normal life."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lib.ironic_config import IronicOptions
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, Progress, deploy_with
from lib.rig import CONFIG_DRIVE, Rig

UP = [MANAGE, INSPECT, PROVIDE, deploy_with(CONFIG_DRIVE)]


def spent(node: Progress) -> str:
    """What each step took one node."""
    return ", ".join(f"{step} {seconds:.0f} s" for step, seconds in node.seconds.items())


def test_ten_nodes_live_a_whole_life(tmp_path: Path, note: Callable[[str], None]) -> None:
    with Rig(tmp_path, nodes=10) as rig:
        nodes = rig.enroll(boot_interface="ipxe")
        done = Fleet(rig.client, nodes, UP).run()

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
            note(f"{progress.name}: {spent(progress)}")
        note(rig.cpu_report())


def test_one_node_alone(tmp_path: Path, note: Callable[[str], None]) -> None:
    """The real agent's code took 47 s for this, with a ramdisk that boots in 2 s as here."""
    timing = {"power_on": "0s", "power_off": "0s", "post": "0s", "ramdisk_boot": "2s", "agent_command": "0s"}
    with Rig(tmp_path, nodes=1, options=IronicOptions(hash_once=False), timing=timing) as rig:
        (progress,) = Fleet(rig.client, rig.enroll(), UP).run()
        note(f"{sum(progress.seconds.values()):.0f} s from enroll to active: {spent(progress)}")
        note(rig.cpu_report())
