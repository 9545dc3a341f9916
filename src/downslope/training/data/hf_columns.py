"""Columns of a Hugging Face data set as arrays: images, numbers, lists of numbers, classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.class_names import show_names
from downslope.training.data.hf_files import Split
from downslope.training.data.image_files import read_bytes_of_image
from downslope.training.data.numpy_files import Array, check_memory, first_line

Kind = Literal["image", "number", "list", "classes", "words", "other"]
_TARGETS = ("label", "labels", "target", "targets", "y", "class")
_AT_ONCE = 256


def kind_of(feature: Any) -> Kind:
    """Return what a column holds, by the feature that describes it."""
    name = type(feature).__name__
    if name == "Image":
        return "image"
    if name == "ClassLabel":
        return "classes"
    if name in {"List", "LargeList", "Sequence", "Array2D", "Array3D", "Array4D", "Array5D"}:
        return "list" if _is_number(_innermost(feature)) else "other"
    if name != "Value":
        return "other"
    if _is_number(feature.dtype):
        return "number"
    return "words" if feature.dtype in {"string", "large_string"} else "other"


def _innermost(feature: Any) -> str:
    """Return the dtype of the items of a list of lists, or ""."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    return str(getattr(feature, "dtype", "")) if type(feature).__name__ in _ITEMS else ""


_ITEMS = {"Value", "Array2D", "Array3D", "Array4D", "Array5D"}


def _is_number(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "float", "bool"))


def choose_target(split: Split, given: str | None) -> str:
    """Return the column that is learned: the one given, or the only one that is certain.

    Raises:
        DataError: If there is no such column, or several may be meant.
    """
    if given is not None:
        return _there(split, given, "target")
    classes = [name for name, feature in split.features.items() if kind_of(feature) == "classes"]
    named = [name for name in split.features if name.lower() in _TARGETS]
    for found in (classes, named):
        if len(found) == 1:
            return found[0]
    raise DataError(
        f"{split.place}: it is not certain which column is to be learned. Set data.options.target. "
        f"{_list_columns(split)}"
    )


def choose_inputs(split: Split, given: str | Sequence[str] | None, target: str) -> tuple[str, ...]:
    """Return the columns that are learned from: those given, or those that are certain.

    Raises:
        DataError: If there is no such column, several may be meant, or some do not go together.
    """
    if given is not None:
        names = (given,) if isinstance(given, str) else tuple(given)
        if not names or len(set(names)) < len(names):
            raise DataError(f"data.options.inputs: must name columns, each once; got {list(names)}.")
        for name in names:
            _there(split, name, "inputs")
        kinds = {kind_of(split.features[name]) for name in names}
        if target in names:
            raise DataError(f"data.options.inputs: `{shown(target)}` is the target. Leave it out.")
        if len(names) > 1 and not kinds <= {"number", "classes"}:
            raise DataError(
                f"data.options.inputs: several columns can be numbers alone. {_list_columns(split)} Name one, or put "
                "them together beforehand by `map` of datasets."
            )
        return names
    others = {name: kind_of(feature) for name, feature in split.features.items() if name != target}
    images = [name for name, kind in others.items() if kind == "image"]
    lists = [name for name, kind in others.items() if kind == "list"]
    if len(images) == 1 and not lists:
        return tuple(images)
    if not images and lists and ("input_ids" in lists or len(lists) == 1):
        return ("input_ids",) if "input_ids" in lists else tuple(lists)
    if not images and not lists and others and all(kind == "number" for kind in others.values()):
        return tuple(others)
    raise DataError(
        f"{split.place}: it is not certain which columns are to be learned from. Set data.options.inputs. "
        f"{_list_columns(split)}"
    )


def _there(split: Split, name: str, key: str) -> str:
    if name not in split.features:
        raise DataError(
            f"data.options.{key} = '{shown(name)}': {split.place} has no such column. {_list_columns(split)}"
        )
    return name


def _list_columns(split: Split) -> str:
    words = {"number": "number", "list": "list of numbers", "other": "nothing that is read", "words": "words"}
    names = [
        f"`{shown(name, 60)}` ({words.get(kind_of(feature), kind_of(feature))})"
        for name, feature in list(split.features.items())[:20]
    ]
    more = len(split.features) - len(names)
    return f"Its columns: {', '.join(names)}{f' and {more} more' if more else ''}."


