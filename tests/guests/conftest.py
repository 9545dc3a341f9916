"""The table of guests is written when a run that found it ends, if the environment asks for it."""

from __future__ import annotations

import os

from torchvision_operators import declare

declare()


def pytest_sessionfinish() -> None:
    """Write the table."""
    import guest_table

    if os.environ.get("DOWNSLOPE_GUESTS_TABLE") == "write":
        guest_table.write()
