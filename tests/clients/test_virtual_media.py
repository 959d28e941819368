"""Booting the ramdisk from virtual media, with an ISO of the user's own.

Ironic can neither put a token nor a kernel parameter on such an ISO: the token must come from the look-up,
and where Ironic is from metalsim's settings.
"""

from __future__ import annotations

from pathlib import Path

from lib.lifecycle import DEPLOY, INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet
from lib.rig import Rig
from lib.waiting import wait_until


def test_life_with_a_user_given_deploy_iso(tmp_path: Path) -> None:
    with Rig(tmp_path, nodes=10) as rig:
        nodes = rig.enroll(
            user_iso=True,
            boot_interface="redfish-virtual-media",
            bios_interface="no-bios",
            firmware_interface="no-firmware",
        )
        Fleet(rig.client, nodes, [MANAGE, INSPECT]).run()

        watched, *others = nodes
        rig.client.set_state(watched, "provide")
        rig.client.wait_for(watched, "clean wait")
        assert rig.client.request("GET", f"/v1/nodes/{watched}/vmedia")
        rig.client.wait_for(watched, "available")
        Fleet(rig.client, {uuid: nodes[uuid] for uuid in others}, [PROVIDE]).run()

        Fleet(rig.client, nodes, [DEPLOY]).run()
        for uuid, name in nodes.items():
            wait_until(
                "the installed system runs",
                lambda name=name: rig.metalsim.node(name)["phase"] == "os_running",
            )
            assert not any(slot["inserted"] for slot in slots(rig, uuid)), "media must be ejected"
        Fleet(rig.client, nodes, [UNDEPLOY]).run()


def slots(rig: Rig, uuid: str) -> list[dict[str, object]]:
    """The node's virtual media as Ironic sees them."""
    return rig.client.request("GET", f"/v1/nodes/{uuid}/vmedia")