def check_features(split: Split, names: Sequence[str], features: Mapping[str, Any], like: str) -> None:
    """Raise DataError unless a split has columns of the same kinds, with the same classes, as another has."""
    for name in names:
        found, wanted = split.features.get(name), features[name]
        if found is None:
            raise DataError(f"{split.place}: has no column `{shown(name)}`, which {like} has. {_list_columns(split)}")
        if kind_of(found) != kind_of(wanted):
            raise DataError(
                f"{split.place}: its column `{shown(name)}` is {kind_of(found)}, and that of {like} {kind_of(wanted)}."
            )
        if getattr(found, "names", None) != getattr(wanted, "names", None):
            raise DataError(f"{split.place}: its column `{shown(name)}` has other classes than that of {like}.")


def read_target(split: Split, name: str) -> Array:
    """Return a column as targets: numbers, or words, one each."""
    kind = kind_of(split.features[name])
    if kind == "words":
        cells = split.table([name]).column(0).to_pylist()
        empty = next((row for row, cell in enumerate(cells) if cell is None), None)
        if empty is not None:
            raise DataError(f"{split.place}, row {empty}: `{shown(name)}` is empty. Leave such rows out beforehand.")
        return np.array(cells, dtype=np.str_)
    if kind not in {"number", "classes", "list"}:
        raise DataError(
            f"data.options.target = '{shown(name)}': holds neither classes, numbers nor words. {_list_columns(split)}"
        )
    column = split.table([name]).column(0)
    return _regular(split, name, column) if kind == "list" else _numbers(split, name, column, whole=True)


def read_inputs(
    split: Split, names: Sequence[str], *, size: tuple[int, int] | None, colour: Literal["rgb", "grey"]
) -> Array:
    """Return columns as inputs: images of bytes, lists as an array, numbers side by side.

    Raises:
        DataError: If something in them is missing or damaged, or lists differ in length.
    """
    kind = kind_of(split.features[names[0]])
    if kind == "image":
        return _images(split, names[0], size, colour)
    if kind == "list":
        return _regular(split, names[0], split.table(names).column(0))
    check_memory(split.place, 8 * split.count * len(names), f"for {len(names):,} column(s)")
    if not all(kind_of(split.features[name]) in {"number", "classes"} for name in names):
        hint = " Turn them into numbers beforehand, by a tokenizer and `map` of datasets." if kind == "words" else ""
        raise DataError(
            f"data.options.inputs: {show_names(names)} cannot be learned from.{hint} {_list_columns(split)}"
        )
    table = split.table(names)
    columns = [_numbers(split, name, table.column(name), whole=False) for name in names]
    return np.stack(columns, axis=1)


def _numbers(split: Split, name: str, column: Any, *, whole: bool) -> Array:
    """Return a column of numbers: float64, or as they are where they are targets that may name classes."""
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DataError(
            f"{split.place}, row {row}: `{shown(name)}` is empty, and so are {column.null_count - 1:,} more. Fill them "
            "in, or leave such rows out beforehand, by `filter` of datasets."
        )
    numbers: Array = column.to_numpy()
    return numbers if whole else numbers.astype(np.float64)


# Lists


def lengths_of(split: Split, name: str) -> Array | None:
    """Return how long each list of a column is; None where its items are lists themselves."""
    flat = _flatten(split, name, split.table([name]).column(0))
    return np.diff(flat[0]) if flat[0] is not None and len(flat[2]) == 0 else None


def read_lists(split: Split, name: str, width: int, pad: int) -> tuple[Array, int]:
    """Return lists of one level as rows of so many items, and how many were longer and are cut.

    Args:
        split: The split.
        name: The column.
        width: Items in a row.
        pad: What stands behind the last item of a shorter one.
    """
    offsets, values, _ = _flatten(split, name, split.table([name]).column(0))
    bounds = np.arange(split.count + 1) if offsets is None else offsets
    lengths = np.diff(bounds)
    check_memory(split.place, values.dtype.itemsize * split.count * width, f"for lists of {width:,}")
    rows = np.full((split.count, width), pad, dtype=values.dtype)
    places = np.arange(width)
    there = places < lengths[:, np.newaxis]
    rows[there] = values[(bounds[:-1, np.newaxis] + places)[there]]
    return rows, int((lengths > width).sum())


