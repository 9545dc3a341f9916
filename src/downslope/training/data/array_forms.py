"""How arrays become what a model is given: pixels as fractions, channels first, standardised; labels as indices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.recipe.schema import BINARY, FITTING, TELLING
from downslope.training.data.array_sources import InputKind, Layout, RawExamples
from downslope.training.data.checking import bad_data
from downslope.training.data.class_names import index_labels, order_classes, show_names
from downslope.training.data.numpy_files import Array

_CHANNELS = frozenset({1, 3, 4})
"""How many channels an image may have where nobody says."""

_HIGHEST = 255
_AT_ONCE = 1024
"""Examples whose mean and deviation are taken at once;."""

Scaling = tuple[Array, Array]
"""Mean and standard deviation, of a shape that an example can be scaled by."""


@dataclass(frozen=True)
class InputForm:
    """How the inputs of a data set are written, and what becomes of them.

    Attributes:
        kind: What they are.
        layout: The order of an image's sizes; None where they are no images.
        shape: Of one example, as it is written.
        scaling: Mean and deviation of the examples learned from; None for numbers as they are.
    """

    kind: InputKind
    layout: Layout | None
    shape: tuple[int, ...]
    scaling: Scaling | None = None

    @property
    def becomes(self) -> tuple[int, ...]:
        """The shape of one example as a model is given it."""
        if self.layout == "hw":
            return (1, *self.shape)
        return (self.shape[2], *self.shape[:2]) if self.layout == "hwc" else self.shape

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(height, width) of an image of one channel; None for anything else."""
        shape = self.becomes
        return (shape[1], shape[2]) if self.layout is not None and shape[0] == 1 else None

    def encode(self, array: Array, place: str) -> Array:
        """Return inputs as a model is given them: float32, or int64 for indices.

        Raises:
            DataError: If they are of another kind or shape.
        """
        array, layout = self._in_order(array, place)
        _check_kind(array, self.kind, place)
        if self.kind == "indices":
            return array.astype(np.int64)
        with np.errstate(over="ignore"):  # what is too large becomes inf, which is refused
            numbers = array.astype(np.float32)
        if self.kind == "pixels":
            numbers /= np.float32(_HIGHEST)
        elif not np.isfinite(numbers).all():
            bad = np.flatnonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1))
            raise DataError(
                f"{place}: {len(bad):,} example(s) hold inf, NaN or numbers too large for 32 bits; the first is "
                f"example {int(bad[0])}."
            )
        if layout == "hw":
            numbers = numbers[:, np.newaxis]
        elif layout == "hwc":
            numbers = np.ascontiguousarray(numbers.transpose(0, 3, 1, 2))
        if self.scaling is not None:
            numbers -= self.scaling[0]
            numbers /= self.scaling[1]
        return numbers

    def _in_order(self, array: Array, place: str) -> tuple[Array, Layout | None]:
        """Return examples of this form, one alone too, and in which order their sizes stand.

        A file of further examples may have channels first where the run's own has them last, and the other way round.
        """
        orders: list[tuple[tuple[int, ...], Layout | None]] = [(self.shape, self.layout)]
        if self.layout is not None:
            channels, height, width = self.becomes
            orders.append(((channels, height, width), "chw"))
            orders.append(((height, width, channels), "hwc"))
            if channels == 1:
                orders.append(((height, width), "hw"))
        for shape, layout in orders:
            if array.shape[1:] == shape:
                return array, layout
        for shape, layout in orders:
            if array.shape == shape:
                return array[np.newaxis], layout
        raise DataError(
            f"{place}: an example of this run has the shape {self.shape}; got an array of the shape {array.shape}, "
            f"whose examples have {array.shape[1:]}."
        )


def find_form(raw: RawExamples, kind: InputKind | None, layout: Layout | None, fixed: Layout | None) -> InputForm:
    """Return the form of the inputs that are learned from, not yet scaled.

    Args:
        raw: They.
        kind: What the options say that they are.
        layout: What the options say of the order of an image's sizes.
        fixed: The order where the format decides it.

    Raises:
        DataError: If they are no numbers, or it is not certain what they are.
    """
    array = raw.inputs
    if array.dtype.kind not in "fiub":
        raise DataError(f"{raw.place}: must hold numbers; got {shown(array.dtype)}.")
    if kind is None:
        kind = "pixels" if array.dtype == np.uint8 else "numbers"
    _check_kind(array, kind, raw.place)
    shape = array.shape[1:]
    layout = layout or fixed
    if layout is not None and len(shape) != len(layout):
        raise DataError(
            f"data.options.layout = '{layout}' is for examples of {len(layout)} sizes; {raw.place} has examples of the "
            f"shape {shape}."
        )
    if layout is None and kind == "pixels":
        layout = _find_layout(shape, raw.place)
    return InputForm(kind, layout, shape)


