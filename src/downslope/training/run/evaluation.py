"""An evaluation during training, and what follows from it: the best so far, a smaller lr, an early stop."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from downslope.core.errors import DataError, one_of
from downslope.training.run.held_out import measure
from downslope.training.run.objective import Rates
from downslope.training.run.remarks import NONFINITE
from downslope.training.run.task import Task
from downslope.training.workers.workers import ALONE, Workers


def evaluate(task: Task, *, done: int, record: Callable[..., None], workers: Workers = ALONE) -> bool:
    """Evaluate on the held-out examples, record it, and do what follows from it.

    Args:
        task: What is trained; its state's counters, lr and `stopped` may change.
        done: Updates done.
        record: Adds a row to the log: ``record(kind, step, **fields)``.
        workers: The workers that share the measuring.

    Returns:
        Whether this is the best evaluation so far.
    """
    state, train, step = task.state, task.recipe.train, done - 1
    # Where the model is sharded, every forward pass needs the weights of all workers: each measures everything.
    measured = _measure_all(task, done, workers if task.sharding is None else ALONE)
    # What follows decides the steps to come: all workers go by the very numbers of the first.
    found, by_class = workers.broadcast(lambda: measured)
    state.held_out = found
    record("evaluation", step, epoch=task.batches.epoch(step), **found)
    if by_class:
        record("classes", step, epoch=task.batches.epoch(step), **by_class)
    for key, wanted in task.recipe.watched.items():
        if wanted not in found:
            raise DataError(
                f'{key} = "{wanted}": an evaluation of this model on these data gives {one_of(found)}. There is no R2 '
                "where all targets are the same, no errors of numbers where outputs have another shape than the "
                "targets, and no worst recall where no label occurs. Watch one of those that there are."
            )
    usable = dict(found)
    if NONFINITE in found:  # some answers are no numbers: such a model is no improvement, however many others are right
        usable = dict.fromkeys(found, math.nan)
    improved = state.best.observe(usable[state.best.metric], done)
    if (plateau := train.plateau) is not None and state.plateau is not None:
        state.plateau.observe(usable[plateau.metric], done)
        if state.plateau.waited >= plateau.patience:
            state.plateau.waited = 0
            if _reduce_lr(task, plateau.factor, plateau.min_lr):
                record("plateau", step, lr=state.optimizer.param_groups[-1]["lr"])
    if (stop := train.early_stop) is not None and state.early_stop is not None:
        state.early_stop.observe(usable[stop.metric], done)
        if state.early_stop.waited >= stop.patience:
            count = f"{stop.patience} evaluation{'s' * (stop.patience > 1)}"
            state.stopped = f"held-out {stop.metric} has not improved for {count}"
            record("stop", step, reason=state.stopped)
    return improved


def _measure_all(task: Task, done: int, workers: Workers) -> tuple[dict[str, float], dict[str, list[float | None]]]:
    """Return all metrics, and the rates of each class, those of the weights as they are."""
    with task.state.evaluating():
        rates = _measure(task, task.state.model, done, workers)
    found = rates.metrics
    if task.state.ema_updates is not None:
        with task.state.optimizer.averaged():
            of_mean = _measure(task, task.state.model, done, workers).metrics
        found |= {f"ema_{name}": value for name, value in of_mean.items()}
    return found, rates.by_class


def _measure(task: Task, model: nn.Module, done: int, workers: Workers) -> Rates:
    data, seed = task.dataset, task.recipe.seed
    return measure(
        model, task.objective, data.held_out_inputs, data.held_out_targets, seed=seed, step=done, workers=workers
    )


def _reduce_lr(task: Task, factor: float, min_lr: float) -> bool:
    """Reduce each group's lr, and return whether any of them changed."""
    groups = task.state.optimizer.param_groups
    before = [group["lr"] for group in groups]
    for group in groups:
        group["lr"] = min(group["lr"], max(group["lr"] * factor, min_lr))
    return [group["lr"] for group in groups] != before
