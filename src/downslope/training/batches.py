"""Which examples each step learns from: batches, accumulated batches, and the shards every batch is split into.

What lives here: from a step to the indices of its leaves, as a pure function, so that a run resumes anywhere within an
epoch. What does not: gradients (`gradients.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from downslope.training.randomness import permutation


@dataclass(frozen=True)
class Leaf:
    """One shard of one batch: the smallest piece with a forward and backward pass of its own.

    Attributes:
        index: Its place among the leaves of the step; fixes its random numbers.
        examples: int64 indices into the training examples, shape (examples,).
    """

    index: int
    examples: torch.Tensor


class Batches:
    """The batches of a training run.

    The last batch of an epoch may be smaller, and the last step of an epoch may take fewer batches.

    Args:
        count: Number of training examples.
        batch_size: Examples per batch.
        accumulate: Batches per step.
        shards: Parts per batch.
        seed: The recipe's seed.

    Example:
        >>> batches = Batches(count=10, batch_size=4, accumulate=2, shards=2, seed=0)
        >>> batches.steps_per_epoch, [len(leaf.examples) for leaf in batches.leaves(0)]
        (2, [2, 2, 2, 2])
        >>> [(leaf.index, len(leaf.examples)) for leaf in batches.leaves(1)]
        [(0, 1), (1, 1)]
    """

    def __init__(self, *, count: int, batch_size: int, accumulate: int, shards: int, seed: int) -> None:
        """Take the numbers."""
        self._count = count
        self._batch_size = min(batch_size, count)  # an epoch holds no more, and torch counts in 64 bits
        self._accumulate = accumulate
        self._shards = shards
        self._seed = seed
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)
        batches = -(-count // self._batch_size)
        self.steps_per_epoch = -(-batches // accumulate)

    def epoch(self, step: int) -> int:
        """Return the 0-based epoch that a step belongs to."""
        return step // self.steps_per_epoch

    def leaves(self, step: int) -> list[Leaf]:
        """Return the leaves of a step, in order; shards that get no example are left out.

        Args:
            step: Step, 0-based.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = torch.from_numpy(permutation(self._seed, epoch, self._count))
            self._epoch = epoch
        size = self._batch_size
        start = place * self._accumulate * size
        step_examples = self._order[start : min(start + self._accumulate * size, self._count)]
        if self._shards == self._accumulate == 1:
            return [Leaf(0, step_examples)]
        batches = step_examples.split(size)
        if self._shards == 1:
            return [Leaf(index, batch) for index, batch in enumerate(batches)]
        return [
            Leaf(number * self._shards + shard, examples)
            for number, batch in enumerate(batches)
            for shard, examples in enumerate(batch.split(shard_sizes(len(batch), min(self._shards, len(batch)))))
        ]


def shard_sizes(count: int, shards: int) -> list[int]:
    """Return how many examples each shard gets: as even as can be, the larger ones first.

    Example:
        >>> shard_sizes(10, 4)
        [3, 3, 2, 2]
    """
    whole, rest = divmod(count, shards)
    return [whole + (shard < rest) for shard in range(shards)]
