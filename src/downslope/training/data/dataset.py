"""Examples in memory: what every data set becomes, whatever it was read from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch

from downslope.training.sequences.symbols import Sequences, lengths, trim

if TYPE_CHECKING:
    from downslope.recipes.schema import Metric

PARTS = ("train_inputs", "train_targets", "held_out_inputs", "held_out_targets")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A person's own examples.

    Attributes:
        inputs: Shape (examples, ...).
        names: What to call each example; empty if they are counted.
        targets: The targets of those that have one, as the loss takes them; None where the file has no place for them.
        known: Which examples these are: int64 indices that ascend, shape (targets,).
        target_name: What the file calls them.
    """

    inputs: torch.Tensor
    names: Sequence[str] = ()
    targets: torch.Tensor | None = None
    known: torch.Tensor | None = None
    target_name: str = ""

    def first(self, count: int | None) -> Examples:
        """Return the first so many of them; all if count is None."""
        if count is None:
            return self
        known = None if self.known is None else self.known[self.known < count]
        targets = None if self.targets is None or known is None else self.targets[: len(known)]
        return replace(self, inputs=self.inputs[:count], names=self.names[:count], targets=targets, known=known)


class ExampleReader(Protocol):
    """Reads a person's own examples from a file, with the preprocessing that the training examples had."""

    def __call__(self, given: str | Path) -> Examples:
        """Return the examples of a file.

        Args:
            given: The file or folder, as a person wrote it.

        Raises:
            DataError: If it cannot be read, or does not fit the data.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples to learn from and examples held out, in memory.

    Attributes:
        name: The recipe's `data.name`.
        train_inputs: Shape (examples, ...).
        train_targets: Shape (examples, ...): int64 class indices, or floating-point numbers.
        held_out_inputs: As train_inputs.
        held_out_targets: As train_targets.
        classes: Number of classes, or None where targets are numbers.
        sequences: Symbols and right answers where inputs and targets are sequences, padded with 0; otherwise None.
        image_shape: (height, width) if an input is an image of one channel, flat or not; otherwise None.
        class_names: What each class is called, by index; empty where classes have no names.
        reader: How a file of further examples becomes inputs, where arrays of inputs are not what a person has.
        target_scale: (mean, standard deviation) by which targets that are numbers were standardised.
        notes: What a person should know of how they were read.
    """

    name: str
    train_inputs: torch.Tensor = field(repr=False)
    train_targets: torch.Tensor = field(repr=False)
    held_out_inputs: torch.Tensor = field(repr=False)
    held_out_targets: torch.Tensor = field(repr=False)
    classes: int | None = None
    image_shape: tuple[int, int] | None = None
    sequences: Sequences | None = field(default=None, repr=False)
    class_names: tuple[str, ...] = ()
    reader: ExampleReader | None = field(default=None, repr=False, compare=False)
    target_scale: tuple[float, float] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def take(self, examples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the inputs and targets of some training examples; sequences as long as the longest of these.

        Args:
            examples: int64 indices, shape (n,).
        """
        # index_select copies rows; indexing by a tensor is general, and takes two to four times as long
        inputs, targets = self.train_inputs.index_select(0, examples), self.train_targets.index_select(0, examples)
        return (inputs, targets) if self.sequences is None else (trim(inputs), trim(targets))

    def sizes(self) -> torch.Tensor | None:
        """Return how long each training example is, where they differ: int64 of shape (examples,); otherwise None.

        A batch of similar examples has little padding. Inputs decide, and among equal ones targets.
        """
        if self.sequences is None:
            return None
        widest = self.train_targets.shape[1] + 1
        return lengths(self.train_inputs) * widest + lengths(self.train_targets)

    def metrics(self) -> tuple[Metric, ...]:
        """Return what an evaluation on these data gives, the most telling one first."""
        if self.sequences is not None:
            return (*cast("tuple[Metric, Metric]", self.sequences.rates), "accuracy", "loss")
        return ("loss",) if self.classes is None else ("accuracy", "loss")

    def fingerprint(self) -> str:
        """Return a checksum of all examples, by which a resumed run knows that its data are still the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in PARTS:
            tensor: torch.Tensor = getattr(self, part)
            digest.update(f"{part} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        if self.sequences is not None:
            digest.update(repr(self.sequences).encode())
        if self.class_names or self.target_scale is not None:
            digest.update(f"{self.class_names} {self.target_scale}".encode())
        return digest.hexdigest()


def take_held_out(dataset: Dataset, count: int | None) -> Examples:
    """Return held-out examples, the first so many; all if count is None."""
    inputs, targets = dataset.held_out_inputs[:count], dataset.held_out_targets[:count]
    return Examples(inputs=inputs, targets=targets, known=torch.arange(len(inputs)))
