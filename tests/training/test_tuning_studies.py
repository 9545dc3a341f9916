"""Studies: honest about the held-out examples, paused trials to the bit, killed and gone on with, several processes."""

import json
import os
import signal
import time
import tomllib
from dataclasses import replace

import pytest
import torch

import warm
from downslope import load_recipe
from downslope.cli.main import main
from downslope.core.errors import DownslopeError
from downslope.recipe.schema import Tune
from downslope.training.data import load_data
from downslope.training.folder.log import read_rows
from downslope.training.run.plan import plan_run
from downslope.training.run.train import train
from downslope.training.workers.workers import NullConsole

pytest.importorskip("optuna")

from downslope.training.tuning.ladder import Job
from downslope.training.tuning.study import Study
from downslope.training.tuning.work import design, work

SMALL = ["--model.hidden", "[8]", "--data.batch_size", "256", "--train.epochs", "4", "--checkpoint.every_seconds", "0"]
STUDY = ["tune", "digits", *SMALL, "--trials", "4", "--halving", "2", "--seeds", "2"]


def small(**tune):
    """Return a recipe whose runs take a moment."""
    recipe = load_recipe(overrides=[(name[2:], value) for name, value in zip(SMALL[::2], SMALL[1::2], strict=True)])
    return replace(recipe, tune=Tune(**{"trials": 4, "seeds": 1, **tune}))


def rows_of(inputs):
    """Return inputs as a set."""
    return {row.numpy().tobytes() for row in inputs}


def test_the_validation_part_is_cut_from_what_is_learned_from():
    """A fifth of 1437 examples, 288, is evaluated, none of those held out; another seed of training, the same part."""
    plain = load_data(load_recipe())
    cut = load_data(load_recipe(overrides=[("data.validation", "0.2")]))
    other = load_data(load_recipe(overrides=[("data.validation", "0.2"), ("seed", "5"), ("data.split_seed", "0")]))
    assert (len(cut.train_inputs), len(cut.held_out_inputs)) == (1437 - 288, 288)
    together = torch.cat([cut.train_inputs, cut.held_out_inputs])
    assert torch.equal(together.sort(dim=0)[0], plain.train_inputs.sort(dim=0)[0])
    assert not rows_of(cut.held_out_inputs) & rows_of(cut.train_inputs)
    assert not rows_of(together) & rows_of(plain.held_out_inputs)
    assert other.fingerprint() == cut.fingerprint() != plain.fingerprint()


def test_the_winner_sees_the_held_out_examples_once(tmp_path, capsys):
    """Trials evaluate on the validation part alone; the winner's runs once, at their end, all on the same examples."""
    assert main([*STUDY, "--out", str(tmp_path / "study")]) == 0
    assert "looked at once" in capsys.readouterr().out
    for folder in (tmp_path / "study" / "trials").iterdir():
        assert json.loads((folder / "run.json").read_text())["data"]["held_out_examples"] == 288
    finals = sorted((tmp_path / "study" / "winner").iterdir())
    facts = [json.loads((folder / "run.json").read_text()) for folder in finals]
    assert [len(read_rows(folder, "evaluation")) for folder in finals] == [1, 1]
    assert [fact["data"]["held_out_examples"] for fact in facts] == [360, 360]
    assert facts[0]["data"]["fingerprint"] == facts[1]["data"]["fingerprint"] == load_data(load_recipe()).fingerprint()
    told = json.loads((tmp_path / "study" / "study.json").read_text())
    best = max((t for t in told["trials"] if len(t["rungs"]) == 3), key=lambda t: t["rungs"][-1]["value"])
    assert told["winner"] == best["trial"]
    text = (tmp_path / "study" / "best.toml").read_text()
    assert "weights forget over" in text
    assert load_recipe(tmp_path / "study" / "best.toml").tune is None
    assert tomllib.loads(text)["train"]["epochs"] == 4


def test_a_promoted_trial_goes_on_to_the_bit(tmp_path):
    """Paused at its rung and promoted, a trial has the weights and the log of a run that was never paused."""
    plan = design(small(halving=2), 1)
    study = Study(tmp_path / "study", None, plan.about())
    work(study, plan)
    state = study.state()
    number = next(job.trial for job in state.results if job.rung == plan.rungs - 1)
    paused = tmp_path / "study" / "trials" / f"{number:04d}"
    recipe = plan.trial(number, state.points[number])
    train(plan_run(recipe, name="whole", out=tmp_path / "whole"), recipe, NullConsole(), report=False)
    for name in ("model.safetensors", "log.jsonl", "recipe.toml"):
        assert (paused / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert any(row["event"] == "resume" for row in map(json.loads, (paused / "events.jsonl").read_text().splitlines()))
    with pytest.raises(DownslopeError, match="another study"):
        Study(tmp_path / "study", None, design(small(halving=2, sampler="random"), 1).about())


def test_diverged_is_told_from_slow(tmp_path):
    """An lr of 1e6 diverges; one of 1e-3 is still falling at the end; the winner is neither."""
    search = {"sgd.lr": "choice(1000000.0, 0.003, 0.3)"}
    plan = design(small(sampler="grid", search=search, trials=3), 1)
    study = Study(tmp_path / "study", None, plan.about())
    work(study, plan)
    state = study.state()
    assert [state.results[Job(n, 0)].outcome for n in range(2)] == ["diverged", "falling"]
    assert plan.winner(state) == 2


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_anywhere_it_ends_as_it_would_have(jobs, tmp_path):
    """A study of one process or two, killed with SIGKILL again and again, leaves the bytes of one that was not."""
    here = [*STUDY, "--jobs", str(jobs), "--quiet", "--out"]
    assert main([*here, str(tmp_path / "whole")]) == 0
    words = ["-m", "downslope", *here]
    folder, seen = tmp_path / "killed", -1
    for _ in range(2 * jobs):
        process = warm.Running([*words, str(folder)], start_new_session=True)
        while process.poll() is None and (size := size_of(folder)) <= seen + 1500:
            time.sleep(0.02)
        seen = size
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert warm.run(*words, str(folder)).returncode == 0
    for name in ("study.json", "best.toml", "winner/seed-0/model.safetensors", "winner/seed-1/log.jsonl"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def size_of(folder):
    """Return how much a study has noted."""
    journal = folder / "study.journal"
    return journal.stat().st_size if journal.exists() else 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--train.early_stop.patience", "3"], "held-out examples would decide"),
        (["--data.validation", "0.2"], "tune.validation"),
        (["--tune.metric", "r2"], "an evaluation of these data gives"),
        (["--halving", "9"], "no rung below the end"),
        (["--search", "lr"], "write NAME = VALUES"),
        (["--search", "velocity_examples = uniform(1.0, 9.0)"], "less than the 256 examples of a step"),
        (["--storage", "nonsense"], "URL from given URL string. It takes an address"),
        (["--storage", "nosuch://x"], "nosuch. It takes an address as SQLAlchemy does, such as sqlite:"),
    ],
)
def test_what_cannot_be_tuned_is_refused(words, says, tmp_path, capsys):
    """One message, before anything is trained."""
    assert main(["tune", "digits", *SMALL, "--trials", "4", "--out", str(tmp_path / "study"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "study" / "trials").exists()
