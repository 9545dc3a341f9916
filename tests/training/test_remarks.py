"""What a run says of itself at its end: what was left out, what stood still, what guessing would have done, too."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import tiny

from downslope.cli.main import main
from downslope.core.schedules import Cosine, Exponential, Linear, Warmup
from downslope.training.folder.run_folder import RunFolder
from downslope.training.run.remarks import remarks
from draws import draws

FACTS = {"steps_per_epoch": 5, "data": {"train_examples": 40, "held_out_examples": 100, "most_frequent": 0.5}}


def said(recipe=None, steps=20, left_out=0, **held_out):
    """Return the remarks, one text."""
    held_out = {"accuracy": 0.9, "loss": 0.5, **held_out}
    return "\n".join(remarks(recipe or tiny(), FACTS, steps=steps, left_out=left_out, held_out=held_out))


def test_a_run_that_went_well_has_no_remarks():
    """Nothing is said where nothing is wrong; nor of old runs, whose facts say less."""
    assert said() == ""
    assert remarks(tiny(), {}, steps=0, left_out=0, held_out={}) == []


def test_a_batch_larger_than_the_data_is_said():
    """With both numbers; a batch of just all of them is what was asked for."""
    assert said(tiny(data__batch_size="40")) == ""
    assert "data.batch_size = 41 is more than the 40 training examples" in said(tiny(data__batch_size="41"))


def test_a_step_of_more_than_the_data_is_said():
    """By accumulation too: 8 batches of 5 are all 40, and 9 are more; drawn by class, a batch is not each of them."""
    assert said(tiny(data__batch_size="5", train__accumulate="8")) == ""
    assert said(tiny(data__batch_size="5", train__accumulate="9")) == (
        "data.batch_size = 5, times train.accumulate = 9, is more than the 40 training examples: every step was "
        "an epoch"
    )
    drawn = said(tiny(data__batch_size="41", data__sampling='"balanced"'))
    assert drawn.endswith("is more than the 40 training examples: every step was an epoch")


def test_a_loss_that_never_fell_is_said():
    """The mean of the last tenth against the first; not where it was to rise, began elsewhere, or is too short."""
    rows = [2.0, *[1.0] * 16, 5.0, 2.5, 3.5]  # of 20 the last tenth is 2.5 and 3.5
    told = remarks(tiny(), FACTS, steps=20, left_out=0, held_out={}, losses=rows)
    [sentence] = told
    assert sentence.startswith("the training loss ended at 3, no lower than the 2 that it began with: lr may be ")
    for other, losses in (
        (tiny(), [2.0, *[5.0] * 17, 1.9, 1.9]),
        (tiny(), rows[1:]),
        (tiny(), [*rows[:-1], math.nan]),
        (tiny(train__start_from='"run"'), rows),
        (tiny(sgd__maximize="true"), rows),
    ):
        assert remarks(other, FACTS, steps=20, left_out=0, held_out={}, losses=losses) == []


def test_steps_left_out_are_counted():
    """56 of 60 are 93 %."""
    assert "56 of 60 steps, 93.33 %, were left out" in said(steps=60, left_out=56)


@pytest.mark.parametrize(
    ("lr", "steps", "still"),
    [
        (Linear(0.1, final=0.0, duration=10), 40, 30),  # lr is 0 from step 10 on
        (Linear(0.1, final=0.0, duration=10), 11, 0),  # one step at 0 is the end of every schedule to 0
        (Cosine(0.1, final=0.0, duration=2, unit="epoch"), 20, 10),
        (Linear(0.1, final=0.001, duration=10), 40, 0),
        (Exponential(0.1, rate=0.1, every=1), 400, 77),  # 10^-324, at step 323, is no float any more
        (Warmup(30, then=Exponential(0.1, rate=0.5, every=10)), 31, 0),  # 0 at step 0 alone
        (0.0, 7, 7),
    ],
    ids=str,
)
def test_steps_at_lr_0_are_counted(lr, steps, still):
    """By hand: from the step at which the schedule comes to 0, for good."""
    from dataclasses import replace

    recipe = tiny()
    text = said(replace(recipe, sgd=replace(recipe.sgd, lr=lr)), steps=steps)
    if still == steps:
        assert text == "lr was 0 in every step: no gradient moved anything"
    elif still:
        assert f"lr was 0 in the last {still:,} of {steps:,} steps" in text
    else:
        assert text == ""


def test_a_group_that_moves_is_movement():
    """Where the base lr is 0 and a group's is not, something moved."""
    frozen = {"sgd__lr": "0.0", "groups": '[{ match = "*.bias", lr = 0.1 }]'}
    assert "lr was 0" not in said(tiny(**frozen))


