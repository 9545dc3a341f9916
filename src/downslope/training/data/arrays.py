"""Data sets that are arrays in files, by path: "idx", "cifar10", "cifar100", "npz" and "hf:FOLDER".

The way of one: its files and their parts (`idx.py`, `cifar.py`, `npz.py`, `hf.py`, each an `ArraySource`); which part
is held out (`part_names.py`); what becomes of inputs and targets (`array_forms.py`), which make the data set here.
`array_reader.py` takes further examples the same way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from downslope.recipe.schema import BINARY
from downslope.training.data.array_forms import (
    TargetForm,
    are_classes,
    check_target_options,
    find_form,
    learn_labels,
    learn_scale,
    learn_scaling,
)
from downslope.training.data.array_reader import ArrayReader, open_source, options_with_columns
from downslope.training.data.array_sources import ArraySource, FreeOptions, RawExamples
from downslope.training.data.checking import bad_data, check, split, split_marks
from downslope.training.data.dataset import PARTS, Dataset
from downslope.training.data.numpy_files import Array
from downslope.training.data.part_names import choose_roles

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

_UNKNOWN = "there is no class {} to learn from"


def load(recipe: Recipe) -> Dataset:
    """Return the examples of a data set that is arrays in files.

    Raises:
        RecipeError: If an option is unknown, missing or outside its range.
        DataError: If a file is not there, damaged or holds something else; the message names it.
    """
    name, loss = recipe.data.name, recipe.train.loss
    options, source = open_source(name, recipe.data.options)
    roles = choose_roles(source.parts, options.held_out_from, source.place)
    notes = [*source.notes, *([roles.note] if roles.note else [])]
    raw = source.read("train")
    if raw.targets is None:
        raise bad_data(name, f"{raw.place} has no targets to learn.")
    free = options if isinstance(options, FreeOptions) else FreeOptions()
    form = find_form(raw, free.inputs_are or source.kind, free.layout, source.layout)
    if form.kind == "indices" and options.standardize:
        raise bad_data(name, "data.options.standardize is for numbers; these inputs are indices.")
    inputs = form.encode(raw.inputs, raw.place)
    learned: Any  # indices, or all of them
    learned, held_out, other = slice(None), np.arange(0), None
    if roles.held_out is None:
        parts = split(recipe.data, recipe.seed, *[torch.arange(len(inputs))] * 2)
        learned, held_out = (parts[f"{part}_inputs"].numpy() for part in ("train", "held_out"))
    else:
        other = source.read(roles.held_out)
    if options.standardize:
        mean, deviation = learn_scaling(inputs[learned], image=form.layout is not None)
        inputs -= mean
        inputs /= deviation
        form = replace(form, scaling=(mean, deviation))
    target, names, more = _learn_target(recipe, source, raw.targets[learned], raw, other, free)
    targets = target.encode(raw.targets, raw.targets_place, _UNKNOWN)
    if other is None or other.targets is None:
        found = (inputs[learned], targets[learned], inputs[held_out], targets[held_out])
    else:
        out = form.encode(other.inputs, other.place), target.encode(other.targets, other.targets_place, _UNKNOWN)
        found = (inputs, targets, *out)
    # as tensors on the memory of the arrays: of some hundred megabytes no copy is made
    table: dict[str, Any] = {part: torch.from_numpy(array) for part, array in zip(PARTS, found, strict=True)}
    if target.labels:
        table["classes"] = len(target.labels)
    checked = check(name, loss, table, image_shape=form.image_shape)
    return replace(
        checked,
        class_names=() if checked.labels else names,
        labels=(names or checked.labels) if checked.labels else (),
        target_scale=target.scale,
        marks=None if other is not None else split_marks(recipe.data, recipe.seed, len(inputs)),
        reader=ArrayReader(name, options_with_columns(recipe.data.options, source), form, target, names),
        notes=(*notes, *more),
    )


def _learn_target(
    recipe: Recipe,
    source: ArraySource,
    learned: Array,
    raw: RawExamples,
    other: RawExamples | None,
    options: FreeOptions,
) -> tuple[TargetForm, tuple[str, ...], list[str]]:
    """Return what targets are, what classes are called, and notes.

    Args:
        recipe: The recipe.
        source: The files.
        learned: The targets learned from.
        raw: The examples that they are of.
        other: Those held out, where they are a part of their own.
        options: What is said of them.
    """
    name, loss, place = recipe.data.name, recipe.train.loss, raw.targets_place
    classes, called = are_classes(learned, loss), options.class_names
    labels = learned.shape[1] if loss == BINARY and not classes else 0
    check_target_options(
        name, classes=classes, labels=labels, standardize=options.standardize_target, names=called or None
    )
    if labels:
        return TargetForm(), called or (), []
    if not classes:
        return TargetForm(scale=learn_scale(learned, place, standardize=options.standardize_target, loss=loss)), (), []
    others = raw.targets if other is None else other.targets
    found, names, notes = learn_labels(learned, others, called or source.class_names, source.classes, place)
    return TargetForm(found), names, notes
