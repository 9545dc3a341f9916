"""A recipe made into what is trained: its data, model, objective, batches and state, and how many steps they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn

import downslope
from downslope import kernel
from downslope.core.errors import CheckpointError, DataError
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.core.tables import to_table
from downslope.recipe.run_length import steps_in_epochs
from downslope.recipe.schema import Augment, Recipe, Train
from downslope.training.data import Dataset, load_data
from downslope.training.device import HOST, is_channels_last, is_host, name_of, place_model, prefers_channels_last
from downslope.training.folder.checkpoint import Checkpoint, plain_recipe
from downslope.training.folder.manifest import Start
from downslope.training.folder.names import ANEW
from downslope.training.models import MODELS, build_model
from downslope.training.run.batches import Batches
from downslope.training.run.class_weights import weigh_classes
from downslope.training.run.environment import count_work, describe_environment, differences, fitting_threads
from downslope.training.run.freezing import freeze
from downslope.training.run.losses import build_loss, margin_of
from downslope.training.run.objective import Objective, Supervised
from downslope.training.run.sampling import build_sampler
from downslope.training.run.starting import lines_of, start
from downslope.training.run.state import TrainingState, build_state, checksum_of
from downslope.training.workers.workers import ALONE, Workers

if TYPE_CHECKING:
    from downslope.training.augmenting.augment import Augmenter
    from downslope.training.workers.sharded import Sharding


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a run is made of.

    Attributes:
        recipe: The recipe as it was given.
        dataset: Its data.
        fingerprint: Checksum of the data.
        objective: What is learned.
        batches: Which examples each step takes.
        state: The model and all that changes with it.
        total_steps: Steps until the run is finished.
        sharding: The model's sharding over several workers, or None.
        augment: Changes the examples of each step at random, or None.
        device: What computes; data and objective stay on the host.
        start: What the run took of other weights before its first step, or None.
        frozen: Names of the parameters that are not learned.
    """

    recipe: Recipe
    dataset: Dataset
    fingerprint: str
    objective: Objective
    batches: Batches
    state: TrainingState
    total_steps: int
    sharding: Sharding | None = None
    augment: Augmenter | None = None
    device: torch.device = HOST
    start: Start | None = None
    frozen: frozenset[str] = frozenset()

    def facts(self) -> dict[str, Any]:
        """Return what `run.json` holds: plain facts for those who read the run later."""
        recipe, data = self.recipe, self.dataset
        groups = self.state.optimizer.param_groups
        matches: list[str | None] = [", ".join(group.patterns) for group in recipe.groups]
        return {
            "format": 1,
            "downslope": downslope.__version__,
            "environment": describe_environment(self.device),
            "data": {
                "name": data.name,
                "train_examples": len(data.train_inputs),
                "held_out_examples": len(data.held_out_inputs),
                "input_shape": list(data.train_inputs.shape[1:]),
                "classes": data.classes,
                **_most_frequent(data),
                **({"class_names": list(data.class_names)} if data.class_names else {}),
                **({"labels": list(data.labels)} if data.labels else {}),
                "fingerprint": self.fingerprint,
            },
            "steps_per_epoch": self.batches.steps_per_epoch,
            "total_steps": self.total_steps,
            "parameters": {name: list(p.shape) for name, p in self.state.model.named_parameters()},
            "groups": [
                {"match": match, "parameters": list(group["param_names"])}
                for match, group in zip([*matches, None][: len(groups)], groups, strict=True)
            ],
            **({} if self.start is None else {"start": msgspec.to_builtins(self.start)}),
            **(
                {"frozen": [name for name, _ in self.state.model.named_parameters() if name in self.frozen]}
                if self.frozen
                else {}
            ),
        }

    def lines(self, folder: Path) -> list[str]:
        """Return the lines that training begins with."""
        data, model = self.dataset, self.state.model
        kinds = "" if data.classes is None else f", {data.classes} classes"
        kinds = f", {len(data.labels)} labels" if data.labels else kinds
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        still = sum(p.numel() for name, p in model.named_parameters() if name in self.frozen)
        frozen = f" that are learned, {still:,} frozen" if self.frozen else ""
        groups = f", {len(self.recipe.groups)} group(s) with settings of their own" if self.recipe.groups else ""
        eight_bits = ", velocities of 8 bits" if self.recipe.train.velocity_dtype == "int8" else ""
        per_epoch, per_step = self.batches.steps_per_epoch, self.recipe.data.batch_size * self.recipe.train.accumulate
        learned, held_out = len(data.train_inputs), len(data.held_out_inputs)
        return [
            f"data        {data.name}: {learned:,} examples to learn from, {held_out:,} held out{kinds}",
            *(f"            {shown(note, 400)}" for note in data.notes),
            *(["            drawn by class, with replacement"] if self.recipe.data.sampling is not None else []),
            f"model       {self.recipe.model.name}: {count:,} parameters{frozen}",
            *([] if self.start is None else lines_of(self.start)),
            f"optimizer   SGD, {describe_settings(self.recipe.sgd)}{groups}{eight_bits}",
            *self._about_averaged_norms(),
            f"length      {self.total_steps:,} steps of {per_step:,} examples, {per_epoch:,} to an epoch",
            f"runs on     {self._runs_on()}",
            f"step        {kernel.backend() if is_host(self.device) else 'by torch, on the device'}",
            f"run folder  {folder}",
        ]

    def _about_averaged_norms(self) -> list[str]:
        """Return a line where statistics of the weights while training go with averaged weights."""
        if not isinstance(self.recipe.sgd, ScheduleFree):
            return []
        if not any(name.rpartition(".")[2] == "running_mean" for name, _ in self.state.model.named_buffers()):
            return []
        return ["            batch normalisation: its statistics are those of y, also where x is evaluated and kept"]

    def _runs_on(self) -> str:
        told = f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)"
        if is_host(self.device):
            return told
        train = self.recipe.train
        how = [train.precision if train.precision != "float32" else "float32 with TF32" if train.tf32 else "float32"]
        how += ["channels last"] if is_channels_last(self.state.model) else []
        return f"{name_of(self.device)}, {', '.join(how)}; {told}"

    def fitting_threads(self, checkpoint: Checkpoint | None) -> AbstractContextManager[None]:
        """Return what has torch use as many threads as fit what is trained, from a checkpoint on, within a ``with``."""
        recipe, model = self.recipe, self.state.model
        example = self.dataset.train_inputs.shape[1:]
        return fitting_threads(
            sum(p.numel() for p in model.parameters()),
            shards=recipe.train.shards,
            work=count_work(model, example, recipe.data.batch_size) if is_host(self.device) else 0,
            begun=None if checkpoint is None else checkpoint.manifest["environment"].get("threads"),
        )

    def restore(self, checkpoint: Checkpoint | None) -> list[str]:
        """Take up a checkpoint, after checking that it belongs to this task; return notes for the person.

        Args:
            checkpoint: The checkpoint; None to begin at the beginning.

        Raises:
            CheckpointError: If it was trained on other data, is after the last step, or does not fit the model.
        """
        if checkpoint is None:
            return []
        if checkpoint.manifest["data"] != self.fingerprint:
            raise CheckpointError(
                f"{checkpoint.run_folder}: was trained on other data: those that {self.recipe.data.name!r} gives now "
                f"differ. Restore the data, or {ANEW}."
            )
        if checkpoint.step > self.total_steps:
            raise CheckpointError(
                f"{checkpoint.folder}: is at step {checkpoint.step}, after the recipe's last, {self.total_steps}. "
                f"Give more epochs or steps, or {ANEW}."
            )
        notes = self.state.restore(checkpoint, plain_recipe(self.recipe))
        # The device, and with the model the number of threads, are known only now; all else was compared in the plan.
        then, now = checkpoint.manifest["environment"], describe_environment(self.device)
        late = ("threads", "device", "device_name", "device_software")
        then, now = ({key: where[key] for key in late if key in where} for where in (then, now))
        return [*notes, *differences(then, now)]


