"""Beginning with other weights: what is taken, said and kept; exact without its source; frozen parts; an example."""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from training_runs import checkpoint_names, fingerprints, run, tiny

import warm
from cli.command_line import succeed
from downslope.core.errors import DataError, GroupError, RecipeError
from downslope.recipe.load import parse_recipe
from downslope.training.report import write_report
from downslope.training.run.freezing import freeze
from downslope.training.run.plan import plan_run
from downslope.training.run.starting import lines_of
from downslope.training.run.task import build_task
from house.source_tree import ROOT

FROZEN = {"model": '{ name = "training_tasks:batch_norm" }', "train__freeze": '["0.*", "1.*"]'}
"""A layer and its normalisation are frozen, the last layer learns."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a run of two epochs, three classes, an mlp of 4-8-3."""
    folder = tmp_path_factory.mktemp("source") / "run"
    run(tiny(train__epochs="2"), folder)
    return folder


def begun(source, **more):
    """Return the task of a run that begins with other weights, before its first step."""
    return build_task(tiny(train__start_from=json.dumps(str(source)), **more))


def state(task):
    """Return a task's weights."""
    return task.state.model.state_dict()


def test_a_run_gives_its_best_weights_and_says_so(source):
    """All four tensors, bit for bit, of the best checkpoint, with the checksum that b2sum prints."""
    task = begun(source)
    origin = Path(task.start.origin)
    theirs = load_file(origin / "model.safetensors")
    assert all(torch.equal(state(task)[name], theirs[name]) for name in theirs)
    data = (origin / "model.safetensors").read_bytes()
    assert task.start.checksum == hashlib.blake2b(data, digest_size=16).hexdigest()
    best = json.loads((source / "checkpoints" / checkpoint_names(source)[-1] / "manifest.json").read_text())
    assert task.start.step == best["state"]["best"]["best_step"]
    first = f"start       {origin}, after {task.start.step} steps: 4 of 4 tensors, 67 of 67 parameters"
    assert [line.rstrip() for line in lines_of(task.start)] == [first]
    assert first in task.lines(source)


def test_a_new_head_begins_as_in_a_new_run(source):
    """Of other classes, or left out by name: drawn by the seed as if there were no start; the trunk is taken."""
    more = {"data__options": "{ classes = 4 }"}
    by_shape, new = begun(source, **more), build_task(tiny(**more))
    assert by_shape.start.other == {"logits.weight": ("3x8", "4x8"), "logits.bias": ("3", "4")}
    assert "of another shape, so new: logits.weight (3x8 there, 4x8 here)" in "\n".join(lines_of(by_shape.start))
    by_name, fresh = begun(source, train__start_without='["logits.*"]'), build_task(tiny())
    assert by_name.start.without == ["logits.weight", "logits.bias"]
    for task, other in ((by_shape, new), (by_name, fresh)):
        assert task.start.taken == 2
        assert torch.equal(state(task)["logits.weight"], state(other)["logits.weight"])
        assert not torch.equal(state(task)["dense1.weight"], state(other)["dense1.weight"])
        assert torch.equal(state(task)["dense1.weight"], state(by_name)["dense1.weight"])


def test_files_of_other_programs(source, tmp_path):
    """An averaged model's state in half precision, a trunk within another model, a tied weight saved once."""
    theirs = load_file(source / "model.safetensors")
    halves = {f"module._orig_mod.{name}": tensor.half() for name, tensor in theirs.items()}
    save_file({**halves, "n_averaged": torch.tensor(3)}, tmp_path / "averaged.safetensors")
    task = begun(tmp_path / "averaged.safetensors")
    assert (task.start.taken, task.start.step, task.start.names, task.start.left) == (4, None, "", [])
    assert torch.equal(state(task)["dense1.weight"], theirs["dense1.weight"].half().double())
    inner = {f"backbone.{name}": tensor for name, tensor in theirs.items() if "logits" not in name}
    save_file({**inner, "fc.weight": theirs["logits.weight"]}, tmp_path / "inner.safetensors")
    task = begun(tmp_path / "inner.safetensors")
    assert (task.start.taken, task.start.names) == (2, "follow `backbone.` there")
    assert (task.start.new, task.start.left) == (["logits.weight", "logits.bias"], ["fc.weight"])
    once = {"first.weight": torch.ones(4, 4)}
    save_file(once, tmp_path / "once.safetensors")
    task = begun(tmp_path / "once.safetensors", model='{ name = "training_tasks:tied" }')
    assert task.start.new == ["out.weight", "out.bias"]
    assert torch.equal(task.state.model.second.weight, torch.ones(4, 4, dtype=torch.float64))


