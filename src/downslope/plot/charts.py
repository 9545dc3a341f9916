"""What makes a page's plots answer: one script, its hash for the page's policy, and the numbers it draws, as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import pairwise
from typing import Any

from downslope.language import said, spoken
from downslope.plot.template import policy_of

_NUMBERS = "@the numbers of the plots@"
"""Where a template leaves room for them: how many fit is known when the rest of the page is."""

_LITERALS = tuple(re.compile(f"{mark}([^{mark}\\n]*){mark}") for mark in '"`')
"""Texts of the script, among others."""

_NUMBER = re.compile(r"\$\{[^}]*\}|\d[\d.,]*(?:e[-\N{MINUS SIGN}]?\d+)?")
_TEXTS = ("title", "name", "note")

_PARTS = ("numbers", "drawing", "hands", "bar")
"""The files that the script is put together from, in order."""

MOST = 490_000
"""Bytes of a page with its numbers, as long as the rest of it leaves them room."""


def script() -> str:
    """Return the script, as it stands on a page."""
    folder = resources.files("downslope.plot") / "live"
    texts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in _PARTS]
    return "\n".join(line for text in texts for line in text.splitlines() if line.strip())


def for_template() -> dict[str, str]:
    """Return what `plot/charts.html.j2` shows: the script, the policy that allows it alone, and room for numbers."""
    text = script()
    return {"script": text, "policy": policy_of(text), "numbers": _NUMBERS}


def room_on(page: str) -> int:
    """Return how many bytes of numbers a page has room for."""
    return MOST - len(page.encode("utf-8", "surrogateescape"))


def with_numbers(page: str, numbers: str) -> str:
    """Return a page with its numbers, JSON in which nothing can end the element that holds it."""
    return page.replace(_NUMBERS, _with_words(numbers).replace("<", "\\u003c"), 1)


def _with_words(numbers: str) -> str:
    """Return a page's numbers with what the script's and the charts' texts are called in the language spoken."""
    if spoken() == "en":
        return numbers
    table = json.loads(numbers)
    charts = table["charts"].values()
    texts = {text for literal in _LITERALS for text in literal.findall(script())}
    texts |= {one.get(key, "") for chart in charts for one in (chart, *chart.get("lines", ())) for key in _TEXTS}
    texts |= {chart["axis"]["name"] for chart in charts if chart.get("axis", {}).get("name")}
    texts -= {"", *(run["name"] for run in table["runs"])}
    table["words"] = {text: other for text, other in map(_in_other_words, sorted(texts)) if text != other}
    return as_json(table)


def _in_other_words(text: str) -> tuple[str, str]:
    """Return a text and what it is called; where it is not known as it is, its first number as {n} in both."""
    if (other := said(text)) != text:
        return text, other
    about = _NUMBER.sub("{n}", text, count=1)
    return about, said(about.replace("{n}", "7", 1)).replace("7", "{n}", 1)


def as_json(value: Any) -> str:
    """Return JSON without needless blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def pack_steps(steps: Sequence[int]) -> Any:
    """Return ascending whole numbers shortly: where they are even, how; otherwise the first and the differences.

    Example:
        >>> pack_steps([4, 6, 8, 10]), pack_steps([0, 1, 5])
        ({'from': 4, 'by': 2, 'n': 4}, [0, 1, 4])
    """
    differences = [after - before for before, after in pairwise(steps)]
    if len(steps) > 2 and len(set(differences)) == 1:
        return {"from": steps[0], "by": differences[0], "n": len(steps)}
    return [*steps[:1], *differences]


def pack_values(values: Sequence[float], digits: int | None = None) -> Any:
    """Return numbers shortly, what is not finite as null: where most repeat, as pairs of a value and how often.

    Args:
        values: The numbers.
        digits: To how many significant ones they are rounded; None for all.

    Example:
        >>> pack_values([0.5, 0.25, float("nan")]), pack_values([0.5] * 9)
        ([0.5, 0.25, None], {'runs': [[0.5, 9]]})
    """
    known: list[float | int | None] = [
        None if not math.isfinite(value) else _short(value if digits is None else float(f"{value:.{digits}g}"))
        for value in values
    ]
    stretches: list[list[Any]] = []
    for value in known:
        if stretches and stretches[-1][0] == value:
            stretches[-1][1] += 1
        else:
            stretches.append([value, 1])
    return {"runs": stretches} if 2 * len(stretches) < len(known) else known


def points(name: str, places: Sequence[float], values: Sequence[float], **look: Any) -> dict[str, Any]:
    """Return a curve of a chart whose axis does not count steps: its points, drawn as `look` says.

    Args:
        name: What the points are.
        places: Where they lie on the axis.
        values: How high; NaN for what has no height.
        **look: `colour`, `marks` ("dot", "open", "cross" or "diamond"; without it a line), `labels`, `sizes`, `alpha`.
    """
    plain: Mapping[str, Any] = {"colour": 0} | look
    return {
        "name": name,
        "x": [_short(value) for value in places],
        "v": [_short(value) if math.isfinite(value) else None for value in values],
        **plain,
    }


def _short(value: float) -> float | int:
    """Return the same number as a whole one where it is, which is shorter."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
