"""Uses of the public interface, with the types that a user's checker sees: for pyright (`make lint`), never run."""

# Keras and optax have no stubs.
# pyright: strict, reportMissingTypeStubs=false

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import jax.numpy as jnp
import keras
import numpy as np
import optax
import torch

import downslope.keras
import downslope.numpy
import downslope.torch
from downslope import (
    Group,
    Reading,
    Recipe,
    ScheduleFree,
    Settings,
    audit,
    check_reading,
    compare,
    convert_state,
    explain,
    export,
    load_recipe,
    open_run,
    open_study,
    read,
    rescale,
    train,
    tune,
    update_matrix,
)
from downslope.auditing.finding import Audit, Finding
from downslope.comparing import Comparison
from downslope.converting.state import ConvertedState
from downslope.core.rule import StepScalars
from downslope.core.schedule_free import ScheduleFreeScalars
from downslope.explaining.explanation import Explanation
from downslope.explaining.schedule_free import AverageExplanation
from downslope.jax import SGDState, schedule_free_eval_params, schedule_free_sgd, sgd, take_step
from downslope.reading.verdicts import Verdict
from downslope.rescaling.rescaled import Rescaled
from downslope.schedules import Constant, Cosine, Exponential, Linear, MultiStep, Schedule, Sequence, Warmup
from downslope.training.folder.run_folder import RunFolder
from downslope.training.tuning.study import Study


def training() -> None:
    """Runs and studies."""
    assert_type(train("digits", "runs/digits", quiet=True), RunFolder)
    assert_type(open_run(Path("runs/digits")).recipe(), Recipe)
    assert_type(tune(load_recipe(), "studies/digits", trials=4, search={"sgd.lr": "log(1e-3, 1)"}), Study)
    assert_type(open_study("studies/digits"), Study)


def settings() -> None:
    """Settings, their matrix, groups and other systems' arguments."""
    own = Settings(lr=Cosine(0.1, 0.0, duration=10), momentum=0.9, weight_decay=5e-4, decay="decoupled")
    assert_type(own.lr, float | Schedule)
    assert_type(own.nesterov, bool)
    assert_type(own.lr_max, float)
    assert_type(own.at(3), StepScalars)
    assert_type(own.at(3).lr, float)
    assert_type(own.in_steps(100), Settings)
    assert_type(update_matrix(own, 3), np.ndarray[tuple[int, int], np.dtype[np.float64]])
    assert_type(Group(match="*.bias", weight_decay=0.0).apply(own), Settings)
    assert_type(Group(match=["*.bias", "*.scale"], momentum=0.0).match, str | tuple[str, ...])
    assert_type(ScheduleFree(lr=1.0, warmup_steps=10).at(0), ScheduleFreeScalars)
    assert_type(explain(ScheduleFree()), AverageExplanation)
    assert_type(Settings.from_convention("keras", learning_rate=0.1), Settings)
    assert_type(own.to_convention("torch"), dict[str, Any])
    assert_type(downslope.__version__, str)


def kernel() -> None:
    """The compiled kernel and its threads."""
    downslope.set_num_threads(2)
    assert_type(downslope.get_num_threads(), int)
    assert_type(downslope.kernel.backend(), str)


def schedules() -> None:
    """A schedule keeps its own type when its lengths are put in steps."""
    assert_type(downslope.schedules.Cosine(0.1, 0.0, duration=10)(3), float)
    assert_type(Linear(0.1, 0.0, 10)(np.arange(3)), Any)
    warmup = Warmup(5, Cosine(0.1, 0.0, duration=90, unit="epoch"), unit="epoch")
    assert_type(warmup.in_steps(100), Warmup)
    assert_type(warmup.then, Schedule)
    assert_type(Warmup(5, 0.1).then, Schedule)
    assert_type(MultiStep(0.1, factor=0.1, milestones=(30, 60)).milestones, tuple[float, ...])
    assert_type(MultiStep(0.1, 0.1, milestones=[30, 60]).milestones, tuple[float, ...])
    assert_type(Sequence([Warmup(5, 0.1), 0.01], boundaries=[10]).schedules, tuple[Schedule, ...])
    assert_type(Sequence((Constant(0.1), Linear(0.1, 0.0, 5)), (10,)).inner(), tuple[Schedule, ...])
    assert_type(Exponential(0.1, rate=0.5, every=10).extremes(), tuple[float, float])


