"""What data must be: the split, and the checks that arrays of any origin pass before they are trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import numpy as np
import torch

from downslope.core.errors import DataError, did_you_mean, one_of
from downslope.core.shown import shown
from downslope.recipe.schema import BINARY, FITTING, Data
from downslope.training.data.dataset import PARTS, Dataset, Examples, Marks
from downslope.training.data.rows import Inputs, Rows
from downslope.training.run.randomness import permutation

_ONE_HOT = ", of one-hot rows argmax(axis=1)"
_TEST = ("test_inputs", "test_targets")


def split(data: Data, seed: int, inputs: Inputs, targets: torch.Tensor) -> dict[str, Any]:
    """Return examples in four parts: `data.held_out` of them are held out, chosen by the seed alone.

    Raises:
        DataError: If there are not as many inputs as targets, or too few to split.
    """
    if len(inputs) != len(targets):
        raise bad_data(data.name, f"inputs and targets differ in length: {len(inputs)} and {len(targets)}.")
    rows = split_rows(data, seed, len(inputs))
    kept, out = rows["train"], rows["held_out"]
    return dict(zip(PARTS, (inputs[kept], targets[kept], inputs[out], targets[out]), strict=True))


def split_rows(data: Data, seed: int, count: int) -> dict[Literal["train", "held_out"], torch.Tensor]:
    """Return which of so many examples are learned from, and which are held out, in the order of these parts.

    Raises:
        DataError: If there are too few.
    """
    held_out = math.ceil(count * data.held_out)
    if held_out >= count:
        raise bad_data(data.name, f"{count} example(s) cannot be split with data.held_out = {data.held_out}.")
    seed = seed if data.split_seed is None else data.split_seed
    order = torch.from_numpy(permutation(seed, "held out", count))
    return {"train": order[held_out:], "held_out": order[:held_out]}


def split_marks(data: Data, seed: int, count: int) -> Callable[[Literal["train", "held_out"]], Marks]:
    """Return what tells the examples of a part apart that was split from so many: which of them they are."""
    return lambda part: Marks(index=split_rows(data, seed, count)[part])


def check(name: str, loss: str, table: Mapping[str, Any], *, image_shape: tuple[int, int] | None = None) -> Dataset:
    """Return a data set after checking that its parts are numbers, finite, and agree with one another and the loss.

    Args:
        name: The recipe's `data.name`.
        loss: Its `train.loss`.
        table: `train_inputs`, `train_targets`, `held_out_inputs`, `held_out_targets`, and perhaps `classes`, or
            `test_inputs` and `test_targets`.
        image_shape: As in `Dataset`.
    """
    allowed = (*PARTS, *_TEST, "classes")
    for key in table:
        if key not in allowed:
            guess = did_you_mean(str(key), allowed)
            raise bad_data(name, f"unknown key '{shown(key, 60)}'.{guess} Use {one_of(allowed)}.")
    tests = _TEST if any(part in table for part in _TEST) else ()
    missing = [part for part in (*PARTS, *tests) if part not in table]
    if missing:
        raise bad_data(name, f"the dict lacks {', '.join(missing)}.")
    parts = {part: to_tensor(name, part, table[part]) for part in (*PARTS, *tests)}
    for side in ("train", "held_out", *(["test"] if tests else [])):
        inputs, targets = parts[f"{side}_inputs"], parts[f"{side}_targets"]
        if len(inputs) != len(targets):
            both = f"{len(inputs)} and {len(targets)}"
            raise bad_data(name, f"{side}_inputs and {side}_targets differ in length: {both}.")
    for part in (*PARTS[2:], *tests):
        like = f"train_{part.rpartition('_')[2]}"
        train, other = parts[like], parts[part]
        if train.shape[1:] != other.shape[1:] or train.dtype != other.dtype:
            raise bad_data(
                name,
                f"{like} and {part} must agree in dtype and in the shape of one example; got "
                f"{train.dtype} {tuple(train.shape[1:])} and {other.dtype} {tuple(other.shape[1:])}.",
            )
    binary = loss == BINARY
    if binary:
        targets = [part for part in parts if part.endswith("_targets")]
        parts |= {part: as_binary(name, part, parts[part]) for part in targets}
    classes = _count_classes(name, loss, parts, table.get("classes"))
    labels = tuple(map(str, range(parts["train_targets"].shape[1]))) if binary and classes is None else ()
    tensors: dict[str, Any] = {part: parts[part] for part in PARTS}  # or they would be checked against every field
    test = _examples_later(parts["test_inputs"], parts["test_targets"]) if tests else None
    return Dataset(
        name=name,
        **tensors,
        classes=classes,
        labels=labels,
        one_logit=binary and classes is not None,
        image_shape=image_shape,
        test=test,
    )


def as_binary(name: str, what: str, targets: torch.Tensor) -> torch.Tensor:
    """Return targets as "binary_cross_entropy" takes them: one an example as int64 classes, several as numbers 0 or 1.

    Raises:
        DataError: If they are neither.
    """
    if targets.ndim > 2:
        raise bad_data(
            name,
            f"train.loss = '{BINARY}' tells two classes, one target an example, or labels, a row of 0 and 1 an "
            f"example; {what} has shape {tuple(targets.shape)}. Use a loss of your own.",
        )
    if targets.ndim == 1 and not targets.is_floating_point():
        return targets
    odd = ((targets != 0) & (targets != 1)).nonzero()
    if len(odd):
        raise bad_data(
            name,
            f"train.loss = '{BINARY}' needs targets that are 0 or 1; {what} holds "
            f"{targets[tuple(odd[0])].item():g} in example {int(odd[0, 0])}. "
            'To fit numbers, use train.loss = "mse".',
        )
    if targets.ndim == 1:
        return targets.to(torch.int64)
    return targets if targets.is_floating_point() else targets.to(torch.get_default_dtype())


def _examples_later(inputs: torch.Tensor, targets: torch.Tensor) -> Callable[[], Examples]:
    return lambda: Examples(inputs=inputs, targets=targets, known=torch.arange(len(inputs)))


def to_tensor(name: str, what: str, value: Any) -> torch.Tensor:
    """Return an array or tensor as a tensor on the CPU, checked; NumPy's float64 becomes torch's default dtype.

    `Rows` are taken as they are: what is read is checked when it is read.

    Args:
        name: The recipe's `data.name`.
        what: What to call it in messages; integers whose name ends in "targets" become int64.
        value: A NumPy array, a tensor, or a list of numbers or of arrays of one shape; of at least one example.

    Raises:
        DataError: If it is anything else, complex, or holds inf or NaN.
    """
    if isinstance(value, Rows):
        return cast("torch.Tensor", value)
    if isinstance(value, tuple | list):
        value = _from_list(name, what, cast("list[Any]", value))
    if isinstance(value, np.ndarray):
        value = _from_array(name, what, cast("np.ndarray[Any, Any]", value))
    if not isinstance(value, torch.Tensor):
        raise bad_data(name, f"{what} must be a NumPy array, a tensor or a list; got {describe_kind(value)}.")
    tensor = value.detach().cpu()
    if tensor.ndim == 0 or len(tensor) == 0:
        raise bad_data(name, f"{what} holds no example; its shape is {tuple(tensor.shape)}.")
    if tensor.dtype.is_complex:
        raise bad_data(name, f"{what} is complex; use real numbers.")
    if tensor.dtype.is_floating_point:
        bad = (~torch.isfinite(tensor)).nonzero()
        if len(bad):
            first = int(bad[0, 0])
            raise bad_data(name, f"{what} holds {len(bad)} number(s) that are inf or NaN, first in example {first}.")
    elif what.endswith("targets"):
        tensor = tensor.to(torch.int64)
    return tensor


def _from_array(name: str, what: str, array: np.ndarray[Any, Any]) -> torch.Tensor:
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # what is too large becomes inf, which is refused
            array = array.astype(torch.empty(0).numpy().dtype)
    try:
        return torch.from_numpy(np.array(array))  # a copy: a read-only or negatively strided array is no tensor
    except TypeError:
        raise bad_data(name, f"{what} has dtype {shown(array.dtype)}; use numbers.") from None


def _from_list(name: str, what: str, values: list[Any]) -> Any:
    """Return a list of numbers, lists or arrays as one array or tensor."""
    first = values[0] if values else None
    if isinstance(first, torch.Tensor | np.ndarray):
        for number, value in enumerate(values):
            if not isinstance(value, type(first)) or value.shape != first.shape or value.dtype != first.dtype:
                raise bad_data(
                    name,
                    f"all {what} must be of one shape and dtype; number {number} is {_describe(value)}, the first "
                    f"one {_describe(first)}.",
                )
        return torch.stack(values) if isinstance(first, torch.Tensor) else np.stack(values)
    try:
        return np.array(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise bad_data(name, f"{what} are a list that is no array: {shown(error)}.") from None


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"a {type(value).__name__} of shape {tuple(value.shape)} and dtype {value.dtype}"
    return f"of type {type(value).__name__}"


def _count_classes(name: str, loss: str, parts: Mapping[str, torch.Tensor], given: Any) -> int | None:
    """Return how many classes integer targets name, `given` or as many as occur; None where targets are numbers."""
    targets = [tensor for part, tensor in parts.items() if part.endswith("_targets")]
    if targets[0].dtype.is_floating_point:
        if loss == "cross_entropy":
            raise bad_data(
                name,
                f"train.loss = 'cross_entropy' needs integer class indices as targets; got {targets[0].dtype}. "
                f'Use integers{_ONE_HOT if targets[0].ndim == 2 else ""}, or train.loss = "mse" to fit numbers.',
            )
        if given is not None:
            raise bad_data(name, f"`classes` is for integer targets; the targets are {targets[0].dtype}.")
        return None
    if loss == BINARY and targets[0].ndim == 1:
        given = _two_classes(name, targets, given)
    if loss in FITTING:
        raise bad_data(
            name,
            f"train.loss = {loss!r} needs floating-point targets; got integers. "
            'Convert them in your data function, or use train.loss = "cross_entropy".',
        )
    low, high = min(int(part.min()) for part in targets), max(int(part.max()) for part in targets)
    if low < 0:
        raise bad_data(name, f"targets are class indices from 0 upwards; the smallest is {low}.")
    if given is None:
        return high + 1
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise bad_data(name, f"`classes` must be an integer >= 1; got {given!r}.")
    if high >= given:
        raise bad_data(name, f"`classes` is {given}, so targets go from 0 to {given - 1}; the largest is {high}.")
    return given


def _two_classes(name: str, targets: list[torch.Tensor], given: Any) -> Any:
    """Return how many classes are said to be there, two where nobody says; raise if there are others."""
    high = max(int(part.max()) for part in targets)
    if high > 1 or (isinstance(given, int) and given != 2):
        raise bad_data(
            name,
            f"train.loss = '{BINARY}' tells two classes by one logit; there are {max(high + 1, given or 0)}. Use "
            'train.loss = "cross_entropy", which has a logit for each class.',
        )
    return 2 if given is None else given


def no_test(name: str, where: str) -> DataError:
    """Return an error of data that bring no test part, and where one would be: a clause."""
    return bad_data(
        name,
        f"brings no test part; {where}. `--split held_out` rates by the examples held out, and `--input` by a file of "
        "yours.",
    )


def bad_data(name: str, message: str) -> DataError:
    """Return an error that begins with the data set's name."""
    return DataError(f"{place_of(name)}: {message}")


def place_of(name: str) -> str:
    """Return what messages call a data set."""
    return f"data.name = '{shown(name)}'"


def describe_kind(value: Any) -> str:
    """Return what something is, and how long: "tuple of 3"."""
    try:
        length = f" of {len(value)}"
    except Exception:  # noqa: BLE001  # a person's own class may raise anything
        length = ""
    return f"{type(value).__name__}{length}"
