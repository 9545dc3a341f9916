"""A run opened to be used: its model with trained weights, and how good it is on examples that hold the targets.

A run is complete in itself: what turns a file into the model's numbers is kept in its folder, so that nothing here
reads the training data but the held-out examples, where these are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError, one_of
from downslope.core.shown import shown
from downslope.recipe.schema import Augment, Recipe
from downslope.training.data import Dataset, load_data
from downslope.training.data.checking import as_binary, no_test
from downslope.training.data.dataset import Examples, Part, is_lazy, take_part
from downslope.training.data.kept import KeptInputs, read_inputs_kept
from downslope.training.data.rows import Inputs
from downslope.training.device import HOST, find_device, place_model
from downslope.training.folder.run_folder import RunFolder
from downslope.training.models import build_model
from downslope.training.run.class_weights import weigh_classes
from downslope.training.run.held_out import measure
from downslope.training.run.objective import LengthRates, Rates
from downslope.training.run.remarks import NONFINITE, not_finite
from downslope.training.run.task import build_objective
from downslope.training.use.answering import Form, Pass, Row
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
        loaders: How many threads or processes read examples ahead, where they are read when needed.
    """

    recipe: Recipe
    dataset: Dataset
    kept: KeptInputs | None
    weights: Weights
    model: nn.Module
    notes: tuple[str, ...]
    loaders: int = 0

    @property
    def _to_read(self) -> Recipe:
        """The recipe by which its data are read now."""
        loaders = self.loaders if self.kept is not None and is_lazy(self.kept.fingerprint) else self.recipe.data.loaders
        return replace(self.recipe, data=replace(self.recipe.data, loaders=loaders))

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
            found = reader.part(part, self._to_read.data, self.recipe.seed)
            return self.dataset, found, found.notes
        data = self.dataset if self.kept is None else load_data(self._to_read, self.kept.fingerprint)
        if part == "test":
            if data.test is None:
                raise no_test(data.name, "it has a part to learn from and one to hold out")
            examples = data.test()
            _check_form(self.dataset, data)
            _check_test(self.dataset, examples)
            return self.dataset, examples, ()
        if self.kept is None or data.fingerprint() == self.kept.fingerprint:
            return self.dataset, take_part(data, "train"), ()
        if reader is None or self.recipe.data.validation is not None:
            raise DataError(
                "--split train: the data have changed since the run was trained, so that what it learned from cannot "
                "be had any more. Put them back, or give examples with --input."
            )
        found = reader.part(part, self._to_read.data, self.recipe.seed)
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
            return self.dataset, take_part(self.dataset, "held_out"), ()
        reader, examples, why = self.dataset.reader, None, ""
        try:
            found = load_data(self._to_read, self.kept.fingerprint) if data is None else data
            if found.fingerprint() == self.kept.fingerprint:
                return replace(found, class_weights=self.kept.class_weights), take_part(found, "held_out"), ()
            examples = None if reader is not None else _held_out_alike(self.dataset, found)
        except DownslopeError as error:
            why = str(error)
        try:  # they may be no data to learn from any more, and yet some to read
            if reader is not None and self.recipe.data.validation is None:
                examples = reader.part("held_out", self._to_read.data, self.recipe.seed)
        except DownslopeError as error:
            why = why or str(error)
        if examples is None:
            why = why or CHANGED_VALIDATION
            raise DataError(
                f"the held-out examples cannot be read: {why} The run itself needs no data any more: give examples of "
                "your own with --input, or put the data back."
            ) from None
        if isinstance(examples, Dataset):
            return examples, take_part(examples, "held_out"), (CHANGED,)
        return self.dataset, examples, (CHANGED, *examples.notes)

    def rate(
        self, dataset: Dataset, inputs: Inputs, targets: Tensor, *, model: nn.Module | None = None, keep: bool = False
    ) -> Rates:
        """Return how good the model is on examples."""
        if dataset.labels:
            targets = as_binary(dataset.name, "what is right", targets)
        return measure(
            self.model if model is None else model,
            build_objective(self.recipe, dataset),  # an evaluation never asks for a schedule's value
            inputs,
            targets,
            seed=self.recipe.seed,
            step=self.weights.step or 0,
            keep_outputs=keep,
        )


Tell = Callable[[list[Row], Form], None]


