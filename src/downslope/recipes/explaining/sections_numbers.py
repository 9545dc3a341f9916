"""The sections about what follows from the numbers: velocity, decay, stability, damping, rotation.

The formulas are in `theory/`, the sentences in `english.toml` and `chinese.toml`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from downslope.recipes.explaining.course import Course
from downslope.recipes.explaining.data import Explanation, Item
from downslope.recipes.explaining.items import largest_lr
from downslope.recipes.explaining.parts import Sentence, Table
from downslope.recipes.explaining.words import Words, epochs_text, short, whole
from downslope.recipes.theory.direction import Stretch
from downslope.recipes.theory.forgetting import Memory

_NONE: Mapping[str, Any] = MappingProxyType({})

NEIGHBOURS_NAMED = ("ResNet-50", "Wide ResNet", "DenseNet (CIFAR)")
"""The famous recipes that the sentence about the timescale names; the table has all."""


def velocity_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what the velocity does."""
    gain, lr = explanation["effective_lr"], explanation.peak.lr
    if not gain.value:
        yield _about(gain, words, "effective_lr.dampened" if lr else "effective_lr.zero")
    elif "velocity_horizon" not in explanation:
        yield _about(gain, words, "effective_lr.plain")
    elif explanation.settings.dampening == 1:
        yield _about(gain, words, "effective_lr.ahead")
    else:
        yield _about(gain, words, "effective_lr", {"ratio": (gain.value or 0.0) / lr})
    if explanation.settings.dampening == 1:
        return
    for name in ("velocity_horizon", "velocity_half_life", "velocity_half_life_examples"):
        if name in explanation and explanation[name].value is not None:
            yield _about(explanation[name], words, name)


def decay_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield how long weights remember, beside famous recipes."""
    if "decay_steps" not in explanation:
        yield Sentence(words.say("decay.none"))
        return
    steps, epochs = explanation["decay_steps"], explanation["decay_epochs"]
    yield _about(steps, words, *_memory(explanation.memory))
    if epochs.value is not None and explanation.neighbours:
        others = words.say("semicolon").join(
            words.say("decay.other", name=other.name, epochs=epochs_text(other.epochs))
            for name in NEIGHBOURS_NAMED
            for other in explanation.neighbours
            if other.name == name
        )
        yield _about(epochs, words, "decay_epochs", {"others": others})
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


def _memory(memory: Memory) -> tuple[str, dict[str, Any]]:
    """Return the name of the sentence on what becomes of a weight, and its numbers."""
    if memory.way == "fades":
        return "decay_steps", {}
    if memory.way == "at once":
        return "decay_steps.at_once", {"percent": short(100 * memory.left, 3)}
    if memory.way == "grows":
        return "decay_steps.grows", {"rate": memory.rate}
    if memory.way == "stays":
        return "decay_steps.never", {}
    if math.isinf(memory.steps):
        return "decay_steps.for_ever", {}
    numbers = {
        "crosses": whole(memory.crosses or 0),
        "lowest": short(-100 * memory.lowest, 3),
        "lowest_at": whole(memory.lowest_at),
        "rate": memory.rate,
    }
    return f"decay_steps.{memory.way}", numbers


def stability_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield the limits of stability."""
    nesterov, lr = explanation.settings.nesterov, explanation.peak.lr
    own, other = ("nesterov", "heavy_ball") if nesterov else ("heavy_ball", "nesterov")
    momentum = explanation.peak.momentum
    curvature = explanation[f"largest_curvature_{own}"]
    if (curvature.value or 0.0) <= 0:
        yield _about(curvature, words, "largest_curvature.never")
    elif math.isinf(curvature.value or 0.0):
        yield _about(curvature, words, "largest_curvature.any")
    else:
        yield _about(curvature, words, "largest_curvature", {"lr": lr})
        if momentum:
            yield _about(explanation[f"largest_curvature_{other}"], words, f"largest_curvature.other.{other}")
    limit = explanation[f"largest_lr_{own}"]
    if limit.value is None:
        course = Course.of(explanation.settings, explanation.run)
        forms = {form: _over_l(f"largest_lr_{form}", explanation, course) for form in ("heavy_ball", "nesterov")}
        none = any(text is None for text in forms.values())
        yield _about(limit, words, "largest_lr.none" if none else "largest_lr.unknown", {} if none else forms)
    elif limit.value == 0:
        yield _about(limit, words, "largest_lr.none")
    else:
        fits = lr < limit.value
        percent = 0.0 if math.isinf(limit.value) else 100 * lr / limit.value
        verdict = words.say(f"largest_lr.{'' if fits else 'un'}stable", lr=lr, percent=short(percent, 3))
        given = explanation.damping[-1].curvature
        if math.isinf(limit.value):
            yield _about(limit, words, "largest_lr.any", {"curvature": given})
        else:
            yield _about(limit, words, "largest_lr", {"curvature": given, "verdict": verdict})
        if momentum:
            yield _about(explanation[f"largest_lr_{other}"], words, f"largest_lr.{other}")
    if math.isfinite(curvature.value or 0.0) and (curvature.value or 0.0) > 0:
        decayed = bool(explanation.peak.weight_decay) and explanation.settings.decay == "coupled"
        name = "edge_full_batch.coupled" if decayed else "edge_full_batch"
        yield _about(explanation["edge_full_batch"], words, name, {"decay": explanation.peak.weight_decay})
        yield _about(explanation["edge_mini_batch"], words, "edge_mini_batch")


