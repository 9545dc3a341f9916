"""Milestones that no verb took, and the multipliers of the initial rate that stand beside them."""

from __future__ import annotations

import re

from downslope.reading.facts import Board
from downslope.reading.find_plateaus import OWN_CONCEPTS
from downslope.reading.patterns import Pattern
from downslope.reading.schedule_facts import Change

_ACTIONS = (
    "evaluate", "evaluated", "evaluation", "save", "saved", "test", "tested", "report", "reported", "checkpoint",
    "checkpoints", "measure", "measured", "results", "accuracy", "prune", "pruned", "validated", "测", "保", "评",
)  # fmt: skip
"""What is done at times without a change of the learning rate."""


def clause_of(board: Board, place: int) -> range:
    """Return the places of the items of a place's clause."""
    first, last = place, place + 1
    while place - first < 15 and first > 0 and board.items[first - 1].kind not in {"comma", "break", "open"}:
        first -= 1
    while last - place < 15 and last < len(board.items) and board.items[last].kind not in {"comma", "break", "close"}:
        last += 1
    return range(first, last)


def find_milestones(board: Board, refused: set[int]) -> None:
    """Give milestones that no verb took to the change that has no time, or make a change of them alone."""
    changes = [fact for fact in board.facts if isinstance(fact, Change)]
    for place, item in enumerate(board.items):
        if item.kind != "time" or place in board.used or place in refused:
            continue
        if item.data.prep not in {"at", "after"} or len(item.data.values) < 2 or not _may_be_milestones(board, place):
            continue
        board.used.add(place)
        if item.data.unit == "step" and item.data.values[-1] < 10:
            continue  # 第1步和第2步
        untimed = [c for c in changes if c.value is not None and not (c.at or c.every or c.plateau)]
        if untimed:
            untimed[0].at.append(item.data)
            untimed[0].noun = False
        else:
            board.note(Change("change", "reduce", None, at=[item.data], listed=True), [place])


_POWERS = Pattern("number ((comma|and){1,2} number){1,6}")
_MULTIPLIES = re.compile(r"multipl|factor|times|scale|of (?:the|its) (?:initial|base|original)|[乘倍]|系数|比例")


def find_multipliers(board: Board) -> None:
    """Give a change its factor where its times have as many multipliers of the initial rate: 0.1, 0.01, 0.001."""
    waiting = [fact for fact in board.facts if isinstance(fact, Change) and fact.at and fact.value is None]
    for first, last in board.sentences() if waiting else ():
        start, end = board.items[first].start, board.items[last - 1].end
        changes = [fact for fact in waiting if start <= fact.start < end]
        for match in _POWERS.find(board.code(), first, last) if changes else ():
            places = [p for p in range(match.first, match.after) if board.items[p].number]
            values = [board.items[p].value for p in places]
            times = [value for time in changes[0].at for value in time.values]
            near = board.text.plain[max(0, board.items[places[0]].start - 30) : board.items[places[-1]].end + 12]
            powers = [values[0] ** power for power in range(1, len(values) + 1)]
            falls = 0 < values[0] < 1 and all(
                abs(one - two) <= 1e-6 * two for one, two in zip(values, powers, strict=True)
            )
            if len(times) == len(values) and falls and _MULTIPLIES.search(near):
                changes[0].value = values[0]
                changes[0].targets = []
                board.used.update(places)
                changes[0].end = max(changes[0].end, board.items[places[-1]].end)


def _may_be_milestones(board: Board, place: int) -> bool:
    """Whether times without a verb may be the learning rate's: the sentence tells of it, the clause of nothing else."""
    clause = [board.items[p] for p in clause_of(board, place)]
    if any((i.kind == "concept" and i.key not in OWN_CONCEPTS) or i.is_a("word", *_ACTIONS) for i in clause):
        return False
    before = board.items[max(0, place - 10) : place]
    if board.text.plain.startswith(" respectively", board.items[place].end) and any(
        item.kind == "concept" and item.key not in OWN_CONCEPTS for item in before
    ):
        return False  # "batch_size and num_epochs constant at 16 and 500 respectively"
    around = board.items[max(0, place - 20) : place + 20]
    return any(item.is_a("concept", "lr", "lr_decay", "gamma") or item.kind == "schedule" for item in around)
