"""The state of training: everything that a checkpoint holds and that a resumed run takes up again.

Model, optimizer, average and counters, taken apart into tensors and plain values and put together again. No random
state is among it; see `randomness.py`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from downslope.core.errors import CheckpointError, DataError, GroupError, StateError, one_of
from downslope.core.schedule_free import ScheduleFree
from downslope.core.settings import Settings
from downslope.recipe.measures import Metric
from downslope.recipe.schema import Group, Train
from downslope.torch import SGD, GradScaler, ScheduleFreeSGD
from downslope.torch.average import AVERAGE, average_dtype
from downslope.torch.blocks import CODES, INT8, SCALES
from downslope.torch.schedule_free import OF_AVERAGES
from downslope.training.device import HOST
from downslope.training.folder.checkpoint import Checkpoint, Tensors
from downslope.training.run.counters import BadStepRecord, Patience, Spikes

_VELOCITY = "momentum_buffer"
SCALES_OF = ".scales."
"""What begins the name of scales in a checkpoint, beside codes of 8 bits by the parameter's own name. No parameter's
name begins with a dot."""
TRAINED_OF = ".y."
"""What begins the name of a parameter as it is trained, beside a model at the average of schedule-free SGD."""

AVERAGE_OF = ".average."
"""What begins the name of a parameter's average, where it is kept in a wider format than that of the averaged model."""


