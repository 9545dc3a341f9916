"""Examples to learn from and held out: what every data set becomes, in memory or read when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.rows import Inputs, Rows, in_memory
from downslope.training.sequences.symbols import Sequences, lengths, trim

if TYPE_CHECKING:
    from downslope.recipe.measures import Metric
    from downslope.recipe.schema import Data

_LAZY = "read when needed "
"""What the fingerprint of data begins with that are not held in memory."""

LARGE = 2**29
"""How many bytes of inputs are held in memory, where the recipe leaves it open; more are read when needed."""

PARTS = ("train_inputs", "train_targets", "held_out_inputs", "held_out_targets")
TOP = 5
"""Of more classes than this it is also told how often the right one is among so many with the largest logits."""

Part = Literal["train", "held_out", "test"]
"""What is learned from; what is evaluated while training; what is looked at once, at the end."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A person's own examples.

    Attributes:
        inputs: Shape (examples, ...): of those that the model can be given.
        total: How many there are in all; None if the model can be given each.
        rows: Which of all these are: int64 indices that ascend, shape (examples,); None if they are all.
        refused: Index among all -> why the model cannot be given it: place, value, what is known.
        notes: Sentences about all of them.
        names: What to call each of all; empty if they are counted.
        ids: The person's own mark of each of all; empty if none was asked for.
        targets: The targets of those inputs that have one, as the loss takes them; None where the file has no place
            for them.
        known: Which of `inputs` these are: int64 indices that ascend, shape (targets,).
        target_name: What the file calls them.
        id_name: What the file calls the person's own marks.
        index: Which example of its data set each of all is, from 0, in the data set's own order, where these are a part
            that was drawn from it: int64, shape (all,); None otherwise.
    """

    inputs: Inputs
    total: int | None = None
    rows: torch.Tensor | None = None
    refused: Mapping[int, str] = field(default_factory=dict[int, str])
    notes: tuple[str, ...] = ()
    names: Sequence[str] = ()
    ids: Sequence[str] = ()
    targets: torch.Tensor | None = None
    known: torch.Tensor | None = None
    target_name: str = ""
    id_name: str = ""
    index: torch.Tensor | None = None

    def __len__(self) -> int:
        """Return how many there are in all."""
        return len(self.inputs) if self.total is None else self.total

    def places(self) -> list[int]:
        """Return the index among all of each input."""
        return list(range(len(self.inputs))) if self.rows is None else self.rows.tolist()

    def first(self, count: int | None) -> Examples:
        """Return the first so many of them; all if count is None."""
        if count is None or count >= len(self):
            return self
        last = count if self.rows is None else int((self.rows < count).sum())
        known = targets = None
        if self.known is not None and self.targets is not None:
            upto = int((self.known < last).sum())
            known, targets = self.known[:upto], self.targets[:upto]
        return replace(
            self,
            inputs=self.inputs[:last] if isinstance(self.inputs, torch.Tensor) else self.inputs[torch.arange(last)],
            total=count,
            rows=None if self.rows is None else self.rows[:last],
            refused={place: why for place, why in self.refused.items() if place < count},
            names=self.names[:count],
            ids=self.ids[:count],
            targets=targets,
            known=known,
            index=None if self.index is None else self.index[:count],
        )

    def take(self, wanted: Sequence[int]) -> Examples:
        """Return those of these indices among all, in this order."""
        at = {place: number for number, place in enumerate(self.places())}
        chosen = [(new, at[old]) for new, old in enumerate(wanted) if old in at]
        inputs = torch.tensor([one for _, one in chosen], dtype=torch.int64)
        known = targets = None
        if self.targets is not None and self.known is not None:
            of_input = {number: place for place, number in enumerate(self.known.tolist())}
            pairs = [(new, of_input[old]) for new, (_, old) in enumerate(chosen) if old in of_input]
            known = torch.tensor([new for new, _ in pairs], dtype=torch.int64)
            targets = self.targets[torch.tensor([old for _, old in pairs], dtype=torch.int64)]
        return replace(
            self,
            inputs=self.inputs[inputs],
            total=len(wanted),
            rows=torch.tensor([new for new, _ in chosen], dtype=torch.int64),
            refused={new: self.refused[old] for new, old in enumerate(wanted) if old in self.refused},
            names=[self.names[old] for old in wanted] if self.names else (),
            ids=[self.ids[old] for old in wanted] if self.ids else (),
            index=torch.tensor(wanted, dtype=torch.int64) if self.index is None else self.index[torch.tensor(wanted)],
            targets=targets,
            known=known,
        )


class ExampleReader(Protocol):
    """Reads a person's own examples from a file, with the preprocessing that the training examples had."""

    def stream(
        self, given: str | Path, *, identify: str | None = None, rated: bool = False, loaders: int = 0
    ) -> Iterator[Examples]:
        """Yield the examples of a file part by part, in memory that does not grow with their number.

        Args:
            given: The file or folder, as a person wrote it.
            identify: What marks each example, in the file's own words: a column; None for what the recipe says.
            rated: Whether all of them must have a target.
            loaders: How many threads read ahead.

        Raises:
            DataError: If it cannot be read, or does not fit the data.
        """
        ...

    def part(self, part: Part, data: Data, seed: int) -> Examples:
        """Return the examples of a part of the recipe's own files now, read as the run read them then.

        Raises:
            DataError: If they cannot be read, or bring no such part.
        """
        ...

    def kept(self) -> Any:
        """Return what a run keeps, so that the same reader can be had without the data: a `KeptTable`, ..."""
        ...


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What tells the examples of a part apart; as in `Examples`."""

    index: torch.Tensor | None = None
    names: Sequence[str] = ()
    ids: Sequence[str] = ()
    id_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples to learn from and examples held out. Inputs are in memory, or `Rows`; targets always are in memory.

    Attributes:
        name: The recipe's `data.name`.
        train_inputs: Shape (examples, ...).
        train_targets: Shape (examples, ...): int64 class indices, or floating-point numbers.
        held_out_inputs: As train_inputs.
        held_out_targets: As train_targets.
        classes: Number of classes, or None where targets are numbers or labels.
        labels: What each label is called, where an example may have several or none: targets are 0 or 1, floating-point
            of shape (examples, labels); otherwise empty.
        one_logit: Whether there are two classes that are told by one logit: the second's, beside 0 for the first.
        sequences: Symbols and right answers where inputs and targets are sequences, padded with 0; otherwise None.
        image_shape: (height, width) if an input is an image of one channel, flat or not; otherwise None.
        class_names: What each class is called, by index; empty where classes have no names.
        reader: How a file of further examples becomes inputs, where arrays of inputs are not what a person has.
        target_scale: (mean, standard deviation) by which targets that are numbers were standardised.
        class_weights: What an example of each class counts in the loss; None where all count alike.
        input_range: Smallest and largest number among the inputs learned from, where they are not at hand any more.
        test: Reads the examples for one look at the end, where data without a reader bring some.
        marks: Tells the examples of "train" or "held_out" apart; None where their order is all there is.
        model_config: The configuration of a model of transformers that a run was made with; "" before there is a run.
        notes: What a person should know of how they were read.
        checksum: What `fingerprint` returns where not all examples are at hand: a data set's own way to tell whether
            its examples have changed.
    """

    name: str
    train_inputs: Inputs = field(repr=False)
    train_targets: torch.Tensor = field(repr=False)
    held_out_inputs: Inputs = field(repr=False)
    held_out_targets: torch.Tensor = field(repr=False)
    classes: int | None = None
    labels: tuple[str, ...] = ()
    one_logit: bool = False
    image_shape: tuple[int, int] | None = None
    sequences: Sequences | None = field(default=None, repr=False)
    class_names: tuple[str, ...] = ()
    reader: ExampleReader | None = field(default=None, repr=False, compare=False)
    target_scale: tuple[float, float] | None = None
    class_weights: tuple[float, ...] | None = None
    input_range: tuple[float, float] | None = None
    test: Callable[[], Examples] | None = field(default=None, repr=False, compare=False)
    marks: Callable[[Literal["train", "held_out"]], Marks] | None = field(default=None, repr=False, compare=False)
    model_config: str = field(default="", repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    checksum: str | None = None

    def take(self, examples: torch.Tensor, epoch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets of training examples by index, as they are in an epoch.

        Sequences are as long as the longest of these. Where inputs are read when needed, what reads them may give the
        targets too: those of an epoch.
        """
        if not isinstance(self.train_inputs, torch.Tensor):
            read = self.train_inputs.take(examples, epoch)
            return read.inputs, self.train_targets[examples] if read.targets is None else self._known(read.targets)
        # index_select copies rows; indexing by a tensor is general, and takes two to four times as long
        inputs, targets = self.train_inputs.index_select(0, examples), self.train_targets.index_select(0, examples)
        return (inputs, targets) if self.sequences is None else (trim(inputs), trim(targets))

    def _known(self, targets: torch.Tensor) -> torch.Tensor:
        """Return targets that were read, after checking that they are of the kind that was there at the start."""
        form = self.train_targets
        if self.labels or self.one_logit:  # 0 and 1 may be written as any kind of number
            as_form = targets.to(form.dtype)
            targets = as_form if bool((as_form == targets).all()) else targets
        if targets.dtype != form.dtype or targets.shape[1:] != form.shape[1:]:
            raise DataError(
                f"data.name = '{shown(self.name)}': a target is {targets.dtype} of shape {tuple(targets.shape[1:])} "
                f"now; at the start all were {form.dtype} of shape {tuple(form.shape[1:])}."
            )
        if (
            self.classes is not None
            and len(targets)
            and not 0 <= int(targets.min()) <= int(targets.max()) < self.classes
        ):
            raise DataError(
                f"data.name = '{shown(self.name)}': a target is class {int(targets.max())} now; at the start there "
                f"were {self.classes} classes."
            )
        return targets

    def close(self) -> None:
        """End what reads ahead; the data are not to be used any more."""
        for inputs in (self.train_inputs, self.held_out_inputs):
            if isinstance(inputs, Rows):
                inputs.loaders.close()

    def sizes(self) -> torch.Tensor | None:
        """Return how long each training example is, where they differ: int64 of shape (examples,); otherwise None.

        A batch of similar examples has little padding. Inputs decide, and among equal ones targets.
        """
        if self.sequences is None:
            return None
        widest = self.train_targets.shape[1] + 1
        return lengths(in_memory(self.train_inputs)) * widest + lengths(self.train_targets)

    def range_of_inputs(self) -> tuple[float, float]:
        """Return the smallest and the largest number among the inputs learned from."""
        if self.input_range is not None:
            return self.input_range
        inputs = in_memory(self.train_inputs)
        return float(inputs.min()), float(inputs.max())

    def metrics(self, loss: str = "mse") -> tuple[Metric, ...]:
        """Return what an evaluation gives, the most telling first; a loss that is the output has no answers."""
        if self.sequences is not None:
            return (*cast("tuple[Metric, Metric]", self.sequences.rates), "accuracy", "loss")
        if self.labels:
            return ("macro_f1", "micro_f1", "exact_match", "worst_recall", "accuracy", "loss")
        if self.classes is not None:
            top: tuple[Metric, ...] = ("top5_accuracy",) if self.classes > TOP else ()
            return ("accuracy", "loss", *top, "balanced_accuracy", "macro_f1", "worst_recall")
        return ("loss",) if loss == "output" else ("loss", "rmse", "mae", "r2")

    @property
    def logits(self) -> int | None:
        """How many logits tell the classes; None where targets are numbers or labels."""
        return 1 if self.one_logit else self.classes

    def fingerprint(self) -> str:
        """Return a checksum of all examples, by which a resumed run knows that its data are still the same."""
        if self.checksum is not None:
            return self.checksum
        digest = hashlib.blake2b(digest_size=16)
        for part in PARTS:
            tensor: torch.Tensor = getattr(self, part)
            digest.update(f"{part} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        if self.sequences is not None:
            digest.update(repr(self.sequences).encode())
        if self.class_names or self.target_scale is not None:
            digest.update(f"{self.class_names} {self.target_scale}".encode())
        return digest.hexdigest()


def is_lazy(fingerprint: str) -> bool:
    """Return whether data with this fingerprint were read when needed."""
    return fingerprint.startswith(_LAZY)


def lazy_checksum(digest: Any) -> str:
    """Return the fingerprint of data that are read when needed."""
    return _LAZY + digest.hexdigest()


def take_part(dataset: Dataset, part: Literal["train", "held_out"]) -> Examples:
    """Return the examples of a part, with what tells them apart."""
    inputs: Inputs = getattr(dataset, f"{part}_inputs")
    marks = Marks() if dataset.marks is None else dataset.marks(part)
    return Examples(
        inputs=inputs,
        targets=getattr(dataset, f"{part}_targets"),
        known=torch.arange(len(inputs)),
        names=marks.names,
        ids=marks.ids,
        id_name=marks.id_name,
        index=marks.index,
    )
