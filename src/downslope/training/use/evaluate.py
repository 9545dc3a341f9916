"""A run opened to be used: its model with trained weights, and how good it is on examples that hold the targets.

A run is complete in itself: what turns a file into the model's numbers is kept in its folder, so that nothing here
reads the training data but the held-out examples, where these are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError, one_of
from downslope.core.shown import shown
from downslope.recipe.schema import Recipe
from downslope.training.data import Dataset, load_data
from downslope.training.data.checking import no_test
from downslope.training.data.dataset import Examples, Part, take_held_out
from downslope.training.data.kept import KeptInputs, read_inputs_kept
from downslope.training.data.rows import Inputs
from downslope.training.device import HOST, find_device, place_model
from downslope.training.folder.run_folder import RunFolder
from downslope.training.measuring.class_rates import ClassRates, rate_classes
from downslope.training.models import build_model
from downslope.training.run.held_out import measure
from downslope.training.run.losses import choose, weigh_classes
from downslope.training.run.objective import LengthRates, Rates
from downslope.training.run.remarks import NONFINITE, not_finite
from downslope.training.run.task import build_objective
from downslope.training.use.input_files import read_examples
from downslope.training.use.weights import Weights, find_weights, load_weights
from downslope.training.user_code import is_import_path

CHANGED = (
    "the data have changed since the run was trained: these are not its held-out examples, and it may have learned "
    "from some of them"
)
CHANGED_VALIDATION = "the data have changed, and a validation part was cut from them."
CHANGED_TRAIN = "the data have changed since the run was trained: these are not the examples that it learned from"
NOT_KEPT = (
    "the run is of an earlier version and keeps nothing of its inputs, so its training data were read for it. Going on "
    "with it writes down what is missing: downslope resume"
)


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run with its trained model, ready to be used.

    Attributes:
        recipe: The run's recipe.
        dataset: What it keeps of its data: forms, names, readers. Where it keeps nothing, the data themselves.
        kept: What it keeps, or None.
        weights: The weights and their origin.
        model: The model with these weights, in evaluation mode.
        notes: What a person should know.
    """

    recipe: Recipe
    dataset: Dataset
    kept: KeptInputs | None
    weights: Weights
    model: nn.Module
    notes: tuple[str, ...]

    def part(self, part: Part) -> tuple[Dataset, Examples, tuple[str, ...]]:
        """Return data with the examples of a part in them, these examples, and notes.

        The test part is read as the run reads any input, and what was learned from is not read for it, where the run
        keeps how.

        Raises:
            DataError: If they cannot be read, or the data bring no such part.
        """
        if part == "held_out":
            return self.held_out()
        if self.dataset.sequences is not None:
            raise DataError(
                f"--split {part}: runs that write sequences are rated on those held out, or on a file: --input."
            )
        reader = self.dataset.reader
        if part == "test" and reader is not None:
            found = reader.part(part, self.recipe.data, self.recipe.seed)
            return self.dataset, found, found.notes
        data = self.dataset if self.kept is None else load_data(self.recipe, self.kept.fingerprint)
        if part == "test":
            if data.test is None:
                raise no_test(data.name, "it has a part to learn from and one to hold out")
            examples = data.test()
            _check_form(self.dataset, data)
            _check_test(self.dataset, examples)
            return self.dataset, examples, ()
        if self.kept is None or data.fingerprint() == self.kept.fingerprint:
            inputs, targets = data.train_inputs, data.train_targets
            return self.dataset, Examples(inputs=inputs, targets=targets, known=torch.arange(len(inputs))), ()
        if reader is None or self.recipe.data.validation is not None:
            raise DataError(
                "--split train: the data have changed since the run was trained, so that what it learned from cannot "
                "be had any more. Put them back, or give examples with --input."
            )
        found = reader.part(part, self.recipe.data, self.recipe.seed)
        return self.dataset, found, (CHANGED_TRAIN, *found.notes)

    def held_out(self, data: Dataset | None = None) -> tuple[Dataset, Examples, tuple[str, ...]]:
        """Return data with the held-out examples in them, these examples, and notes.

        The data are read now. Where they are no longer those of the run, what they hold out is read as the run reads
        any input: with its classes, columns and means.

        Args:
            data: The run's data where they are at hand; None to read them.

        Raises:
            DataError: If they cannot be read.
        """
        if self.kept is None:
            return self.dataset, take_held_out(self.dataset, None), ()
        reader, examples, why = self.dataset.reader, None, ""
        try:
            found = load_data(self.recipe, self.kept.fingerprint) if data is None else data
            if found.fingerprint() == self.kept.fingerprint:
                return replace(found, class_weights=self.kept.class_weights), take_held_out(found, None), ()
            examples = None if reader is not None else _held_out_alike(self.dataset, found)
        except DownslopeError as error:
            why = str(error)
        try:  # they may be no data to learn from any more, and yet some to read
            if reader is not None and self.recipe.data.validation is None:
                examples = reader.part("held_out", self.recipe.data, self.recipe.seed)
        except DownslopeError as error:
            why = why or str(error)
        if examples is None:
            why = why or CHANGED_VALIDATION
            raise DataError(
                f"the held-out examples cannot be read: {why} The run itself needs no data any more: give examples of "
                "your own with --input, or put the data back."
            ) from None
        if isinstance(examples, Dataset):
            return examples, take_held_out(examples, None), (CHANGED,)
        return self.dataset, examples, (CHANGED, *examples.notes)

    def rate(
        self, dataset: Dataset, inputs: Inputs, targets: Tensor, *, model: nn.Module | None = None, keep: bool = False
    ) -> Rates:
        """Return how good the model is on examples."""
        return measure(
            self.model if model is None else model,
            build_objective(self.recipe, dataset),  # an evaluation never asks for a schedule's value
            inputs,
            targets,
            seed=self.recipe.seed,
            step=self.weights.step or 0,
            keep_outputs=keep,
        )


