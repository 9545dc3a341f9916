"""What is to be exported, resolved once for every target: settings in steps, groups, the length of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from downslope.core.checks import as_count
from downslope.core.errors import ExportError
from downslope.core.groups import Group
from downslope.core.number_text import counted
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.exporting.same_rule import without_idle_schedules
from downslope.recipe.run_length import digits_to_learn_from, steps_in_epoch, steps_in_epochs
from downslope.recipe.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe ready to be written in another framework's words.

    Attributes:
        recipe: The recipe as given, schedules in the units they were written in.
        steps_per_epoch: Steps in an epoch, or None where nobody said and no part of the recipe needs it.
        counted: A sentence on where `steps_per_epoch` comes from; "" where it is not known.
        with_model: Whether the default classifier and its data belong to the program.
    """

    recipe: Recipe
    steps_per_epoch: int | None
    counted: str
    with_model: bool = False

    @property
    def settings(self) -> Settings:
        """The settings of all parameters that no group matches, schedules in steps."""
        return self.resolved(self.recipe.sgd)

    @property
    def groups(self) -> tuple[tuple[Group, Settings], ...]:
        """Each group and its whole settings, schedules in steps, in the order in which they match."""
        return tuple((group, self.resolved(group.apply(self.recipe.sgd))) for group in self.recipe.groups)

    @property
    def everyone(self) -> tuple[Settings, ...]:
        """The settings of every group, and last of those that no group matches."""
        return (*(settings for _, settings in self.groups), self.settings)

    @property
    def as_known(self) -> tuple[Settings, ...]:
        """`everyone`, with schedules left in epochs where nobody said how many steps one has."""
        if self.steps_per_epoch is not None:
            return self.everyone
        found = (*(group.apply(self.recipe.sgd) for group in self.recipe.groups), self.recipe.sgd)
        return tuple(without_idle_schedules(settings) for settings in found)

    @property
    def by_epochs(self) -> bool:
        """Whether the training is a whole number of epochs, and not a number of steps."""
        epochs = self.recipe.train.epochs
        return epochs is not None and float(epochs).is_integer()

    @property
    def epochs(self) -> int:
        """Whole epochs of a training `by_epochs`."""
        return int(self.recipe.train.epochs or 0)

    @property
    def batch_size(self) -> int:
        """Examples in one step."""
        return self.recipe.data.batch_size * self.recipe.train.accumulate

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole training, or None where an epoch's are not known."""
        train = self.recipe.train
        if train.steps is not None:
            return train.steps
        if self.steps_per_epoch is None:
            return None
        return max(1, steps_in_epochs(train.epochs or 0, self.steps_per_epoch))

    @property
    def layers(self) -> list[Layer]:
        """The dense layers of the default classifier."""
        hidden = self.recipe.model.hidden
        sizes = (64, *((64,) if hidden is None else hidden))
        found = [Layer(f"dense{n}", sizes[n - 1], sizes[n], f"relu{n}") for n in range(1, len(sizes))]
        return [*found, Layer("logits", sizes[-1], 10)]

    def resolved(self, settings: Settings) -> Settings:
        """Return settings with schedules in steps.

        Raises:
            ExportError: If they are in epochs and nobody said how many steps one has.
        """
        settings = without_idle_schedules(settings)
        values = [getattr(settings, field.name) for field in fields(settings)]
        if not any(isinstance(value, Schedule) and value.in_epochs() for value in values):
            return settings
        return settings.in_steps(self.needed_steps_per_epoch("a schedule in epochs is written in steps"))

    def counted_remarks(self, given: float | Schedule | None) -> list[str]:
        """Return what to say of a setting of the recipe that is in epochs where the program counts steps."""
        return [f"Counted in steps; {self.counted}."] if isinstance(given, Schedule) and given.in_epochs() else []

    def needed_steps_per_epoch(self, why: str) -> int:
        """Return the steps in an epoch.

        Raises:
            ExportError: If nobody said.
        """
        if self.steps_per_epoch is None:
            raise ExportError(
                f"{why}, and how many steps an epoch has is not known for data.name = {self.recipe.data.name!r}. "
                "Give --steps-per-epoch N or --examples N (in Python steps_per_epoch= or examples=)."
            )
        return self.steps_per_epoch

    def check_length(self) -> None:
        """Check that the steps of the training can be counted, where it is not one of whole epochs.

        Raises:
            ExportError: If nobody said how many steps an epoch has.
        """
        if self.recipe.train.steps is None and not self.by_epochs:
            self.needed_steps_per_epoch(f"a training of {self.recipe.train.epochs!r} epochs is counted in steps")