def _regular(split: Split, name: str, column: Any) -> Array:
    """Return lists that are all of one length, of lists of one length, ..., as an array."""
    offsets, values, inner = _flatten(split, name, column)
    lengths = np.diff(offsets) if offsets is not None else np.array([1])
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        raise DataError(
            f"{split.place}, row {row}: `{shown(name)}` has {int(lengths[row]):,} items, and row 0 has "
            f"{int(lengths[0]):,}. Lists of whole numbers are filled up to one length; others must have one."
        )
    return values.reshape(split.count, -1, *inner) if len(lengths) else values.reshape(0, 0, *inner)


def _flatten(split: Split, name: str, column: Any) -> tuple[Array | None, Array, tuple[int, ...]]:
    """Return where each row's items begin and end, all items, and the shape of one."""
    import pyarrow as pa
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made at run time

    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    offsets: Array | None = None
    inner: tuple[int, ...] = ()
    place = f"{split.place}, column `{shown(name)}`"
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            raise DataError(
                f"{place}: {array.null_count:,} of its lists are empty cells. Leave such rows out beforehand."
            )
        lengths: Array = compute.list_value_length(array).to_numpy(zero_copy_only=False)
        if offsets is None:
            offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        elif len(lengths) and (lengths != lengths[0]).any():
            raise DataError(f"{place}: its lists hold lists of different lengths. Give them one beforehand.")
        else:
            inner = (*inner, int(lengths[0]) if len(lengths) else 0)
        array = array.flatten()
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
    if array.null_count:
        raise DataError(f"{place}: {array.null_count:,} of the items of its lists are missing.")
    check_memory(place, array.nbytes, "for its numbers")
    return offsets, array.to_numpy(zero_copy_only=False), inner


# Images


def _images(split: Split, name: str, size: tuple[int, int] | None, colour: Literal["rgb", "grey"]) -> Array:
    """Return images as bytes, shape (examples, height, width[, 3]), all of the size of the first or of `size`."""
    images: Any = None
    for number, (data, path) in enumerate(_cells(split, name)):
        place = f"{split.place}, row {number}"
        if data is None and path is None:
            raise DataError(f"{place}: `{shown(name)}` is empty. Leave such rows out beforehand.")
        if data is None and not Path(path or "").is_file():
            raise DataError(
                f"{place}: its image is not in the data set but in the file {shown(path)}, which is not there. Nothing "
                "is downloaded; save the data with their images: `save_to_disk` does."
            )
        pixels = read_bytes_of_image(Path(path or "") if data is None else data, place, colour, size)
        if images is None:
            images = np.empty((split.count, *pixels.shape), dtype=np.uint8)
            check_memory(split.place, 5 * images.nbytes, f"for {split.count:,} images")
        if pixels.shape != images.shape[1:]:
            height, width = pixels.shape[:2]
            raise DataError(
                f"{place}: its image is {height} pixels high and {width} wide; that of row 0, {images.shape[1]} and "
                f"{images.shape[2]}. Set data.options.size = [height, width] to scale all of them to one size."
            )
        images[number] = pixels
    return np.zeros((0, 1, 1), dtype=np.uint8) if images is None else images


def _cells(split: Split, name: str) -> Iterator[tuple[bytes | None, str | None]]:
    """Yield the bytes and the path of each image."""
    column = split.table([name]).column(0)
    if hasattr(column.type, "storage_type"):
        column = column.cast(column.type.storage_type)
    try:
        for start in range(0, len(column), _AT_ONCE):
            for cell in column.slice(start, _AT_ONCE).to_pylist():
                yield (None, None) if cell is None else (cell.get("bytes"), cell.get("path"))
    except (AttributeError, ValueError) as error:
        raise DataError(f"{split.place}, column `{shown(name)}`: holds no images: {first_line(error)}.") from None