def _find_layout(shape: tuple[int, ...], place: str) -> Layout | None:
    """Return the order of the sizes of pixels: three are an image with channels, two an image of one."""
    if len(shape) != 3:
        return "hw" if len(shape) == 2 else None
    first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
    if first != last:
        return "chw" if first else "hwc"
    raise DataError(
        f"{place}: examples have the shape {shape}, and it is not certain which size is that of the channels. Set "
        'data.options.layout = "chw" (channels, height, width) or "hwc" (height, width, channels).'
    )


def _check_kind(array: Array, kind: InputKind, place: str) -> None:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{place}: must hold numbers; got {shown(array.dtype)}.")
    if kind == "numbers" or array.size == 0:
        return
    what = "pixels, whole numbers from 0 to 255" if kind == "pixels" else "indices, whole numbers from 0 on"
    if array.dtype.kind == "f":
        hint = ", or give data.options.inputs_are = 'numbers'" if kind == "pixels" else ""
        raise DataError(f"{place}: these inputs are {what}; got {array.dtype}. Convert them{hint}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or (kind == "pixels" and high > _HIGHEST):
        raise DataError(f"{place}: these inputs are {what}; got numbers from {low} to {high}.")


def learn_scaling(inputs: Array, *, image: bool) -> Scaling:
    """Return mean and deviation over examples: of each channel of images, and of each number otherwise.

    A number that never changes is left at 0; a channel that never does is an error.
    """
    axes = (0, *range(2, inputs.ndim)) if image else (0,)
    count = inputs.size // math.prod(inputs.shape[axis] for axis in range(inputs.ndim) if axis not in axes)
    parts = [
        inputs[start : start + _AT_ONCE] for start in range(0, len(inputs), _AT_ONCE)
    ]  # or float64 would fill memory
    sums = [part.sum(axis=axes, dtype=np.float64, keepdims=True)[0] for part in parts]
    exact: Array = np.asarray(sum(sums[1:], sums[0])) / count
    squares = [np.square(part - exact).sum(axis=axes, keepdims=True)[0] for part in parts]
    mean = exact.astype(np.float32)
    deviation = np.sqrt(sum(squares[1:], squares[0]) / count).astype(np.float32)
    if image and (deviation == 0).any():
        raise DataError(
            f"data.options.standardize: channel {int(np.argmin(deviation))} is the same everywhere in the images to "
            "learn from. Leave standardize off."
        )
    deviation[deviation == 0] = 1
    return mean, deviation


# Targets


@dataclass(frozen=True)
class TargetForm:
    """What the targets of a data set are.

    Attributes:
        labels: What stands in the files for each class, by its index, as text; empty if targets are numbers.
        scale: Mean and deviation by which numbers are standardised; None for numbers as they are.
    """

    labels: tuple[str, ...] = ()
    scale: tuple[float, float] | None = None

    def encode(self, array: Array, place: str, unknown: str) -> Array:
        """Return targets as the loss takes them: int64 indices of classes, or float32.

        Args:
            array: Targets as files hold them.
            place: What messages call them.
            unknown: What to say of a label that is no class, "{}" standing for it.
        """
        if not self.labels:
            numbers = _as_numbers(array, place).astype(np.float64)
            mean, deviation = self.scale or (0.0, 1.0)
            with np.errstate(over="ignore"):
                return ((numbers - mean) / deviation).astype(np.float32)
        texts, which = as_labels(array, place)

        def first(number: int) -> str:
            return f"{place}, example {int(np.argwhere(which == number)[0, 0])}"

        return index_labels(texts, self.labels, first, unknown)[which]

    def known(self, array: Array, place: str) -> Array:
        """Return whether each target is one that the run has learned."""
        if not self.labels:
            return np.all(np.isfinite(_as_numbers(array, place)).reshape(len(array), -1), axis=1)
        texts, which = as_labels(array, place)
        labels = set(self.labels)
        found = np.array([text in labels for text in texts], dtype=np.bool_)[which]
        return np.all(found.reshape(len(found), -1), axis=1)


def as_labels(array: Array, place: str) -> tuple[list[str], Array]:
    """Return the labels that occur, as texts, and which of them each target is; one in a list of its own stands alone.

    Raises:
        DataError: If they are neither whole numbers nor words.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{place}: holds bytes that are no words in UTF-8.") from None
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise DataError(
            f"{place}: must hold classes, whole numbers or words; got {shown(array.dtype)}. To fit numbers, use "
            'train.loss = "mse".'
        )
    labels, which = np.unique(array, return_inverse=True)
    return list(map(str, labels.tolist())), which.reshape(array.shape)


def _as_numbers(array: Array, place: str) -> Array:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{place}: must hold numbers; got {shown(array.dtype)}.")
    return array


def are_classes(array: Array, loss: str) -> bool:
    """Return whether targets name classes: as the loss says, or by what they are where it is one's own."""
    if loss in FITTING or (loss == BINARY and array.ndim == 2 and array.shape[1] > 1):  # a row of labels
        return False
    return loss in TELLING or array.dtype.kind != "f"


def learn_labels(
    learned: Array, others: Array | None, names: tuple[str, ...], classes: int | None, place: str
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Return the classes' labels in the files, what they are called, and notes.

    Args:
        learned: Targets learned from.
        others: Those held out, if they are others.
        names: What classes are called, in the order of their numbers; empty where nobody says.
        classes: How many there are, where the format says; None to see.
        place: What messages call the targets.

    Raises:
        DataError: If names and labels do not agree.
    """
    texts = set(as_labels(learned, place)[0])
    every = texts | (set() if others is None else set(as_labels(others, place)[0]))
    order = order_classes(every)
    numbers = [int(label) for label in order] if all(label.lstrip("-").isdecimal() for label in order) else None
    count = len(names) or classes
    if count is not None:
        if numbers is not None and numbers[0] >= 0 and numbers[-1] < count:
            labels = tuple(map(str, range(count)))
        elif len(order) == count:
            labels = order
        else:
            raise DataError(
                f"{place}: there are {count} classes by their names, and the labels {show_names(order)}. Leave out "
                "examples without a label, or name a class for each, in their order: data.options.class_names."
            )
    elif numbers is not None and numbers[0] == 0 and numbers[-1] < 2 * len(numbers) + 10:
        labels = tuple(map(str, range(numbers[-1] + 1)))
    else:
        labels = names = tuple(order)
    if len(order) < 2 and not count:
        raise DataError(f"{place}: there is only one class, {show_names(order)}; two are needed to tell apart.")
    called = names or labels
    absent = [name for label, name in zip(labels, called, strict=True) if label not in texts]
    notes = [f"there is no example to learn from of {show_names(absent)}"] if absent else []
    return labels, names, notes


def learn_scale(array: Array, place: str, *, standardize: bool | None, loss: str) -> tuple[float, float] | None:
    """Return mean and deviation of targets that are numbers, one an example; None where they stay as they are.

    Raises:
        DataError: If they are all the same, or are to be standardised and are several an example.
    """
    numbers = _as_numbers(array, place).astype(np.float64)
    several = numbers.ndim > 2 or (numbers.ndim == 2 and numbers.shape[1] != 1)
    if standardize is None:
        standardize = loss in FITTING and not several
    if not standardize:
        return None
    if several:
        raise DataError(
            f"data.options.standardize_target is for one number an example; {place} has the shape {numbers.shape}."
        )
    mean, deviation = float(numbers.mean()), float(numbers.std())
    if not (0 < deviation < float("inf") and abs(mean) < float("inf")):
        raise DataError(f"{place}: its numbers are all the same, or no finite ones; there is nothing to learn.")
    return mean, deviation


def check_target_options(
    name: str, *, classes: bool, labels: int, standardize: bool | None, names: tuple[str, ...] | None
) -> None:
    """Raise DataError for an option on targets that these targets have no use for; of labels, `labels` of them."""
    if labels:
        if standardize:
            raise bad_data(name, "data.options.standardize_target is for numbers; these targets are labels, 0 or 1.")
        if names is not None and len(names) != labels:
            raise bad_data(name, f"data.options.class_names names {len(names)} of {labels} labels. Name each.")
        return
    if classes and standardize:
        raise bad_data(name, "data.options.standardize_target is for numbers; these targets name classes.")
    if not classes and names is not None:
        raise bad_data(name, "data.options.class_names is for classes; these targets are numbers.")


def as_scaling(kept: tuple[Any, Any] | None) -> Scaling | None:
    """Return a scaling from nested lists of numbers."""
    return None if kept is None else cast("Scaling", tuple(np.array(one, dtype=np.float32) for one in kept))