@dataclass
class TrainingState:
    """All that changes while a run trains.

    Attributes:
        model: The model.
        optimizer: Its optimizer.
        ema_updates: How many steps are in the moving average of the weights, which the optimizer keeps; None where
            there is none.
        best: The best evaluation so far, which decides the checkpoint that is kept besides the newest.
        early_stop: Counter of `train.early_stop`, or None.
        plateau: Counter of `train.plateau`, or None.
        held_out: The last evaluation.
        stopped: Why training stopped before its last step, or None.
        spikes: The losses that a spike is judged by, or None.
        bad_steps: Which steps were left out, and where a rewind would lead.
        scaler: The scale of the loss, kept on the host, where forward passes compute in float16; else None.
    """

    model: nn.Module
    optimizer: SGD
    ema_updates: int | None
    best: Patience
    early_stop: Patience | None
    plateau: Patience | None
    held_out: dict[str, float] = field(default_factory=dict[str, float])
    stopped: str | None = None
    spikes: Spikes | None = None
    bad_steps: BadStepRecord = field(default_factory=BadStepRecord)
    scaler: GradScaler | None = None

    def tensors(self) -> dict[str, Tensors]:
        """Return every tensor that a checkpoint holds: "model", "optimizer" and perhaps "ema"."""
        tensors = {"model": model_tensors(self.model), "optimizer": _velocities(self.optimizer)}
        if isinstance(self.optimizer, ScheduleFreeSGD):
            tensors["model"] |= _at_average(self.model, self.optimizer)
            tensors["optimizer"] |= {TRAINED_OF + name: param for name, param in _named(self.optimizer).items()}
        if self.ema_updates is not None:
            tensors["ema"] = self._averaged_model()
            tensors["optimizer"] |= {
                AVERAGE_OF + name: self.optimizer.state[param][AVERAGE]
                for name, param in _params_by_name(self.optimizer).items()
                if AVERAGE in self.optimizer.state.get(param, {}) and param.dtype != average_dtype(param.dtype)
            }
        return tensors

    def _averaged_model(self) -> Tensors:
        """Return the model's state_dict with averages in the place of weights, in the weights' formats."""
        averages = {id(param): average for param, average in self.optimizer.averages()}
        own: dict[str, torch.Tensor] = self.model.state_dict(keep_vars=True)
        return {name: averages.get(id(tensor), tensor).detach().to(tensor.dtype) for name, tensor in own.items()}

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context in which the model has the weights that are evaluated; afterwards it has its own again."""
        return self.optimizer.evaluating() if isinstance(self.optimizer, ScheduleFreeSGD) else nullcontext()

    def count_in_average(self) -> None:
        """Count a step of the optimizer, which has moved the average with the weights, if there is one."""
        if self.ema_updates is not None:
            self.ema_updates += 1

    def table(self) -> dict[str, Any]:
        """Return everything else that a checkpoint holds, as plain values."""
        return {
            "optimizer": self.optimizer.state_dict()["param_groups"],
            "ema_updates": self.ema_updates,
            "best": self.best.state(),
            "early_stop": None if self.early_stop is None else self.early_stop.state(),
            "plateau": None if self.plateau is None else self.plateau.state(),
            "held_out": self.held_out,
            "stopped": self.stopped,
            "spikes": None if self.spikes is None else self.spikes.state(),
            "mishaps": self.bad_steps.state(),
            **({} if self.scaler is None else {"loss_scale": self.scaler.state_dict()}),
        }

    @property
    def loss_scale(self) -> float:
        """What the loss is multiplied by before the backward pass."""
        return 1.0 if self.scaler is None else self.scaler.get_scale()

    def restore(self, checkpoint: Checkpoint, now: Mapping[str, Any]) -> list[str]:
        """Take up the state of a checkpoint.

        Args:
            checkpoint: The checkpoint.
            now: The recipe from now on, as a plain table. Where its optimizer's settings differ from the checkpoint's,
                its own hold; an lr that a plateau reduced stays reduced where the recipe's lr is the same as then.

        Returns:
            Sentences for the person, on what was not taken up.

        Raises:
            CheckpointError: If the checkpoint does not fit the model.
        """
        table, then = checkpoint.manifest["state"], checkpoint.manifest["recipe"]
        same_settings = then["sgd"] == now["sgd"] and then["groups"] == now["groups"]
        same_settings = same_settings and then["train"].get("freeze", []) == now["train"]["freeze"]
        try:
            self.model.load_state_dict(checkpoint.tensors["model"])
            tensors = dict(checkpoint.tensors["optimizer"])
            wide = {name: tensors.pop(name) for name in list(tensors) if name.startswith(AVERAGE_OF)}
            averages: Tensors = {}
            if self.ema_updates is not None and "ema" in checkpoint.tensors:
                self.ema_updates = table["ema_updates"]
                averages = _averages_of(self.optimizer, checkpoint.tensors["ema"], wide) if self.ema_updates else {}
            _restore_optimizer(self.optimizer, table["optimizer"], tensors, averages, keep=not same_settings)
            notes = _carry_reduced_lr(self.optimizer, table["optimizer"], then, now) if not same_settings else []
            notes += _of_velocities(then["train"].get("velocity_dtype", "float32"), now["train"]["velocity_dtype"])
            if averages:
                notes += _of_frozen_averages(self, checkpoint.tensors["ema"])
        except KeyError as error:
            raise CheckpointError(f"{checkpoint.folder}: its manifest and its tensors differ in {error}.") from None
        except (RuntimeError, StateError) as error:
            raise CheckpointError(f"{checkpoint.folder} does not fit the recipe's model: {error}") from None
        # Counters of what the recipe no longer watches stay new, and a new patience lets a run that was stopped go on.
        self.best.load(table["best"])
        for counter, saved in ((self.early_stop, table["early_stop"]), (self.plateau, table["plateau"])):
            if counter is not None:
                counter.load(saved)
        self.held_out = dict(table["held_out"])
        if self.spikes is not None:
            self.spikes.load(table.get("spikes") or [])
        self.bad_steps.load(table.get("mishaps", {}))  # a checkpoint of an earlier version has none
        if self.scaler is not None and table.get("loss_scale"):
            self.scaler = _scaler(table["loss_scale"])
        if then["train"].get("early_stop") == now["train"].get("early_stop"):
            self.stopped = table["stopped"]
        return notes


def build_state(
    model: nn.Module,
    sgd: Settings,
    groups: Sequence[Group],
    train: Train,
    *,
    metrics: Sequence[Metric],
    watched: Mapping[str, Metric] = MappingProxyType({}),
    frozen: frozenset[str] = frozenset(),
) -> TrainingState:
    """Return the state before the first step.

    Args:
        model: The model.
        sgd: The optimizer's settings, their schedules in steps.
        groups: The parameter groups with settings of their own.
        train: The recipe's section.
        metrics: What an evaluation gives, the most telling one first.
        watched: As in `Recipe`; the first of them, or else the most telling, tells the best checkpoint.
        frozen: Names of the parameters that are not learned.

    Raises:
        DataError: If something is watched that an evaluation does not give, or the model holds what no checkpoint can.
    """
    for key, metric in watched.items():
        if metric not in metrics:
            raise DataError(f'{key} = "{metric}": an evaluation of these data gives {one_of(metrics)}.')
    model_tensors(model)
    telling: list[Metric] = [*watched.values(), metrics[0]]
    early, plateau = train.early_stop, train.plateau
    own: dict[str, Any] = {} if isinstance(sgd, ScheduleFree) else {"ema": train.ema}
    try:
        made = ScheduleFreeSGD if isinstance(sgd, ScheduleFree) else SGD
        optimizer = made(
            [(name, parameter) for name, parameter in model.named_parameters() if name not in frozen],
            settings=sgd,  # pyright: ignore[reportArgumentType] -- of the class that was chosen by it
            groups=groups,
            clip_norm=train.clip_norm,
            on_nonfinite="skip" if train.on_nonfinite == "rewind" else train.on_nonfinite,
            velocity_dtype=INT8 if train.velocity_dtype == INT8 else None,
            model=model,
            **own,
        )
    except GroupError as error:
        raise GroupError(f"{error} What train.freeze matches is in no group.") if frozen else error from None
    if isinstance(optimizer, ScheduleFreeSGD):
        optimizer.train()
    return TrainingState(
        model=model,
        optimizer=optimizer,
        ema_updates=None if train.ema is None else 0,
        best=Patience(telling[0]),
        early_stop=None if early is None else Patience(early.metric, early.min_delta),
        plateau=None if plateau is None else Patience(plateau.metric, plateau.min_delta),
        spikes=None if train.spike is None else Spikes(train.spike.factor, train.spike.window),
        scaler=_scaler() if train.precision == "float16" else None,
    )


def _scaler(saved: Mapping[str, Any] = MappingProxyType({})) -> GradScaler:
    """Return what scales the loss, its numbers on the host, where each step decides by them whether it counts."""
    scaler = GradScaler(HOST.type)
    if saved:
        scaler.load_state_dict(dict(saved))
    scaler._lazy_init_scale_growth_tracker(HOST)  # noqa: SLF001  by itself it would go where the loss is
    return scaler


def model_tensors(model: nn.Module) -> Tensors:
    """Return a model's state_dict.

    Raises:
        DataError: If it holds anything but tensors.
    """
    state: dict[str, Any] = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(
                f"the model's state_dict holds `{name}`, which is {type(value).__name__}, not a tensor, and no "
                "checkpoint without pickle can save it. Keep it in a buffer (register_buffer)."
            )
    return dict(state)


def checksum_of(parts: Iterable[Mapping[str, torch.Tensor]]) -> str:
    """Return a checksum of all tensors' bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for tensors in parts:
        for tensor in tensors.values():
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _velocities(optimizer: SGD) -> Tensors:
    state = optimizer.state_dict()
    names = _names(state["param_groups"])
    found: Tensors = {}
    for index, entry in state["state"].items():
        if (velocity := entry.get(_VELOCITY, entry.get(CODES))) is not None:
            found[names[index]] = velocity
        if SCALES in entry:
            found[SCALES_OF + names[index]] = entry[SCALES]
    return found


