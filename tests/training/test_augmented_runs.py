"""Runs that change their images: exact, resumable, the same for any number of shards' workers; and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from training_runs import run

from cli.command_line import fail, succeed
from downslope.core.errors import DataError
from downslope.recipe.load import parse_recipe
from downslope.training.augmenting.augment import Augmenter, average_over_flips, draw_beta, measure_channels
from downslope.training.data import load_data
from downslope.training.folder.checkpoint import plain_recipe
from downslope.training.models import build_model
from downslope.training.run import plan
from downslope.training.run.batches import Batches
from downslope.training.run.losses import build_loss
from downslope.training.run.objective import Mixed, Supervised
from downslope.training.run.task import build_task

TASK = """
import numpy as np
def images():
    draw = np.random.default_rng(0)
    return draw.random((40, 3, 12, 10), dtype=np.float32), np.arange(40) % 3
def squares():
    draw = np.random.default_rng(0)
    return draw.random((40, 1, 12, 12), dtype=np.float32) * 3 - 1, np.arange(40) % 3
def maps():
    draw = np.random.default_rng(0)
    return draw.random((40, 3, 12, 10), dtype=np.float32), draw.integers(0, 3, (40, 12, 10))
def tokens():
    return np.ones((40, 5)), np.arange(40) % 3
"""
ALL = "crop = 2, flip = true, trivial = true, jitter = 0.3, erase = 0.4, cutout = 2, mixup = 0.4, cutmix = 1.0"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder with a module of images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    Path("image_task.py").write_text(TASK, encoding="utf-8")


def recipe(augment=ALL, *, data="images", normalize='"measured"', train="steps = 12", options="channels = [4, 8]"):
    """Return a recipe that changes its images."""
    return parse_recipe(
        f'[data]\nname = "image_task:{data}"\nbatch_size = 8\n'
        + (f"normalize = {normalize}\n" if normalize else "")
        + (f"augment = {{ {augment} }}\n" if augment else "")
        + f'[model]\nname = "convnet"\noptions = {{ {options} }}\n[sgd]\nlr = 0.05\nmomentum = 0.9\n[train]\n{train}\n'
        + "[checkpoint]\nevery_seconds = 0.0\n"
    )


def augmenter(augment, **more):
    """Return the augmenter of a recipe, and its data."""
    made = recipe(augment, **more)
    data = load_data(made)
    return Augmenter(made.data.augment, data, made.train.loss, made.seed), data


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path, monkeypatch):
    """Every kind of change at once: the bits of the weights, and of the log. Nothing is measured once more."""
    whole, _ = run(recipe(), tmp_path / "whole")
    run(recipe(), tmp_path / "stopped", at=5)
    monkeypatch.delattr("downslope.training.augmenting.augment.measure_channels")
    again, _ = run(recipe(), tmp_path / "stopped")
    assert whole.finished
    assert again.finished
    for name in ("model.safetensors", "log.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()


def test_a_run_of_an_earlier_version_goes_on():
    """A change that its recipe could not have named is one that it has not, and no change of the recipe."""
    asked = recipe("crop = 2, flip = true")
    then = plain_recipe(asked)
    del then["data"]["augment"]["cutout"]
    assert plan._changes(plan._settled(then, asked), plain_recipe(asked)) == {}


def test_an_example_is_changed_alike_in_any_batch():
    """Its changes are a function of seed, epoch and index: not of the batch or its place; another epoch's differ."""
    change, data = augmenter("crop = 2, flip = true, erase = 0.4")
    inputs = data.train_inputs
    order = torch.randperm(len(inputs))
    whole = change.change(inputs, torch.arange(len(inputs)), 3)
    parts = [change.change(inputs[part], part, 3) for part in order.split(5)]
    assert torch.equal(torch.cat(parts), whole[order])
    assert not torch.equal(change.change(inputs, torch.arange(len(inputs)), 4), whole)


