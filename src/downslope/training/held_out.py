"""How good a model is on examples: mean loss and accuracy.

What lives here: the measurement, in batches, with dropout and batch statistics off. What does not: what follows from
it (`patience.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.training.imports import FAILURES, describe
from downslope.training.losses import Loss, count_correct
from downslope.training.randomness import reseed

BATCH = 1024


def measure(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, *, classes: int | None, seed: int = 0, step: int = 0
) -> dict[str, float]:
    """Return a model's mean loss and, where there are classes, its accuracy.

    Args:
        model: The model; its mode is left as it was.
        loss: Mean over the examples it is given.
        inputs: Shape (examples, ...).
        targets: Shape (examples, ...).
        classes: Number of classes, or None.
        seed: The recipe's seed.
        step: Step; with the seed it fixes the random numbers of a model that draws some even here.

    Returns:
        "loss", and "accuracy" in [0, 1] where there are classes.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
    """
    training = model.training
    model.eval()
    reseed(seed, step, "evaluation")
    total, correct = 0.0, 0
    try:
        with torch.no_grad():
            for part, wanted in zip(inputs.split(BATCH), targets.split(BATCH), strict=True):
                outputs = model(part)
                total += float(loss(outputs, wanted)) * len(part)
                if classes is not None:
                    correct += int(count_correct(outputs, wanted))
    except DownslopeError:
        raise
    except FAILURES as error:
        raise DataError(f"the model or its loss raised {describe(error)} on the held-out examples.") from error
    finally:
        model.train(training)
    result = {"loss": total / len(inputs)}
    if classes is not None:
        result["accuracy"] = correct / targets.numel()
    return result
