"""The update rule of one run, written out: the rule's own text run on symbols.

What lives here: the equations of given settings. What does not: symbols (`terms.py`), and the rule and the ways of
weight decay; they are asked, not repeated, so the page cannot drift from the code.
"""

from __future__ import annotations

from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, scalars
from downslope.recipes.terms import Term


def equations(settings: Settings) -> list[tuple[str, str]]:
    """Return the update rule of `settings` as pairs (what is set, to what), in the order in which they are done.

    lr keeps its name; of momentum and weight decay the numbers are put in, unless a schedule moves them.

    Args:
        settings: The settings.

    Example:
        >>> from downslope import Settings
        >>> for left, right in equations(Settings(lr=0.1, momentum=0.9, weight_decay=0.25, decay="decoupled")):
        ...     print(left, "=", right.replace("\N{MINUS SIGN}", "-").replace("\N{MIDDLE DOT}", "*"))
        velocity = 0.9 * velocity + grad
        param = param - lr * velocity - lr * 0.25 * param
    """
    lr, param, grad, velocity = (Term("name", (name,)) for name in ("lr", "param", "grad", "velocity"))
    step = scalars(
        lr=lr,  # pyright: ignore[reportArgumentType]  # symbols stand for the numbers
        momentum=_number_or_name("momentum", settings.momentum),
        weight_decay=_number_or_name("weight_decay", settings.weight_decay),
        dampening=settings.dampening,
        nesterov=settings.nesterov,
        decay=settings.decay,
        lr_in_velocity=settings.lr_in_velocity,
        maximize=settings.maximize,
        lr_initial=settings.lr_initial,
        lr_max=settings.lr_max,
    )
    delta, new_velocity = sgd_rule(param, grad, velocity, step)
    lines: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    decayed = _smallest_with(new_velocity, {id(param), id(grad)} & {id(leaf) for leaf in new_velocity.leaves()})
    if decayed.kind in {"+", "-"}:
        lines.append(("g", decayed.text(names)))
        names[id(decayed)] = "g"
    if any(leaf is velocity for leaf in new_velocity.leaves()):
        lines.append(("velocity", new_velocity.text(names)))
        names[id(new_velocity)] = "velocity"
    lines.append(("param", (param + delta).text(names)))
    return lines


def _smallest_with(term: Term, wanted: set[int]) -> Term:
    """Return the smallest part of `term` that holds all the leaves `wanted`."""
    for part in term.parts if term.kind not in {"number", "name"} else ():
        if wanted <= {id(leaf) for leaf in part.leaves()}:
            return _smallest_with(part, wanted)
    return term


def _number_or_name(name: str, value: float | Schedule) -> Any:
    return Term("name", (name,)) if isinstance(value, Schedule) else value
