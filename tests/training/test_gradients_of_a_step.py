import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_runs import tiny

from downslope.training.run.batches import Batches
from downslope.training.run.counters import Patience
from downslope.training.run.gradients import TreeSum, compute_gradients
from downslope.training.run.task import build_task


def recursive(terms):
    """Return the sum in a binary tree, written the plain way: the largest power of two on the left."""
    if len(terms) == 1:
        return terms[0]
    left = 1
    while left * 2 < len(terms):
        left *= 2
    return recursive(terms[:left]) + recursive(terms[left:])


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40))
def test_the_streaming_sum_is_the_tree(values):
    """Bit for bit the recursive sum over the same tree."""
    terms = [torch.tensor(value, dtype=torch.float32) for value in values]
    expected = recursive(terms)
    tree = TreeSum()
    for term in terms:
        tree.add([term.clone(), None])
    assert torch.equal(tree.total()[0], expected)


@pytest.mark.parametrize(("accumulate", "shards"), [(1, 2), (1, 5), (2, 1), (4, 3), (1, 28)])
def test_pieces_give_the_gradient_of_the_whole(accumulate, shards):
    """Accumulated batches and shards, also uneven ones, against one big batch: loss and gradients within rounding."""
    whole, parts = (
        tiny(data__batch_size=str(size), train__accumulate=str(a), train__shards=str(s))
        for size, a, s in ((28, 1, 1), (28 // accumulate, accumulate, shards))
    )
    results = []
    for recipe in (whole, parts):
        task = build_task(recipe)
        model = task.state.model.double()
        data = task.dataset
        object.__setattr__(data, "train_inputs", data.train_inputs.double())
        for step in range(task.batches.steps_per_epoch):
            model.zero_grad()
            found = compute_gradients(model, task.objective, data, task.batches.leaves(step), seed=0, step=step)
            results.append((found.loss(), found.accuracy(), [p.grad for p in model.parameters()]))
    assert len(results) == 4
    for one, other in zip(results[:2], results[2:], strict=True):
        assert one[0] == pytest.approx(other[0], rel=1e-12)
        assert one[1] == other[1]
        for a, b in zip(one[2], other[2], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 4), st.integers(1, 6))
def test_an_epoch_visits_each_example_once(count, batch_size, accumulate, shards):
    """Whatever the sizes, and whichever step is asked for first."""
    batches = Batches(count=count, batch_size=batch_size, accumulate=accumulate, shards=shards, seed=1)
    steps = range(batches.steps_per_epoch, 2 * batches.steps_per_epoch)
    seen = [int(i) for step in reversed(steps) for leaf in batches.leaves(step) for i in leaf.examples]
    assert sorted(seen) == list(range(count))


def test_patience_counts():
    """An improvement of at least min_delta resets it, NaN never does, and accuracy goes the other way."""
    loss = Patience("loss", min_delta=0.1)
    assert [loss.observe(value, 0) for value in (1.0, 0.95, 0.89, float("nan"), 0.5)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    accuracy = Patience("accuracy")
    assert [accuracy.observe(value, 0) for value in (0.5, 0.5, 0.4, 0.6)] == [True, False, False, True]
    other = Patience("accuracy")
    other.load(accuracy.state())
    assert other == accuracy
