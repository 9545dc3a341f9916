"""Which schedule a learning rate follows that was evaluated at many times: checked at every one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from downslope.reading.plan import Plan

Samples = Sequence[tuple[float, float]]
"""(time, value), by time."""

_CLOSE = 1e-6
_STILL = 1e-4
"""What a rate changes by where too little of its way is seen to tell it."""
_MOST_LEVELS = 40
_POWERS = (0.9, 2.0, 0.5, 3.0, 4.0, 1.5, 0.75)


def recognise(samples: Samples, end: float) -> Plan | None:
    """Return the plan of the schedule that these values follow, in plain numbers, or None.

    Args:
        samples: The values, at times that begin at 0 or 1; those at `end` and later lie beyond the run and only tell
            schedules apart that agree within it.
        end: Length of the run in the same unit.

    Example:
        >>> recognise([(t, 0.1 * 0.1 ** (t // 30)) for t in range(140)], 90).fields
        {'initial': 0.1, 'rate': 0.1, 'every': 30, 'staircase': True}
        >>> recognise([(t, 0.1 if t < 60 else 0.02) for t in range(140)], 90).fields
        {'initial': 0.1, 'factor': 0.2, 'times': [60]}
    """
    if len(samples) < 2 or not all(math.isfinite(value) for _, value in samples):
        return None
    first = samples[0][0]
    if first == 1:  # counted from 1: what comes first holds before too
        samples = [(0, samples[0][1]), *samples]
    inside = [sample for sample in samples if sample[0] < end] or list(samples)
    try:
        found = _without_warmup(samples, inside, end)
        if found is None and len(samples) > len(inside):
            found = _without_warmup(inside, inside, end)
        if found is None or found.kind == "levels":
            found = _with_warmup(samples, inside, end, first) or found
    except ArithmeticError:  # values so far apart are no schedule
        return None
    if found is not None and found.kind == "linear" and found.fields["initial"] < found.fields["final"]:
        told = {"duration": found.fields["duration"], "start": found.fields["initial"]}
        if told["duration"] < end and found.fields["final"] == nice(samples[-1][1]):
            return Plan("warmup", told, then=Plan("constant", {"value": found.fields["final"]}))
        return None if not told["start"] else found  # rises from nothing all the time: no schedule of a training
    return found


def _without_warmup(samples: Samples, inside: Samples, end: float) -> Plan | None:
    values = [value for _, value in inside]
    if all(_same(value, values[0]) for value in values) and all(_same(v, values[0]) for _, v in samples):
        return Plan("constant", {"value": nice(values[0])})
    return _levels(samples, end) or _smooth(inside, end)


def _with_warmup(samples: Samples, inside: Samples, end: float, first: float) -> Plan | None:
    """Return a line up, and what comes after it, counted from the beginning or from the end of the line."""
    values = [value for _, value in inside]
    rising = 0
    slope = values[1] - values[0] if first == 0 or len(values) < 3 else values[2] - values[1]
    times = [time for time, _ in inside]
    start_at = 1 if first == 1 and len(values) > 2 and values[0] == values[1] else 0
    for place in range(start_at, len(values) - 1):
        step = times[place + 1] - times[place]
        if slope <= 0 or abs(
            values[place + 1] - values[place] - slope * step / (times[start_at + 1] - times[start_at])
        ) > _CLOSE * max(values):
            break
        rising = place + 1
    if rising < 1 or rising >= len(inside) - 1:
        return None
    step = times[start_at + 1] - times[start_at]
    per_time = slope / step
    origin = values[start_at] - per_time * times[start_at]
    # lr * (t + 1) / n ends one step early, and n is what people call its length
    early = _same(origin, per_time * step) and rising + 1 < len(times)
    duration = times[rising + 1] if early else times[rising]
    rest = [(time, value) for time, value in samples if time >= duration]
    within = [(time, value) for time, value in inside if time >= duration]
    if len(within) < 2:
        return None
    moved = [(time - duration, value) for time, value in rest]
    inner = [(time - duration, value) for time, value in within]
    ways = [(False, _clocked(rest, end)), (True, _without_warmup(moved, inner, end - duration))]
    if all(shape is not None for _, shape in ways) and [shape and shape.kind for _, shape in ways] == _ENDLESS:
        ways.reverse()
    for restart, shape in ways:
        if shape is None or shape.kind == "levels":
            continue
        top = value_at(shape, 0 if restart else duration)
        if top is not None and _same(origin + per_time * (duration - early * step), top, 1e-3):
            start = nice(origin) if abs(origin) > _CLOSE * top else 0.0
            return Plan("warmup", {"duration": nice(duration), "start": start, "restart": restart}, then=shape)
    if early:  # counted from the first step's end
        later = [(0.0, 0.0), *((time + step, value) for time, value in samples)]
        found = _with_warmup(later, [one for one in later if one[0] < end], end, 0)
        if found is not None and found.then is not None and not found.then.goes_on:
            return found
    top = origin + per_time * (duration - early * step)
    falls = all(one >= two for (_, one), (_, two) in pairwise(within))
    if not falls or rising < 2 or not _same(within[0][1], top, 1e-3):
        return None
    start = nice(origin) if abs(origin) > _CLOSE * top else 0.0
    then = Plan("constant", {"value": nice(top)}, goes_on=True)
    return Plan("warmup", {"duration": nice(duration), "start": start}, then=then)


_ENDLESS = ["multistep", "exponential"]
"""What is told by every drop that was seen, and by its period."""


def _clocked(rest: Samples, end: float) -> Plan | None:
    """Return a schedule of levels whose clock has run since the beginning, before the first of these times."""
    begun = [(float(t), rest[0][1]) for t in range(math.ceil(rest[0][0]))]
    return _without_warmup([*begun, *rest], [*begun, *(s for s in rest if s[0] < end)], end)


def _levels(samples: Samples, end: float) -> Plan | None:
    """Return a staircase: levels that each last a while."""
    changes = [
        (after[0], after[0] - before[0], before[1], after[1])
        for before, after in pairwise(samples)
        if not _same(before[1], after[1])
    ]
    inside = [change for change in changes if change[0] < end]
    changes = changes if inside or len(changes) <= 4 else []
    if not changes or len(changes) * 2 > len(samples):
        return None
    if any(gap > 1 + 1e-9 for _, gap, _, _ in changes):
        return None  # somewhere between two times that were looked at
    first = samples[0][1]
    ratios = [after / before if before else math.inf for _, _, before, after in changes]
    one_ratio = all(_same(ratio, ratios[0], 1e-4) for ratio in ratios) and math.isfinite(ratios[0])
    if one_ratio and len(changes) > 1:
        every = nice(changes[0][0])
        periodic = all(_same(change[0], every * k) for k, change in enumerate(changes, 1))
        on = (len(changes) + 1) * every > samples[-1][0]
        if periodic and on:
            return Plan(
                "exponential", {"initial": nice(first), "rate": nice(ratios[0]), "every": every, "staircase": True}
            )
        first_period = every + 1  # floor((epoch + 1) / n)
        if all(_same(change[0] + 1, first_period * k) for k, change in enumerate(changes, 1)) and len(changes) > 2:
            fields = {"initial": nice(first), "rate": nice(ratios[0]), "every": nice(first_period), "staircase": True}
            return Plan("exponential", fields, early=True)
        if periodic and len(changes) > 3 and any(after[0] - before[0] > 1 for before, after in pairwise(samples)):
            return None  # it may go on between the times that were looked at
    if len(inside) > _MOST_LEVELS:
        return None
    if not one_ratio and (found := _floored(samples, changes, first)) is not None:
        return found
    ratios = ratios[: len(inside)] if inside else ratios
    changes = inside or changes
    times = [nice(time) for time, *_ in changes]
    if all(_same(ratio, ratios[0], 1e-4) for ratio in ratios) and math.isfinite(ratios[0]):
        return Plan("multistep", {"initial": nice(first), "factor": nice(ratios[0]), "times": times})
    levels = [nice(first), *(nice(after) for *_, after in changes)]
    return Plan("levels", {"levels": levels, "times": times})


def _floored(samples: Samples, changes: list[tuple[float, float, float, float]], first: float) -> Plan | None:
    """Return a staircase of equal factors that ends at a floor."""
    if len(changes) < 2:
        return None
    rate, every, floor = nice(changes[0][3] / first) if first else 0.0, changes[0][0], samples[-1][1]
    if not 0 < rate < 1 or floor <= 0:
        return None
    if all(_same(value, max(first * rate ** math.floor(time / every + 1e-9), floor)) for time, value in samples):
        fields = {"initial": nice(first), "rate": rate, "every": nice(every), "staircase": True, "end": nice(floor)}
        return Plan("exponential", fields)
    return None


def _smooth(inside: Samples, end: float) -> Plan | None:
    """Return a smooth way: a line, a power, a cosine, an exponential, an inverse."""
    first = inside[0][1]
    last_time, last = inside[-1]
    if len(inside) < 4 or all(_same(value, first, _STILL) for _, value in inside):
        return None
    candidates: list[Plan] = []
    settled = next((time for time, value in inside if _same(value, last)), last_time)
    for duration in dict.fromkeys([end, settled, last_time, last_time + 1]):
        if duration <= 0:
            continue
        for final in dict.fromkeys(
            [0.0, last if settled < last_time or duration == last_time else 0.0, *_finals(inside, duration)]
        ):
            shared = {"initial": nice(first), "final": nice(final), "duration": nice(duration)}
            candidates.append(Plan("linear", shared))
            candidates.append(Plan("cosine", shared))
            candidates += [
                Plan("polynomial", {**shared, "power": power})
                for power in (*_POWERS, *_power_of(inside, final, duration))
            ]
    if first > 0 and inside[1][1] > 0:
        candidates += _decays(inside)
    for shape in candidates:
        if all(_same(value_at(shape, time), value, 1e-5, first) for time, value in inside):
            return shape
    return None


def _decays(inside: Samples) -> list[Plan]:
    """Return the smooth exponential, and the inverse, through the first values."""
    (t0, first), (t1, second) = inside[0], inside[1]
    rate = (second / first) ** (1 / (t1 - t0))
    if not 1e-3 < rate < 1e3:
        return []  # its powers would be too large for a float
    every = (
        next((e for e in (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0) if _round(rate**e)), 1.0)
        if rate != 1
        else 1.0
    )
    found = [
        Plan(
            "exponential", {"initial": nice(first), "rate": nice(rate**every), "every": nice(every), "staircase": False}
        )
    ]
    if first > second:
        for power in (1.0, 0.5, 0.75):
            gamma = nice(((first / second) ** (1 / power) - 1) / (t1 - t0))
            found.append(Plan("inverse", {"initial": nice(first), "gamma": gamma, "power": power}))
    return found


def _round(value: float) -> bool:
    return abs(value - float(f"{value:.3g}")) < 1e-9


def _finals(inside: Samples, duration: float) -> list[float]:
    """Return the ends that a line and a cosine through two of the values would have."""
    found: list[float] = []
    first = inside[0][1]
    time, value = inside[-1]
    done = min(time / duration, 1.0)
    for left in (1 - done, 0.5 * (1 + math.cos(math.pi * done))):
        if left < 0.999:
            final = (value - first * left) / (1 - left)
            found += [0.0 if abs(final) < 1e-9 * max(first, value) else float(f"{final:.3g}"), final]
    return found


def _power_of(inside: Samples, final: float, duration: float) -> list[float]:
    first = inside[0][1]
    time, value = inside[len(inside) // 2]
    left = 1 - time / duration
    if not 0 < left < 1 or first == final or not 0 < (value - final) / (first - final) < 1:
        return []
    return [nice(math.log((value - final) / (first - final)) / math.log(left))]


def value_at(shape: Plan, time: float) -> float | None:
    """Return the value of a schedule at a time in its own unit."""
    f = shape.fields
    formula = _FORMULAS.get(shape.kind)
    return formula(f, time) if formula is not None else None


def _ramp(left: Callable[[float], float]) -> Callable[[dict[str, Any], float], float]:
    def at(f: dict[str, Any], time: float) -> float:
        part = left(min(time / f["duration"], 1.0))
        return f["final"] + (f["initial"] - f["final"]) * part

    return at


def _exponential(f: dict[str, Any], time: float) -> float:
    periods = time / f["every"]
    value = f["initial"] * f["rate"] ** (math.floor(periods + 1e-9) if f["staircase"] else periods)
    return max(value, f["end"]) if "end" in f else value


_FORMULAS: dict[str, Callable[[dict[str, Any], float], float]] = {
    "constant": lambda f, _: f["value"],
    "linear": _ramp(lambda done: 1 - done),
    "cosine": _ramp(lambda done: 0.5 * (1 + math.cos(math.pi * done))),
    "polynomial": lambda f, time: _ramp(lambda done: (1 - done) ** f["power"])(f, time),
    "exponential": _exponential,
    "inverse": lambda f, time: f["initial"] * (1 + f["gamma"] * time) ** -f["power"],
    "multistep": lambda f, time: f["initial"] * f["factor"] ** sum(time >= m for m in f["times"]),
}


def _same(one: float | None, two: float, close: float = _CLOSE, scale: float = 0.0) -> bool:
    return one is not None and abs(one - two) <= close * max(abs(one), abs(two), scale * 1e-3, 1e-300)


def nice(value: float) -> float:
    """Return a number as a person writes it: whole ones whole, others without the last digits of arithmetic.

    Example:
        >>> nice(30.000000000000004), nice(0.010000000000000002)
        (30, 0.01)
    """
    shorter = float(f"{value:.9g}")
    found = shorter if abs(value - shorter) <= 1e-9 * max(abs(value), 1e-300) else value
    return int(found) if float(found).is_integer() and 1 <= abs(found) < 1e15 else found
