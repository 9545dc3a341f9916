"""Steps that go wrong, skipped or rewound: against a loop written out by hand, bounded, and the same when killed."""

import copy
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from statistics import median

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import checkpoint_names, fingerprints, run, tiny

from downslope.cli.main import main
from downslope.core.errors import CheckpointError, DivergenceError, RecipeError
from downslope.training.run.counters import BadStepRecord, Spikes
from downslope.training.run.environment import fitting_threads
from downslope.training.run.gradients import compute_gradients
from downslope.training.run.task import build_task
from draws import NIGHTLY, draws

SPIKY = {
    "data": '{ name = "training_tasks:nothing_held_out_is_far", batch_size = 4 }',
    "model": '{ name = "training_tasks:batch_norm_of_numbers" }',
    "train__loss": "mse",
    "sgd": "{ lr = 0.002, momentum = 0.9 }",
    "train__epochs": "2",
    "train__spike__factor": "5.0",
    "train__spike__window": "4",
    "checkpoint__every_steps": "5",
    "checkpoint__keep": "1",
}
"""60 steps; of each batch whose loss leaps up, the loss is over 100 times that of the others."""


@pytest.fixture
def in_memory():
    """Return a folder whose syncs cost nothing, where there is one."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder)


def rows(folder, *kinds):
    """Return the rows of some kinds."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] in kinds]


@fitting_threads(0)  # one thread, as a run of so small a model has
def by_hand(recipe, action, every=5):
    """Return (weights and buffers, steps gone wrong, where each rewind led), from a loop with nothing else in it."""
    task = build_task(recipe)
    model, optimizer, window = task.state.model, task.state.optimizer, recipe.train.spike.window

    def keep():
        return copy.deepcopy((model.state_dict(), optimizer.state_dict(), losses))

    losses, wrong, led = [], [], []
    kept, used = [(0, keep())], False
    for step in range(task.total_steps):
        before = copy.deepcopy(model.state_dict())
        optimizer.zero_grad()
        leaves = task.batches.leaves(step)
        loss = compute_gradients(model, task.objective, task.dataset, leaves, seed=recipe.seed, step=step).loss()
        if len(losses) >= window and loss > recipe.train.spike.factor * median(losses[-window:]):
            wrong.append(step)
            if action == "skip":
                model.load_state_dict(before)
                continue
            if used and len(kept) > 1:
                kept.pop()
            used = True
            led.append(kept[-1][0])
            weights, state, losses = copy.deepcopy(kept[-1][1])
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)
            continue
        optimizer.step()
        losses.append(loss)
        if (step + 1) % every == 0:
            kept, used = [*kept, (step + 1, keep())][-2:], False
    return model.state_dict(), wrong, led


@pytest.mark.parametrize("action", ["skip", "rewind"])
def test_spikes_are_left_out_as_by_hand(action, tmp_path):
    """The bits, the steps and the rows are those of the loop above; every step has one row, in order."""
    recipe = tiny(**SPIKY, train__spike__action=action)
    outcome, said = run(recipe, tmp_path / "run")
    weights, wrong, led = by_hand(recipe, action)
    assert outcome.finished
    assert 3 <= len(wrong) <= 10
    found = rows(tmp_path / "run", "skip", "rewind")
    assert [row["step"] for row in found] == wrong
    assert {row["kind"] for row in found} == {action}
    assert all(row["loss"] > row["bound"] > 0 for row in found)
    assert [row["to"] for row in found if action == "rewind"] == led
    assert [row["step"] for row in rows(tmp_path / "run", "step", action)] == list(range(60))
    from safetensors.torch import load_file

    final = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(final[name], weights[name]) for name in weights)
    spoken = [text for text in said if "is above 5 times the median of the last 4" in text]
    assert len(spoken) == len(wrong)
    assert all(("it is skipped" if action == "skip" else "back to the checkpoint of step") in text for text in spoken)


def test_without_the_table_the_same_run_is_spoiled(tmp_path):
    """What the spikes do where nothing is done about them: the rewound run ends with a far smaller loss."""
    plain = {name: value for name, value in SPIKY.items() if "spike" not in name}
    spoiled = run(tiny(**plain), tmp_path / "plain")[0].held_out["loss"]
    mended = run(tiny(**SPIKY, train__spike__action="rewind"), tmp_path / "mended")[0].held_out["loss"]
    assert mended < spoiled / 3