def _most_frequent(data: Dataset) -> dict[str, float]:
    """Return the share of the most frequent class among the held-out examples, which is right without learning."""
    targets = data.held_out_targets
    if data.classes is None or targets.dim() != 1 or targets.is_floating_point() or not len(targets):
        return {}
    return {"most_frequent": int(targets.bincount().max()) / len(targets)}


def build_task(
    recipe: Recipe, workers: Workers = ALONE, device: torch.device = HOST, *, begun: Mapping[str, Any] | None = None
) -> Task:
    """Return what a recipe's run is made of, before its first step, its model on a device.

    Args:
        recipe: The recipe.
        workers: The workers that share each step.
        device: What computes.
        begun: The manifest of the checkpoint that is going to take the place of all weights, if there is one.

    Raises:
        DownslopeError: If something in it cannot be had, or does not fit together.
    """
    train = recipe.train
    build_loss(train.loss)  # a name that is none is told before data are read, which go by it
    dataset = weigh_classes(train, load_data(recipe, None if begun is None else begun["data"]))
    model = build_model(recipe, dataset, begun=begun is not None)
    if begun is None:
        started = start(model, recipe, dataset, workers)
    else:
        started = msgspec.convert(begun.get("start"), Start | None)
    frozen = freeze(model, train.freeze)
    model = place_model(model, device, channels_last=has_channels_last(recipe, device, model))
    sharding = _shard(model, dataset, workers) if train.parallel == "sharded" else None
    batches = build_batches(recipe, dataset)
    in_steps = recipe.in_steps(batches.steps_per_epoch)
    return Task(
        recipe=recipe,
        dataset=dataset,
        fingerprint=dataset.fingerprint(),
        objective=build_objective(in_steps, dataset),
        batches=batches,
        state=build_state(
            model,
            in_steps.sgd,
            in_steps.groups,
            train,
            metrics=dataset.metrics(train.loss),
            watched=recipe.watched,
            frozen=frozen,
        ),
        total_steps=count_steps(train, batches.steps_per_epoch),
        sharding=sharding,
        augment=build_augmenter(recipe, dataset),
        device=device,
        start=started,
        frozen=frozen,
    )


