"""The gradient of one step: a forward and backward pass for each leaf, summed in a fixed tree.

What lives here: the mean gradient over all examples of a step. The sum's order depends on the number of leaves alone,
so that whichever process computes a leaf, the bits are the same. What does not: clipping and the update, which are the
optimizer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.torch.gradients import global_norm
from downslope.training.batches import Leaf
from downslope.training.data import Dataset
from downslope.training.imports import FAILURES, describe
from downslope.training.objective import Objective
from downslope.training.randomness import reseed

Gradients = list["Tensor | None"]


@dataclass(frozen=True)
class StepResult:
    """What a step's forward passes gave, kept as tensors so that only logged steps wait for them.

    Attributes:
        losses: (weight, mean loss) of each leaf; the weights sum to 1.
        correct: Number of right answers of each leaf; empty where targets are no classes.
        targets: Number of targets of the step.
        leaf_norms: (terms of the loss, norm of its mean gradient) of each leaf and, last, of the whole step; empty
            unless asked for, or if there is one leaf only.
    """

    losses: tuple[tuple[float, Tensor], ...]
    correct: tuple[Tensor, ...]
    targets: int
    leaf_norms: tuple[tuple[int, float], ...] = ()

    def loss(self) -> float:
        """Return the mean loss over the step's examples."""
        return sum(weight * float(loss) for weight, loss in self.losses)

    def accuracy(self) -> float | None:
        """Return the fraction of right answers, or None where targets are no classes."""
        return sum(int(correct) for correct in self.correct) / self.targets if self.correct else None


def compute_gradients(
    model: nn.Module,
    objective: Objective,
    dataset: Dataset,
    leaves: Sequence[Leaf],
    *,
    seed: int,
    step: int,
    with_norms: bool = False,
) -> StepResult:
    """Put the mean gradient over a step's examples into each parameter's ``grad``.

    Args:
        model: In training mode, its gradients None.
        objective: What is learned.
        dataset: The data.
        leaves: The step's leaves.
        seed: The recipe's seed.
        step: Step, 0-based.
        with_norms: Whether to measure the norm of each leaf's gradient.

    Returns:
        The step's loss and accuracy.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
    """
    parameters = list(model.parameters()) if len(leaves) > 1 else []  # a walk through all modules
    examples = [dataset.take(leaf.examples) for leaf in leaves]
    weights = [objective.weigh(targets) for _, targets in examples]
    total = sum(weights)
    tree = TreeSum()
    losses: list[tuple[float, Tensor]] = []
    correct: list[Tensor] = []
    targets_seen = 0
    norms: list[tuple[int, float]] = []
    for leaf, (inputs, targets), terms in zip(leaves, examples, weights, strict=True):
        weight = terms / total
        reseed(seed, step, leaf.index)
        try:
            answers = objective.answer(model, inputs, targets, step=step)
            (answers.loss if weight == 1 else answers.loss * weight).backward()
        except DownslopeError:
            raise
        except FAILURES as error:
            remedy = _single_example_remedy(error) if len(leaf.examples) == 1 else ""
            raise DataError(f"the model or its loss raised {describe(error)} at step {step}.{remedy}") from error
        losses.append((weight, answers.loss.detach()))
        if answers.correct is not None:
            correct.append(answers.correct)
        targets_seen += answers.targets
        if len(leaves) > 1:
            grads = _take(parameters)
            if with_norms:
                norms.append((terms, _norm(grads) / weight))
            tree.add(grads)
    if len(leaves) > 1:
        for parameter, grad in zip(parameters, tree.total(), strict=True):
            parameter.grad = grad
    if norms:
        norms.append((total, _norm([parameter.grad for parameter in parameters])))
    return StepResult(tuple(losses), tuple(correct), targets_seen, tuple(norms))


class TreeSum:
    """A sum in a binary tree that is fixed by the number of terms, holding log2 of them at a time.

    Like a binary counter: two subtrees of equal size are added as soon as both are there.

    Example:
        >>> import torch
        >>> tree = TreeSum()
        >>> for value in (1.0, 2.0, 3.0):
        ...     tree.add([torch.tensor(value)])
        >>> tree.total()
        [tensor(6.)]
    """

    def __init__(self) -> None:
        """Start empty."""
        self._subtrees: list[tuple[int, Gradients]] = []

    def add(self, gradients: Gradients) -> None:
        """Add a term; its tensors may be written to.

        Args:
            gradients: One tensor, or None for zero, for each parameter.
        """
        size = 1
        while self._subtrees and self._subtrees[-1][0] == size:
            _, left = self._subtrees.pop()
            gradients = _sum(left, gradients)
            size *= 2
        self._subtrees.append((size, gradients))

    def total(self) -> Gradients:
        """Return the sum, and start anew. There must be at least one term."""
        _, total = self._subtrees.pop()
        while self._subtrees:
            _, left = self._subtrees.pop()
            total = _sum(left, total)
        return total


def _take(parameters: Sequence[nn.Parameter]) -> Gradients:
    """Return the gradients, leaving none behind."""
    grads = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return grads


def _norm(grads: Gradients) -> float:
    return global_norm([grad for grad in grads if grad is not None])


def _single_example_remedy(error: BaseException) -> str:
    """Return what to do if torch's batch normalisation refused a shard of one example, else ""."""
    if "more than 1 value per channel" not in str(error):
        return ""
    return (
        " Batch normalisation needs more than the one example of this shard. Choose a data.batch_size that leaves no "
        "smaller rest at the end of an epoch, or fewer train.shards."
    )


def _sum(left: Gradients, right: Gradients) -> Gradients:
    return [b if a is None else (a if b is None else a.add_(b)) for a, b in zip(left, right, strict=True)]
