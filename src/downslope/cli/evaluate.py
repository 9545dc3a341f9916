"""``downslope evaluate``: how good a run's model is on its held-out examples, or on those of a file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from downslope.cli.arguments import CommandParser, count_or_none, written_file
from downslope.cli.json_text import print_json
from downslope.cli.prediction_files import check_output, written_to
from downslope.cli.run_folders import add_trust_option, find_trusted_run
from downslope.cli.streams import print_notes
from downslope.cli.tables import count_of, format_number, format_table
from downslope.core.number_text import percent_text
from downslope.core.shown import shown
from downslope.language import tell
from downslope.recipe.measures import is_share, title_of
from downslope.training.folder.names import read_recipe


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "evaluate",
        summary=(
            "Print how good a run's model is on the held-out examples, on another part of its data (--split), or on\n"
            "those of a file with what is right: loss, and accuracy with the rates of each class, errors of numbers,\n"
            "or rates of wrong sequences. A run on a table takes a table with the target in it; one on images a\n"
            "folder with a sub-folder for each class; one on IDX files, CIFAR or a data set of Hugging Face's such\n"
            "files; one on sequences lines of an input, a tab and a right answer; all but these an .npz file with\n"
            "the arrays `inputs` and `targets`. Exit code 1 says that some examples could not be rated, or that\n"
            "the loss or another number is not finite."
        ),
        example="downslope evaluate runs/digits --checkpoint best",
    )
    parser.add_argument("run", metavar="RUN", help="run folder, finished or not")
    parser.add_argument("--input", metavar="FILE", help="examples with what is right, in place of the held-out ones")
    parser.add_argument(
        "--split",
        choices=_SPLITS,
        help="which of the run's own examples: held_out (the default), train, or test where the data bring such a part",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=written_file,
        help="write what it says of each example, and the loss of each, to a new .csv, .parquet, .json or .jsonl file",
    )
    parser.add_argument("--id", metavar="COLUMN", help="tables: a column of the input to mark the examples by")
    add_checkpoint_option(parser)
    add_device_option(parser)
    add_reading_options(parser)
    add_threshold_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every digit")
    add_trust_option(parser)
    arguments = parser.read(words)
    if arguments.split is not None and arguments.input is not None:
        parser.error("--split is a part of the run's own data, and --input a file of yours. Give one")
    run = find_trusted_run(arguments.run, trust=arguments.trust)
    if arguments.output is not None:
        check_output(arguments.output, arguments.input, read_recipe(run))
    from downslope.cli.loading import load_torch

    load_torch()
    from downslope.training.use.evaluate import evaluate_run

    with ExitStack() as stack:
        writer = None if arguments.output is None else stack.enter_context(written_to(arguments.output))
        result = evaluate_run(
            run,
            arguments.checkpoint,
            arguments.input,
            split=arguments.split or "held_out",
            device=arguments.device,
            loaders=arguments.loaders,
            tta=arguments.tta,
            threshold=arguments.threshold,
            identify=arguments.id,
            tell=None if writer is None else writer.write,
        )
        if writer is not None:
            writer.end(result)
    from downslope.training.run.remarks import not_finite

    code = 1 if result["refused"] or not_finite(result) else 0
    if arguments.json:
        print_json(result)
        return code
    _show(arguments, result)
    return code


def _show(arguments: Namespace, result: Mapping[str, Any]) -> None:
    """Print the numbers for a person."""
    print_notes(result["notes"])
    what = f"{_SPLITS[result['split']]} example" if arguments.input is None else "example"
    where = "" if arguments.input is None else f" of {shown(arguments.input)}"
    tell(f"{shown(result['checkpoint'])}{after(result['step'])}, on {count_of(result['examples'], what)}{where}:")
    for prefix, title in (("", ""), ("ema_", "  (average of the weights)")):
        if f"{prefix}loss" in result:
            tell(f"  {describe_metrics(result, prefix)}{title}")
    if "by_length" in result:
        print(_table_of_lengths(result["by_length"]))
    for key, what in (("classes", "class"), ("labels", "label")):
        if key in result:
            tell("\n".join(_lines_of_classes(what, result[key], result.get("confusion"))))
    if arguments.output is not None:
        tell(f"  each example is in {shown(arguments.output)}")


def add_reading_options(parser: CommandParser) -> None:
    """Add the options that say how examples are read, and how the model sees them."""
    parser.add_argument(
        "--loaders",
        metavar="N",
        type=count_or_none,
        help="threads or processes that read examples ahead, where they are many (default: the run's data.loaders)",
    )
    parser.add_argument(
        "--tta",
        choices=("flip", "none"),
        help="average over an image and its mirror image, or do not (default: the run's data.augment.tta)",
    )


def add_device_option(parser: CommandParser) -> None:
    """Add the option that says what computes."""
    parser.add_argument(
        "--device", metavar="NAME", help="what computes: auto, cpu, cuda, cuda:1, mps, xpu (default: the run's own)"
    )


def add_threshold_option(parser: CommandParser) -> None:
    """Add the option that says from which probability on a label, or the second of two classes, is answered."""
    parser.add_argument(
        "--threshold",
        metavar="P",
        type=float,
        help="binary_cross_entropy: probability above which to answer yes (default: the recipe's, 0.5)",
    )


_SPLITS = {"train": "training", "held_out": "held-out", "test": "test"}
"""Parts of a run's data, and what they are called."""

