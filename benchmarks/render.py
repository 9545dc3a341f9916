"""Write the recorded results into docs/performance.md, and draw docs/images/step.svg.

    python benchmarks/render.py            # write
    python benchmarks/render.py --check    # exit code 1 if the page does not show what was recorded

Every table of that page stands between two marks and comes from
`benchmarks/results/*.json`, so that none can drift from what was measured; the words between them are written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import environment
import keras_step
import loops
import tables
import velocity8
from cells import CELLS
from models import MODELS
from tables import OURS, Table
from timing import median_ratio
from train_step import IN_BACKWARD

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "step.svg"

BOUND, BF16, FUSED = "memory bound", "downslope, bf16 velocity", "torch fused"
EIGHT = "downslope, 8-bit velocity"
OURS_CLIPPING, FUSED_CLIPPING = "downslope, clip_norm", "torch fused, clip_grad_norm_"
COLUMNS = ["torch default", "torch fused", "torch compiled", "optax jit", "scikit-learn", BOUND]
TARGETS: dict[str, dict[str, float]] = {
    "mlp6": {"torch fused": 0.5, "torch default": 0.25, "optax jit": 0.3},
    "many": {"torch fused": 0.5, "torch default": 0.15, "optax jit": 0.4},
    "resnet50": {"torch fused": 1.0, "torch default": 0.15, BOUND: 1.15},
    "large": {"torch fused": 1.0, "torch default": 0.15, "optax jit": 0.7, BOUND: 1.10},
}
"""Our time over a contender's that is aimed at, or less."""
IN_USE = ("torch fused", "torch default")
"""Contenders that are also timed after a backward pass; against them, that is what counts."""


