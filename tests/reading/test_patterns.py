"""Patterns on items: what they match, the places that they give, and that they take linear time."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from downslope.reading import items, patterns
from downslope.reading.items import find_items
from downslope.reading.lexicon.chinese import CHINESE
from downslope.reading.lexicon.english import ENGLISH
from downslope.reading.patterns import Pattern, Rules, encode, runs
from downslope.reading.times import find_times

ASKED_FOR = {*patterns._KEYS}
"""Every (kind, key) that a pattern of the reader asks for, before this file's own are compiled."""


def code(text: str) -> str:
    """Return the encoded items of a text."""
    return encode(find_times(find_items(text)))


def test_groups_give_places() -> None:
    """Items: is, lr, number, time, comma, number, time."""
    pattern = Pattern("rate=number span=time:for")
    found = [
        (match["rate"], match["span"]) for match in pattern.find(code("we use lr 0.1 for 30 epochs, 0.2 for 4 epochs"))
    ]
    assert found == [(2, 3), (5, 6)]


def test_runs_join_what_a_link_joins() -> None:
    """The first two levels follow each other, the third is of another statement."""
    text = "lr 0.1 for 30 epochs, 0.01 for 20 epochs. momentum 0.9, 0.1 for 3 epochs"
    matches = Pattern("number time").find(code(text))
    assert [len(run) for run in runs(matches, code(text), Pattern("(comma|and)?"))] == [2, 1]


def test_of_several_rules_the_first_counts() -> None:
    """At each item, and its match tells which it was."""
    rules = Rules({"both": "number time", "alone": "value=number"})
    found = [(match.rule, match.first) for match in rules.find(code("lr 0.1 for 3 epochs, 0.2"))]
    assert found == [("both", 1), ("alone", 4)]


@pytest.mark.parametrize(
    ("pattern", "text", "places"),
    [
        ("concept:lr is? number", "lr 0.1 and lr = 0.2", [0, 3]),
        ("concept:lr,momentum", "momentum lr dropout", [0, 1]),
        ("(a|b) number", "momentum 3 lr 4", [0, 2]),
        ("concept .{0,2} number", "lr foo bar 3", [0]),
        ("concept .{0,2} number", "lr foo bar baz 3", []),
        ("times", "at epochs 30 and 60, in 5 epochs", [0]),
        ("time:for", "at epochs 30 and 60, in 5 epochs", [2]),
    ],
)
def test_what_matches(pattern: str, text: str, places: list[int]) -> None:
    """The places at which a pattern matches."""
    built = Pattern(pattern, a="concept:lr", b="concept:momentum")
    assert [match.first for match in built.find(code(text))] == places


def test_what_is_in_use_is_taken() -> None:
    """A used number is no number, but "taken"."""
    items = find_items("lr 0.1")
    assert [*Pattern("number").find(encode(items, {1}))] == []
    assert [match.first for match in Pattern("taken").find(encode(items, {1}))] == [1]


def test_a_pattern_of_nonsense_is_refused() -> None:
    """With what has no meaning."""
    with pytest.raises(ValueError, match="no meaning at '&'"):
        Pattern("number &")


def test_matching_is_linear() -> None:
    """A hundred times the items take far less than a hundred times a hundred times as long."""
    pattern = Pattern("(number comma?)+ (word* number)* unit")
    text = code("1, 2, 3 foo 4, " * 20_000)
    began = time.process_time()
    assert [*pattern.find(text)] == []
    assert time.process_time() - began < 20


def test_patterns_ask_for_keys_that_items_have() -> None:
    """A key that no lexicon and no later pass gives can never match, so a pattern that names it is misspelt."""
    known = {(kind, key) for lexicon in (ENGLISH, CHINESE) for kind, keys in lexicon.items() for key in keys}
    known.add(("concept", "decay"))  # which `resolve_owners` gives
    kinds = {kind for kind, _ in known}
    assert len(ASKED_FOR) > 100
    assert {(kind, key) for kind, key in ASKED_FOR if kind in kinds} <= known


def test_no_phrase_is_known_twice() -> None:
    """The first meaning of a phrase counts, so a second one, or the same words joined otherwise, does nothing."""
    phrases = [
        tuple(token for token, _, _ in items._tokens(phrase) if token not in "-_")
        for lexicon in (ENGLISH, CHINESE)
        for keys in lexicon.values()
        for several in keys.values()
        for phrase in several.split("|")
    ]
    assert all(phrases)
    assert sorted(phrase for phrase, times in Counter(phrases).items() if times > 1) == []
