"""``downslope predict``: what a run's model says about single examples."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downslope.cli.arguments import CommandParser, count, written_file
from downslope.cli.evaluate import (
    add_checkpoint_option,
    add_device_option,
    add_reading_options,
    add_threshold_option,
    after,
    describe_metrics,
)
from downslope.cli.loading import load_torch
from downslope.cli.prediction_files import PRINTED, check_output, printed, written_to
from downslope.cli.run_folders import add_trust_option, find_trusted_run
from downslope.cli.streams import print_notes
from downslope.cli.tables import count_of, format_number, format_table
from downslope.core.shown import shown
from downslope.language import said, tell
from downslope.training.folder.names import read_recipe

if TYPE_CHECKING:
    from downslope.training.use.predict import Predictions

_HELD_OUT_COUNT = 10
_NOTES = 10
_NOTHING = "-"
"""What stands in a table where there is no prediction."""


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "predict",
        summary=(
            "Print what a run's model predicts: for its first held-out examples, or for those in a file, one a row,\n"
            "scaled as the training data are (digits: 64 numbers from 0 to 1). A run on a table takes a table with\n"
            "its columns, and compares where the target is among them; one on images takes an image or a folder of\n"
            "them, and one that learned sequences takes text. Exit code 1 says that some examples got no prediction:\n"
            "a word that the run has not seen, a damaged image of a folder, or outputs that are no finite numbers;\n"
            "or that a loss is none."
        ),
        example="downslope predict runs/digits --count 5",
    )
    parser.add_argument("run", metavar="RUN", help="run folder, finished or not")
    parser.add_argument(
        "--input",
        metavar="FILE|TEXT",
        help="examples to predict: .npy, .npz, .csv, or the run's own kind; or words to write",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=written_file,
        help="write the predictions to a new file: .csv, .parquet, .json or .jsonl (a JSON object a line)",
    )
    parser.add_argument("--id", metavar="COLUMN", help="tables: a column of the input to mark the predictions by")
    add_checkpoint_option(parser)
    add_device_option(parser)
    add_reading_options(parser)
    add_threshold_option(parser)
    parser.add_argument(
        "--count",
        metavar="N",
        type=count,
        help=f"how many examples, from the first (default: {_HELD_OUT_COUNT} held-out ones, all of a file)",
    )
    parser.add_argument(
        "--beam",
        metavar="N",
        type=count,
        help="sequences: keep N hypotheses at each place, and print them (default: 1)",
    )
    parser.add_argument(
        "--attention",
        metavar="FILE",
        type=written_file,
        help="sequences: draw the first input's attention: .png, .svg, .pdf",
    )
    parser.add_argument(
        "--format", metavar="FORM", choices=("table", *PRINTED), help="print a table (the default), csv, json or jsonl"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every digit; --format json")
    add_trust_option(parser)
    arguments = parser.read(words)
    run = find_trusted_run(arguments.run, trust=arguments.trust)
    if arguments.json and arguments.format not in {None, "json"}:
        parser.error(f"--json is --format json; got --format {arguments.format} too. Give one")
    if arguments.output is not None:
        check_output(arguments.output, arguments.input, read_recipe(run))
    load_torch()
    from downslope.training.use.predict import Predictions

    limit = arguments.count or (_HELD_OUT_COUNT if arguments.input is None else None)
    found = Predictions(
        run,
        arguments.input,
        checkpoint=arguments.checkpoint,
        count=limit,
        identify=arguments.id,
        beam=arguments.beam,
        attention=arguments.attention,
        device=arguments.device,
        loaders=arguments.loaders,
        tta=arguments.tta,
        threshold=arguments.threshold,
    )
    form = "json" if arguments.json else arguments.format or "table"
    notes, rows, result = _pass_on(found, form, arguments.output)
    from downslope.training.run.remarks import not_finite

    bad = not_finite(result.get("metrics", {}))
    code = 1 if result["unpredicted"] or bad else 0
    if form == "json":
        return code
    print_notes([*result["notes"], *notes.lines(), *([bad] if bad else [])])
    if form == "table":
        _show(arguments, result, rows, notes.examples)
    return code


def _pass_on(
    found: Predictions, form: str, output: Path | None
) -> tuple[_Notes, list[Mapping[str, Any]], Mapping[str, Any]]:
    """Write and print predictions as they come; return notes on them, those that a table is made of, and the rest."""
    notes, rows = _Notes(), list[Mapping[str, Any]]()
    with ExitStack() as stack:
        writers = [] if output is None else [stack.enter_context(written_to(output))]
        writers += [printed(form)] if form in PRINTED else []
        for some in found.rows:
            notes.add(some)
            for writer in writers:
                writer.write(some, found.form)
            rows += [] if writers else some
        result = found.summary()
        for writer in writers:
            writer.end(result)
    return notes, rows, result


def _show(arguments: Namespace, result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], examples: int) -> None:
    """Print predictions for a person: all of them, or where they were written."""
    where = "held-out examples" if arguments.input is None else shown(arguments.input)
    tell(f"{shown(result['checkpoint'])}{after(result['step'])}, on {where}:")
    if arguments.output is not None:
        tell(f"  {count_of(examples - result['unpredicted'], 'prediction')} written to {shown(arguments.output)}")
    else:
        show = _written if "output" in rows[0] else _labels if "labels" in rows[0] else _table
        print(show(rows), flush=True)
    if "metrics" in result:
        tell(f"  {describe_metrics(result['metrics'])}")
    if arguments.attention is not None:
        tell(f"attention drawn in {shown(arguments.attention)}")


class _Notes:
    """Why there is no prediction, of the first examples that have none."""

    def __init__(self) -> None:
        self.examples, self._without = 0, 0
        self._first: list[str] = []

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Look at further predictions."""
        self.examples += len(rows)
        found = [row["note"] for row in rows if "note" in row]
        self._without += len(found)
        self._first += found[: _NOTES - len(self._first)]

    def lines(self) -> list[str]:
        """Return them as lines."""
        more = self._without - _NOTES
        told = [f"and {more:,} more examples without a prediction"] if more > 0 else []
        return [f"no prediction: {note}" for note in self._first] + told