def test_one_more_change_moves_no_other():
    """With flips added, the windows stay where they were."""
    alone, data = augmenter("crop = 2")
    more, _ = augmenter("crop = 2, flip = true")
    every = torch.arange(len(data.train_inputs))
    first, second = (change.change(data.train_inputs, every, 0) for change in (alone, more))
    same = (first == second).flatten(1).all(1) | (first.flip(-1) == second).flatten(1).all(1)
    assert same.all()


def test_mixed_targets_are_mixed_losses():
    """The loss of mixed targets is that of the mixed probabilities, which torch computes from floats."""
    change, data = augmenter("mixup = 0.5", normalize=None)
    leaf = Batches(count=len(data.train_inputs), batch_size=8, accumulate=1, shards=1, seed=0).leaves(0)[0]
    inputs, targets = data.take(leaf.examples)
    images, mixed = change(leaf, inputs, targets, 0)
    assert isinstance(mixed, Mixed)
    partner = [
        int(row)
        for row in ((inputs[None] * (1 - mixed.share) - (images - mixed.share * inputs)[:, None]) ** 2)
        .flatten(2)
        .sum(2)
        .argmin(1)
    ]
    assert torch.equal(mixed.others, targets[partner])
    logits = torch.randn(8, 3)
    model = torch.nn.Identity()
    found = Supervised(build_loss("cross_entropy"), 3).answer(model, logits, mixed, step=0).loss
    shares = mixed.share * functional.one_hot(mixed.targets, 3) + (1 - mixed.share) * functional.one_hot(
        mixed.others, 3
    )
    assert found.item() == pytest.approx(functional.cross_entropy(logits, shares).item(), rel=1e-6)


@pytest.mark.parametrize("flat", [False, True])
def test_cutmix_mixes_labels_by_area(flat):
    """The share is the part of the places that are the first image's; of an image laid out flat as well."""
    change, examples = augmenter("cutmix = 1.0", normalize=None)
    if flat:
        grey = examples.train_inputs[:, 0].flatten(1)
        examples = replace(examples, train_inputs=grey, image_shape=(12, 10))
        change = Augmenter(recipe("cutmix = 1.0").data.augment, examples, "cross_entropy", 0)
    batches = Batches(count=len(examples.train_inputs), batch_size=8, accumulate=1, shards=1, seed=0)
    shares = []
    for step in range(6):
        leaf = batches.leaves(step)[0]
        inputs, targets = examples.take(leaf.examples)
        images, mixed = change(leaf, inputs, targets, step)
        same = (images == inputs).reshape(len(inputs), -1, 120).all(1)
        assert same.float().mean(1).min().item() == pytest.approx(mixed.share, abs=1e-6)
        shares.append(mixed.share)
    assert min(shares) < 0.95


