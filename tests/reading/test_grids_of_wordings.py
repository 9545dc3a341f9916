"""Grids of common wordings: every combination of the words in the slots of one statement says what it says, and no more."""

from __future__ import annotations

import random

import pytest

from downslope import read
from draws import SEED, draws
from reading.grids_in_chinese import CHINESE
from reading.grids_in_english import ENGLISH
from reading.rows import same

GRIDS = {**ENGLISH, **CHINESE}
_OPEN = {"sgd.lr.unit", "sgd.lr.staircase", "sgd.decay", "sgd.momentum"}
"""Paths that may be there wherever nothing else is wanted of them."""


def drawn(name, number):
    """Return so many sentences of a grid and what each says."""
    grid, random_of = GRIDS[name], random.Random(f"{name} {SEED}")
    slots = {slot: words.split("|") for slot, words in grid.slots.items()}
    apart = [(set(some.split("|")), set(others.split("|"))) for some, others in grid.apart]
    says = [(meant, words.split("|")) for meant, words in grid.says]
    found = []
    while len(found) < number:
        chosen = {slot: random_of.choice(words) for slot, words in slots.items()}
        words = set(chosen.values())
        text = grid.form
        for slot, word in chosen.items():
            text = text.replace("{" + slot + "}", word)
        if not any(some & words and others & words for some, others in apart):
            more = {path: value for meant, said in says if words.intersection(said) for path, value in meant.items()}
            found.append((text, {**grid.wanted, **more}))
    return found


def rates(fields):
    """Return the learning rates of all parts of a network, each once, the lower first."""
    parts = [value for path, value in fields.items() if path.startswith("groups.") and path.endswith(".lr")]
    return sorted({round(value, 9) for value in [fields.get("sgd.lr"), *parts] if value is not None})


@pytest.mark.parametrize("name", GRIDS)
def test_every_wording_says_the_same(name):
    """Each drawn combination is read as what its words say, and nothing else is found in it."""
    for text, wanted in drawn(name, draws(GRIDS[name].drawn)):
        fields = {path: one.value for path, one in read(text)[0].fields.items() if one.provenance != "assumed"}
        if "rates" in wanted:
            fields["rates"] = rates(fields)
            fields = {path: value for path, value in fields.items() if not path.startswith(("groups.", "sgd.lr"))}
        missed = {path: fields.get(path) for path, value in wanted.items() if not agree(fields.get(path), value)}
        more = {path: value for path, value in fields.items() if path not in {*wanted, *_OPEN, *GRIDS[name].may}}
        assert (missed, more) == ({}, {}), text


def agree(found, wanted):
    """Whether a value is the wanted one; of a schedule within a sequence only what is wanted of it."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(agree(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(agree, found, wanted))
    return found is not None and same(found, wanted)
