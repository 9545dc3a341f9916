"""A log by columns: the numbers of its rows, for little memory, and damage is said as everywhere."""

import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from downslope.core.errors import CheckpointError
from downslope.training.folder.log import as_json
from downslope.training.report.columns import STEP, Columns
from downslope.training.report.series import collect

PATH = Path("log.jsonl")


def rows_of(count, seed=0):
    """Return rows as a run would write them, some of each kind, some values not finite, some missing."""
    draw = random.Random(seed)
    number = lambda: draw.choice([draw.gauss(0, 1), draw.gauss(0, 1), 3, float("nan"), float("inf"), -float("inf")])  # noqa: E731
    rows = []
    for step in range(count):
        kind = draw.choice(["step"] * 6 + ["skip", "rewind", "evaluation", "plateau", "measure", "sharpness"])
        row = {"kind": kind, "step": step, "epoch": step // 7}
        if kind == "step":
            row |= {name: number() for name in STEP if name in {"loss", "lr"} or draw.random() < 0.8}
        elif kind in {"skip", "rewind"}:
            row |= {"loss": number()} | ({"bound": abs(number())} if draw.random() < 0.5 else {})
            row |= {"to": 0} if kind == "rewind" else {}
        elif kind == "measure":  # lists, with a number for each group
            row |= {"lr": [0.1, 0.2], "grad_norm": [1.0, 2.0], "weight_norm": [3.0, 4.0]}
        else:
            row |= {"loss": number(), "lr": 0.1}
        rows.append({name: as_json(value) for name, value in row.items()})
    return rows


def lines_of(rows):
    """Return rows as lines."""
    return [json.dumps(row).encode() + b"\n" for row in rows]


@pytest.mark.parametrize("count", [0, 1, 300])
def test_columns_have_what_rows_have(count):
    """Every series, the gaps and spikes of what was left out, the counts."""
    rows = rows_of(count)
    found = Columns(lines_of(rows), PATH)
    of_steps = [row for row in rows if row["kind"] == "step"]
    for name in STEP:
        expected, got = collect(of_steps, name), found.steps(name)
        np.testing.assert_array_equal(got.steps, expected.steps)
        np.testing.assert_array_equal(got.values, expected.values)
        np.testing.assert_array_equal(got.nonfinite, expected.nonfinite)
    for kind in ("rewind", "evaluation", "plateau", "stop", "measure", "sharpness"):
        assert found.kind(kind) == [row for row in rows if row["kind"] == kind]
    skips = [row for row in rows if row["kind"] == "skip"]
    assert found.skipped(spikes=True) == [row["step"] for row in skips if "bound" in row]
    assert found.skipped(spikes=False) == [row["step"] for row in skips if "bound" not in row]
    assert found.left_out == len(skips) + len(found.kind("rewind"))
    assert (found.last_step, found.count) == (count - 1, len(of_steps))
    holes = [
        {"step": row["step"], "loss": row["loss"] if "bound" in row else "nan", "grad_norm": "nan"}
        for row in rows
        if row["kind"] in {"skip", "rewind"}
    ]
    for name in ("loss", "grad_norm"):
        filled = sorted([*of_steps, *holes], key=lambda row: row["step"])
        np.testing.assert_array_equal(found.with_holes(name).values, collect(filled, name).values)


def test_a_row_takes_no_more_than_a_few_numbers():
    """Of 60,000 rows of steps less than 500 bytes each at the peak, where tables would take 1,500."""
    row = {"kind": "step", "epoch": 1, **dict.fromkeys(STEP, 0.123456789)}
    lines = (json.dumps({**row, "step": step}).encode() + b"\n" for step in range(60_000))
    tracemalloc.start()
    try:
        found = Columns(lines, PATH)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.count == 60_000
    assert peak < 500 * 60_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"kind": "step", "step": -1, "loss": 1.0, "lr": 0.1}', "step no number"),
        (b'{"kind": "step", "step": 1.5, "loss": 1.0, "lr": 0.1}', "step no number"),
        (b'{"kind": "step", "step": 7, "loss": "1", "lr": 0.1}', "loss is no number"),
        (b'{"kind": "step", "step": 7, "lr": 0.1}', "loss"),
        (b'{"step": 7}', "no object with kind and step"),
        (b"[]", "no object"),
        (b'{"kind":' * 3000, "not JSON|too deep"),
    ],
)
def test_a_damaged_line_is_named(line, reason):
    """By its number, whatever stands around it."""
    lines = lines_of([{"kind": "step", "step": step, "loss": 1.0, "lr": 0.1} for step in range(3)])
    with pytest.raises(CheckpointError, match=f"log.jsonl, line 3: damaged; .*({reason})"):
        Columns([*lines[:2], line + b"\n", *lines[2:]], PATH)
