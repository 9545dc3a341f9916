"""What a file of a stopped training holds, whoever wrote it: parameters, velocities, step and settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downslope.core.errors import StateError
from downslope.core.settings import Settings
from downslope.core.shown import shown

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A stopped training.

    Attributes:
        what: What the file is, in words.
        convention: Whose conventions its velocities follow.
        velocity: Stored velocities by parameter name; None for a parameter that has had no gradient.
        params: Arrays of the model by name, parameters and what it keeps beside them, such as a batch normalisation's
            averages; empty if the file holds none.
        step: Steps taken, or None where the file does not say.
        settings: Settings by parameter name, or of all; None where the file does not say.
        notes: What a person should know about how it was read.
        average: Averages of parameters that the optimizer keeps, by name; empty where it keeps none.
    """

    what: str
    convention: str
    velocity: dict[str, Any]
    params: Arrays = field(default_factory=dict)
    step: int | None = None
    settings: Settings | dict[str, Settings] | None = None
    notes: tuple[str, ...] = ()
    average: Arrays = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that velocities are floating or complex numbers, and each of the shape and kind of its parameter."""
        for name, param in self.params.items():
            if param.dtype.kind not in "biufc":
                raise StateError(f"{self.what}: `{shown(name)}` must be an array of numbers; got {param.dtype}.")
        self._check_averages()
        for name, velocity in self.velocity.items():
            if velocity is None:
                continue
            if velocity.dtype.kind not in "fc":
                raise StateError(
                    f"{self.what}: the velocity of `{shown(name)}` must hold floating or complex numbers; got "
                    f"{velocity.dtype}."
                )
            param = self.params.get(name)
            if param is None:
                continue
            if velocity.shape != param.shape:
                raise StateError(
                    f"{self.what}: the velocity of `{shown(name)}` is {velocity.shape}, the parameter {param.shape}. "
                    "They are not of one training."
                )
            if velocity.dtype.kind == "c" and param.dtype.kind != "c":
                raise StateError(
                    f"{self.what}: the velocity of `{shown(name)}` is {velocity.dtype}, the parameter {param.dtype}. "
                    "They are not of one training."
                )

    def _check_averages(self) -> None:
        for name, average in self.average.items():
            beside = [held[name] for held in (self.params, self.velocity) if held.get(name) is not None]
            if average.dtype.kind not in "fc" or any(average.shape != array.shape for array in beside):
                raise StateError(
                    f"{self.what}: the average of `{shown(name)}` is {average.dtype} of {average.shape}, and must hold "
                    "floating or complex numbers in the shape of its parameter."
                )


def as_written(number: float) -> float:
    """Return the number a person wrote, where a float32 of it is what was kept: 0.1 for 0.10000000149011612.

    Example:
        >>> as_written(0.10000000149011612), as_written(0.1), as_written(0.5)
        (0.1, 0.1, 0.5)
    """
    import numpy as np

    narrow = np.float32(number)
    return float(str(narrow)) if float(narrow) == number else number


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one go: whoever looks finds all of it, or what was there before."""
    beside = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    beside.unlink(missing_ok=True)  # of a process of this number that was killed; a link there is not followed
    try:
        with beside.open("xb") as file:
            file.write(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def damaged(path: Path, why: object) -> StateError:
    """Return the error for a file that cannot be read as what its name says."""
    words = str(why).strip() or type(why).__name__
    first = words.splitlines()[0].split(". ")[0].rstrip(".")
    return StateError(f"{shown(path)}: damaged, or not what its name says: {shown(first)}. Nothing was written.")
