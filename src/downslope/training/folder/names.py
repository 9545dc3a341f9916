"""The names in a run folder, its recipe, and the facts that a run wrote down at its start; loads no framework.

It is what those outside a run need to find their way in its folder; what is done with one is in `run_folder.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from downslope.core.errors import CheckpointError, RecipeError
from downslope.core.files import read_text
from downslope.core.strict_json import decode_json
from downslope.recipe.load import parse_recipe
from downslope.recipe.overrides import Override
from downslope.recipe.schema import Recipe, settle
from downslope.training.folder import durable

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
_LARGEST = 256 << 20
"""Bytes that the facts may have; they name every parameter, and no more."""

Count = Annotated[int, Meta(ge=0, le=2**53)]

ANEW = "start a new run with --resume never and another --out"
"""What always works where a run cannot go on, whatever --resume and --out were."""


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


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts that a run wrote at its start.

    Args:
        folder: The run folder.

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

    Args:
        folder: The run folder.
        overrides: As in `load_recipe`.

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
