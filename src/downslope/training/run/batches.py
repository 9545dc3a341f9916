"""Which examples each step learns from: batches, accumulated batches, and the shards that every batch is split into.

A pure function of the seed and the step, so that a run resumes anywhere within an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from downslope.recipe.run_length import steps_in_epoch
from downslope.training.run.randomness import permutation

if TYPE_CHECKING:
    from downslope.training.run.sampling import ClassSampler

_POOL = 64
"""Batches whose examples are sorted together: enough to leave little padding, few enough to mix well."""


@dataclass(frozen=True)
class Leaf:
    """One shard of one batch: the smallest piece with a forward and backward pass of its own.

    Attributes:
        index: Its place among the leaves of the step; fixes its random numbers.
        examples: int64 indices into the training examples, shape (examples,).
        epoch: The epoch that it belongs to, 0-based.
        draws: Where examples are drawn with replacement, which of the epoch's draws each is, lest one that is drawn
            twice be augmented twice alike; None where each is learned from once.
    """

    index: int
    examples: torch.Tensor
    epoch: int = 0
    draws: torch.Tensor | None = None


class Batches:
    """The batches of a training run.

    The last batch of an epoch may be smaller, and the last step of an epoch may take fewer batches.

    Args:
        count: Number of training examples.
        batch_size: Examples per batch.
        accumulate: Batches per step.
        shards: Parts per batch.
        seed: The recipe's seed.
        sizes: How long each example is, int64 of shape (count,), so that batches are made of similar ones; None for
            examples of one size.
        sampler: Draws the examples of each epoch with replacement; None to take each once.

    Example:
        >>> batches = Batches(count=10, batch_size=4, accumulate=2, shards=2, seed=0)
        >>> batches.steps_per_epoch, [len(leaf.examples) for leaf in batches.leaves(0)]
        (2, [2, 2, 2, 2])
        >>> [(leaf.index, len(leaf.examples)) for leaf in batches.leaves(1)]
        [(0, 1), (1, 1)]
    """

    def __init__(
        self,
        *,
        count: int,
        batch_size: int,
        accumulate: int,
        shards: int,
        seed: int,
        sizes: Tensor | None = None,
        sampler: ClassSampler | None = None,
    ) -> None:
        """Take the numbers."""
        self._count = count
        self._batch_size = min(batch_size, count)  # an epoch holds no more, and torch counts in 64 bits
        self._accumulate = accumulate
        self._shards = shards
        self._seed = seed
        self._sizes = sizes
        self._sampler, self._drawn = sampler, torch.empty(0)
        self._epoch = -1
        self._of_epoch: tuple[Tensor, ...] = ()
        self.steps_per_epoch = steps_in_epoch(count, self._batch_size, accumulate)

    def epoch(self, step: int) -> int:
        """Return the 0-based epoch that a step belongs to."""
        return step // self.steps_per_epoch

    def leaves(self, step: int) -> list[Leaf]:
        """Return the leaves of a step, in order; shards that get no example are left out."""
        if self._sampler is None:
            return self._cut(step)
        return [Leaf(leaf.index, self._drawn[leaf.examples], leaf.epoch, leaf.examples) for leaf in self._cut(step)]

    def _cut(self, step: int) -> list[Leaf]:
        """Return the leaves; where examples are drawn, with the numbers of the draws."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._of_epoch = self._arrange(epoch).split(self._batch_size)  # once for all steps of the epoch
            self._epoch = epoch
        start = place * self._accumulate
        batches = self._of_epoch[start : start + self._accumulate]
        if self._shards == self._accumulate == 1:
            return [Leaf(0, batches[0], epoch)]
        if self._shards == 1:
            return [Leaf(index, batch, epoch) for index, batch in enumerate(batches)]
        return [
            Leaf(number * self._shards + shard, examples, epoch)
            for number, batch in enumerate(batches)
            for shard, examples in enumerate(batch.split(shard_sizes(len(batch), min(self._shards, len(batch)))))
        ]

    def _arrange(self, epoch: int) -> Tensor:
        """Return the order of an epoch's examples, or of its draws.

        Where sizes differ, the examples of every `_POOL` batches, in an order drawn by lot, are sorted by size and cut
        into batches, and all whole batches of the epoch are put in an order drawn by lot.
        """
        if self._sampler is not None:
            self._drawn = self._sampler.draw(epoch)
            return torch.arange(self._count)
        order = torch.from_numpy(permutation(self._seed, epoch, self._count))
        if self._sizes is None:
            return order
        pools = order.split(_POOL * self._batch_size)
        order = torch.cat([pool[self._sizes[pool].argsort(stable=True)] for pool in pools])
        whole = self._count // self._batch_size
        places = torch.from_numpy(permutation(self._seed, f"batches of epoch {epoch}", whole))
        batches = order[: whole * self._batch_size].view(whole, self._batch_size)[places]
        return torch.cat([batches.flatten(), order[whole * self._batch_size :]])


def shard_sizes(count: int, shards: int) -> list[int]:
    """Return how many examples each shard gets: as even as can be, the larger ones first.

    Example:
        >>> shard_sizes(10, 4)
        [3, 3, 2, 2]
    """
    whole, rest = divmod(count, shards)
    return [whole + (shard < rest) for shard in range(shards)]
