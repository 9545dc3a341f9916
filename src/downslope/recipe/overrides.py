"""Overrides: ``--sgd.lr 0.05`` on the command line, in the grammar of the file, and the paths that there are.

The result is checked as the file's table is (`core/tables.py`), so that a wrong value gets the same message wherever it
came from.
"""

from __future__ import annotations

import copy
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, cast, get_args, get_type_hints

from downslope.core.errors import RecipeError
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.core.tables import expand_names
from downslope.recipe.schema import Data, Recipe, Train

Override = tuple[str, str]
"""A dotted path and a TOML value as text, e.g. ("sgd.lr", "0.05")."""

_PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BARE_WORD = re.compile(r"(\.{0,2}/|~|[^\W\d])[\w./:+~@%-]*|\.\.?")
"""A word or a path: after a letter, or what a path alone begins with, nothing that TOML or a list would be made of."""


def parse_value(path: str, text: str) -> Any:
    """Return the value of an override.

    A bare word such as ``decoupled``, and a path such as ``../houses.csv``, is taken as a string, so that a shell needs
    no nested quotes.

    Raises:
        RecipeError: If the text is neither a TOML value nor a bare word.
    """
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # tomllib lets int()'s and the stack's own errors through
        if digits := too_many_digits(text):
            raise RecipeError(f"command line, --{path}: {HUGE} got one of {digits:,} digits.") from None
        table = {}
    if set(table) == {"value"}:
        check_integers(table["value"], lambda _: f"command line, --{path}", path)
        return table["value"]
    if _BARE_WORD.fullmatch(text):
        return text
    raise RecipeError(f"command line, --{path}: {text!r} is not a TOML value. {_advice(text)}")


HUGE = "an integer must be below 2**63, as TOML's all are;"


def too_many_digits(text: str) -> int:
    """Return how many digits the first integer has of which Python makes no number, 0 if there is none."""
    longest = sys.get_int_max_str_digits()
    found = next((run for run in re.finditer(r"[0-9_]+", text) if longest and len(run[0]) > longest), None)
    return len(found[0].replace("_", "")) if found else 0


def check_integers(value: Any, place: Callable[[tuple[str, ...]], str], key: str) -> None:
    """Raise `RecipeError` if an integer, at any depth, is so large that Python makes no decimal digits of it.

    One in hexadecimal, octal or binary digits may be, and then no message could show it.

    `place` gives the words of a message for a path within `value`, `key` names `value` itself.
    """
    left: list[tuple[tuple[str, ...], str, Any]] = [((), key, value)]
    while left:
        path, name, one = left.pop()
        if isinstance(one, dict):
            left += [((*path, inner), inner, item) for inner, item in reversed(cast("dict[str, Any]", one).items())]
        elif isinstance(one, list):
            left += [(path, name, item) for item in reversed(cast("list[Any]", one))]
        elif isinstance(one, int) and (bits := one.bit_length()) > _SHOWN_BITS:
            raise RecipeError(f"{place(path)}: `{name}`: {HUGE} got one of {bits:,} bits.")


_SHOWN_BITS = 2000
"""An integer of so many bits has fewer than 640 digits, the least that Python's limit can be set to."""


def apply_overrides(table: dict[str, Any], overrides: Iterable[Override]) -> dict[str, Any]:
    """Return a copy of `table` with the overrides laid over it, in order.

    Args:
        table: A decoded TOML document.
        overrides: Dotted paths and TOML values as text. A number in a path indexes a list (``groups.0.lr``).

    Raises:
        RecipeError: If a value is no TOML, a path leads through something that is no table, or two overrides exclude
            each other.
    """
    result = expand_names(Recipe, copy.deepcopy(table))
    earlier: list[str] = []
    for path, text in overrides:
        if not _PATH.fullmatch(path):
            raise RecipeError(
                f"command line, --{path}: `{path}` is no path. Write keys with dots between, as in sgd.lr."
            )
        _check_pair(path, earlier)
        _set(result, path, parse_value(path, text))
        result = expand_names(Recipe, result)
        earlier.append(path)
    return result


