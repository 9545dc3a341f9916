"""What systems say in words of their own that are no single number: schedules, policies, regularizers, unit gain.

What lives here: turning those into fields of `Settings`, and back. What does not: which system says what
(`conventions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from downslope.core import schedules as s
from downslope.core.checks import as_float
from downslope.core.errors import SettingsError, one_of
from downslope.core.schedules.schedule import Schedule
from downslope.systems.convention import Values

# What other systems call a schedule, for people


def say_schedule(schedule: Schedule, system: str) -> str:
    """Return how a system says a schedule, or "" for one that takes ours as it is.

    Args:
        schedule: The schedule.
        system: Whose words: "torch", "optax", "keras", "tf1", or another's name.
    """
    if not system or system == "caffe":
        return ""
    if system == "optax":
        return "the schedule itself is a function of the step, which optax takes as it is" + _also(_optax(schedule))
    if system in {"keras", "tf1"}:
        words = _keras(schedule)
        if words is None:
            return f"Keras has no such schedule; wrap {schedule!r} in a LearningRateSchedule of your own"
        return (
            words.replace("keras.optimizers.schedules.", "tf.keras.optimizers.schedules.") if system == "tf1" else words
        )
    if system == "torch":
        own = f"{schedule!r}.in_steps(steps_per_epoch)" if schedule.in_epochs() else repr(schedule)
        return _torch(schedule) or f"LambdaLR(optimizer, schedule) with lr=1, where schedule is {own}"
    return f"set it before each step to schedule(step), where schedule is {schedule!r}"


def _also(words: str | None) -> str:
    return f"; {words} is the same" if words else ""


def _keras(schedule: Schedule) -> str | None:  # noqa: PLR0911 -- one for each kind of schedule
    name = "keras.optimizers.schedules."
    if schedule.in_epochs():
        return f"in epochs; resolve it first with .in_steps(steps_per_epoch): {schedule!r}"
    if isinstance(schedule, s.Exponential) and schedule.end is None:
        return (
            f"{name}ExponentialDecay(initial_learning_rate={schedule.initial!r}, decay_steps={schedule.every!r}, "
            f"decay_rate={schedule.rate!r}, staircase={schedule.staircase})"
        )
    if isinstance(schedule, s.MultiStep):
        values = [schedule.initial * schedule.factor**passed for passed in range(len(schedule.milestones) + 1)]
        boundaries = [milestone - 1 for milestone in schedule.milestones]
        return f"{name}PiecewiseConstantDecay({boundaries}, {values}); Keras switches one step after its boundary"
    if isinstance(schedule, s.Linear | s.Polynomial):
        power = schedule.power if isinstance(schedule, s.Polynomial) else 1.0
        return (
            f"{name}PolynomialDecay(initial_learning_rate={schedule.initial!r}, decay_steps={schedule.duration!r}, "
            f"end_learning_rate={schedule.final!r}, power={power!r})"
        )
    if isinstance(schedule, s.Cosine) and schedule.initial:
        alpha = schedule.final / schedule.initial
        return (
            f"{name}CosineDecay(initial_learning_rate={schedule.initial!r}, decay_steps={schedule.duration!r}, "
            f"alpha={alpha!r})"
        )
    if isinstance(schedule, s.Inverse) and schedule.power == 1:
        return (
            f"{name}InverseTimeDecay(initial_learning_rate={schedule.initial!r}, decay_steps=1, "
            f"decay_rate={schedule.gamma!r})"
        )
    return None


def _optax(schedule: Schedule) -> str | None:
    if isinstance(schedule, s.Exponential) and schedule.unit == "step" and not schedule.staircase:
        return f"optax.exponential_decay({schedule.initial!r}, {schedule.every!r}, {schedule.rate!r})"
    if isinstance(schedule, s.Cosine) and schedule.unit == "step" and schedule.initial:
        alpha = schedule.final / schedule.initial
        return f"optax.cosine_decay_schedule({schedule.initial!r}, {schedule.duration!r}, alpha={alpha!r})"
    if isinstance(schedule, s.Linear) and schedule.unit == "step":
        return f"optax.linear_schedule({schedule.initial!r}, {schedule.final!r}, {schedule.duration!r})"
    if isinstance(schedule, s.MultiStep) and schedule.unit == "step":
        scales = dict.fromkeys(schedule.milestones, schedule.factor)
        return f"optax.piecewise_constant_schedule({schedule.initial!r}, {scales})"
    return None


def _torch(schedule: Schedule) -> str | None:  # noqa: PLR0911 -- one for each kind of schedule
    unit = "epoch" if schedule.in_epochs() else "step"
    often = f"; call scheduler.step() once an {unit}" if unit == "epoch" else "; call scheduler.step() after each step"
    if isinstance(schedule, s.Exponential) and schedule.end is None:
        lr = f"lr={schedule.initial!r} and "
        if schedule.staircase:
            if not isinstance(schedule.every, int):
                return None
            return f"{lr}StepLR(optimizer, step_size={schedule.every}, gamma={schedule.rate!r}){often}"
        if unit == "step":
            return f"{lr}ExponentialLR(optimizer, gamma={schedule.rate ** (1 / schedule.every)!r}){often}"
        return None
    if isinstance(schedule, s.MultiStep):
        milestones = list(schedule.milestones)
        return f"lr={schedule.initial!r} and MultiStepLR(optimizer, {milestones}, gamma={schedule.factor!r}){often}"
    if unit == "epoch":  # torch's are then constant within an epoch, ours are not
        return None
    if isinstance(schedule, s.Cosine):
        return (
            f"lr={schedule.initial!r} and CosineAnnealingLR(optimizer, T_max={schedule.duration!r}, "
            f"eta_min={schedule.final!r}){often}, and no further than T_max, where torch's rises again"
        )
    if isinstance(schedule, s.Polynomial) and schedule.final == 0:
        return (
            f"lr={schedule.initial!r} and PolynomialLR(optimizer, total_iters={schedule.duration!r}, "
            f"power={schedule.power!r}){often}"
        )
    if isinstance(schedule, s.Linear) and schedule.initial > 0 and schedule.final <= schedule.initial:
        return (
            f"lr={schedule.initial!r} and LinearLR(optimizer, start_factor=1.0, "
            f"end_factor={schedule.final / schedule.initial!r}, total_iters={schedule.duration!r}){often}"
        )
    return None


CAFFE_POLICY = ("lr_policy", "gamma", "stepsize", "stepvalue", "power", "max_iter")
"""The fields of a Caffe solver that say how lr changes."""

_CAFFE_NEEDS: Mapping[str, tuple[str, ...]] = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power", "max_iter"),
}

SKLEARN_OTHERS = (
    *("hidden_layer_sizes", "activation", "power_t", "max_iter", "loss", "shuffle", "random_state", "tol", "verbose"),
    *("warm_start", "early_stopping", "validation_fraction", "beta_1", "beta_2", "epsilon", "n_iter_no_change"),
    "max_fun",
)
"""Arguments of scikit-learn's MLP that are no part of the update rule."""


