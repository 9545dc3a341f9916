"""A person's own data, by import path: arrays, or a torch Dataset that is read into arrays.

All examples are held in memory, since the order of every epoch is drawn over all of them and a run that is resumed
has to find the same ones. So each item of a Dataset is asked for once, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import data as torch_data

from downslope.core.shown import shown
from downslope.training.data.checking import bad_data, check, describe_kind, place_of, split, to_tensor
from downslope.training.data.dataset import PARTS, Dataset
from downslope.training.data.numpy_files import check_memory
from downslope.training.run.randomness import reseed
from downslope.training.user_code import FAILURES, call_function, describe, import_object

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe


def load(recipe: Recipe) -> Dataset:
    """Return what the function that `data.name` names returns, checked, and split if it is not.

    It gets `data.options` as keyword arguments and returns (inputs, targets), or a torch `Dataset` of such pairs, which
    are split by `data.held_out`; or a pair of Datasets, to learn from and to hold out; or a mapping with
    `train_inputs`, `train_targets`, `held_out_inputs`, `held_out_targets` and, if wanted, `classes`. Arrays may be
    NumPy's, torch's or lists. Since float64 is NumPy's default and float32 torch's, NumPy float64 becomes torch's
    default dtype; a tensor keeps its own. A Dataset may also be named itself, or its class.

    Raises:
        DataError: If it cannot be called, raises, or returns something else or something inconsistent.
    """
    name, loss, options = recipe.data.name, recipe.train.loss, recipe.data.options
    reseed(recipe.seed, 0, "data")  # so that a function that draws without a seed of its own is repeatable
    found = import_object(name, "data.name")
    if isinstance(found, torch_data.Dataset | torch_data.DataLoader):
        if options:
            raise bad_data(name, f"is a {type(found).__name__} already, which takes no data.options.")
    else:
        found = call_function(name, "data.name", options=options)
    _refuse_streams(name, found)
    if isinstance(found, Mapping):
        return check(name, loss, found)
    parts = found if isinstance(found, tuple | list) else ()
    if _has_items(found):
        inputs, targets, names = _read(name, found, "it")
        return _named(name, loss, split(recipe.data, recipe.seed, inputs, targets), names, len(inputs))
    if len(parts) == 2 and any(map(_has_items, parts)):
        odd = next((part for part in parts if not _has_items(part)), None)
        if odd is not None:
            raise bad_data(name, f"must return two Datasets, to learn from and held out; one is {describe_kind(odd)}.")
        inputs, targets, names = _read(name, parts[0], "the first Dataset")
        held_inputs, held_targets, _ = _read(name, parts[1], "the second Dataset")
        table: dict[str, torch.Tensor] = dict(zip(PARTS, (inputs, targets, held_inputs, held_targets), strict=True))
        return _named(name, loss, table, names, len(inputs) + len(held_inputs))
    if len(parts) == 2:
        inputs, targets = (to_tensor(name, what, part) for what, part in zip(("inputs", "targets"), parts, strict=True))
        return check(name, loss, split(recipe.data, recipe.seed, inputs, targets))
    if isinstance(found, list) and all(isinstance(item, tuple | list) and len(item) == 2 for item in parts):
        inputs, targets, _ = _read(name, found, "it")
        return check(name, loss, split(recipe.data, recipe.seed, inputs, targets))
    more = " Does it lack a `return`?" if found is None else ""
    raise bad_data(
        name,
        f"must return (inputs, targets), a torch Dataset of such pairs, two of them (to learn from, held out), or "
        f"a dict with {', '.join(PARTS)}; got {describe_kind(found)}.{more}",
    )


def _refuse_streams(name: str, found: Any) -> None:
    """Raise if what was returned, or a part of it, has no items that can be asked for by number."""
    for one in (found, *(found if isinstance(found, tuple | list) else ())):
        if isinstance(one, torch_data.DataLoader):
            raise bad_data(
                name,
                "gives a DataLoader. Return its dataset (loader.dataset): batches are drawn here, by "
                "data.batch_size and the seed, so that a run can be resumed exactly.",
            )
        if isinstance(one, torch_data.IterableDataset | Iterator):
            raise bad_data(
                name,
                f"gives a stream, of the type {type(one).__name__}, whose examples can be had in one order alone. "
                "Return what fits into memory as a list of (input, target): list(...).",
            )


def _has_items(found: Any) -> bool:
    """Return whether something is a torch Dataset, or behaves as one."""
    if isinstance(found, torch_data.Dataset):
        return True
    known = isinstance(found, np.ndarray | torch.Tensor | str | bytes | tuple | list | Mapping | type)
    return not known and hasattr(found, "__getitem__") and hasattr(found, "__len__")


def _named(name: str, loss: str, parts: Mapping[str, torch.Tensor], names: tuple[str, ...], count: int) -> Dataset:
    """Return the data of a torch Dataset of so many items, whose classes may have names."""
    if parts["train_targets"].dtype.is_floating_point:
        names = ()
    note = (
        f"each of the {count:,} items of its Dataset was read once: what a transform draws at random stays as it was "
        "drawn"
    )
    table = {**parts, "classes": len(names)} if names else parts
    return replace(check(name, loss, table), class_names=names, notes=(note,))


def _read(name: str, dataset: Any, called: str) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Return all inputs and targets of a Dataset, and the names of its classes if it has some."""
    try:
        count = len(dataset)
    except FAILURES as error:
        raise bad_data(name, f"{called} has no length: {describe(error)}") from error
    if count == 0:
        raise bad_data(name, f"{called} holds no example.")
    inputs: list[Any] = []
    targets: list[Any] = []
    for number in range(count):
        pair = _item(name, dataset, number, called)
        inputs.append(_plain(pair[0]))
        targets.append(_plain(pair[1]))
        if number == 0:
            # twice: the list of items and the array made of it are there at once
            size = 2 * count * sum(getattr(part, "nbytes", 8) for part in (inputs[0], targets[0]))
            check_memory(place_of(name), size, f"for {count:,} examples, all in memory")
    return to_tensor(name, "inputs", inputs), to_tensor(name, "targets", targets), _class_names(dataset)


def _item(name: str, dataset: Any, number: int, called: str) -> Any:
    """Return one (input, target) of a Dataset."""
    try:
        item: Any = dataset[number]
    except FAILURES as error:
        raise bad_data(name, f"item {number} of {called} raised {describe(error)}") from error
    if isinstance(item, tuple | list) and len(item) == 2:
        return item
    got = describe_kind(item)
    if isinstance(item, Mapping):
        keys = ", ".join(shown(repr(key), 40) for key in list(item)[:8])
        got = f"{type(item).__name__} with {keys}"
    raise bad_data(name, f"item {number} of {called} must be (input, target); got {got}.")


def _plain(value: Any) -> Any:
    """Return a part of an item as it can be put into an array; an image as torchvision's ToTensor has it."""
    if hasattr(value, "getbands") and hasattr(value, "convert"):
        from downslope.training.data.image_files import pixels_of

        return pixels_of(value, "grey" if value.getbands() in {("1",), ("L",)} else "rgb", None)
    return value.item() if isinstance(value, np.generic) else value


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return the names of classes that a Dataset has, as torchvision's do, or nothing."""
    while isinstance(dataset, torch_data.Subset):
        dataset = dataset.dataset
    names: Any = getattr(dataset, "classes", None)
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names) if len(set(names)) == len(names) else ()
