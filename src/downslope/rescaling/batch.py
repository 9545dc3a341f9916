"""Another batch size: what becomes of lr, momentum, weight decay, averages, and of all that is counted in steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from downslope.core.errors import RecipeError
from downslope.core.exact import tidy
from downslope.core.groups import Group
from downslope.core.schedules.schedule import constant_value, scaled
from downslope.core.settings import Settings
from downslope.recipe.schema import Checkpoint, Recipe, Train
from downslope.rescaling.intervals import recipe_in_time, tidied, whole
from downslope.rescaling.rescaled import differing
from downslope.theory import FORMULAS, batch
from downslope.theory.velocity import effective_lr

_LINEAR = ("the effective lr of an example stays", FORMULAS["lr_for_batch"].source)
_EXAMPLES = ("as many examples as before", "steps are now of another number of examples")

RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "linear": _LINEAR,
        "sqrt": ("the variance of a step's noise stays", FORMULAS["lr_for_batch_sqrt"].source),
        "half-life": (
            "the effective lr of an example stays, with the momentum that there is now",
            FORMULAS["lr_for_batch_and_momentum"].source,
        ),
    }
)
"""How lr goes with the batch -> what is kept, and the source."""


@dataclass(frozen=True)
class _Factors:
    """What becomes of some settings: factors on lr and weight decay, and the momentum."""

    lr: float
    weight_decay: float
    momentum: Any


def for_batch(
    recipe: Recipe,
    size: int,
    rule: str,
    reasons: dict[str, tuple[str, str]],
    remarks: list[str],
    *,
    devices: int | None = None,
) -> Recipe:
    """Return the recipe for another batch size; reasons are put into `reasons`, what is not exact into `remarks`.

    Raises:
        RecipeError: If the rule cannot be had: a half-life of a momentum that moves.
    """
    factor = Fraction(size, recipe.data.batch_size)
    time = 1 / factor
    reasons |= {
        "data": ("what was asked for", "the new batch size"),
        "sgd.lr": RULES[rule],
        "sgd.momentum": (
            "the velocity's half-life in examples stays",
            FORMULAS["momentum_for_batch"].source,
        ),
        "sgd.weight_decay": ("weights forget over as many epochs", FORMULAS["weight_decay_for_batch"].source),
        "groups": ("as for all the others, with the group's own settings", RULES[rule][1]),
        "train": _EXAMPLES,
        "checkpoint": _EXAMPLES,
        "train.ema": ("the average's half-life in examples stays", FORMULAS["average_for_batch"].source),
        "train.plateau.min_lr": RULES[rule],
        "train.shards": (
            "each device has a shard of its own, as large as before",
            "Goyal et al. 2017, section 2.3: batch normalisation sees as many examples as before",
        ),
    }
    timed = recipe_in_time(recipe, time, "step")
    reasons |= dict.fromkeys(differing(recipe, timed), _EXAMPLES)
    common = _factors(timed.sgd, factor, rule)
    train = _train(timed.train, factor, time, common.lr, remarks)
    if devices is not None:
        train = replace(train, shards=train.shards * devices)
    if train.clip_norm is not None:
        remarks.append(
            f"train.clip_norm = {train.clip_norm:g} stays: the mean of more examples has less noise, so its norm is "
            "smaller, by at most the square root of the factor, and is clipped less often"
        )
    return replace(
        recipe,
        data=replace(recipe.data, batch_size=size),
        sgd=_settings(timed.sgd, common),
        groups=tuple(_group(group, timed.sgd, common, factor, rule) for group in timed.groups),
        train=train,
        checkpoint=_checkpoint(recipe.checkpoint, time, remarks),
    )


def _factors(settings: Settings, factor: Fraction, rule: str) -> _Factors:
    times = float(factor)
    momentum: Any = settings.momentum
    if rule == "sqrt":
        lr, gain = batch.lr_for_batch_sqrt(1.0, times), batch.lr_for_batch_sqrt(1.0, times)
    elif rule == "linear":
        lr, gain = batch.lr_for_batch(1.0, times), None
    else:
        old = constant_value(settings.momentum)
        if old is None:
            raise RecipeError(
                "rule = half-life: `sgd.momentum` is a schedule, and its power is none that a recipe can hold. Use "
                "rule = linear, or a constant momentum."
            )
        momentum = tidy(batch.momentum_for_batch(old, times))
        form = {"nesterov": settings.nesterov, "nu": settings.nu}
        lr = batch.lr_for_batch_and_momentum(1.0, old, times, settings.dampening, **form)
        gain = None
        if settings.dampening and not effective_lr(1.0, old, settings.dampening, **form):
            raise RecipeError(
                "rule = half-life: with dampening = 1 no gradient enters the velocity after the first, and the "
                "effective lr is 0. Use rule = linear."
            )
    return _Factors(lr, batch.weight_decay_for_batch(1.0, settings.decay, times, lr, gain), momentum)


def _settings(settings: Settings, factors: _Factors) -> Settings:
    return replace(
        settings,
        lr=_scaled(settings.lr, factors.lr),
        momentum=factors.momentum,
        weight_decay=_scaled(settings.weight_decay, factors.weight_decay),
        **({"nesterov": False, "nu": None, "dampening": 0.0} if not factors.momentum else {}),
    )


def _group(group: Group, sgd: Settings, common: _Factors, factor: Fraction, rule: str) -> Group:
    """Return a group that does to its parameters what the rule does to all the others."""
    own = _factors(group.apply(sgd), factor, rule)
    changes: dict[str, Any] = {}
    if group.lr is not None:
        changes["lr"] = _scaled(group.lr, own.lr)
    elif group.lr_factor is not None or own.lr != common.lr:
        given = 1.0 if group.lr_factor is None else group.lr_factor
        changes["lr_factor"] = _scaled(given, own.lr / common.lr)
    if group.momentum is not None:
        changes["momentum"] = own.momentum
    if group.weight_decay is not None:
        changes["weight_decay"] = _scaled(group.weight_decay, own.weight_decay)
    elif own.weight_decay != common.weight_decay:
        changes["weight_decay"] = _scaled(sgd.weight_decay, own.weight_decay)
    if group.ema:
        changes["ema"] = tidy(batch.average_for_batch(group.ema, float(factor)))
    return replace(group, **changes)


def _scaled(value: Any, factor: float) -> Any:
    return tidied(scaled(value, factor))


def _train(train: Train, factor: Fraction, time: Fraction, lr: float, remarks: list[str]) -> Train:
    changes: dict[str, Any] = {}
    for name in ("steps", "evaluate_every", "sharpness_every"):
        if (value := getattr(train, name)) is not None:
            changes[name] = _interval(f"train.{name}", value, time, remarks)
    for name, usual in (("log_every", 1), ("measure_every", 50)):
        if (value := getattr(train, name)) not in {0, usual}:
            changes[name] = _interval(f"train.{name}", value, time, remarks)
    if train.ema is not None:
        changes["ema"] = tidy(batch.average_for_batch(train.ema, float(factor)))
    if train.plateau is not None and train.plateau.min_lr:
        changes["plateau"] = replace(train.plateau, min_lr=tidy(train.plateau.min_lr * lr))
    return replace(train, **changes)


def _checkpoint(checkpoint: Checkpoint, time: Fraction, remarks: list[str]) -> Checkpoint:
    if checkpoint.every_steps is None:
        return checkpoint
    return replace(checkpoint, every_steps=_interval("checkpoint.every_steps", checkpoint.every_steps, time, remarks))


def _interval(path: str, steps: int, time: Fraction, remarks: list[str]) -> int:
    result = whole(steps, time)
    if result != steps * time:
        remarks.append(f"{path} = {steps} would be {float(steps * time):.4g} steps, and is {result}")
    return result
