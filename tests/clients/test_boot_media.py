"""What nodes learn from boot media, and nowhere else: whom to call, whom to trust, which token to show."""

from __future__ import annotations

from pathlib import Path

from lib.authority import make_authority
from lib.ironic_config import IronicOptions
from lib.ironic_server import IronicServer
from lib.lifecycle import DEPLOY, INSPECT, MANAGE, PROVIDE, UNDEPLOY, Fleet
from lib.rig import Rig

LIFE = [MANAGE, INSPECT, PROVIDE, DEPLOY, UNDEPLOY]


def test_two_ironics_share_a_fleet(tmp_path: Path) -> None:
    """Each node follows the Ironic whose medium it boots, and one metalsim serves both."""
    with Rig(tmp_path, nodes=4, told_by_media=True) as rig:
        other = IronicServer(tmp_path / "other")
        try:
            other.start()
            nodes = rig.metalsim.nodes()
            ours = rig.enroll(nodes[:2], boot_interface="redfish-virtual-media")
            theirs = rig.enroll(nodes[2:], ironic=other, boot_interface="redfish-https")
            Fleet(rig.client, ours, [MANAGE, INSPECT]).run()
            Fleet(other.client, theirs, [MANAGE, INSPECT]).run()
            Fleet(rig.client, ours, [PROVIDE]).run()
            Fleet(other.client, theirs, [PROVIDE, DEPLOY, UNDEPLOY]).run()
            Fleet(rig.client, ours, [DEPLOY, UNDEPLOY]).run()
        finally:
            other.close()


def test_private_authority_and_agents_over_tls(tmp_path: Path) -> None:
    """Ironic's certificate is known from the medium alone, and the agents' from their heartbeats."""
    options = IronicOptions(tls=make_authority(tmp_path / "authority"))
    with Rig(tmp_path, nodes=2, options=options, told_by_media=True, agent_tls=True) as rig:
        nodes = rig.enroll(boot_interface="redfish-virtual-media")
        Fleet(rig.client, nodes, LIFE).run()


def test_ipxe_tells_who_to_trust_by_the_settings(tmp_path: Path) -> None:
    """An iPXE script carries no certificate; the settings fill in what the medium leaves out, no more."""
    authority = make_authority(tmp_path / "authority")
    settings = {"ironic": {"ca_file": str(authority.ca)}}
    with Rig(
        tmp_path,
        nodes=1,
        options=IronicOptions(tls=authority),
        told_by_media=True,
        agent_tls=True,
        settings=settings,
    ) as rig:
        Fleet(rig.client, rig.enroll(boot_interface="ipxe"), LIFE).run()


def test_parameters_on_a_removable_medium(tmp_path: Path) -> None:
    """A ramdisk of the user's own, to which Ironic can speak only by a second medium."""
    with Rig(tmp_path, nodes=1, told_by_media=True) as rig:
        nodes = rig.enroll(user_iso=True, boot_interface="redfish-virtual-media")
        (uuid,) = nodes
        iso = rig.image(rig.ironic.images.silent_iso)
        rig.client.update(uuid, driver_info__deploy_iso=iso, driver_info__config_via_removable=True)
        Fleet(rig.client, nodes, [MANAGE, INSPECT, PROVIDE, DEPLOY]).run()
