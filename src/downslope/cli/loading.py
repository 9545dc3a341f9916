"""Loads torch for a command, a third sooner than by a plain import."""

from __future__ import annotations

import gc
import sys


def load_torch() -> None:
    """Import torch without a search for garbage among its half a million objects, then or later: there is none."""
    if "torch" in sys.modules:
        return
    searching = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401  loaded, not used

        gc.freeze()
    finally:
        if searching:
            gc.enable()
