"""The names in a run folder, its recipe, the facts of its start, and how to find a run around a path.

It is what those outside a run need to find their way in its folder; it loads no framework.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from downslope.core.errors import CheckpointError, RecipeError
from downslope.core.files import kind_of, read_text
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.recipe.load import parse_recipe
from downslope.recipe.overrides import Override
from downslope.recipe.schema import Recipe, settle
from downslope.training.folder import durable
from downslope.training.folder.manifest import Start

RECIPE = "recipe.toml"
CHECKPOINTS = "checkpoints"
FACTS = "run.json"
INPUTS = "inputs.json"
LOCK = "lock"
MODEL = "model.safetensors"
EMA = "ema.safetensors"
REPORT = "report.html"
LOGGERS = "loggers.json"
TENSORBOARD = "tensorboard"
WANDB = "wandb"
OWN_FILES = frozenset({RECIPE, FACTS, INPUTS, LOCK, "log.jsonl", "events.jsonl", LOGGERS, MODEL, EMA})
"""What a run keeps, and nothing else may replace; its page may be written anew."""
_LARGEST = 256 << 20
"""Bytes that the facts may have; they name every parameter, and no more."""

Count = Annotated[int, Meta(ge=0, le=2**53)]

ANEW = "start a new run with --resume never and another --out"
"""What always works where a run cannot go on, whatever --resume and --out were."""

_LEVELS = 3
"""How far above a path a run is looked for: a file in a checkpoint lies three levels within its run."""


class DataFacts(Struct):
    """What the facts of a run say of its data."""

    name: str = ""
    train_examples: Count = 0
    held_out_examples: Count = 0
    input_shape: list[Count] = []
    classes: Count | None = None
    class_names: list[str] = []
    most_frequent: Annotated[float, Meta(ge=0, le=1)] | None = None
    fingerprint: str | None = None


class GroupFacts(Struct):
    """What they say of a group of parameters."""

    match: str | None
    parameters: list[str]


class Facts(Struct):
    """What the facts of a run must hold, and of which types; more may stand beside it."""

    environment: dict[str, str | int | float | None]
    data: DataFacts
    steps_per_epoch: Annotated[int, Meta(ge=1, le=2**53)]
    total_steps: Count
    parameters: dict[str, list[Count]]
    groups: list[GroupFacts]
    downslope: str = ""
    start: Start | None = None
    frozen: list[str] = []


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts that a run wrote at its start.

    Raises:
        CheckpointError: If they are missing or damaged.
    """
    path = folder / FACTS
    try:
        data = durable.read_file(path, limit=_LARGEST)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: has no {FACTS}. Going on with the run writes it again: downslope resume."
        ) from None
    try:
        decode_json(data, Facts, FACTS, CheckpointError)
        return decode_json(data, dict[str, Any], FACTS, CheckpointError)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: damaged; {str(error).removeprefix(f'{FACTS}: ')}") from None


def read_recipe(folder: Path, overrides: Iterable[Override] = ()) -> Recipe:
    """Return the recipe that lies in a run folder.

    Raises:
        RecipeError: If it cannot be read, is a link to another file, or is no recipe.
    """
    path = folder / RECIPE
    try:
        text = read_text(path, RecipeError, follow=False)
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from None
    return settle(parse_recipe(text, str(path), overrides), {})


def run_around(path: Path) -> Path | None:
    """Return the run folder in which a path lies, as it was written where that shows it; None if there is none.

    A run folder holds a folder of checkpoints, each a folder again, so that one level too many or too few is an
    ordinary slip: the message then names the run, and never guesses which checkpoint was meant.
    """
    for way in (path, Path(os.path.abspath(path))):  # noqa: PTH100  # follows no link
        for folder in list(way.parents)[:_LEVELS]:
            if is_run_folder(folder):
                return folder
    return None


def describe_no_checkpoint(path: Path) -> str:
    """Return what a path is that was given as a checkpoint and is none: "is ..., not ..." and a full stop."""
    run = run_around(path)
    if is_run_folder(path):
        return "is a run folder, not one checkpoint."
    if not path.is_dir():
        return f"is {kind_of(path.stat().st_mode)}, not the folder of a checkpoint."
    if run is not None and path.resolve() == (run / CHECKPOINTS).resolve():
        return f"is the folder of all checkpoints of the run {shown(run)}, not one of them."
    return "is a folder, but neither a run folder nor a checkpoint."


def is_run_folder(folder: Path) -> bool:
    """Return whether a run was begun in a folder, as far as can be told from outside; a link there is refused later."""
    try:
        mode = os.lstat(folder / RECIPE).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
