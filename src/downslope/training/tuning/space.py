"""What is searched: dimensions by name, with the values that they may have, read from ``sgd.lr = log(1e-3, 1)``."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, cast

from downslope.core.errors import RecipeError, did_you_mean
from downslope.core.shown import shown
from downslope.recipe.overrides import recipe_paths

Value = float | int | str
"""Of a choice, its TOML text."""

COORDINATES = ("effective_lr", "decay_epochs", "velocity_examples")
"""Dimensions that are no paths of a recipe: effective lr, timescale of the weight decay, horizon of the velocity."""

TWINS: Mapping[str, str] = {
    "effective_lr": "sgd.lr",
    "decay_epochs": "sgd.weight_decay",
    "velocity_examples": "sgd.momentum",
}
"""Coordinate -> the path that it decides."""

_FORM = re.compile(r"\s*(log|uniform|int|choice)\s*\((.*)\)\s*", re.DOTALL)
_LINE = re.compile(r"\s*([\w.-]+)\s*=(.*)", re.DOTALL)
_FORMS = "log(1e-3, 1), uniform(0, 0.99), int(1, 4) or choice([64], [128])"
_TABLES = ("data.options.", "model.options.", "groups.")
"""What paths begin with that only the recipe at hand can check."""


@dataclass(frozen=True)
class Dimension:
    """One number, or one choice, that is searched.

    Attributes:
        name: A path of the recipe, or one of `COORDINATES`.
        kind: How values lie between the ends.
        low: The smallest value; of a choice 0.
        high: The largest one; of a choice the last one's index.
        choices: Of a choice, the values as TOML.
    """

    name: str
    kind: Literal["log", "uniform", "int", "choice"]
    low: float
    high: float
    choices: tuple[str, ...] = ()

    def at(self, place: float) -> Value:
        """Return the value at a place in [0, 1].

        Example:
            >>> Dimension("sgd.lr", "log", 0.01, 1.0).at(0.5), Dimension("seed", "int", 1, 4).at(0.99)
            (0.1, 4)
        """
        place = min(max(place, 0.0), 1.0)
        if self.kind == "log":
            value = math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
            return min(max(float(f"{value:.6g}"), self.low), self.high)
        if self.kind == "uniform":
            return min(max(float(f"{self.low + place * (self.high - self.low):.6g}"), self.low), self.high)
        count = int(self.high - self.low) + 1
        index = int(self.low) + min(int(place * count), count - 1)
        return self.choices[index] if self.kind == "choice" else index

    def place(self, value: Value) -> float:
        """Return where a value lies in [0, 1]; of integers and choices, the middle of its share."""
        if isinstance(value, str):
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.kind == "log":
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        if self.kind == "int":
            return (value - self.low + 0.5) / (self.high - self.low + 1)
        return (value - self.low) / (self.high - self.low)

    def points(self, count: int) -> list[Value]:
        """Return so many values from end to end; of integers and choices each at most once."""
        if self.kind in {"log", "uniform"}:
            return [self.at(i / (count - 1)) for i in range(count)]
        every = int(self.high - self.low) + 1
        if self.kind == "choice" or every <= count:
            return [self.at((i + 0.5) / every) for i in range(every)]
        return [round(self.low + i * (self.high - self.low) / (count - 1)) for i in range(count)]

    def __str__(self) -> str:
        """Return the line that gives this dimension."""
        inside = self.choices if self.kind == "choice" else (f"{self.low:.6g}", f"{self.high:.6g}")
        return f"{self.name} = {self.kind}({', '.join(inside)})"


def split_line(line: str, option: str = "--search") -> tuple[str, str]:
    """Return name and form of a line ``NAME = FORM``.

    Raises:
        RecipeError: If it is no such line.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise RecipeError(
            f"{option} {line!r}: write NAME = VALUES, such as sgd.lr = {_FORMS.split(' or ', maxsplit=1)[0]}."
        )
    return found[1], found[2].strip()