def has_channels_last(recipe: Recipe, device: torch.device, model: nn.Module) -> bool:
    """Return whether a recipe's images and convolutions lie in memory with their channels last on a device."""
    asked = recipe.train.channels_last
    return recipe.model.name in MODELS and prefers_channels_last(device, model) if asked is None else asked


def build_batches(recipe: Recipe, dataset: Dataset) -> Batches:
    """Return which examples each step of a recipe's run takes."""
    return Batches(
        count=len(dataset.train_inputs),
        batch_size=recipe.data.batch_size,
        accumulate=recipe.train.accumulate,
        shards=recipe.train.shards,
        seed=recipe.seed,
        sizes=dataset.sizes(),
        sampler=build_sampler(recipe.data, dataset, recipe.seed),
    )


def build_augmenter(recipe: Recipe, dataset: Dataset) -> Augmenter | None:
    """Return what changes the examples of each step at random, or None."""
    augment = recipe.data.augment
    if augment is None or replace(augment, tta=None) == Augment():
        return None
    from downslope.training.augmenting.augment import Augmenter

    return Augmenter(augment, dataset, recipe.train.loss, recipe.seed)


def build_objective(recipe: Recipe, dataset: Dataset) -> Objective:
    """Return what a recipe's run learns.

    Args:
        recipe: The recipe, its schedules in steps.
        dataset: Its data.

    Raises:
        DataError: If there is no such loss, or data, model and loss do not go together.
    """
    train = recipe.train
    if dataset.sequences is not None:
        from downslope.training.sequences.objective import build_sequence_objective

        return build_sequence_objective(recipe, dataset)
    if train.teacher_forcing is not None:
        raise DataError(
            f"train.teacher_forcing is for data whose targets are sequences; data.name = {dataset.name!r} has none. "
            "Leave it out."
        )
    unit = 1.0 if dataset.target_scale is None else dataset.target_scale[1]
    return Supervised(
        build_loss(train.loss, dataset.class_weights, train.label_smoothing),
        dataset.classes,
        labels=len(dataset.labels),
        one_logit=dataset.one_logit,
        margin=margin_of(train),
        class_weights=None if dataset.labels else dataset.class_weights,
        held_out_loss=build_loss(train.loss, dataset.class_weights) if train.label_smoothing else None,
        unit=None if train.loss == "output" else unit,
    )


