"""What speaks of another training than the text's own: of cited authors, of baselines, of a pretraining before it."""

from __future__ import annotations

from downslope.reading.facts import Board
from downslope.reading.patterns import Match, Pattern, Rules

_OTHERS = Rules(
    {
        "cited": "others:authors (open|close|number|word|and|comma|taken){0,6} (did|word:trained,set|is|verb)",
        "contrast": "others:contrast",
        "baseline": "mod:base (word:method,methods,model,models,approach,一般)? (verb|is|did)",
        "source": "others:source (open number close)? (is|verb|word:中)",
        "named": "word did",
    },
    did="word:used,uses,adopted,adopts,employed,employs",
)
_PRETRAINING = Pattern("verb:pretrain (word|concept|number|is|at|with|for|by){0,3} span=time")
_TRAINING = Pattern("verb:train (word|concept|number|is|at|with|for|by){0,6} time")


def find_others(board: Board) -> None:
    """Take what others' sentences say out of all further reading, where the text's own training is told elsewhere."""
    code = board.code()
    told = False
    others: list[tuple[int, int]] = []
    for first, last in board.sentences():
        match = next(_OTHERS.find(code, first, last), None)
        end = last
        if match is not None and _begins(board, match.first, first) and _is_other(board, match):
            others.append((match.first, last))
            end = match.first
        numbered = any(item.kind == "number" for item in board.items[first:end])
        told = told or (numbered and any(item.is_a("concept", "lr") for item in board.items[first:end]))
    if told:
        board.used.update(place for first, last in others for place in range(first, last))
    if next(_TRAINING.find(code), None) is not None:
        board.used.update(match["span"] for match in _PRETRAINING.find(code))


def _begins(board: Board, place: int, first: int) -> bool:
    """Whether a place is where a clause begins, but for "in", "that", "note" and the like."""
    while place > first and board.items[place - 1].kind in {"word", "at", "instead"}:
        place -= 1
    return place == first or board.items[place - 1].kind in {"comma", "break", "open", "star"}


def _is_other(board: Board, match: Match) -> bool:
    """Whether the words of a match name somebody else: not "our baseline", and of names only those in capitals."""
    start = board.items[match.first].start
    before = board.text.plain[max(0, start - 5) : start]
    words = board.text.words(start, board.items[match.after - 1].end)
    if match.rule == "baseline":
        return "baseline" in words.lower() or "基线" in words
    if match.rule == "named":
        return sum(character.isupper() for character in words.split()[0]) >= 2
    return "our" not in before and " we " not in f" {words.lower()} "
