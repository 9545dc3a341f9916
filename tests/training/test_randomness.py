import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from downslope.training.run.randomness import derive_seed, permutation, reseed, reseed_example


def test_values_stay_what_they_are():
    """Runs of today must be resumable by versions of tomorrow: these numbers may never change."""
    assert derive_seed(0, "init") == 18154016173161350743
    assert permutation(0, 0, 5).tolist() == [1, 0, 3, 2, 4]


@given(st.integers(0, 2**70), st.integers(0, 10**6), st.integers(0, 200))
def test_an_order_visits_each_example_once(seed, epoch, count):
    """Whatever the seed, epoch and number of examples."""
    assert sorted(permutation(seed, epoch, count).tolist()) == list(range(count))


@given(
    st.lists(st.one_of(st.integers(), st.text()), max_size=4), st.lists(st.one_of(st.integers(), st.text()), max_size=4)
)
def test_different_purposes_have_different_seeds(one, other):
    """The encoding is unambiguous: 1 is not "1", and ("a", "b") is not ("ab",)."""
    assert (derive_seed(0, *one) == derive_seed(0, *other)) == (one == other)


def test_orders_differ_from_epoch_to_epoch():
    """And are evenly mixed: over many epochs, each example comes first about as often."""
    firsts = [int(permutation(3, epoch, 4)[0]) for epoch in range(4000)]
    assert all(900 < firsts.count(example) < 1100 for example in range(4))


def test_reseeding_covers_all_three_generators():
    """torch, NumPy and random repeat, and other shards draw other numbers."""

    def draw(*place):
        reseed(*place)
        return torch.rand(1).item(), float(np.random.rand()), random.random()

    assert draw(0, 1, 2) == draw(0, 1, 2)
    assert all(a != b for a, b in zip(draw(0, 1, 2), draw(0, 1, 3), strict=True))


def test_examples_are_seeded_by_all_that_they_are():
    """An item by its index, a batch by its indices; each time anew, whichever came before."""
    for purpose, epoch, indices in (
        ("train", 3, (17,)),
        ("train", 3, (1, 7)),
        ("batch", 0, (17,)),
        ("train", 3, (17,)),
    ):
        reseed_example(5, purpose, epoch, *indices)
        assert torch.initial_seed() == derive_seed(5, "example", purpose, epoch, *indices)


def test_many_shards_are_seeded_as_few():
    """Seeds that are kept and seeds that are not are those of the same function."""
    for shard in (0, 63, 64, 200):
        reseed(3, 130, shard)
        assert torch.default_generator.initial_seed() == derive_seed(3, "shard", 130, shard)