def _over_l(name: str, explanation: Explanation, course: Course) -> str | None:
    """Return the largest lr as a fraction over the unknown curvature L; None where no lr is stable."""
    at_1, at_0 = (largest_lr(name, explanation.settings, course, curvature) for curvature in (1.0, 0.0))
    if not at_1:
        return None
    if math.isinf(at_1):
        return short(math.inf)
    ratio = at_1 / at_0
    beside = ratio / (1 - ratio) if ratio < 1 else math.inf
    above = short(at_1 * (1 + beside))
    return f"{above} / L" if not beside else f"{above} / (L + {short(beside)})"


def damping_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what the rule does along directions."""
    stretches = explanation.stretches
    if not stretches:
        yield Sentence(words.say("damping.still"))
    elif stretches[0].regime == "unstable":
        yield Sentence(words.say("damping.unstable"))
    else:
        wide = [one for one in stretches if short(one.start) != short(one.end)]  # others are narrower than is shown
        said = words.say("semicolon").join(_stretch(stretch, words) for stretch in wide)
        if "critical_curvature" in explanation:
            yield _about(explanation["critical_curvature"], words, "damping.stretches", {"stretches": said})
        else:
            yield Sentence(words.say("damping.stretches", stretches=said))
    if "oscillation_rate" in explanation:
        rate = explanation["oscillation_rate"]
        half_life = math.log(2) / -math.log(rate.value or 0.5)
        yield _about(rate, words, "oscillation_rate", {"half_life": half_life})
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
            numbers = {"lr": lr.value, "momentum": momentum.value, "rate": rate.value}
            yield _about(lr, words, f"optimal.{kind}", numbers)


def _stretch(stretch: Stretch, words: Words) -> str:
    regime = words.say(f"regime.{stretch.regime}")
    if not stretch.start:
        name = "stretch.all" if math.isinf(stretch.end) else "stretch.below"
    else:
        name = "stretch.above" if math.isinf(stretch.end) else "stretch.between"
    return words.say(name, start=stretch.start, end=stretch.end, regime=regime)


def rotation_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield what weights before a normalisation layer do."""
    if "rotation_per_step" not in explanation:
        why = "none"
        if math.isinf(explanation.memory.steps) and explanation.memory.way != "stays":
            why = "grows"
        elif not explanation.peak.effective_lr:
            why = "still"
        yield Sentence(words.say(f"rotation.{why}"))
        return
    angle = explanation["rotation_per_step"]
    yield _about(angle, words, "rotation_per_step", {"degrees": math.degrees(angle.value or 0.0)})
    for name in ("equilibrium_norm", "equilibrium_gradient_ratio", "equilibrium_gradient_ratio_last"):
        if name in explanation:
            yield _about(explanation[name], words, name)


def _about(item: Item, words: Words, name: str, numbers: Mapping[str, Any] = _NONE) -> Sentence:
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