def test_cutmix_after_windows_of_another_size():
    """The box lies in the windows that a step learns from."""
    change, examples = augmenter("resized_crop = [0.3, 1.0], size = 8, cutmix = 1.0", normalize=None, data="squares")
    leaf = Batches(count=len(examples.train_inputs), batch_size=8, accumulate=1, shards=1, seed=0).leaves(0)[0]
    inputs, targets = examples.take(leaf.examples)
    images, mixed = change(leaf, inputs, targets, 0)
    assert images.shape == (8, 1, 8, 8)
    windows = change.change(inputs, leaf.examples, leaf.epoch)
    assert (images == windows).float().mean((1, 2, 3)).min().item() == pytest.approx(mixed.share, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_drawn_from_beta(alpha):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)), as the distribution has."""
    stream = np.random.Philox(key=1)
    drawn = np.array([draw_beta(stream, alpha) for _ in range(4000)])
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_measured_channels_are_numpys():
    """Mean and deviation over all places of all images to learn from."""
    data = load_data(recipe())
    mean, deviation = measure_channels(data)
    images = data.train_inputs.double().numpy()
    assert np.allclose(mean, images.mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(deviation, images.std((0, 2, 3)), rtol=1e-12)


def test_the_model_normalizes_by_itself(tmp_path, capsys):
    """Its weights hold mean and deviation: evaluate needs no data to measure, and the numbers are right."""
    given = recipe("", normalize="{ mean = [0.5, 0.25, 0], deviation = [2, 0.5, 1] }")
    data = load_data(given)
    model = build_model(given, data)
    plain = build_model(recipe("", normalize=None), data)
    by_hand = (data.train_inputs - torch.tensor([0.5, 0.25, 0.0])[:, None, None]) / torch.tensor([2, 0.5, 1.0])[
        :, None, None
    ]
    assert torch.allclose(model(data.train_inputs), plain(by_hand), atol=1e-6)
    assert {"input_mean", "input_deviation"} <= set(model.state_dict())
    run(recipe(""), tmp_path / "run")
    np.savez("held_out.npz", inputs=data.held_out_inputs.numpy(), targets=data.held_out_targets.numpy())
    words = ["evaluate", tmp_path / "run", "--json"]
    before, gone = json.loads(succeed(words, capsys)), Path("image_task.py")
    gone.unlink()
    after = json.loads(succeed([*words, "--input", "held_out.npz", "--trust"], capsys))
    assert (after["loss"], after["accuracy"]) == (before["loss"], before["accuracy"])


def test_evaluation_sees_the_middle():
    """With a size, a step sees windows of it; evaluation, and whoever gives whole images, the middle one."""
    made = recipe("resized_crop = [0.2, 1.0], size = 8", data="squares", normalize=None)
    task = build_task(made)
    model, inputs = task.state.model, task.dataset.train_inputs
    leaf = task.batches.leaves(0)[0]
    images, _ = task.augment(leaf, *task.dataset.take(leaf.examples), 0)
    assert images.shape == (8, 1, 8, 8)
    assert torch.equal(model(inputs), model(inputs[:, :, 2:10, 2:10]))
    model.eval()
    assert torch.equal(model(inputs), model(inputs[:, :, 2:10, 2:10]))


def test_label_smoothing_is_torchs_and_evaluations_are_without(tmp_path):
    """The loss of a step is smoothed; the held-out loss is not."""
    made = recipe("", train="steps = 1\nlabel_smoothing = 0.2")
    objective = build_task(made).objective
    logits, targets = torch.randn(6, 3), torch.arange(6) % 3
    model = torch.nn.Identity()
    smooth = functional.cross_entropy(logits, targets, label_smoothing=0.2)
    assert objective.answer(model, logits, targets, step=0).loss == smooth
    assert objective.answer(model, logits, targets, step=None).loss == functional.cross_entropy(logits, targets)


def test_losses_of_numbers_by_hand():
    """Errors 0.5 and 3: squared, absolute, and Huber's."""
    outputs, targets = torch.tensor([0.5, 4.0]), torch.tensor([0.0, 1.0])
    assert build_loss("mse")(outputs, targets) == (0.25 + 9) / 2
    assert build_loss("mae")(outputs, targets) == 3.5 / 2
    assert build_loss("huber")(outputs, targets) == (0.125 + 2.5) / 2


@pytest.mark.parametrize(
    ("augment", "more", "message"),
    [
        ("flip = true", {"data": "tokens", "normalize": None}, "changes images, (channels, height, width)"),
        ("jitter = 0.4", {"data": "squares"}, "these go from -"),
        ("resized_crop = [0.1, 1.0], size = 20", {}, "at most the side of an image"),
        ("mixup = 0.2", {"train": 'steps = 1\nclass_weights = "balanced"'}, "without class weights"),
        ("flip = true", {"normalize": "{ mean = [0, 0], deviation = [1, 1] }"}, "has 2 means"),
    ],
)
def test_what_the_data_do_not_allow(augment, more, message, capsys):
    """Each says what is wrong, and what to do."""
    with pytest.raises(DataError, match="data") as caught:
        build_task(recipe(augment, **more))
    assert message in str(caught.value)


