"""``downslope read``: what words, scripts, command lines and configurations say a recipe is."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from downslope.cli.arguments import CommandParser, count, file_path, written_page
from downslope.cli.streams import terminal_width
from downslope.core.errors import RecipeError
from downslope.core.shown import shown
from downslope.language import find_language, tell
from downslope.reading import read
from downslope.reading.reading import Reading, marked_fields, write_toml
from downslope.reading.shown import describe, marks_of
from downslope.reading.sources import LARGEST, decode_source, read_source
from downslope.recipe.given import looks_like_a_text_file, names_a_file, names_a_folder


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "read",
        summary=(
            "Say what the words of a paper, a README, a script, a command line or a configuration mean as a recipe:\n"
            "every value with the words it came from, and whether it is stated, implied or assumed. Several files are\n"
            "read together: a script and the command line that runs it. English and Chinese."
        ),
        example='downslope read "SGD with momentum 0.9; lr 0.1, divided by 10 every 30 epochs; 90 epochs" --to toml',
        repeatable=("--accept",),
        language="that of the text",
    )
    parser.add_argument(
        "text", metavar="SENTENCE", nargs="*", help="the words, or files with them; `-` or nothing for standard input"
    )
    parser.add_argument("--to", choices=["toml"], help="print a recipe that runs instead")
    parser.add_argument("--reading", metavar="N", type=count, help="which reading to write or check (default: 1)")
    parser.add_argument(
        "--accept", metavar="FIELD", action="append", default=[], help="write a marked value, such as sgd.lr, too"
    )
    parser.add_argument("--force", action="store_true", help="write every marked value")
    parser.add_argument(
        "--check", metavar="RECIPE", type=file_path, help="compare a recipe file with the words, value by value"
    )
    parser.add_argument("--html", metavar="FILE", type=written_page, help="write a page with the text to FILE")
    parser.add_argument("--json", action="store_true", help="print all readings as JSON")
    arguments = parser.read(_apart(words))
    wanted = [name for name in ("to", "check", "html", "json") if getattr(arguments, name)]
    if len(wanted) > 1:
        parser.error(f"give either --{wanted[0]} or --{wanted[1]}, not both")
    if (arguments.accept or arguments.force) and not arguments.to:
        parser.error("--accept and --force belong to --to toml")
    return _print(_given(arguments.text), arguments)


def _print(pairs: list[tuple[str, str]], arguments: argparse.Namespace) -> int:
    # JSON is the same wherever it is made, unless a language is asked for
    asked = None if arguments.json and arguments.lang is None else find_language(arguments.lang)
    readings = read(pairs, language=asked)
    number = arguments.reading or 1
    if number > len(readings):
        raise RecipeError(
            f"read: --reading {number}: there are {len(readings)}. Give a number from 1 to {len(readings)}."
        )
    if arguments.reading and not (arguments.to or arguments.check):
        raise RecipeError("read: --reading belongs to --to toml and --check: without them every reading is shown.")
    chosen = readings[number - 1]
    if arguments.check:
        return _check(chosen, arguments)
    text = "\n\n".join(text for _, text in pairs)
    if arguments.json:
        files = [{"name": name, "text": text} for name, text in pairs]
        table = {"text": text, "files": files, "readings": [asdict(reading) for reading in readings]}
        print(json.dumps(table, ensure_ascii=False, indent=2))
    elif arguments.to:
        _refuse_marked(chosen, arguments.accept, force=arguments.force)
        print(write_toml(chosen, text), end="")
    elif arguments.html is not None:
        from downslope.reading.html_page import write_page

        tell(f"page: {write_page(readings, pairs, arguments.html)}")
    else:
        print(describe(readings, width=terminal_width(), texts=dict(pairs)))
    return 0


def _refuse_marked(reading: Reading, accepted: list[str], *, force: bool) -> None:
    """Raise `RecipeError` if a value that goes into the recipe is marked and nobody accepted it."""
    marked = marked_fields(reading)
    unknown = [path for path in accepted if path not in reading.fields and path not in marked]
    if unknown:
        known = ", ".join(marked) or "none is marked"
        raise RecipeError(f"read: --accept {unknown[0]}: no such field was read. Marked fields: {known}.")
    left = {path: found for path, found in marked.items() if path not in accepted}
    if left and not force:
        why = "; ".join(f"`{path}` = {shown(found.value)}: {marks_of(found, 'en')}" for path, found in left.items())
        options = " ".join(f"--accept {path}" for path in left)
        raise RecipeError(f"read: look at this before it is used: {why}. If it is meant, add {options}, or --force.")


def _check(reading: Reading, arguments: argparse.Namespace) -> int:
    from downslope.reading.verdicts import compare_reading, describe_verdicts

    verdicts = compare_reading(reading, arguments.check)
    print(describe_verdicts(verdicts, reading.language, width=terminal_width()))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _apart(words: Sequence[str]) -> list[str]:
    """Return the words with every sentence that begins with a dash, such as "--lr 0.1 -b 256", after a `--`."""
    if "--" in words:
        return list(words)
    sentences = [word for word in words if word.startswith("-") and any(c.isspace() for c in word.strip())]
    rest = [word for word in words if word not in sentences]
    return [*rest, "--", *sentences] if sentences else rest


def _given(words: list[str]) -> list[tuple[str, str]]:
    """Return (name, text) of each file, and of the words that are none under the name ""."""
    if not words:
        if sys.stdin is None or sys.stdin.isatty():
            raise RecipeError("read: nothing to read. Give a sentence in quotes, a file, or words on standard input.")
        words = ["-"]
    _refuse_folders(words)
    alone = len(words) == 1 or all(_means_a_file(word) or any(c.isspace() for c in word.strip()) for word in words)
    pairs: list[tuple[str, str]] = []
    for word in words:
        if word == "-":
            pairs.append(("", _standard_input()))
        elif alone and _means_a_file(word):
            pairs.append(_read_file(word))
        elif pairs and not pairs[-1][0] and not alone:
            pairs[-1] = ("", f"{pairs[-1][1]} {word}")
        else:
            pairs.append(("", word))
    for name, text in pairs:
        if not text.strip():
            what = shown(name) if name else "the text"
            raise RecipeError(f"read: {what} is empty. Give a sentence in quotes, a file, or words on standard input.")
    return pairs


def _refuse_folders(words: list[str]) -> None:
    for word in words:
        if names_a_folder(word) and (len(words) == 1 or os.sep in word):
            raise RecipeError(f"read: {shown(word)}: is a folder. Give a file in it, or a sentence in quotes.")


def _means_a_file(word: str) -> bool:
    return word == "-" or names_a_file(word) or looks_like_a_text_file(word)


def _read_file(name: str) -> tuple[str, str]:
    try:
        return read_source(name)
    except RecipeError as error:
        raise RecipeError(f"read: {error}") from None


def _standard_input() -> str:
    if sys.stdin is None:
        raise RecipeError("read: nothing to read. Give a sentence in quotes, a file, or words on standard input.")
    return decode_source(sys.stdin.buffer.read(10 * LARGEST + 1), "standard input")
