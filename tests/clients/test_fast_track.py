"""Fast-track: the ramdisk stays up between inspection, cleaning and deployment."""

from __future__ import annotations

from pathlib import Path

from lib.ironic_config import IronicOptions
from lib.lifecycle import INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet, deploy_with
from lib.proxy import Proxy
from lib.rig import CONFIG_DRIVE, Rig

NODES = 3


def test_agents_stay_up_until_deployment(tmp_path: Path) -> None:
    with (
        Rig(tmp_path, NODES, options=IronicOptions(fast_track=True, heartbeat_timeout=30)) as rig,
        Proxy(rig.metalsim.redfish_url) as bmcs,
    ):
        nodes = rig.enroll(address=bmcs.url)
        Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()
        assert {node["power"] for node in rig.metalsim.nodes()} == {"On"}
        resets = bmcs.count("/Actions/ComputerSystem.Reset")

        Fleet(rig.client, nodes, [PROVIDE]).run()
        assert {node["phase"] for node in rig.metalsim.nodes()} == {"agent_ready"}
        assert bmcs.count("/Actions/ComputerSystem.Reset") == resets, "cleaning needs no boot"

        Fleet(rig.client, nodes, [deploy_with(CONFIG_DRIVE)]).run()
        # One to start the installed system; the off before it is the agent's own doing.
        assert bmcs.count("/Actions/ComputerSystem.Reset") <= resets + 2 * NODES
        assert {node["phase"] for node in rig.metalsim.nodes()} == {"os_running"}

        Fleet(rig.client, nodes, [UNDEPLOY]).run()
        assert {node["phase"] for node in rig.metalsim.nodes()} == {"agent_ready"}
