"""The gradient of one step: a forward and backward pass for each leaf, summed in a fixed tree.

What lives here: the mean gradient over all examples of a step. The sum's order depends on the number of leaves alone,
so that whichever process computes a leaf, the bits are the same. What does not: the tree (`tree_sum.py`), how several
processes share it (`parallel/`), and clipping and the update, which are the optimizer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from downslope.core.errors import DataError, DownslopeError
from downslope.torch.gradients import global_norm
from downslope.training.batches import Leaf
from downslope.training.buffers import StepBuffers
from downslope.training.data import Dataset
from downslope.training.imports import FAILURES, describe
from downslope.training.objective import Objective
from downslope.training.parallel.workers import ALONE, LeafNote, Workers
from downslope.training.randomness import reseed
from downslope.training.tree_sum import Terms, TreeSum

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class StepResult:
    """What a step's forward passes gave, kept as tensors so that only logged steps wait for them.

    Attributes:
        notes: One for each leaf, in order.
        norm: Norm of the step's mean gradient, if asked for and if there is more than one leaf.
    """

    notes: tuple[LeafNote, ...]
    norm: float | None = None

    @property
    def leaf_norms(self) -> list[tuple[int, float]]:
        """(terms of the loss, norm of the mean gradient) of each leaf, last of the step; empty if not asked for."""
        if self.norm is None or any(note.norm is None for note in self.notes):
            return []
        leaves = [(note.terms, note.norm) for note in self.notes if note.norm is not None]
        return [*leaves, (sum(note.terms for note in self.notes), self.norm)]

    def loss(self) -> float:
        """Return the mean loss over the step's examples."""
        return sum(note.weight * float(note.loss) for note in self.notes)

    def accuracy(self) -> float | None:
        """Return the fraction of right answers, or None where answers are not right or wrong."""
        correct = [int(note.correct) for note in self.notes if note.correct is not None]
        return sum(correct) / sum(note.targets for note in self.notes) if correct else None


def computing_in(precision: Precision) -> AbstractContextManager[Any]:
    """Within its ``with`` block, forward passes compute in this format where that is safe."""
    # An autocast that is switched off would cost a small model's step some hundredths of its time.
    return torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()


def compute_gradients(
    model: nn.Module,
    objective: Objective,
    dataset: Dataset,
    leaves: Sequence[Leaf],
    *,
    seed: int,
    step: int,
    precision: Precision = "float32",
    workers: Workers = ALONE,
    with_norms: bool = False,
) -> StepResult:
    """Put the mean gradient over a step's examples into each parameter's ``grad``.

    Args:
        model: In training mode, its gradients None.
        objective: What is learned.
        dataset: The data.
        leaves: The step's leaves, those of all workers.
        seed: The recipe's seed.
        step: Step, 0-based.
        precision: Format in which forward passes compute, where that is safe; "bfloat16" by torch's autocast.
        workers: Who shares the work; every one of them gets the same gradients.
        with_norms: Whether to measure the norm of each leaf's gradient.

    Returns:
        The step's loss and accuracy.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
        WorkersLostError: If another worker is lost.
    """
    places = workers.places(len(leaves))
    own = [leaves[place] for place in places]
    examples = [dataset.take(leaf.examples) for leaf in own]
    weights = [objective.weigh(targets) for _, targets in examples]
    add_up = workers.add_up(sum(weights))  # which travels while the first forward pass is computed
    summed = len(leaves) > 1 or workers.size > 1
    parameters = list(model.parameters()) if summed else []  # a walk through all modules
    buffers = StepBuffers(model) if summed else None
    tree = TreeSum(places.start)
    notes: list[LeafNote] = []
    for place, leaf, (inputs, targets), terms in zip(places, own, examples, weights, strict=True):
        reseed(seed, step, leaf.index)
        try:
            with computing_in(precision):
                answers = objective.answer(model, inputs, targets, step=step)
            weight = terms / add_up()
            (answers.loss if weight == 1 else answers.loss * weight).backward()
        except DownslopeError:
            if buffers is not None:
                buffers.restore()  # a worker may have been lost after a forward pass; what is saved then is whole
            raise
        except FAILURES as error:
            remedy = _single_example_remedy(error) if len(leaf.examples) == 1 else ""
            raise DataError(f"the model or its loss raised {describe(error)} at step {step}.{remedy}") from error
        grads = _take(parameters)
        norm = _norm(grads) / weight if with_norms and summed else None
        notes.append(LeafNote(weight, answers.loss.detach(), answers.correct, answers.targets, terms, norm))
        if buffers is not None:
            tree.add([*grads, *buffers.take(weight, last=place == len(leaves) - 1)])
    if buffers is None:
        return StepResult(tuple(notes))
    sums = workers.combine(tree, notes, buffers.changed, leaves=len(leaves), like=[*parameters, *model.buffers()])
    for parameter, grad in zip(parameters, sums.terms, strict=False):
        parameter.grad = grad
    buffers.put(sums.terms[len(parameters) :])
    norm = _norm([parameter.grad for parameter in parameters]) if with_norms else None
    return StepResult(sums.notes, norm)


def _take(parameters: Sequence[nn.Parameter]) -> Terms:
    """Return the gradients, leaving none behind."""
    grads = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return grads


def _norm(grads: Terms) -> float:
    return global_norm([grad for grad in grads if grad is not None])


def _single_example_remedy(error: BaseException) -> str:
    """Return what to do if torch's batch normalisation refused a shard of one example, else ""."""
    if "more than 1 value per channel" not in str(error):
        return ""
    return (
        " Batch normalisation needs more than the one example of this shard. Choose a data.batch_size that leaves no "
        "smaller rest at the end of an epoch, or fewer train.shards."
    )
