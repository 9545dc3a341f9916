"""``downslope read``: what a sentence, a command line or a configuration says a recipe is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from downslope.cli.arguments import CommandParser, count
from downslope.core.errors import RecipeError
from downslope.core.files import open_regular
from downslope.core.shown import shown
from downslope.reading import read
from downslope.reading.reading import Reading, write_toml
from downslope.recipe.given import names_a_file, names_a_folder

_LONGEST = 10_000_000
_FILES = (".txt", ".md", ".toml", ".prototxt", ".yaml", ".yml", ".json", ".py", ".tex", ".cfg")
_WORDS = {
    "en": {
        "reading": "Reading {number} of {total}", "stated": "stated", "implied": "implied", "assumed": "assumed",
        "remarks": "Remarks", "unread": "Not used", "none": "no field was read", "because": "Because",
        "more": "Another reading is printed as a recipe by --to toml --reading N.",
    },
    "zh": {
        "reading": "读法 {number}（共 {total} 种）", "stated": "明示", "implied": "推得", "assumed": "假定",
        "remarks": "说明", "unread": "未使用", "none": "没有读出任何字段", "because": "理由",
        "more": "要把另一种读法写成配方，用 --to toml --reading N。",
    },
}  # fmt: skip


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "read",
        summary=(
            "Say what the words of a paper, a README, a command line or a configuration mean as a recipe: every value\n"
            "with the words it came from, and whether it is stated, implied or assumed. English and Chinese."
        ),
        example='downslope read "SGD with momentum 0.9; lr 0.1, divided by 10 every 30 epochs; 90 epochs" --to toml',
    )
    parser.add_argument(
        "text", metavar="SENTENCE", nargs="*", help="the words, or a file with them; `-` or nothing for standard input"
    )
    parser.add_argument("--to", choices=["toml"], help="print a recipe that runs instead")
    parser.add_argument("--reading", metavar="N", type=count, default=1, help="which reading (default: 1)")
    parser.add_argument("--json", action="store_true", help="print all readings as JSON")
    parser.add_argument("--lang", choices=["en", "zh"], default="en", help="language of the remarks (default: en)")
    arguments = parser.read(_apart(words))
    text = _text(arguments)
    readings = read(text, language=arguments.lang)
    if arguments.json:
        table = {"text": text, "readings": [asdict(reading) for reading in readings]}
        print(json.dumps(table, ensure_ascii=False, indent=2))
        return 0
    if arguments.reading > len(readings):
        raise RecipeError(
            f"read: --reading {arguments.reading}: there are {len(readings)}. Give a number from 1 to {len(readings)}."
        )
    if arguments.to:
        print(write_toml(readings[arguments.reading - 1], text), end="")
        return 0
    print(_page(readings, arguments.lang))
    return 0


def _apart(words: Sequence[str]) -> list[str]:
    """Return the words with every sentence that begins with a dash, such as "--lr 0.1 -b 256", after a `--`."""
    if "--" in words:
        return list(words)
    sentences = [word for word in words if word.startswith("-") and any(c.isspace() for c in word.strip())]
    rest = [word for word in words if word not in sentences]
    return [*rest, "--", *sentences] if sentences else rest


def _text(arguments: argparse.Namespace) -> str:
    given: list[str] = arguments.text
    if not given or given == ["-"]:
        if sys.stdin is None or (not given and sys.stdin.isatty()):
            raise RecipeError("read: nothing to read. Give a sentence in quotes, a file, or words on standard input.")
        text = _decoded(sys.stdin.buffer.read(_LONGEST + 1), "standard input")
    elif len(given) == 1 and (names_a_file(given[0]) or (given[0].endswith(_FILES) and " " not in given[0])):
        path = Path(given[0])
        try:
            with open_regular(path, RecipeError) as stream:
                text = _decoded(stream.read(_LONGEST + 1), str(path))
        except OSError as error:
            raise RecipeError(f"read: {path}: {error.strerror}. Give a file, or a sentence in quotes.") from None
    elif len(given) == 1 and names_a_folder(given[0]):
        raise RecipeError(f"read: {shown(given[0])}: is a folder. Give a file in it, or a sentence in quotes.")
    else:
        text = " ".join(given)
    if not text.strip():
        raise RecipeError("read: the text is empty. Give a sentence in quotes, a file, or words on standard input.")
    return text


def _decoded(data: bytes, name: str) -> str:
    if len(data) > _LONGEST:
        raise RecipeError(f"read: {name}: longer than {_LONGEST} bytes. Give the part that describes the training.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"read: {name}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8 text first."
        ) from None


def _page(readings: list[Reading], language: str) -> str:
    words = _WORDS[language]
    pieces: list[str] = []
    for number, reading in enumerate(readings, start=1):
        title = f"{words['reading'].format(number=number, total=len(readings))}: {_name(reading.optimizer)}"
        lines = [title, *_because(reading, words), *_table(reading, words)]
        remarks = [remark for remark in reading.remarks if remark != reading.reason]
        for heading, items in ((words["remarks"], remarks), (words["unread"], reading.unread[:20])):
            if items:
                lines += [f"  {heading}:", *(f"    - {' '.join(item.split())}" for item in items)]
        if len(reading.unread) > 20:
            lines.append(f"    - ... {len(reading.unread) - 20}")
        pieces.append("\n".join(lines))
    if len(readings) > 1:
        pieces.append(words["more"])
    return "\n\n".join(pieces)


def _name(optimizer: str) -> str:
    return {"rmsprop": "RMSProp", "adam": "Adam", "adamw": "AdamW"}.get(optimizer, optimizer.upper())


def _because(reading: Reading, words: dict[str, str]) -> list[str]:
    return [f"  {words['because']}: {reading.reason}"] if reading.reason else []


def _table(reading: Reading, words: dict[str, str]) -> list[str]:
    if not reading.fields:
        return [f"  ({words['none']})"]
    rows = [(path, _shown(found.value), words[found.provenance]) for path, found in sorted(reading.fields.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines: list[str] = []
    for path, value, provenance in rows:
        found = reading.fields[path]
        said = " ".join(found.words.split())
        said = said if len(said) <= 70 else said[:67] + "..."
        quoted = f'"{said}"' if said and found.provenance == "stated" else said
        lines.append(f"  {path:<{widths[0]}}  {value:<{widths[1]}}  {provenance:<{widths[2]}}  {quoted}".rstrip())
    return lines


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        items = [f"{item:.6g}" for item in value]
        shown = items if len(items) <= 8 else [*items[:6], "...", items[-1]]
        return f"[{', '.join(shown)}]"
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)
