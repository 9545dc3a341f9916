"""Configurations and command lines: read by their own parsers, understood by one table of keys per system."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

from downslope.reading.configuration.build import Build, leave_unread, put_conventions, put_groups, put_values
from downslope.reading.configuration.dictionaries import read_dictionaries
from downslope.reading.configuration.entries import Entry
from downslope.reading.configuration.lines import read_lines, read_pairs
from downslope.reading.configuration.literals import read_literals
from downslope.reading.configuration.programs import read_program
from downslope.reading.configuration.prototxt import read_prototxt
from downslope.reading.configuration.rates import put_rate
from downslope.reading.configuration.settings import find_settings, tell_system
from downslope.reading.configuration.shell import Command, read_commands
from downslope.reading.configuration.tables import read_table
from downslope.reading.configuration.yaml_files import read_yaml
from downslope.reading.findings import Found, Part

_PARSERS: dict[str, Callable[[str], list[Entry]]] = {
    "yaml": read_yaml,
    "json": read_literals,
    "toml": read_lines,
    "ini": read_lines,
    "darknet": read_lines,
    "prototxt": read_prototxt,
    "pairs": read_pairs,
    "program": read_program,
    "dictionary": read_dictionaries,
    "table": read_table,
}


_HELD_OUT = re.compile(r"(?:^|[\s/_-])(?:test|eval(?:uate)?|infer(?:ence)?|predict|demo)\w{0,12}\.py")
"""Programs that do not train."""

LONGEST = 100_000
"""Characters of one configuration that are read."""


def read_configuration(part: Part) -> Found:
    """Return what a configuration or a command line says.

    Args:
        part: Of kind "configuration" or "command".

    Example:
        >>> found = read_configuration(Part("command", "shell", "python train.py --lr 0.1 --wd 5e-4"))
        >>> found.fields["sgd.lr"].value, found.fields["sgd.weight_decay"].words
        (0.1, '--wd 5e-4')
    """
    shortened = len(part.text) > LONGEST
    entries, program = find_entries(replace(part, text=part.text[:LONGEST]) if shortened else part)
    build = build_from(part, entries, program)
    if shortened:
        build.say("long", length=len(part.text), read=LONGEST)
    return build.found


def build_from(part: Part, entries: list[Entry], program: str = "") -> Build:
    """Return what the entries of a part say, put together."""
    system = tell_system(entries, program)
    build = Build(find_settings(entries, system), part, Found(framework=system.framework))
    put_values(build)
    lr = put_rate(build)
    put_groups(build, lr)
    put_conventions(build)
    leave_unread(build)
    return build


def find_entries(part: Part) -> tuple[list[Entry], str]:
    """Return a part's entries, and the words of the commands in it."""
    if part.format == "shell":
        commands = read_commands(part.text)
        return _joined(commands), " ".join(word for command in commands for word in command.program)
    entries = [one for one in _PARSERS[part.format](part.text) if one.path]
    if part.format == "darknet":
        entries = [replace(one, path=_darknet_path(part.text, one)) for one in entries]
        if not any(one.path == ("batch",) for one in entries):  # the values for testing are the only ones
            batch = [replace(one, path=("batch",), derived=True) for one in entries if one.path == ("test", "batch")]
            entries = [*batch, *(one for one in entries if one.path != ("test", "batch"))]
    elif part.format == "dictionary":
        entries = _without_prefix(entries)
    elif part.format in {"yaml", "toml", "ini", "pairs"}:
        entries = [*_gathered(entries)]
    elif part.format == "prototxt":
        tested = {one.path[0] for one in entries if one.path[-1] == "phase" and one.value == "TEST"}
        entries = [replace(one, path=("test", *one.path)) if one.path[0] in tested else one for one in entries]
    return entries, ""


def _without_prefix(entries: list[Entry]) -> list[Entry]:
    """Return the entries without the words that all names begin with: PILOT_TRAIN_LR, PILOT_TRAIN_EPOCHS."""
    names = [one.path[0].split("_")[:-1] for one in entries]
    same = [words[0] for words in takewhile(lambda words: len({*words}) == 1, zip(*names, strict=False))]
    prefix = "".join(f"{word}_" for word in same)
    if len(entries) < 3 or len(prefix) < 3:
        return entries
    return [replace(one, path=(one.path[0].removeprefix(prefix), *one.path[1:])) for one in entries]


def _gathered(entries: list[Entry]) -> Iterator[Entry]:
    """Yield the entries, those of a repeated `stepvalue` as one list: a solver's text inside of something else."""
    values = [one for one in entries if one.path[-1].lower() == "stepvalue"]
    several = len(values) > 1 and len({one.path for one in values}) == 1
    for one in entries:
        if several and one is values[0]:
            yield replace(one, value=[each.value for each in values], end=values[-1].end)
        elif not (several and one in values):
            yield one


def _darknet_path(text: str, entry: Entry) -> tuple[str, ...]:
    """Return where an entry belongs: to training, as the first section does, to a layer, or to testing."""
    path: tuple[str, ...] = entry.path
    if len(path) > 1 and path[0] not in {"net", "network"}:
        return ("layer", *path)
    if path[-1:] not in {("batch",), ("subdivisions",)}:  # all that testing has of its own
        return path[-1:]
    block = text[max(text.rfind("\n\n", 0, entry.start), entry.start - 500, 0) : entry.start].lower()
    comments = [line for line in block.splitlines() if line.lstrip().startswith("#")]
    told = next((line for line in reversed(comments) if "train" in line or "test" in line), "")
    return ("test", *path[-1:]) if "test" in told and "train" not in told else path[-1:]


def _joined(commands: list[Command]) -> list[Entry]:
    """Return the entries of several commands; those of later ones stand in lists, so that they rival the first."""
    found: list[Entry] = []
    several = sum(bool(command.program) for command in commands) > 1
    for place, command in enumerate(commands):
        tested = several and _HELD_OUT.search(" ".join(command.program))
        before = ("test",) if tested else (f"#{place}",) if place else ()
        found += [replace(one, path=(*before, *one.path)) for one in command.entries]
    return found


def read_flags(part: Part) -> dict[str, tuple[Any, int, int]]:
    """Return what a command line gives its program: flag without dashes -> value, and the place of its words.

    Example:
        >>> read_flags(Part("command", "shell", "python a.py --lr-decay 0.2 --nesterov"))
        {'lr_decay': (0.2, 12, 26), 'nesterov': (True, 27, 37)}
    """
    commands = read_commands(part.text) if part.format == "shell" else []
    return {
        ".".join(one.path).lstrip("-").replace("-", "_"): (one.value, part.start + one.start, part.start + one.end)
        for command in reversed(commands)
        for one in command.entries
    }
