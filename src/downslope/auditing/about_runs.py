"""Findings on what a run wrote down: clipping, sharpness against the edge, steps left out, a loss that diverged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from downslope.auditing.finding import Finding
from downslope.auditing.subject import Subject

_FEWEST = 20
"""Steps, or measurements, below which a share says nothing."""


def about_runs(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on a run's log."""
    if not subject.rows or subject.recipe is None:
        return
    yield from _clipping(subject)
    yield from _edge(subject)
    yield from _left_out(subject)
    yield from _diverged(subject)


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row.get(name) is not None]


def _clipping(subject: Subject) -> Iterator[Finding]:
    limit = subject.recipe.train.clip_norm if subject.recipe else None
    norms = [norm for norm in _numbers(subject.rows.get("step", ()), "grad_norm") if math.isfinite(norm)]
    if limit is None or len(norms) < _FEWEST:
        return
    share = sum(norm > limit for norm in norms) / len(norms)
    where = f"train.clip_norm, and grad_norm in {len(norms):,} rows of log.jsonl"
    if share > 0.95:
        yield Finding(
            name="clipping_always_acts",
            level="warning",
            what=f"{100 * share:.3g} % of the steps were clipped to {limit:g}; the median norm is {median(norms):.3g}",
            where=where,
            why="then every step is as long as lr says, whatever the gradient, and no longer shrinks near a minimum",
            source="Pascanu et al. 2013, section 3.2: the threshold from the average norm",
            do=f"set it above the usual norm, such as {2 * median(norms):.2g}, and lower lr to match",
            sure="likely",
        )
    elif share == 0 and max(norms) < limit / 2:
        yield Finding(
            name="clipping_never_acts",
            level="advice",
            what=f"no step was clipped to {limit:g}; the largest norm is {max(norms):.3g}",
            where=where,
            why="it protects from nothing that happened, and hides that it would not protect from much",
            source="Pascanu et al. 2013",
            do=f"leave it out, or set it to about twice the largest norm after the start, such as {2 * max(norms):.2g}",
        )


def _edge(subject: Subject) -> Iterator[Finding]:
    rows = [row for row in subject.rows.get("sharpness", ()) if row.get("sharpness") is not None]
    known = [row for row in rows if row.get("limit") is not None and math.isfinite(float(row["sharpness"]))]
    later = known[len(known) // 2 :]
    ratios = [float(row["sharpness"]) / float(row["limit"]) for row in later if float(row["limit"]) > 0]
    if len(ratios) < 2:
        return
    middle, where = median(ratios), f"sgd.lr, and {len(later)} measurements of the sharpness in log.jsonl"
    cohen = "Cohen et al. 2021 (arXiv 2103.00065), the edge of stability"
    if middle > 1.5:
        yield Finding(
            name="lr_above_the_edge",
            level="warning",
            what=f"the sharpness is {middle:.3g} times what this lr is stable at, in half of the run",
            where=where,
            why="along the sharpest direction every step overshoots further than the last",
            source=cohen,
            do=f"try lr / {middle:.2g}, or a warmup",
            sure="likely",
        )
    elif max(ratios) < 0.02:
        yield Finding(
            name="lr_below_the_edge",
            level="advice",
            what=f"the sharpness stays at {100 * max(ratios):.2g} % of what this lr would be stable at",
            where=where,
            why="steps are far shorter than the curvature allows; the noise of small batches may ask for that",
            source=cohen,
            do="try a larger lr, by factors of 3",
            sure="possible",
        )


def _left_out(subject: Subject) -> Iterator[Finding]:
    skipped, done = len(subject.rows.get("skip", ())), len(subject.rows.get("step", ()))
    if skipped and skipped > 0.01 * (skipped + done):
        yield Finding(
            name="many_steps_left_out",
            level="warning",
            what=f"{skipped:,} of {skipped + done:,} steps were left out",
            where="rows of kind skip in log.jsonl",
            why="their gradient was not finite, or their loss a spike: training is at the edge of what it can do",
            source="docs/training.md",
            do="lower lr, clip, or warm up",
        )


def _diverged(subject: Subject) -> Iterator[Finding]:
    losses = _numbers(subject.rows.get("step", ()), "loss")
    if len(losses) >= _FEWEST and not all(math.isfinite(loss) for loss in losses[-10:]):
        what = "the loss of the last steps is no finite number"
    elif len(losses) >= _FEWEST and median(losses[-10:]) > 2 * median(losses[:10]):
        what = f"the loss grew from {median(losses[:10]):.3g} to {median(losses[-10:]):.3g}"
    else:
        return
    yield Finding(
        name="diverged",
        level="error",
        what=what,
        where="rows of kind step in log.jsonl",
        why="lr is above what the curvature allows, or the data changed",
        source="docs/explain.md, limits of stability",
        do="divide lr by 3 until it falls; measure the curvature by train.sharpness_every",
    )