def environment_lines(step: dict[str, Any]) -> str:
    """Return what the recorded run ran on, and how quiet it was."""
    facts = step["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    shares = [result["busy"]["taken_by_others"] or 0.0 for result in step["results"]]
    loads = [result["busy"]["load_at_start"] for result in step["results"]]
    machine = f"{facts['processors']} processors of an {facts['processor']}, shared with others"
    load = f"load average {min(loads):.1f} to {max(loads):.1f} before each cell (our own threads included)"
    low, high = (100 * share for share in (min(shares), max(shares)))
    others = f"other programs took {low:.1f} % to {high:.1f} % of the machine's time, by cell"
    lines = (
        f"{facts['date']}; {machine}; caches {facts['caches']}; {facts['platform']}",
        f"Python {facts['python']}; {versions}",
        f"`downslope.kernel.backend()`: {facts['kernel']}",
        f"{load}; {others}",
    )
    return "\n".join(f"- {line}" for line in lines)


def times(step: dict[str, Any], threads: int) -> Table:
    """Return each contender's median in milliseconds, with its minimum, by cell."""
    results = [result for result in step["results"] if result["threads"] == threads]
    names = list(dict.fromkeys(name for result in results for name in result["milliseconds"]))
    rows = []
    for name in names:
        cells = [result["milliseconds"].get(name) for result in results]
        shown = [
            f"{tables.number(statistics.median(samples))} ({tables.number(min(samples))})" if samples else ""
            for samples in cells
        ]
        rows.append([name, *shown])
    return ["median (minimum), ms", *(result["cell"] for result in results)], rows


def ratios(step: dict[str, Any]) -> Table:
    """Return our time over each peer's."""
    rows = [
        [f"{result['cell']}, {result['threads']}", *(tables.ratio(result["milliseconds"], name) for name in COLUMNS)]
        for result in step["results"]
    ]
    return ["cell, threads", *COLUMNS], rows


def targets(step: dict[str, Any]) -> Table:
    """Return each ratio that is aimed at, what was measured in both states, and whether it is reached."""
    rows = []
    for result in step["results"]:
        repeated, in_use = result["milliseconds"], result["after_backward_milliseconds"]
        aims = TARGETS[result["cell"]]
        own = [
            (
                f"ours / {peer}",
                median_ratio(repeated[OURS], repeated[peer]),
                median_ratio(in_use[OURS], in_use[peer]) if peer in IN_USE else None,
                aim,
            )
            for peer, aim in aims.items()
        ]
        if result["cell"] == "large":
            own.append(("bf16 velocity / fp32", median_ratio(repeated[BF16], repeated[OURS]), None, 0.87))
            if EIGHT in repeated:
                own += [
                    (f"8-bit velocity / {said}", median_ratio(repeated[EIGHT], repeated[other]), None, 0.75)
                    for said, other in (("fp32", OURS), (FUSED, FUSED))
                ]
        for what, by_turns, after, aim in own:
            counts = by_turns if after is None else after
            shown = ("" if after is None else f"{after:.2f}", f"{by_turns:.2f}", "yes" if counts <= aim else "**no**")
            rows.append([f"{result['cell']}, {result['threads']}", what, f"{aim:.2f}", *shown])
    return ["cell, threads", "ratio", "at most", "after a backward pass", "repeated by turns", "reached"], rows


def clipping(step: dict[str, Any]) -> Table:
    """Return what a step that asks for the gradients' norm takes, ours within the step and torch's before it."""
    rows = []
    for result in step["results"]:
        samples = result["milliseconds"]
        medians = {name: statistics.median(samples[name]) for name in (OURS, OURS_CLIPPING, FUSED, FUSED_CLIPPING)}
        rows.append(
            [
                f"{result['cell']}, {result['threads']}",
                *map(tables.number, medians.values()),
                tables.ratio(samples, FUSED_CLIPPING, OURS_CLIPPING),
            ]
        )
    return ["cell, threads", *(f"{name}, ms" for name in (OURS, OURS_CLIPPING, FUSED, FUSED_CLIPPING)), "ratio"], rows


def frameworks(step: dict[str, Any], of_keras: dict[str, Any]) -> Table:
    """Return our step over the framework's own in JAX and Keras, with both medians."""
    rows = []
    peers = [(result, "JAX", "optax jit", "downslope.jax") for result in step["results"]]
    for result, framework, theirs, ours in peers:
        rows.append(_against(result, framework, result["milliseconds"], theirs, ours))
    for backend, way in keras_step.WAYS:
        of_way = [r for r in of_keras["results"] if (r["backend"], r["way"]) == (backend, way)]
        label = {"tensorflow": f"Keras on TensorFlow, {way}", "jax": "Keras on JAX", "torch": "Keras on torch"}[backend]
        rows += [_against(r, label, r["milliseconds"], keras_step.THEIRS, keras_step.OURS) for r in of_way]
    return ["framework", "cell, threads", "its own, ms", "ours, ms", "ours / its own"], rows


def _against(
    result: dict[str, Any], framework: str, samples: dict[str, list[float]], theirs: str, ours: str
) -> list[str]:
    medians = [tables.number(statistics.median(samples[name])) for name in (theirs, ours)]
    return [framework, f"{result['cell']}, {result['threads']}", *medians, tables.ratio(samples, theirs, ours)]


def parts(step: dict[str, Any]) -> Table:
    """Return where the time of our own step goes."""
    rows = []
    for result in step["results"]:
        medians = {name: statistics.median(samples) * 1e3 for name, samples in result["milliseconds"].items()}
        whole, kernel, checks = medians[OURS], medians["of which kernel"], medians["of which checks"]
        tensors = len(CELLS[result["cell"]].shapes)
        traffic = 20 * CELLS[result["cell"]].parameters / kernel / 1e3
        rows.append(
            [
                f"{result['cell']}, {result['threads']}",
                tables.number(whole),
                tables.number(kernel),
                tables.number(checks),
                f"{whole - kernel - checks:.1f}",
                f"{checks / tensors:.2f}",
                f"{traffic:.0f}",
            ]
        )
    heading = [
        "cell, threads",
        "step, us",
        "kernel",
        "checks",
        "rest",
        "checks, per tensor",
        "kernel, GB/s",
    ]
    return heading, rows


def in_use(step: dict[str, Any]) -> Table:
    """Return the steps after a backward pass, of ours and torch's, their ratio, and that of first steps of turns."""
    names = [OURS, *IN_USE]
    rows = []
    for result in step["results"]:
        samples, first = result["after_backward_milliseconds"], result["first_milliseconds"]
        shown = [tables.number(statistics.median(samples[name])) for name in names]
        compared = [tables.ratio(samples, name) for name in IN_USE]
        rows.append(
            [
                f"{result['cell']}, {result['threads']}",
                *shown,
                *compared,
                *(tables.ratio(first, name) for name in IN_USE),
            ]
        )
    ratios = ("ours / fused", "ours / default", "first of a turn: ours / fused", "first of a turn: ours / default")
    return ["cell, threads", *(f"{name}, ms" for name in names), *ratios], rows


def training(train: dict[str, Any]) -> Table:
    """Return whole training steps, and the update's share of them."""
    names = list(dict.fromkeys(name for result in train["results"] for name in result["milliseconds"]))
    rows = []
    for result in train["results"]:
        samples = result["milliseconds"]
        medians = {name: statistics.median(own) for name, own in samples.items()}
        rows.append(
            [
                f"{result['model']}, {result['threads']}",
                *(tables.number(medians[name]) if name in medians else "" for name in names),
                tables.ratio(samples, "torch default"),
                tables.ratio(samples, "torch fused"),
                tables.ratio(samples, "torch fused", IN_BACKWARD) if IN_BACKWARD in samples else "",
            ]
        )
    headings = ["ours / default", "ours / fused", "in backward / fused"]
    return ["model, threads", *(f"{name}, ms" for name in names), *headings], rows


def whole_loops(train: dict[str, Any]) -> Table:
    """Return the time of a step in each whole loop, and ours over it."""
    names = list(dict.fromkeys(name for result in train["loops"] for name in result["milliseconds"]))
    rows = []
    for name in names:
        row = [name]
        for result in train["loops"]:
            samples = result["milliseconds"]
            row += [tables.number(statistics.median(samples[name])) if name in samples else "not installed"]
            row += [tables.ratio(samples, name, loops.OURS), tables.ratio(samples, name, loops.OURS_SPARSE)]
        rows.append(row)
    headings = [
        heading
        for result in train["loops"]
        for heading in (f"{result['model']}, ms", "ours / it", "ours, a line every 50 steps / it")
    ]
    return ["one thread", *headings], rows


def resnet_loops(found: dict[str, Any]) -> str:
    """Return the time of a step of ResNet-20 in each loop, by the clock and the processors, with how quiet it was."""
    names = list(dict.fromkeys(name for result in found["results"] for name in result["milliseconds"]))
    rows: list[list[str]] = [[name] for name in names]
    heading = [""]
    for result in found["results"]:
        wall, processor = result["milliseconds"], result["processor_milliseconds"]
        count = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
        heading += [f"{count}, ms", "ours / it", "processor ms", "ours / it"]
        for row in rows:
            for samples in (wall, processor):
                row += [tables.number(statistics.median(samples[row[0]])), tables.ratio(samples, row[0], loops.OURS)]
    quiet = "; ".join(
        f"{result['threads']} thread(s): {environment.busy_sentence(result['busy'])}" for result in found["results"]
    )
    facts = found["environment"]
    machine = f"{facts['date']}, {facts['processors']} processors of an {facts['processor']}; {quiet}."
    return f"{tables.as_markdown((heading, rows))}\n\n{machine.replace('%', ' %')}"


def models() -> str:
    """Return what the models of the training steps are."""
    return "\n".join(f"- `{name}`: {about}" for name, about in MODELS.items())


def cells() -> Table:
    """Return what the cells are."""
    rows = [
        [
            f"`{cell.name}`",
            cell.about,
            str(len(cell.shapes)),
            f"{cell.parameters:,}",
            f"{cell.parameters * 12 / 2**20:,.1f}",
        ]
        for cell in CELLS.values()
    ]
    return ["cell", "what", "tensors", "parameters", "MiB touched by a step"], rows


def recorded(name: str) -> dict[str, Any]:
    """Return what a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def sections() -> dict[str, str]:
    """Return the text between each pair of marks."""
    step, train, peak = recorded("step"), recorded("train_step"), recorded("memory")
    of_keras = recorded("keras_step")
    return {
        "environment": environment_lines(step),
        "cells": tables.as_markdown(cells()),
        "ratios": tables.as_markdown(ratios(step)),
        "one-thread": tables.as_markdown(times(step, 1)),
        "two-threads": tables.as_markdown(times(step, 2)),
        "targets": tables.as_markdown(targets(step)),
        "parts": tables.as_markdown(parts(step)),
        "after-backward": tables.as_markdown(in_use(step)),
        "clipping": tables.as_markdown(clipping(step)),
        "frameworks": tables.as_markdown(frameworks(step, of_keras)),
        "models": models(),
        "training": tables.as_markdown(training(train)),
        "loops": tables.as_markdown(whole_loops(train)),
        "resnet": resnet_loops(recorded("resnet")),
        "memory": tables.as_markdown(tables.memory(peak["bytes_per_parameter"])),
        "memory-of-smaller": tables.as_markdown(tables.memory(peak["bytes_per_parameter_of_smaller"])),
        "velocity8": tables.as_markdown(velocity8.table(recorded("velocity8"))),
        "velocity8-harm": tables.as_markdown(velocity8.harm_table(recorded("velocity8"))),
    }


def filled(page: str, texts: dict[str, str]) -> str:
    """Return a page with every section between its marks replaced.

    Raises:
        ValueError: If a mark is missing.
    """
    for name, text in texts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.DOTALL)
        page, count = pattern.subn(lambda match, text=text: f"{match[1]}\n{text}\n\n{match[2]}", page)
        if count != 1:
            raise ValueError(f"the page must have the marks of `{name}` once; got them {count} times.")
    return page


def draw(step: dict[str, Any]) -> None:
    """Draw the time of a step of each contender, one panel per cell, at the smaller number of threads."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.hashsalt": "downslope", "font.size": 9}
    names = [OURS, BF16, "torch fused", "torch compiled", "torch default", "optax jit", "scikit-learn"]
    threads = min(result["threads"] for result in step["results"])
    results = [result for result in step["results"] if result["threads"] == threads]
    figure, axes = plt.subplots(1, len(results), figsize=(3.0 * len(results), 2.6), sharey=True, layout="constrained")
    for axis, result in zip(axes, results, strict=True):
        medians = {name: statistics.median(samples) for name, samples in result["milliseconds"].items()}
        for place, name in enumerate(names):
            if name not in medians:
                axis.text(0, place, " not measured", va="center", color="#888888", fontsize=7)
                continue
            axis.barh(place, medians[name], color="#2563a8" if name.startswith(OURS) else "#b9bec6")
            axis.text(medians[name], place, f" {tables.number(medians[name])}", va="center", fontsize=7)
        if BOUND in medians:
            axis.axvline(medians[BOUND], color="#c2410c", linewidth=1, linestyle="--")
        axis.set_title(result["cell"], fontsize=10)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlim(0, 1.22 * max(medians[name] for name in names if name in medians))
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlabel("ms per step")
        axis.locator_params(axis="x", nbins=4)
    axes[0].invert_yaxis()
    figure.suptitle(f"One optimizer step, {threads} thread; dashed: the bound set by memory", fontsize=10)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})
    figure.savefig(PLOT.with_suffix(".png"), dpi=110)
    plt.close(figure)


def main() -> None:
    """Fill in the page, or check that it is filled in."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is not current")
    arguments = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before, sections())
    if not arguments.check:
        PAGE.write_text(after, encoding="utf-8")
        draw(recorded("step"))
    elif after != before:
        print(f"{PAGE.relative_to(ROOT)} does not show what is in benchmarks/results; run render.py", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
