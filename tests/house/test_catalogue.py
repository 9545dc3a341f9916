"""The catalogue of each language: what it says, it says of a sentence that there is, with the same places."""

from __future__ import annotations

import ast
import functools
import re
from string import Formatter

import pytest

from downslope.language import LANGUAGES, said, speaking
from downslope.language.catalogue import catalogue_of, sentences_of
from house.source_tree import MODULES, PACKAGE

OTHERS = [folder for lang, folder in LANGUAGES.items() if lang != "en"]
PLACE = "\0"
SAMPLE = {"": "x7", "s": "x7", "i": "x7", "m": "x7", "w": "x7", "#": "7"}

OF_OTHERS = re.compile(
    r"invalid choice.*|expected .* argument|argument \{name\}.*|the following arguments.*|positional arguments|options"
    r"|show this help message and exit|usage:? ?"  # what argparse says
    r"|Object missing required field.*"  # what msgspec says
    r"|(No such file|Permission denied|Is a directory|Not a directory|No space left).*"  # what the system says
)
"""Sentences that are not said here first."""


def all_sentences():
    """Yield (language, file, English, translation) of every sentence."""
    for lang in OTHERS:
        for file, table in sentences_of(lang).items():
            for english, other in table.items():
                yield lang, file, english, other


def places_of(text):
    """Return the names of a sentence's places."""
    return sorted({name for _, name, _, _ in Formatter().parse(text) if name not in {None, "_"}})


def without_names(text):
    """Return a sentence with a mark for each place."""
    return "".join(said + (PLACE if name is not None else "") for said, name, _, _ in Formatter().parse(text))


@functools.cache
def source():
    """Return the parts of all that strings of the package say, between marks and expressions; and all of it."""
    found: set[str] = set()
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # what says nothing
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
        }
    for page in [*PACKAGE.rglob("*.j2"), *PACKAGE.rglob("*.js")]:
        text = page.read_text(encoding="utf-8")
        found |= {text, re.sub(r"<[^>]*>|\{[{%].*?[%}]\}", PLACE, text, flags=re.DOTALL)}
    parts = {" ".join(part.split()) for text in found for part in parts_of(text)}
    return parts, "\n".join(sorted(parts))


def parts_of(text):
    """Return a text's parts between marks."""
    return re.split(rf"[{PLACE}.,;:()/\n]+", text)


def test_both_languages_have_the_same_places():
    """And both or neither end in a full stop; neither is empty."""
    for lang, file, english, other in all_sentences():
        assert places_of(english) == places_of(other), f"{lang}/{file}: {english}"
        assert english.strip(), f"{lang}/{file}: {english}"
        assert other.strip(), f"{lang}/{file}: {english}"
        stops = bool(re.search(r"[^.]\.$", english.strip())), other.strip().endswith("。")
        assert stops[0] == stops[1], f"{lang}/{file}: {english}"


def test_no_sentence_stands_twice():
    """Two with one wording would be two ways of saying it."""
    for lang in OTHERS:
        seen: dict[str, str] = {}
        for _, file, english, _ in (row for row in all_sentences() if row[0] == lang):
            bare = without_names(english).rstrip(".")
            assert bare not in seen, f"{lang}/{file}: {english}; also in {seen.get(bare)}"
            seen[bare] = file


def test_none_is_anything():
    """A sentence that begins with whatever may stand there says enough itself, or it would be found in any text."""
    for lang, file, english, _ in all_sentences():
        _, name, form, _ = next(iter(Formatter().parse(english)))
        if english.startswith("{") and name is not None and form in {"", "s", "m"}:
            letters = re.sub(r"[^A-Za-z]", "", without_names(english))
            assert len(letters) >= 6, f"{lang}/{file}: {english}"


def test_each_is_found_as_itself():
    """No other sentence of the catalogue is taken for it, and its places hold what they held."""
    for lang in OTHERS:
        catalogue = catalogue_of(lang)
        for _, file, english, _ in (row for row in all_sentences() if row[0] == lang):
            if not places_of(english):
                continue
            parts = list(Formatter().parse(english))
            text = "".join(said + ("" if name is None else SAMPLE[form or ""]) for said, name, form, _ in parts)
            bare = re.sub(r"(?<=[^.])\.$", "", text)
            found = catalogue.find(bare)
            assert found is not None, f"{lang}/{file}: {english}"
            assert without_names(found[0].english) == without_names(english).removesuffix("."), f"{file}: {english}"


@functools.cache
def is_said(piece):
    """Return whether the source says it in one string."""
    parts, text = source()
    return piece in parts or piece in text


def stands(words, pieces=3):
    """Return whether words stand in the source, in one string or in a few that are put together."""
    return not words or (
        pieces > 0
        and any(is_said(" ".join(words[:at])) and stands(words[at:], pieces - 1) for at in range(len(words), 0, -1))
    )


def test_each_is_said_somewhere():
    """A sentence that was reworded in the code is reworded here: its parts between marks stand there."""
    for lang, file, english, _ in all_sentences():
        if not OF_OTHERS.fullmatch(english):
            for part in parts_of(without_names(english)):
                assert stands(part.split()), f"{lang}/{file}: {english}"


@pytest.mark.parametrize("text", ["", "no sentence of ours", "9 % of `them`", "x" * 10_000])
def test_what_is_not_known_stays(text):
    """Word for word."""
    with speaking("zh"):
        assert said(text) == text


def test_a_quotation_stays():
    """What somebody else has written is no sentence of ours, even where it reads like one."""
    with speaking("zh"):
        assert "`momentum 0.9`" in said("unknown option 3 steps. Did you mean `momentum 0.9`?")
