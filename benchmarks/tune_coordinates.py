"""How many trials `downslope tune` needs on digits and on MNIST-1D, in decoupled coordinates and in raw ones.

Each study has a seed of its own, which draws the proposals, the weights and the order of examples; all of them judge
trials by the same validation half of the examples to learn from. The best of many trials has luck too; so the best of
each study is trained again, on all examples to learn from by seeds of its own, and judged by the held-out examples.
Each study is a line of the file of results as soon as it is done, and started again the script goes on behind them.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/tune_coordinates.py
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from downslope import load_recipe
from downslope.core.errors import DivergenceError, NonFiniteGradientError
from downslope.recipe.schema import Tune
from downslope.training.run.plan import plan_run
from downslope.training.run.train import train
from downslope.training.tuning.ladder import Job
from downslope.training.tuning.study import Study
from downslope.training.tuning.work import Design, design, work
from downslope.training.workers.workers import NullConsole

KEPT = Path(__file__).parent / "results" / "tune_coordinates.jsonl"
WAYS = ("decoupled", "raw")
DATA = {"digits": ("digits", 10), "MNIST-1D": ("mnist1d-mlp", 20)}
"""The recipe and how many epochs a trial has."""

AGAIN = range(1000, 1005)
"""Seeds of the runs by which a setting is measured again: none of a study's own."""

WITHIN = (0.003, 0.01, 0.02)


def main() -> None:
    """Run the studies that are not yet done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20, help="of each kind")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kept", type=Path, default=KEPT, help="where the results are kept")
    parser.add_argument("--only-tables", action="store_true", help="print the tables of what is there")
    given = parser.parse_args()
    done = read(given.kept)
    if not given.only_tables:
        draw_once()
        for one in wanted(given.studies):
            if (one["data"], one["way"], one["seed"]) not in done:
                keep(given.kept, {**one, **study(one["data"], one["way"], one["seed"], given.trials)})
        for one in read(given.kept).values():  # the trials first: they alone are a result
            if "worth" not in one:
                last = max(one["led"], key=int)
                worth = {last: measure(one, one["led"][last])}
                keep(given.kept, {"data": one["data"], "way": one["way"], "seed": one["seed"], "worth": worth})
        done = read(given.kept)
    for data in DATA:
        print_table(data, [one for one in done.values() if one["data"] == data])


def wanted(studies: int) -> Iterator[dict[str, Any]]:
    """Yield what is to be done, all kinds in turn, so that what is there at any time is even."""
    for seed in range(studies):
        for data in DATA:
            for way in WAYS:
                yield {"data": data, "way": way, "seed": seed}


def read(kept: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return the studies of a file; a line that a kill cut off is none."""
    lines = kept.read_text().splitlines(keepends=True) if kept.exists() else []
    if lines and not lines[-1].endswith("\n"):
        kept.write_text("".join(lines[:-1]))
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for one in (json.loads(line) for line in lines if line.endswith("\n")):
        key = (one["data"], one["way"], one["seed"])
        found[key] = {**found.get(key, {}), **one}
    return found


def keep(kept: Path, line: dict[str, Any]) -> None:
    """Add a line to the file."""
    with kept.open("a") as file:
        print(json.dumps(line), file=file)


def draw_once() -> None:
    """Have MNIST-1D drawn once for all runs: its generator takes longer than a trial."""
    import mnist1d.data

    draw, drawn = mnist1d.data.make_dataset, cache(lambda key: draw(options[key]))
    options: dict[str, Any] = {}

    def make(arguments: Any) -> Any:
        options[key := str(sorted(vars(arguments).items()))] = arguments
        return drawn(key)

    mnist1d.data.make_dataset = make


