"""The interface of a logger, what it is told of a run, and the rows of the log as named numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Scalars = dict[str, float]
"""Numbers by name: "train/loss", "held out/accuracy", "measure/rotation/*.bias"."""

_PLACES = {"step": "train", "evaluation": "held out", "classes": "held out"}
_LEFT_OUT = frozenset({"kind", "step", "epoch"})


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a logger is told of the run when it opens.

    Attributes:
        folder: The run folder.
        name: What to call the run.
        project: What the tool files it under.
        recipe: The recipe, as TOML.
        settings: The same, flat: dotted path -> value.
        known: What this logger returned as its `identity` when it last wrote to this run; empty for a new one.
        sent: Updates whose rows it has had, as far as we know.
    """

    folder: Path
    name: str
    project: str
    recipe: str
    settings: Mapping[str, Any]
    known: Mapping[str, str]
    sent: int


class Logger(Protocol):
    """Writes to one tool."""

    def identity(self) -> dict[str, str]:
        """Return what it takes to go on with the same run of the tool in another process."""
        ...

    def position(self) -> int:
        """Return the first step that the tool may lack: on opening, all that the log has from there on is sent."""
        ...

    def send(self, rows: Sequence[tuple[int, Scalars]]) -> None:
        """Write rows, so that they are there if the process ends now.

        Args:
            rows: (step, numbers), steps ascending.
        """
        ...

    def close(self, *, finished: bool) -> None:
        """Close the tool's run.

        Args:
            finished: Whether training came to its end.
        """
        ...


def scalars_of(kind: str, fields: Mapping[str, Any], groups: Sequence[str]) -> Scalars:
    """Return a row of the log as named numbers; words and what is None are left out.

    Example:
        >>> scalars_of("evaluation", {"epoch": 3, "loss": 0.5, "accuracy": "nan"}, ["all"])
        {'held out/loss': 0.5, 'held out/accuracy': nan}
        >>> scalars_of("measure", {"rotation": [0.25, None]}, ["*.bias", "all the others"])
        {'measure/rotation/*.bias': 0.25}
        >>> scalars_of("classes", {"recall": [0.5, None]}, [])
        {'held out/recall/0': 0.5}
    """
    place = _PLACES.get(kind, kind)
    found: Scalars = {}
    for name, value in fields.items():
        if name in _LEFT_OUT or value is None:
            continue
        if isinstance(value, list):
            parts = zip(groups if kind == "measure" else map(str, range(len(value))), value, strict=False)
            found |= {f"{place}/{name}/{group}": float(part) for group, part in parts if part is not None}
        elif isinstance(value, int | float) or value in {"nan", "inf", "-inf"}:
            found[f"{place}/{name}"] = float(value)
    return found


def merged(rows: Sequence[tuple[int, Scalars]]) -> list[tuple[int, Scalars]]:
    """Return the rows with those of one step made into one, for tools that know one row a step.

    Example:
        >>> merged([(0, {"a": 1.0}), (0, {"b": 2.0}), (3, {"a": 3.0})])
        [(0, {'a': 1.0, 'b': 2.0}), (3, {'a': 3.0})]
    """
    found: dict[int, Scalars] = {}
    for step, scalars in rows:
        found.setdefault(step, {}).update(scalars)
    return list(found.items())
