"""Recipes of the device check, and the runs that they are tried in."""

# ruff: noqa: SLF001

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from device_sections.check import Check, Found

QUICK = "--quick" in sys.argv


def random_images(count: int = 2048, size: int = 32, classes: int = 10) -> Found:
    """Return random images that can be told apart: one's own data of the recipes here."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, count)
    means = rng.standard_normal((classes, 3, size, size), dtype=np.float32)
    images = means[targets] * 0.3 + rng.standard_normal((count, 3, size, size), dtype=np.float32)
    cut = count - min(count // 4, 1024)
    parts = {"train": slice(0, cut), "held_out": slice(cut, count)}
    found: Found = {f"{part}_inputs": images[where] for part, where in parts.items()}
    return found | {f"{part}_targets": targets[where] for part, where in parts.items()} | {"classes": classes}


def mlp_recipe(steps: int = 60, **train: Any) -> str:
    """Return the recipe of digits, as TOML."""
    return _recipe(["[data]", 'name = "digits"', "batch_size = 32", "[model]", 'name = "mlp"', "hidden = [128]"],
                   steps, train)  # fmt: skip


def image_recipe(steps: int = 60, *, batch: int = 128, channels: Any = (16, 32, 64), **train: Any) -> str:
    """Return the recipe of a convolutional network on random images, as TOML."""
    lines = ["[data]", 'name = "device_sections.runs:random_images"']
    lines += [f"batch_size = {min(batch, 16) if QUICK else batch}"]
    lines += ["[data.options]", "count = 128", "size = 8"] if QUICK else []
    lines += ["[model]", 'name = "convnet"', "[model.options]"]
    lines += [f"channels = {[4, 8] if QUICK else list(channels)}", f"blocks = {1 if QUICK else 3}"]
    return _recipe(lines, steps, train)


def _recipe(lines: list[str], steps: int, train: dict[str, Any]) -> str:
    lines = [*lines, "[sgd]", "lr = 0.05", "momentum = 0.9", "weight_decay = 5e-4", "[checkpoint]"]
    lines += [f"every_steps = {train.pop('every_steps', 10_000)}", "every_seconds = 0", "[train]", f"steps = {steps}"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in train.items())]) + "\n"


class Silent:
    """A console that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)

    def progress(self, step: int, total: int, fields: Any) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Have nothing to end."""


def parsed(check: Check, text: str, device: torch.device | None = None) -> Any:
    """Return a recipe for the device."""
    from downslope.recipe.load import parse_recipe

    device = check.device if device is None else device
    return parse_recipe(text, "device_check", [("train.device", json.dumps(str(device)))])


def trained(check: Check, text: str, name: str, device: torch.device | None = None) -> tuple[Any, list[str]]:
    """Train a recipe in a folder of its own, and return how it ended and what was said."""
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import train

    recipe, console = parsed(check, text, device), Silent()
    plan = plan_run(recipe, name=name, out=check.scratch / name)
    return train(plan, recipe, console, report=False), console.said


@contextlib.contextmanager
def trainer_of(check: Check, text: str, *, exact: bool = True) -> Iterator[Any]:
    """Within its ``with`` block, a trainer at its first step; `exact` says whether bits must repeat."""
    from downslope.training.device import find_device
    from downslope.training.folder import run_folder
    from downslope.training.run.environment import deterministic, unfilled
    from downslope.training.run.plan import plan_run
    from downslope.training.run.task import build_task
    from downslope.training.run.train import Trainer
    from downslope.training.workers.workers import Workers

    recipe = parsed(check, text)
    folder = Path(tempfile.mkdtemp(dir=check.scratch))
    with contextlib.ExitStack() as stack:
        device = find_device(recipe.train.device)
        stack.enter_context(deterministic(device, tf32=recipe.train.tf32))
        if not exact:
            torch.set_deterministic_debug_mode("default")
            torch.backends.cudnn.deterministic = False
        task = build_task(recipe, device=device)
        plan = plan_run(recipe, name="x", out=folder / "run")
        from downslope.recipe.load import to_toml

        (folder / "run").mkdir()
        (folder / "run" / "lock").touch()
        run_folder.make_ready(folder / "run", None, to_toml(recipe), task.facts(), keep=1)
        stack.enter_context(unfilled())
        trainer = Trainer(task, plan, Silent(), Workers())
        try:
            yield trainer
        finally:
            trainer._close()
            shutil.rmtree(folder, ignore_errors=True)


def fingerprint(check: Check, name: str) -> dict[str, str]:
    """Return the checksums of what a run must give again: final weights and log."""
    files = ("model.safetensors", "ema.safetensors", "log.jsonl")
    paths = {file: check.scratch / name / file for file in files}
    return {file: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for file, p in paths.items() if p.exists()}


def last_row(check: Check, name: str, kind: str) -> Found:
    """Return the last row of a kind in a run's log."""
    lines = (check.scratch / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == kind]
    return rows[-1] if rows else {}
