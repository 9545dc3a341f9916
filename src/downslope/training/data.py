"""Data: the embedded digits, or a person's own by import path, split and checked.

What lives here: from a recipe to four tensors. What does not: batches and their order (`batches.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from downslope.core.errors import DataError, MissingDependencyError, did_you_mean, one_of
from downslope.training.imports import call_function, is_import_path
from downslope.training.randomness import permutation, reseed

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

PARTS = ("train_inputs", "train_targets", "held_out_inputs", "held_out_targets")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples to learn from and examples held out, in memory.

    Attributes:
        name: The recipe's `data.name`.
        train_inputs: Shape (examples, ...).
        train_targets: Shape (examples, ...): int64 class indices, or floating-point numbers.
        held_out_inputs: As train_inputs.
        held_out_targets: As train_targets.
        classes: Number of classes, or None where targets are numbers.
        image_shape: (height, width) if an input is an image laid out flat, for drawing; otherwise None.
    """

    name: str
    train_inputs: torch.Tensor = field(repr=False)
    train_targets: torch.Tensor = field(repr=False)
    held_out_inputs: torch.Tensor = field(repr=False)
    held_out_targets: torch.Tensor = field(repr=False)
    classes: int | None = None
    image_shape: tuple[int, int] | None = None

    def fingerprint(self) -> str:
        """Return a checksum of all examples, by which a resumed run knows that its data are still the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in PARTS:
            tensor: torch.Tensor = getattr(self, part)
            digest.update(f"{part} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def load_data(recipe: Recipe) -> Dataset:
    """Return the recipe's data.

    A person's own function gets `data.options` as keyword arguments and returns either (inputs, targets), which are
    split by `data.held_out`, or a mapping with `train_inputs`, `train_targets`, `held_out_inputs`, `held_out_targets`
    and, if wanted, `classes`. Arrays may be NumPy's or torch's. Since float64 is NumPy's default and float32 torch's,
    NumPy float64 becomes torch's default dtype; a tensor keeps its own.

    Args:
        recipe: The recipe.

    Raises:
        DataError: If the data cannot be loaded, or are inconsistent; the message says what.
        MissingDependencyError: If the embedded data set needs scikit-learn and it is not installed.

    Example:
        >>> from downslope import load_recipe
        >>> data = load_data(load_recipe())
        >>> len(data.train_inputs), len(data.held_out_inputs), data.classes, data.image_shape
        (1437, 360, 10, (8, 8))
    """
    name, options = recipe.data.name, recipe.data.options
    if name == "digits":
        if options:
            raise DataError(f"data.options: `digits` takes none; got {', '.join(options)}.")
        inputs, targets = _load_digits()
        return _checked(recipe, {**_split(recipe, inputs, targets), "classes": 10}, image_shape=(8, 8))
    if not is_import_path(name):
        raise DataError(
            f"data.name = {name!r}: there is no such data set.{did_you_mean(name, ['digits'])} "
            'Use "digits", or your own function as "package.module:function".'
        )
    reseed(recipe.seed, 0, "data")  # so that a function that draws without a seed of its own is repeatable
    found: Any = call_function(name, "data.name", options=options)
    if isinstance(found, Mapping):
        return _checked(recipe, cast("Mapping[str, Any]", found))
    if isinstance(found, tuple | list) and len(cast("tuple[Any, ...]", found)) == 2:
        inputs, targets = (_tensor(recipe, what, part) for what, part in zip(("inputs", "targets"), found, strict=True))
        return _checked(recipe, _split(recipe, inputs, targets))
    raise DataError(
        f"data.name = {name!r}: must return (inputs, targets) or a dict with {', '.join(PARTS)}; got {_shown(found)}."
    )


def _load_digits() -> tuple[torch.Tensor, torch.Tensor]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError(
            'the data set `digits` comes with scikit-learn, which is not installed. Run: pip install "downslope[train]"'
        ) from None
    digits: Any = load_digits()
    return torch.from_numpy((digits.data / 16).astype(np.float32)), torch.from_numpy(digits.target.astype(np.int64))


def _split(recipe: Recipe, inputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    if len(inputs) != len(targets):
        raise DataError(_at(recipe, f"inputs and targets differ in length: {len(inputs)} and {len(targets)}."))
    held_out = math.ceil(len(inputs) * recipe.data.held_out)
    if held_out >= len(inputs):
        raise DataError(
            _at(recipe, f"{len(inputs)} example(s) cannot be split with data.held_out = {recipe.data.held_out}.")
        )
    order = torch.from_numpy(permutation(recipe.seed, "held out", len(inputs)))
    kept, out = order[held_out:], order[:held_out]
    return dict(zip(PARTS, (inputs[kept], targets[kept], inputs[out], targets[out]), strict=True))


def _checked(recipe: Recipe, table: Mapping[str, Any], *, image_shape: tuple[int, int] | None = None) -> Dataset:
    allowed = (*PARTS, "classes")
    for key in table:
        if key not in allowed:
            raise DataError(
                _at(recipe, f"unknown key {key!r}.{did_you_mean(str(key), allowed)} Use {one_of(allowed)}.")
            )
    missing = [part for part in PARTS if part not in table]
    if missing:
        raise DataError(_at(recipe, f"the dict lacks {', '.join(missing)}."))
    parts = {part: _tensor(recipe, part, table[part]) for part in PARTS}
    for side in ("train", "held_out"):
        inputs, targets = parts[f"{side}_inputs"], parts[f"{side}_targets"]
        if len(inputs) != len(targets):
            raise DataError(
                _at(recipe, f"{side}_inputs and {side}_targets differ in length: {len(inputs)} and {len(targets)}.")
            )
    for what in ("inputs", "targets"):
        train, held_out = parts[f"train_{what}"], parts[f"held_out_{what}"]
        if train.shape[1:] != held_out.shape[1:] or train.dtype != held_out.dtype:
            raise DataError(
                _at(
                    recipe,
                    f"train_{what} and held_out_{what} must agree in dtype and in the shape of one example; got "
                    f"{train.dtype} {tuple(train.shape[1:])} and {held_out.dtype} {tuple(held_out.shape[1:])}.",
                )
            )
    classes = _count_classes(recipe, parts, table.get("classes"))
    return Dataset(name=recipe.data.name, **parts, classes=classes, image_shape=image_shape)


def _tensor(recipe: Recipe, what: str, value: Any) -> torch.Tensor:
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, Any]", value)
        if array.dtype == np.float64:
            array = array.astype(torch.empty(0).numpy().dtype)
        try:
            value = torch.from_numpy(np.array(array))  # a copy: a read-only or negatively strided array is no tensor
        except TypeError:
            raise DataError(_at(recipe, f"{what} has dtype {array.dtype}; use numbers.")) from None
    if not isinstance(value, torch.Tensor):
        raise DataError(_at(recipe, f"{what} must be a NumPy array or a tensor; got {_shown(value)}."))
    tensor = value.detach().cpu()
    if tensor.ndim == 0 or len(tensor) == 0:
        raise DataError(_at(recipe, f"{what} holds no example; its shape is {tuple(tensor.shape)}."))
    if tensor.dtype.is_complex:
        raise DataError(_at(recipe, f"{what} is complex; use real numbers."))
    if tensor.dtype.is_floating_point:
        bad = (~torch.isfinite(tensor)).nonzero()
        if len(bad):
            raise DataError(
                _at(
                    recipe, f"{what} holds {len(bad)} number(s) that are inf or NaN, first in example {int(bad[0, 0])}."
                )
            )
    elif what.endswith("targets"):
        tensor = tensor.to(torch.int64)
    return tensor


def _count_classes(recipe: Recipe, parts: Mapping[str, torch.Tensor], given: Any) -> int | None:
    targets = (parts["train_targets"], parts["held_out_targets"])
    loss = recipe.train.loss
    if targets[0].dtype.is_floating_point:
        if loss == "cross_entropy":
            raise DataError(
                _at(
                    recipe,
                    f"train.loss = 'cross_entropy' needs integer class indices as targets; got {targets[0].dtype}. "
                    'Use integers, or train.loss = "mse" to fit numbers.',
                )
            )
        if given is not None:
            raise DataError(_at(recipe, f"`classes` is for integer targets; the targets are {targets[0].dtype}."))
        return None
    if loss == "mse":
        raise DataError(
            _at(
                recipe,
                "train.loss = 'mse' needs floating-point targets; got integers. "
                'Convert them in your data function, or use train.loss = "cross_entropy".',
            )
        )
    low, high = min(int(part.min()) for part in targets), max(int(part.max()) for part in targets)
    if low < 0:
        raise DataError(_at(recipe, f"targets are class indices from 0 upwards; the smallest is {low}."))
    if given is None:
        return high + 1
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise DataError(_at(recipe, f"`classes` must be an integer >= 1; got {given!r}."))
    if high >= given:
        raise DataError(
            _at(recipe, f"`classes` is {given}, so targets go from 0 to {given - 1}; the largest is {high}.")
        )
    return given


def _at(recipe: Recipe, message: str) -> str:
    return f"data.name = {recipe.data.name!r}: {message}"


def _shown(value: Any) -> str:
    length = f" of {len(value)}" if hasattr(value, "__len__") else ""
    return f"{type(value).__name__}{length}"
