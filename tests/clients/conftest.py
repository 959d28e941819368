"""The real-client suites: unmodified sushy and Ironic from PyPI against metalsim.

Everything runs on loopback, on ports that were free, in pytest's temporary folders. Nothing here waits for time
to pass, and no limit is near what a run needs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.metalsim_server import MetalsimServer  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder for all that a module's servers write."""
    return tmp_path_factory.mktemp(request.module.__name__)


@pytest.fixture(scope="module")
def bmcs(folder: Path) -> Iterator[MetalsimServer]:
    """metalsim alone, as a set of BMCs; whatever boots finds no Ironic."""
    server = MetalsimServer(folder / "metalsim", nodes=40)
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()
