"""How good a model is on examples: mean loss and accuracy.

What lives here: the measurement, in batches, with dropout and batch statistics off. What does not: what follows from
it (`patience.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.training.imports import FAILURES, describe
from downslope.training.objective import Objective, Rates
from downslope.training.randomness import reseed

BATCH = 1024


def measure(
    model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor, *, seed: int = 0, step: int = 0
) -> dict[str, float]:
    """Return a model's mean loss and, where answers are right or wrong, its accuracy.

    Args:
        model: The model; its mode is left as it was.
        objective: What it has learned.
        inputs: Shape (examples, ...).
        targets: Shape (examples, ...).
        seed: The recipe's seed.
        step: Step; with the seed it fixes the random numbers of a model that draws some even here.

    Returns:
        "loss", "accuracy" in [0, 1] where answers are right or wrong, and the objective's further metrics.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
    """
    return measure_by_length(model, objective, inputs, targets, seed=seed, step=step).metrics


def measure_by_length(
    model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor, *, seed: int = 0, step: int = 0
) -> Rates:
    """Return what `measure` does and, where the objective has them, its metrics by the length of inputs.

    Args:
        model: As in `measure`.
        objective: As in `measure`.
        inputs: As in `measure`.
        targets: As in `measure`.
        seed: As in `measure`.
        step: As in `measure`.

    Raises:
        DataError: As in `measure`.
    """
    training = model.training
    model.eval()
    reseed(seed, step, "evaluation")
    total, weight, correct, asked = 0.0, 0, 0, 0
    counts = True
    try:
        with torch.no_grad():
            for part, wanted in zip(inputs.split(BATCH), targets.split(BATCH), strict=True):
                answers = objective.answer(model, part, wanted, step=None)
                terms = objective.weigh(wanted)
                total += float(answers.loss) * terms
                weight += terms
                asked += answers.targets
                if answers.correct is None:
                    counts = False
                else:
                    correct += int(answers.correct)
            rates = objective.rate_held_out(model)
    except DownslopeError:
        raise
    except FAILURES as error:
        raise DataError(f"the model or its loss raised {describe(error)} on the held-out examples.") from error
    finally:
        model.train(training)
    result = {"loss": total / weight}
    if counts:
        result["accuracy"] = correct / asked
    return Rates(result | rates.metrics, rates.by_length)
