"""kubectl, unmodified: the one on the PATH, and Debian's, which is six years older."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .metalsim_server import REPOSITORY

# Where scripts/venv unpacks Debian's kubernetes-client.
DEBIAN = REPOSITORY / "target" / "kubernetes-client" / "usr" / "bin" / "kubectl"


def programs() -> dict[str, Path]:
    """The kubectls of this machine by a word for each; Debian's is always there."""
    found = {"debian": DEBIAN}
    if on_path := shutil.which("kubectl"):
        found["path"] = Path(on_path)
    return found


class KubectlFailed(AssertionError):
    """kubectl ended with another exit code than wanted."""


class Kubectl:
    """One kubectl, for one cluster, with a cache of its own."""

    def __init__(self, program: Path, kubeconfig: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.program = program
        self.kubeconfig = kubeconfig
        self.home = folder.resolve()

    @property
    def env(self) -> dict[str, str]:
        """What it finds in its environment beside everything else."""
        return {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), "TZ": "UTC"}

    def run(
        self, *arguments: str, stdin: str | None = None, code: int | None = 0, limit: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run it; ``code`` is the exit code that it must have, ``None`` for any."""
        done = subprocess.run(
            [str(self.program), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=limit,
            env={**os.environ, **self.env},
        )
        if code is not None and done.returncode != code:
            raise KubectlFailed(
                f"kubectl {' '.join(arguments)}: exit code {done.returncode}, wanted {code}\n"
                f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
            )
        return done

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it; what it prints."""
        return self.run(*arguments, stdin=stdin).stdout

    def fails(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it; it must fail. What it says."""
        done = self.run(*arguments, stdin=stdin, code=None)
        if done.returncode == 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)} did not fail:\n{done.stdout}")
        return done.stderr

    def json(self, *arguments: str) -> Any:
        """Run it with ``-o json``."""
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, *documents: Any, flags: tuple[str, ...] = ()) -> str:
        """Apply objects."""
        text = "\n".join(json.dumps(document) for document in documents)
        return self("apply", *flags, "-f", "-", stdin=text)

    def columns(self, *arguments: str) -> list[str]:
        """The heads of the printed table's columns."""
        first = self(*arguments).splitlines()[0]
        return [column for column in first.split("  ") if column.strip()]