@pytest.mark.parametrize(
    ("accuracy", "what"),
    # 0.5 + 2 sqrt(0.25 / 100) = 0.6
    [(0.1, "no better than"), (0.5, "no better than"), (0.501, "by chance"), (0.6, "by chance"), (0.601, "")],
)
def test_an_accuracy_within_chance_of_guessing_is_said(accuracy, what):
    """Among 100 examples of which half are of one class, above 50 % is better, and up to 60 % may be so by chance."""
    text = said(accuracy=accuracy)
    assert [words for words in ("no better than", "by chance") if words in text] == ([what] if what else [])
    assert ("naming the most frequent class always" in text) == ("50.00 %" in text) == bool(what)


def test_of_few_examples_all_right_may_be_by_chance(monkeypatch):
    """Ten of which eight are of one class: 0.8 + 2 sqrt(0.16 / 10) = 1.053, so that none of ten wrong tells nothing."""
    monkeypatch.setitem(FACTS, "data", {"train_examples": 40, "held_out_examples": 10, "most_frequent": 0.8})
    assert said(accuracy=1.0) == (
        "an accuracy of 100.00 % may be by chance: naming the most frequent class always is right in 80.00 %, and "
        "among 10 examples chance moves that by 25.30 % either way"
    )


@pytest.mark.parametrize("examples", [1, 25])
def test_an_accuracy_on_one_class_is_said_to_be_that(examples, monkeypatch):
    """Where every held-out example is of one class, whoever always names that class has all right."""
    monkeypatch.setitem(FACTS, "data", {"train_examples": 40, "held_out_examples": examples, "most_frequent": 1.0})
    assert said(accuracy=1.0) == (
        f"an accuracy of 100.00 % says nothing of other classes: every held-out example, {examples} in all, is of one"
    )


def test_numbers_that_are_none_are_divergence():
    """NaN and inf are named; R2 of 0 or less is the mean's."""
    assert "the held-out loss is no finite number" in said(loss=math.nan)
    assert "the held-out accuracy and loss" in said(loss=math.inf, accuracy=math.nan)
    assert "no better than answering with the mean" in said(r2=-0.1)
    assert "mean" not in said(r2=0.1)


@settings(max_examples=draws(50))
@given(st.integers(1, 60), st.integers(1, 80))
def test_the_search_by_halves_finds_what_counting_finds(duration, steps):
    """The steps at 0 at the end, one by one."""
    from dataclasses import replace

    lr = Linear(0.1, final=0.0, duration=duration)
    recipe = tiny()
    found = re.search(r"last (\d+) of|every step", said(replace(recipe, sgd=replace(recipe.sgd, lr=lr)), steps=steps))
    counted = 0
    while counted < steps and lr(steps - 1 - counted) == 0:
        counted += 1
    assert (int(found[1]) if found else 0) == (counted if counted > max(1, 0.01 * steps) else 0)


def test_terminal_and_page_say_the_same(tmp_path, capsys):
    """A real run with a batch above the data, its lr at 0 and no better than guessing: the lines, and the page's."""
    words = ["--data.name", "training_tasks:blobs", "--data.batch_size", "500", "--train.steps", "40"]
    lr = ["--sgd.lr", '{ schedule = "linear", initial = 1e-9, final = 0.0, duration = 5 }']
    assert main(["train", *words, *lr, "--out", str(tmp_path / "run")]) == 0
    notes = re.findall(r"^note        (.*)$", capsys.readouterr().out, re.MULTILINE)
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert [note.split()[0] for note in notes][:2] == ["data.batch_size", "lr"]
    for note in notes:
        assert f'<li class="warn">{note}.</li>' in page


def test_a_run_that_diverged_has_its_page(tmp_path, capsys):
    """Its gradient overflows: exit code 1, an event with the message, and a page that says it and shows the curves."""
    words = ["--data.name", "training_tasks:line", "--train.loss", "mse", "--train.steps", "200", "--sgd.lr", "30"]
    assert main(["train", *words, "--out", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err.removeprefix("downslope: error: ").strip()
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    events = RunFolder(tmp_path / "run").events()
    assert events[-1]["event"] == "fail"
    assert events[-1]["error"] == message
    assert f"failed at step {events[-1]['step']}" in page
    assert "<svg" in page
    assert main(["watch", str(tmp_path / "run"), "--once"]) == 0
    assert capsys.readouterr().out.startswith("failed ")