def evaluate_run(
    run: str | Path,
    checkpoint: str = "last",
    source: str | Path | None = None,
    *,
    split: Part = "held_out",
    device: str | None = None,
) -> dict[str, Any]:
    """Return how good a run's model is on its held-out examples, on another part of its data, or on a file's.

    Args:
        run: The run folder.
        checkpoint: "last", "best", the folder of a checkpoint, or a safetensors file.
        source: A file or folder that holds inputs and targets, as `predict_run` takes it; None for a part of the run's
            own data.
        split: Which part: "held_out", "train", or "test" where the data bring one.
        device: What computes, as `train.device`; None for what the recipe says.

    Returns:
        "run", "checkpoint" (where the weights came from), "step" (updates done, or None), "split" if it is of the run's
        own data, "examples", "loss",
        "accuracy" in [0, 1] where there are classes, "rmse", "mae" and "r2" where targets are numbers, in their own
        unit, error rates where sequences are written, "nonfinite_outputs" where some outputs are no finite numbers, the
        same with "ema_" before them where there is an average, and "notes". Where one class is to be told, "classes":
        a row for each with "class", "name", "examples", "precision", "recall" and "f1" (None where not defined); and
        "confusion": how often each class (row) was taken for each (column), unless there are very many. "refused": how
        many examples of a file the model cannot be given. Where some held-out inputs are longer than any learned from,
        "by_length": for each length "shortest", "longest" (the same, unless there are very many lengths), "longer"
        (than any learned from), "examples" and the error rates.

    Raises:
        CheckpointError: If the run or its weights are missing, damaged, or of another model.
        DataError: If the examples cannot be read, or the data bring no such part.
    """
    if split not in get_args(Part):
        raise DataError(f"split must be {one_of(get_args(Part))}; got {shown(repr(split), 60)}.")
    if source is not None and split != "held_out":
        raise DataError(f"--split {split} is a part of the run's own data, and --input a file of yours. Give one.")
    opened = open_run(run, checkpoint, device)
    weights = opened.weights
    if source is None:
        dataset, examples, notes = opened.part(split)
    else:
        dataset, examples = read_rated(opened, source)
        notes = examples.notes
    inputs, targets, left_out = _rated(examples)
    notes = (*notes, *left_out)
    found: dict[str, Any] = {}
    for prefix, state in (("", weights.model), ("ema_", weights.ema)):
        if state is None:
            continue
        load_weights(opened.model, state, weights.origin)
        rates = opened.rate(dataset, inputs, targets, keep=not prefix)
        found |= {prefix + name: value for name, value in rates.metrics.items()}
        if NONFINITE in rates.metrics:
            bad, whose = int(rates.metrics[NONFINITE]), " of the averaged model" if prefix else ""
            said = f"{bad:,} of {rates.asked:,} outputs{whose} are no finite numbers; none of these counts as right"
            notes = (*notes, said)
        elif said := not_finite(rates.metrics):
            notes = (*notes, f"{said}{' with the averaged model' if prefix else ''}")
        if rates.by_length:
            found[f"{prefix}by_length"] = [_as_table(one) for one in rates.by_length]
        by_class = None if prefix else classes_of(dataset, targets, rates.outputs)
        if by_class is not None:
            found["classes"] = by_class.table(dataset.class_names)
            found |= {} if by_class.confusion is None else {"confusion": by_class.confusion.tolist()}
    return {
        "run": str(run),
        "checkpoint": str(weights.origin),
        "step": weights.step,
        **({"split": split} if source is None else {}),
        "examples": len(inputs),
        **found,
        "refused": len(examples.refused),
        "notes": [*opened.notes, *notes],
    }


