"""All that is wrong with a table, and the options that read it: tried out before they are shown.

What one error hides, the next attempt meets: a file with semicolons is one column before it can have a bad cell. So the
options that an error suggests are set, the table is loaded again, and so on, until it loads or nothing more can be
suggested. Only options with which it has been loaded are shown as ready to paste.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from downslope.core.errors import DownslopeError
from downslope.training.data.table_problems import KEY, TableError, bounded, to_toml

_ATTEMPTS = 12

_LESS = frozenset({"ignore", "missing", "missing_marks"})
"""Options that leave less of a table."""


def advise(error: TableError, options: Mapping[str, Any], load: Callable[[dict[str, Any]], object]) -> TableError:
    """Return an error that tells of everything that is wrong, with options to paste if there are some that read it.

    Args:
        error: What the first attempt met.
        options: The table's options, as the recipe has them.
        load: Loads the table by other options.
    """
    problems = list(error.problems)
    tried = dict(options)
    marked = set(error.marked)
    reads = False
    for _ in range(_ATTEMPTS):
        changed = merge(tried, error.fixes)
        if changed == tried:
            break
        tried = changed
        try:
            load(tried)
        except TableError as another:
            error = another
            marked |= another.marked
            told = (problem for problem in another.problems if another.missing.get(problem) not in marked)
            problems += [problem for problem in told if problem not in problems]
        except DownslopeError as another:
            if not _LESS & error.fixes.keys():  # or there may just be too little left
                problems.append(str(another))
            break
        else:
            reads = True
            break
    ending = [f"With these options in place of its {KEY} the recipe reads this table:", *_block(tried)] if reads else []
    return TableError("\n".join([*bounded(problems), *ending]))


def merge(options: Mapping[str, Any], fixes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with others set, lists added to."""
    merged = dict(options)
    for key, value in fixes.items():
        if key == "ignore" and merged.get("features") is not None:
            merged["features"] = [name for name in merged["features"] if name not in set(value)]
        elif isinstance(value, list):
            merged[key] = [*dict.fromkeys([*(merged.get(key) or ()), *value])]
        else:
            merged[key] = value
    ignored = set(merged.get("ignore") or ())
    if merged.get("categories") and ignored:
        merged["categories"] = [name for name in merged["categories"] if name not in ignored]
    return merged


def _block(options: Mapping[str, Any]) -> list[str]:
    """Return options as the lines of a TOML table."""
    return [f"[{KEY}]", *(f"{key} = {to_toml(value)}" for key, value in options.items())]
