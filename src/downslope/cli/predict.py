"""``downslope predict``: what a run's model says about single examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from downslope.cli.arguments import CommandParser, count, file_path
from downslope.cli.evaluate import add_checkpoint_option, after, describe_metrics, print_json, print_notes
from downslope.cli.run_folders import add_trust_option, find_trusted_run
from downslope.cli.tables import format_number, format_table

_HELD_OUT_COUNT = 10


def execute(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: What follows ``downslope predict``.

    Returns:
        The exit code.
    """
    parser = CommandParser(
        "predict",
        summary=(
            "Print what a run's model predicts: for its first held-out examples, or for those in a file, one a row,\n"
            "scaled as the training data are (digits: 64 numbers from 0 to 1). A run on a table takes a table with\n"
            "its columns, and compares where the target is among them; one on images takes an image or a folder of\n"
            "them, and one that learned sequences takes text."
        ),
        example="downslope predict runs/digits --count 5",
    )
    parser.add_argument("run", metavar="RUN", help="run folder, finished or not")
    parser.add_argument(
        "--input",
        metavar="FILE|TEXT",
        help="examples to predict: .npy, .npz, .csv, or the run's own kind; or words to write",
    )
    add_checkpoint_option(parser)
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
        type=file_path,
        help="sequences: draw the first input's attention: .png, .svg, .pdf",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every digit")
    add_trust_option(parser)
    arguments = parser.read(words)
    run = find_trusted_run(arguments.run, trust=arguments.trust)
    from downslope.training.predict import predict_run

    limit = arguments.count or (_HELD_OUT_COUNT if arguments.input is None else None)
    result = predict_run(
        run,
        arguments.input,
        checkpoint=arguments.checkpoint,
        count=limit,
        beam=arguments.beam,
        attention=arguments.attention,
    )
    if arguments.json:
        print_json(result)
        return 0
    print_notes(result["notes"])
    where = "held-out examples" if arguments.input is None else arguments.input
    print(f"{result['checkpoint']}{after(result['step'])}, on {where}:")
    writes = "output" in result["predictions"][0]
    print(_written(result["predictions"]) if writes else _table(result["predictions"]))
    if "metrics" in result:
        print(f"  {describe_metrics(result['metrics'])}")
    if arguments.attention is not None:
        print(f"attention drawn in {arguments.attention}")
    return 0


def _table(predictions: Sequence[Mapping[str, Any]]) -> str:
    is_classifier = "class" in predictions[0]
    has_target = any("target" in prediction for prediction in predictions)
    headers = ["example", *(["predicted", "probability"] if is_classifier else ["value"])]
    if has_target:
        headers += ["true", ""] if is_classifier else ["true"]
    rows: list[list[str]] = []
    for prediction in predictions:
        row = [prediction.get("name", str(prediction["example"]))]
        if is_classifier:
            row += [_class(prediction, "class"), f"{prediction['probability']:.4f}"]
        else:
            row.append(_values(prediction["value"]))
        if "target" in prediction:
            row.append(_class(prediction, "target") if is_classifier else _values(prediction["target"]))
            row += ["" if prediction["class"] == prediction["target"] else "wrong"] if is_classifier else []
        rows.append(row + [""] * (len(headers) - len(row)))
    lines = [format_table(headers, rows)]
    if has_target and is_classifier:
        known = [prediction for prediction in predictions if "target" in prediction]
        right = sum(prediction["class"] == prediction["target"] for prediction in known)
        lines.append(f"  {right} of {len(known)} right")
    return "\n".join(lines)


def _written(predictions: Sequence[Mapping[str, Any]]) -> str:
    """Return what was written for each input, with other hypotheses or right answers below it."""
    has_target = "targets" in predictions[0]
    headers = ["input", "written", "probability", *(["true", ""] if has_target else [])]
    rows: list[list[str]] = []
    wrong = 0
    for prediction in predictions:
        output = prediction["output"] + ("" if prediction["ended"] else " ...")
        row = [prediction["input"], output, f"{prediction['probability']:.4f}"]
        if has_target:
            right = prediction["output"] in prediction["targets"]
            wrong += not right
            row += [" | ".join(prediction["targets"]), "" if right else "wrong"]
        rows.append(row)
        others = prediction.get("alternatives", ())
        rows += [["", one["output"], f"{one['probability']:.4f}", *(["", ""] if has_target else [])] for one in others]
    lines = [format_table(headers, rows)]
    if has_target:
        lines.append(f"  {len(predictions) - wrong} of {len(predictions)} right")
    return "\n".join(lines)


def _class(prediction: Mapping[str, Any], key: str) -> str:
    return prediction.get(f"{key}_name", str(prediction[key]))


def _values(value: Any) -> str:
    return ", ".join(map(_values, value)) if isinstance(value, list) else format_number(value)