CAFFE_OTHERS = (
    *("net", "net_param", "train_net", "test_net", "train_net_param", "test_net_param", "train_state", "test_state"),
    *("test_iter", "test_interval", "test_compute_loss", "test_initialization", "display", "average_loss", "iter_size"),
    *("snapshot", "snapshot_prefix", "snapshot_diff", "snapshot_format", "snapshot_after_train", "solver_mode"),
    *("device_id", "random_seed", "debug_info", "layer_wise_reduce", "weights", "delta", "momentum2", "rms_decay"),
)
"""Fields of a Caffe solver that are no part of the update rule; iter_size averages gradients."""


def read_caffe_policy(fields: Values) -> Values:
    """Return fields in which Caffe's lr policy has become the schedule of lr.

    Raises:
        SettingsError: If the policy is unknown, or lacks what it needs.
    """
    fields = dict(fields)
    given = {name: fields.pop(name) for name in CAFFE_POLICY if name in fields}
    policy = given.get("lr_policy", "fixed")
    if isinstance(fields["lr"], Schedule):
        if policy != "fixed":
            raise SettingsError(f"caffe: base_lr is a schedule already; do not also give lr_policy={policy!r}.")
        return fields
    if policy not in _CAFFE_NEEDS:
        raise SettingsError(f"caffe: `lr_policy` must be {one_of(_CAFFE_NEEDS)}; got {policy!r}.")
    missing = [name for name in _CAFFE_NEEDS[policy] if name not in given]
    if missing:
        raise SettingsError(f'caffe: lr_policy "{policy}" needs {one_of(missing)} too.')
    lr = as_float("base_lr", fields["lr"])
    if policy == "step":
        fields["lr"] = s.Exponential(lr, given["gamma"], given["stepsize"], staircase=True)
    elif policy == "exp":
        fields["lr"] = s.Exponential(lr, given["gamma"], 1)
    elif policy == "inv":
        fields["lr"] = s.Inverse(lr, given["gamma"], given["power"])
    elif policy == "multistep":
        steps = given["stepvalue"]
        fields["lr"] = s.MultiStep(lr, given["gamma"], tuple(steps) if isinstance(steps, list | tuple) else (steps,))
    elif policy == "poly":
        fields["lr"] = s.Polynomial(lr, 0.0, given["max_iter"], power=given["power"])
    return fields


