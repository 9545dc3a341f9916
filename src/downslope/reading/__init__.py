"""`read`: what the words of a paper, a README, a script, a command line or a configuration say a recipe is.

An input is cut into parts; each is read by the reader of its kind: prose by its items and facts, code by its syntax
tree, configuration by its format. What they find is combined, proved, checked, and given as one reading or several.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from downslope.core.errors import RecipeError
from downslope.reading.alternatives import find_alternatives
from downslope.reading.assemble import assemble
from downslope.reading.bars import as_bars
from downslope.reading.checks import check, mark
from downslope.reading.combine import combine
from downslope.reading.draft import Draft
from downslope.reading.facts import Board, Fact
from downslope.reading.find_asides import blank_marks, find_asides
from downslope.reading.find_batches import find_batches
from downslope.reading.find_changes import find_changes
from downslope.reading.find_courses import find_courses, find_shapes
from downslope.reading.find_ends import find_ends
from downslope.reading.find_formulas import find_formulas
from downslope.reading.find_groups import find_groups
from downslope.reading.find_levels import find_knots, find_levels
from downslope.reading.find_optimizers import find_optimizers, find_values_of_each, resolve_owners
from downslope.reading.find_others import find_others
from downslope.reading.find_plateaus import find_plateaus
from downslope.reading.find_subjects import find_subjects
from downslope.reading.find_training import find_training
from downslope.reading.find_unnamed import find_unnamed
from downslope.reading.find_unused_schedules import find_unused_schedules
from downslope.reading.find_values import find_values
from downslope.reading.find_warmups import find_warmups
from downslope.reading.findings import Found, Kind, Part
from downslope.reading.items import find_items
from downslope.reading.parts import split
from downslope.reading.proof import prove
from downslope.reading.reading import Field, Reading, Readings
from downslope.reading.remarks import Remarks
from downslope.reading.schedule_free import read_schedule_free
from downslope.reading.second_reading import read_again
from downslope.reading.sources import Sources, gather
from downslope.reading.text import LONGEST, Text, choose_passages, normalise
from downslope.reading.times import find_times
from downslope.reading.unread import find_unread


def read(
    text: str | os.PathLike[str] | Sequence[str | os.PathLike[str] | tuple[str, str]],
    *,
    language: Literal["en", "zh"] | None = None,
    name: str = "",
) -> list[Reading]:
    """Return the readings of a text, or of several read together, the most plausible first.

    Args:
        text: A sentence or more, in English or Chinese; a command line; code; a configuration. Or a path, or a list of
            paths and (name, text) pairs, such as a script and the command line that runs it.
        language: Of the remarks: "en" or "zh"; None for that of the text.
        name: Of the file that a single text comes from; its suffix helps to tell what it is.

    Returns:
        At least one reading; several where the words have several defensible meanings, each with its reason.

    Raises:
        RecipeError: If the text is none, a file cannot be read, or the language is none of the two.
        MissingDependencyError: If a file is a PDF, and pypdf is not installed.

    Example:
        >>> from downslope import read
        >>> reading = read("learning rate 0.1, divided by 10 every 30 epochs; momentum of 0.9")[0]
        >>> reading.fields["sgd.lr.rate"].value, reading.fields["sgd.lr.rate"].words
        (0.1, 'divided by 10 every 30 epochs')
    """
    if language not in {None, "en", "zh"}:
        raise RecipeError(f"`language` must be `en` or `zh`; got {language!r}.")
    sources = gather(text, name)
    barred = sources.text
    for _, start, piece in sources.pieces():  # each by itself: a table does not go on in another file
        barred = barred[:start] + as_bars(piece) + barred[start + len(piece) :]
    pieces = [(name, start, barred[start : start + len(piece)]) for name, start, piece in sources.pieces()]
    parts = [part for name, start, piece in pieces for part in _parts_of(piece, start, name)]
    findings = _read_parts(parts, sources.text)
    parts = _without_phrases(parts, findings)
    prose, left_out = _prose(barred, parts)
    prose = replace(prose, original=sources.text)
    draft, board = _read_prose(prose, language or ("zh" if prose.chinese else "en"))
    if left_out:
        draft.remarks.say("long", length=len(sources.text), read=len(prose.plain) + _apart(parts))
    combine(draft, findings)
    apart = [(part.start, part.start + len(part.text)) for part in parts if part.kind != "prose"]
    refuted = prove(draft, lambda words: _read_prose(normalise(words), "en")[0].fields, apart)
    unused = [span for finding in findings for span in finding.unread]
    refuted += read_again(draft, board, unused)
    check(draft, board)
    read_schedule_free(draft)
    mark(draft)
    quoted = {(field.start, field.end) for field in draft.fields.values()}  # what was left may have found its setting
    unread = find_unread(board, draft, apart, [span for span in [*refuted, *unused] if span not in quoted])
    readings = [_located(reading, sources) for reading in find_alternatives(draft, unread)]
    return Readings(readings, [(name, text) for name, _, text in sources.pieces()])


_READ_APART: frozenset[Kind] = frozenset(["code", "configuration", "command"])
"""Kinds of parts that have readers of their own."""


_LONGEST_APART = 200_000
"""Characters of a text that are looked at for parts that are no prose; people write no longer script."""


def _parts_of(text: str, start: int, name: str) -> list[Part]:
    """Return the parts of a text that are no prose; of an endless configuration, the beginning, with the rest blank."""
    cut = len(text)
    if cut > _LONGEST_APART:
        cut = text.rfind("\n", 0, _LONGEST_APART) + 1
    found = split(text[:cut], name)
    parts = [replace(part, start=start + part.start, name=name) for part in found if part.kind in _READ_APART]
    if len(found) == 1 and parts and cut < len(text):
        parts.append(Part("prose", "", text[cut:], start + cut, name))
    return parts


def _read_parts(parts: list[Part], text: str) -> list[Found]:
    """Return what each part says that is no prose; code is told what the command lines give its flags."""
    if not parts:
        return []
    from downslope.reading.code import read_python  # a sentence needs neither of these readers
    from downslope.reading.configuration import read_configuration, read_flags

    flags = {
        name: Field(value, "stated", start=start, end=end, file=part.name or "-")
        for part in reversed(parts)
        if part.kind == "command"
        for name, (value, start, end) in read_flags(part).items()
    }
    modules = [part for part in parts if part.format in {"python", "dictionary"}]

    def found(part: Part) -> Found:
        if part.kind != "code":
            return _as_written(read_configuration(part), part, text)
        return read_python(part, flags, [one for one in modules if one.name != part.name])

    findings = [replace(found(part), kind=part.kind, name=part.name) for part in parts if part.kind != "prose"]
    scripts = [one.fields for one in findings if one.kind == "code" and "sgd.lr.schedule" in one.fields]
    used = {field.file for fields in scripts for field in fields.values()}
    for one in findings:  # a module whose names a script uses: what the rate does is the script's to say
        if one.kind == "configuration" and one.name in used:
            one.fields = {p: field for p, field in one.fields.items() if not p.startswith("sgd.lr.")}
    return findings


def _without_phrases(parts: list[Part], findings: list[Found]) -> list[Part]:
    """Return the parts without what stands in words of prose in them."""
    found: list[Part] = []
    for part in parts:
        here, end = part.start, part.start + len(part.text)
        cuts = sorted(span for one in findings for span in one.phrases if here <= span[0] < span[1] <= end)
        for first, last in [*cuts, (end, end)]:
            if first > here:
                found.append(replace(part, text=part.text[here - part.start : first - part.start], start=here))
            here = max(here, last)
    return found


def _as_written(found: Found, part: Part, text: str) -> Found:
    """Return what a part says in the words of the input, of which some may be blank in the part."""
    if text[part.start : part.start + len(part.text)] != part.text:
        for path, one in found.fields.items():
            if one.start >= 0:
                found.fields[path] = replace(one, words=text[one.start : one.end])
    return found


def _prose(text: str, parts: list[Part]) -> tuple[Text, bool]:
    """Return the prose of a text, these parts blanked out in their places, and whether passages were left out."""
    pieces: list[str] = []
    here = 0
    for part in parts:
        end = part.start + len(part.text)
        pieces += [text[here : part.start], ("\n\n" if "\n" in part.text else ",").ljust(end - part.start)]
        here = end
    blanked = "".join([*pieces, text[here:]])
    passages = choose_passages(blanked)
    return normalise(blanked, passages), len(text) - _apart(parts) > LONGEST


def _apart(parts: list[Part]) -> int:
    """Return how many characters are no prose."""
    return sum(len(part.text) for part in parts if part.kind != "prose")


def _read_prose(text: Text, language: str) -> tuple[Draft, Board]:
    """Return what prose says, and the board of its items."""
    board, formulas = find_facts(text)
    draft = Draft(text, sorted([*formulas, *board.facts], key=lambda fact: fact.start), Remarks(language))
    assemble(draft, board)
    return draft, board


def find_facts(text: Text) -> tuple[Board, list[Fact]]:
    """Return the board of a text's sentences, and the facts of its formulas."""
    formulas, left = find_formulas(text.plain)
    board = Board(text, resolve_owners(find_times(find_items(blank_marks(left)))))
    find_asides(board)
    find_optimizers(board)
    find_subjects(board)
    find_others(board)
    find_unused_schedules(board)
    find_values_of_each(board)
    find_training(board)
    find_groups(board)
    find_plateaus(board)
    find_ends(board)
    find_knots(board)
    find_levels(board)
    find_courses(board)
    find_warmups(board)
    find_shapes(board)
    find_changes(board)
    find_batches(board)
    find_values(board)
    find_unnamed(board)
    return board, formulas


def _located(reading: Reading, sources: Sources) -> Reading:
    """Return a reading whose places are those in each file."""
    fields: dict[str, Field] = {}
    for path, found in reading.fields.items():
        name, start = sources.source_of(found.start)
        if found.start < 0:
            fields[path] = replace(found, file=name if len(sources.names) == 1 else "")
        else:
            fields[path] = replace(found, start=found.start - start, end=found.end - start, file=name)
    return replace(reading, fields=fields)