def study(data: str, way: str, seed: int, trials: int) -> dict[str, Any]:
    """Return the validation accuracy of each trial, None where it diverged, and what those tried that led."""
    plan = plan_of(data, way, seed, trials)
    with tempfile.TemporaryDirectory() as folder:
        kept = Study(Path(folder) / "study", None, plan.about())
        work(kept, plan)
        state = kept.state()
    values = [-state.results[Job(number, 0)].value for number in range(trials)]
    led = [number for number in range(trials) if values[number] > max(values[:number], default=-math.inf)]
    shown = [round(value, 5) if math.isfinite(value) else None for value in values]
    return {"values": shown, "led": {str(number): state.points[number] for number in led}}


def plan_of(data: str, way: str, seed: int, trials: int) -> Design:
    """Return the plan of a study."""
    name, epochs = DATA[data]
    overrides = [("train.epochs", str(epochs)), ("seed", str(seed)), ("data.split_seed", "0")]
    cosine = f'{{ schedule = "cosine", initial = 0.1, final = 0.0, duration = {epochs}, unit = "epoch" }}'
    recipe = load_recipe(name, [*overrides, ("sgd.lr", cosine)])
    recipe = replace(recipe, tune=Tune(trials=trials, coordinates=way, validation=0.5, seeds=1))
    return design(recipe, 1)


def measure(one: dict[str, Any], point: dict[str, float]) -> float:
    """Return what a point is worth: its mean accuracy on the held-out examples; a run that diverges has none."""
    plan = plan_of(one["data"], one["way"], one["seed"], len(one["values"]))
    recipe = plan.best(point)
    found: list[float] = []
    for seed in AGAIN:
        again = replace(recipe, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = train(
                    plan_run(again, name="again", out=Path(folder) / "run"), again, NullConsole(), report=False
                )
            except (DivergenceError, NonFiniteGradientError):
                found.append(0.0)
            else:
                if outcome.signal is not None:
                    raise KeyboardInterrupt
                found.append(outcome.held_out[plan.metric])
    return round(statistics.fmean(found), 5)


def print_table(data: str, studies: list[dict[str, Any]]) -> None:
    """Print, for each way, how many trials it took, and what the best of each study is worth."""
    best = max((max(raced(one)) for one in studies), default=0.0)
    print(f"\n{data}; best known {100 * best:.2f} %\n")
    headers = [*(f"{100 * points:g} point(s)" for points in WITHIN), "best after all", "on the held-out examples"]
    print(f"| coordinates | {' | '.join(headers)} |\n{'|---' * (len(headers) + 1)}|")
    for way in WAYS:
        mine = [one for one in studies if one["way"] == way]
        if mine:
            cells = [told([reached(raced(one), best - points) for one in mine]) for points in WITHIN]
            ends = [raced(one)[-1] for one in mine]
            worth = [one["worth"][max(one["worth"], key=int)] for one in mine if "worth" in one]
            print(f"| {way} | {' | '.join(cells)} | {spread(ends)} | {spread(worth)} |")


def raced(one: dict[str, Any]) -> list[float]:
    """Return the best validation accuracy after each trial."""
    values = [-math.inf if value is None else value for value in one["values"]]
    return [max(values[: number + 1]) for number in range(len(values))]


def spread(values: list[float]) -> str:
    """Return the median of accuracies, the smallest and the largest."""
    if not values:
        return "not yet measured"
    low, middle, high = (100 * pick(values) for pick in (min, statistics.median, max))
    return f"{middle:.2f} % ({low:.2f} to {high:.2f})"


def reached(values: list[float], level: float) -> float:
    """Return after how many trials a study was there, infinite if it never was."""
    return next((number + 1 for number, value in enumerate(values) if value >= level - 1e-9), math.inf)


def told(counts: list[float]) -> str:
    """Return the median, the quartiles, and how many studies got there."""
    counts = sorted(counts)
    there, last = sum(count < math.inf for count in counts), len(counts) - 1
    shown = [f"{counts[-(-last * part // 4)]:.0f}".replace("inf", "never") for part in (2, 1, 3)]
    return f"{shown[0]} ({shown[1]} to {shown[2]}), {there} of {len(counts)}"


if __name__ == "__main__":
    main()