def _params_by_name(optimizer: SGD) -> Tensors:
    """Return the optimizer's parameters by name."""
    return {
        name: param
        for group in optimizer.param_groups
        for name, param in zip(group["param_names"], group["params"], strict=True)
    }


def _named(optimizer: SGD) -> Tensors:
    """Return the same, cut off from autograd."""
    return {name: param.detach() for name, param in _params_by_name(optimizer).items()}


def _averages_of(optimizer: SGD, averaged: Tensors, wide: Tensors) -> Tensors:
    """Return the averages that are kept out of a checkpoint: as they were, where the model's format is narrow."""
    kept = [name for group in optimizer.param_groups if group["ema"] is not None for name in group["param_names"]]
    return {name: wide.get(AVERAGE_OF + name, averaged[name]) for name in kept}


def _of_frozen_averages(state: TrainingState, averaged: Tensors) -> list[str]:
    """Return a sentence where weights that are frozen from here on had an average that was another."""
    held = set(_params_by_name(state.optimizer))
    left = [
        name
        for name, param in state.model.named_parameters()
        if name not in held and not torch.equal(averaged[name].to(param.device), param.detach())
    ]
    if not left:
        return []
    others = " and others" if len(left) > 1 else ""
    return [f"the average of {left[0]}{others}, frozen from here on, is the weights themselves: nothing moves them"]


def _at_average(model: nn.Module, optimizer: ScheduleFreeSGD) -> Tensors:
    """Return the parameters of a model's state_dict that are learned, at the average."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    found = {id(param): weight for param, weight in zip(params, optimizer.evaluation_weights(), strict=True)}
    return {name: found[id(p)] for name, p in model.state_dict(keep_vars=True).items() if id(p) in found}


def _of_velocities(then: str, now: str) -> list[str]:
    """Return what a change of the velocities' format costs, as a sentence, if there is one."""
    if then == now:
        return []
    if now == INT8:
        return ["the velocities are rounded to 8 bits, each by up to 0.8 per cent of the largest in its block of 256"]
    return ["the velocities are float32 from here on, beginning with the numbers that 8 bits stood for"]


