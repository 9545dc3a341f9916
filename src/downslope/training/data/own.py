"""A person's own data, by import path: arrays, or a torch Dataset whose items are read when they are needed.

The order of every epoch is drawn over all examples, and a run that is resumed has to find the same ones. So what can
be had in one order alone is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import data as torch_data

from downslope.core.errors import did_you_mean
from downslope.core.shown import shown
from downslope.recipe.schema import BINARY
from downslope.training.data.checking import (
    as_binary,
    bad_data,
    check,
    describe_kind,
    place_of,
    split,
    split_marks,
    to_tensor,
)
from downslope.training.data.dataset import PARTS, Dataset, Examples
from downslope.training.data.loader_child import ChildReader
from downslope.training.data.loaders import Loaders
from downslope.training.data.numpy_files import check_memory
from downslope.training.data.own_items import (
    Found,
    begin_digest,
    checksum,
    class_names_of,
    get_item,
    look_through,
    plain,
)
from downslope.training.data.rows import Rows, Source
from downslope.training.run.randomness import keep_generators, reseed
from downslope.training.user_code import FAILURES, call_function, describe, import_object

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

_KEYS = ("train", "held_out", "test", "collate", "classes")
"""What a mapping of Datasets may hold."""


def load(recipe: Recipe) -> Dataset:
    """Return what the function that `data.name` names returns, checked, and split if it is not.

    It gets `data.options` as keyword arguments and returns (inputs, targets), or a torch `Dataset` of such pairs, which
    are split by `data.held_out`; or a pair of Datasets, to learn from and to hold out; or a mapping with
    `train_inputs`, `train_targets`, `held_out_inputs`, `held_out_targets` and, if wanted, `classes`, or with Datasets
    as `train`, `held_out` and `test`, and `collate`. Arrays may be NumPy's, torch's or lists. Since float64 is NumPy's
    default and float32 torch's, NumPy float64 becomes torch's default dtype; a tensor keeps its own. A Dataset may also
    be named itself, or its class.

    Raises:
        DataError: If it cannot be called, raises, or returns something else or something inconsistent.
    """
    name, loss = recipe.data.name, recipe.train.loss
    returned = _call(recipe)
    found = _datasets_in(name, returned)
    if found is not None:
        held = recipe.data.in_memory
        if held is None:
            held = found.collate is None and all(map(_holds_tensors, found.parts.values()))
        dataset = _read_now(recipe, found) if held else _read_when_needed(recipe, found)
        return dataset if found.test is None else replace(dataset, test=lambda: _read_test(recipe, found))
    if isinstance(returned, Mapping):
        return check(name, loss, returned)
    parts = returned if isinstance(returned, tuple | list) else ()
    if len(parts) == 2:
        inputs, targets = (to_tensor(name, what, part) for what, part in zip(("inputs", "targets"), parts, strict=True))
        return _split(recipe, inputs, targets)
    if isinstance(returned, list) and all(isinstance(item, tuple | list) and len(item) == 2 for item in parts):
        inputs, targets, _ = _read(name, returned, "it")
        return _split(recipe, inputs, targets)
    more = " Does it lack a `return`?" if returned is None else ""
    raise bad_data(
        name,
        f"must return (inputs, targets), a torch Dataset of such pairs, two of them (to learn from, held out), or "
        f"a dict with {', '.join(PARTS)} or with {', '.join(_KEYS)}; got {describe_kind(returned)}.{more}",
    )


def _split(recipe: Recipe, inputs: torch.Tensor, targets: torch.Tensor) -> Dataset:
    """Return examples of which a part is held out."""
    data = check(recipe.data.name, recipe.train.loss, split(recipe.data, recipe.seed, inputs, targets))
    return replace(data, marks=split_marks(recipe.data, recipe.seed, len(inputs)))


def open_sources(recipe: Recipe) -> Mapping[str, Source]:
    """Return the sources of a recipe's items, as each process that reads them makes them for itself."""
    found = _datasets_in(recipe.data.name, _call(recipe))
    return {} if found is None else found.sources(recipe.data.name, recipe.seed)


