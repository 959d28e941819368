"""A whole deployment on loopback: Ironic, its file server, metalsim, and proxies where a test wants one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .ironic_client import IronicClient, NodeSpec
from .ironic_config import IronicOptions
from .ironic_server import IronicServer
from .metalsim_server import PASSWORD, USERNAME, MetalsimServer

Json = dict[str, Any]

CONFIG_DRIVE: Json = {
    "meta_data": {"hostname": "host", "local-hostname": "host"},
    "user_data": "#cloud-config\nhostname: host\n",
    "network_data": {"links": [], "networks": [], "services": []},
}


class Rig:
    """Ironic and a metalsim whose agents call it. Use as a context manager."""

    def __init__(
        self,
        folder: Path,
        nodes: int,
        options: IronicOptions | None = None,
        timing: Json | None = None,
        settings: Json | None = None,
    ) -> None:
        self.ironic = IronicServer(folder / "ironic", options)
        self.metalsim = MetalsimServer(
            folder / "metalsim",
            nodes,
            ironic_url=self.ironic.agent_api_url,
            timing=timing,
            settings=settings,
        )

    def __enter__(self) -> Rig:
        try:
            self.metalsim.start()
            self.ironic.start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Both end; after a test that went well metalsim must do so in an orderly way."""
        try:
            if kind is None:
                self.metalsim.stop()
        finally:
            self._kill()

    def _kill(self) -> None:
        self.metalsim.kill()
        self.ironic.close()

    @property
    def client(self) -> IronicClient:
        return self.ironic.client

    def spec(self, node: Json, address: str | None = None, **interfaces: Any) -> NodeSpec:
        """How to enroll a node that metalsim lists. ``address``: of a proxy in front of its BMC."""
        if interfaces.get("boot_interface") == "redfish-virtual-media":
            ramdisk = {"deploy_iso": self.image(self.ironic.images.deploy_iso)}
            ramdisk["rescue_iso"] = ramdisk["deploy_iso"]
        else:
            ramdisk = {
                "deploy_kernel": self.image(self.ironic.images.kernel),
                "deploy_ramdisk": self.image(self.ironic.images.ramdisk),
                "rescue_kernel": self.image(self.ironic.images.kernel),
                "rescue_ramdisk": self.image(self.ironic.images.ramdisk),
            }
        return NodeSpec(
            name=node["name"],
            address=address or node["redfish"]["address"],
            system_id=node["redfish"]["system"],
            mac=node["mac"],
            username=USERNAME,
            password=PASSWORD,
            driver_info=ramdisk,
            interfaces=interfaces,
        )

    def enroll(
        self, nodes: Sequence[Json] | None = None, address: str | None = None, **interfaces: Any
    ) -> dict[str, str]:
        """Enroll these nodes, or all; Ironic's UUID to name. Each gets an image to deploy."""
        enrolled = {}
        for node in self.metalsim.nodes() if nodes is None else nodes:
            uuid = self.client.enroll(self.spec(node, address, **interfaces))
            self.client.update(
                uuid,
                instance_info={
                    "image_source": self.image(self.ironic.images.instance),
                    "image_checksum": self.ironic.images.instance_sha256,
                    "image_os_hash_algo": "sha256",
                    "image_os_hash_value": self.ironic.images.instance_sha256,
                    "image_disk_format": "raw",
                    "image_type": "whole-disk",
                },
            )
            enrolled[uuid] = node["name"]
        return enrolled

    def image(self, name: str) -> str:
        return self.ironic.image_url(name)

    def cpu_report(self) -> str:
        """Who spent how much processor time."""
        ours, theirs = self.metalsim.cpu_seconds(), self.ironic.cpu_seconds()
        return f"CPU seconds: metalsim {ours:.2f}, Ironic {theirs:.2f}"
