"""Why two rules part, and what would make them equal.

What lives here: the fields at fault, found by trying, and suggestions, each of which is tried before it is given. What
does not: the walk (`parting.py`).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from downslope.core.errors import DownslopeError, SettingsError
from downslope.core.schedules.base import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exchange.conventions import find_convention
from downslope.exchange.reading import settings_from_convention
from downslope.exchange.writing import arguments_for_convention
from downslope.recipes.comparing.parting import find_parting
from downslope.recipes.comparing.sides import Side


def find_causes(a: Settings, b: Settings, last: int) -> tuple[str, ...]:
    """Return the fields whose difference parts two rules: the fewest that, made equal, make the rules equal.

    Args:
        a: Settings.
        b: Settings.
        last: The last step to look at.
    """
    differing = [one.name for one in fields(Settings) if getattr(a, one.name) != getattr(b, one.name)]
    needed = list(differing)
    # Last to stay is what needs no companion: the form of the rule before its numbers.
    for name in sorted(differing, key=lambda one: (one not in {"undampened_first_step", "decay"}, one)):
        without = [other for other in needed if other != name]
        if _same(a, b, without, last):
            needed = without
    return tuple(needed)


def _same(a: Settings, b: Settings, names: list[str], last: int) -> bool:
    try:
        moved = replace(a, **{name: getattr(b, name) for name in names})
    except SettingsError:
        return False
    return find_parting(moved, b, last).step is None


def suggest(a: Side, b: Side, causes: tuple[str, ...], last: int) -> tuple[str, ...]:
    """Return sentences on what would make the second the same as the first, or come nearest.

    Args:
        a: The one to be reproduced.
        b: The one to be changed.
        causes: The fields at fault.
        last: The last step to look at.
    """
    if b.convention:
        return tuple(filter(None, _in_convention(a, b, last)))
    found: list[str] = []
    if {"decay", "weight_decay"} & set(causes) and a.settings.decay != b.settings.decay:
        found += _other_decay(a.settings, b.settings)
    settings = ", ".join(f"sgd.{name} = {_toml(getattr(a.settings, name))}" for name in causes if name != "groups")
    if settings:
        found.append(f"to make {b.name} the same rule as {a.name}, set {settings}")
    return tuple(found)


def _in_convention(a: Side, b: Side, last: int) -> list[str]:
    row = find_convention(b.convention)
    size = b.arguments.get("batch_size") if isinstance(b.arguments.get("batch_size"), int) else None
    target, left = a.settings, ""
    try:
        arguments = arguments_for_convention(target, row.name, batch_size=size)
    except DownslopeError as error:
        left = str(error)
        target = replace(target, lr_in_velocity=row.lr_in_velocity)
        try:
            arguments = arguments_for_convention(target, row.name, batch_size=size)
        except DownslopeError as again:
            nearest = _other_decay(a.settings, b.settings)
            refused = [] if nearest else [f"{row.title} alone cannot be made the same: {again}"]
            return [*refused, *nearest, *_exporting(row.name)]
    changed = {name: value for name, value in arguments.items() if b.arguments.get(name, _NOTHING) != value}
    given = settings_from_convention(row.name, dict(arguments))
    parting = find_parting(a.settings, given, last)
    if not changed:
        return [left, *_exporting(row.name)] if left else []
    used = ", ".join(f"{name}={_written(name, value)}" for name, value in changed.items())
    gone = [f"{name}={value!r}" for name, value in b.arguments.items() if name not in arguments or name in changed]
    sentence = f"to reproduce {_what(a, changed)} in {row.title}, use {used}"
    gone = [one for one in gone if one.split("=")[0] in {"weight_decay", "kernel_regularizer", *changed}]
    sentence += f", not {' and '.join(gone)}" if gone else ""
    where = [text for name, text in arguments.elsewhere.items() if name in changed]
    sentence += f" ({'; '.join(where)})" if where else ""
    if parting.step is None:
        return [sentence]
    still = f"even then the two part at step {parting.step}"
    if row.lr_in_velocity and not a.settings.lr_in_velocity:
        still += (
            f", since lr stands inside the velocity in {row.title} and changes there: multiply its velocity by "
            "lr_new / lr_old at each change"
        )
    else:
        still += f": {left or 'they differ in what no argument of it can say'}"
    return [sentence, still, *_exporting(row.name)]


_NOTHING = object()


def _what(a: Side, changed: dict[str, Any]) -> str:
    """Return what is to be reproduced: an argument, where it is one alone, or all of the other side."""
    decays = {"weight_decay", "kernel_regularizer", "l2_loss", "wd", "alpha", "l2_regularization_weight"}
    if set(changed) <= decays and not is_zero(a.settings.weight_decay):
        whose = find_convention(a.convention).title if a.convention else a.name
        return f"the {a.settings.decay} weight_decay={_toml(a.settings.weight_decay)} of {whose}"
    return a.name


def _written(name: str, value: Any) -> str:
    return f"L2({value!r})" if name == "kernel_regularizer" else repr(value)


def _exporting(name: str) -> list[str]:
    """Return the way out where no argument helps: a program with a subclass, for the targets that get one."""
    if name not in {"torch", "keras", "optax"}:
        return []
    return [f"`downslope export RECIPE --to {name}` writes code that is the same at every step"]


def _other_decay(a: Settings, b: Settings) -> list[str]:
    """Return what comes nearest where decay is coupled on one side and not on the other."""
    if {a.decay == "coupled", b.decay == "coupled"} != {True, False} or is_zero(a.momentum):
        return []
    if (
        isinstance(a.momentum, Schedule)
        or isinstance(a.weight_decay, Schedule)
        or b.decay not in {"coupled", "decoupled"}
    ):
        return []
    if a.decay not in {"coupled", "decoupled"}:
        return []
    factor = 1 / (1 - a.momentum) if a.decay == "coupled" else 1 - a.momentum
    like = float(f"{a.weight_decay * factor:.12g}")
    sentence = (
        "coupled decay goes through momentum, decoupled decay does not, so no number makes them equal; with a constant "
        f"lr, in the long run, {a.decay} {a.weight_decay!r} pulls like {b.decay} {like!r} "
        "(weight_decay_decoupled = weight_decay_coupled / (1 - momentum))"
    )
    return [sentence]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Schedule):
        from downslope.recipes.encode import to_table

        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in to_table(value).items()) + " }"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