VARIANTS = {
    "rewind": {**SPIKY, "train__spike__action": "rewind", "train__ema": "0.9"},
    "skip": {**SPIKY, "train__spike__action": "skip"},
    "rewind not finite": {
        "train__loss": "training_tasks:sometimes_infinite",
        "train__on_nonfinite": "rewind",
        "train__epochs": "4",
        "train__nonfinite_limit": "30",
        "checkpoint__every_steps": "4",
        "checkpoint__keep": "1",
        "train__plateau": '{ patience = 2, metric = "accuracy" }',
        "sgd__lr": "0.1",
        "train__log_every": "3",
    },
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("how", ["crash", "signal"])
def test_a_run_with_mishaps_stopped_anywhere_ends_with_the_same_bits(name, how, in_memory):
    """Killed without a word, or stopped by a signal, and resumed: weights and log.

    A kill leaves what others see at that moment, so a run that goes on is copied there.

    After each of its steps by night. Every day beside each step that went wrong, and after every third: as there is a
    checkpoint every fourth or fifth, that is at every distance from one.
    """
    recipe = tiny(**VARIANTS[name])
    total = run(recipe, in_memory / "whole")[0].total_steps
    expected = fingerprints(in_memory / "whole")
    wrong = [row["step"] for row in rows(in_memory / "whole", "skip", "rewind")]
    assert len(wrong) > 2
    tried = {step + more for step in wrong for more in (0, 1)}
    if how == "crash":
        tried = (tried | set(range(1, total, 1 if NIGHTLY else 3))) & set(range(1, total))

    def look(step):
        if step in tried and not (in_memory / str(step)).exists():
            shutil.copytree(in_memory / "copied", in_memory / str(step))

    if how == "crash":
        run(recipe, in_memory / "copied", look=look)
    for at in sorted(tried):
        folder = in_memory / str(at)
        if how == "signal":
            run(recipe, folder, at=at)
        assert folder.exists()
        outcome, _ = run(recipe, folder)
        assert outcome.finished
        assert fingerprints(folder) == expected, f"stopped after {at} steps"
        assert checkpoint_names(folder)[-1] == checkpoint_names(in_memory / "whole")[-1]


def test_checkpoints_by_the_clock_decide_nothing(tmp_path, monkeypatch):
    """With a checkpoint after every step, by a clock that races: a rewind leads where it led without."""
    recipe = tiny(**VARIANTS["rewind"])
    run(recipe, tmp_path / "plain")
    monkeypatch.setattr("downslope.training.run.saving.has_passed", lambda *_: True)
    run(tiny(**VARIANTS["rewind"], checkpoint__every_seconds="1.0"), tmp_path / "racing")
    assert fingerprints(tmp_path / "plain") == fingerprints(tmp_path / "racing")


def test_a_limit_ends_the_run_and_another_lets_it_go_on(tmp_path):
    """One spike more than allowed: a message that says so and how to go on; with more allowed, the same bits."""
    recipe = tiny(**SPIKY, train__spike__action="rewind")
    run(recipe, tmp_path / "whole")
    with pytest.raises(
        DivergenceError, match=r"^step \d+: loss \S+ is above 5 times the median of the last 4, \S+; that"
    ):
        run(tiny(**SPIKY, train__spike__action="rewind", train__spike__limit="1"), tmp_path / "run")
    assert DivergenceError.exit_code == 1
    assert len(rows(tmp_path / "run", "rewind")) == 1
    outcome, said = run(recipe, tmp_path / "run")
    assert outcome.finished
    assert "resuming with a different recipe: train.spike.limit 1 -> 10" in said
    assert fingerprints(tmp_path / "run") == fingerprints(tmp_path / "whole")


def test_a_limit_on_what_is_not_finite(tmp_path):
    """The same for gradients: skipped without end unless a limit is given, rewound ten times unless it is."""
    infinite = {"train__loss": "training_tasks:sometimes_infinite", "checkpoint__every_steps": "4"}
    with pytest.raises(DivergenceError, match="a gradient that is not finite; that was dealt with twice|2 times"):
        run(tiny(**infinite, train__on_nonfinite="skip", train__nonfinite_limit="2"), tmp_path / "two")
    assert len(rows(tmp_path / "two", "skip")) == 2
    run(tiny(**infinite, train__on_nonfinite="skip", train__epochs="20"), tmp_path / "any")
    assert len(rows(tmp_path / "any", "skip")) > 10
    with pytest.raises(DivergenceError, match=r"train.nonfinite_limit allows no more"):
        run(tiny(**infinite, train__on_nonfinite="rewind", train__epochs="20"), tmp_path / "ten")
    assert len(rows(tmp_path / "ten", "rewind")) == 10


def test_the_command_line_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    """The real command: exit code 1, one message, and the very words it gives lead on."""
    monkeypatch.chdir(tmp_path)
    words = [f"--{name.replace('__', '.')}={value}" for name, value in SPIKY.items()]
    assert main(["train", *words, "--train.spike.limit=1", "--out", "a run"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("downslope: error: step ")
    assert err.endswith(
        "; that was dealt with once already, and train.spike.limit allows no more. Lower sgd.lr, set train.clip_norm, "
        "or allow more: downslope resume 'a run' --train.spike.limit 2\n"
    )
    assert main(["resume", "a run", "--train.spike.limit", "20"]) == 0
    page = (tmp_path / "a run" / "report.html").read_text()
    assert "leapt up" in page


def test_a_damaged_checkpoint_is_not_gone_back_to(tmp_path):
    """Where a rewind would lead to a damaged checkpoint, the run ends with a message; what it has is kept."""
    folder = tmp_path / "run"
    recipe = tiny(**SPIKY, train__spike__action="rewind")
    run(recipe, tmp_path / "whole")
    first = next(row for row in rows(tmp_path / "whole", "rewind") if row["step"] > row["to"])
    run(recipe, folder, at=first["step"])
    path = folder / "checkpoints" / f"step-{first['to']:08d}" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="training must go back to it, and it cannot be used: "):
        run(recipe, folder)


def test_a_fork_rewinds_within_itself(tmp_path):
    """A fork has one checkpoint of the run it came from; where others would be needed, it goes back to that one."""
    recipe = tiny(**SPIKY, train__spike__action="rewind")
    run(recipe, tmp_path / "run", at=7)
    outcome, _ = run(recipe, tmp_path / "fork", resume=tmp_path / "run")
    assert outcome.finished
    assert rows(tmp_path / "fork", "rewind")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train__spike__factor": "1.0"}, "`factor` must be above 1 and finite, such as 3.0; got 1.0."),
        ({"train__spike": "{ factor = 3.0, window = 1 }"}, "`window` must be >= 2; got 1."),
        ({"train__spike": "{ factor = 3.0, limit = 0 }"}, "`limit` must be >= 1; got 0."),
        (
            {"train__spike": "{ factor = 3.0, action = 'rewind' }"},
            'train.spike.action = "rewind"` needs `checkpoint.ev',
        ),
        ({"train__on_nonfinite": "rewind"}, 'train.on_nonfinite = "rewind"` needs `checkpoint.every_steps`: where'),
        ({"train__nonfinite_limit": "3"}, "`nonfinite_limit` counts steps that are skipped or rewound."),
        ({"train__spike__action": "back"}, "skip"),
    ],
)
def test_what_makes_no_sense_is_refused(overrides, message):
    """Each mistake in the recipe, by its message."""
    with pytest.raises(RecipeError) as caught:
        tiny(**overrides)
    assert message in str(caught.value)


