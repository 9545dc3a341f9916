"""What other systems call a schedule: one table, with the way there and back.

A row says how one of our classes is written in one system, by its own name and arguments, and where it is what the
system's says, read back. People are told by `say_schedule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from downslope.core import schedules as s
from downslope.core.checks import as_float
from downslope.core.errors import SettingsError, one_of
from downslope.core.exact import exact
from downslope.core.schedules.schedule import Schedule
from downslope.systems.convention import Values


@dataclass(frozen=True, kw_only=True)
class Counterpart:
    """What one system has for one of our schedules.

    Attributes:
        system: "torch", "keras", "optax" or "caffe".
        name: What it is called there.
        kind: Our class.
        arguments: Its arguments in their order, without the lr that the optimizer itself is given (torch, Caffe).
        write: Our schedule to its arguments, those that have to be given, and the optimizer's "lr" first; None where
            it is not the same.
        read: Its arguments to our schedule; None where another row of that name reads.
        defaults: Its own defaults, where reading needs them.
        by_place: How many arguments are written without their names.
        note: What to know of it, after the call.
    """

    system: str
    name: str
    kind: type[Schedule]
    arguments: tuple[str, ...]
    write: Callable[[Any], Values | None]
    read: Callable[[Mapping[str, Any]], Schedule] | None = None
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType(dict[str, Any]()))
    by_place: int = 0
    note: str = ""

    def call(self, values: Mapping[str, Any], *before: str) -> str:
        """Return the call with these arguments, and some before them."""
        given = [(name, value) for name, value in values.items() if name in self.arguments]
        listed = [f"{value!r}" if i < self.by_place else f"{name}={value!r}" for i, (name, value) in enumerate(given)]
        return f"{self.name}({', '.join([*before, *listed])})"


def counterparts(system: str) -> dict[str, Counterpart]:
    """Return what a system has, by its own names: the rows that read, or the only ones of their name."""
    found: dict[str, Counterpart] = {}
    for row in TABLE:
        if row.system == system and (row.read is not None or row.name not in found):
            found[row.name] = row
    return found


def written(schedule: Schedule, system: str) -> tuple[Counterpart, Values] | None:
    """Return the row that says a schedule in a system, and the arguments; None where the system has none."""
    of_kind = (row for row in TABLE if row.system == system and isinstance(schedule, row.kind))
    return next(((row, values) for row in of_kind if (values := row.write(schedule)) is not None), None)


def say_schedule(schedule: Schedule, system: str) -> str:
    """Return how a system says a schedule, for people; "" for a system that takes ours as it is.

    Args:
        schedule: The schedule.
        system: Whose words: "torch", "optax", "keras", "tf1", or another's name.
    """
    if not system or system == "caffe":
        return ""
    if system == "tf1":
        return say_schedule(schedule, "keras").replace(_KERAS_HOME, f"tf.{_KERAS_HOME}")
    if system == "keras" and schedule.in_epochs():
        return f"in epochs; resolve it first with .in_steps(steps_per_epoch): {schedule!r}"
    found, taken = (
        written(schedule, system),
        "the schedule itself is a function of the step, which optax takes as it is",
    )
    if found is None:
        own = f"{schedule!r}.in_steps(steps_per_epoch)" if schedule.in_epochs() else repr(schedule)
        without = {
            "keras": f"Keras has no such schedule; wrap {schedule!r} in a LearningRateSchedule of your own",
            "torch": f"LambdaLR(optimizer, schedule) with lr=1, where schedule is {own}",
            "optax": taken,
        }
        return without.get(system, f"set it before each step to schedule(step), where schedule is {schedule!r}")
    row, values = found
    if system == "torch":
        often = "once an epoch" if schedule.in_epochs() else "after each step"
        return f"lr={values['lr']!r} and {row.call(values, 'optimizer')}; call scheduler.step() {often}{row.note}"
    return (
        f"{taken}; optax.{row.call(values)} is the same"
        if system == "optax"
        else f"{_KERAS_HOME}{row.call(values)}{row.note}"
    )


_KERAS_HOME = "keras.optimizers.schedules."


# Keras: reading its configurations, and writing


def keras_lr(value: Any) -> Any:
    """Return a learning rate; a schedule's Keras configuration becomes our schedule.

    Raises:
        SettingsError: If it is a schedule of Keras's that has no counterpart here.
    """
    if not isinstance(value, Mapping):
        if hasattr(value, "get_config") and not isinstance(value, Schedule):
            return keras_lr({"class_name": type(value).__name__, "config": value.get_config()})
        return value
    table = cast("Mapping[str, Any]", value)
    name, config, known = table.get("class_name"), table.get("config"), counterparts("keras")
    row = known.get(name) if isinstance(name, str) else None
    if row is None or row.read is None or not isinstance(config, Mapping):
        raise SettingsError(
            f"`learning_rate` is {name or dict(table)!r}, which has no counterpart here; "
            f"those that do are {one_of(known)}. Write it as one of downslope.schedules."
        )
    return row.read(cast("Mapping[str, Any]", config))


def _read_polynomial(config: Mapping[str, Any]) -> Schedule:
    if config.get("cycle"):
        raise SettingsError("`learning_rate`: PolynomialDecay with cycle=True has no counterpart here.")
    first, last = config["initial_learning_rate"], config["end_learning_rate"]
    return s.Polynomial(first, last, config["decay_steps"], power=config.get("power", 1.0))


def _read_piecewise(config: Mapping[str, Any]) -> Schedule:
    # Keras casts boundaries to the step's integers, and switches after them.
    times = [
        time if isinstance(time, int) else math.floor(as_float("boundaries", time)) for time in config["boundaries"]
    ]
    return s.Sequence(boundaries=tuple(time + 1 for time in times), schedules=tuple(config["values"]))


def _read_inverse_time(config: Mapping[str, Any]) -> Schedule:
    if config.get("staircase"):
        raise SettingsError("`learning_rate`: InverseTimeDecay with staircase=True has no counterpart here.")
    return s.Inverse(config["initial_learning_rate"], config["decay_rate"] / config["decay_steps"])


def _read_cosine(config: Mapping[str, Any]) -> Schedule:
    first, target = config["initial_learning_rate"], config.get("warmup_target")
    top = first if target is None else target
    cosine = s.Cosine(top, top * config.get("alpha", 0.0), config["decay_steps"])
    warmup = config.get("warmup_steps") or 0
    return cosine if target is None or not warmup else s.Warmup(warmup, cosine, start=first)


# Milestones


def _whole(times: Iterable[float]) -> list[int]:
    """Return the first step, or epoch, after each milestone or boundary: other systems count to whole ones."""
    return [math.ceil(exact(time)) for time in times]


def _all_differ(one: s.MultiStep) -> bool:
    """Return whether no two milestones have the same first step, which systems with one drop a step cannot have."""
    return len(set(_whole(one.milestones))) == len(one.milestones)


# Caffe: a solver's policy


CAFFE_POLICY = ("lr_policy", "gamma", "stepsize", "stepvalue", "power", "max_iter")
"""The fields of a Caffe solver that say how lr changes."""


def read_caffe_policy(fields: Values) -> Values:
    """Return fields in which Caffe's lr policy has become the schedule of lr.

    Raises:
        SettingsError: If the policy is unknown, or lacks what it needs.
    """
    fields = dict(fields)
    given = {name: fields.pop(name) for name in CAFFE_POLICY if name in fields}
    policy, known = given.get("lr_policy", "fixed"), counterparts("caffe")
    if isinstance(fields["lr"], Schedule):
        if policy != "fixed":
            raise SettingsError(f"caffe: base_lr is a schedule already; do not also give lr_policy={policy!r}.")
        return fields
    if policy not in known:
        raise SettingsError(f"caffe: `lr_policy` must be {one_of(known)}; got {policy!r}.")
    row = known[policy]
    missing = [name for name in row.arguments if name not in given]
    if missing:
        raise SettingsError(f'caffe: lr_policy "{policy}" needs {one_of(missing)} too.')
    lr = as_float("base_lr", fields["lr"])
    return {**fields, "lr": fields["lr"] if row.read is None else row.read({**given, "lr": lr})}


def write_caffe_policy(fields: Values) -> Values:
    """Return fields in which a schedule of lr has become Caffe's lr policy.

    Raises:
        SettingsError: If no policy of Caffe's is this schedule.
    """
    lr = fields["lr"]
    if not isinstance(lr, Schedule):
        return {**fields, "lr_policy": "fixed"}
    found = written(lr, "caffe")
    if found is None:
        policies = ", ".join(counterparts("caffe"))
        raise SettingsError(f"caffe cannot express the schedule {lr!r}: its policies are {policies}, in iterations.")
    row, values = found
    return {**fields, "lr": values.pop("lr"), "lr_policy": row.name, **values}


def _caffe_step(one: s.Exponential) -> Values | None:
    if not one.staircase or one.end is not None or one.unit == "epoch":
        return None
    if not isinstance(one.every, int):
        raise SettingsError(f"caffe cannot express {one!r}: its stepsize is a whole number of iterations.")
    return {"lr": one.initial, "gamma": one.rate, "stepsize": one.every}


def _read_multistep(given: Mapping[str, Any]) -> Schedule:
    steps = given["stepvalue"]
    return s.MultiStep(given["lr"], given["gamma"], tuple(steps) if isinstance(steps, list | tuple) else (steps,))


def read_inverse_decay(fields: Values) -> Values:
    """Return fields in which the `decay` of Keras 1 and 2 has become a schedule: lr / (1 + decay * step)."""
    fields = dict(fields)
    decay = fields.pop("inverse_decay", 0.0)
    if not decay:
        return fields
    if isinstance(fields["lr"], Schedule):
        raise SettingsError(f"keras: the learning rate is a schedule already; do not also give decay={decay!r}.")
    return {**fields, "lr": s.Inverse(fields["lr"], as_float("decay", decay))}


# The rows; of those of one class in one system, the first that can write it does.


def _row(
    system: str, name: str, kind: type[Schedule], arguments: str, write: Callable[[Any], Values | None], **more: Any
) -> Counterpart:
    return Counterpart(system=system, name=name, kind=kind, arguments=tuple(arguments.split()), write=write, **more)


_KERAS_LR = "initial_learning_rate"
_ONE_LATER = "; Keras switches one step after its boundary"

TABLE: tuple[Counterpart, ...] = (
    # torch.optim.lr_scheduler
    _row(
        "torch", "StepLR", s.Exponential, "step_size gamma",
        lambda one: {"lr": one.initial, "step_size": one.every, "gamma": one.rate}
        if one.staircase and one.end is None and isinstance(one.every, int) else None,
        defaults={"gamma": 0.1},
    ),
    _row(
        "torch", "ExponentialLR", s.Exponential, "gamma",
        lambda one: {"lr": one.initial, "gamma": one.rate ** (1 / one.every)}
        if not one.staircase and one.end is None and one.unit == "step" else None,
    ),
    _row(
        "torch", "MultiStepLR", s.MultiStep, "milestones gamma",
        # By equality with the count. One within an epoch is at none of its ends.
        lambda one: {"lr": one.initial, "milestones": _whole(one.milestones), "gamma": one.factor}
        if one.unit == "step" or all(isinstance(milestone, int) for milestone in one.milestones) else None,
        defaults={"gamma": 0.1},
        by_place=1,
    ),
    # Those of torch are constant within an epoch where they are stepped once an epoch; ours are not.
    _row(
        "torch", "CosineAnnealingLR", s.Cosine, "T_max eta_min",
        lambda one: {"lr": one.initial, "T_max": one.duration, "eta_min": one.final} if one.unit == "step" else None,
        defaults={"eta_min": 0.0},
        note=", and no further than T_max, where torch's rises again",
    ),
    _row(
        "torch", "PolynomialLR", s.Polynomial, "total_iters power",
        lambda one: {"lr": one.initial, "total_iters": one.duration, "power": one.power}
        if one.unit == "step" and one.final == 0 and isinstance(one.duration, int) else None,
        defaults={"power": 1.0},
    ),
    _row(
        "torch", "LinearLR", s.Linear, "start_factor end_factor total_iters",
        lambda one: {"lr": one.initial, "start_factor": 1.0, "end_factor": one.final / one.initial,
                     "total_iters": one.duration}
        if one.unit == "step" and isinstance(one.duration, int) and 0 <= one.final <= one.initial > 0 else None,
    ),
    # keras.optimizers.schedules, and tf.keras's
    _row(
        "keras", "ExponentialDecay", s.Exponential, f"{_KERAS_LR} decay_steps decay_rate staircase name",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": one.every, "decay_rate": one.rate, "staircase": False}
        if one.end is None and not one.staircase else None,
        read=lambda config: s.Exponential(
            config[_KERAS_LR], config["decay_rate"], config["decay_steps"],
            staircase=bool(config.get("staircase", False)),
        ),
    ),
    _row(
        "keras", "ExponentialDecay", s.Exponential, f"{_KERAS_LR} decay_steps decay_rate staircase",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": one.every, "decay_rate": one.rate, "staircase": True}
        if one.end is None else None,
        note="; Keras counts periods by a division in floating point: compiled, it drops one step late for many "
        "(41, 4690, 46900, ...)",
    ),
    _row(
        "keras", "PiecewiseConstantDecay", s.MultiStep, "boundaries values name",
        lambda one: {"boundaries": [first - 1 for first in _whole(one.milestones)],
                     "values": one.levels()},
        read=_read_piecewise,
        by_place=2,
        note=_ONE_LATER,
    ),
    _row(
        "keras", "PiecewiseConstantDecay", s.Sequence, "boundaries values",
        lambda one: {"boundaries": [first - 1 for first in _whole(one.boundaries)],
                     "values": [piece.reference for piece in one.schedules]}
        if all(isinstance(piece, s.Constant) for piece in one.schedules) else None,
        by_place=2,
        note=_ONE_LATER,
    ),
    _row(
        "keras", "PolynomialDecay", s.Polynomial, f"{_KERAS_LR} decay_steps end_learning_rate power cycle name",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": one.duration, "end_learning_rate": one.final,
                     "power": one.power}
        if float(one.power).is_integer() else None,
        read=_read_polynomial,
        defaults={"end_learning_rate": 0.0001, "power": 1.0},
    ),
    _row(
        "keras", "PolynomialDecay", s.Polynomial, f"{_KERAS_LR} decay_steps end_learning_rate power",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": one.duration, "end_learning_rate": one.final,
                     "power": one.power},
        note="; compiled, it may be NaN from decay_steps on, where 1 - decay_steps / decay_steps is rounded below 0",
    ),
    _row(
        "keras", "PolynomialDecay", s.Linear, f"{_KERAS_LR} decay_steps end_learning_rate power",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": one.duration, "end_learning_rate": one.final, "power": 1.0},
    ),
    _row(
        "keras", "InverseTimeDecay", s.Inverse, f"{_KERAS_LR} decay_steps decay_rate staircase name",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": 1, "decay_rate": one.gamma} if one.power == 1 else None,
        read=_read_inverse_time,
    ),
    _row(
        "keras", "CosineDecay", s.Cosine, f"{_KERAS_LR} decay_steps alpha name warmup_target warmup_steps",
        lambda one: {_KERAS_LR: one.initial, "decay_steps": one.duration, "alpha": one.final / one.initial}
        if one.initial else None,
        read=_read_cosine,
    ),
    _row(
        "keras", "CosineDecay", s.Warmup, f"{_KERAS_LR} decay_steps alpha warmup_target warmup_steps",
        lambda one: {_KERAS_LR: one.start, "decay_steps": one.then.duration,
                     "alpha": one.then.final / one.then.initial,
                     "warmup_target": one.then.initial, "warmup_steps": one.duration}
        if one.restart and isinstance(one.then, s.Cosine) and one.then.initial
        and isinstance(one.duration, int) and one.duration else None,
    ),
    # optax
    _row(
        "optax", "exponential_decay", s.Exponential,
        "init_value transition_steps decay_rate transition_begin staircase end_value",
        # Its end is a floor where the rate is below 1, whatever the sign: of a value below 0 it is none.
        lambda one: {"init_value": one.initial, "transition_steps": one.every, "decay_rate": one.rate,
                     **({} if one.end is None else {"end_value": one.end})}
        if one.unit == "step" and not one.staircase and (one.end is None or one.initial >= 0) else None,
        by_place=3,
    ),
    _row(
        "optax", "cosine_decay_schedule", s.Cosine, "init_value decay_steps alpha exponent",
        lambda one: {"init_value": one.initial, "decay_steps": one.duration, "alpha": one.final / one.initial}
        if one.unit == "step" and one.initial else None,
        by_place=2,
    ),
    _row(
        "optax", "linear_schedule", s.Linear, "init_value end_value transition_steps transition_begin",
        lambda one: {"init_value": one.initial, "end_value": one.final, "transition_steps": one.duration}
        if one.unit == "step" else None,
        by_place=3,
    ),
    _row(
        "optax", "piecewise_constant_schedule", s.MultiStep, "init_value boundaries_and_scales",
        lambda one: {"init_value": one.initial,
                     "boundaries_and_scales": dict.fromkeys(_whole(one.milestones), one.factor)}
        if one.unit == "step" and _all_differ(one) else None,
        by_place=2,
    ),
    # Caffe's lr_policy, in iterations
    _row("caffe", "fixed", s.Constant, "", lambda one: {"lr": one.value}),
    _row(
        "caffe", "step", s.Exponential, "gamma stepsize", _caffe_step,
        read=lambda given: s.Exponential(given["lr"], given["gamma"], given["stepsize"], staircase=True),
    ),
    _row(
        "caffe", "exp", s.Exponential, "gamma",
        lambda one: {"lr": one.initial, "gamma": one.rate ** (1 / one.every)}
        if not one.staircase and one.end is None and one.unit == "step" else None,
        read=lambda given: s.Exponential(given["lr"], given["gamma"], 1),
    ),
    _row(
        "caffe", "inv", s.Inverse, "gamma power",
        lambda one: {"lr": one.initial, "gamma": one.gamma, "power": one.power} if one.unit == "step" else None,
        read=lambda given: s.Inverse(given["lr"], given["gamma"], given["power"]),
    ),
    _row(
        "caffe", "multistep", s.MultiStep, "gamma stepvalue",
        lambda one: {"lr": one.initial, "gamma": one.factor, "stepvalue": _whole(one.milestones)}
        if one.unit == "step" and _all_differ(one) else None,
        read=_read_multistep,
    ),
    _row(
        "caffe", "poly", s.Polynomial, "power max_iter",
        lambda one: {"lr": one.initial, "power": one.power, "max_iter": one.duration}
        if one.unit == "step" and one.final == 0 else None,
        read=lambda given: s.Polynomial(given["lr"], 0.0, given["max_iter"], power=given["power"]),
    ),
    _row(
        "caffe", "poly", s.Linear, "power max_iter",
        lambda one: {"lr": one.initial, "power": 1.0, "max_iter": one.duration}
        if one.unit == "step" and one.final == 0 else None,
    ),
)  # fmt: skip
