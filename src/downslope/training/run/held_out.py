"""How good a model is on examples: mean loss and accuracy, with dropout and batch statistics off.

A batch is the same whichever worker measures it, and batches are added up in their order, so that the number of
workers changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.training.data.rows import Inputs, batches_of, rows_at_once
from downslope.training.device import HOST, Copied, Copier, device_of, is_channels_last, is_host
from downslope.training.run.objective import Answers, Objective, Rates
from downslope.training.run.randomness import reseed
from downslope.training.run.remarks import NONFINITE
from downslope.training.run.tallies import list_rates
from downslope.training.user_code import FAILURES, describe
from downslope.training.workers.workers import ALONE, Workers


def measure(
    model: nn.Module,
    objective: Objective,
    inputs: Inputs,
    targets: Tensor,
    *,
    seed: int = 0,
    step: int = 0,
    workers: Workers = ALONE,
    keep_outputs: bool = False,
) -> Rates:
    """Return how good a model is: its mean loss and, where answers are right or wrong, its accuracy.

    Args:
        model: The model; its mode is left as it was.
        objective: What it has learned.
        inputs: Shape (examples, ...).
        targets: Shape (examples, ...).
        seed: The recipe's seed.
        step: Step; with the seed it fixes the random numbers of a model that draws some even here.
        workers: The workers, each with the same model; every one of them gets the result.
        keep_outputs: Whether to return what the model returned, where it is a tensor; for a worker that is alone.

    Returns:
        As metrics "loss", "accuracy" in [0, 1] where answers are right or wrong, and the objective's further ones, as
        `recipe.measures` names them;
        `NONFINITE` where some answers are no finite numbers; and, where the objective has them, those by the length of
        inputs.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
        WorkersLostError: If another worker is lost.
    """
    modes = [(module, module.training) for module in model.modules()]  # a frozen part is in evaluation always
    model.eval()
    targets_of = targets.split(rows_at_once(inputs))
    places = workers.indices(len(targets_of))
    feed = _Feed(model, objective)
    found: list[tuple[Answers, int]] = []
    outputs: list[Tensor] = []
    try:
        with torch.no_grad():
            for place, batch in feed.take(inputs, targets_of, places):
                reseed(seed, step, f"evaluation {place}", device=feed.device)
                answers = objective.answer(model, *batch, step=None)
                if keep_outputs and answers.outputs is not None:
                    outputs.append(answers.outputs)
                found.append((answers._replace(outputs=None), objective.weigh(targets_of[place])))
            own = [as_numbers(answers, terms) for answers, terms in found]  # only now is a device waited for
            reseed(seed, step, "evaluation", device=feed.device)
            rates = objective.rate_held_out(model, workers)
    except DownslopeError:
        raise
    except FAILURES as error:
        raise DataError(f"the model or its loss raised {describe(error)} on the held-out examples.") from error
    finally:
        for module, training in modes:
            module.training = training
    tally = Tally()
    for one in chain.from_iterable(workers.gather(own)):
        tally.add(one)
    metrics = tally.metrics(objective, targets) | rates.metrics
    kept = torch.cat(outputs).cpu() if outputs else None
    return Rates(metrics, rates.by_length, kept, tally.asked, tally.by_class())


_Measured = tuple[float, int, "int | None", int, int, "list[list[float]] | None", "list[int] | None"]
"""Of one batch: mean loss, how many terms it is a mean of, right answers or None, answers asked for, how many of them
are no finite numbers, sums of squared and absolute errors or None, and tallies of classes or None."""


class Tally:
    """What is counted of batch after batch; in the same order they give the same bits."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.asked = 0
        self._total, self._weight, self._correct, self._nonfinite, self._batches = 0.0, 0, 0, 0, 0
        self._counts = True
        self._sums: Tensor | None = None
        self._summed = 0
        self._tallies: Tensor | None = None
        self._tallied = 0

    def add(self, measured: _Measured) -> None:
        """Count a batch."""
        loss, terms, right, asked, nonfinite, errors, tallies = measured
        self._batches += 1
        self._total += loss * terms
        self._weight += terms
        self.asked += asked
        self._nonfinite += nonfinite
        self._counts = self._counts and right is not None
        self._correct += right or 0
        if errors is not None:
            sums = torch.tensor(errors, dtype=torch.float64)
            self._sums = sums if self._sums is None else self._sums + sums
            self._summed += 1
        if tallies is not None:
            counts = torch.tensor(tallies)
            self._tallies = counts if self._tallies is None else self._tallies + counts
            self._tallied += 1

    def metrics(self, objective: Objective, targets: Tensor) -> dict[str, float]:
        """Return the means over all batches, whose targets these are."""
        result = {"loss": self._total / self._weight}
        if self._counts:
            result["accuracy"] = self._correct / self.asked
        if self._sums is not None and self._summed == self._batches:
            result |= objective.rate_errors(self._sums, targets)
        if self._tallies is not None and self._tallied == self._batches:
            result |= objective.rate_tallies(self._tallies, self.asked)
        if self._nonfinite:
            result[NONFINITE] = self._nonfinite
        return result

    def by_class(self) -> dict[str, list[float | None]]:
        """Return the rates of each class or label; empty where there are none."""
        if self._tallies is None or self._tallied < self._batches:
            return {}
        return list_rates(self._tallies[:-1].reshape(3, -1))


class _Feed:
    """Held-out batches where the model is; on a device, the next one on its way while one is measured."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        device = device_of(model)
        self.device = HOST if is_host(device) else device
        self._objective = objective
        self._copier, self._channels_last = Copier(self.device), is_channels_last(model)

    def take(
        self, inputs: Inputs, targets: Sequence[Tensor], places: Sequence[int]
    ) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """Yield the inputs and targets of the batches at these places."""
        last: tuple[int, Copied] | None = None
        for place, batch in zip(places, batches_of(inputs, places), strict=True):
            begun = place, self._begin(batch, targets[place])
            if is_host(self.device):
                yield place, begun[1].take()
                continue
            if last is not None:
                yield last[0], last[1].take()
            last = begun
        if last is not None:
            yield last[0], last[1].take()

    def _begin(self, inputs: Tensor, targets: Tensor) -> Copied:
        return self._copier.begin(self._objective.prepare(inputs, targets), channels_last=self._channels_last)


def as_numbers(answers: Answers, weight: int) -> _Measured:
    """Return what is counted of a batch; a device is waited for."""
    correct = None if answers.correct is None else int(answers.correct)
    nonfinite = 0 if answers.nonfinite is None else int(answers.nonfinite)
    errors = None if answers.errors is None else answers.errors.tolist()
    tallies = None if answers.tallies is None else answers.tallies.tolist()
    return float(answers.loss), weight, correct, int(answers.targets), nonfinite, errors, tallies