def test_a_class_for_each_place_is_refused():
    """A model of one's own may learn it; flipped images without flipped targets would be wrong examples."""
    with pytest.raises(DataError, match="places of the image that would have to move with it"):
        augmenter("flip = true", data="maps")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.augment.jitter", "2"], "`jitter` must be in [0, 1]"),
        (["--data.augment.crop", "-1"], "`crop` must be >= 0"),
        (["--data.augment", "{ crop = 4, resized_crop = [0.1, 1] }"], "both take a window"),
        (["--data.augment.size", "24"], "`size` is what `resized_crop` gives"),
        (["--data.augment.resized_crop", "[1, 0.5]"], "two parts of an image's area"),
        (["--data.augment.flop", "true"], "Did you mean `flip`"),
        (["--data.normalize", "{ mean = [0] }"], "a table of a mean and a deviation"),
        (["--data.normalize", "{ mean = [0], deviation = [0] }"], "deviations above 0"),
        (["--train.label_smoothing", "1"], "must be in [0, 1)"),
        (["--train.label_smoothing", "0.1", "--train.loss", "mse"], '`label_smoothing` is for loss = "cross_entropy"'),
    ],
)
def test_what_a_recipe_does_not_allow(words, message, capsys):
    """By the command line, before anything is read."""
    assert message in fail(["train", *words], capsys)


def test_outputs_are_averaged_over_mirror_images_in_evaluation_alone():
    """The mean of both outputs, after crop and scaling, and flat images mirrored as images; training is as without."""

    def both(one):
        none = replace(one, data=replace(one.data, augment=replace(one.data.augment, tta=None)))
        data = load_data(one)
        return data.train_inputs[:5], build_model(one, data), build_model(none, data)

    window = 'tta = "flip", resized_crop = [0.5, 1.0], size = 8'
    images, averaging, plain = both(recipe(window, options="channels = [8]"))
    assert torch.equal(averaging(images), plain(images))  # in training mode
    averaging.eval()
    plain.eval()
    assert torch.allclose(averaging(images), (plain(images) + plain(images.flip(-1))) / 2, atol=1e-6)
    assert not torch.allclose(averaging(images), plain(images), atol=1e-4)
    digits = parse_recipe('[data]\naugment = { tta = "flip" }\n[sgd]\nlr = 0.1\n[train]\nsteps = 1\n')
    flat, averaging, plain = both(digits)
    mirrored = flat.reshape(5, 8, 8).flip(-1).reshape(5, 64)
    assert torch.equal(averaging.eval()(flat), (plain.eval()(flat) + plain(mirrored)) / 2)


def test_a_run_is_held_out_with_its_average_and_trained_as_without(capsys):
    """The same weights; the log's held-out numbers are those that evaluate gives, and --tta none takes it away."""
    averaged, _ = run(recipe('flip = true, tta = "flip"'), Path("with"))
    plain, _ = run(recipe("flip = true"), Path("without"))
    assert Path("with/model.safetensors").read_bytes() == Path("without/model.safetensors").read_bytes()
    expected = [averaged.held_out["loss"], averaged.held_out["loss"], plain.held_out["loss"], plain.held_out["loss"]]
    assert expected[0] != expected[2]
    found = [
        json.loads(succeed(["evaluate", *words, "--json"], capsys))["loss"]
        for words in (["with"], ["without", "--tta", "flip"], ["with", "--tta", "none"], ["without"])
    ]
    assert found == expected
    first = json.loads(succeed(["predict", "without", "--tta", "flip", "--json"], capsys))["predictions"]
    assert first == json.loads(succeed(["predict", "with", "--json"], capsys))["predictions"]


@pytest.mark.parametrize(
    ("data", "said"),
    [("maps", "places of the image that would have to move"), ("tokens", "an example of data.name")],
)
def test_what_has_no_mirror_image_is_refused(data, said):
    """Targets with places, and inputs that are no images."""
    seen = recipe('tta = "flip"', data=data, normalize="")
    with pytest.raises(DataError, match=rf"data.augment.tta.*{said}"):
        average_over_flips(torch.nn.Flatten(), load_data(seen))
