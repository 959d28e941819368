"""Child processes whose end, output and CPU time we know."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody uses now. Servers that are restarted keep theirs.

    Below the range from which the kernel takes ports for outgoing connections: those come and go by the
    thousand, and one of them must not sit on the port when the server wants it. None is given twice.
    """
    while True:
        with socket.socket() as probe:
            port = random.randrange(10_240, 32_768)
            if port in _given:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in brackets and may hold blanks.
    return text.rpartition(")")[2].split()


def cpu_seconds_of_group(group: int) -> float:
    """CPU seconds of all processes of a process group, and of their ended children."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and int(fields[2]) == group:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


class Child:
    """A server in a process group of its own, writing to a log file."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._spent = 0.0
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """CPU seconds so far; the last known value once it has ended."""
        if self.running():
            self._spent = max(self._spent, cpu_seconds_of_group(self.pid))
        return self._spent

    def tail(self, lines: int = 40) -> str:
        """The end of the log, for error messages."""
        text = self.log.read_text(errors="replace").splitlines()
        return f"--- end of {self.log.name} ---\n" + "\n".join(text[-lines:])

    def stop(self, limit: float = 60.0) -> int:
        """Ask it to end (SIGTERM), insist after ``limit`` seconds; its exit code."""
        self.cpu_seconds()
        if self.running():
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            self._sweep()

    def kill(self) -> int:
        """End it the hard way (SIGKILL), its children too."""
        self.cpu_seconds()
        self._sweep()
        return self._process.wait()

    def _sweep(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