def _table(predictions: Sequence[Mapping[str, Any]]) -> str:
    is_classifier = "class" in predictions[0]
    has_target = any("target" in prediction for prediction in predictions)
    headers = ["example", *(["predicted", "probability"] if is_classifier else ["value"])]
    if has_target:
        headers += ["true", ""] if is_classifier else ["true"]
    rows: list[list[str]] = []
    for prediction in predictions:
        row = [shown(prediction.get("name", prediction.get("id", str(prediction["example"]))), 60)]
        if is_classifier:
            told = prediction["class"] is not None
            row += [_class(prediction, "class"), f"{prediction['probability']:.4f}"] if told else [_NOTHING, _NOTHING]
        else:
            row.append(_values(prediction["value"]))
        if "target" in prediction:
            row.append(_class(prediction, "target") if is_classifier else _values(prediction["target"]))
            row += ["" if prediction["class"] == prediction["target"] else said("wrong")] if is_classifier else []
        rows.append(row + [""] * (len(headers) - len(row)))
    lines = [format_table(headers, rows)]
    if has_target and is_classifier:
        known = [prediction for prediction in predictions if "target" in prediction]
        right = sum(prediction["class"] == prediction["target"] for prediction in known)
        lines.append(said(f"  {right} of {len(known)} right"))
    return "\n".join(lines)


def _labels(predictions: Sequence[Mapping[str, Any]]) -> str:
    """Return which labels each example is answered to have, and which it has where that is known."""
    has_target = any("true_labels" in prediction for prediction in predictions)
    rows: list[list[str]] = []
    right = known = 0
    for prediction in predictions:
        told, true = prediction["labels"], prediction.get("true_labels")
        row = [shown(prediction.get("name", prediction.get("id", str(prediction["example"]))), 60), _listed(told)]
        if has_target and true is not None:
            known, right = known + 1, right + (told == true)
            row += [_listed(true), "" if told == true else said("wrong")]
        rows.append(row + [""] * (2 * has_target + 2 - len(row)))
    lines = [format_table(["example", "predicted", *(["true", ""] if has_target else [])], rows)]
    return "\n".join([*lines, *([said(f"  {right} of {known} with every label right")] if has_target else [])])


def _listed(labels: Sequence[str] | None) -> str:
    return _NOTHING if labels is None else ", ".join(shown(name, 30) for name in labels) or "none"


def _written(predictions: Sequence[Mapping[str, Any]]) -> str:
    """Return what was written for each input, with other hypotheses or right answers below it."""
    has_target = any("targets" in prediction for prediction in predictions)
    headers = ["input", "written", "probability", *(["true", ""] if has_target else [])]
    rows: list[list[str]] = []
    wrong = 0
    for prediction in predictions:
        if prediction["output"] is None:
            row = [prediction["input"] or str(prediction["example"]), _NOTHING, _NOTHING]
        else:
            output = prediction["output"] + ("" if prediction["ended"] else " ...")
            row = [prediction["input"], output, f"{prediction['probability']:.4f}"]
        if "targets" in prediction:
            right = prediction["output"] in prediction["targets"]
            wrong += not right
            row += [" | ".join(prediction["targets"]), "" if right else said("wrong")]
        rows.append(row + [""] * (len(headers) - len(row)))
        others = prediction.get("alternatives", ())
        for one in others:
            told = [_NOTHING, _NOTHING] if one["output"] is None else [one["output"], f"{one['probability']:.4f}"]
            rows.append(["", *told, *(["", ""] if has_target else [])])
    lines = [format_table(headers, rows)]
    if has_target:
        known = sum("targets" in prediction for prediction in predictions)
        lines.append(said(f"  {known - wrong} of {known} right"))
    return "\n".join(lines)


def _class(prediction: Mapping[str, Any], key: str) -> str:
    return shown(prediction.get(f"{key}_name", str(prediction[key])), 60)


def _values(value: Any) -> str:
    if value is None:
        return _NOTHING
    return ", ".join(map(_values, value)) if isinstance(value, list) else format_number(value)
