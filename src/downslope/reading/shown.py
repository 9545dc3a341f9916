"""What a person sees of a reading on a terminal: fields in the order of a recipe, marks beside their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from downslope.core.columns import width_of, wrap
from downslope.reading.order import in_order
from downslope.reading.reading import Field, Reading, marks_of, title_of
from downslope.reading.remarks import WORDS

_MOST = 20
"""Unused phrases that are printed."""


def shown(value: Any) -> str:
    """Return a value as it is shown, a long list shortened.

    Example:
        >>> shown(True), shown([30, 60.0]), shown(0.1)
        ('true', '[30, 60]', '0.1')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        items = [shown(item) for item in value]
        return f"[{', '.join(items if len(items) <= 8 else [*items[:6], '...', items[-1]])}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {shown(item)}' for key, item in value.items())}}}"
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def quoted(found: Field, line: int | None = None, *, bare: bool = False) -> str:
    """Return the words of a field, with file and line where they stand in a named one, unless they are to be bare."""
    said = " ".join(found.words.split())
    said = said if len(said) <= 100 else f"{said[:97]}..."
    said = f'"{said}"' if said and found.provenance == "stated" else said
    return said if bare or not found.file or found.start < 0 else f"{found.file}{f':{line}' if line else ''}: {said}"


def describe(readings: Sequence[Reading], *, width: int = 100, texts: Mapping[str, str] | None = None) -> str:
    """Return readings as text for a terminal, in the language of their remarks.

    Args:
        readings: What `read` returned.
        width: Columns of the terminal.
        texts: Name -> text of each file, for the lines where words stand.
    """
    words = {key: pair[readings[0].language == "zh"] for key, pair in WORDS.items()}
    pieces: list[str] = []
    for number, reading in enumerate(readings, start=1):
        title = words["reading"].format(number=number, total=len(readings))
        lines = wrap(f"{title}{words['colon']}{title_of(reading.optimizer)}{named(reading, words)}", width)
        if reading.reason:
            lines += wrap(f"{words['because']}{words['colon']}{reading.reason}", width, "  ", "    ")
        lines += _rows(reading, words, width, texts or {})
        remarks = [remark for remark in reading.remarks if remark != reading.reason]
        more = [f"... {len(reading.unread) - _MOST}"] if len(reading.unread) > _MOST else []
        for heading, items in (("remarks", remarks), ("unread", [*reading.unread[:_MOST], *more])):
            if items:
                lines.append(f"  {words[heading]}{words['colon'].rstrip()}")
                for item in items:
                    lines += wrap(" ".join(item.split()), width, "    - ", "      ")
        pieces.append("\n".join(lines))
    if len(readings) > 1:
        pieces.append(words["more"])
    return "\n\n".join(pieces)


def named(reading: Reading, words: Mapping[str, str]) -> str:
    """Return why the optimizer is implied or assumed, in brackets; "" if it is stated."""
    if reading.named == "stated":
        return ""
    why = "unnamed" if reading.named == "assumed" else "by_momentum"
    return f"{words['open']}{words[reading.named]}{words['colon']}{words[why]}{words['close']}"


def _rows(reading: Reading, words: dict[str, str], width: int, texts: Mapping[str, str]) -> list[str]:
    if not reading.fields:
        return [f" {words['open']}{words['none']}{words['close']}"]
    rows: list[tuple[str, str, str, str]] = []
    for path in in_order(reading.fields):
        found = reading.fields[path]
        line = texts[found.file].count("\n", 0, found.start) + 1 if found.start >= 0 and found.file in texts else None
        marks = marks_of(found, reading.language)
        said = f"! {marks}{words['stop']} {quoted(found, line)}" if marks else quoted(found, line)
        rows.append((path, shown(found.value), words[found.provenance], said))
    widths = [min(40, max(width_of(row[column]) for row in rows)) for column in range(3)]
    lines: list[str] = []
    for row in rows:
        cells = [cell + " " * (size - width_of(cell)) for cell, size in zip(row[:3], widths, strict=True)]
        begin = f"  {'  '.join(cells)}  "
        hanging = " " * width_of(begin) if width - width_of(begin) >= 30 else " " * 6
        room = width if width - width_of(begin) >= 10 else width_of(begin) + 30
        lines += wrap(row[3], room, begin, hanging) if row[3] else [begin]
    return [line.rstrip() for line in lines]