def write_caffe_policy(fields: Values) -> Values:
    """Return fields in which a schedule of lr has become Caffe's lr policy.

    Raises:
        SettingsError: If no policy of Caffe's is this schedule.
    """
    lr = fields["lr"]
    if isinstance(lr, s.Constant):
        policy: Values = {"lr": lr.value, "lr_policy": "fixed"}
    elif isinstance(lr, s.Exponential) and lr.end is None and lr.unit == "step":
        policy = {"lr": lr.initial, "lr_policy": "step", "gamma": lr.rate, "stepsize": lr.every}
        if not lr.staircase:
            policy = {"lr": lr.initial, "lr_policy": "exp", "gamma": lr.rate ** (1 / lr.every)}
        elif not isinstance(lr.every, int):
            raise SettingsError(f"caffe cannot express {lr!r}: its stepsize is a whole number of iterations.")
    elif isinstance(lr, s.Inverse) and lr.unit == "step":
        policy = {"lr": lr.initial, "lr_policy": "inv", "gamma": lr.gamma, "power": lr.power}
    elif isinstance(lr, s.MultiStep) and lr.unit == "step":
        policy = {"lr": lr.initial, "lr_policy": "multistep", "gamma": lr.factor, "stepvalue": list(lr.milestones)}
    elif isinstance(lr, s.Linear | s.Polynomial) and lr.unit == "step" and lr.final == 0:
        power = lr.power if isinstance(lr, s.Polynomial) else 1.0
        policy = {"lr": lr.initial, "lr_policy": "poly", "power": power, "max_iter": lr.duration}
    elif isinstance(lr, Schedule):
        raise SettingsError(
            f"caffe cannot express the schedule {lr!r}: its policies are {', '.join(_CAFFE_NEEDS)}, in iterations."
        )
    else:
        policy = {"lr": lr, "lr_policy": "fixed"}
    return {**fields, **policy}


def caffe_solver_type(value: Any) -> Any:
    """Return Caffe's solver type by its present name; older files say SGD or NESTEROV, or 0 or 1."""
    return {0: "SGD", 1: "Nesterov", "NESTEROV": "Nesterov"}.get(value, value)


def keras_l2(value: Any) -> float:
    """Return the l of Keras's L2(l): from the number, the object, its configuration, or the word "l2".

    Raises:
        SettingsError: If it is another regularizer.
    """
    if isinstance(value, Mapping):
        config = cast("Mapping[str, Any]", value).get("config", value)
        if isinstance(config, Mapping) and "l2" in config and not config.get("l1"):
            return as_float("kernel_regularizer", config["l2"])
    elif value in ("l2", "L2"):
        return 0.01  # Keras's own default
    elif hasattr(value, "l2") and not getattr(value, "l1", None):
        return as_float("kernel_regularizer", float(value.l2))
    elif isinstance(value, int | float):
        return as_float("kernel_regularizer", value)
    raise SettingsError(
        f"`kernel_regularizer` must be the l of L2(l), such as 2.5e-4, or an L2 regularizer; got {value!r}. "
        "No other penalty is weight decay."
    )


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
    name, config = table.get("class_name"), table.get("config")
    if name not in _KERAS_SCHEDULES or not isinstance(config, Mapping):
        raise SettingsError(
            f"`learning_rate` is {name or dict(table)!r}, which has no counterpart here; "
            f"those that do are {one_of(_KERAS_SCHEDULES)}. Write it as one of downslope.schedules."
        )
    return _KERAS_SCHEDULES[name](cast("Mapping[str, Any]", config))