def _shard(model: nn.Module, dataset: Dataset, workers: Workers) -> Sharding | None:
    """Spread a model over the workers, if there are several; each must have built the same."""
    if dataset.sequences is not None:
        raise DataError(
            'train.parallel = "sharded" gathers weights as a model\'s forward pass reaches them, and sequences are '
            'searched for without one. Use "replicated".'
        )
    from downslope.training.workers.process_group import WorkerGroup

    if not isinstance(workers, WorkerGroup):
        return None
    from downslope.training.workers.sharded import Sharding

    first, *others = workers.gather(checksum_of([model.state_dict()]))
    if any(other != first for other in others):
        raise DataError(
            "the model's initial weights differ from worker to worker, so they cannot be sharded: let your function "
            "draw them from torch's global generator, which the recipe's seed has set."
        )
    return Sharding(model, workers)


def count_steps(train: Train, steps_per_epoch: int) -> int:
    """Return how many steps a run takes."""
    if train.steps is not None:
        return train.steps
    total = steps_in_epochs(train.epochs or 0, steps_per_epoch)
    if total < 1:
        raise DataError(
            f"train.epochs = {train.epochs:g} is less than half a step: an epoch of these data has {steps_per_epoch} "
            f"step(s). Give at least {1 / steps_per_epoch:.2g}, or train.steps = 1."
        )
    if total >= 2**63:
        raise DataError(f"train.epochs = {train.epochs:g} is more steps than 64 bits can count. Give fewer.")
    return total


def describe_settings(settings: Settings) -> str:
    """Return settings in one line, without those that are off.

    Example:
        >>> describe_settings(Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4))
        'lr 0.1, momentum 0.9 (Nesterov), weight decay 0.0005 (coupled)'
        >>> describe_settings(Settings(lr=4.8, trust_coefficient=0.001, adaptive_clip=0.01))
        'lr 4.8, trust coefficient 0.001 (LARS), adaptive clipping 0.01'
    """
    if isinstance(settings, ScheduleFree):
        return ", ".join(_of_schedule_free(settings))
    parts = [f"lr {_number(settings.lr)}" + (" (inside the velocity)" if settings.lr_in_velocity else "")]
    if settings.momentum != 0:
        parts.append(f"momentum {_number(settings.momentum)}" + (" (Nesterov)" if settings.nesterov else ""))
    if settings.nu is not None:
        parts.append(f"nu {settings.nu:g} (quasi-hyperbolic)")
    if settings.dampening:
        parts.append(f"dampening {settings.dampening:g}")
    if settings.weight_decay != 0:
        parts.append(f"weight decay {_number(settings.weight_decay)} ({settings.decay})")
    if settings.trust_coefficient is not None:
        parts.append(f"trust coefficient {settings.trust_coefficient:g} ({'LARC' if settings.trust_clip else 'LARS'})")
    if settings.adaptive_clip is not None:
        by = " by unit" if settings.adaptive_clip_by == "unit" else ""
        parts.append(f"adaptive clipping {settings.adaptive_clip:g}{by}")
    if settings.maximize:
        parts.append("ascending")
    return ", ".join(parts)


def _of_schedule_free(settings: ScheduleFree) -> Iterator[str]:
    yield f"schedule-free, lr {_number(settings.lr)}"
    if settings.warmup_steps:
        yield f"warmup of {settings.warmup_steps:,} steps"
    yield f"b {_number(settings.momentum)}"
    if settings.weight_decay != 0:
        yield f"weight decay {_number(settings.weight_decay)} (coupled)"
    if settings.r:
        yield f"r {settings.r:g}"
    if settings.weight_lr_power != ScheduleFree().weight_lr_power:
        yield f"weights by lr to the power {settings.weight_lr_power:g}"
    if settings.maximize:
        yield "ascending"


def _number(value: float | Schedule) -> str:
    if not isinstance(value, Schedule):
        return f"{value:g}"
    table: dict[str, Any] = to_table(value)
    words = [
        name if item is True else f"{name} {item['schedule'] if isinstance(item, dict) else item}"
        for name, item in table.items()
        if name != "schedule" and item is not False and not isinstance(item, list)
    ]
    return f"{table['schedule']} ({', '.join(words)})"
