"""How good a model is on examples: mean loss and accuracy, with dropout and batch statistics off.

A batch is the same whichever worker measures it, and batches are added up in their order, so that the number of
workers changes no bit.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.training.data.rows import Inputs, batches_of, rows_at_once
from downslope.training.run.objective import Objective, Rates
from downslope.training.run.randomness import reseed
from downslope.training.run.remarks import NONFINITE
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
        As metrics "loss", "accuracy" in [0, 1] where answers are right or wrong, and the objective's further ones;
        `NONFINITE` where some answers are no finite numbers; and, where the objective has them, those by the length of
        inputs.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
        WorkersLostError: If another worker is lost.
    """
    training = model.training
    model.eval()
    targets_of = targets.split(rows_at_once(inputs))
    places = workers.indices(len(targets_of))
    own: list[_Measured] = []
    outputs: list[Tensor] = []
    try:
        with torch.no_grad():
            for place, batch in zip(places, batches_of(inputs, places), strict=True):
                reseed(seed, step, f"evaluation {place}")
                measured, returned = _measure_batch(model, objective, batch, targets_of[place])
                own.append(measured)
                if keep_outputs and returned is not None:
                    outputs.append(returned)
            reseed(seed, step, "evaluation")
            rates = objective.rate_held_out(model, workers)
    except DownslopeError:
        raise
    except FAILURES as error:
        raise DataError(f"the model or its loss raised {describe(error)} on the held-out examples.") from error
    finally:
        model.train(training)
    total, weight, correct, asked, nonfinite = 0.0, 0, 0, 0, 0
    counts = True
    errors: list[list[list[float]]] = []
    for loss, terms, right, of, bad, wrong_by in chain.from_iterable(workers.gather(own)):
        total += loss * terms
        weight += terms
        asked += of
        nonfinite += bad
        counts = counts and right is not None
        correct += right or 0
        errors += [] if wrong_by is None else [wrong_by]
    result = {"loss": total / weight}
    if counts:
        result["accuracy"] = correct / asked
    if len(errors) == len(targets_of):
        sums = [torch.tensor(one, dtype=torch.float64) for one in errors]
        result |= objective.rate_errors(sum(sums[1:], sums[0]), targets)
    if nonfinite:
        result[NONFINITE] = nonfinite
    return Rates(result | rates.metrics, rates.by_length, torch.cat(outputs) if outputs else None, asked)


_Measured = tuple[float, int, "int | None", int, int, "list[list[float]] | None"]
"""Of one batch: mean loss, how many terms it is a mean of, right answers or None, answers asked for, how many of them
are no finite numbers, and sums of squared and absolute errors or None."""


def _measure_batch(
    model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor
) -> tuple[_Measured, Tensor | None]:
    answers = objective.answer(model, inputs, targets, step=None)
    correct = None if answers.correct is None else int(answers.correct)
    nonfinite = 0 if answers.nonfinite is None else int(answers.nonfinite)
    errors = None if answers.errors is None else answers.errors.tolist()
    weight = objective.weigh(targets)
    return (float(answers.loss), weight, correct, answers.targets, nonfinite, errors), answers.outputs
