"""Waiting for conditions, never for time to pass: a slow machine makes a test slow, not red."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTime(AssertionError):
    """A condition did not come true within a limit that is meant to be far beyond any sane run."""


def wait_until(
    what: str,
    probe: Callable[[], T],
    limit: float = 120.0,
    every: float = 0.1,
    describe: Callable[[], str] = lambda: "",
) -> T:
    """Call ``probe`` until it returns something true, and return that.

    ``limit`` only says when to give up; ``describe`` is asked for details then.
    """
    deadline = time.monotonic() + limit
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise NotInTime(f"{what}: not within {limit:.0f} s. {describe()}".rstrip())
        time.sleep(every)
