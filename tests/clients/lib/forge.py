"""``metalsim userdata`` as a user calls it: what makes a cluster of machines, and its kubeconfig."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from .metalsim_server import binary

Json = dict[str, Any]

# As Cluster API's Metal3 templates have them; the values come from the meta data that Ironic writes.
LABELS = "metal3.io/uuid={{ ds.meta_data.uuid }}"
PROVIDER_ID = "metal3://{{ ds.meta_data.uuid }}"


class Forge:
    """A cluster that is to be, at an endpoint of this machine."""

    def __init__(self, folder: Path, name: str, endpoint: str, *more: str) -> None:
        """``more``: further arguments of ``--role init``."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.name = name
        self.endpoint = endpoint
        self.kubeconfig = self.folder / "admin.conf"
        self.init_drive = self.drive(
            "init", "--endpoint", endpoint, "--kubeconfig", str(self.kubeconfig), *more
        )

    def _run(self, role: str, target: Path, *more: str) -> None:
        command = [
            *(binary(), "userdata", "--cluster", self.name, "--state", str(self.folder), "--role", role),
            *("--node-labels", LABELS, "--provider-id", PROVIDER_ID),
            *("--config-drive", str(target)),
            *more,
        ]
        subprocess.run(command, check=True, capture_output=True, text=True)

    def drive(self, role: str, *more: str) -> Json:
        """A config drive for any machine, which Ironic builds: it adds the node's name and UUID."""
        target = self.folder / f"{role}.json"
        self._run(role, target, *more)
        return json.loads(target.read_text())

    def image(self, role: str, uuid: str, name: str) -> str:
        """A config drive for one machine as an image, to which Ironic adds nothing."""
        target, metadata = self.folder / f"{role}-{name}.b64", self.folder / f"{name}.meta.json"
        metadata.write_text(json.dumps({"uuid": uuid, "name": name}))
        self._run(role, target, "--metadata", str(metadata))
        return target.read_text()

    def authority(self, which: str) -> tuple[str, str]:
        """Certificate and key of ``ca`` or ``etcd`` as PEM text."""
        pair = json.loads((self.folder / f"{self.name}.json").read_text())["authorities"][which]
        return pair["public"], pair["private"]