_FEW_ROWS, _FEW_COLUMNS = 50, 12


def _lines_of_classes(
    what: str, rows: Sequence[Mapping[str, Any]], confusion: Sequence[Sequence[int]] | None
) -> list[str]:
    """Return the rates of each class as a table, and where classes are few which is taken for which."""
    if len(rows) > _FEW_ROWS:
        return [f"  the rates of each of {len(rows):,} classes: with --json"]
    names = [shown(row.get("name", str(row["class"])), 30) for row in rows]
    cells = [
        [name, f"{row['examples']:,}", *(_rate(row[key]) for key in ("precision", "recall", "f1"))]
        for name, row in zip(names, rows, strict=True)
    ]
    lines = [format_table([what, "examples", "precision", "recall", "F1"], cells)]
    if confusion is not None and len(rows) <= _FEW_COLUMNS:
        counts = [[name, *map(str, row)] for name, row in zip(names, confusion, strict=True)]
        lines += ["  rows: what it is; columns: what the model says", format_table(["", *names], counts)]
    return lines


def _rate(fraction: float | None) -> str:
    return "-" if fraction is None else percent_text(fraction)


def _table_of_lengths(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the error rates of each length as a table."""
    rates = [name for name in rows[0] if name.endswith("_error_rate")]
    headers = ["length", "examples", *(name.replace("_", " ") for name in rates), ""]
    cells = [
        [
            f"{row['shortest']}" if row["shortest"] == row["longest"] else f"{row['shortest']}-{row['longest']}",
            f"{row['examples']:,}",
            *(percent_text(row[name]) for name in rates),
            "longer" if row["longer"] else "",
        ]
        for row in rows
    ]
    return format_table(headers, cells)


def add_checkpoint_option(parser: CommandParser) -> None:
    """Add ``--checkpoint`` to a command that uses a run's weights."""
    parser.add_argument(
        "--checkpoint",
        metavar="WHICH",
        default="last",
        help="weights to use: last (the default), best, the folder of a checkpoint, or a .safetensors file",
    )


def describe_metrics(metrics: Mapping[str, Any], prefix: str = "") -> str:
    """Return the loss and, before it, rates of errors, errors of numbers, or the measures of classes, in words.

    Example:
        >>> describe_metrics({"loss": 0.125, "accuracy": 0.975})
        'accuracy 97.50 %, loss 0.125'
        >>> describe_metrics({"loss": 0.125, "accuracy": 0.975, "macro_f1": 0.75})
        'accuracy 97.50 %, macro F1 75.00 %, loss 0.125'
        >>> describe_metrics({"loss": 0.5, "accuracy": 0.9, "word_error_rate": 0.25})
        'word error rate 25.00 %, loss 0.5'
        >>> describe_metrics({"loss": 0.25, "rmse": 1500.0, "mae": 1200.0, "r2": 0.75})
        'RMSE 1500, MAE 1200, R2 0.75, loss 0.25'
        >>> describe_metrics({"loss": float("nan"), "accuracy": 0.5, "nonfinite_outputs": 3})
        'accuracy 50.00 %, loss nan; 3 outputs are no finite numbers'
    """
    mine = [name for name in metrics if name.startswith(prefix) and (prefix or not name.startswith("ema_"))]
    rates = [name for name in mine if name.endswith("_error_rate")]
    shares = rates or [name for name in mine if is_share(name)]
    words = [f"{title_of(name.removeprefix(prefix))} {percent_text(metrics[name])}" for name in shares]
    numbers = [name for name in ("rmse", "mae", "r2") if f"{prefix}{name}" in metrics]
    words += [f"{title_of(name)} {format_number(metrics[f'{prefix}{name}'])}" for name in numbers]
    bad = metrics.get(f"{prefix}nonfinite_outputs", 0)
    verb = "is no finite number" if bad == 1 else "are no finite numbers"
    said = f"; {count_of(int(bad), 'output')} {verb}" if bad else ""
    return ", ".join([*words, f"loss {format_number(metrics[f'{prefix}loss'])}"]) + said


def after(step: int | None) -> str:
    """Return " after 460 steps", or "" where the number is not known."""
    return "" if step is None else f", after {count_of(step, 'step')}"
