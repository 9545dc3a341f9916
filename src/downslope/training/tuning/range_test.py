"""The lr range test: one short run whose lr rises geometrically, and where its loss falls fastest and turns.

References:
    Smith 2017, "Cyclical learning rates for training neural networks" (arXiv 1506.01186), section 3.3.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from downslope.core.errors import DivergenceError, DownslopeError, NonFiniteGradientError
from downslope.core.number_text import short_text
from downslope.core.schedule_free import refuse_schedule_free
from downslope.core.schedules import Exponential
from downslope.core.schedules.schedule import Schedule
from downslope.recipe.schema import Log, Recipe, Tune
from downslope.training.folder.durable import write_file
from downslope.training.folder.log import read_rows
from downslope.training.run.plan import plan_run
from downslope.training.run.train import train
from downslope.training.tuning.page import lay_out
from downslope.training.tuning.plots import draw_range
from downslope.training.workers.workers import NullConsole

RUN, PAGE = "range-test", "range-test.html"
STEPS = 300
"""Of the run: fifty to a decade."""

_DECADES = 3
"""On either side of the recipe's own lr."""

_WINDOW = 7
"""Steps on either side over whose median, and slope, a loss is smoothed: three tenths of a decade in all."""

_BLOWN_UP = 4.0
"""Times its smallest value: a smoothed loss above that has blown up."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Attributes:
        lrs: Of each step.
        losses: Training losses, the last perhaps not finite.
        smoothed: Their median over fifteen steps.
        fastest: The lr at which it falls fastest.
        lowest: The lr at which it is smallest.
        edge: The lr at which it blew up, or None where it did not.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    fastest: float
    lowest: float
    edge: float | None

    def sentences(self) -> list[str]:
        """Return the suggestion and its reason."""
        blown = "it never blew up: the edge is beyond"
        if self.edge is not None:
            blown = f"it blew up at lr {short_text(self.edge)}"
        at, turn = short_text(self.fastest), short_text(self.lowest)
        return [
            f"suggested as the largest lr: {at}, where the smoothed training loss fell fastest",
            f"it was lowest at lr {turn}, and a larger one undoes what smaller ones had learned; {blown}",
            f"one run of {len(self.lrs)} steps, momentum and weight decay as in the recipe: a guess to search around",
        ]


def range_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of the test's run: its lr rises from a thousandth of the recipe's own to a thousandfold.

    Raises:
        DownslopeError: If the recipe has no lr above 0, or a plateau.
    """
    refuse_schedule_free(recipe.sgd, "a range test raises lr step by step, and its average would hold all of them.")
    own = recipe.sgd.lr.extremes()[1] if isinstance(recipe.sgd.lr, Schedule) else recipe.sgd.lr
    if own <= 0:
        raise DownslopeError("tune: sgd.lr is 0, and the test is around the recipe's own. Give an lr above 0.")
    if recipe.train.plateau is not None or any(group.lr is not None for group in recipe.groups):
        raise DownslopeError("tune --range-test: train.plateau and a group's own lr say another lr. Leave them out.")
    rising = Exponential(initial=own / 10**_DECADES, rate=10.0 ** (2 * _DECADES), every=STEPS - 1)
    return replace(
        recipe,
        title="lr range test",
        sgd=replace(recipe.sgd, lr=rising),
        data=replace(recipe.data, validation=(recipe.tune or Tune()).validation),  # what is held out stays unseen
        train=replace(
            recipe.train, epochs=None, steps=STEPS, evaluate_every=STEPS, log_every=1, early_stop=None, spike=None
        ),
        log=Log(),
        tune=None,
    )


def run_range_test(recipe: Recipe, out: Path) -> RangeTest | int:
    """Run the test, or go on with it, write its page, and return what it found; the signal's number if one came.

    Args:
        recipe: The recipe.
        out: The folder for the run and the page.
    """
    tested = range_recipe(recipe)
    try:
        outcome = train(plan_run(tested, name=RUN, out=out / RUN), tested, NullConsole(), report=False)
        if outcome.signal is not None:
            return outcome.signal
    except (DivergenceError, NonFiniteGradientError):
        pass  # as it should: the edge was passed
    rows = read_rows(out / RUN, "step")
    found = find([float(row["lr"]) for row in rows], [float(row["loss"]) for row in rows])
    page = lay_out(
        title="lr range test",
        headlines=[("suggested lr", short_text(found.fastest), "where the loss fell fastest")],
        says=found.sentences(),
        sections=[("Loss over lr", [draw_range(found.lrs, found.losses, found.smoothed, found.fastest)])],
        table_title="",
        headers=[],
        numbers=set[str](),
        rows=[],
        recipe="",
        curves=[],
    )
    write_file(out / PAGE, page.encode())
    return found


def find(lrs: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Return what the losses of a rising lr say.

    Raises:
        DownslopeError: If there are too few finite losses, or they never fall.
    """
    finite = next((at for at, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    smoothed = [
        statistics.median(losses[max(at - _WINDOW, 0) : min(at + _WINDOW + 1, finite)]) for at in range(finite)
    ]  # the same number on both sides, so that nothing is moved to a larger lr
    span = _WINDOW
    lowest = min(range(len(smoothed)), key=smoothed.__getitem__, default=0)
    inside = range(span, lowest - span + 1)
    if not inside:
        raise DownslopeError(
            "tune --range-test: the loss did not fall at any lr tried, so that nothing can be suggested. Give a "
            "smaller sgd.lr to begin around, or another model."
        )
    fastest = min(inside, key=lambda at: smoothed[at + span] - smoothed[at - span])
    least = smoothed[lowest]
    rise = _BLOWN_UP * least if least > 0 else least + abs(smoothed[0] - least)
    edge = next((at for at in range(lowest, len(smoothed)) if smoothed[at] > rise), None)
    if edge is None and len(smoothed) < len(losses):
        edge = len(smoothed)
    return RangeTest(
        tuple(lrs), tuple(losses), tuple(smoothed), lrs[fastest], lrs[lowest], None if edge is None else lrs[edge]
    )
