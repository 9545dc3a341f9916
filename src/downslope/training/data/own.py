"""A person's own data, by import path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from downslope.core.errors import DataError
from downslope.training.data.checking import check, describe_kind, split, to_tensor
from downslope.training.data.dataset import PARTS, Dataset
from downslope.training.imports import call_function
from downslope.training.randomness import reseed

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe


def load(recipe: Recipe) -> Dataset:
    """Return what the function that `data.name` names returns, checked, and split if it is not.

    It gets `data.options` as keyword arguments and returns either (inputs, targets), which are split by
    `data.held_out`, or a mapping with `train_inputs`, `train_targets`, `held_out_inputs`, `held_out_targets` and, if
    wanted, `classes`. Arrays may be NumPy's or torch's. Since float64 is NumPy's default and float32
    torch's, NumPy float64 becomes torch's default dtype; a tensor keeps its own.

    Raises:
        DataError: If it cannot be called, raises, or returns something else or something inconsistent.
    """
    name = recipe.data.name
    reseed(recipe.seed, 0, "data")  # so that a function that draws without a seed of its own is repeatable
    found: Any = call_function(name, "data.name", options=recipe.data.options)
    if isinstance(found, Mapping):
        return check(recipe, cast("Mapping[str, Any]", found))
    if isinstance(found, tuple | list) and len(cast("tuple[Any, ...]", found)) == 2:
        inputs, targets = (
            to_tensor(recipe, what, part) for what, part in zip(("inputs", "targets"), found, strict=True)
        )
        return check(recipe, split(recipe, inputs, targets))
    raise DataError(
        f"data.name = {name!r}: must return (inputs, targets) or a dict with {', '.join(PARTS)}; "
        f"got {describe_kind(found)}."
    )
