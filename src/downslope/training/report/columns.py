"""A run's log by columns: a million rows of steps are a few arrays of numbers, not a million tables.

Rows of the kind "step" are by far the most, and all alike. They are decoded many at once, checked by their types, and
kept as arrays; the few others are kept as they are. A row of a step that is not as usual goes the way of the others,
through `log.parse_line`, which says what is wrong with it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from downslope.training.folder.log import NAME, check_row, each_line, parse_line
from downslope.training.report.series import Series, series_of

STEP = ("loss", "accuracy", "lr", "momentum", "weight_decay", "grad_norm", "weight_norm")
"""What a row of a step tells."""
_AT_ONCE = 20_000

_Step = Annotated[int, Meta(ge=0, le=2**53)]
_Number = float | Literal["nan", "inf", "-inf"]


class _Row(Struct):
    kind: str
    step: _Step
    loss: _Number | None = None
    accuracy: _Number | None = None
    lr: _Number | None = None
    momentum: _Number | None = None
    weight_decay: _Number | None = None
    grad_norm: _Number | None = None
    weight_norm: _Number | None = None
    bound: _Number | None = None


_decode, _decode_lines = msgspec.json.Decoder(_Row).decode, msgspec.json.Decoder(_Row).decode_lines
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Columns:
    """The rows of a log, read from its lines; `path` is for messages. Raises CheckpointError if a line is damaged."""

    def __init__(self, lines: Iterable[bytes], path: Path) -> None:
        self._steps = {name: array("q") for name in STEP}
        self._values = {name: array("d") for name in STEP}
        self._others: dict[str, list[dict[str, Any]]] = {}
        self._left_out, self._left_out_loss, self._spikes = array("q"), array("d"), array("b")
        self.count = 0  # rows of steps
        self.last_step = -1  # the largest step of all rows
        number = 1
        every = iter(lines)
        while part := list(islice(every, _AT_ONCE)):
            for line, row in zip(part, _decoded(part), strict=True):
                self._add(line, row, path, number)
                number += 1
        whole = self._steps["loss"]
        self._steps = {name: whole if steps == whole else steps for name, steps in self._steps.items()}

    def _add(self, line: bytes, row: _Row | None, path: Path, number: int) -> None:
        if row is not None and row.kind == "step" and row.loss is not None and row.lr is not None:
            step = row.step
            self._add_step(step, {name: getattr(row, name) for name in STEP})
        elif row is not None and row.kind == "skip":
            step = row.step
            self._left_out.append(step)
            self._spikes.append(row.bound is not None)
            self._left_out_loss.append(math.nan if row.bound is None or row.loss is None else float(row.loss))
        else:
            parsed = parse_line(line, path, number, ("kind", "step"), check_row)
            step = parsed["step"]
            if parsed["kind"] == "step":
                self._add_step(step, parsed)
            elif parsed["kind"] == "skip":
                self._left_out.append(step)
                self._spikes.append("bound" in parsed)
                self._left_out_loss.append(float(parsed.get("loss", math.nan)) if "bound" in parsed else math.nan)
            else:
                self._others.setdefault(parsed["kind"], []).append(parsed)
        self.last_step = max(self.last_step, step)

    def _add_step(self, step: int, values: Mapping[str, Any]) -> None:
        self.count += 1
        for name in STEP:
            value = values.get(name)
            if value is not None:
                self._steps[name].append(step)
                self._values[name].append(float(value))

    def kind(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the rows of one kind other than "step" and "skip": "evaluation", "rewind", "plateau" or "stop"."""
        return list(self._others.get(kind, ()))

    def steps(self, name: str) -> Series:
        """Return one of `STEP` of the rows of steps; one that no row has is empty."""
        return series_of(
            np.frombuffer(self._steps[name], dtype=np.int64), np.frombuffer(self._values[name], dtype=np.float64)
        )

    def skipped(self, *, spikes: bool) -> list[int]:
        """Return the steps that were skipped since the loss leapt up (`spikes`), or a gradient was not finite."""
        return [step for step, spike in zip(self._left_out, self._spikes, strict=True) if bool(spike) == spikes]

    @property
    def left_out(self) -> int:
        """How many steps were skipped, or were the reason of a rewind."""
        return len(self._left_out) + len(self.kind("rewind"))

    def with_holes(self, name: str) -> Series:
        """Return a quantity of the rows of steps with gaps at those that were left out, which have no row.

        A line must not run across them; of the loss it shows the spike.
        """
        there, rewinds = self.steps(name), self.kind("rewind")
        spikes = [row.get("loss", "nan") if "bound" in row else "nan" for row in rewinds]
        holes = np.concatenate([np.frombuffer(self._left_out_loss), np.array(spikes, dtype=np.float64)])
        holes = holes if name == "loss" else np.full(len(holes), np.nan)
        steps = np.concatenate(
            [
                there.steps,
                np.frombuffer(self._left_out, dtype=np.int64),
                np.array([r["step"] for r in rewinds], np.int64),
            ]
        )
        order = np.argsort(steps, kind="stable")
        return series_of(steps[order], np.concatenate([there.values, holes])[order])


def read_columns(folder: Path) -> Columns:
    """Return the log of a run folder."""
    return Columns(each_line(folder / NAME), folder / NAME)


def _decoded(lines: list[bytes]) -> Iterator[_Row | None]:
    """Yield each line as a row, or None where a look at it alone is needed; a list of groups, say, is such a line."""
    try:
        rows = _decode_lines(b"".join(lines))
    except _BROKEN:
        rows = []
    return iter(rows) if len(rows) == len(lines) else map(_row_of, lines)


def _row_of(line: bytes) -> _Row | None:
    try:
        return _decode(line)
    except _BROKEN:
        return None
