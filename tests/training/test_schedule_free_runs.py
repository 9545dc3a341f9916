"""Runs of schedule-free SGD: evaluated and kept at the average, killed and gone on with, and what is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from training_runs import Recorder, every_step_shown, fingerprints, run, tiny

from downslope.core.errors import CheckpointError, RecipeError
from downslope.recipe.load import parse_recipe, to_toml
from downslope.training.run import train
from downslope.training.run.plan import plan_run
from downslope.training.run.task import build_task
from downslope.training.use.evaluate import evaluate_run

GIVEN = {
    "sgd": "{ lr = 0.5, momentum = 0.9, weight_decay = 1e-3, schedule_free = true, warmup_steps = 4 }",
    "groups": '[{ match = "*.bias", lr = 0.2 }]',
    "checkpoint__every_steps": "5",
}


def last(folder: Path, part: str) -> dict[str, torch.Tensor]:
    """Return the tensors of the newest checkpoint."""
    checkpoint = max((folder / "checkpoints").iterdir())
    return safetensors.torch.load_file(checkpoint / f"{part}.safetensors")


class Killed(Recorder):
    """A console that ends the process by SIGKILL after so many steps."""

    def progress(self, step: int, total: int, fields: Any) -> None:
        """Kill at the step."""
        if step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def kill(recipe: Any, folder: Path, *, at: int) -> None:
    """Train in a process of its own that is killed after a step; what it leaves is what a power cut would."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        try:
            with every_step_shown():
                train.train(plan_run(recipe, name="tiny", out=folder), recipe, Killed(at), report=False)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("more", [{}, {"train__velocity_dtype": '"int8"', "model__hidden": "[80, 60]"}], ids=str)
