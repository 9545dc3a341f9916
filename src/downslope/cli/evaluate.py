"""``downslope evaluate``: how good a run's model is on its held-out examples."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from downslope.cli.arguments import CommandParser
from downslope.cli.run_folders import add_trust_option, find_trusted_run
from downslope.cli.tables import count_of, format_number, format_percent, format_table


def execute(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: What follows ``downslope evaluate``.

    Returns:
        The exit code.
    """
    parser = CommandParser(
        "evaluate",
        summary="Print how good a run's model is on the held-out examples: loss, and accuracy or rates of errors.",
        example="downslope evaluate runs/digits --checkpoint best",
    )
    parser.add_argument("run", metavar="RUN", help="run folder, finished or not")
    add_checkpoint_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every digit")
    add_trust_option(parser)
    arguments = parser.read(words)
    run = find_trusted_run(arguments.run, trust=arguments.trust)
    from downslope.training.evaluate import evaluate_run

    result = evaluate_run(run, arguments.checkpoint)
    if arguments.json:
        print_json(result)
        return 0
    print_notes(result["notes"])
    print(f"{result['checkpoint']}{after(result['step'])}, on {count_of(result['examples'], 'held-out example')}:")
    for prefix, title in (("", ""), ("ema_", "  (average of the weights)")):
        if f"{prefix}loss" in result:
            print(f"  {describe_metrics(result, prefix)}{title}")
    if "by_length" in result:
        print(_table_of_lengths(result["by_length"]))
    return 0


def _table_of_lengths(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the error rates of each length as a table."""
    rates = [name for name in rows[0] if name.endswith("_error_rate")]
    headers = ["length", "examples", *(name.replace("_", " ") for name in rates), ""]
    cells = [
        [
            f"{row['shortest']}" if row["shortest"] == row["longest"] else f"{row['shortest']}-{row['longest']}",
            f"{row['examples']:,}",
            *(format_percent(row[name]) for name in rates),
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
    """Return the loss and, before it, the rates of errors or, where there are none, the accuracy, in words.

    Example:
        >>> describe_metrics({"loss": 0.125, "accuracy": 0.975})
        'accuracy 97.50 %, loss 0.125'
        >>> describe_metrics({"loss": 0.5, "accuracy": 0.9, "word_error_rate": 0.25})
        'word error rate 25.00 %, loss 0.5'
    """
    mine = [name for name in metrics if name.startswith(prefix) and (prefix or not name.startswith("ema_"))]
    rates = [name for name in mine if name.endswith("_error_rate")]
    shown = rates or [name for name in mine if name == f"{prefix}accuracy"]
    words = [f"{name.removeprefix(prefix).replace('_', ' ')} {format_percent(metrics[name])}" for name in shown]
    return ", ".join([*words, f"loss {format_number(metrics[f'{prefix}loss'])}"])


def after(step: int | None) -> str:
    """Return " after 460 steps", or "" where the number is not known."""
    return "" if step is None else f", after {count_of(step, 'step')}"


def print_notes(notes: Sequence[str]) -> None:
    """Print what a person should know to stderr, so that stdout stays the result alone."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result as one JSON object; inf and NaN as strings, which JSON has no numbers for."""
    import json

    print(json.dumps(_plain(result), allow_nan=False))


def _plain(value: Any) -> Any:
    from downslope.training.log import as_json

    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):  # a path may hold bytes that were no text in the locale's encoding, and mostly are UTF-8
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return as_json(value)
