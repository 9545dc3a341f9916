"""Examples in memory: what every data set becomes, whatever it was read from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch

PARTS = ("train_inputs", "train_targets", "held_out_inputs", "held_out_targets")


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
        image_shape: (height, width) if an input is an image laid out flat, for drawing; otherwise None.
    """

    name: str
    train_inputs: torch.Tensor = field(repr=False)
    train_targets: torch.Tensor = field(repr=False)
    held_out_inputs: torch.Tensor = field(repr=False)
    held_out_targets: torch.Tensor = field(repr=False)
    classes: int | None = None
    image_shape: tuple[int, int] | None = None

    def take(self, examples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the inputs and targets of some training examples.

        Args:
            examples: int64 indices, shape (n,).
        """
        # index_select copies rows; indexing by a tensor is general, and takes two to four times as long
        return self.train_inputs.index_select(0, examples), self.train_targets.index_select(0, examples)

    def fingerprint(self) -> str:
        """Return a checksum of all examples, by which a resumed run knows that its data are still the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in PARTS:
            tensor: torch.Tensor = getattr(self, part)
            digest.update(f"{part} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()
