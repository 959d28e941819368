"""Headless Chromium: loads a page, runs what is in it, and gives back what has become of it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# Chromium as one run knows it: no sandbox for root, no network of its own.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)


@dataclass(frozen=True)
class Loaded:
    """A page after its scripts have run."""

    dom: str
    # What scripts, and the page's own security policy, have complained about.
    console: list[str]


def load(page: Path, profile: Path, *, dark: bool, width: int) -> Loaded:
    """Loads a page from a file, on a system that prefers light or dark colours."""
    command = [
        "chromium",
        *_FLAGS,
        f"--user-data-dir={profile}",
        # 0 is dark, 1 is light.
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={width},1000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Loaded(done.stdout, console)
