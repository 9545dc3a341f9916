"""The sections about what follows from the numbers: velocity, decay, stability, damping, rotation.

What lives here: those five. What does not: the formulas (`theory/`) and the sentences (`english.toml`, `chinese.toml`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from downslope.recipes.explaining.data import Explanation, Item
from downslope.recipes.explaining.parts import Sentence, Table
from downslope.recipes.explaining.words import Words, epochs_text, short, whole
from downslope.recipes.theory import stability

NEIGHBOURS_NAMED = ("ResNet-50", "Wide ResNet", "DenseNet (CIFAR)")
"""The famous recipes that the sentence about the timescale names; the table has all."""


def velocity_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what the velocity does."""
    gain, lr = explanation["effective_lr"], explanation.peak.lr
    if not lr:
        yield _about(gain, words, "effective_lr.zero")
    elif "velocity_horizon" not in explanation:
        yield _about(gain, words, "effective_lr.plain")
    else:
        yield _about(gain, words, "effective_lr", ratio=(gain.value or 0.0) / lr)
    for name in ("velocity_horizon", "velocity_half_life", "velocity_half_life_examples"):
        if name in explanation and explanation[name].value is not None:
            yield _about(explanation[name], words, name)


def decay_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield how long weights remember, beside famous recipes."""
    if "decay_steps" not in explanation:
        yield Sentence(words.say("decay.none"))
        return
    steps, epochs = explanation["decay_steps"], explanation["decay_epochs"]
    if steps.value is None or math.isinf(steps.value):
        yield _about(steps, words, "decay_steps.never")
    else:
        yield _about(steps, words, "decay_steps")
    if epochs.value is not None and explanation.neighbours:
        others = words.say("semicolon").join(
            words.say("decay.other", name=other.name, epochs=epochs_text(other.epochs))
            for name in NEIGHBOURS_NAMED
            for other in explanation.neighbours
            if other.name == name
        )
        yield _about(epochs, words, "decay_epochs", others=others)
        yield Table(
            "neighbours",
            tuple(words.say(f"neighbours.{name}") for name in ("name", "epochs", "source")),
            tuple(
                (other.name or words.say("this"), f"{other.epochs:.2f}", words.famous.get(other.name, other.source))
                for other in explanation.neighbours
            ),
            left=1,
            last_left=True,
            marked=next(i for i, other in enumerate(explanation.neighbours) if not other.name),
        )
    for name in ("decoupled_equivalent", "keras_l2"):
        if name in explanation and explanation[name].value:
            yield _about(explanation[name], words, name)


def stability_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield the limits of stability."""
    nesterov, lr = explanation.settings.nesterov, explanation.peak.lr
    own, other = ("nesterov", "heavy_ball") if nesterov else ("heavy_ball", "nesterov")
    momentum = explanation.peak.momentum
    curvature = explanation[f"largest_curvature_{own}"]
    if not lr:
        yield _about(curvature, words, "largest_curvature.any")
    elif (curvature.value or 0.0) <= 0:
        yield _about(curvature, words, "largest_curvature.never")
    else:
        yield _about(curvature, words, "largest_curvature", lr=lr)
        if momentum:
            yield _about(explanation[f"largest_curvature_{other}"], words, f"largest_curvature.other.{other}")
    limit = explanation[f"largest_lr_{own}"]
    if limit.value is None:
        dampening = explanation.settings.dampening
        yield _about(
            limit,
            words,
            "largest_lr.unknown",
            heavy_ball=stability.largest_lr_heavy_ball(1.0, momentum, dampening=dampening),
            nesterov=stability.largest_lr_nesterov(1.0, momentum, dampening=dampening),
        )
    else:
        fits = lr < limit.value
        percent = 0.0 if math.isinf(limit.value) else 100 * lr / limit.value
        verdict = words.say(f"largest_lr.{'' if fits else 'un'}stable", lr=lr, percent=short(percent, 3))
        yield _about(limit, words, "largest_lr", curvature=explanation.damping[-1].curvature, verdict=verdict)
        if momentum:
            yield _about(explanation[f"largest_lr_{other}"], words, f"largest_lr.{other}")
    if lr:
        yield _about(explanation["edge_full_batch"], words, "edge_full_batch")
        yield _about(explanation["edge_mini_batch"], words, "edge_mini_batch")


def damping_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what the rule does along directions."""
    peak = explanation.peak
    if not peak.lr:
        yield Sentence(words.say("damping.still"))
    elif explanation.settings.dampening:
        yield Sentence(words.say("damping.dampened"))
    if peak.lr and "critical_curvature" in explanation:
        critical = explanation["critical_curvature"]
        none = (critical.value or 0.0) <= 0
        yield _about(critical, words, "critical_curvature.none" if none else "critical_curvature")
    elif peak.lr and not peak.momentum:
        coupled = peak.weight_decay if explanation.settings.decay == "coupled" else 0.0
        yield Sentence(words.say("damping.plain", value=max(0.0, 1 / peak.lr - coupled)))
    if peak.lr and "oscillation_rate" in explanation:
        rate = explanation["oscillation_rate"]
        half_life = math.log(2) / -math.log(rate.value or 0.5)
        yield _about(rate, words, "oscillation_rate", half_life=half_life)
    if explanation.damping:
        yield Table(
            "damping",
            tuple(words.say(f"damping.{name}") for name in ("curvature", "regime", "rate", "half_life", "critical")),
            tuple(
                (
                    short(row.curvature),
                    words.say(f"regime.{row.regime}"),
                    f"× {short(row.rate)}",  # noqa: RUF001  # a multiplication sign is meant
                    "\N{EN DASH}" if row.regime == "unstable" else whole(row.half_life),
                    "\N{EN DASH}" if row.critical_momentum is None else short(row.critical_momentum),
                )
                for row in explanation.damping
            ),
        )
    for kind in ("heavy_ball", "nesterov"):
        lr, momentum, rate = (explanation[f"optimal_{kind}_{part}"] for part in ("lr", "momentum", "rate"))
        if lr.value is not None:
            yield _about(lr, words, f"optimal.{kind}", lr=lr.value, momentum=momentum.value, rate=rate.value)


def rotation_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what weights before a normalisation layer do."""
    if "rotation_per_step" not in explanation:
        yield Sentence(words.say("rotation.none"))
        return
    angle = explanation["rotation_per_step"]
    yield _about(angle, words, "rotation_per_step", degrees=math.degrees(angle.value or 0.0))
    for name in ("equilibrium_norm", "equilibrium_gradient_ratio", "equilibrium_gradient_ratio_last"):
        if name in explanation:
            yield _about(explanation[name], words, name)


def _about(item: Item, words: Words, name: str, **numbers: Any) -> Sentence:
    """Return a sentence about an item, with its formula, condition and source."""
    return Sentence(
        words.say(name, value=_shown(item), **numbers),
        equation=words.equation.get(item.formula, item.equation),
        valid=words.valid.get(item.formula, item.valid),
        source=words.source.get(item.formula, item.source),
    )


def _shown(item: Item) -> str:
    value = item.value or 0.0
    if item.unit == "epochs":
        return epochs_text(value)
    return whole(value) if item.unit in {"steps", "examples"} else short(value)