def evaluate_run(
    run: str | Path,
    checkpoint: str = "last",
    source: str | Path | None = None,
    *,
    split: Part = "held_out",
    device: str | None = None,
    loaders: int | None = None,
    tta: str | None = None,
    identify: str | None = None,
    tell: Tell | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Return how good a run's model is on its held-out examples, on another part of its data, or on a file's.

    Args:
        run: The run folder.
        checkpoint: "last", "best", the folder of a checkpoint, or a safetensors file.
        source: A file or folder that holds inputs and targets, as `predict_run` takes it; None for a part of the run's
            own data.
        split: Which part: "held_out", "train", or "test" where the data bring one.
        device: What computes, as `train.device`; None for what the recipe says.
        loaders: How many threads or processes read examples ahead; None for what the recipe says.
        tta: "flip" or "none" for `data.augment.tta`; None for what the recipe says.
        identify: As in `predict_run`.
        tell: Is given what `predict_run` says of each example, in order, some at a time, and what these may hold.
        threshold: In place of the recipe's `train.threshold`; None for that.

    Returns:
        "run", "checkpoint" (where the weights came from), "step" (updates done, or None), "split" if it is of the run's
        own data, "examples", "loss",
        "accuracy" in [0, 1] and the further measures of classes or labels where there are such, "rmse", "mae" and "r2"
        where targets are numbers, in their own unit, error rates where sequences are written, "nonfinite_outputs" where
        some outputs are no finite numbers, the
        same with "ema_" before them where there is an average, and "notes". Where one class is to be told, "classes":
        a row for each with "class", "name", "examples", "precision", "recall" and "f1" (None where not defined); and
        "confusion": how often each class (row) was taken for each (column), unless there are very many. Of labels
        "labels", such a row for each. "refused": how
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
    opened = open_run(run, checkpoint, device, loaders=loaders, tta=tta, threshold=threshold)
    if opened.dataset.sequences is not None:
        refuse_options(identify, loaders)
        found = _rate_sequences(opened, source, split, tell)
    else:
        if source is None and identify is not None:
            raise DataError("--id names a column of the file given with --input. Give both.")
        found = _rate_examples(opened, source, split, loaders, identify, tell)
    return {
        "run": str(run),
        "checkpoint": str(opened.weights.origin),
        "step": opened.weights.step,
        **({"split": split} if source is None else {}),
        **found,
        "notes": [*opened.notes, *found["notes"]],
    }


def refuse_options(identify: str | None, loaders: int | None) -> None:
    """Raise DataError if an option is given that sequences have no use for."""
    if identify is not None:
        raise DataError("--id names a column of a table; this run learned sequences. Leave it out.")
    if loaders is not None:
        raise DataError("--loaders is for examples that are read when needed; sequences are in memory. Leave it out.")


def _states(opened: TrainedRun) -> Iterator[str]:
    """Yield what stands before the numbers of each model that there is, its weights loaded."""
    for prefix, state in (("", opened.weights.model), ("ema_", opened.weights.ema)):
        if state is not None:
            load_weights(opened.model, state, opened.weights.origin)
            yield prefix


def _rate_examples(
    opened: TrainedRun,
    source: str | Path | None,
    split: Part,
    loaders: int | None,
    identify: str | None,
    tell: Tell | None,
) -> dict[str, Any]:
    """Return how good a run's model is on examples with one target each, and the average of its weights."""
    found: dict[str, Any] = {}
    notes: list[str] = []
    dataset, own = opened.dataset, None
    if source is None:
        dataset, own, told = opened.part(split)
        notes += told
        own = replace(own, notes=())
    for prefix in _states(opened):
        parts = read_parts(opened, source or "", identify=identify, rated=True) if own is None else iter([own])
        passed = Pass(opened, dataset, parts, "the held-out examples" if own is not None else "these examples")
        if prefix or tell is None:
            passed.run()
        else:
            for rows in passed.batches():
                tell(rows, passed.form)
        if not passed.rated:
            reasons = [passed.first_refused] if passed.first_refused else []
            raise DataError("; ".join(["there is no example with a target to rate", *reasons]) + ".")
        if not prefix:
            notes += [*passed.notes, *_notes_on_rest(passed), *idle_loaders(passed, loaders)]
            found |= {"examples": passed.rated}
        metrics = passed.metrics()
        found |= {prefix + name: value for name, value in metrics.items()}
        notes += _notes_on_numbers(metrics, prefix, passed.tally.asked)
        by_class = None if prefix else passed.class_rates()
        if by_class is not None:
            found["labels" if dataset.labels else "classes"] = by_class.table(dataset.labels or dataset.class_names)
            found |= {} if by_class.confusion is None else {"confusion": by_class.confusion.tolist()}
        found["refused"] = passed.refused
    return {**found, "notes": notes}


def _rate_sequences(opened: TrainedRun, source: str | Path | None, split: Part, tell: Tell | None) -> dict[str, Any]:
    """Return how good a run's model is at writing sequences, and the average of its weights."""
    if source is None:
        dataset, examples, told = opened.part(split)
    else:
        from downslope.training.sequences.pairs import read_pairs

        dataset, examples = read_pairs(source, opened.dataset)
        told = examples.notes
    notes, found, targets = list(told), dict[str, Any](), examples.targets
    if targets is None:
        raise DataError("there is no example with a target to rate.")
    if examples.refused:
        first = next(iter(examples.refused.values()))
        notes.append(f"{len(examples.refused):,} of {len(examples):,} examples are not rated; the first: {first}")
    for prefix in _states(opened):
        if tell is not None and not prefix:
            from downslope.training.sequences.transcribe import tell_examples

            tell_examples(opened, dataset, examples, tell)
        rates = opened.rate(dataset, examples.inputs, targets)
        found |= {prefix + name: value for name, value in rates.metrics.items()}
        notes += _notes_on_numbers(rates.metrics, prefix, rates.asked)
        if rates.by_length:
            found[f"{prefix}by_length"] = [_as_table(one) for one in rates.by_length]
    return {"examples": len(examples.inputs), **found, "refused": len(examples.refused), "notes": notes}


def _notes_on_numbers(metrics: Mapping[str, float], prefix: str, asked: int) -> list[str]:
    """Return a note where outputs, or what follows from them, are no finite numbers."""
    if NONFINITE in metrics:
        bad, whose = int(metrics[NONFINITE]), " of the averaged model" if prefix else ""
        return [f"{bad:,} of {asked:,} outputs{whose} are no finite numbers; none of these counts as right"]
    said = not_finite(metrics)
    return [f"{said}{' with the averaged model' if prefix else ''}"] if said else []


def _notes_on_rest(passed: Pass) -> list[str]:
    """Return a note on the examples that are not rated."""
    notes: list[str] = []
    if passed.refused:
        notes.append(
            f"{passed.refused:,} of {passed.total:,} examples are not rated; the first: {passed.first_refused}"
        )
    if passed.rated < passed.usable:
        notes.append(f"{passed.usable - passed.rated:,} of {passed.total:,} examples have no target that is known")
    return notes


def idle_loaders(passed: Pass, loaders: int | None) -> list[str]:
    """Return a note where loaders were asked for and had nothing to do."""
    idle = bool(loaders) and not passed.read_ahead
    return ["--loaders had nothing to do: the examples fit into memory, and are read at once"] if idle else []


def read_parts(
    opened: TrainedRun, source: str | Path, *, identify: str | None = None, rated: bool = False
) -> Iterator[Examples]:
    """Yield the examples of a file or folder part by part, read as the run read its own.

    Raises:
        DataError: If it cannot be read, does not fit the run, or lacks targets where it is to be rated.
    """
    reader, loaders = opened.dataset.reader, opened.loaders
    if reader is not None:
        yield from reader.stream(source, identify=identify, rated=rated, loaders=loaders)
        return
    if identify is not None:
        raise DataError("--id names a column of a table; this run takes arrays without names. Leave it out.")
    yield read_examples(source, opened.dataset, rated=rated, loaders=loaders)


def _held_out_alike(form: Dataset, found: Dataset) -> Dataset:
    """Return data whose held-out examples are those found, in the forms and with the symbols and names of the run.

    Raises:
        DataError: If they do not fit the run.
    """
    if form.sequences is not None:
        from downslope.training.sequences.pairs import respell

        return respell(found, form)
    _check_form(form, found)
    return replace(
        form, held_out_inputs=found.held_out_inputs, held_out_targets=found.held_out_targets, marks=found.marks
    )


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


def open_run(
    run: str | Path,
    checkpoint: str = "last",
    device: str | None = HOST.type,
    *,
    loaders: int | None = None,
    tta: str | None = None,
    threshold: float | None = None,
) -> TrainedRun:
    """Return a run with its trained model, on a device, answering by a threshold; None for the recipe's.

    Args:
        run: The run folder.
        checkpoint: As in `evaluate_run`.
        device: What computes.
        loaders: As in `evaluate_run`.
        tta: As in `evaluate_run`.
        threshold: As in `evaluate_run`.

    Raises:
        CheckpointError: As in `evaluate_run`.
        DeviceError: If there is no such device.
    """
    folder = RunFolder(run)
    recipe = _with_tta(folder.recipe(), tta)
    if threshold is not None:
        recipe = replace(recipe, train=replace(recipe.train, threshold=threshold))
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
    return TrainedRun(
        recipe=recipe,
        dataset=dataset,
        kept=kept,
        weights=weights,
        model=model,
        notes=notes,
        loaders=recipe.data.loaders if loaders is None else loaders,
    )


def _with_tta(recipe: Recipe, tta: str | None) -> Recipe:
    """Return a recipe that averages over mirror images, or does not, as it was asked for."""
    augment = recipe.data.augment
    if tta is None or (augment is None and tta == "none"):
        return recipe
    augment = replace(augment or Augment(), tta="flip" if tta == "flip" else None)
    return replace(recipe, data=replace(recipe.data, augment=augment))


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
