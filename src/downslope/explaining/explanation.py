"""What an explanation is: frozen tables of numbers, each with its unit, its condition and its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from downslope.core.notebook import ShownInNotebooks
from downslope.core.settings import Settings
from downslope.core.tables import to_json
from downslope.recipe.schema import Recipe
from downslope.theory.direction import Stretch
from downslope.theory.forgetting import Memory


@dataclass(frozen=True, kw_only=True)
class Item:
    """One quantity.

    Attributes:
        name: What it is, for programs: "effective_lr".
        section: Where it belongs: "velocity", "decay", "stability", "damping" or "rotation".
        value: The number, which may be infinite; None where it cannot be known.
        unit: Its unit: "lr", "steps", "epochs", "examples", "curvature", "radians per step", ... or "" for none.
        equation: The equation it is computed by.
        valid: When that holds, a phrase.
        source: Where that comes from.
        formula: Name of the formula in `downslope.theory`.
        needs: What has to be passed for it to be known, separated by commas: "curvature", "curvatures" (several),
            "examples" or "batch_size"; "" if it is known.
    """

    name: str
    section: str
    value: float | None
    unit: str
    equation: str
    valid: str
    source: str
    formula: str
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class RunSize:
    """How large the run is; None for what is not known.

    Attributes:
        batch_size: Examples per step: those of a batch, times the batches that are accumulated.
        examples: Training examples per epoch.
        steps_per_epoch: Steps in an epoch.
        epochs: Epochs in all.
        total_steps: Steps in all.
    """

    batch_size: int | None = None
    examples: int | None = None
    steps_per_epoch: int | None = None
    epochs: float | None = None
    total_steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleRow:
    """One step of the schedule.

    Attributes:
        step: Step, 0-based; None where only the epoch is known.
        epoch: Epochs done before it; None where it is not known.
        lr: Learning rate.
        momentum: Momentum.
        weight_decay: Weight decay.
        effective_lr: Effective learning rate.
        decay_steps: Decay timescale in steps of that lr; infinite without decay.
        decay_epochs: The same in epochs; None where they are not known.
        memory: What becomes of a weight there, as `theory.forgetting.memory` names it: "fades", "swings", ...
        after_gap: Whether steps at which something changes are left out before it.
    """

    step: int | None
    epoch: float | None
    lr: float
    momentum: float
    weight_decay: float
    effective_lr: float
    decay_steps: float
    decay_epochs: float | None
    memory: str = "fades"
    after_gap: bool = False


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How far a quantity moves over the run.

    Attributes:
        name: Which: "lr", "momentum", "weight_decay", "effective_lr", "decay_steps" or "largest_curvature".
        first: At the first step.
        smallest: The smallest.
        smallest_at: The first step at which it is that small, in the unit of the schedule's table.
        largest: The largest.
        largest_at: The first step at which it is that large.
        last: At the last step.
        mean: Over the run; of a timescale, that of the mean pace. None where the length of the run is not known, or
            where there is no sense in it.
    """

    name: str
    first: float
    smallest: float
    smallest_at: float
    largest: float
    largest_at: float
    last: float
    mean: float | None


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A decay timescale beside others.

    Attributes:
        name: Name of the famous recipe; "" for the recipe that is explained.
        epochs: Its decay timescale in epochs.
        source: Where its numbers come from.
    """

    name: str
    epochs: float
    source: str


@dataclass(frozen=True, kw_only=True)
class DampingRow:
    """How the rule behaves along a direction, at the step that the numbers are of.

    Attributes:
        curvature: Curvature of the direction.
        regime: "over-damped", "oscillating", "alternating" or "unstable".
        rate: Factor on the error per step.
        half_life: Steps until the error is halved (doubled, if unstable); infinite if it stays.
        critical_momentum: The momentum that would damp it critically; None where there is none.
    """

    curvature: float
    regime: str
    rate: float
    half_life: float
    critical_momentum: float | None


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """The same training with another batch size, in two ways.

    Attributes:
        factor: New batch size over old.
        batch_size: New batch size; None where the old one is not known.
        lr: Learning rate, momentum kept.
        weight_decay: Weight decay, momentum kept.
        momentum_scaled: Momentum that remembers as many examples as before.
        lr_scaled: Learning rate with that momentum.
        weight_decay_scaled: Weight decay with that momentum.
        decay_kept: Whether weights then forget over as many epochs, momentum kept.
        decay_kept_scaled: The same with that momentum.
    """

    factor: float
    batch_size: int | None
    lr: float
    weight_decay: float
    momentum_scaled: float
    lr_scaled: float
    weight_decay_scaled: float
    decay_kept: bool = True
    decay_kept_scaled: bool = True


@dataclass(frozen=True, kw_only=True)
class GroupEffect:
    """What a group of parameters does otherwise than the rest.

    Attributes:
        match: Its patterns.
        changes: The settings that it changes, by name.
        lr: Its learning rate where its effective lr is largest.
        effective_lr: Its effective learning rate there.
        decay_steps: Its decay timescale in steps; infinite if it never forgets.
        decay_epochs: The same in epochs; None where they are not known.
        memory: What becomes of a weight of it, as `theory.forgetting.memory` names it.
    """

    match: tuple[str, ...]
    changes: Mapping[str, Any]
    lr: float
    effective_lr: float
    decay_steps: float
    decay_epochs: float | None
    memory: str = "fades"


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something a person should know.

    Attributes:
        name: What it is about, for programs.
        numbers: The numbers it speaks of, by name.
    """

    name: str
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Explanation(ShownInNotebooks):
    """What a recipe means. All numbers are of the step with the largest effective lr, unless they say otherwise.

    Where several steps have it, of the first of those with the strongest decay.

    Attributes:
        title: Title of the recipe, or "".
        settings: The optimizer's settings as given.
        recipe: The recipe; None where only settings were given.
        run: How large the run is.
        equations: The update rule with this recipe's numbers: pairs (what is set, to what).
        peak: The schedule at the step that the numbers are of.
        schedule: The schedule at the steps where it changes; empty where it is in epochs and in steps and how many
            steps an epoch has is not known.
        extents: How far what moves goes over the run; empty where nothing moves.
        memory: What becomes of a weight without a gradient.
        stretches: What a step does along curvatures from 0 upwards, stretch by stretch.
        items: The quantities.
        neighbours: This recipe's decay timescale among famous ones; empty where it is not known.
        damping: One row for each curvature that was given, increasing.
        batches: The same training with other batch sizes.
        groups: What the groups of parameters do.
        remarks: What a person should know.
        notes: What was understood of a sentence, in words, where the recipe was one.
        normalises: Whether the recipe's model has normalisation layers; None where that is not known.
        as_text: Writes it as text, for `str`.
    """

    title: str
    settings: Settings
    recipe: Recipe | None
    run: RunSize
    equations: tuple[tuple[str, str], ...]
    peak: ScheduleRow
    schedule: tuple[ScheduleRow, ...]
    extents: tuple[Extent, ...]
    memory: Memory
    stretches: tuple[Stretch, ...]
    items: tuple[Item, ...]
    neighbours: tuple[Neighbour, ...]
    damping: tuple[DampingRow, ...]
    batches: tuple[BatchRow, ...]
    groups: tuple[GroupEffect, ...]
    remarks: tuple[Remark, ...]
    notes: tuple[str, ...] = ()
    normalises: bool | None = None
    as_text: Callable[[Explanation], str] = field(repr=False, compare=False)

    def __getitem__(self, name: str) -> Item:
        """Return the item of that name.

        Raises:
            KeyError: If there is none: without weight decay, for example, nothing is said about its timescale.
        """
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(f"{name!r}. There are: {', '.join(item.name for item in self.items)}.")

    def __contains__(self, name: object) -> bool:
        """Whether there is an item of that name."""
        return any(item.name == name for item in self.items)

    def __str__(self) -> str:
        """The explanation as English text; `downslope.explaining.terminal` writes Chinese too."""
        return self.as_text(self)

    def to_table(self) -> dict[str, Any]:
        """Return all of it as plain dictionaries, lists, numbers and strings, for JSON.

        Infinite numbers become the string "infinity", since JSON has none.
        """
        rows = ("schedule", "extents", "memory", "stretches", "items", "neighbours", "damping", "batches", "groups")
        return {
            "title": self.title,
            "equations": [{"left": left, "right": right} for left, right in self.equations],
            "run": to_json(self.run),
            "peak": to_json(self.peak),
            **{name: to_json(getattr(self, name)) for name in (*rows, "remarks")},
            "notes": list(self.notes),
        }