def _call(recipe: Recipe) -> Any:
    """Return what `data.name` names, or returns."""
    name, options = recipe.data.name, recipe.data.options
    reseed(recipe.seed, 0, "data")  # so that a function that draws without a seed of its own is repeatable
    found = import_object(name, "data.name")
    if isinstance(found, torch_data.Dataset | torch_data.DataLoader):
        if options:
            raise bad_data(name, f"is a {type(found).__name__} already, which takes no data.options.")
    else:
        found = call_function(name, "data.name", options=options)
    _refuse_streams(name, found)
    return found


def _refuse_streams(name: str, found: Any) -> None:
    """Raise if what was returned, or a part of it, has no items that can be asked for by number."""
    within = found.values() if isinstance(found, dict) else found if isinstance(found, tuple | list) else ()
    for one in (found, *within):
        if isinstance(one, torch_data.DataLoader):
            raise bad_data(
                name,
                "gives a DataLoader. Return its dataset (loader.dataset): batches are drawn here, by "
                "data.batch_size and the seed, so that a run can be resumed exactly.\n"
                "Its workers are data.loaders; a collate_fn of your own goes along: "
                '{"train": dataset, "collate": collate_fn}.',
            )
        if isinstance(one, torch_data.IterableDataset | Iterator):
            raise bad_data(
                name,
                f"gives a stream, of the type {type(one).__name__}, whose examples can be had in one order alone.\n"
                "Return a Dataset with __len__ and __getitem__, which reads an example by its number when it is asked "
                "for; or what fits into memory as a list of (input, target): list(...).",
            )


def _datasets_in(name: str, found: Any) -> Found | None:
    """Return the Datasets among what was returned, or None if there is none."""
    if _has_items(found):
        return Found(parts={"all": found})
    if isinstance(found, Mapping) and any(key in found for key in ("train", "held_out", "collate")):
        return _in_mapping(name, found)
    parts = found if isinstance(found, tuple | list) else ()
    if len(parts) == 2 and any(map(_has_items, parts)):
        odd = next((part for part in parts if not _has_items(part)), None)
        if odd is not None:
            raise bad_data(name, f"must return two Datasets, to learn from and held out; one is {describe_kind(odd)}.")
        return Found(parts=dict(zip(("train", "held_out"), parts, strict=True)))
    return None


def _in_mapping(name: str, found: Mapping[str, Any]) -> Found:
    for key in found:
        if key not in _KEYS:
            raise bad_data(
                name,
                f"unknown key '{shown(key, 60)}'.{did_you_mean(str(key), _KEYS)} With Datasets use {', '.join(_KEYS)}.",
            )
    for key in ("train", "held_out", "test"):
        if (key in found or key == "train") and not _has_items(found.get(key)):
            raise bad_data(name, f"`{key}` must be a Dataset; got {describe_kind(found.get(key))}.")
    collate = found.get("collate")
    if collate is not None and not callable(collate):
        raise bad_data(name, f"`collate` must be a function from a list of items; got {describe_kind(collate)}.")
    parts = {key: found[key] for key in ("train", "held_out") if key in found}
    if len(parts) == 1:
        parts = {"all": found["train"]}
    return Found(parts=parts, collate=collate, classes=found.get("classes"), test=found.get("test"))


def _has_items(found: Any) -> bool:
    """Return whether something is a torch Dataset, or behaves as one."""
    if isinstance(found, torch_data.Dataset):
        return True
    known = isinstance(found, np.ndarray | torch.Tensor | str | bytes | tuple | list | Mapping | type)
    return not known and hasattr(found, "__getitem__") and hasattr(found, "__len__")


def _holds_tensors(dataset: Any) -> bool:
    """Return whether a Dataset holds tensors, or is a part of one that does: nothing in it is ever drawn or decoded."""
    while isinstance(dataset, torch_data.Subset):
        dataset = dataset.dataset
    return type(dataset) is torch_data.TensorDataset


