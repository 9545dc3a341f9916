"""What a row of the table of systems is made of: how one system writes the rule, and what it calls the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from downslope.core.settings import Decay

Values = dict[str, Any]
"""Values by name: of arguments, or of the fields of `Settings` that they stand for."""

_NONE: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One argument of a system, and the setting that it stands for.

    Attributes:
        name: The system's own word.
        sets: The field of `Settings` it gives, or a word that the row's `read` turns into fields.
        default: Its default; None where it then gives nothing.
        required: Whether it must be given.
        factor: The setting is this times the value.
        batch_power: 1 where the setting is the value times the batch size (an lr per sample), -1 where it is the value
            divided by it (a penalty that is), else 0.
        decay: For weight decay: where it enters, if this argument decides that.
        choices: By value, the fields that this value means; for arguments that choose between forms of the rule.
        scheduled: Whether it takes a schedule.
        reads: What turns a value as the system writes it (a configuration, an object) into a number or a schedule.
        goes_to: Where it is written, if not among the optimizer's own arguments.
        aliases: Other words for it.
    """

    name: str
    sets: str = ""
    default: Any = None
    required: bool = False
    factor: float = 1.0
    batch_power: int = 0
    decay: Decay | None = None
    choices: Mapping[Any, Mapping[str, Any]] = field(default_factory=lambda: _NONE)
    scheduled: bool = False
    reads: Callable[[Any], Any] | None = None
    goes_to: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """How one system writes the rule.

    Attributes:
        name: The word for it here.
        title: What it is, as its users call it.
        arguments: What its users set.
        lr_in_velocity: Whether lr multiplies the gradient as it enters the velocity, as in `Settings`.
        velocity_sign: -1 where the stored velocity is added to the parameter (Keras), 1 where it is subtracted.
        undampened_first_step: Whether a parameter's first gradient enters the velocity undampened, as in `Settings`.
        decay: The way of weight decay where no argument decides it.
        state_key: What it calls the stored velocity.
        without_momentum: What it ignores where momentum is 0. Nesterov is among them where its formula then is plain
            SGD's and it runs; where it is not, the system itself refuses it, as torch does, and so do `Settings`.
        ignores: Arguments that it takes and silently ignores, always.
        neutral: By argument that is no part of the rule, the values with which it changes nothing.
        nesterov_with_dampening: Whether both together are allowed.
        needs_momentum: Whether momentum 0 is refused.
        schedules: Whose words it uses for schedules ("torch", "optax", "keras", ...), "" where it has none.
        read: Fields to fields, after the arguments have been read; for what is no product.
        write: Its inverse, before the arguments are written.
        remarks: What else a person should know.
        source: Where the facts are from, and of which version.
    """

    name: str
    title: str
    arguments: tuple[Argument, ...]
    lr_in_velocity: bool = False
    velocity_sign: int = 1
    undampened_first_step: bool = False
    decay: Decay = "coupled"
    state_key: str = ""
    without_momentum: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    neutral: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: _NONE)
    nesterov_with_dampening: bool = False
    needs_momentum: bool = False
    schedules: str = ""
    read: Callable[[Values], Values] | None = None
    write: Callable[[Values], Values] | None = None
    remarks: tuple[str, ...] = ()
    source: str

    def argument(self, name: str) -> Argument | None:
        """Return the argument of a name or alias, or None."""
        return next((a for a in self.arguments if name == a.name or name in a.aliases), None)

    def fields(self) -> Values:
        """Return the fields of `Settings` that every use of the system has."""
        return {
            "lr_in_velocity": self.lr_in_velocity,
            "undampened_first_step": self.undampened_first_step,
            "decay": self.decay,
        }
