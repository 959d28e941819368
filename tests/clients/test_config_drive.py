"""Config drives in every form in which Ironic passes them: what the installed system makes of each."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path

import pytest
from lib.ironic_client import NodeFailed
from lib.lifecycle import MANAGE, PROVIDE, Fleet, deploy_with
from lib.metalsim_server import REPOSITORY
from lib.rig import Rig
from lib.waiting import wait_until

FIXTURES = REPOSITORY / "tests" / "fixtures" / "user_data"


def prebuilt(folder: Path, name: str) -> str:
    """A config drive as a user builds it: base64 of a gzipped ISO 9660 file system."""
    case = FIXTURES / name
    latest = folder / name / "openstack" / "latest"
    latest.mkdir(parents=True)
    for file in ("user_data", "meta_data.json"):
        (latest / file).write_bytes((case / file).read_bytes())
    image = folder / f"{name}.iso"
    command = ["genisoimage", "-quiet", "-R", "-J", "-V", "config-2", "-o", image, folder / name]
    subprocess.run(command, check=True, capture_output=True)
    return base64.b64encode(gzip.compress(image.read_bytes())).decode()


def test_each_form_makes_its_system(tmp_path: Path) -> None:
    with Rig(tmp_path, nodes=4, told_by_media=True) as rig:
        nodes = rig.enroll(boot_interface="ipxe", bios_interface="no-bios", firmware_interface="no-firmware")
        Fleet(rig.client, nodes, [MANAGE, PROVIDE]).run()
        init = FIXTURES / "capi-1.10-init-metal3"
        files = rig.ironic.files
        (files.root / "drive").write_text(prebuilt(tmp_path, "capi-1.5-join-control-plane-metal3"))
        ignition = FIXTURES / "ignition-2.3-join-worker"
        drives = {
            # Ironic builds the drive; the machine's name comes from the meta data by way of jinja.
            "object": {
                "meta_data": json.loads((init / "meta_data.json").read_text()),
                "user_data": (init / "user_data").read_text(),
            },
            # Given as an object, user data are written as JSON.
            "ignition": {
                "meta_data": {"name": "host-1"},
                "user_data": json.loads((ignition / "user_data").read_text()),
            },
            "iso": prebuilt(tmp_path, "capi-1.10-join-worker-metal3"),
            "url": f"{files.url}/drive",
        }
        expected = {
            "object": "init",
            "ignition": "join_worker",
            "iso": "join_worker",
            "url": "join_control_plane",
        }
        uuids = dict(zip(drives, nodes, strict=True))
        for form, uuid in uuids.items():
            Fleet(rig.client, {uuid: nodes[uuid]}, [deploy_with(drives[form])]).run()
        for form, uuid in uuids.items():
            name = nodes[uuid]
            # Those that join wait for an API server that never comes.
            up = ("bootstrapping", "os_running")
            wait_until("the system is up", lambda name=name, up=up: rig.metalsim.node(name)["phase"] in up)
            system = rig.metalsim.node(name)["system"]
            assert (system["hostname"], system["intent"]["kind"]) == ("host-1", expected[form]), form
            assert system["warnings"] == [], form
        assert files.fetched("/drive"), "the agent fetches the drive by its URL"


def test_drive_that_cannot_be_fetched_fails_the_deployment(tmp_path: Path) -> None:
    with Rig(tmp_path, nodes=1, told_by_media=True) as rig:
        nodes = rig.enroll(boot_interface="ipxe", bios_interface="no-bios", firmware_interface="no-firmware")
        Fleet(rig.client, nodes, [MANAGE, PROVIDE]).run()
        missing = f"{rig.ironic.files.url}/no-drive"
        with pytest.raises(NodeFailed, match=r"no-drive.*404"):
            Fleet(rig.client, nodes, [deploy_with(missing)]).run()
