"""What the optimizer knows besides its variables, and its hyperparameters as attributes.

What lives here: `Held`, kept apart from the optimizer's own attributes, since Keras tracks and wraps what it is given,
and `Fixed`, an attribute that reads from it. What does not: variables, checks of values, the step.
"""

from __future__ import annotations

from typing import Any

from downslope.core.errors import SettingsError
from downslope.core.groups import Group
from downslope.core.rule import StepScalars
from downslope.core.settings import Settings
from downslope.keras.variables import Exclusion, VariableRule


class Held:
    """What the optimizer knows besides its variables.

    Attributes:
        settings: Settings of all variables that no group matches.
        weight_decay: As given: None is Keras's word for none.
        groups: Settings that differ by path.
        exclusion: What weight decay leaves alone.
        rules: By variable, in order, what applies to it; empty until the optimizer is built.
        has_stepped: Whether a step was taken or traced.
        scalars: Those of the present step, by rule and format.
        waiting: Variables loaded before the optimizer was built.
        plan: On the torch backend, the variables that the compiled kernel steps.
    """

    def __init__(self, settings: Settings, weight_decay: Any, groups: tuple[Group, ...]) -> None:
        self.settings = settings
        self.weight_decay = weight_decay
        self.groups = groups
        self.exclusion = Exclusion()
        self.rules: tuple[VariableRule, ...] = ()
        self.has_stepped = False
        self.scalars: dict[tuple[int, str], StepScalars] = {}
        self.waiting: list[Any] | None = None
        self.plan: Any = None


class Fixed:
    """A hyperparameter as an attribute that is read only: a compiled step would not see it change."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = f"{doc} Fixed when the optimizer is made."

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute."""
        self.name = name

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        """Return the value in the settings."""
        if optimizer is None:
            return self
        held = optimizer._held
        return held.weight_decay if self.name == "weight_decay" else getattr(held.settings, self.name)

    def __set__(self, optimizer: Any, value: Any) -> None:
        """Refuse."""
        if "_held" not in vars(optimizer):
            return  # the base class sets its own weight_decay, None, before ours is known
        raise SettingsError(
            f"`{self.name}` is fixed when the optimizer is made, since a compiled step would not see it change; got "
            f"{value!r}. Make a new optimizer with it, or pass a schedule of downslope.schedules."
        )