def read_dimension(name: str, form: str) -> Dimension:
    """Return the dimension of a name and a form such as ``log(1e-3, 1)``.

    Raises:
        RecipeError: If there is no such path or form, or no number lies within it.
    """
    known = (*recipe_paths(), *COORDINATES)
    if name not in known and not name.startswith(_TABLES):
        raise RecipeError(
            f"search: `{shown(name)}` is no path of a recipe and no coordinate.{did_you_mean(name, known)} "
            f"Coordinates are {', '.join(COORDINATES)}; paths are as in --sgd.lr."
        )
    where = f"search, {name} = {form}"
    found = _FORM.fullmatch(form)
    if found is None:
        raise RecipeError(f"{where}: values are given as {_FORMS}.")
    kind, inside = found[1], found[2]
    try:
        table = tomllib.loads(f"values = [{inside}]")
    except ValueError:
        table = {}
    values: list[Any] = table.get("values", []) if set(table) == {"values"} else []
    if kind == "choice":
        if name in COORDINATES and not all(type(value) in (int, float) for value in values):
            raise RecipeError(f"{where}: a coordinate is a number; choose among some, such as choice(0.5, 1.0).")
        texts = tuple(to_text(value) for value in values)
        if len(set(texts)) < max(len(texts), 2):
            raise RecipeError(f"{where}: choose among at least two different values in TOML, such as choice(32, 64).")
        return Dimension(name, "choice", 0, len(texts) - 1, texts)
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(values) != 2 or len(numbers) != 2 or not all(math.isfinite(n) for n in numbers):
        raise RecipeError(f"{where}: {kind} takes two finite numbers, the smallest and the largest.")
    return _range(name, kind, numbers[0], numbers[1], where)


def _range(name: str, kind: str, low: float, high: float, where: str) -> Dimension:
    """Return a dimension of numbers, after checking its ends."""
    if not low < high:
        raise RecipeError(f"{where}: the first number must be below the second.")
    if kind == "log" and low <= 0:
        raise RecipeError(f"{where}: a logarithmic range begins above 0. For one from 0 use uniform.")
    if kind == "int":
        if not (isinstance(low, int) and isinstance(high, int)):
            raise RecipeError(f"{where}: int takes two integers.")
        return Dimension(name, "int", low, high)
    return Dimension(name, "log" if kind == "log" else "uniform", float(low), float(high))


def read_space(search: Mapping[str, str]) -> tuple[Dimension, ...]:
    """Return the dimensions of a table of forms by name.

    Raises:
        RecipeError: As `read_dimension`, or if two of them decide the same number.
    """
    found = tuple(read_dimension(name, form) for name, form in search.items())
    for coordinate, path in TWINS.items():
        if coordinate in search and path in search:
            raise RecipeError(f"search: `{coordinate}` decides `{path}`. Search one of the two.")
    return found


def grid(space: Iterable[Dimension], trials: int) -> list[dict[str, Value]]:
    """Return the points of a grid: every choice, and of numbers as many values as make at most so many trials.

    Raises:
        RecipeError: If the trials do not suffice for two values of each number.
    """
    space = tuple(space)
    chosen = math.prod(len(one.choices) for one in space if one.kind == "choice")
    numbers = [one for one in space if one.kind != "choice"]
    count = 1
    while chosen * (count + 1) ** len(numbers) <= trials and numbers:
        count += 1
    if chosen > trials or (numbers and count < 2):
        raise RecipeError(
            f'tune.sampler = "grid": {trials} trial(s) do not suffice for {chosen} choice(s) and two values of each '
            f"of {len(numbers)} number(s). Give at least {chosen * 2 ** len(numbers)} trials."
        )
    values = [one.points(count) for one in space]
    return [dict(zip((one.name for one in space), point, strict=True)) for point in product(*values)]


def to_text(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {to_text(one)}" for key, one in cast("dict[str, Any]", value).items())
        return f"{{ {inside} }}"
    if isinstance(value, list):
        return f"[{', '.join(to_text(one) for one in cast('list[Any]', value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
