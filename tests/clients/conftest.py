"""The real-client suites: unmodified sushy and Ironic from PyPI against metalsim.

Everything runs on loopback, on ports that were free, in pytest's temporary folders. Nothing waits for time to
pass, and no limit is near what a run needs.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.metalsim_server import MetalsimServer, binary

Note = Callable[[str], None]
NOTE = "note"


def pytest_configure() -> None:
    # Asked to end, as by a time limit: let fixtures end what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"metalsim: {binary()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: with two workers it must not be what runs alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_thirty.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured on the way: told, not judged, since machines differ."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    notes = [
        f"{report.nodeid.rpartition('::')[2]}: {text}"
        for report in reports
        for name, text in report.user_properties
        if name == NOTE
    ]
    if notes:
        terminalreporter.section("measured")
        for note in notes:
            terminalreporter.write_line(note)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Puts a line below the test results."""
    return lambda text: request.node.user_properties.append((NOTE, text))


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