def _read_when_needed(recipe: Recipe, found: Found) -> Dataset:
    """Return the data of Datasets of which each item is read when a step needs it."""
    name, seed, data = recipe.data.name, recipe.seed, recipe.data
    sources = found.sources(name, seed)
    loaders = Loaders(
        data.loaders, sources, timeout=data.loader_timeout, make_reader=lambda: ChildReader(recipe, sources)
    )
    digest = begin_digest()
    rows: dict[str, Rows] = {}
    targets: dict[str, torch.Tensor] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for key, source in sources.items():
        first = loaders.read(key, np.zeros(1, dtype=np.int64), 0).inputs
        rows[key] = Rows(key, loaders, tuple(first.shape[1:]), first.dtype, np.arange(len(source)))
        with keep_generators():
            targets[key], ranges[key] = look_through(rows[key], source, digest)
    table: dict[str, Any]
    if "all" in rows:
        table = split(data, seed, rows["all"], targets["all"])
    else:
        table = {f"{key}_inputs": rows[key] for key in rows} | {f"{key}_targets": targets[key] for key in rows}
    first_source = next(iter(sources.values()))
    names = first_source.class_names()
    dataset = _named(name, recipe.train.loss, table, names, classes=found.classes)
    return replace(
        dataset,
        input_range=next(iter(ranges.values())),
        marks=split_marks(data, seed, len(rows["all"])) if "all" in rows else None,
        checksum=checksum(digest, dataset.class_names),
        notes=(_how(data.loaders, sum(map(len, sources.values()))),),
    )


def _read_test(recipe: Recipe, found: Found) -> Examples:
    """Return the examples of the Dataset for a test, each of which is read when it is needed."""
    sources = replace(found, parts={"test": found.test}).sources(recipe.data.name, recipe.seed)
    source, loaders = sources["test"], Loaders(0, sources)
    first = loaders.read("test", np.zeros(1, dtype=np.int64), 0).inputs
    rows = Rows("test", loaders, tuple(first.shape[1:]), first.dtype, np.arange(len(source)))
    with keep_generators():
        targets, _ = look_through(rows, source, begin_digest())
    if recipe.train.loss == BINARY:
        targets = as_binary(recipe.data.name, "test_targets", targets)
    return Examples(inputs=rows, targets=targets, known=torch.arange(len(rows)))


def _how(loaders: int, count: int) -> str:
    by = f"by {loaders} process(es) of their own" if loaders else "in the training process"
    return (
        f"each of the {count:,} items of its Dataset is read when it is needed, {by}; what it draws at random is a "
        "function of the seed, the epoch and its index"
    )


def _read_now(recipe: Recipe, found: Found) -> Dataset:
    """Return the data of Datasets of which each item is read once, at the start."""
    name = recipe.data.name
    if found.collate is not None:
        raise bad_data(
            name,
            "gives a `collate`, which makes batches of items when they are needed; "
            "data.in_memory = true reads all of them at the start. Leave one out.",
        )
    read = {
        key: _read(name, part, {"all": "it", "train": "the first Dataset"}.get(key, "the second Dataset"))
        for key, part in found.parts.items()
    }
    inputs, targets, names = next(iter(read.values()))
    if "all" in read:
        table: Any = split(recipe.data, recipe.seed, inputs, targets)
    else:
        held_inputs, held_targets, _ = read["held_out"]
        table = dict(zip(PARTS, (inputs, targets, held_inputs, held_targets), strict=True))
    note = (
        f"each of the {sum(len(one[0]) for one in read.values()):,} items of its Dataset was read once: what a "
        "transform draws at random stays as it was drawn"
    )
    marks = split_marks(recipe.data, recipe.seed, len(inputs)) if "all" in read else None
    return replace(_named(name, recipe.train.loss, table, names, classes=found.classes), marks=marks, notes=(note,))


def _named(name: str, loss: str, parts: Mapping[str, Any], names: tuple[str, ...], *, classes: Any) -> Dataset:
    """Return the data of Datasets, whose classes may have names."""
    if parts["train_targets"].dtype.is_floating_point:
        names = ()
    if classes is None and names:
        classes = len(names)
    table = parts if classes is None else {**parts, "classes": classes}
    return replace(check(name, loss, table), class_names=names if len(names) == classes else ())


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
        pair = get_item(name, dataset, number, called)
        inputs.append(plain(pair[0]))
        targets.append(plain(pair[1]))
        if number == 0:
            # twice: the list of items and the array made of it are there at once
            size = 2 * count * sum(getattr(part, "nbytes", 8) for part in (inputs[0], targets[0]))
            check_memory(place_of(name), size, f"for {count:,} examples, all in memory")
    return to_tensor(name, "inputs", inputs), to_tensor(name, "targets", targets), class_names_of(dataset)
