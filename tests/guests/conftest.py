"""Torchvision is importable, and the table of guests is written when a run ends that was asked to write it."""

from __future__ import annotations

import os
from importlib.util import find_spec

from torchvision_operators import declare

if find_spec("torchvision") is not None:
    declare()


def pytest_sessionfinish() -> None:
    """Write the table."""
    import guest_table

    if os.environ.get("DOWNSLOPE_GUESTS_TABLE") == "write":
        guest_table.write()
