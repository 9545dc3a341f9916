"""Examples drawn by class: as often as was asked, by seed and epoch alone, whoever reads them and whenever killed."""

import numpy as np
import pytest
import torch
from training_runs import fingerprints, run, tiny

from downslope.comparing import compare
from downslope.core.errors import DownslopeError
from downslope.exporting import export
from downslope.recipe.load import parse_recipe
from downslope.training.augmenting.augment import Augmenter
from downslope.training.run.batches import Batches
from downslope.training.run.sampling import ClassSampler
from downslope.training.run.task import build_task

RARE = torch.tensor([0] * 90 + [1] * 9 + [2])


def shares(weights, epochs=100):
    """Return how large a part of all draws of some epochs each class has."""
    sampler = ClassSampler(RARE, weights, seed=1)
    return torch.cat([RARE[sampler.draw(epoch)] for epoch in range(epochs)]).bincount(minlength=3) / (100 * epochs)


def test_classes_are_drawn_as_often_as_was_asked():
    """Probability of an example as its class's weight: within four standard errors of 10,000 draws."""
    for weights, wanted in (([1 / 90, 1 / 9, 1.0], [1 / 3] * 3), ([1.0, 1.0, 1.0], [0.9, 0.09, 0.01])):
        expected = torch.tensor(wanted)
        error = (expected * (1 - expected) / 10_000).sqrt()
        assert ((shares(weights) - expected).abs() < 4 * error).all()
    only = ClassSampler(RARE, [1e-9, 1e-9, 1.0], seed=0).draw(0)
    assert (RARE[only] == 2).float().mean() > 0.99


def test_each_example_of_a_class_is_as_likely():
    """The first and the last of nine too: the statistic of chi squared with eight degrees of freedom is below 26."""
    sampler = ClassSampler(RARE, [1.0, 100.0, 1.0], seed=0)
    drawn = torch.cat([sampler.draw(epoch) for epoch in range(50)])
    counts = drawn.bincount(minlength=100)[90:99].double()
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 26


def test_an_epoch_is_its_draws_in_order():
    """Whatever batches and shards cut it, an epoch's examples are those that seed and epoch say; epochs differ."""
    sampler = ClassSampler(RARE, [1.0, 1.0, 1.0], seed=3)
    kinds = [(10, 1, 1), (30, 1, 4), (25, 2, 3)]
    for batch_size, accumulate, shards in kinds:
        batches = Batches(
            count=100, batch_size=batch_size, accumulate=accumulate, shards=shards, seed=3, sampler=sampler
        )
        for epoch in (1, 0):
            steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
            leaves = [leaf for step in steps for leaf in batches.leaves(step)]
            assert torch.equal(torch.cat([leaf.examples for leaf in leaves]), sampler.draw(epoch))
            assert torch.equal(torch.cat([leaf.draws for leaf in leaves]), torch.arange(100))
    assert not torch.equal(sampler.draw(0), sampler.draw(1))


@pytest.mark.parametrize("data", ["training_tasks:blobs", "lazy_datasets:Listed"])
def test_a_killed_run_has_the_same_bits(data, tmp_path):
    """Data in memory, and items that a loader reads: killed at step 7 and resumed, weights and log are the same."""
    options = {"data__name": f'"{data}"', "data__sampling": '"balanced"', "train__shards": "2"}
    run(tiny(**options), tmp_path / "straight")
    more = {"data__loaders": "1"} if data.startswith("lazy") else {}
    run(tiny(**options, **more), tmp_path / "killed", at=7, how="crash")
    run(tiny(**options, **more), tmp_path / "killed")
    assert fingerprints(tmp_path / "killed") == fingerprints(tmp_path / "straight")
    run(tiny(data__name=f'"{data}"', train__shards="2"), tmp_path / "each once")
    assert fingerprints(tmp_path / "each once") != fingerprints(tmp_path / "straight")


def test_an_example_drawn_twice_is_augmented_twice():
    """By the number of its draw, not by its own: two draws of one image in an epoch differ."""
    recipe = parse_recipe(
        '[data]\nname = "digits"\nsampling = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1e8]\naugment = { crop = 2 }\n'
        '[model]\nname = "mlp"\n[sgd]\nlr = 0.1\n[train]\nsteps = 1\n'
    )
    task = build_task(recipe)
    leaf = task.batches.leaves(0)[0]
    inputs, targets = task.dataset.take(leaf.examples)
    assert isinstance(task.augment, Augmenter)
    changed, _ = task.augment(leaf, inputs, targets, 0)
    places = {}
    for place, example in enumerate(leaf.examples.tolist()):
        places.setdefault(example, []).append(place)
    twice = next(both for both in places.values() if len(both) > 1)
    assert len({changed[place].numpy().tobytes() for place in twice}) > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__sampling": "[1, 2]"}, "must hold a weight for each of 3 classes, in their order; got 2."),
        ({"data__sampling": "[1, 0, 1]"}, "`sampling` must be above 0 and finite; got 0.0."),
        ({"data__sampling": "{ 0 = 1, 1 = 2, cat = 1 }"}, "data.sampling: there is no class 'cat'."),
        ({"data__sampling": '"even"'}, "`sampling` must be `balanced` or a list in which each is a number or a table"),
        (
            {"data__sampling": '"balanced"', "train__class_weights": '"balanced"'},
            "`data.sampling` and `train.class_weights` both make rare classes count for more",
        ),
        (
            {"data__sampling": '"balanced"', "data__name": '"training_tasks:line"', "train__loss": '"mse"'},
            "draws by class, and data.name = 'training_tasks:line' does not tell: these have not one class an example",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_by_class_is_refused(changes, message):
    """Each with what is allowed."""
    with pytest.raises(DownslopeError) as refused:
        build_task(tiny(**changes))
    assert message in str(refused.value)


def test_compared_and_exported():
    """What no update rule knows is said: two recipes that draw otherwise, and a program that does not."""
    text = '[data]\nname = "digits"\n{}[sgd]\nlr = 0.1\n[train]\nepochs = 1\n'
    plain, drawn = parse_recipe(text.format("")), parse_recipe(text.format('sampling = "balanced"\n'))
    assert any("data.sampling" in remark for remark in compare(plain, drawn).remarks)
    assert "draws examples by class, with replacement" in export(drawn, to="torch", with_model=True)
    assert np.isfinite(len(export(drawn, to="torch")))