class Layer(NamedTuple):
    """A dense layer of the default classifier, and what follows it."""

    name: str
    inputs: int
    outputs: int
    relu: str = ""


class Definition(NamedTuple):
    """How a program defines a schedule: by a call of the framework's own function, or by its pieces."""

    name: str
    function: str
    arguments: list[str]
    remarks: list[str]
    last: str = ""
    """What `where_pieces` of schedule_source returns, as are those before it."""
    earlier: Sequence[tuple[int, str, bool]] = ()


def make_plan(recipe: Recipe, *, with_model: bool, steps_per_epoch: int | None, examples: int | None) -> Plan:
    """Return the plan of a recipe.

    Args:
        recipe: The recipe.
        with_model: Whether the default classifier is wanted too.
        steps_per_epoch: Steps in an epoch, if known.
        examples: Training examples, from which it follows.

    Raises:
        ExportError: If a number is none, both are given, or a model is wanted that is not the default one.
    """
    steps_per_epoch, examples = (
        None if value is None else as_count(name, value, error=ExportError)
        for name, value in (("steps_per_epoch", steps_per_epoch), ("examples", examples))
    )
    if steps_per_epoch is not None and examples is not None:
        raise ExportError("give `steps_per_epoch` or `examples`, not both: one follows from the other.")
    if with_model and (recipe.model.name != "mlp" or recipe.data.name != "digits"):
        raise ExportError(
            "with_model writes the default classifier, `mlp` on `digits`; this recipe has "
            f"model.name = {recipe.model.name!r} and data.name = {recipe.data.name!r}. Export it without, and call "
            f"what is written from your own code."
        )
    if with_model and recipe.train.loss != "cross_entropy":
        raise ExportError(f"with_model writes the loss `cross_entropy`; this recipe has {recipe.train.loss!r}.")
    if with_model and recipe.train.class_weights is not None:
        raise ExportError(
            "with_model writes the loss `cross_entropy` in which all classes count alike; this recipe has "
            "train.class_weights. Export it without, and call what is written from your own code."
        )
    plateau = recipe.train.plateau
    if with_model and plateau is not None and plateau.metric not in {"loss", "accuracy"}:
        raise ExportError(
            "with_model writes a classifier, which has a loss and an accuracy; train.plateau.metric = "
            f'"{plateau.metric}" watches neither. '
            "Export it without, and call what is written from your own code."
        )
    how = f"{counted(str(steps_per_epoch), 'step')} an epoch, as given"
    if steps_per_epoch is None:
        steps_per_epoch, how = _count(recipe, examples)
    return Plan(recipe=recipe, steps_per_epoch=steps_per_epoch, counted=how, with_model=with_model)


def _count(recipe: Recipe, examples: int | None) -> tuple[int | None, str]:
    data, accumulate = recipe.data, recipe.train.accumulate
    whose = counted(str(examples), "example")
    if examples is None:
        if data.name != "digits":
            return None, ""
        examples = digits_to_learn_from(data.held_out, data.validation)
        whose = f"the {examples} training examples of the embedded digits (for other data give --examples)"
    steps = steps_in_epoch(examples, data.batch_size, accumulate)
    return steps, f"{counted(str(steps), 'step')} an epoch: {whose}, {data.batch_size * accumulate} to a step"