def classes_of(dataset: Dataset, targets: Tensor, outputs: Tensor | None) -> ClassRates | None:
    """Return the rates of each class, or None where an example has not one class to be told."""
    if dataset.classes is None or outputs is None or outputs.ndim != 2 or targets.ndim != 1:
        return None
    chosen, answered = choose(outputs)
    return rate_classes(targets, torch.where(answered, chosen, -1), max(dataset.classes, outputs.shape[1]))


def read_rated(opened: TrainedRun, source: str | Path) -> tuple[Dataset, Examples]:
    """Return the examples of a file or folder that holds the targets too, and data that they belong to.

    Raises:
        DataError: If it cannot be read, or lacks targets.
    """
    dataset = opened.dataset
    if dataset.sequences is not None:
        from downslope.training.sequences.pairs import read_pairs

        return read_pairs(source, dataset)
    if dataset.reader is not None:
        return dataset, dataset.reader(source, rated=True)
    return dataset, read_examples(source, dataset, rated=True)


def _rated(examples: Examples) -> tuple[Inputs, Tensor, list[str]]:
    """Return the inputs that have a target, these targets, and a note on those that are left out."""
    targets, known = examples.targets, examples.known
    if targets is None or known is None or len(known) == 0:
        reasons = list(examples.refused.values())[:1]
        raise DataError("; ".join(["there is no example with a target to rate", *reasons]) + ".")
    notes: list[str] = []
    if examples.refused:
        first = next(iter(examples.refused.values()))
        notes.append(f"{len(examples.refused):,} of {len(examples):,} examples are not rated; the first: {first}")
    if len(known) < len(examples.inputs):
        notes.append(
            f"{len(examples.inputs) - len(known):,} of {len(examples):,} examples have no target that is known"
        )
    return examples.inputs[known], targets, notes


def _held_out_alike(form: Dataset, found: Dataset) -> Dataset:
    """Return data whose held-out examples are those found, in the forms and with the symbols and names of the run.

    Raises:
        DataError: If they do not fit the run.
    """
    if form.sequences is not None:
        from downslope.training.sequences.pairs import respell

        return respell(found, form)
    _check_form(form, found)
    return replace(form, held_out_inputs=found.held_out_inputs, held_out_targets=found.held_out_targets)


