"""``downslope train --sweep``: a grid of ordinary runs in one folder, and the page that compares them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from downslope.cli.training_run import overrides_of, run_training
from downslope.core.errors import DivergenceError, DownslopeError, NonFiniteGradientError
from downslope.core.number_text import short_text
from downslope.core.shown import shown
from downslope.language import tell
from downslope.recipe.load import load_recipe
from downslope.recipe.schema import Recipe

PAGE = "comparison.html"


def run_sweep(base: Recipe, name: str, arguments: argparse.Namespace) -> int:
    """Train each run of a sweep, or go on with it, and compare them.

    Args:
        base: The recipe without the sweep.
        name: What to call it where no folder is given.
        arguments: Those of `downslope train`.

    Returns:
        0; 1 if a run diverged; 128 plus a signal's number if one came.
    """
    from downslope.training.tuning.page import write_sweep_page
    from downslope.training.tuning.sweep import read_sweep, rows_of

    swept = read_sweep(arguments.sweep)
    out: Path = arguments.out or Path("sweeps") / name
    overrides = overrides_of(arguments)
    given = {path for path, _ in overrides}
    if both := [path for path, _ in swept[0].values if path in given]:
        raise DownslopeError(f"--sweep {both[0]}: --{both[0]} is given too. Leave one out.")
    # All are read before the first is trained: a value that is wrong is told now.
    recipes = [load_recipe(arguments.recipe, [*overrides, *one.values]) for one in swept]
    if any(path == "seed" for path, _ in swept[0].values) and base.data.split_seed is None:
        # Other seeds would hold out other examples, and what differs would be these too.
        recipes = [replace(one, data=replace(one.data, split_seed=base.seed)) for one in recipes]
    failed = 0
    for number, (one, recipe) in enumerate(zip(swept, recipes, strict=True), 1):
        tell(f"run         {number} of {len(swept)}: {shown(one.name, 200)}")
        try:
            code = run_training(
                recipe,
                name=name,
                out=out / one.name,
                resume="auto",
                dry_run=arguments.dry_run,
                workers=arguments.workers,
                timeout=arguments.timeout,
                quiet=True,
            )
        except (DivergenceError, NonFiniteGradientError) as error:
            tell(f"diverged    {shown(str(error), 300)}")
            code, failed = 0, failed + 1
        if code > 128:
            tell("stopped     the same command goes on with the sweep")
            return code
        if code:
            failed += 1
    if arguments.dry_run:
        return 0
    metric, rows = rows_of(out, swept)
    write_sweep_page(out / PAGE, base, metric, rows)
    for row in rows:
        values = ", ".join(f"{path} {text}" for path, text in row.values) or "all seeds"
        spread = f" (standard deviation {short_text(row.spread)} of {len(row.ends)})" if len(row.ends) > 1 else ""
        mean = short_text(row.mean) if row.ends else "diverged"
        tell(f"{metric.replace('_', ' '):<12}{mean}{spread}: {shown(values, 300)}")
    tell(f"page        {shown(out / PAGE)}")
    return 1 if failed else 0