def recipes() -> None:
    """Recipes, and what is done with them."""
    recipe = load_recipe("digits", overrides=[("sgd.lr", "0.05")])
    assert_type(recipe, Recipe)
    assert_type(recipe.sgd, Settings)
    assert_type(recipe.train.epochs, float | None)
    assert_type(recipe.groups, tuple[Group, ...])
    readings = read("learning rate 0.1, momentum 0.9")
    assert_type(readings, list[Reading])
    assert_type(read([Path("train.py"), ("run.sh", "python train.py --lr 0.1")], language="zh"), list[Reading])
    verdicts = check_reading("learning rate 0.1", "recipe.toml")
    assert_type(verdicts, list[Verdict])
    assert_type(verdicts[0].holds, bool)
    assert_type(explain(recipe, examples=1000), Explanation)
    assert_type(explain("lr 0.1").settings, Settings)
    assert_type(export(recipe, to="keras"), str)
    assert_type(compare(recipe, "torch: SGD(lr=0.1)"), Comparison)
    assert_type(audit(recipe, steps_per_epoch=100), Audit)
    assert_type(audit("lr 0.1").errors, tuple[Finding, ...])
    assert_type(rescale(recipe, batch_size=64, rule="half-life"), Rescaled)
    assert_type(rescale("digits", epochs=10).recipe, Recipe)


def states() -> None:
    """A state carried over."""
    converted = convert_state({"w": np.array([0.5])}, source="torch", target="keras", lr=0.1, momentum=0.9)
    assert_type(converted, ConvertedState)
    assert_type(converted.step, int)
    assert_type(converted.scales, dict[str, float])
    assert_type(converted.state, dict[str, Any])


def numpy_door() -> None:
    """Arrays by name."""
    optimizer = downslope.numpy.SGD({"w": np.ones(3)}, lr=0.1, momentum=0.9, groups=[Group(match="w", lr=0.2)])
    assert_type(optimizer.step_count, int)
    assert_type(optimizer.settings, dict[str, Settings])
    assert_type(optimizer.step({"w": np.ones(3), "b": None}), None)
    assert_type(optimizer.state_dict(), dict[str, Any])


def torch_door() -> None:
    """An optimizer of torch's, wherever one is taken."""
    model = torch.nn.Linear(2, 1)
    optimizer = downslope.torch.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    as_torch: torch.optim.Optimizer = optimizer
    as_torch.zero_grad()
    downslope.torch.SGD(
        model.named_parameters(), lr=Linear(0.1, 0.0, 10), groups=[Group(match="*.bias", weight_decay=0.0)]
    )
    torch.optim.lr_scheduler.StepLR(optimizer, 10)
    averaging = downslope.torch.ScheduleFreeSGD(model, lr=1.0, warmup_steps=10)
    assert_type(averaging.evaluation_weights(), list[torch.Tensor])


def jax_door() -> None:
    """A transformation of optax's, wherever one is taken."""
    optimizer = sgd(0.1, momentum=Cosine(0.9, 0.5, duration=10), weight_decay=jnp.float32(0.1))
    assert_type(optimizer, optax.GradientTransformationExtraArgs)
    optax.chain(optax.clip(1.0), optimizer)
    averaged = schedule_free_sgd(lr=1.0, warmup_steps=10)
    assert_type(averaged, optax.GradientTransformationExtraArgs)
    assert_type(schedule_free_eval_params(averaged.init(jnp.float32(1.0)), jnp.float32(1.0)), Any)
    state = SGDState(count=0, velocity={"w": jnp.float32(0.0)})
    grads = params = {"w": jnp.float32(1.0)}
    assert_type(take_step(optimizer, grads, state, params), tuple[Any, Any])


def keras_door() -> None:
    """An optimizer and a schedule of Keras's."""
    optimizer = downslope.keras.SGD(0.1, momentum=0.9, weight_decay=5e-4)
    keras_optimizers: list[keras.optimizers.Optimizer] = [optimizer]
    assert_type(optimizer.groups, tuple[Group, ...])
    assert_type(downslope.keras.SGD.from_config(optimizer.get_config()), downslope.keras.SGD)
    assert keras_optimizers
    as_schedule: keras.optimizers.schedules.LearningRateSchedule = downslope.keras.Scheduled(Linear(0.1, 0.0, 10))
    as_schedule(3)
