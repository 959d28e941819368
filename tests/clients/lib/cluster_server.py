"""One simulated cluster as a user starts it: ``metalsim cluster serve``, known by its kubeconfig."""

from __future__ import annotations

from pathlib import Path

from .metalsim_server import binary
from .process import Child, free_port
from .waiting import wait_until


class ClusterServer:
    """A cluster of ready nodes; its first node is a control plane."""

    def __init__(self, folder: Path, nodes: int, name: str = "sim", *more: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.name = name
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = self.folder / "kubeconfig"
        self.log = self.folder / "cluster.log"
        self._command = [
            binary(),
            "cluster",
            "serve",
            *("--nodes", str(nodes)),
            *("--name", name),
            *("--listen", f"127.0.0.1:{self.port}"),
            *("--kubeconfig", str(self.kubeconfig)),
            *more,
        ]
        self._child: Child | None = None

    def start(self) -> ClusterServer:
        self._child = Child("metalsim cluster", self._command, self.log)
        wait_until("the kubeconfig is there", self._is_ready, limit=60, describe=self._child.tail)
        return self

    @property
    def child(self) -> Child:
        assert self._child, "the cluster was not started"
        return self._child

    def _is_ready(self) -> bool:
        assert self.child.running(), f"metalsim ended at once.\n{self.child.tail()}"
        return self.kubeconfig.exists()

    def kill(self) -> None:
        if self._child:
            self._child.kill()

    def stop(self) -> None:
        """End it as a user would; it must say that all went well."""
        if self._child and self._child.running():
            code = self._child.stop()
            assert code == 0, f"metalsim ended with {code}.\n{self._child.tail()}"
