"""The batches of a run where they are computed: on the host as they are, on a device copied there ahead of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from downslope.training.data import Dataset
from downslope.training.device import HOST, Copied, Copier, is_host
from downslope.training.run.batches import Leaf
from downslope.training.run.objective import Objective


class Fed(NamedTuple):
    """The examples of a leaf.

    Attributes:
        inputs: Shape (examples, ...), on the device.
        targets: Shape (examples, ...), on the device.
        terms: How many terms their mean loss is a mean of.
    """

    inputs: Tensor
    targets: Tensor
    terms: int


class Feed:
    """Examples of a data set by leaf, on the device that computes.

    Args:
        dataset: The data, on the host.
        objective: What is learned, which tells the weight of examples.
        copier: Copies to the device.
        channels_last: Whether images are to be in the order that convolutions read fastest.
    """

    def __init__(
        self, dataset: Dataset, objective: Objective, copier: Copier | None = None, *, channels_last: bool = False
    ) -> None:
        """Begin with nothing under way."""
        self._dataset, self._objective = dataset, objective
        self._copier = Copier(HOST) if copier is None else copier
        self._channels_last = channels_last
        self._is_plain = is_host(self._copier.device) and not channels_last
        self._coming: dict[tuple[int, int], tuple[Copied, int]] = {}

    def begin(self, step: int, leaves: Sequence[Leaf]) -> None:
        """Begin to copy the leaves of a step that comes next; on the host there is nothing to begin."""
        if not self._is_plain:
            self._coming = {(step, leaf.index): self._begin(leaf) for leaf in leaves}

    def take(self, step: int, leaf: Leaf) -> Fed:
        """Return the examples of a leaf."""
        if self._is_plain:
            inputs, targets = self._dataset.take(leaf.examples, leaf.epoch)
            return Fed(inputs, targets, self._objective.weigh(targets))
        copied, terms = self._coming.pop((step, leaf.index), None) or self._begin(leaf)
        inputs, targets = copied.take()
        return Fed(inputs, targets, terms)

    def _begin(self, leaf: Leaf) -> tuple[Copied, int]:
        dataset, copier = self._dataset, self._copier
        held = dataset.train_inputs
        if type(dataset) is Dataset and dataset.sequences is None and isinstance(held, Tensor):
            inputs, targets = (copier.rows(part, leaf.examples) for part in (held, dataset.train_targets))
        else:
            inputs, targets = dataset.take(leaf.examples, leaf.epoch)
        terms = self._objective.weigh(targets)  # told on the host, so that nothing waits for the device
        return copier.begin((inputs, targets), channels_last=self._channels_last), terms
