import pytest
import torch
from sequence_runs import reverse

from downslope.training.data import load_data
from downslope.training.run.batches import Batches
from downslope.training.sequences.symbols import lengths

SIZES = torch.randint(3, 20, (1003,), generator=torch.Generator().manual_seed(0))


def make(sizes=SIZES, seed=0, **changes):
    """Return the batches of examples of these sizes."""
    return Batches(
        **{"count": len(SIZES), "batch_size": 16, "accumulate": 1, "shards": 1, "seed": seed, **changes}, sizes=sizes
    )


def padded(batches):
    """Return the places of an epoch's batches, each as wide as its longest example, over those that are no padding."""
    leaves = [leaf.examples for step in range(batches.steps_per_epoch) for leaf in batches.leaves(step)]
    return sum(len(rows) * int(SIZES[rows].max()) for rows in leaves) / int(SIZES.sum())


@pytest.mark.parametrize("changes", [{}, {"accumulate": 3}, {"shards": 4}, {"batch_size": 7}, {"batch_size": 5000}])
def test_each_example_comes_once_an_epoch(changes):
    """Whatever the batches, an epoch holds every example once, and only its last batch is smaller."""
    batches = make(**changes)
    for epoch in (0, 2):
        first = epoch * batches.steps_per_epoch
        steps = [batches.leaves(first + step) for step in range(batches.steps_per_epoch)]
        seen = torch.cat([leaf.examples for leaves in steps for leaf in leaves])
        assert torch.equal(seen.sort().values, torch.arange(len(SIZES)))


def test_the_order_is_a_function_of_seed_and_epoch():
    """Asked for in any order of steps, the same batches; another seed or epoch has others."""
    one, other = make(), make()
    backwards = [other.leaves(step)[0].examples for step in reversed(range(130))][::-1]
    forwards = [one.leaves(step)[0].examples for step in range(130)]
    assert all(map(torch.equal, forwards, backwards))
    assert not torch.equal(forwards[0], make(seed=1).leaves(0)[0].examples)
    assert not torch.equal(forwards[0], forwards[one.steps_per_epoch])


def test_little_is_padded():
    """Lengths from 3 to 19: batches of like length are padded by less than a twentieth, others by over a half."""
    assert padded(make()) < 1.05
    assert padded(make(sizes=None)) > 1.5


def test_long_and_short_batches_come_mixed():
    """Batches are not visited by length: the mean length of the first half of an epoch is near that of the second."""
    batches = make()
    means = [float(SIZES[batches.leaves(step)[0].examples].double().mean()) for step in range(batches.steps_per_epoch)]
    half = len(means) // 2
    assert abs(sum(means[:half]) / half - sum(means[half:]) / (len(means) - half)) < 2


@pytest.mark.parametrize("order", ["reverse", "sort"])
def test_rearranged_sequences_are_right_and_apart(order):
    """Each target is its input in that order; nothing held out is learned from; longer ones are only held out."""
    data = load_data(reverse(data__options__order=f'"{order}"'))
    for side in ("train", "held_out"):
        inputs, targets = getattr(data, f"{side}_inputs"), getattr(data, f"{side}_targets")
        for x, y in zip(inputs.tolist(), targets.tolist(), strict=True):
            word, answer = data.sequences.inputs.text(x), data.sequences.targets.text(y)
            assert answer == (word[::-1] if order == "reverse" else "".join(sorted(word)))
    learned = {tuple(row) for row in data.train_inputs.tolist()}
    width = data.train_inputs.shape[1]
    assert not learned & {tuple(row[:width]) for row in data.held_out_inputs.tolist() if not any(row[width:])}
    assert int(lengths(data.train_inputs).max()) <= 5 < int(lengths(data.held_out_inputs).max()) <= 7


def test_rearranged_sequences_come_from_the_seed():
    """The same seed gives the same data, another seed others."""
    assert load_data(reverse()).fingerprint() == load_data(reverse()).fingerprint()
    assert load_data(reverse()).fingerprint() != load_data(reverse(seed="1")).fingerprint()
