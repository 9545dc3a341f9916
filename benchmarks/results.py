"""Train the recipes that are held against published figures, record what came of it, and write docs/results.md.

    python benchmarks/results.py                        # all of them: up to half an hour for g2p, minutes for the rest
    python benchmarks/results.py --only mnist1d-gru     # one; the others keep what was recorded last
    python benchmarks/results.py --render               # train nothing, write the page
    python benchmarks/results.py --check                # exit code 1 if the page does not show what was recorded

Each recipe and seed is one real run of the command line with its record in benchmarks/results/recipes/; the page's
tables are made of these, and of runs with many seeds beside scikit-learn's (`many_seeds.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import environment
import tables
from many_seeds import epoch_loss, train_here, train_peer
from published import PROBLEMS, ROWS, Figure, Row
from render import filled

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "results" / "recipes"
PAGE = ROOT / "docs" / "results.md"


def recipe_file(name: str) -> Path:
    """Return the file of a recipe."""
    return ROOT / "recipes" / f"{name}.toml"


def checksum(name: str) -> str:
    """Return a checksum of what a recipe says, without its words for people."""
    table = tomllib.loads(recipe_file(name).read_text(encoding="utf-8"))
    table = {key: value for key, value in table.items() if key not in {"title", "source"}}
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def measure_row(row: Row) -> dict[str, Any]:
    """Return the record of one recipe, trained once with each seed."""
    head, text = commit(), checksum(row.recipe)  # as they are now: a run may take long
    runs: list[dict[str, Any]] = []
    for seed in row.seeds:
        runs.append(train(row, seed))
        print(f"{row.recipe}, seed {seed}: {json.dumps(runs[-1])}", flush=True)
    return {
        "recipe": row.recipe,
        "checksum": text,
        "commit": head,
        "threads": row.threads,
        "environment": environment.describe(),
        "runs": runs,
        **({} if row.peer is None else measure_beside(row, runs)),
    }


def measure_beside(row: Row, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of many seeds, ours and the peer's.

    Raises:
        SystemExit: If a run within this process ends otherwise than the command line's with the same seed.
    """
    import torch

    torch.set_num_threads(row.threads)
    path = recipe_file(row.recipe)
    many = [train_here(path, seed) for seed in range(row.many)]
    for run in runs:
        if run | many[run["seed"]] != run:
            sys.exit(f"{row.recipe}: the command line gave {run}, this process {many[run['seed']]}")
    peers = [train_peer(seed, **row.peer or {}) for seed in range(row.many)]
    for figure in row.figures:
        print(f"{row.recipe}, {row.many} seeds, {figure.name}: {difference(figure, many, peers)}", flush=True)
    return {"many": many, "peer": peers}


def train(row: Row, seed: int) -> dict[str, Any]:
    """Return what one run ends with, by name, with the processor time of training in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        words = ["train", str(recipe_file(row.recipe)), "--seed", str(seed), "--out", run]
        began, before = time.perf_counter(), os.times()
        command(words, row.threads)
        after, ended = os.times(), time.perf_counter()
        found = json.loads(command(["evaluate", run, "--json"], row.threads))
        measured = {name: value for name, value in found.items() if isinstance(value, float | int)}
        wanted = {figure.key for figure in row.figures}
        if "epoch_loss" in wanted:
            measured["epoch_loss"] = epoch_loss(Path(run))
        if "start_loss" in wanted:
            measured["start_loss"] = start_loss(row.recipe, seed)
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "seed": seed,
        **{figure.key: measured[figure.key] for figure in row.figures},
        "steps": found["step"],
        "processor_seconds": round(spent, 1),
        "seconds": round(ended - began, 1),
    }


def command(words: list[str], threads: int) -> str:
    """Run Downslope's command line from the root, and return what it printed.

    Raises:
        SystemExit: If it failed; its messages are shown.
    """
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT / "src")}
    whole = [sys.executable, "-m", "downslope", *words]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, cwd=ROOT, env=variables)  # noqa: S603
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}\nfailed: downslope {' '.join(words)}")
    return done.stdout


def start_loss(recipe: str, seed: int) -> float:
    """Return the held-out loss before the first step."""
    from downslope.recipe.load import load_recipe
    from downslope.training.run.held_out import measure
    from downslope.training.run.task import build_task

    task = build_task(load_recipe(recipe_file(recipe), [("seed", str(seed))]))
    data = task.dataset
    return measure(task.state.model, task.objective, data.held_out_inputs, data.held_out_targets).metrics["loss"]


def commit() -> str:
    """Return the commit that was measured, and whether its source was changed; "unknown" outside a clone."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    paths = ["src", "recipes", "examples"]
    changed = subprocess.run([*git, "status", "--porcelain", *paths], capture_output=True, text=True, check=False)  # noqa: S603
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def recorded(name: str) -> dict[str, Any] | None:
    """Return what was recorded of a recipe last, or None."""
    path = RECORDS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def shown(figure: Figure, runs: list[dict[str, Any]]) -> str:
    """Return a figure over several runs: "99.3", or "99.27 (99.10 to 99.40)"."""
    values = [run[figure.key] * (100 if figure.percent else 1) for run in runs]
    low, high = min(values), max(values)
    mean = f"{statistics.fmean(values):.{figure.digits}f}"
    if f"{low:.{figure.digits}f}" == f"{high:.{figure.digits}f}":
        return mean
    return f"{mean} ({low:.{figure.digits}f} to {high:.{figure.digits}f})"


