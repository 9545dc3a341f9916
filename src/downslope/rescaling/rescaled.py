"""What `rescale` returns: the new recipe, what changed and why; and as a recipe file, a comment beside every change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from downslope.core.columns import wrap
from downslope.core.notebook import ShownInNotebooks
from downslope.core.tables import to_table, toml_line
from downslope.language import said
from downslope.recipe.load import to_toml
from downslope.recipe.schema import Recipe

_WIDTH = 118


@dataclass(frozen=True)
class Change:
    """One key that has another value.

    Attributes:
        path: Its dotted path.
        before: Its value before; None where it was absent.
        after: Its value now; None where it is absent.
        why: What is kept by it.
        source: Where that comes from.
    """

    path: str
    before: Any
    after: Any
    why: str
    source: str


@dataclass(frozen=True)
class Rescaled(ShownInNotebooks):
    """A recipe for another batch size or length.

    Attributes:
        before: The recipe before.
        recipe: The recipe now.
        changes: The keys whose values differ, in the order of the recipe.
        remarks: What is not exact, and how far the rule is known to hold.
    """

    before: Recipe
    recipe: Recipe
    changes: tuple[Change, ...]
    remarks: tuple[str, ...]

    def to_toml(self) -> str:
        """Return the recipe as a file, with the remarks at its top and a comment beside every change.

        New keys that stand together for one reason have one comment, above the first.
        """
        lines = [line for remark in self.remarks for line in _comment(remark, "# - ", "#   ")]
        keys = list(_keys(to_toml(self.recipe)))
        homes = {path for path, _ in keys}
        told: dict[str, list[str]] = {}
        for change in self.changes:
            home = next((path for path in _above(change.path) if path in homes), "")
            name = "" if home == change.path else f"{change.path}: "
            told.setdefault(home, []).extend(_comment(f"{name}{_said(change)}"))
        lines += told.pop("", [])
        lines += [""] if lines else []
        last: list[str] = []
        for path, line in keys:
            comment = told.pop(path, [])
            lines += [] if comment == last else comment
            lines.append(line)
            last = comment
        return "\n".join(lines) + "\n"


def changes_between(
    before: Recipe, after: Recipe, reasons: Mapping[str, tuple[str, str]], moved: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return what differs, each with the reason of its path or of the nearest path above.

    Args:
        before: The recipe before.
        after: The recipe now.
        reasons: What is kept by a change and where that comes from, by path.
        moved: Path of a value or table before -> where it stands now.
    """
    found: list[Change] = []
    for path, (old, new) in differing(before, after, moved).items():
        why, source = next(reasons[one] for one in _above(path) if one in reasons)
        found.append(Change(path, old, new, why, source))
    return tuple(found)


def differing(
    before: Recipe, after: Recipe, moved: Mapping[str, str] = MappingProxyType({})
) -> dict[str, tuple[Any, Any]]:
    """Return the path of each value that differs -> what it was and is, in the order of the recipe."""
    new = dict(_leaves(to_table(after)))
    old = {moved_path(path, moved): value for path, value in _leaves(to_table(before))}
    paths = dict.fromkeys([*new, *old])
    return {path: (old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)}


def moved_path(path: str, moved: Mapping[str, str]) -> str:
    """Return where a path of before stands now."""
    root = next((one for one in _above(path) if one in moved), None)
    return path if root is None else moved[root] + path[len(root) :]


def _above(path: str) -> list[str]:
    """Return a path and all above it, the nearest first."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key's path and value; a list of numbers or words is one value, a list of tables is numbered."""
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = list(cast("dict[str, Any]", value).items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in cast("list[Any]", value)):
        items = list(enumerate(cast("list[Any]", value)))
    else:
        yield path, value
        return
    for key, item in items:
        yield from _leaves(item, f"{path}.{key}" if path else str(key))


def _keys(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line of a TOML text with the path that begins on it, or ""; tables in a list are numbered."""
    table, counts = "", dict[str, int]()
    inside = False  # a list over several lines
    for line in text.splitlines():
        if inside:
            inside = line != "]"
            yield "", line
        elif several := re.fullmatch(r"\[\[([\w.-]+)\]\]", line):
            counts[several[1]] = counts.get(several[1], -1) + 1
            table = f"{several[1]}.{counts[several[1]]}"
            yield "", line
        elif one := re.fullmatch(r"\[([\w.-]+)\]", line):
            first, _, rest = one[1].partition(".")
            table = f"{first}.{counts[first]}.{rest}" if first in counts else one[1]
            yield "", line
        else:
            key = re.match(r"([\w-]+) = ", line)
            inside = line.endswith(" = [")
            yield f"{table}.{key[1]}" if key and table else key[1] if key else "", line


def _said(change: Change) -> str:
    was = "absent" if change.before is None else toml_line(change.before)
    now = " and is gone" if change.after is None else ""
    return said(f"was {was}{now}: {change.why} ({change.source})")


def _comment(text: str, first: str = "# ", then: str = "#     ") -> list[str]:
    return wrap(said(text), _WIDTH, first, then)
