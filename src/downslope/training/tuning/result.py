"""What a study says in the end: `best.toml` with the reason of each value, `study.json`, and sentences."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

from downslope.core.errors import DivergenceError
from downslope.core.number_text import short_text
from downslope.recipe.load import to_toml
from downslope.recipe.measures import GROWING
from downslope.training.folder.durable import write_file
from downslope.training.tuning.coordinates import coordinates_of
from downslope.training.tuning.ladder import Job
from downslope.training.tuning.space import TWINS
from downslope.training.tuning.study import Result, State
from downslope.training.tuning.work import Design

BEST, SUMMARY = "best.toml", "study.json"

_EDGE = 0.02
"""So near to an end of what was searched, the best may lie beyond."""


def outcome_of(state: State, trial: int) -> Result:
    """Return what a trial gave at its highest rung."""
    rung = max(job.rung for job in state.results if job.trial == trial)
    return state.results[Job(trial, rung)]


def measured(plan: Design, value: float) -> float:
    """Return the metric itself: values are the lower the better."""
    return -value if plan.metric in GROWING and math.isfinite(value) else value


def sentences(plan: Design, state: State) -> list[str]:
    """Return what was found, and how far it can be trusted."""
    winner = plan.winner(state)
    if winner is None:
        return [f"all {plan.trials} trials diverged: search smaller values of sgd.lr or effective_lr"]
    tried = [outcome_of(state, number) for number in state.points]
    top = sum(job.rung == plan.rungs - 1 for job in state.results)
    words = {kind: sum(one.outcome == kind for one in tried) for kind in ("diverged", "falling")}
    value = measured(plan, outcome_of(state, winner).value)
    name, tune = plan.metric.replace("_", " "), plan.tune
    rungs = f"; {top} of them trained to the end, the others stopped at a rung below" if plan.rungs > 1 else ""
    lines = [f"trial {winner} is the best of {len(tried)} by {tune.sampler}, seed {plan.recipe.seed}{rungs}"]
    lines.append(
        f"validation {name} {short_text(value)}, on {tune.validation:g} of the examples to learn from; it chose the "
        f"best of {len(tried)}, and so looks better than it is"
    )
    finals = [measured(plan, one.value) for _, one in sorted(state.finals.items())]
    finite = [value for value in finals if math.isfinite(value)]
    if finite:
        spread = f", standard deviation {short_text(statistics.stdev(finite))}" if len(finite) > 1 else ""
        lines.append(
            f"held-out {name} {short_text(statistics.fmean(finite))}, mean of {len(finite)} run(s) with seeds of their "
            f"own on all other examples{spread}, from {short_text(min(finite))} to {short_text(max(finite))}; the "
            "held-out examples were looked at once, by these runs"
        )
    if len(finite) < len(finals):
        lines.append(f"{len(finals) - len(finite)} of {len(finals)} runs of the winner diverged: take a smaller sgd.lr")
    lines.append(f"{words['diverged']} trial(s) diverged; {words['falling']} were slow: still falling at the end")
    return lines


def best_toml(plan: Design, state: State) -> str:
    """Return the winner's recipe, with the reason of each value that was searched as a comment.

    Raises:
        DivergenceError: If there is no winner.
    """
    winner = plan.winner(state)
    if winner is None:
        raise DivergenceError(f"{sentences(plan, state)[0]}.")
    point, recipe = state.points[winner], plan.best(state.points[winner])
    lies = coordinates_of(recipe, plan.examples)
    searched = {one.name: one for one in plan.space}
    reasons: dict[str, str] = {}
    for name, value in point.items():
        path = TWINS.get(name, name)
        why = {
            "effective_lr": f"effective lr {value}, this times what momentum sums up",
            "decay_epochs": f"weights forget over {value} epochs",
            "velocity_examples": f"the velocity sums up {value} examples",
        }.get(name, f"the best of {len(state.points)} trials")
        if name == "sgd.lr" and lies:
            why += f", an effective lr of {short_text(lies['effective_lr'])}"
        if name == "sgd.weight_decay" and lies and math.isfinite(lies["decay_epochs"]):
            why += f", weights forget over {short_text(lies['decay_epochs'])} epochs"
        one = searched[name]
        place = one.place(value)
        edge = one.kind in {"log", "uniform"} and not _EDGE <= place <= 1 - _EDGE
        beyond = "; at the edge of what was searched: search beyond" if edge else ""
        reasons[path] = f"{why}; searched {one}{beyond}"
    head = ["found by downslope tune", *sentences(plan, state)]
    return "".join(f"# {line}\n" for line in head) + "\n" + _commented(to_toml(recipe), reasons)


def _commented(text: str, reasons: dict[str, str]) -> str:
    """Return TOML with a comment at each of these paths: behind its first line."""
    lines, table = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            table = line.strip("[]")
            path = table
        else:
            path = f"{table}.{line.partition(' =')[0]}" if table else line.partition(" =")[0]
        if " " not in path and path in reasons:
            line = f"{line}  # {reasons[path]}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def summary(plan: Design, state: State) -> dict[str, Any]:
    """Return the study as data: every trial, what it tried and gave, and the runs of the winner."""

    def told(one: Result) -> dict[str, Any]:
        value = measured(plan, one.value)
        return {"value": value if math.isfinite(value) else None, "step": one.step, "outcome": one.outcome}

    return {
        "metric": plan.metric,
        "winner": plan.winner(state),
        "search": [str(one) for one in plan.space],
        "trials": [
            {
                "trial": number,
                "tried": state.points[number],
                "rungs": [told(state.results[job]) for job in sorted(state.results) if job.trial == number],
            }
            for number in sorted(state.points)
        ],
        "held_out": [{"seed": plan.recipe.seed + n, **told(one)} for n, one in sorted(state.finals.items())],
        "says": sentences(plan, state),
    }


def write_result(plan: Design, state: State, folder: Path) -> None:
    """Write `study.json` and `best.toml` into the study's folder.

    Raises:
        DivergenceError: If there is no winner.
    """
    text = json.dumps(summary(plan, state), indent=1, ensure_ascii=False)
    write_file(folder / SUMMARY, f"{text}\n".encode())
    write_file(folder / BEST, best_toml(plan, state).encode())
