"""One pass of a run's model over examples of any number: what it answers to each, and how good that is.

Examples come in parts, and are answered in the batches of an evaluation, so that memory does not grow with their
number. Of those with a target is counted what an evaluation counts, in its order, to the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from downslope.core.errors import DataError, DownslopeError
from downslope.training.data import Dataset
from downslope.training.data.checking import as_binary
from downslope.training.data.dataset import Examples
from downslope.training.data.rows import Inputs, Rows, batches_of, rows_at_once
from downslope.training.device import Copier, device_of, is_channels_last
from downslope.training.measuring.class_rates import ClassRates, rate_classes
from downslope.training.run.held_out import Tally, as_numbers
from downslope.training.run.losses import choose, kind_of, margin_of
from downslope.training.run.randomness import reseed
from downslope.training.run.task import build_objective
from downslope.training.use.label_rows import as_class_logits, name_labels, rate_labels, tell_labels
from downslope.training.user_code import FAILURES, describe

if TYPE_CHECKING:
    from downslope.training.use.evaluate import TrainedRun

Row = dict[str, Any]
"""What is said of one example, by name."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What rows may hold, all of them: by it the columns of a file are known before its last row is.

    Attributes:
        names: What each class is called; empty where classes have no names.
        id_name: What the file calls the person's own marks.
        has_id: Whether there are such.
        has_index: Whether rows have an "index".
        has_name: Whether they have a "name".
        has_target: Whether they have a "target" (or "targets") where it is known.
        has_loss: Whether those have a "loss".
    """

    names: tuple[str, ...] = ()
    id_name: str = ""
    has_id: bool = False
    has_index: bool = False
    has_name: bool = False
    has_target: bool = False
    has_loss: bool = False


class Pass:
    """One pass; its numbers are those of the examples so far, and final once `batches` has come to its end.

    Args:
        opened: The run, its model with the weights that are meant.
        dataset: The data whose forms and classes the examples have.
        parts: The examples, in order.
        place: What messages call all of them.

    Attributes:
        total: How many examples there were.
        rated: How many of them had a target.
        usable: How many of them the model could be given.
        refused: How many of them it could not.
        first_refused: Why the first of these could not.
        unpredicted: How many have no answer: refused, or their outputs were no finite numbers.
        low: The smallest number among the inputs.
        high: The largest.
        target_name: What the file calls targets, if it has a place for them.
        form: What rows may hold, once the first was told of.
        read_ahead: Whether there was something for loaders to do.
        tally: What an evaluation counts.
        notes: Sentences about the examples.
    """

    def __init__(self, opened: TrainedRun, dataset: Dataset, parts: Iterable[Examples], place: str) -> None:
        """Begin with nothing seen."""
        self._opened, self._dataset, self._parts, self._place = opened, dataset, parts, place
        self._objective = build_objective(opened.recipe, dataset)  # an evaluation asks for no value of a schedule
        self._margin = margin_of(opened.recipe.train)
        self._targets: list[Tensor] = []
        self._classes: ClassRates | None = None
        self._place_of_batch = self._part_count = 0
        self.total = self.rated = self.usable = self.refused = self.unpredicted = 0
        self.low, self.high = math.inf, -math.inf
        self.first_refused = self.target_name = ""
        self.form = Form(names=dataset.labels or dataset.class_names)
        self.read_ahead = False
        self.tally = Tally()
        self.notes: list[str] = []

    def metrics(self) -> dict[str, float]:
        """Return what an evaluation of these examples gives."""
        return self.tally.metrics(self._objective, torch.cat(self._targets) if self._targets else torch.empty(0))

    def class_rates(self) -> ClassRates | None:
        """Return the rates of each class, or None where an example has not one class to be told."""
        return self._classes

    def run(self) -> None:
        """Go through all examples without telling of any by itself."""
        for _ in self.batches(tells=False):
            pass

    def batches(self, *, tells: bool = True) -> Iterator[list[Row]]:
        """Yield what is said of each example, in order, batch by batch; nothing unless it `tells`."""
        self._opened.model.eval()
        for part in self._parts:
            self._part_count += 1
            self.read_ahead = self.read_ahead or isinstance(part.inputs, Rows) or self._part_count > 1
            self.target_name = part.target_name
            has_target = part.targets is not None
            self.form = Form(
                names=self._dataset.labels or self._dataset.class_names,
                id_name=part.id_name,
                has_id=bool(part.ids),
                has_index=part.index is not None,
                has_name=bool(part.names),
                has_target=has_target,
                has_loss=has_target,
            )
            self.notes += [note for note in part.notes if note not in self.notes]
            yield from self._batches(part, tells=tells)
            self.total += len(part)

    def _batches(self, part: Examples, *, tells: bool) -> Iterator[list[Row]]:
        """Yield the rows of a part; those that the model cannot be given stand where they are among the others."""
        places = np.arange(len(part.inputs)) if part.rows is None else part.rows.numpy()
        known = np.arange(0) if part.known is None else part.known.numpy()
        done = begin = 0
        for inputs, given in self._given(part.inputs):
            end = begin + len(inputs)
            first, last = np.searchsorted(known, [begin, end]).tolist()
            here = torch.from_numpy(known[first:last] - begin)
            targets = None if part.targets is None else part.targets[first:last]
            outputs = self._answer(given, len(here) == len(inputs) or tells)
            losses = self._rate(outputs, given, here, targets, tells=tells)
            self._look(inputs)
            if tells:
                rows = self._rows(outputs.cpu(), inputs, places[begin:end] + self.total)
                right = [] if targets is None else restore_unit(targets, self._dataset).tolist()
                for number, target, loss in zip(here.tolist(), right, losses or [None] * len(right), strict=True):
                    rows[number] |= self._true(target) | ({} if loss is None else {"loss": loss})
                upto = int(places[end]) if end < len(places) else len(part)
                yield self._in_order(part, dict(zip(places[begin:end].tolist(), rows, strict=True)), done, upto)
                done = upto
            begin = end
        self._count_refused(part)
        if tells and done < len(part):
            yield self._in_order(part, {}, done, len(part))

    def _true(self, target: Any) -> Row:
        """Return what is right of an example."""
        labels = self._dataset.labels
        return {"true_labels": name_labels(target, self._dataset)} if labels else {"target": target}

    def _given(self, inputs: Inputs) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of inputs on the host and where the model is; the next is on its way while one is answered."""
        model = self._opened.model
        copier, channels_last = Copier(device_of(model)), is_channels_last(model)
        last: tuple[Tensor, Any] | None = None
        count = -(-len(inputs) // rows_at_once(inputs)) if len(inputs) else 0
        for batch in batches_of(inputs, range(count)):
            begun = batch, copier.begin((batch,), channels_last=channels_last)
            if last is not None:
                yield last[0], last[1].take()[0]
            last = begun
        if last is not None:
            yield last[0], last[1].take()[0]

    def _answer(self, given: Tensor, any_kind: bool) -> Any:  # noqa: FBT001
        """Return what the model returns for a batch."""
        model, step = self._opened.model, self._opened.weights.step or 0
        reseed(self._opened.recipe.seed, step, f"evaluation {self._place_of_batch}", device=device_of(model))
        self._place_of_batch += 1
        with _explained(self._place), torch.no_grad():
            outputs: Any = model(given)
        if not any_kind and not isinstance(outputs, Tensor):
            raise needs_tensor(outputs)
        return outputs

    def _rate(self, outputs: Any, given: Tensor, here: Tensor, targets: Tensor | None, *, tells: bool) -> list[Any]:
        """Count how good the answers to those of a batch are that have targets, and return the loss of each."""
        if tells and not isinstance(outputs, Tensor):
            raise needs_tensor(outputs)
        if targets is None or not len(here):
            return []
        if self._dataset.labels:
            targets = as_binary(self._dataset.name, "what is right", targets)
        self.rated += len(here)
        if len(here) < len(given):
            outputs, given = outputs[here.to(outputs.device)], given[here.to(given.device)]
        with _explained(self._place), torch.no_grad():
            model: Any = lambda _: outputs  # noqa: E731  the objective asks a model
            answers = self._objective.answer(model, given, targets.to(given.device), step=None)
            self.tally.add(as_numbers(answers, self._objective.weigh(targets)))
        if answers.errors is not None:
            self._targets.append(targets)
        if answers.outputs is not None:
            self._count_classes(answers.outputs.cpu(), targets)
        return self._objective.losses(outputs.cpu(), targets) if tells else []

    def _count_classes(self, outputs: Tensor, targets: Tensor) -> None:
        if self._dataset.labels and outputs.shape == targets.shape:
            found = rate_labels(targets, outputs, self._margin)
        elif self._dataset.classes is None or outputs.ndim != 2 or targets.ndim != 1:
            return
        else:
            chosen, answered = choose(outputs, margin=self._margin)
            classes = max(self._dataset.classes, outputs.shape[1])
            found = rate_classes(targets, torch.where(answered, chosen, -1), classes)
        self._classes = found if self._classes is None else _add(self._classes, found)

    def _look(self, inputs: Tensor) -> None:
        """Take note of how far a batch's inputs reach."""
        self.usable += len(inputs)
        self.low, self.high = min(self.low, float(inputs.min())), max(self.high, float(inputs.max()))

    def _count_refused(self, part: Examples) -> None:
        self.refused += len(part.refused)
        self.unpredicted += len(part.refused)
        self.first_refused = self.first_refused or next(iter(part.refused.values()), "")

    def _rows(self, outputs: Tensor, inputs: Tensor, numbers: Any) -> list[Row]:
        """Return what the model says of each example of a batch."""
        dataset = self._dataset
        if dataset.labels:
            rows = tell_labels(outputs, dataset, self._margin)
        elif dataset.classes is not None:
            rows = classes_of_rows(as_class_logits(outputs, dataset), self._margin)
        else:
            rows = values_of_rows(outputs, dataset)
        for place, row in enumerate(rows):
            if not _is_told(row):
                self.unpredicted += 1
                reason = why_not_finite(inputs[place], int(numbers[place]), self._dataset)
                rows[place] = {**_blank(self._dataset), "note": reason}
        return rows

    def _in_order(self, part: Examples, rows: dict[int, Row], begin: int, end: int) -> list[Row]:
        """Return the rows of the examples of a part from one to another, with what tells them apart."""
        names, found = self._dataset.class_names, list[Row]()
        for place in range(begin, end):
            row = {"example": self.total + place}
            row |= {"index": int(part.index[place])} if part.index is not None else {}
            row |= {"name": part.names[place]} if part.names else {}
            row |= {"id": part.ids[place]} if part.ids else {}
            row |= rows.get(place) or {**_blank(self._dataset), "note": part.refused[place]}
            for key in ("class", "target"):
                number = row.get(key)
                # a model of one's own may have more outputs than there are classes
                if names and isinstance(number, int) and number < len(names):
                    row[f"{key}_name"] = names[number]
            found.append(row)
        return found


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Within its ``with`` block, what a model or loss of a person's own raises is an error with the reason."""
    try:
        yield
    except DownslopeError:
        raise
    except FAILURES as error:
        raise DataError(f"the model or its loss raised {describe(error)} on {place}.") from error


def needs_tensor(outputs: Any) -> DataError:
    """Return an error of a model whose outputs nothing can be said of single examples by."""
    return DataError(f"predicting needs a model that returns a tensor; this one returned {kind_of(outputs)}.")


def classes_of_rows(outputs: Tensor, margin: float = 0.0) -> list[Row]:
    """Return the class of each example, its probability, and those of all classes.

    Raises:
        DataError: If the outputs are no logits of classes.
    """
    if outputs.ndim != 2:
        raise DataError(
            "predict shows one class an example, from logits of shape (examples, classes); this model's outputs have "
            f"shape {tuple(outputs.shape)}. Load its weights with safetensors to use it otherwise."
        )
    probabilities = outputs.double().softmax(1)
    chosen = choose(outputs, margin=margin)[
        0
    ]  # by the logits, as an evaluation chooses: two probabilities may be rounded to one
    top = probabilities.gather(1, chosen[:, None])[:, 0]
    return [
        {"class": index, "probability": probability, "probabilities": row}
        for index, probability, row in zip(chosen.tolist(), top.tolist(), probabilities.tolist(), strict=True)
    ]


def values_of_rows(outputs: Tensor, dataset: Dataset) -> list[Row]:
    """Return the number, or numbers, of each example in the target's own unit."""
    return [{"value": row} for row in restore_unit(outputs, dataset).tolist()]


def restore_unit(values: Tensor, dataset: Dataset) -> Tensor:
    """Return outputs or targets in the target's own unit, float64 where they were standardised.

    Args:
        values: Of any shape.
        dataset: The run's data.
    """
    if dataset.target_scale is None:
        return values
    mean, deviation = dataset.target_scale
    return values.double() * deviation + mean


def why_not_finite(values: Tensor, number: int, dataset: Dataset) -> str:
    """Return why the outputs for an input, the example of a number, are no finite numbers."""
    low, high = dataset.range_of_inputs()
    values = values.double()
    reached = float(values.flatten()[values.abs().argmax()])
    far = not math.isfinite(reached) or abs(reached) > 100 * max(abs(low), abs(high), 1e-30)
    what = f"reach {reached:g}" if math.isfinite(reached) else "are too large for 32-bit numbers"
    why = f": its inputs {what}, and those learned from lie from {low:g} to {high:g}" if far else ""
    return f"example {number}: the model's outputs are no finite numbers{why}"


def _blank(dataset: Dataset) -> Row:
    """Return what is said of an example without an answer."""
    return (
        {"class": None, "probability": None, "probabilities": None} if dataset.classes is not None else {"value": None}
    )


def _is_told(row: Row) -> bool:
    """Return whether an answer consists of finite numbers."""
    return all(map(math.isfinite, _flat(row.get("probability", row.get("value", row.get("probabilities"))))))


def _flat(value: Any) -> list[float]:
    return [number for item in value for number in _flat(item)] if isinstance(value, list) else [float(value)]


def _add(one: ClassRates, other: ClassRates) -> ClassRates:
    def added(name: str) -> Any:
        pair = getattr(one, name), getattr(other, name)
        return None if pair[0] is None else pair[0] + pair[1]

    return ClassRates(**{field.name: added(field.name) for field in fields(ClassRates)})
