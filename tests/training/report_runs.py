"""Run folders made to order for the tests of the report: every file as training writes it, numbers of our choosing."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

from downslope.recipe.load import parse_recipe, to_toml
from downslope.training.folder.log import as_json

RECIPE = """
title = "A run made to order"
source = "for tests"
[data]
name = "digits"
[model]
name = "mlp"
hidden = [64]
[sgd]
lr = { schedule = "exponential", initial = 0.1, rate = 0.1, every = 100, staircase = true }
momentum = 0.9
weight_decay = 5e-4
[[groups]]
match = "*.bias"
weight_decay = 0.0
[train]
epochs = 13
"""

PARAMETERS = {
    "dense1.weight": [64, 64],
    "dense1.bias": [64],
    "logits.weight": [10, 64],
    "logits.bias": [10],
}
BEGIN = datetime(2024, 2, 29, 23, 59, 50, tzinfo=UTC)


def step_rows(count, *, per_epoch=23, accuracy=True, lr=0.1):
    """Return the step rows of a run whose loss falls as it should."""
    rows = []
    for step in range(count):
        wobble = math.sin(step * 12.9898) * 43758.5453 % 1
        loss = 2.3 * math.exp(-step / 60) + 0.02 + 0.1 * wobble * math.exp(-step / 150)
        row = {"kind": "step", "step": step, "epoch": step // per_epoch, "loss": loss}
        if accuracy:
            row["accuracy"] = 1 - min(0.9, loss / 2.5)
        row |= {
            "lr": lr * 0.1 ** (step // 100),
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "grad_norm": 2 * loss + wobble,
            "weight_norm": 8 + 4 * (1 - math.exp(-step / 80)),
        }
        rows.append(row)
    return rows


def evaluation_rows(count, *, per_epoch=23, accuracy=True):
    """Return an evaluation row for the end of each epoch."""
    rows = []
    for epoch in range(count // per_epoch):
        loss = 0.12 + 2 * math.exp(-epoch / 2)
        row = {"kind": "evaluation", "step": (epoch + 1) * per_epoch - 1, "epoch": epoch + 1, "loss": loss}
        rows.append(row | ({"accuracy": 0.97 - 0.6 * math.exp(-epoch / 2)} if accuracy else {}))
    return rows


def in_order(*groups):
    """Return rows as the log has them: by step, evaluations after the step they follow."""
    return sorted((row for group in groups for row in group), key=lambda row: (row["step"], row["kind"] != "step"))


def at(seconds, event, step, **more):
    """Return an event so many seconds after the beginning."""
    time = (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return {"time": time, "event": event, "step": step, **more}


def build_run(folder, *, rows=None, events=None, recipe=RECIPE, facts=None, count=299, overrides=()):
    """Write a run folder and return it; by default a finished run of 299 steps with an evaluation every epoch."""
    folder.mkdir(parents=True)
    parsed = parse_recipe(recipe, "recipe", overrides)
    if rows is None:
        rows = in_order(step_rows(count), evaluation_rows(count))
    if events is None:
        events = [at(0, "start", 0), at(9.5, "finish", count)]
    table = {
        "format": 1,
        "downslope": "0.1.0",
        "environment": {"python": "3.11.2", "torch": "2.13.0", "threads": 1},
        "data": {
            "name": "digits",
            "train_examples": 1437,
            "held_out_examples": 360,
            "input_shape": [64],
            "classes": 10,
        },
        "steps_per_epoch": 23,
        "total_steps": count,
        "parameters": PARAMETERS,
        "groups": [
            {"match": "*.bias", "parameters": ["dense1.bias", "logits.bias"]},
            {"match": None, "parameters": ["dense1.weight", "logits.weight"]},
        ],
    } | (facts or {})
    (folder / "recipe.toml").write_text(to_toml(parsed), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(table), encoding="utf-8")
    for name, lines in (("log", rows), ("events", events)):
        text = "".join(json.dumps({k: as_json(v) for k, v in line.items()}) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
