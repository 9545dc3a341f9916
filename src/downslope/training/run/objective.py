"""What a run learns: a forward pass, its loss, and how good the answers are.

`Objective` is the one interface through which training and evaluation meet it; `Supervised` is that of classifiers and
regressions. Another kind of learning is one more class like it.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from downslope.training.data.dataset import TOP
from downslope.training.device import in_float64
from downslope.training.run.losses import (
    Loss,
    beside_zero,
    check_classes,
    choose,
    count_correct,
    count_labels,
    cross_entropy,
    has_labels,
    logit_of_second,
)
from downslope.training.run.tallies import (
    among_first,
    summarise_classes,
    summarise_labels,
    tally_classes,
    tally_labels,
)
from downslope.training.user_code import FAILURES
from downslope.training.workers.workers import ALONE, Workers


class Answers(NamedTuple):
    """What a forward pass over some examples gave, as tensors, so that only those who ask wait for them.

    Attributes:
        loss: Mean loss, a scalar with its graph.
        correct: Number of right answers, a 0-d tensor; None where answers are not right or wrong, or not counted.
        targets: Number of answers asked for; a 0-d tensor where a device tells it.
        nonfinite: In evaluation, how many of them are no finite numbers, a 0-d tensor.
        errors: In evaluation, where answers are numbers: sums over the examples of squared and of absolute errors,
            float64 of shape (2, numbers of one example).
        tallies: In evaluation, where there are classes or labels: right answers, answers and examples of each, int64 of
            shape (3, classes), flat; and behind them one more count, as the objective knows.
        outputs: In evaluation, what the model returned; one logit of two classes as two of them.
    """

    loss: Tensor
    correct: Tensor | None
    targets: int | Tensor
    nonfinite: Tensor | None = None
    errors: Tensor | None = None
    tallies: Tensor | None = None
    outputs: Tensor | None = None


class Mixed(NamedTuple):
    """Targets of examples that are mixed from two.

    Attributes:
        targets: Those of the first, as `Objective.answer` takes them.
        others: Those of the second.
        share: How much of an example is the first, in [0, 1].
    """

    targets: Tensor
    others: Tensor
    share: float


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
        outputs: What the model returned, where it was asked for.
        asked: How many answers were asked for.
        by_class: As `list_rates` gives them; empty where there are neither classes nor labels.
    """

    metrics: dict[str, float] = field(default_factory=dict[str, float])
    by_length: tuple[LengthRates, ...] = ()
    outputs: Tensor | None = None
    asked: int = 0
    by_class: dict[str, list[float | None]] = field(default_factory=dict[str, "list[float | None]"])