def test_a_killed_run_ends_with_the_same_bits(more: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL twice, at and between checkpoints and evaluations: weights, differences, training point and log."""
    recipe = tiny(**GIVEN, **more)
    run(recipe, tmp_path / "whole")
    for at in (7, 16):
        kill(recipe, tmp_path / "broken", at=at)
    run(recipe, tmp_path / "broken")
    assert fingerprints(tmp_path / "whole") == fingerprints(tmp_path / "broken")
    for part in ("model", "optimizer"):
        mine, theirs = last(tmp_path / "whole", part), last(tmp_path / "broken", part)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_what_is_evaluated_and_kept_is_the_average(tmp_path: Path) -> None:
    """The held-out loss of the run is that of its final weights, x = y + (1 - 1/b) (z - y), not of those trained."""
    outcome, _ = run(tiny(**GIVEN), tmp_path)
    model, optimizer = last(tmp_path, "model"), last(tmp_path, "optimizer")
    for name, x in model.items():
        y, difference = optimizer[f".y.{name}"], optimizer[name]
        torch.testing.assert_close(x, y + (1 - 1 / 0.9) * difference)
        assert not torch.equal(x, y)
    assert all(torch.equal(x, model[n]) for n, x in safetensors.torch.load_file(tmp_path / "model.safetensors").items())
    assert outcome is not None
    again = evaluate_run(tmp_path)
    rows = [row for row in (tmp_path / "log.jsonl").read_text().splitlines() if '"evaluation"' in row]
    assert f'"loss":{again["loss"]!r}'.replace(" ", "") in rows[-1].replace(" ", "")


def test_evaluations_change_no_bit(tmp_path: Path) -> None:
    """As often as a run is evaluated, it ends with the same weights."""
    for every in ("1", "20"):
        run(tiny(**GIVEN, train__evaluate_every=every), tmp_path / every)
    for part in ("model", "optimizer"):
        mine, theirs = (last(tmp_path / every, part) for every in ("1", "20"))
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_a_run_goes_on_with_other_numbers_but_not_as_another_method(tmp_path: Path) -> None:
    """lr may change, and enters the average from there on; b, groups and the method may not."""
    run(tiny(**GIVEN), tmp_path, at=6)
    for changed in (
        {"sgd": "{ lr = 0.5, momentum = 0.9 }"},
        {"sgd": GIVEN["sgd"].replace("0.9", "0.8")},
        {"groups": "[]"},
    ):
        with pytest.raises(CheckpointError, match="was trained under another recipe"):
            run(tiny(**{**GIVEN, **changed}), tmp_path)
    _, said = run(tiny(**{**GIVEN, "sgd": GIVEN["sgd"].replace("0.5", "0.25")}), tmp_path)
    assert any("resuming with a different recipe: sgd.lr 0.5 -> 0.25" in text for text in said)
    checkpoint = max((tmp_path / "checkpoints").iterdir())
    # four steps of the warmup, two at 0.5, and the others weighed by the largest lr so far, which is still 0.5
    assert f'"weight_sum": {0.25 * (1 / 16 + 4 / 16 + 9 / 16 + 1 + 16)!r}'[:18] in (
        checkpoint / "manifest.json"
    ).read_text(encoding="utf-8")


def test_a_step_that_is_left_out_is_gone_back_from(tmp_path: Path) -> None:
    """A rewind takes up y, z - y and the average of its checkpoint, in a run that is killed as in one that is not."""
    given = {**GIVEN, "train__loss": '"training_tasks:sometimes_infinite"', "train__on_nonfinite": '"rewind"'}
    run(tiny(**given), tmp_path / "whole")
    assert "rewind" in (tmp_path / "whole" / "log.jsonl").read_text(encoding="utf-8")
    kill(tiny(**given), tmp_path / "broken", at=13)
    run(tiny(**given), tmp_path / "broken")
    assert fingerprints(tmp_path / "whole") == fingerprints(tmp_path / "broken")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train__ema": "0.9"}, "`sgd.schedule_free` and `train.ema` do not go together: what is evaluated"),
        ({"train__plateau": "{ patience = 2 }"}, "`sgd.schedule_free` and `train.plateau` do not go together"),
        ({"train__parallel": '"sharded"'}, "`sgd.schedule_free` and `train.parallel` do not go together"),
        ({"groups": '[{ match = "*", nesterov = true }]'}, "`nesterov` and `schedule_free` do not go together"),
        ({"sgd__dampening": "0.5"}, "command line, --sgd: `dampening` and `schedule_free` do not go"),
        ({"sgd__schedule_free": "1"}, "`schedule_free` must be true or false; got 1"),
        ({"sgd__schedule_free": "false"}, r"`warmup_steps` belongs to schedule-free SGD\. Give schedule_free = true"),
        ({"sgd__warmup": "4"}, r"unknown key `warmup`\. Did you mean `warmup_steps`"),
        ({"sgd__lr": '{ schedule = "cosine", initial = 1.0, final = 0.0, duration = 9 }'}, "where lr falls"),
    ],
    ids=str,
)
def test_what_does_not_go_with_it(given: dict[str, str], said: str) -> None:
    """Refused with the key and a reason."""
    with pytest.raises(Exception, match=said) as error:
        tiny(**{**GIVEN, **given})
    assert isinstance(error.value, RecipeError) or "group" in str(error.value)


def test_a_recipe_of_it_is_printed_and_read_back() -> None:
    """TOML with the method's own keys; a warmup as a schedule in epochs; and `schedule_free = false` is SGD."""
    recipe = tiny(**{**GIVEN, "sgd": GIVEN["sgd"].replace(", warmup_steps = 4", ", r = 1.0")})
    assert parse_recipe(to_toml(recipe)) == recipe
    assert "schedule_free = true" in to_toml(recipe)
    plain = tiny()
    assert tiny(sgd__schedule_free="false") == plain
    assert "schedule_free" not in to_toml(plain)
    rising = '{ schedule = "warmup", duration = 2, unit = "epoch", then = { schedule = "constant", value = 0.5 } }'
    task = build_task(tiny(**{**GIVEN, "sgd": f"{{ lr = {rising}, schedule_free = true }}"}))
    assert task.state.optimizer.param_groups[-1]["lr_schedule"](5) == 0.25


def test_its_report_speaks_of_the_method(tmp_path: Path) -> None:
    """The rule by its three equations, no effective learning rate, and nothing that holds of SGD's velocity alone."""
    from downslope.training.report import write_report

    run(tiny(**GIVEN), tmp_path)
    write_report([tmp_path], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Schedule-free SGD: while it trains the weights are y" in page
    assert "passes through momentum" not in page
    assert "Effective learning rate" not in page
