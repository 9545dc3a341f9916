"""The first examples of a run, each as it is stored and as a step learns from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from downslope.recipe.schema import Recipe, settle
from downslope.training.data import Dataset, load_data
from downslope.training.run.class_weights import weigh_classes
from downslope.training.run.losses import build_loss
from downslope.training.run.objective import Mixed
from downslope.training.run.task import build_augmenter, build_batches, count_steps
from downslope.training.use.predict import restore_unit

COUNT = 16


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One example as training meets it.

    Attributes:
        step: The step that learns from it, from 1.
        index: Its place among the training examples, from 0.
        original: As it is stored.
        changed: As the step sees it.
        target: What it is, in words.
        also: What is mixed in, in words; "" for nothing.
        share: How much of it is the first, in [0, 1].
    """

    step: int
    index: int
    original: Tensor
    changed: Tensor
    target: str
    also: str = ""
    share: float = 1.0


def look_ahead(recipe: Recipe) -> tuple[Dataset, list[Seen]]:
    """Return a recipe's data, and the first examples that its run learns from, in order; fewer if it ends before.

    They are those of epoch 0, with the bits that a step on the CPU sees.

    Raises:
        DownslopeError: If the data cannot be had, or cannot be changed as the recipe says.
    """
    recipe = settle(recipe)
    build_loss(recipe.train.loss)
    dataset = weigh_classes(recipe.train, load_data(recipe))
    try:
        seen: list[Seen] = []
        for one in _in_order(recipe, dataset):
            seen.append(one)
            if len(seen) == COUNT:
                break
    finally:
        dataset.close()
    return dataset, seen


def _in_order(recipe: Recipe, dataset: Dataset) -> Iterator[Seen]:
    batches, augment = build_batches(recipe, dataset), build_augmenter(recipe, dataset)
    for step in range(min(batches.steps_per_epoch, count_steps(recipe.train, batches.steps_per_epoch))):
        for leaf in batches.leaves(step):
            inputs, targets = dataset.take(leaf.examples, leaf.epoch)
            changed, mixed = (inputs, targets) if augment is None else augment(leaf, inputs, targets, step)
            for place, index in enumerate(leaf.examples.tolist()):
                also = {}
                if isinstance(mixed, Mixed):
                    also = {"also": name_target(mixed.others[place], dataset), "share": mixed.share}
                yield Seen(
                    step=step + 1,
                    index=index,
                    original=inputs[place],
                    changed=changed[place],
                    target=name_target(targets[place], dataset),
                    **also,
                )


def name_target(target: Tensor, dataset: Dataset) -> str:
    """Return what a target says: the name of a class, a number in its own unit, symbols."""
    if dataset.sequences is not None:
        return dataset.sequences.targets.text(target.tolist())
    if dataset.classes is not None and target.ndim == 0:
        return dataset.class_names[int(target)] if dataset.class_names else str(int(target))
    if dataset.labels:
        return ", ".join(name for name, there in zip(dataset.labels, target.tolist(), strict=True) if there) or "none"
    values: Any = restore_unit(target, dataset).flatten().tolist()
    more = ", ..." if len(values) > 4 else ""
    return ", ".join(f"{value:.6g}" for value in values[:4]) + more


def is_image(dataset: Dataset) -> bool:
    """Return whether an input can be drawn: an image of one, three or four channels, laid out flat or not."""
    shape = dataset.train_inputs.shape[1:]
    numbers = dataset.train_inputs.dtype.is_floating_point or dataset.train_inputs.dtype == torch.uint8
    return numbers and ((len(shape) == 3 and shape[0] in {1, 3, 4}) or dataset.image_shape is not None)