def _check_pair(path: str, earlier: list[str]) -> None:
    """Raise `RecipeError` if `path` would silently undo an override before it."""
    if path in earlier:
        raise RecipeError(f"command line, --{path}: given more than once. Give it once.")
    undone = next((other for other in earlier if other.startswith(f"{path}.")), None)
    if undone is not None:
        raise RecipeError(
            f"command line, --{path}: replaces the whole table and so undoes --{undone} before it. "
            f"Give --{path} first, or only one of the two."
        )
    for pair in _PAIRS:
        if path in pair and (both := pair.intersection(earlier)):
            raise RecipeError(f"command line, --{path}: excludes --{next(iter(both))}. Give only one of the two.")


_PAIRS = tuple(
    frozenset(f"{table}.{name}" for name in names)
    for table, names in (("train", Train.EXCLUSIVE), ("data", Data.PATHS))
)
"""Paths of which a recipe has one: an override of either takes the place of both."""


def _advice(text: str) -> str:
    if re.fullmatch(r"[+-]?\.\d+([eE][+-]?\d+)?", text):
        sign, digits = text.split(".", 1)
        return f"Write {sign}0.{digits}: TOML wants a digit before the point."
    if re.fullmatch(r"[+-]?\d+\.([eE][+-]?\d+)?", text):
        return f"Write {text.replace('.', '.0', 1)}: TOML wants a digit after the point."
    if re.fullmatch(r"(\.{0,2}/|~|[^\W\d])[^\"'{}\[\]]*", text):
        return f"""If it is meant as a string, keep quotes around it: '"{text}"'."""
    return 'Write a number, true or false, a "string", a [list] or a { table = 1 }.'


def _set(table: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    place: Any = table
    walked: list[str] = []
    for part in parents:
        if isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            place = place[_index(place, path, walked, part)]
        walked.append(part)
        if not isinstance(place, dict | list):
            raise RecipeError(
                f"command line, --{path}: `{'.'.join(walked)}` is {place!r}, not a table, so it has no `{key}`. "
                f"Set `{'.'.join(walked)}` itself to a table first."
            )
    if isinstance(place, list):
        place[_index(place, path, walked, key)] = value
        return
    for pair in _PAIRS:
        for other in pair if path in pair else ():
            _remove(table, other)
    place[key] = value


def _remove(table: dict[str, Any], path: str) -> None:
    *parents, key = path.split(".")
    place: Any = table
    for part in parents:
        place = place.get(part) if isinstance(place, dict) else None
    if isinstance(place, dict):
        cast("dict[str, Any]", place).pop(key, None)


def _index(items: list[Any], path: str, walked: list[str], part: str) -> int:
    if not items:
        raise RecipeError(f"command line, --{path}: `{'.'.join(walked)}` is an empty list; set it as a whole.")
    if not part.isdecimal() or int(part) >= len(items):
        raise RecipeError(
            f"command line, --{path}: `{'.'.join(walked)}` is a list of {len(items)}; give a number from 0 to "
            f"{len(items) - 1} after it, not {part!r}."
        )
    return int(part)


# Every path that there is, read off the tables themselves


@lru_cache
def recipe_paths() -> tuple[str, ...]:
    """Return the dotted paths of all keys that a recipe may have, tables left out, in the recipe's order.

    Example:
        >>> [path for path in recipe_paths() if path.startswith("checkpoint.")]
        ['checkpoint.every_steps', 'checkpoint.every_seconds', 'checkpoint.keep', 'checkpoint.metric']
    """
    return tuple(_paths(Recipe, ()))


def top_level_keys() -> tuple[str, ...]:
    """Return the keys that stand at the top of a recipe: ``seed``, ``title`` and the names of the tables."""
    return tuple(field.name for field in fields(Recipe))


def _paths(table: type[Any], path: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name, hint in get_type_hints(table).items():
        if name not in {field.name for field in fields(table)}:
            continue
        inside = (*path, name)
        tables = [
            kind
            for kind in (hint, *get_args(hint))
            if is_dataclass(kind) and isinstance(kind, type) and kind is not Schedule
        ]
        if tables and hint == tuple[tables[0], ...]:
            found.append(".".join(inside))  # a list of tables is set as a whole, or by an index that is not known here
        elif tables:
            found += _paths(ScheduleFree if tables[0] is Settings else tables[0], inside)  # which has all that SGD has
        else:
            found.append(".".join(inside))
    return found