def _keras_exponential(config: Mapping[str, Any]) -> Schedule:
    return s.Exponential(
        config["initial_learning_rate"],
        config["decay_rate"],
        config["decay_steps"],
        staircase=bool(config.get("staircase", False)),
    )


def _keras_pieces(config: Mapping[str, Any]) -> Schedule:
    times = tuple(boundary + 1 for boundary in config["boundaries"])  # Keras switches one step after its boundary
    return s.Sequence(tuple(config["values"]), times)


def _keras_polynomial(config: Mapping[str, Any]) -> Schedule:
    if config.get("cycle"):
        raise SettingsError("`learning_rate`: PolynomialDecay with cycle=True has no counterpart here.")
    first, last = config["initial_learning_rate"], config["end_learning_rate"]
    return s.Polynomial(first, last, config["decay_steps"], power=config.get("power", 1.0))


def _keras_inverse(config: Mapping[str, Any]) -> Schedule:
    if config.get("staircase"):
        raise SettingsError("`learning_rate`: InverseTimeDecay with staircase=True has no counterpart here.")
    return s.Inverse(config["initial_learning_rate"], config["decay_rate"] / config["decay_steps"])


def _keras_cosine(config: Mapping[str, Any]) -> Schedule:
    first, target = config["initial_learning_rate"], config.get("warmup_target")
    top = first if target is None else target
    cosine = s.Cosine(top, top * config.get("alpha", 0.0), config["decay_steps"])
    warmup = config.get("warmup_steps") or 0
    return cosine if target is None or not warmup else s.Warmup(warmup, cosine, start=first)


_KERAS_SCHEDULES = {
    "ExponentialDecay": _keras_exponential,
    "PiecewiseConstantDecay": _keras_pieces,
    "PolynomialDecay": _keras_polynomial,
    "InverseTimeDecay": _keras_inverse,
    "CosineDecay": _keras_cosine,
}


def read_inverse_decay(fields: Values) -> Values:
    """Return fields in which the `decay` of Keras 1 and 2 has become a schedule: lr / (1 + decay * step)."""
    fields = dict(fields)
    decay = fields.pop("inverse_decay", 0.0)
    if not decay:
        return fields
    if isinstance(fields["lr"], Schedule):
        raise SettingsError(f"keras: the learning rate is a schedule already; do not also give decay={decay!r}.")
    return {**fields, "lr": s.Inverse(fields["lr"], as_float("decay", decay))}


def read_unit_gain(fields: Values) -> Values:
    """Return fields in which CNTK's unit gain has become dampening equal to momentum.

    With Nesterov, CNTK dampens the gradient of the look-ahead as well, which is a factor 1 - momentum on lr.
    """
    fields = dict(fields)
    unit_gain, momentum = fields.pop("unit_gain", False), fields["momentum"]
    if not isinstance(unit_gain, bool):
        raise SettingsError(f"cntk: `unit_gain` must be True or False; got {unit_gain!r}.")
    if not unit_gain or momentum == 0:
        return fields
    if isinstance(momentum, Schedule) or (fields.get("nesterov") and isinstance(fields["lr"], Schedule)):
        raise SettingsError("cntk: unit gain with a schedule is not one setting. Give unit_gain=False and its lr.")
    if fields.get("nesterov"):
        return {**fields, "lr": (1 - momentum) * fields["lr"]}
    return {**fields, "dampening": momentum}


def write_unit_gain(fields: Values) -> Values:
    """Return fields in which dampening equal to momentum has become CNTK's unit gain."""
    if fields["dampening"] and fields["dampening"] == fields["momentum"]:
        return {**fields, "dampening": 0.0, "unit_gain": True}
    return {**fields, "unit_gain": False}
