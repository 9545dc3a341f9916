"""What a run keeps of its inputs: all that turns a file into the model's numbers, and its numbers into an answer.

The file `inputs.json` of a run folder: shapes, names of classes, columns with their words and means, symbols, how
images are scaled. With it a finished run predicts, is rated and reported without its training data, and never by what
has changed in them since. A run of an earlier version has none; its training data are read in its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch

from downslope.core.errors import CheckpointError
from downslope.core.files import MIB, read_regular
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.training.data.dataset import Dataset, ExampleReader
from downslope.training.folder.names import INPUTS
from downslope.training.sequences.symbols import Sequences, Symbols

FORMAT = 1
_LIMIT = 512 * MIB
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip
_STAND_INS = 2
"""Zeros that a model is built to the shape of where there are no examples; batch normalisation asks for two."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decoded with every field known and of its type."""


class ArrayForm(_Strict, frozen=True):
    """An array of which there may be any number.

    Attributes:
        shape: Of one example.
        dtype: As torch names it.
    """

    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        """Check that torch has such an array."""
        if self.dtype not in _DTYPES:
            raise ValueError(f"there is no dtype {shown(self.dtype)!r}")
        if any(not 0 <= size < 2**31 for size in self.shape):
            raise ValueError("a shape is out of range")

    def stand_in(self, count: int) -> torch.Tensor:
        """Return so many examples of zeros, which take no memory."""
        return torch.zeros((), dtype=_DTYPES[self.dtype]).expand(count, *self.shape)


class KeptTable(_Strict, frozen=True, kw_only=True):
    """How the rows of a table become inputs.

    Attributes:
        options: The recipe's `data.options`, every default written out: among them how text is written and the target.
        columns: The columns of the run's own table, in order.
        named: Whether that table names them itself.
        features: The columns that are learned from, in order.
        centres: Column of numbers -> mean and deviation.
        words: Column of words -> its words, in order.
        filling: Column -> what stands for a missing cell; empty if none may be missing.
    """

    options: dict[str, Any]
    columns: tuple[str, ...]
    named: bool
    features: tuple[str, ...]
    centres: dict[str, tuple[float, float]]
    words: dict[str, tuple[str, ...]]
    filling: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        """Check that every column has what it needs."""
        for name in self.features:
            if (name in self.centres) == (name in self.words):
                raise ValueError(f"column {shown(name)!r} must have either centres or words")
            width = 1 if name in self.centres else len(self.words[name])
            if name in self.filling and len(self.filling[name]) != width:
                raise ValueError(f"the filling of column {shown(name)!r} must be {width} number(s)")
        if any(not deviation > 0 for _, deviation in self.centres.values()):
            raise ValueError("a deviation must be above 0")


class KeptImages(_Strict, frozen=True, kw_only=True):
    """How images become inputs.

    Attributes:
        options: The recipe's `data.options`, every default written out.
        height: Of an input.
        width: Of an input.
        scaling: Mean and deviation of each channel; None for pixels from 0 to 1.
    """

    options: dict[str, Any]
    height: int
    width: int
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.height < 1 or self.width < 1:
            raise ValueError("height and width must be at least 1")
        if self.scaling is not None and (
            len(self.scaling[0]) != len(self.scaling[1]) or any(not value > 0 for value in self.scaling[1])
        ):
            raise ValueError("the scaling must be a mean and a deviation above 0 for each channel")


class KeptSymbols(_Strict, frozen=True):
    """The symbols of one side, as in `Symbols`."""

    names: tuple[str, ...]
    separator: str


class KeptSequences(_Strict, frozen=True, kw_only=True):
    """How text becomes sequences, and sequences text; as in `Sequences`."""

    inputs: KeptSymbols
    targets: KeptSymbols
    rates: tuple[str, str]
    longest_trained: int


