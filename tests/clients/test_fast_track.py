"""Fast-track: the ramdisk stays up between inspection, cleaning and deployment."""

from __future__ import annotations

from pathlib import Path

from lib.ironic_config import IronicOptions
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.rig import CONFIG_DRIVE, Rig

NODES = 3


def test_agents_stay_up_until_deployment(tmp_path: Path) -> None:
    with Rig(tmp_path, NODES, options=IronicOptions(fast_track=True)) as rig:
        nodes = rig.enroll()
        Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()
        assert {node["power"] for node in rig.metalsim.nodes()} == {"On"}
        boots = fetched_scripts(rig)

        Fleet(rig.client, nodes, [PROVIDE]).run()
        assert {node["phase"] for node in rig.metalsim.nodes()} == {"agent_ready"}
        assert fetched_scripts(rig) == boots, "cleaning must not boot the ramdisk again"

        Fleet(rig.client, nodes, [deploy_with(CONFIG_DRIVE)]).run()
        assert fetched_scripts(rig) == boots, "deploying must not boot the ramdisk again"
        assert {node["phase"] for node in rig.metalsim.nodes()} == {"os_running"}

        Fleet(rig.client, nodes, [UNDEPLOY]).run()
        assert {node["phase"] for node in rig.metalsim.nodes()} == {"agent_ready"}


def fetched_scripts(rig: Rig) -> int:
    """How often a node's own iPXE script was asked for: once a boot from the network."""
    return len(rig.ironic.files.fetched("/pxelinux.cfg/"))
