"""Class weights: torch's weighted mean over all of a step's examples, however they are split; refused where wrong."""

import pytest
import torch
from training_runs import tiny

from downslope.core.errors import DownslopeError
from downslope.training.data import load_data
from downslope.training.run.class_weights import weigh_classes
from downslope.training.run.gradients import compute_gradients
from downslope.training.run.held_out import measure
from downslope.training.run.plan import plan_run
from downslope.training.run.task import build_objective, build_task
from downslope.training.run.train import train
from downslope.training.view.console import QuietConsole

WEIGHTS = [3.0, 0.125, 1.0]


@pytest.mark.parametrize(("accumulate", "shards"), [(1, 1), (1, 5), (4, 1), (2, 3), (1, 28)])
def test_a_step_is_torchs_weighted_mean_of_all_its_examples(accumulate, shards):
    """sum(w l) / sum(w) over the whole step, as CrossEntropyLoss(weight=) of one batch: loss and gradients."""
    recipe = tiny(
        data__batch_size=str(28 // accumulate),
        train__accumulate=str(accumulate),
        train__shards=str(shards),
        train__class_weights=str(WEIGHTS),
    )
    task = build_task(recipe)
    model, data = task.state.model.double(), task.dataset
    object.__setattr__(data, "train_inputs", data.train_inputs.double())
    leaves = task.batches.leaves(0)
    found = compute_gradients(model, task.objective, data, leaves, seed=0, step=0)
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    examples = torch.cat([leaf.examples for leaf in leaves])
    assert len(examples) == 28
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS).double())
    expected = loss(model(data.train_inputs[examples]), data.train_targets[examples])
    expected.backward()
    assert found.loss() == pytest.approx(expected.item(), rel=1e-11)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-13)
    held = measure(model, task.objective, data.held_out_inputs.double(), data.held_out_targets).metrics["loss"]
    assert held == pytest.approx(loss(model(data.held_out_inputs.double()), data.held_out_targets).item(), rel=1e-12)


def test_balanced_weights_even_the_classes_out():
    """n / (classes * examples of the class), of the examples to learn from."""
    recipe = tiny(train__class_weights='"balanced"')
    data = load_data(recipe)
    counts = [data.train_targets.tolist().count(label) for label in range(3)]
    assert len(set(counts)) > 1
    assert weigh_classes(recipe.train, data).class_weights == pytest.approx(
        [40 / (3 * count) for count in counts], rel=1e-15
    )
    assert weigh_classes(tiny().train, data) is data


@pytest.mark.parametrize(
    ("weights", "changes", "message"),
    [
        ("[1, 2]", {}, "must hold a weight for each of 3 classes, in their order; got 2."),
        ("{ 0 = 1, 1 = 2 }", {}, "lacks `2`. Give a weight for each class."),
        ("{ 0 = 1, 1 = 2, 2 = 3, cat = 1 }", {}, "there is no class 'cat'."),
        ("[1, 2, 0]", {}, "`class_weights` must be above 0 and finite; got 0.0."),
        ("[1, 2, inf]", {}, "`class_weights` must be above 0 and finite; got inf."),
        ("[1, 2, 1e-20]", {}, "the largest at most 1e9 times the smallest"),
        ("[]", {}, "must hold a weight for each class; got none."),
        ('"even"', {}, "`class_weights` must be `balanced` or a list in which each is a number or a table"),
        (
            '"balanced"',
            {"train__loss": '"training_tasks:sometimes_infinite"'},
            "a loss of your own weighs its examples itself",
        ),
    ],
)
def test_weights_that_fit_no_classes_are_refused(weights, changes, message):
    """Each with what is allowed."""
    with pytest.raises(DownslopeError) as refused:
        build_task(tiny(train__class_weights=weights, **changes))
    assert message in str(refused.value)


def test_a_weight_by_name_is_that_in_order():
    """A table by the names of classes, in any order, is the list in the order of the classes."""
    by_name = build_task(tiny(train__class_weights="{ 2 = 1, 0 = 3, 1 = 0.125 }"))
    assert by_name.dataset.class_weights == tuple(WEIGHTS)


def test_a_resumed_run_has_the_weights_and_their_bits(tmp_path, monkeypatch):
    """Stopped after two steps and resumed: the weights of an uninterrupted run; other class weights are refused."""
    monkeypatch.setattr("downslope.training.run.train._write_report", lambda *_: None)
    recipe = tiny(train__class_weights='"balanced"', train__shards="2")
    straight = tmp_path / "straight"
    train(plan_run(recipe, name="x", out=straight), recipe, QuietConsole())
    stopped = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("downslope.training.run.train.Trainer.finished", property(lambda self: self.step >= 2))
        patch.setattr("downslope.training.run.train.Trainer._finish", lambda self: None)
        train(plan_run(recipe, name="x", out=stopped), recipe, QuietConsole())
    train(plan_run(recipe, name="x", out=stopped), recipe, QuietConsole())
    assert (stopped / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()
    assert (stopped / "inputs.json").read_bytes() == (straight / "inputs.json").read_bytes()
    plain = tiny(train__shards="2")
    with pytest.raises(DownslopeError, match=r"train\.class_weights balanced -> off"):
        plan_run(plain, name="x", out=stopped)
    train(plan_run(plain, name="y", out=tmp_path / "plain"), plain, QuietConsole())
    assert (tmp_path / "plain" / "model.safetensors").read_bytes() != (straight / "model.safetensors").read_bytes()


def test_shares_add_up_in_any_order():
    """Whole numbers: the weight of a step is the same whichever worker adds which part of it."""
    recipe = tiny(train__class_weights="[0.1, 0.7, 1e-9]")
    data = weigh_classes(recipe.train, load_data(recipe))
    objective, targets = build_objective(recipe, data), data.train_targets
    parts = [objective.weigh(part) for part in targets.split(3)]
    assert sum(parts) == sum(reversed(parts)) == objective.weigh(targets)
    assert all(isinstance(part, int) and part > 0 for part in parts)
