"""Debian's Prometheus and its promtool, unmodified."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import requests

from .metalsim_server import REPOSITORY
from .process import Child, free_port
from .waiting import wait_until

# Where scripts/venv unpacks Debian's prometheus.
PROGRAMS = REPOSITORY / "target" / "prometheus" / "usr" / "bin"


def promtool(*arguments: str | Path, stdin: str | None = None) -> str:
    """What promtool prints; it must find nothing wrong."""
    done = subprocess.run(
        [PROGRAMS / "promtool", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"promtool {' '.join(map(str, arguments))}: {done.returncode}\n{said}"
    return said


class Prometheus:
    """One Prometheus with a configuration file."""

    def __init__(self, config: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self._child: Child | None = None

    def start(self) -> Prometheus:
        command = [
            str(PROGRAMS / "prometheus"),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            # Debian's build has no pages of its own.
            "--web.console.templates=/nonexistent",
            "--web.console.libraries=/nonexistent",
        ]
        self._child = child = Child("prometheus", command, self.folder / "prometheus.log")

        def ready() -> bool:
            assert child.running(), f"Prometheus ended at once.\n{child.tail()}"
            try:
                return requests.get(f"{self.url}/-/ready", timeout=10).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until("Prometheus is ready", ready, limit=60, describe=child.tail)
        return self

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        document = answer.json()
        assert document["status"] == "success", document
        assert not document.get("warnings"), document
        return document["data"]

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """An instant vector: values by labels, without job and instance."""
        found = {}
        for sample in self.api("query", query=expression)["result"]:
            labels = {
                name: value
                for name, value in sample["metric"].items()
                if name not in ("job", "instance", "__name__")
            }
            found[tuple(sorted(labels.items()))] = float(sample["value"][1])
        return found

    def number(self, expression: str) -> float | None:
        """The one value of an expression without labels; none before there is one."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def tail(self) -> str:
        return self._child.tail() if self._child else ""

    def stop(self) -> None:
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        if self._child:
            self._child.kill()
