import json
import math

import pytest
import safetensors.torch
import torch
from training_runs import checkpoint_names, fingerprints, run, tiny

CASES = {
    "plain": {},
    "ema": {"train__ema": "0.9"},
    "early stop": {"train__early_stop": "{ patience = 2, min_delta = 0.05 }", "train__epochs": "12"},
    "plateau": {"sgd__lr": "0.2", "train__plateau": "{ patience = 1, factor = 0.5, min_delta = 0.02 }"},
    "dropout": {"model": '{ name = "training_tasks:dropout" }'},
    "batch norm": {"model": '{ name = "training_tasks:batch_norm" }', "train__ema": "0.8"},
    "noise": {"model": '{ name = "training_tasks:noisy" }'},
    "tied": {"model": '{ name = "training_tasks:tied" }', "train__ema": "0.9"},
    "accumulate and shards": {
        "train__accumulate": "2",
        "train__shards": "2",
        "model": '{ name = "training_tasks:batch_norm" }',
        "data__batch_size": "7",
        "train__epochs": "7",
    },
    "skip": {"train__loss": "training_tasks:sometimes_infinite", "train__on_nonfinite": "skip"},
    "measured": {"train__measure_every": "3", "train__sharpness_every": "7", "train__shards": "3"},
    "clip": {"train__clip_norm": "0.5", "train__log_every": "3", "train__evaluate_every": "4"},
    "groups": {"groups": '[{ match = "*.bias", weight_decay = 0.0, lr = 0.3 }, { match = "dense*", momentum = 0.5 }]'},
    "every detail of the rule": {
        "sgd": "{ lr = 0.05, momentum = 0.8, dampening = 0.1, weight_decay = 0.01, decay = 'relative', "
        "lr_in_velocity = true, undampened_first_step = false }"
    },
    "bfloat16": {
        "train__precision": "bfloat16",
        "model": '{ name = "training_tasks:dropout" }',
        "train__clip_norm": "1.0",
    },
    "plain descent": {"sgd": "{ lr = 0.1 }"},
    "regression": {
        "data": '{ name = "training_tasks:line", batch_size = 6 }',
        "train__loss": "mse",
        "sgd": "{ lr = 0.05, momentum = 0.5, nesterov = true }",
    },
}
STOPS = {"inside the first epoch": 3, "at an epoch's end": 10, "inside a later epoch": 13}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what the uninterrupted run of a case leaves; each is run once."""
    done = {}

    def get(case):
        if case not in done:
            folder = tmp_path_factory.mktemp("whole")
            outcome, _ = run(tiny(**CASES[case]), folder)
            assert outcome.finished
            done[case] = fingerprints(folder), folder
        return done[case]

    return get


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_ends_with_the_same_bits(case, stop, whole, tmp_path):
    """SIGINT at a step, then resume: weights, average and log are byte for byte those of an uninterrupted run."""
    expected, _ = whole(case)
    recipe = tiny(**CASES[case])
    first, _ = run(recipe, tmp_path, at=STOPS[stop])
    assert (first.finished, first.signal, first.step) == (False, 2, STOPS[stop])
    second, said = run(recipe, tmp_path)
    assert second.finished
    assert any(f"from step {STOPS[stop]}" in text for text in said)
    assert fingerprints(tmp_path) == expected


@pytest.mark.parametrize("case", CASES)
def test_a_crashed_run_repeats_the_lost_steps_and_ends_with_the_same_bits(case, whole, tmp_path):
    """A crash two steps after a checkpoint: the log is cut back, the steps are done again, the bits are the same."""
    expected, _ = whole(case)
    recipe = tiny(**CASES[case], checkpoint__every_steps="4")
    outcome, _ = run(recipe, tmp_path, at=11, how="crash")
    assert outcome is None
    run(recipe, tmp_path)
    assert fingerprints(tmp_path) == expected


def test_ten_interruptions_leave_no_trace(whole, tmp_path):
    """Interrupted at every second step, resumed each time: still the same bits."""
    recipe = tiny()
    for step in range(1, 20, 2):
        run(recipe, tmp_path, at=step)
    run(recipe, tmp_path)
    assert fingerprints(tmp_path) == whole("plain")[0]


def test_the_cases_do_what_their_names_say(whole):
    """Early stop stops, plateau reduces, skip skips: otherwise the tests above would show nothing."""

    def rows(case, kind):
        lines = (whole(case)[1] / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [row for row in map(json.loads, lines) if row["kind"] == kind]

    assert len(rows("early stop", "stop")) == 1
    assert len(rows("early stop", "step")) < 60
    assert rows("plateau", "plateau")
    assert len({row["lr"] for row in rows("plateau", "step")}) > 1
    skips = rows("skip", "skip")
    assert 0 < len(skips) < 20
    assert len(rows("skip", "step")) == 20 - len(skips)
    assert all(row["loss"] == "inf" for row in skips)
    assert [row["step"] for row in rows("clip", "step")] == [0, 3, 6, 9, 12, 15, 18]
    assert [row["step"] for row in rows("clip", "evaluation")] == [3, 7, 11, 15, 19]
    assert all("ema_accuracy" in row for row in rows("ema", "evaluation"))
    assert all("accuracy" not in row for row in rows("regression", "step"))


def test_a_run_that_learns_learns(whole):
    """The regression's loss falls a hundredfold on a line."""
    rows = [
        json.loads(line) for line in (whole("regression")[1] / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    losses = [row["loss"] for row in rows if row["kind"] == "evaluation"]
    assert losses[-1] < losses[0] / 2
    assert all(math.isfinite(loss) for loss in losses)


def test_the_final_model_is_a_plain_state_dict(whole):
    """Anyone can load it with safetensors alone; tied weights are there under both names."""
    state = safetensors.torch.load_file(whole("tied")[1] / "model.safetensors")
    assert set(state) == {"first.weight", "second.weight", "out.weight", "out.bias"}
    assert torch.equal(state["first.weight"], state["second.weight"])
    average = safetensors.torch.load_file(whole("tied")[1] / "ema.safetensors")
    assert set(average) == set(state)
    assert not torch.equal(average["out.weight"], state["out.weight"])


def test_the_seed_decides_the_run(whole, tmp_path):
    """Two runs of one recipe give the same bits, another seed gives others."""
    run(tiny(), tmp_path / "again")
    run(tiny(seed="1"), tmp_path / "other")
    assert fingerprints(tmp_path / "again") == whole("plain")[0]
    assert fingerprints(tmp_path / "other") != whole("plain")[0]


def test_the_newest_and_the_best_checkpoints_are_kept(tmp_path):
    """With keep = 2: the last two by step, and the best evaluation's."""
    run(tiny(checkpoint__every_steps="3", checkpoint__keep="2"), tmp_path)
    names = checkpoint_names(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluations = [(row["accuracy"], -row["step"]) for row in rows if row["kind"] == "evaluation"]
    best = -max(evaluations)[1] + 1
    assert names == sorted({f"step-{best:08d}", "step-00000018", "step-00000020"})


def test_more_epochs_go_on_from_the_end(tmp_path):
    """A finished run goes on under a longer recipe, and says what differs."""
    run(tiny(), tmp_path)
    outcome, said = run(tiny(train__epochs="6"), tmp_path)
    assert (outcome.finished, outcome.step) == (True, 30)
    assert "resuming with a different recipe: train.epochs 4.0 -> 6.0" in said
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "step"] == list(range(30))


def test_new_settings_hold_from_the_resumed_step_on(tmp_path):
    """Another lr on resume is used, and the velocity is kept."""
    run(tiny(sgd="{ lr = 0.1, momentum = 0.9 }"), tmp_path, at=10)
    run(tiny(sgd="{ lr = 0.025, momentum = 0.9 }"), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["lr"] for row in rows if row["kind"] == "step"] == [0.1] * 10 + [0.025] * 10
