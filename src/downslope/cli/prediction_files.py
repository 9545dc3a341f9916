"""Predictions as text for other programs: CSV, JSON, or JSON lines. Loads no framework.

CSV has a row for each example, in the order of the input: `example` (its number there, from 0), the person's own mark,
the path of an image, `predicted`, the probabilities, `true` where it is known, and `note`, which says why there is no
prediction where the cells before it are empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from downslope.cli.evaluate import as_json_text
from downslope.core.errors import DownslopeError
from downslope.core.shown import shown

FORMATS = ("csv", "json", "jsonl")


def format_of(path: Path) -> str:
    """Return the format that a file's suffix asks for.

    Raises:
        DownslopeError: If it asks for none of them.

    Example:
        >>> format_of(Path("found.CSV"))
        'csv'
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise DownslopeError(
            f"--output {shown(path)}: must end in .csv, .json or .jsonl, which says how the predictions are written."
        )
    return suffix


def check_output(path: Path, source: str | None) -> None:
    """Raise unless predictions may be written to a file: its name says how, and it is not the input.

    Args:
        path: The file.
        source: What `--input` gave, or None.

    Raises:
        DownslopeError: If they may not.
    """
    format_of(path)
    if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
        raise DownslopeError(f"--output {shown(path)}: is the input itself. Give another file.")


def format_predictions(result: Mapping[str, Any], form: str, *, mark: str | None = None) -> str:
    """Return the predictions as text in one of `FORMATS`.

    Args:
        result: As `predict_run` returns it.
        form: The format.
        mark: The column that `--id` names, or None.
    """
    if form == "json":
        return as_json_text(result) + "\n"
    if form == "jsonl":
        return "".join(as_json_text(row) + "\n" for row in result["predictions"])
    return _csv(result["predictions"], result.get("names", ()), mark)


def _csv(predictions: Sequence[Mapping[str, Any]], names: Sequence[str], mark: str | None) -> str:
    columns: dict[str, list[Any]] = {"example": [row["example"] for row in predictions]}
    if mark is not None:
        columns[mark if mark not in _OWN else f"{mark} of the input"] = [row.get("id", "") for row in predictions]
    if any("name" in row for row in predictions):
        columns["path"] = [row.get("name", "") for row in predictions]
    if any("input" in row for row in predictions):
        columns["input"] = [row["input"] for row in predictions]
    told = [_told(row) for row in predictions]
    width = max(len(one) for one in told)
    for place in range(width):
        title = "predicted" if width == 1 else f"predicted_{place}"
        columns[title] = [one[place] if one else None for one in told]
    if any("probability" in row for row in predictions):
        columns["probability"] = [row.get("probability") for row in predictions]
    if any("ended" in row for row in predictions):
        columns["ended"] = [row.get("ended") for row in predictions]
    shares = max((len(row.get("probabilities") or ()) for row in predictions), default=0)
    for index in range(shares):
        title = f"probability_{names[index] if index < len(names) else index}"
        columns[title] = [(row.get("probabilities") or [None] * shares)[index] for row in predictions]
    if any(not row.keys().isdisjoint(("target", "targets", "true_labels")) for row in predictions):
        true = [_true(row) for row in predictions]
        width = max(len(one) for one in true)
        for place in range(width):
            columns["true" if width == 1 else f"true_{place}"] = [one[place] if one else None for one in true]
    columns["note"] = [row.get("note") for row in predictions]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


_OWN = frozenset({"example", "path", "input", "predicted", "probability", "ended", "true", "note"})


def _told(row: Mapping[str, Any]) -> list[Any]:
    """Return what is predicted, a cell for each number; no cells where nothing is."""
    if row.get("labels") is not None:
        return [" | ".join(row["labels"])]
    if row.get("class") is not None:
        return [row.get("class_name", row["class"])]
    return _flat(row.get("value", row.get("output")))


def _true(row: Mapping[str, Any]) -> list[Any]:
    if "targets" in row:
        return [" | ".join(row["targets"])]
    if "true_labels" in row:
        return [" | ".join(row["true_labels"])]
    return [row["target_name"]] if "target_name" in row else _flat(row.get("target"))


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    return [number for item in value for number in _flat(item)] if isinstance(value, list) else [value]
