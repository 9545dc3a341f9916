"""What a run keeps of its inputs: all that turns a file into the model's numbers, and its numbers into an answer.

The file `inputs.json` of a run folder: shapes, names of classes, columns with their words and means, symbols, how
images are scaled. With it a finished run predicts, is rated and reported without its training data, and never by what
has changed in them since. A run of an earlier version has none; its training data are read in its place.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch
from torch import nn

from downslope.core.errors import CheckpointError
from downslope.core.files import MIB, read_regular
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.training.data.array_reader import KeptArrays
from downslope.training.data.dataset import Dataset
from downslope.training.data.image_reader import KeptImages
from downslope.training.data.rows import Inputs
from downslope.training.data.table_reader import KeptTable
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
    """The file `inputs.json`. What is not told of here is as in `Dataset`.

    Attributes:
        format: `FORMAT`.
        data: The recipe's `data.name`.
        fingerprint: Checksum of the run's examples, as in `Dataset.fingerprint`.
        inputs: The form of inputs.
        targets: The form of targets.
        lowest: The smallest number among the inputs learned from; 0 for symbols.
        highest: The largest.
        table: How rows become inputs, for a table.
        images: How images become inputs, for a folder of images.
        arrays: How arrays become inputs, for files of arrays.
        sequences: How text becomes sequences.
        model_config: The configuration that a model of transformers was made from, or "".
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
    arrays: KeptArrays | None = None
    model_config: str = ""
    labels: tuple[str, ...] = ()
    one_logit: bool = False

    def __post_init__(self) -> None:
        """Check what must agree."""
        if self.class_names and len(self.class_names) != self.classes:
            raise ValueError("there must be a name for each class")
        if self.class_weights is not None and len(self.class_weights) != (len(self.labels) or self.classes):
            raise ValueError("there must be a weight for each class")
        if self.labels and (self.classes is not None or self.targets.shape != (len(self.labels),)):
            raise ValueError("there must be a name for each label")
        if self.one_logit and self.classes != 2:
            raise ValueError("one logit tells two classes")
        if self.arrays is not None and self.arrays.labels and len(self.arrays.labels) != self.classes:
            raise ValueError("there must be a label for each class")
        if self.target_scale is not None and not self.target_scale[1] > 0:
            raise ValueError("a deviation must be above 0")

    def dataset(self) -> Dataset:
        """Return the data without an example: forms, names and readers; zeros stand in where a model looks at some."""
        reader = None
        if self.table is not None:
            reader = self.table.reader(self.class_names, self.target_scale)
        elif self.images is not None:
            reader = self.images.reader(self.class_names)
        elif self.arrays is not None:
            reader = self.arrays.reader(self.data, self.class_names, self.target_scale)
        kept = self.sequences
        sequences = None
        if kept is not None:
            sequences = Sequences(
                inputs=Symbols(kept.inputs.names, kept.inputs.separator),
                targets=Symbols(kept.targets.names, kept.targets.separator),
                references=(),
                rates=kept.rates,
                longest_trained=kept.longest_trained,
            )
        return Dataset(
            name=self.data,
            train_inputs=self.inputs.stand_in(_STAND_INS),
            train_targets=self.targets.stand_in(_STAND_INS),
            held_out_inputs=self.inputs.stand_in(0),
            held_out_targets=self.targets.stand_in(0),
            classes=self.classes,
            labels=self.labels,
            one_logit=self.one_logit,
            image_shape=self.image_shape,
            sequences=sequences,
            class_names=self.class_names,
            class_weights=self.class_weights,
            reader=reader,
            target_scale=self.target_scale,
            input_range=(self.lowest, self.highest),
            model_config=self.model_config,
        )


class _Version(msgspec.Struct):
    format: int


def keep_inputs(dataset: Dataset, fingerprint: str, model: nn.Module | None = None) -> KeptInputs:
    """Return what a run keeps of its inputs, and of its model what is neither in the recipe nor in checkpoints."""
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
        arrays=found if isinstance(found, KeptArrays) else None,
        sequences=None if dataset.sequences is None else _kept_sequences(dataset.sequences),
        model_config=getattr(model, "config_text", ""),
        labels=dataset.labels,
        one_logit=dataset.one_logit,
    )


def encode_inputs(kept: KeptInputs) -> bytes:
    """Return what `inputs.json` holds; the same bytes for the same data."""
    return msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"


def read_inputs_kept(folder: Path) -> KeptInputs | None:
    """Return what a run keeps of its inputs, or None if it was begun by a version that kept nothing.

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


def _form(tensor: Inputs) -> ArrayForm:
    return ArrayForm(tuple(tensor.shape[1:]), str(tensor.dtype).removeprefix("torch."))


def _kept_sequences(sequences: Sequences) -> KeptSequences:
    return KeptSequences(
        inputs=KeptSymbols(sequences.inputs.names, sequences.inputs.separator),
        targets=KeptSymbols(sequences.targets.names, sequences.targets.separator),
        rates=sequences.rates,
        longest_trained=sequences.longest_trained,
    )
