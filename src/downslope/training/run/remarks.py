"""What a person should know of a run that ended without an error: sentences for the terminal and the page.

A run may end well for the computer and badly for its owner: most steps skipped, the learning rate at 0 for half of it,
an accuracy that guessing has, too. Each such thing is one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from downslope.core.errors import DivergenceError
from downslope.core.number_text import percent_text, short_text
from downslope.core.schedules import Schedule
from downslope.core.schedules.schedule import value_at
from downslope.recipe.schema import Recipe

NONFINITE = "nonfinite_outputs"
"""The metric that counts answers that are no finite numbers; there is none where there are none."""

_FEW = 0.01
"""Below this share of all steps, steps at lr 0 are no news: a warmup may begin with one."""


_ENOUGH = 20
"""Of fewer logged losses the end is not told from the noise."""


def remarks(
    recipe: Recipe,
    facts: Mapping[str, Any],
    *,
    steps: int,
    left_out: int,
    held_out: Mapping[str, float],
    losses: Sequence[float] = (),
) -> list[str]:
    """Return the sentences.

    Args:
        recipe: The run's.
        facts: What it wrote down at its start.
        steps: How many there were.
        left_out: How many of them were left out.
        held_out: The last evaluation.
        losses: The training losses, in the order of the steps; empty where they are not at hand.
    """
    data: Mapping[str, Any] = facts.get("data", {})
    lrs: list[float | Schedule] = []
    if per_epoch := facts.get("steps_per_epoch"):
        settings = recipe.in_steps(per_epoch)
        lrs = [settings.sgd.lr, *(group.lr for group in settings.groups if group.lr is not None)]
    by_chance = _by_chance(held_out, data.get("most_frequent"), data.get("held_out_examples"))
    found = [
        _large_batch(recipe, data.get("train_examples")),
        _left_out(left_out, steps),
        _standing_still(lrs, steps),
        diverged(held_out),
        _no_lower(recipe, losses),
        # where rare classes count for more, fewer right answers than that are what was asked for
        *([] if recipe.train.class_weights is not None or recipe.data.sampling is not None else [by_chance]),
        _no_better_than_the_mean(held_out),
    ]
    return [sentence for sentence in found if sentence]


def _large_batch(recipe: Recipe, examples: int | None) -> str:
    """Say that a step asked for more examples than there are: it had those of one epoch."""
    size, count = recipe.data.batch_size, recipe.train.accumulate
    if examples is None or size * count <= examples:
        return ""
    if count > 1:
        return (
            f"data.batch_size = {size:,}, times train.accumulate = {count:,}, is more than the {examples:,} training "
            "examples: every step was an epoch"
        )
    if recipe.data.sampling is not None:  # with replacement, so that a batch is not each of them once
        return f"data.batch_size = {size:,} is more than the {examples:,} training examples: every step was an epoch"
    return f"data.batch_size = {size:,} is more than the {examples:,} training examples: every batch was all of them"


def _left_out(count: int, steps: int) -> str:
    if not count:
        return ""
    share = f", {percent_text(count / steps)}" if steps >= count else ""
    return f"{count:,} of {steps:,} steps{share}, were left out: their gradient was not finite, or their loss a spike"


def _no_lower(recipe: Recipe, losses: Sequence[float]) -> str:
    """Say that the training loss ended no lower than it began: the mean of its last tenth against its first value.

    Where other weights were begun with it may have been low from the start, and maximised it is to rise.
    """
    if len(losses) < _ENOUGH or recipe.train.start_from is not None or recipe.sgd.maximize:
        return ""
    first, last = losses[0], math.fsum(losses[-(len(losses) // 10) :]) / (len(losses) // 10)
    if not (math.isfinite(first) and math.isfinite(last) and last >= first):
        return ""
    return (
        f"the training loss ended at {short_text(last)}, no lower than the {short_text(first)} that it began with: lr "
        "may be too large, or far too small (downslope tune --range-test finds one)"
    )


def _standing_still(lrs: list[float | Schedule], steps: int) -> str:
    """Say how many of the last steps had lr 0 in every group."""
    if not lrs or not steps:
        return ""
    still = min(_zeros_at_the_end(lr, steps) for lr in lrs)
    if still == steps:
        return "lr was 0 in every step: no gradient moved anything"
    if still <= max(1, _FEW * steps):
        return ""
    return f"lr was 0 in the last {still:,} of {steps:,} steps: no gradient moved anything in them"


def _zeros_at_the_end(lr: float | Schedule, steps: int) -> int:
    """Return in how many of the last steps an lr is 0; a schedule that has come to 0 for good is searched by halves."""
    if value_at(lr, steps - 1) != 0:
        return 0
    if not isinstance(lr, Schedule):
        return steps
    low, high = 0, steps - 1  # lr is 0 at high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if value_at(lr, middle) == 0 else (middle + 1, high)
    return steps - high


def not_finite(metrics: Mapping[str, Any], whose: str = "") -> str:
    """Return what in an evaluation is no finite number, in words; "" if all of it is.

    What was asked for is done all the same, and shown; but a command whose result holds such a number says so in a
    line, and ends with exit code 1.

    Args:
        metrics: By name; what is neither a float nor a count of outputs is passed over.
        whose: What to call the examples, with a blank behind it.

    Example:
        >>> not_finite({"loss": math.nan, "rmse": math.inf}), not_finite({"loss": 1.0, "nonfinite_outputs": 3})
        ('the loss and rmse are no finite numbers', '3 outputs are no finite numbers')
    """
    names = [
        name.replace("_", " ")
        for name, value in metrics.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    count = max([int(value) for name, value in metrics.items() if name.endswith(NONFINITE)], default=0)
    if names:
        listed = " and ".join([", ".join(names[:-1]), names[-1]][len(names) == 1 :])
        return f"the {whose}{listed} {'is no finite number' if len(names) == 1 else 'are no finite numbers'}"
    many = "output is no finite number" if count == 1 else "outputs are no finite numbers"
    return f"{count:,} {whose}{many}" if count else ""


def diverged(held_out: Mapping[str, Any]) -> str:
    """Return the sentence on a run whose last evaluation holds what is no finite number; "" if it does not.

    Args:
        held_out: That evaluation.
    """
    found = not_finite(held_out, "held-out ")
    return f"{found}: training diverged" if found else ""


def refuse_divergence(held_out: Mapping[str, Any]) -> None:
    """Raise `DivergenceError`, with what to try, if a run whose last evaluation this is has diverged."""
    if bad := diverged(held_out):
        raise DivergenceError(f"{bad}. Try a third of sgd.lr, or train.clip_norm = 1.0.")


def _by_chance(held_out: Mapping[str, float], most_frequent: float | None, examples: int | None) -> str:
    """Say that an accuracy is no better than always naming the most frequent class, or above it by chance alone.

    The spread is twice the standard error of a share among so many examples, sqrt(p (1 - p) / n).
    """
    accuracy = held_out.get("accuracy")
    if accuracy is None or not most_frequent or not examples or not math.isfinite(accuracy):
        return ""
    told, always = f"an accuracy of {percent_text(accuracy)}", "naming the most frequent class always"
    if most_frequent == 1:
        return f"{told} says nothing of other classes: every held-out example, {examples:,} in all, is of one"
    right = percent_text(most_frequent)
    if accuracy <= most_frequent:
        return f"{told} is no better than {always}, which is right in {right}"
    spread = 2 * math.sqrt(most_frequent * (1 - most_frequent) / examples)
    if accuracy > most_frequent + spread:
        return ""
    return (
        f"{told} may be by chance: {always} is right in {right}, and among {examples:,} examples chance moves that by "
        f"{percent_text(spread)} either way"
    )


def _no_better_than_the_mean(held_out: Mapping[str, float]) -> str:
    r2 = held_out.get("r2")
    if r2 is None or not math.isfinite(r2) or r2 > 0:
        return ""
    return f"an R2 of {r2:.3g} is no better than answering with the mean always"
