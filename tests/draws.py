"""How many random cases a test draws: the same ones each time, or new ones and twenty times as many by night.

A test that fails by the chance of its draw tells nobody what they broke. So `make test` draws from a fixed seed, and
`make nightly` (DOWNSLOPE_NIGHTLY=1) draws anew; what it finds becomes an `@example` or a test of its own.
"""

from __future__ import annotations

import os
import time

NIGHTLY = os.environ.get("DOWNSLOPE_NIGHTLY") == "1"

SEED = time.time_ns() % 2**32 if NIGHTLY else 0
"""For generators of a test's own; a failing test should show it."""


def draws(count: int) -> int:
    """Return how many cases to draw, where `count` are enough for every day."""
    return count * 20 if NIGHTLY else count