def difference(figure: Figure, runs: list[dict[str, Any]], peers: list[dict[str, Any]]) -> str:
    """Return how far the mean of ours lies above a peer's, with its standard error: "-0.03 ± 0.09".

    The runs of either side have random numbers of their own, so that their variances add up; of fewer than two runs on
    a side there is no standard error.
    """
    scale = 100 if figure.percent else 1
    sides = [[run[figure.key] * scale for run in side] for side in (runs, peers)]
    apart = f"{statistics.fmean(sides[0]) - statistics.fmean(sides[1]):+z.{figure.digits}f}"
    if min(len(side) for side in sides) < 2:
        return apart
    error = math.sqrt(sum(statistics.variance(side) / len(side) for side in sides))
    return f"{apart} ± {error:.{figure.digits}f}"


def seeds_text(runs: list[dict[str, Any]]) -> str:
    """Return the seeds of runs: "0, 1, 2", or "0 to 19" for many in a row."""
    seeds = [run["seed"] for run in runs]
    if len(seeds) > 5 and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def row_cells(row: Row, *, with_peer: bool) -> list[list[str]]:
    """Return the table's rows of one recipe, one for each figure."""
    record = recorded(row.recipe)
    link = row.recipe if record is None else f"[{row.recipe}](../recipes/{row.recipe}.toml)"
    cells: list[list[str]] = []
    for number, figure in enumerate(row.figures):
        published = "" if figure.published is None else f"{figure.published:.{figure.digits}f}"
        first = number == 0
        if record is None:
            cells.append(
                [link if first else "", figure.name, "not run yet", *([""] * 2 * with_peer), published, "", "", ""]
            )
            continue
        runs, peers = record.get("many", record["runs"]), record.get("peer", [])
        beside = [shown(figure, peers), difference(figure, runs, peers)] if with_peer else []
        spent = f"{statistics.median(run['processor_seconds'] for run in record['runs']):.0f}"
        when = f"{record['environment']['date']}, {record['commit']}"
        if checksum_now(row.recipe) != record["checksum"]:
            when += "; the recipe has changed since"
        rest = [seeds_text(runs), spent, when] if first else ["", "", ""]
        cells.append([link if first else "", figure.name, shown(figure, runs), *beside, published, *rest])
    return cells


def checksum_now(name: str) -> str | None:
    """Return the checksum of a recipe's file, or None if there is none."""
    return checksum(name) if recipe_file(name).exists() else None


def problem_text(number: int) -> str:
    """Return a problem's source, table and caveat."""
    problem = PROBLEMS[number]
    with_peer = any(row.peer is not None for row in problem.rows)
    beside = ["scikit-learn, here", "ours - scikit-learn"] if with_peer else []
    heading = ["recipe", "figure", "ours", *beside, "published", "seeds", "processor seconds a run", "recorded"]
    rows = [cells for row in problem.rows for cells in row_cells(row, with_peer=with_peer)]
    return f"Published: {problem.source}.\n\n{tables.as_markdown((heading, rows))}\n\n{problem.caveat}"


def environments() -> str:
    """Return what the recorded runs ran on, one line for each machine and set of versions."""
    lines: dict[str, list[str]] = {}
    for name in ROWS:
        record = recorded(name)
        if record is None:
            continue
        facts = record["environment"]
        wanted = ("downslope", "torch", "numpy", "scikit-learn")
        versions = ", ".join(f"{key} {facts['versions'][key]}" for key in wanted if facts["versions"].get(key))
        threads = "1 thread" if record["threads"] == 1 else f"{record['threads']} threads"
        line = f"{facts['processor']}, {threads}; Python {facts['python']}, {versions}; step: {facts['kernel']}"
        lines.setdefault(line, []).append(f"`{name}`")
    return "\n".join(f"- {line}: {', '.join(names)}" for line, names in lines.items()) or "Nothing is recorded yet."


def sections() -> dict[str, str]:
    """Return the text between each pair of marks of the page."""
    texts = {f"problem-{number + 1}": problem_text(number) for number in range(len(PROBLEMS))}
    return {**texts, "environments": environments()}


def main() -> None:
    """Measure, record and render."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(ROWS), help=f"recipes: {', '.join(ROWS)}")
    parser.add_argument("--render", action="store_true", help="train nothing: write the page from what was recorded")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is not current")
    arguments = parser.parse_args()
    try:
        for name in [] if arguments.render or arguments.check else arguments.only or ROWS:
            if recipe_file(name).exists():
                environment.write_json(RECORDS / f"{name}.json", measure_row(ROWS[name]))
            else:
                print(f"recipes/{name}.toml: there is no such recipe; its row stays as it is.", file=sys.stderr)
    finally:  # what was measured until something failed, or somebody lost patience, is shown
        before = PAGE.read_text(encoding="utf-8")
        after = filled(before, sections())
        if not arguments.check:
            PAGE.write_text(after, encoding="utf-8")
    if arguments.check and after != before:
        print(f"{PAGE.relative_to(ROOT)} does not show what was recorded; run results.py --render", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
