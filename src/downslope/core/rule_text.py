"""The update rule of given settings, written out: the rule itself and the ways of weight decay, run on symbols.

Neither is repeated here, so that what is written cannot drift from what is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from downslope.core.rule import StepScalars, sgd_rule
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule
from downslope.core.schedules.schedule import value_at
from downslope.core.settings import Settings
from downslope.core.symbols import MATHS, PYTHON, Notation, Term
from downslope.core.tensor_factors import TensorFactors, factors_of


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

    named = {key: symbol for key, symbol in symbols.items() if getattr(settings, key, 0) != 0 or key == "lr"}
    step = _scalars(settings, named)
    delta, velocity = sgd_rule(symbols["param"], symbols["grad"], symbols["velocity"], step)
    decayed = delta.parts[1].text({}, PYTHON) if delta.kind == "-" else None
    direction = delta.parts[0] if delta.kind == "-" else delta
    if settings.momentum == 0:
        return None, direction.text({}, PYTHON), decayed
    return velocity.text({}, PYTHON), direction.text({id(velocity): names["velocity"]}, PYTHON), decayed


def equations(settings: Settings, notation: Notation = MATHS) -> list[tuple[str, str]]:
    """Return the update rule of `settings` as pairs (what is set, to what), in the order in which they are done.

    lr keeps its name; of momentum and weight decay the numbers are put in, unless a schedule moves them.

    Args:
        settings: The settings. The trust ratio of a tensor is called `ratio`, the factor of adaptive clipping `clip`.
        notation: How they are written.

    Example:
        >>> from downslope import Settings
        >>> for left, right in equations(Settings(lr=0.1, momentum=0.9, weight_decay=0.25, decay="decoupled")):
        ...     print(left, "=", right.replace("\N{MINUS SIGN}", "-").replace("\N{MIDDLE DOT}", "*"))
        velocity = 0.9 * velocity + grad
        param = param - lr * velocity - lr * 0.25 * param
    """
    if isinstance(settings, ScheduleFree):
        return _of_average(settings, notation)
    lr, param, grad, velocity = (Term("name", (name,)) for name in ("lr", "param", "grad", "velocity"))
    moving = {name: Term("name", (name,)) for name in _MOVING if isinstance(getattr(settings, name), Schedule)}
    step = _with_factors(_scalars(settings, {**moving, "lr": lr}), factors_of(settings))
    delta, new_velocity = sgd_rule(param, grad, velocity, step)
    lines: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    decayed = _smallest_with(new_velocity, {id(param), id(grad)} & {id(leaf) for leaf in new_velocity.leaves()})
    if decayed.kind in {"+", "-"}:
        lines.append((notation.name("g"), decayed.text(names, notation)))
        names[id(decayed)] = "g"
    if any(leaf is velocity for leaf in new_velocity.leaves()):
        lines.append((notation.name("velocity"), new_velocity.text(names, notation)))
        names[id(new_velocity)] = "velocity"
    lines.append((notation.name("param"), (param + delta).text(names, notation)))
    return lines


def _with_factors(step: StepScalars, factors: TensorFactors) -> StepScalars:
    """Return the scalars with names for the factors that each tensor has of its own, as in `TensorFactors.of`."""
    if not factors.given:
        return step
    ratio: Any = 1.0 if factors.trust_coefficient is None else Term("name", ("ratio",))
    clip: Any = 1.0 if factors.adaptive_clip is None else Term("name", ("clip",))
    return replace(step, grad_scale=ratio * clip * step.grad_scale, coupled_decay=ratio * step.coupled_decay)


def _of_average(settings: ScheduleFree, notation: Notation) -> list[tuple[str, str]]:
    """Return the three equations of schedule-free SGD, which its rule is with x eliminated."""
    lr, x, y, z, c, grad = (Term("name", (name,)) for name in ("lr", "x", "y", "z", "c", "grad"))
    step = _scalars(settings, {"lr": lr, **{n: Term("name", (n,)) for n in _MOVING if _moves(settings, n)}})
    pull = step.grad_scale * grad + step.coupled_decay * y
    b = value_at(settings.momentum, 0)
    lines: list[tuple[str, Term]] = [("y", (1 - b) * z + b * x), ("z", z - lr * pull), ("x", (1 - c) * x + c * z)]
    return [(notation.name(name), term.text({}, notation)) for name, term in lines]


def _moves(settings: Settings, name: str) -> bool:
    return isinstance(getattr(settings, name), Schedule)


def _smallest_with(term: Term, wanted: set[int]) -> Term:
    """Return the smallest part of `term` that holds all the leaves `wanted`."""
    for part in term.parts if term.kind not in {"number", "name"} else ():
        if wanted <= {id(leaf) for leaf in part.leaves()}:
            return _smallest_with(part, wanted)
    return term


_MOVING = ("momentum", "weight_decay")


def _scalars(settings: Settings, symbols: Mapping[str, Term]) -> StepScalars:
    """Return the scalars of a step with symbols in the place of some numbers."""
    numbers: dict[str, Any] = {
        name: symbols.get(name, getattr(settings, name)) for name in ("lr", *_MOVING, "dampening")
    }
    return settings.scalars_from(**numbers)