def _check_test(form: Dataset, found: Examples) -> None:
    """Raise DataError unless examples of a test are such as the run's."""
    inputs, targets = found.inputs, found.targets
    for what, now, then in (("inputs", inputs, form.train_inputs), ("targets", targets, form.train_targets)):
        if now is None or (now.shape[1:], now.dtype) != (then.shape[1:], then.dtype):
            got = "none" if now is None else f"{now.dtype} of shape {tuple(now.shape[1:])}"
            raise DataError(
                f"data.name = '{shown(form.name)}': the {what} of its test part are {got}; the run's are {then.dtype} "
                f"of shape {tuple(then.shape[1:])}."
            )
    if (
        form.classes is not None
        and targets is not None
        and not 0 <= int(targets.min()) <= int(targets.max()) < form.classes
    ):
        raise DataError(
            f"data.name = '{shown(form.name)}': the targets of its test part go from {int(targets.min())} to "
            f"{int(targets.max())}; the run learned {form.classes} classes."
        )


def _check_form(form: Dataset, found: Dataset) -> None:
    """Raise DataError unless data have inputs, targets and classes as a run has."""
    for part in ("inputs", "targets"):
        then, now = (getattr(data, f"train_{part}") for data in (form, found))
        if (then.shape[1:], then.dtype) != (now.shape[1:], now.dtype):
            raise DataError(
                f"its {part} have become {now.dtype} of shape {tuple(now.shape[1:])}; the run's were {then.dtype} of "
                f"shape {tuple(then.shape[1:])}."
            )
    if form.classes is not None and found.classes != form.classes:
        raise DataError(f"it has {found.classes} classes now; the run learned {form.classes}.")


def _as_table(rated: LengthRates) -> dict[str, Any]:
    table = {name: getattr(rated, name) for name in ("shortest", "longest", "longer", "examples")}
    return {**table, **rated.rates}


def open_run(run: str | Path, checkpoint: str = "last", device: str | None = HOST.type) -> TrainedRun:
    """Return a run with its trained model, on a device; None for the recipe's.

    Raises:
        CheckpointError: As in `evaluate_run`.
        DeviceError: If there is no such device.
    """
    folder = RunFolder(run)
    recipe = folder.recipe()
    weights = find_weights(folder.path, checkpoint)
    kept = read_inputs_kept(folder.path)
    dataset, notes = _what_is_known(recipe, kept)
    notes = (*weights.notes, *notes)
    then = weights.data
    if then is not None and then != (dataset.fingerprint() if kept is None else kept.fingerprint):
        notes = (*notes, CHANGED if kept is None else "these weights were trained on other data than the run's")
    model = build_model(recipe, dataset)
    load_weights(model, weights.model, weights.origin)
    model = place_model(model.eval(), find_device(recipe.train.device if device is None else device))
    return TrainedRun(recipe=recipe, dataset=dataset, kept=kept, weights=weights, model=model, notes=notes)


def _what_is_known(recipe: Recipe, kept: KeptInputs | None) -> tuple[Dataset, tuple[str, ...]]:
    """Return the data without examples, as the run keeps them, and notes."""
    if kept is None:
        try:
            return weigh_classes(recipe.train, load_data(recipe)), (NOT_KEPT,)
        except DownslopeError as error:
            raise DataError(f"{NOT_KEPT.split(',', maxsplit=1)[0]}; its training data are needed: {error}") from None
    form = kept.dataset()
    if not is_import_path(recipe.model.name):
        return form, ()
    # A function of one's own may look at the examples, and keep what it saw where no checkpoint does.
    try:
        found = load_data(recipe, kept.fingerprint)
        why = "" if found.fingerprint() == kept.fingerprint else "they have changed since"
    except DownslopeError as error:
        found, why = form, str(error).rstrip(".")
    if not why:
        return replace(found, class_weights=kept.class_weights, reader=form.reader), ()
    note = (
        f"model.name = {shown(recipe.model.name)!r} was called without the data that the run was trained on ({why}): a "
        "model that holds numbers of theirs elsewhere than in its parameters and buffers answers otherwise now"
    )
    return form, (note,)