class Objective(ABC):
    """What a run learns."""

    @abstractmethod
    def weigh(self, targets: Tensor) -> int:
        """Return how many terms the mean loss of some examples is a mean of: their weight beside other examples."""

    def prepare(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return some examples, on the host, as `answer` takes them."""
        return inputs, targets

    @abstractmethod
    def answer(
        self, model: nn.Module, inputs: Tensor, targets: Tensor | Mixed, *, step: int | None, counts: bool = True
    ) -> Answers:
        """Return the loss, and right answers, of a forward pass.

        Args:
            model: In training or evaluation mode.
            inputs: Shape (examples, ...).
            targets: Shape (examples, ...); of mixed examples those of both, and the right answer is the first's.
            step: The step, 0-based, in training; None in evaluation.
            counts: Whether to count right answers, which takes a small model's step some hundredths of its time.

        Raises:
            DataError: If the model's outputs do not fit the targets.
        """

    def losses(self, outputs: Tensor, targets: Tensor) -> list[float]:
        """Return the loss of each example by itself, as evaluation measures it; none where it cannot be told so.

        Args:
            outputs: What the model returned, on the host.
            targets: Those of the same examples.
        """
        return []

    def rate_held_out(self, model: nn.Module, workers: Workers = ALONE) -> Rates:
        """Return further metrics of the data's held-out examples; there are none unless a task has some.

        Args:
            model: In evaluation mode.
            workers: The workers, each with the same model; every one of them gets the result.
        """
        return Rates()

    def rate_errors(self, errors: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the metrics of answers that are numbers; there are none unless a task has some.

        Args:
            errors: The sum of `Answers.errors` over all examples.
            targets: Those of all examples.
        """
        return {}

    def rate_tallies(self, tallies: Tensor, asked: int) -> dict[str, float]:
        """Return the further metrics of classes or labels; there are none unless a task has some.

        Args:
            tallies: The sum of `Answers.tallies` over all examples.
            asked: How many answers were asked for.
        """
        return {}


class Supervised(Objective):
    """One loss between a model's outputs and targets of fixed shape: classification and regression.

    Args:
        loss: Mean over the examples it is given.
        classes: Number of classes, or None where targets are numbers or labels.
        labels: Number of labels of which an example may have several or none; 0 where there are none.
        one_logit: Whether one logit tells two classes.
        margin: How far above 0 a logit must be for a yes, of labels and of two classes by one logit.
        class_weights: What an example of each class counts in the mean; None where all count alike, and of labels.
        held_out_loss: What evaluation measures; None for the same.
        unit: What one of the targets' units is in the target's own; None where outputs are not to be the targets.
    """

    def __init__(
        self,
        loss: Loss,
        classes: int | None,
        *,
        labels: int = 0,
        one_logit: bool = False,
        margin: float = 0.0,
        class_weights: Sequence[float] | None = None,
        held_out_loss: Loss | None = None,
        unit: float | None = None,
    ) -> None:
        """Take the loss."""
        self._loss, self._held_out_loss = loss, held_out_loss or loss
        self._classes, self._labels, self._one_logit, self._margin = classes, labels, one_logit, margin
        self._is_cross_entropy = getattr(loss, "func", loss) is cross_entropy
        self._unit = unit
        self._shares = None if class_weights is None else torch.tensor(whole_shares(class_weights))

    def weigh(self, targets: Tensor) -> int:
        """Return the number of examples, or where classes have weights the sum of theirs, in a small unit.

        As whole numbers they add up to the same sum in any order, whoever adds them. Weighted by it, the loss of a step
        is sum(w l) / sum(w) over all of its examples, as torch's ``CrossEntropyLoss(weight=...)`` would give for all of
        them at once, however many leaves the step has.
        """
        return len(targets) if self._shares is None else int(self._shares[targets].sum())

    def answer(
        self, model: nn.Module, inputs: Tensor, targets: Tensor | Mixed, *, step: int | None, counts: bool = True
    ) -> Answers:
        """Return the loss of ``model(inputs)`` and, where there are classes, how many have the largest logit."""
        outputs = model(inputs)
        host = (targets.targets if isinstance(targets, Mixed) else targets).is_cpu
        if not host and self._classes is not None and not self._one_logit:
            check_classes(outputs, self._classes)
        measure = self._held_out_loss if step is None else self._loss
        if isinstance(targets, Mixed):
            share, others = targets.share, targets.others
            targets = targets.targets
            loss = share * measure(outputs, targets) + (1 - share) * measure(outputs, others)
        else:
            loss = measure(outputs, targets)
        if self._one_logit:
            outputs = beside_zero(logit_of_second(outputs, targets))
        correct = None
        if counts:
            correct = self._count_correct(outputs, targets, loss if host and self._is_cross_entropy else None)
        found = Answers(loss, correct, targets.numel())
        return found if step is not None or not isinstance(outputs, Tensor) else self._look_at(found, outputs, targets)

    def _count_correct(self, outputs: Tensor, targets: Tensor, loss: Tensor | None) -> Tensor | None:
        if self._labels:
            return count_labels(outputs, targets, self._margin)
        return None if self._classes is None else count_correct(outputs, targets, loss, margin=self._margin)

    def _look_at(self, found: Answers, outputs: Tensor, targets: Tensor) -> Answers:
        if self._classes is not None:
            return self._look_at_classes(found, outputs, targets)
        if self._labels:
            yes, answered = has_labels(outputs, self._margin)
            exact = ((yes == (targets > 0.5)) & answered).all(1).sum()
            tallies = torch.cat([tally_labels(targets, yes, answered).flatten(), exact[None]])
            return found._replace(nonfinite=torch.count_nonzero(~answered), tallies=tallies, outputs=outputs)
        nonfinite = torch.count_nonzero(~torch.isfinite(outputs))
        if self._unit is None or outputs.shape != targets.shape:
            return found._replace(nonfinite=nonfinite, outputs=outputs)
        errors = (in_float64(outputs) - in_float64(targets)).reshape(len(targets), -1)
        sums = torch.stack([errors.square().sum(0), errors.abs().sum(0)])
        return found._replace(nonfinite=nonfinite, errors=sums, outputs=outputs)

    def losses(self, outputs: Tensor, targets: Tensor) -> list[float]:
        """Return the loss of each example by itself; none where a loss of a person's own takes no single example."""
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if len(targets) > _FEW:  # of fewer it would take longer to load
                try:
                    return torch.vmap(self._held_out_loss)(outputs.unsqueeze(1), targets.unsqueeze(1)).tolist()
                except FAILURES:  # it may choose by numbers, or draw some: one by one, then
                    pass
            try:
                pairs = zip(outputs.split(1), targets.split(1), strict=True)
                return [float(self._held_out_loss(one, target)) for one, target in pairs]
            except FAILURES:
                return []

    def _look_at_classes(self, found: Answers, outputs: Tensor, targets: Tensor) -> Answers:
        chosen, answered = choose(outputs, margin=self._margin)
        classes = max(self._classes or 0, outputs.shape[1])  # a model of one's own may have more
        first = answered & among_first(outputs, targets, TOP) if classes > TOP else answered
        tallies = torch.cat([tally_classes(targets, chosen, answered, classes).flatten(), first.sum()[None]])
        return found._replace(nonfinite=torch.count_nonzero(~answered), tallies=tallies, outputs=outputs)

    def rate_tallies(self, tallies: Tensor, asked: int) -> dict[str, float]:
        """Return what `summarise_classes` or `summarise_labels` does, and what the last count tells.

        It is how many right classes are among the five with the largest logits, told where there are more, or how many
        examples have all labels right.
        """
        counts, last = tallies[:-1].reshape(3, -1), int(tallies[-1])
        if self._labels:
            return summarise_labels(counts) | {"exact_match": last * self._labels / asked}
        top = {"top5_accuracy": last / asked} if self._classes is not None and self._classes > TOP else {}
        return top | summarise_classes(counts)

    def rate_errors(self, errors: Tensor, targets: Tensor) -> dict[str, float]:
        """Return "rmse" and "mae" in the target's own unit, and "r2": the part of the variance that is explained.

        R2 is 1 - squared errors / squared distances from the mean of these targets; of several numbers an example it is
        the mean over them, as scikit-learn's is. It is left out where one of them is the same in every example.
        """
        numbers = targets.double().reshape(len(targets), -1)
        squared, absolute = errors
        unit = self._unit or 1.0
        found = {
            "rmse": unit * math.sqrt(float(squared.sum()) / numbers.numel()),
            "mae": unit * float(absolute.sum()) / numbers.numel(),
        }
        if bool((numbers.amin(0) < numbers.amax(0)).all()):
            spread = (numbers - numbers.mean(0)).square().sum(0)
            found["r2"] = float((1 - squared / spread).mean())
        return found


_FEW = 256
"""Up to so many examples of a batch, losses are computed one by one."""

_FINEST = 2**40
"""Into how many parts the largest class weight is cut. Eight million examples a step still add up in 64 bits."""


def whole_shares(weights: Sequence[float]) -> list[int]:
    """Return whole numbers in the proportion of weights, the largest `_FINEST`.

    Example:
        >>> [share / 2**40 for share in whole_shares([2.0, 0.5])]
        [1.0, 0.25]
    """
    return [max(round(weight / max(weights) * _FINEST), 1) for weight in weights]
