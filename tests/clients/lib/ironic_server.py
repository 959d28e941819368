"""The real Ironic from PyPI: API and conductor in one process, SQLite, loopback, no authentication."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import requests

from .file_server import FileServer
from .images import Images, make_images
from .ironic_client import IronicClient
from .ironic_config import IronicOptions, write_config
from .process import Child, free_port
from .waiting import wait_until

HASH_ONCE = Path(__file__).resolve().parent / "hash_once"


class IronicServer:
    """One Ironic with its file server. Killed and started again it has the same address and database."""

    def __init__(self, folder: Path, options: IronicOptions | None = None, port: int | None = None) -> None:
        self.folder = folder.resolve()
        self.options = options or IronicOptions()
        self.port = port or free_port()
        tls = self.options.tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._verify = str(tls.ca) if tls else True
        http_root = self.folder / "http"
        state = self.folder / "ironic"
        http_root.mkdir(parents=True)
        state.mkdir()
        self.agent_api_url = self.options.agent_api_url or self.url
        self.images: Images = make_images(http_root / "images")
        self.files = FileServer(http_root)
        self.config = self.folder / "ironic.conf"
        self.log = self.folder / "ironic.log"
        write_config(self.config, state, self.port, http_root, self.files.url, self.options)
        self.client = IronicClient(self.url, self._verify)
        self._child: Child | None = None
        self._log_start = 0
        self._spent = 0.0

    def image_url(self, name: str) -> str:
        return f"{self.files.url}/images/{name}"

    def start(self) -> IronicServer:
        """Make the database if there is none, start, and wait until conductor and API are there."""
        if not (self.folder / "ironic" / "ironic.sqlite").exists():
            with self.log.open("ab") as log:
                subprocess.run(
                    [_program("ironic-dbsync"), "--config-file", str(self.config), "create_schema"],
                    check=True,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        self._log_start = self.log.stat().st_size
        path = {"PYTHONPATH": str(HASH_ONCE)} if self.options.hash_once else {}
        command = [_program("ironic"), "--config-file", str(self.config)]
        self._child = Child("ironic", command, self.log, path)
        wait_until("Ironic is up", self._is_up, limit=120, describe=self._child.tail)
        return self

    @property
    def child(self) -> Child:
        assert self._child, "Ironic was not started"
        return self._child

    def _is_up(self) -> bool:
        # Its parent process starts a worker that fails again and again, for ever.
        with self.log.open(errors="replace") as log:
            log.seek(self._log_start)
            failed = not self.child.running() or "exited with status" in log.read()
        assert not failed, f"Ironic ended at once.\n{self.child.tail()}"
        try:
            drivers = requests.get(f"{self.url}/v1/drivers", timeout=10, verify=self._verify)
        except requests.ConnectionError:
            return False
        return drivers.ok and any(d["name"] == "redfish" for d in drivers.json()["drivers"])

    def cpu_seconds(self) -> float:
        """CPU seconds of all its lives."""
        return self._spent + (self._child.cpu_seconds() if self._child else 0.0)

    def kill(self) -> None:
        """As a crash: no clean-up, no farewell."""
        self.child.kill()
        self._forget()

    def stop(self) -> None:
        """As an operator would."""
        if self._child:
            self._child.stop()
            self._forget()

    def _forget(self) -> None:
        self._spent += self.child.cpu_seconds()
        self._child = None

    def close(self) -> None:
        """End it and its file server."""
        if self._child:
            self.kill()
        self.client.close()
        self.files.close()


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: run scripts/venv"
    return found
