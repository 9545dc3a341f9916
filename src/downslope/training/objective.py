"""What a run learns: a forward pass, its loss, and how good the answers are.

What lives here: the one interface through which training, evaluation and several processes meet a task, the choice of
the objective for a recipe's data, and the objective of classifiers and regressions. A task of another kind is one more
class like `Supervised`. What does not: the loss functions (`losses.py`) and the order of things (`gradients.py`,
`held_out.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.losses import Loss, build_loss, count_correct
from downslope.training.parallel.workers import ALONE, Workers

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe
    from downslope.training.data import Dataset


class Answers(NamedTuple):
    """What a forward pass over some examples gave, as tensors, so that only those who ask wait for them.

    Attributes:
        loss: Mean loss, a scalar with its graph.
        correct: Number of right answers, a 0-d tensor; None where answers are not right or wrong, or not counted.
        targets: Number of answers asked for.
    """

    loss: Tensor
    correct: Tensor | None
    targets: int


@dataclass(frozen=True, kw_only=True)
class LengthRates:
    """How good the answers to held-out inputs of one length are, or of a few lengths that follow one another.

    Attributes:
        shortest: The shortest length.
        longest: The longest one.
        longer: Whether they are longer than any that was learned from.
        examples: How many inputs are so long.
        rates: The metrics by which they are rated.
    """

    shortest: int
    longest: int
    longer: bool
    examples: int
    rates: Mapping[str, float]


@dataclass(frozen=True)
class Rates:
    """How good a model is on held-out examples.

    Attributes:
        metrics: By name, over all of them or over a part that the name tells.
        by_length: The same by the length of inputs, ascending; empty unless some are longer than any learned from.
    """

    metrics: dict[str, float] = field(default_factory=dict[str, float])
    by_length: tuple[LengthRates, ...] = ()


class Objective(ABC):
    """What a run learns."""

    @abstractmethod
    def weigh(self, targets: Tensor) -> int:
        """Return how many terms the mean loss of some examples is a mean of: their weight beside other examples.

        Args:
            targets: The targets of these examples.
        """

    @abstractmethod
    def answer(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, *, step: int | None, counts: bool = True
    ) -> Answers:
        """Return the loss, and right answers, of a forward pass.

        Args:
            model: In training or evaluation mode.
            inputs: Shape (examples, ...).
            targets: Shape (examples, ...).
            step: The step, 0-based, in training; None in evaluation.
            counts: Whether to count right answers, which takes a small model's step some hundredths of its time.

        Raises:
            DataError: If the model's outputs do not fit the targets.
        """

    def rate_held_out(self, model: nn.Module, workers: Workers = ALONE) -> Rates:
        """Return further metrics of the data's held-out examples; there are none unless a task has some.

        Args:
            model: In evaluation mode.
            workers: Who shares the work, each with the same model; every one of them gets the result.
        """
        return Rates()


class Supervised(Objective):
    """One loss between a model's outputs and targets of fixed shape: classification and regression.

    Args:
        loss: Mean over the examples it is given.
        classes: Number of classes, or None where targets are numbers.
    """

    def __init__(self, loss: Loss, classes: int | None) -> None:
        """Take the loss."""
        self._loss = loss
        self._classes = classes

    def weigh(self, targets: Tensor) -> int:
        """Return the number of examples."""
        return len(targets)

    def answer(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, *, step: int | None, counts: bool = True
    ) -> Answers:
        """Return the loss of ``model(inputs)`` and, where there are classes, how many have the largest logit."""
        outputs = model(inputs)
        loss = self._loss(outputs, targets)
        correct = count_correct(outputs, targets) if counts and self._classes is not None else None
        return Answers(loss, correct, targets.numel())


def build_objective(recipe: Recipe, dataset: Dataset) -> Objective:
    """Return what a recipe's run learns.

    Args:
        recipe: The recipe, its schedules in steps.
        dataset: Its data.

    Raises:
        DataError: If there is no such loss, or data, model and loss do not go together.
    """
    if dataset.sequences is not None:
        from downslope.training.sequences.objective import build_sequence_objective

        return build_sequence_objective(recipe, dataset)
    if recipe.train.teacher_forcing is not None:
        raise DataError(
            f"train.teacher_forcing is for data whose targets are sequences; data.name = {dataset.name!r} has none. "
            "Leave it out."
        )
    return Supervised(build_loss(recipe), dataset.classes)