def _restore_optimizer(
    optimizer: SGD, groups: list[dict[str, Any]], velocities: Tensors, averages: Tensors, *, keep: bool
) -> None:
    trained = {name: tensor for name, tensor in velocities.items() if name.startswith(TRAINED_OF)}
    velocities = {name: tensor for name, tensor in velocities.items() if name not in trained}
    if keep:  # this optimizer's own groups, which may be split otherwise, with the checkpoint's counts
        counts = {key: groups[0][key] for key in ("step", "skipped")}
        points = [{key: group[key] for key in OF_AVERAGES if key in group} for group in groups]
        own = optimizer.state_dict()["param_groups"]
        points = points if any(points) else [{}] * len(own)  # of schedule-free SGD, whose groups are the same
        groups = [{**group, **counts, **point} for group, point in zip(own, points, strict=True)]
        held = set(_names(groups).values())  # what is frozen from now on has no velocity
        velocities = {name: v for name, v in velocities.items() if name.removeprefix(SCALES_OF) in held}
    places = {name: index for index, name in _names(groups).items()}
    state: dict[int, Any] = {}
    for name, velocity in velocities.items():
        of_name = SCALES_OF + name
        if of_name in velocities:
            state[places[name]] = {CODES: velocity, SCALES: velocities[of_name]}
        elif not name.startswith(SCALES_OF):
            state[places[name]] = {_VELOCITY: velocity}
    for name, average in averages.items():
        state.setdefault(places[name], {})[AVERAGE] = average
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it would tell of the lr that a plateau reduced
        optimizer.load_state_dict({"state": state, "param_groups": groups}, hyperparameters="keep" if keep else "load")
    with torch.no_grad():
        for name, param in _named(optimizer).items():
            if TRAINED_OF + name in trained:
                param.copy_(trained[TRAINED_OF + name])


def _carry_reduced_lr(
    optimizer: SGD, saved: list[dict[str, Any]], then: Mapping[str, Any], now: Mapping[str, Any]
) -> list[str]:
    """Give each group the lr that a plateau had reduced it to, where the recipe's lr is still the one that it reduced.

    Returns:
        A sentence for each group whose reduction is lost.
    """
    stated, reached = _lrs(saved, then, reached=False), _lrs(saved, then, reached=True)
    wanted = _lrs(optimizer.param_groups, now, reached=False)
    notes: list[str] = []
    for group in optimizer.param_groups:
        names = group["param_names"]
        reduced = {name: reached[name] for name in names if _is_reduced(stated.get(name), reached.get(name))}
        if not reduced:
            continue
        same_lr = all(stated.get(name) == wanted[name] for name in names)
        if same_lr and len(reduced) == len(names) and len(set(reduced.values())) == 1:
            group["lr"] = next(iter(reduced.values()))
            continue
        before = ", ".join(f"{lr:g}" for lr in dict.fromkeys(reduced.values()))
        which = f" of {names[0]}{' and others' if len(names) > 1 else ''}" if len(optimizer.param_groups) > 1 else ""
        notes.append(
            f"lr{which} is the recipe's again: {_told(wanted[names[0]])}. A plateau had reduced it to {before}, but "
            f"the recipe's lr or groups have changed since; give the lr you want as an override."
        )
    return notes


def _lrs(groups: list[dict[str, Any]], table: Mapping[str, Any], *, reached: bool) -> dict[str, Any]:
    """Return each parameter's lr by name: the one in its group, or the one that the recipe states for that group."""
    own = [_stated(group, table["sgd"]["lr"]) for group in table["groups"]]  # unmatched parameters come last
    stated = [*own, table["sgd"]["lr"]][: len(groups)]
    return {
        name: group["lr"] if reached else lr
        for group, lr in zip(groups, stated, strict=True)
        for name in group["param_names"]
    }


def _stated(group: Mapping[str, Any], lr: Any) -> Any:
    """Return the lr of a group in a recipe's table, where `lr` is that of all the others."""
    factor = group.get("lr_factor")
    if factor is None:
        return group.get("lr", lr)
    return {**lr, "lr_factor": factor} if isinstance(lr, Mapping) else lr * factor


def _is_reduced(stated: Any, reached: Any) -> bool:
    return isinstance(stated, int | float) and reached != stated  # a schedule moves lr itself, and no plateau then does


def _told(lr: Any) -> str:
    return f"{lr:g}" if isinstance(lr, int | float) else f"the schedule {lr['schedule']}"


def _names(groups: list[dict[str, Any]]) -> dict[int, str]:
    return {index: name for group in groups for index, name in zip(group["params"], group["param_names"], strict=True)}
