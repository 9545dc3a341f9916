"""The update rule of one run, written out: the rule's own text run on symbols.

What lives here: the equations of given settings. What does not: symbols (`terms.py`), and the rule and the ways of
weight decay; they are asked, not repeated, so the page cannot drift from the code.
"""

from __future__ import annotations

from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, scalars
from downslope.core.symbols import PYTHON, Term

# The update rule as source code


def step_source(settings: Settings, names: dict[str, str]) -> tuple[str | None, str, str | None]:
    """Return the source of a step: the new velocity, what is added to the parameter, and what is taken from it.

    Args:
        settings: The settings; of numbers that `names` does not name, the value is written.
        names: What the variables are called: "param", "grad", "velocity", "lr" and, if wanted, "momentum",
            "weight_decay", "dampening".

    Returns:
        The new velocity, None where none is kept; what the gradient adds to the parameter; and what weight decay takes
        from it directly, or None.

    Example:
        >>> names = {"param": "w", "grad": "g", "velocity": "v", "lr": "lr"}
        >>> step_source(Settings(lr=0.1, momentum=0.9, weight_decay=0.5, decay="decoupled"), names)
        ('0.9 * v + g', '-lr * v', 'lr * 0.5 * w')
    """
    symbols = {key: Term("name", (name,)) for key, name in names.items()}

    def number(key: str) -> Any:
        return symbols[key] if key in symbols and getattr(settings, key) != 0 else getattr(settings, key)

    step = scalars(
        lr=symbols["lr"],  # pyright: ignore[reportArgumentType]  # symbols stand for the numbers
        momentum=number("momentum"),
        weight_decay=number("weight_decay"),
        dampening=number("dampening"),
        nesterov=settings.nesterov,
        decay=settings.decay,
        lr_in_velocity=settings.lr_in_velocity,
        maximize=settings.maximize,
        lr_initial=settings.lr_initial,
        lr_max=settings.lr_max,
    )
    delta, velocity = sgd_rule(symbols["param"], symbols["grad"], symbols["velocity"], step)
    decayed = delta.parts[1].text({}, PYTHON) if delta.kind == "-" else None
    direction = delta.parts[0] if delta.kind == "-" else delta
    if settings.momentum == 0:
        return None, direction.text({}, PYTHON), decayed
    return velocity.text({}, PYTHON), direction.text({id(velocity): names["velocity"]}, PYTHON), decayed


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