@settings(max_examples=draws(60))
@given(st.lists(st.floats(-1e3, 1e3), max_size=30), st.integers(2, 6), st.floats(1.1, 10))
def test_a_spike_is_what_exceeds_the_median_so_much(losses, window, factor):
    """Against the definition, on any losses, negative ones too; a state taken out and in again changes nothing."""
    spikes, taken = Spikes(factor, window), []
    for loss in losses:
        copied = Spikes(factor, window)
        copied.load(json.loads(json.dumps(spikes.state())))
        last = taken[-window:]
        middle = median(last) if len(last) == window else 0.0
        is_spike = middle != 0 and loss > middle + (factor - 1) * abs(middle)
        assert (spikes.observe(loss) is not None) == is_spike == (copied.observe(loss) is not None)
        if not is_spike:
            taken.append(loss)
    for odd in (math.inf, -math.inf, math.nan):
        before = spikes.state()
        assert spikes.observe(odd) is None
        assert spikes.state() == before


def test_the_place_to_go_back_to():
    """The newest; the one before it if the newest was gone back to already; and then that one again."""
    record = BadStepRecord()
    for step in (0, 5, 10, 15):
        record.add_target(step)
    assert record.targets == [10, 15]
    assert [record.take_target() for _ in range(3)] == [15, 10, 10]
    record.add_target(20)
    assert [record.take_target() for _ in range(2)] == [20, 10]