def test_what_cannot_be_begun_with_is_told(source, tmp_path):
    """Where, what, and what to do; nothing in silence."""
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(DataError, match=r"train.start_from = 'nowhere': there is no such file or folder. Give a run"):
        begun("nowhere")
    with pytest.raises(DataError, match=r"neither a run folder nor a checkpoint.*such as .*x\.safetensors"):
        begun(tmp_path)
    with pytest.raises(DataError, match=r"none of its weights fits this model. It holds x; the model has dense1\.w"):
        begun(tmp_path / "x.safetensors")
    with pytest.raises(DataError, match=r"none .* fits this model: `dense1.weight` is 8x4 there, 5x4 here"):
        begun(source, model__hidden="[5]", train__start_without='["logits.bias"]')
    torch.save({"x": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(DataError, match=r"is no safetensors file: .*can run code\. Weights that torch\.save wrote"):
        begun(tmp_path / "x.pth")
    theirs = load_file(source / "model.safetensors")
    theirs["dense1.bias"][0] = float("nan")
    save_file(theirs, tmp_path / "nan.safetensors")
    with pytest.raises(DataError, match=r"`dense1.bias` holds inf or NaN"):
        begun(tmp_path / "nan.safetensors")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe|a FIFO|not a regular file"):
        begun(tmp_path / "pipe")
    with pytest.raises(GroupError, match=r"train\.start_without: 'head\.\*' matches no parameter"):
        begun(source, train__start_without='["head.*"]')
    with pytest.raises(DataError, match="train.start_from, which is not given"):
        build_task(tiny(train__start_without='["logits.*"]'))
    with pytest.raises(RecipeError, match="start_from"):
        tiny(train__start_from='""')


def test_notes_on_what_may_not_be_meant(source, tmp_path):
    """A head of as many other classes; inputs scaled otherwise; what is new and frozen; no evaluation yet."""
    other = begun(source, data__name='"training_tasks:drifting"')
    assert (
        'its last layer was taken too. If they are others, let it begin new: train.start_without = ["logits.*"]'
        in (lines_of(other.start)[-1])
    )
    run(tiny(train__epochs="2", data__normalize='"measured"'), tmp_path / "scaled")
    told = lines_of(begun(tmp_path / "scaled").start)
    assert any("data.normalize = { mean = [" in line for line in told)
    again = begun(tmp_path / "scaled", data__normalize='"measured"')
    assert len(lines_of(again.start)) == 1
    given = begun(tmp_path / "scaled", data__normalize="{ mean = [0.5], deviation = [2.0] }")
    assert float(state(given)["input_mean"]) == 0.5  # the recipe's holds
    assert any("shifted and scaled otherwise" in line for line in lines_of(given.start))
    frozen = begun(source, train__start_without='["dense1.*"]', train__freeze='["dense1.*"]')
    assert "new and not learned, by train.freeze: dense1.weight, dense1.bias" in lines_of(frozen.start)[-1]


@pytest.mark.parametrize("changes", [{}, {"train__ema": "0.9", "train__shards": "2", "train__freeze": '["dense1.*"]'}])
def test_no_resume_needs_the_source(source, tmp_path, changes):
    """Killed before and after a checkpoint by steps, its source gone: weights, log, recipe and facts are equal."""
    moved = Path(shutil.copytree(source, tmp_path / "moved"))
    recipe = tiny(train__start_from=json.dumps(str(moved)), checkpoint__every_steps="6", **changes)
    run(recipe, tmp_path / "whole")
    for at in (2, 9):
        run(recipe, tmp_path / f"killed-{at}", at=at, how="crash")
    assert checkpoint_names(tmp_path / "killed-2") == ["step-00000000"]
    shutil.rmtree(moved)
    for at in (2, 9):
        _, said = run(recipe, tmp_path / f"killed-{at}")
        assert any("start       " in text for text in said)
        assert fingerprints(tmp_path / f"killed-{at}") == fingerprints(tmp_path / "whole")
        for name in ("run.json", "recipe.toml"):
            assert (tmp_path / f"killed-{at}" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(DataError, match="no such file or folder"):
        run(recipe, tmp_path / "anew")
    assert not (tmp_path / "anew" / "recipe.toml").exists()


def test_another_start_is_another_run(source, tmp_path):
    """What a run began with decides all of its numbers."""
    recipe = tiny(train__start_from=json.dumps(str(source)), train__epochs="1")
    run(recipe, tmp_path / "run")
    with pytest.raises(Exception, match="train.start_from"):
        plan_run(tiny(train__epochs="2"), name="x", out=tmp_path / "run")


def test_what_is_frozen_stays_as_torch_would_have_it():
    """Trunk and running statistics do not move; the rest takes torch's own steps, without velocities for the trunk."""
    task = build_task(tiny(**FROZEN))
    before = {name: tensor.clone() for name, tensor in state(task).items()}
    twin = build_task(tiny(model=FROZEN["model"])).state.model
    twin[:2].eval()
    for parameter in twin[:2].parameters():
        parameter.requires_grad_(False)
    theirs = torch.optim.SGD(twin[3].parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    assert task.frozen == {"0.weight", "0.bias", "1.weight", "1.bias"}
    for step in range(4):
        inputs, targets = task.dataset.take(torch.as_tensor(task.batches.leaves(step)[0].examples))
        for model, optimizer in ((task.state.model, task.state.optimizer), (twin, theirs)):
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    assert all(torch.equal(state(task)[name], before[name]) for name in before if not name.startswith("3."))
    torch.testing.assert_close(task.state.model[3].weight, twin[3].weight)
    assert not torch.equal(state(task)["3.weight"], before["3.weight"])
    assert set(task.state.tensors()["optimizer"]) == {"3.weight", "3.bias"}


def test_a_frozen_run_is_evaluated_and_goes_on_so(tmp_path):
    """Evaluations put the frozen normalisation back where it was; groups hold what is learned; then all may learn."""
    recipe = tiny(**FROZEN, groups='[{ match = "@bias_and_norm", weight_decay = 0.0 }]', train__ema="0.5")
    run(recipe, tmp_path / "run")
    first = load_file(tmp_path / "run" / "model.safetensors")
    drawn = state(build_task(recipe))
    assert all(torch.equal(first[name], drawn[name]) for name in first if not name.startswith("3."))
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["frozen"] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [group["parameters"] for group in facts["groups"]] == [["3.bias"], ["3.weight"]]
    more = {**FROZEN, "groups": '[{ match = "@bias_and_norm", weight_decay = 0.0 }]', "train__ema": "0.5"}
    _, said = run(tiny(**{**more, "train__freeze": "[]", "train__epochs": "5"}), tmp_path / "run")
    assert any("train.freeze" in text for text in said)
    second = load_file(tmp_path / "run" / "model.safetensors")
    assert [name for name in first if torch.equal(first[name], second[name])] in ([], ["0.bias"])  # its gradient is 0
    _, said = run(tiny(**{**more, "train__freeze": '["3.*"]', "train__epochs": "6"}), tmp_path / "run")
    third = load_file(tmp_path / "run" / "model.safetensors")
    assert {n for n in third if torch.equal(third[n], second[n])} - {"0.bias"} == {"3.bias", "3.weight"}


def test_freezing_that_cannot_be(source):
    """A pattern of nothing, nothing left, a group of frozen parameters alone."""
    with pytest.raises(GroupError, match=r"train\.freeze: 'head\.\*' matches no parameter"):
        build_task(tiny(train__freeze='["head.*"]'))
    with pytest.raises(DataError, match="leaves no parameter to learn"):
        build_task(tiny(train__freeze='["*"]'))
    with pytest.raises(
        GroupError, match=r"'dense1\.\*' matches no parameter.*What train.freeze matches is in no group"
    ):
        build_task(tiny(train__freeze='["dense1.*"]', groups='[{ match = "dense1.*", lr_factor = 0.1 }]'))
    with pytest.raises(RecipeError, match="an empty one"):
        tiny(train__freeze='[""]')


def test_which_normalisation_is_frozen():
    """One all of whose parameters are, or that has none and lies where a pattern reaches; half of one is not."""
    from torch import nn

    def made(*patterns, affine=True):
        model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=affine), nn.Dropout(), nn.Linear(2, 1)).train()
        freeze(model, patterns)
        return [layer.training for layer in model]

    assert made("[01].*") == made("[01].*", affine=False) == made("@bias_and_norm") == [True, False, True, True]
    assert made("0.*") == made("*.bias") == made("0.*", affine=False) == [True] * 4


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["replicated", "sharded"])
def test_workers_begin_and_freeze_alike(source, tmp_path, parallel, monkeypatch, capsys):
    """Two workers, of which the first reads: the weights of one, in both ways of sharing a model."""
    folder = Path(__file__).parent
    options = ["--data.name", "training_tasks:blobs", "--data.batch_size", "8", "--model.hidden", "[8]"]
    options += ["--train.start_from", str(source), "--train.start_without", '["logits.*"]', "--train.shards", "2"]
    options += ["--train.freeze", '["dense1.weight"]', "--train.epochs", "2", "--train.parallel", parallel]
    monkeypatch.chdir(folder)
    said = succeed(["train", *options, "--out", tmp_path / "one"], capsys)
    done = warm.run("-m", "downslope", "train", *options, "--out", str(tmp_path / "two"), "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert [text.count("start       ") for text in (said, done.stdout)] == [1, 1]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    began = json.loads((tmp_path / "two" / "run.json").read_text())["start"]["origin"]
    assert torch.equal(one["dense1.weight"], load_file(Path(began, "model.safetensors"))["dense1.weight"])


def example():
    """Return the two recipes of the page, for digits and for letters, and a pattern of what it shows of the start.

    Which of five checkpoints of nearly the same accuracy is the best depends on the processor.
    """
    section = (ROOT / "docs/training.md").read_text(encoding="utf-8").split("## Fine-tuning")[1].split("\n## ")[0]
    digits, letters = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    shown = re.escape(re.findall(r"```text\n(.*?)```", section, re.DOTALL)[0])
    return digits, letters, re.sub("0*180", r"\\d+", shown)


def test_the_example_of_the_page(tmp_path, monkeypatch, capsys):
    """Letters after digits are read better than letters alone in as many steps; the trunk may stay as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(ROOT), *sys.path])
    digits, letters, shown = example()

    def trained(text, out, **changes):
        recipe = parse_recipe(text, overrides=[(name.replace("__", "."), value) for name, value in changes.items()])
        outcome, said = run(recipe, out)
        return outcome.held_out["accuracy"], "\n".join(said)

    trained(digits, "runs/digits")
    Path("letters.toml").write_text(letters, encoding="utf-8")
    assert re.search(shown, succeed(["train", "letters.toml", "--dry-run"], capsys))
    assert not Path("runs/letters").exists()
    tuned, said = trained(letters, "tuned")
    assert re.search(shown, said)
    assert tuned > 0.6
    alone = letters.replace('start_from = "runs/digits"\nstart_without = ["logits.*"]\n', "")
    new, _ = trained(alone, "new", groups="[]", sgd__lr="0.1")
    assert new < tuned - 0.1
    still = '["conv.*", "norm.*", "stage*"]'
    frozen, said = trained(letters, "frozen", train__freeze=still, groups="[]", sgd__lr="0.1")
    assert frozen > 0.3
    assert "330 parameters that are learned, 19,376 frozen" in said
    left = load_file("frozen/model.safetensors")
    best = load_file(Path(json.loads(Path("frozen/run.json").read_text())["start"]["origin"], "model.safetensors"))
    assert all(torch.equal(best[name], left[name]) for name in left if not name.startswith("logits"))
    write_report([Path("frozen")], Path("frozen/report.html"))
    page = Path("frozen/report.html").read_text(encoding="utf-8")
    assert "Weights that it began with" in page
    assert "36 of 38 tensors" in page
