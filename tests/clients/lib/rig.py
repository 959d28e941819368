"""A whole deployment on loopback: Ironic, its file server, metalsim, and proxies where a test wants one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .ironic_client import IronicClient, NodeSpec
from .ironic_config import IronicOptions
from .ironic_server import IronicServer
from .metalsim_server import PASSWORD, USERNAME, MetalsimServer, merge

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
        told_by_media: bool = False,
        agent_tls: bool = False,
        scenario: Path | None = None,
    ) -> None:
        """``told_by_media``: metalsim's settings say nothing of Ironic but what DHCP would: the HTTP root.
        ``agent_tls``: the agents serve TLS with a certificate of their own.
        ``scenario``: a file that metalsim runs, with a fleet of its own."""
        self.ironic = IronicServer(folder / "ironic", options)
        self.metalsim = MetalsimServer(
            folder / "metalsim",
            nodes,
            ironic_url=None if told_by_media else self.ironic.agent_api_url,
            timing=timing,
            settings=merge({"boot": {"http_root": self.ironic.files.url}}, settings or {}),
            agent_tls=agent_tls,
            scenario=scenario,
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

    def spec(
        self,
        node: Json,
        address: str | None = None,
        user_iso: bool = False,
        ironic: IronicServer | None = None,
        **interfaces: Any,
    ) -> NodeSpec:
        """How to enroll a node that metalsim lists. ``address``: of a proxy in front of its BMC.

        ``user_iso``: with a ramdisk on an ISO of the user's own, instead of a kernel and a ramdisk out of
        which Ironic builds one when it boots from media.
        """
        server = ironic or self.ironic
        if user_iso:
            ramdisk = {"deploy_iso": server.image_url(server.images.deploy_iso)}
            ramdisk["rescue_iso"] = ramdisk["deploy_iso"]
        else:
            ramdisk = {
                "deploy_kernel": server.image_url(server.images.kernel),
                "deploy_ramdisk": server.image_url(server.images.ramdisk),
                "rescue_kernel": server.image_url(server.images.kernel),
                "rescue_ramdisk": server.image_url(server.images.ramdisk),
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
        self,
        nodes: Sequence[Json] | None = None,
        address: str | None = None,
        user_iso: bool = False,
        ironic: IronicServer | None = None,
        **interfaces: Any,
    ) -> dict[str, str]:
        """Enroll these nodes, or all; Ironic's UUID to name. Each gets an image to deploy."""
        server = ironic or self.ironic
        enrolled = {}
        for node in self.metalsim.nodes() if nodes is None else nodes:
            uuid = server.client.enroll(self.spec(node, address, user_iso, server, **interfaces))
            server.client.update(
                uuid,
                instance_info={
                    "image_source": server.image_url(server.images.instance),
                    "image_checksum": server.images.instance_sha256,
                    "image_os_hash_algo": "sha256",
                    "image_os_hash_value": server.images.instance_sha256,
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
