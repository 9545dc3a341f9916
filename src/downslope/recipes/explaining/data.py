"""What an explanation is: frozen tables of numbers, each with its unit, its condition and its source.

What lives here: the tables. What does not: how they are computed (`items.py`, `course.py`, `remarks.py`), and every
sentence about them (`describe.py` and the two languages beside it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.recipes.encode import to_table
from downslope.recipes.schema import Recipe


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
        formula: Name of the formula in `downslope.recipes.theory`.
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
        decay_steps: Decay timescale in steps of that lr; infinite without decay. None where steps are not known.
        decay_epochs: The same in epochs; None where they are not known.
        after_gap: Whether steps at which something changes are left out before it.
    """

    step: int | None
    epoch: float | None
    lr: float
    momentum: float
    weight_decay: float
    effective_lr: float
    decay_steps: float | None
    decay_epochs: float | None
    after_gap: bool = False


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
    """How the rule behaves along a direction, at the largest lr.

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
    """

    factor: float
    batch_size: int | None
    lr: float
    weight_decay: float
    momentum_scaled: float
    lr_scaled: float
    weight_decay_scaled: float


@dataclass(frozen=True, kw_only=True)
class GroupEffect:
    """What a group of parameters does otherwise than the rest.

    Attributes:
        match: Its patterns.
        changes: The settings that it changes, by name.
        lr: Its largest learning rate.
        effective_lr: Its effective learning rate there.
        decay_steps: Its decay timescale in steps; infinite if it never forgets.
        decay_epochs: The same in epochs; None where they are not known.
    """

    match: tuple[str, ...]
    changes: Mapping[str, Any]
    lr: float
    effective_lr: float
    decay_steps: float
    decay_epochs: float | None


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
class Explanation:
    """What a recipe means. All numbers are those at the largest lr, unless they say otherwise.

    Attributes:
        title: Title of the recipe, or "".
        settings: The optimizer's settings as given.
        recipe: The recipe; None where only settings were given.
        run: How large the run is.
        equations: The update rule with this recipe's numbers: pairs (what is set, to what).
        peak: The schedule at its largest lr.
        schedule: The schedule at the steps where it changes; empty where it is in epochs and in steps and how many
            steps an epoch has is not known.
        items: The quantities.
        neighbours: This recipe's decay timescale among famous ones; empty where it is not known.
        damping: One row for each curvature that was given, increasing.
        batches: The same training with other batch sizes.
        groups: What the groups of parameters do.
        remarks: What a person should know.
        notes: What was understood of a sentence, in words, where the recipe was one.
    """

    title: str
    settings: Settings
    recipe: Recipe | None
    run: RunSize
    equations: tuple[tuple[str, str], ...]
    peak: ScheduleRow
    schedule: tuple[ScheduleRow, ...]
    items: tuple[Item, ...]
    neighbours: tuple[Neighbour, ...]
    damping: tuple[DampingRow, ...]
    batches: tuple[BatchRow, ...]
    groups: tuple[GroupEffect, ...]
    remarks: tuple[Remark, ...]
    notes: tuple[str, ...] = ()

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
        """The explanation as English text; `downslope.recipes.explaining.describe` knows Chinese too."""
        from downslope.recipes.explaining.describe import describe

        return describe(self)

    def to_table(self) -> dict[str, Any]:
        """Return all of it as plain dictionaries, lists, numbers and strings, for JSON.

        Infinite numbers become the string "infinity", since JSON has none.
        """
        parts = {
            name: getattr(self, name)
            for name in ("schedule", "items", "neighbours", "damping", "batches", "groups", "remarks")
        }
        return {
            "title": self.title,
            "equations": [{"left": left, "right": right} for left, right in self.equations],
            "run": _plain(self.run),
            "peak": _plain(self.peak),
            **{name: _plain(rows) for name, rows in parts.items()},
            "notes": list(self.notes),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return to_table(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "infinity" if value > 0 else "-infinity"
    return value
