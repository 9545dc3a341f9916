"""The names in a run folder, and the facts that a run wrote down at its start; loads no framework.

What lives here: what those outside a run need to find their way in its folder. What does not: all that is done with it
(`run_folder.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from downslope.core.errors import CheckpointError
from downslope.training import durable

RECIPE = "recipe.toml"
FACTS = "run.json"
INPUTS = "inputs.json"
LOCK = "lock"
MODEL = "model.safetensors"
EMA = "ema.safetensors"
REPORT = "report.html"
LOGGERS = "loggers.json"
TENSORBOARD = "tensorboard"

ANEW = "start a new run with --resume never and another --out"
"""What always works where a run cannot go on, whatever --resume and --out were."""

_FACTS = frozenset({"environment", "data", "steps_per_epoch", "total_steps", "parameters", "groups"})
"""What the facts of a run must hold."""


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts that a run wrote at its start.

    Args:
        folder: The run folder.

    Raises:
        CheckpointError: If they are missing or damaged.
    """
    path = folder / FACTS
    try:
        found = json.loads(durable.read_file(path))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: has no {FACTS}. Going on with the run writes it again: downslope resume."
        ) from None
    except ValueError:
        raise CheckpointError(f"{path}: damaged; it is not JSON.") from None
    if not isinstance(found, dict) or not found.keys() >= _FACTS:
        raise CheckpointError(f"{path}: damaged; it is no object with {', '.join(sorted(_FACTS))}.")
    return cast("dict[str, Any]", found)
