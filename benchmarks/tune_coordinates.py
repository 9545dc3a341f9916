"""How many trials `downslope tune` needs on digits, in decoupled coordinates and in raw ones.

Each study has a seed of its own, which draws the proposals, the weights and the order of examples; all of them judge
trials by the same validation half of the examples to learn from. The best known is the best trial of all studies.

    python benchmarks/tune_coordinates.py --studies 8 --trials 30 --epochs 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from downslope import load_recipe
from downslope.recipe.schema import Tune
from downslope.training.tuning.ladder import Job
from downslope.training.tuning.study import Study
from downslope.training.tuning.work import design, work

WAYS = ("decoupled", "raw")


def main() -> None:
    """Run the studies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where the values are kept as JSON")
    given = parser.parse_args()
    values: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for seed in range(given.studies):
        for way in WAYS:
            values[way].append(study(way, seed, given.trials, given.epochs))
        if given.out is not None:
            given.out.write_text(json.dumps(values))
    best = max(max(one) for studies in values.values() for one in studies)
    print(f"best known validation accuracy: {best:.4f}\n")
    print(
        "| coordinates | trials until within 0.3 points | within 1 point | within 2 points | best accuracy after all |"
    )
    print("|---|---|---|---|---|")
    for way in WAYS:
        cells = [told([reached(one, best - points) for one in values[way]]) for points in (0.003, 0.01, 0.02)]
        ends = sorted(max(one) for one in values[way])
        print(f"| {way} | {' | '.join(cells)} | {statistics.median(ends):.4f} ({ends[0]:.4f} to {ends[-1]:.4f}) |")


def study(way: str, seed: int, trials: int, epochs: int) -> list[float]:
    """Return the validation accuracy of each trial."""
    recipe = load_recipe(overrides=[("train.epochs", str(epochs)), ("seed", str(seed)), ("data.split_seed", "0")])
    recipe = replace(recipe, tune=Tune(trials=trials, coordinates=way, validation=0.5, seeds=1))
    plan = design(recipe, 1)
    with tempfile.TemporaryDirectory() as folder:
        kept = Study(Path(folder) / "study", None, plan.about())
        work(kept, plan)
        results = kept.state().results
    return [-results[Job(number, 0)].value for number in range(trials)]


def reached(values: list[float], level: float) -> float:
    """Return how many trials it took, infinite if none got there."""
    return next((number + 1 for number, value in enumerate(values) if value >= level - 1e-9), float("inf"))


def told(counts: list[float]) -> str:
    """Return the median, the smallest and the largest count, and how many studies got there."""
    counts = sorted(counts)
    there = sum(count < float("inf") for count in counts)
    middle = statistics.median_high(counts)
    shown = [f"{count:.0f}" if count < float("inf") else "never" for count in (middle, counts[0], counts[-1])]
    return f"{shown[0]} ({shown[1]} to {shown[2]}); {there} of {len(counts)} studies"


if __name__ == "__main__":
    main()