class KeptInputs(_Strict, frozen=True, kw_only=True):
    """The file `inputs.json`.

    Attributes:
        format: `FORMAT`.
        data: The recipe's `data.name`.
        fingerprint: Checksum of the run's examples, as in `Dataset.fingerprint`.
        inputs: The form of inputs.
        targets: The form of targets.
        lowest: The smallest number among the inputs learned from; 0 for symbols.
        highest: The largest.
        classes: As in `Dataset`.
        class_names: As in `Dataset`.
        class_weights: What an example of each class counts in the loss; None where all count alike.
        image_shape: As in `Dataset`.
        target_scale: As in `Dataset`.
        table: How rows become inputs, for a table.
        images: How images become inputs, for a folder of images.
        sequences: How text becomes sequences.
    """

    format: int
    data: str
    fingerprint: str
    inputs: ArrayForm
    targets: ArrayForm
    lowest: float
    highest: float
    classes: int | None
    class_names: tuple[str, ...]
    class_weights: tuple[float, ...] | None
    image_shape: tuple[int, int] | None
    target_scale: tuple[float, float] | None
    table: KeptTable | None
    images: KeptImages | None
    sequences: KeptSequences | None

    def __post_init__(self) -> None:
        """Check what must agree."""
        if self.class_names and len(self.class_names) != self.classes:
            raise ValueError("there must be a name for each class")
        if self.class_weights is not None and len(self.class_weights) != self.classes:
            raise ValueError("there must be a weight for each class")
        if self.target_scale is not None and not self.target_scale[1] > 0:
            raise ValueError("a deviation must be above 0")

    def dataset(self) -> Dataset:
        """Return the data without an example: forms, names and readers; zeros stand in where a model looks at some."""
        return Dataset(
            name=self.data,
            train_inputs=self.inputs.stand_in(_STAND_INS),
            train_targets=self.targets.stand_in(_STAND_INS),
            held_out_inputs=self.inputs.stand_in(0),
            held_out_targets=self.targets.stand_in(0),
            classes=self.classes,
            image_shape=self.image_shape,
            sequences=None if self.sequences is None else _sequences(self.sequences),
            class_names=self.class_names,
            class_weights=self.class_weights,
            reader=_reader(self),
            target_scale=self.target_scale,
            input_range=(self.lowest, self.highest),
        )


class _Version(msgspec.Struct):
    format: int


def keep_inputs(dataset: Dataset, fingerprint: str) -> KeptInputs:
    """Return what a run keeps of its inputs.

    Args:
        dataset: The run's data.
        fingerprint: Their checksum.
    """
    found = None if dataset.reader is None else dataset.reader.kept()
    lowest, highest = (0.0, 0.0) if dataset.sequences is not None else dataset.range_of_inputs()
    return KeptInputs(
        format=FORMAT,
        data=dataset.name,
        fingerprint=fingerprint,
        inputs=_form(dataset.train_inputs),
        targets=_form(dataset.train_targets),
        lowest=lowest,
        highest=highest,
        classes=dataset.classes,
        class_names=dataset.class_names,
        class_weights=dataset.class_weights,
        image_shape=dataset.image_shape,
        target_scale=dataset.target_scale,
        table=found if isinstance(found, KeptTable) else None,
        images=found if isinstance(found, KeptImages) else None,
        sequences=None if dataset.sequences is None else _kept_sequences(dataset.sequences),
    )


def encode_inputs(kept: KeptInputs) -> bytes:
    """Return what `inputs.json` holds; the same bytes for the same data."""
    return msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"


def read_inputs_kept(folder: Path) -> KeptInputs | None:
    """Return what a run keeps of its inputs, or None if it was begun by a version that kept nothing.

    Args:
        folder: The run folder.

    Raises:
        CheckpointError: If the file is damaged, or of a later version.
    """
    path = folder / INPUTS
    try:
        data = read_regular(path, CheckpointError, limit=_LIMIT, follow=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{shown(path)}: cannot be read: {error.strerror}.") from None
    version = decode_json(data, _Version, path, CheckpointError).format
    if version != FORMAT:
        raise CheckpointError(
            f"{shown(path)}: has format {version}; this version of Downslope reads format {FORMAT}. Use the version "
            "that the run was made with, or a later one."
        )
    return decode_json(data, KeptInputs, path, CheckpointError)


def plain_options(options: Any) -> dict[str, Any]:
    """Return the options of a data set as plain values, every default written out; what is off is left out."""
    from downslope.core.tables import to_table

    return to_table(options)


def _form(tensor: torch.Tensor) -> ArrayForm:
    return ArrayForm(tuple(tensor.shape[1:]), str(tensor.dtype).removeprefix("torch."))


def _reader(kept: KeptInputs) -> ExampleReader | None:
    if kept.table is not None:
        from downslope.training.data.table_encoding import restore_table_reader

        return restore_table_reader(kept.table, kept.class_names, kept.target_scale)
    if kept.images is not None:
        from downslope.training.data.images import restore_image_reader

        return restore_image_reader(kept.images, kept.class_names)
    return None


def _kept_sequences(sequences: Sequences) -> KeptSequences:
    return KeptSequences(
        inputs=KeptSymbols(sequences.inputs.names, sequences.inputs.separator),
        targets=KeptSymbols(sequences.targets.names, sequences.targets.separator),
        rates=sequences.rates,
        longest_trained=sequences.longest_trained,
    )


def _sequences(kept: KeptSequences) -> Sequences:
    return Sequences(
        inputs=Symbols(kept.inputs.names, kept.inputs.separator),
        targets=Symbols(kept.targets.names, kept.targets.separator),
        references=(),
        rates=kept.rates,
        longest_trained=kept.longest_trained,
    )
