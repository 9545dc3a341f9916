"""Sweeps: every combination of some values, each an ordinary run in one folder, and one page that compares them."""

from __future__ import annotations

import math
import re
import statistics
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from downslope.core.errors import RecipeError
from downslope.recipe.measures import GROWING
from downslope.recipe.overrides import Override, recipe_paths
from downslope.training.folder.log import read_rows
from downslope.training.folder.names import is_run_folder
from downslope.training.tuning.space import split_line, to_text

_MOST = 1000
"""Runs of one sweep: more are a mistake of typing."""


@dataclass(frozen=True)
class Swept:
    """One run of a sweep.

    Attributes:
        name: Its folder's name.
        values: The values that make it, as TOML by path.
    """

    name: str
    values: tuple[Override, ...]

    def without_seed(self) -> tuple[Override, ...]:
        """Return the values that are settings: all but the seed."""
        return tuple(one for one in self.values if one[0] != "seed")


def read_sweep(lines: Sequence[str]) -> tuple[Swept, ...]:
    """Return the runs of lines such as ``sgd.lr = [0.01, 0.1, 1]``: all combinations, the last line's fastest.

    Raises:
        RecipeError: If a line is no list of different values for a path of a recipe.

    Example:
        >>> [one.name for one in read_sweep(["sgd.lr = [0.1, 1]", "seed = [0, 1]"])]
        ['sgd.lr=0.1,seed=0', 'sgd.lr=0.1,seed=1', 'sgd.lr=1,seed=0', 'sgd.lr=1,seed=1']
    """
    axes: dict[str, list[str]] = {}
    for line in lines:
        path, text = split_line(line, "--sweep")
        if path in axes:
            raise RecipeError(f"--sweep {path}: given more than once. Give all its values in one list.")
        if path not in recipe_paths() and not path.startswith(("data.options.", "model.options.", "groups.")):
            raise RecipeError(f"--sweep {path}: is no path of a recipe. Paths are as in --sgd.lr.")
        try:
            values: Any = tomllib.loads(f"values = {text}")["values"]
        except (ValueError, KeyError):
            values = None
        texts = [to_text(value) for value in values] if isinstance(values, list) else []
        if not texts or len(set(texts)) < len(texts):
            raise RecipeError(f"--sweep {path} = {text}: give a list of different values, such as [0.01, 0.1, 1].")
        axes[path] = texts
    if (count := math.prod(map(len, axes.values()))) > _MOST:
        raise RecipeError(f"--sweep: {count:,} runs; at most {_MOST:,} are made at once. Leave values out.")
    combined = [tuple(zip(axes, texts, strict=True)) for texts in product(*axes.values())]
    return tuple(Swept(_name(values, number), values) for number, values in enumerate(combined))


def _name(values: Sequence[Override], number: int) -> str:
    """Return a folder's name: the values themselves where they can be one, else the run's number."""
    name = ",".join(f"{path}={text}" for path, text in values).replace('"', "").replace(" ", "")
    return name if len(name) <= 120 and re.fullmatch(r"[\w.,=+\[\]-]+", name) else f"run-{number:04d}"


@dataclass(frozen=True)
class Row:
    """A setting of a sweep, over all its seeds.

    Attributes:
        values: The setting.
        ends: The metric at the end of each run that has one.
        runs: How many runs there are.
    """

    values: tuple[Override, ...]
    ends: tuple[float, ...]
    runs: int

    @property
    def mean(self) -> float:
        """The mean over the runs; NaN where there is none."""
        return statistics.fmean(self.ends) if self.ends else math.nan

    @property
    def spread(self) -> float:
        """The standard deviation over the runs; NaN of fewer than two."""
        return statistics.stdev(self.ends) if len(self.ends) > 1 else math.nan


def rows_of(folder: Path, swept: Sequence[Swept]) -> tuple[str, list[Row]]:
    """Return what is compared, and each setting with it, the best first."""
    found: dict[tuple[Override, ...], list[float | None]] = {}
    metric = "loss"
    for one in swept:
        run = folder / one.name
        last = (read_rows(run, "evaluation") or [{}])[-1] if is_run_folder(run) else {}
        metric = next((name for name in last if name in GROWING or name.endswith("_error_rate")), metric)
        value = last.get(metric)
        usable = None if value is None or not math.isfinite(float(value)) else float(value)
        found.setdefault(one.without_seed(), []).append(usable)
    rows = [
        Row(values, tuple(value for value in ends if value is not None), len(ends)) for values, ends in found.items()
    ]
    sign = -1 if metric in GROWING else 1
    return metric, sorted(rows, key=lambda row: (math.isnan(row.mean), sign * row.mean if row.ends else 0.0))
