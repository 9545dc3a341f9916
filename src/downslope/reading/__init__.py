"""`read`: what the words of a paper, a README, a command line or a configuration say a recipe is.

Code and notation are found first and blanked out; sentences become items, items become facts, and facts the fields of
a reading.
"""

from __future__ import annotations

from downslope.core.errors import RecipeError
from downslope.reading.alternatives import find_alternatives
from downslope.reading.assemble import assemble
from downslope.reading.checks import check, find_unread
from downslope.reading.code_facts import translate
from downslope.reading.draft import Draft
from downslope.reading.facts import Board, Fact
from downslope.reading.find_changes import find_changes
from downslope.reading.find_code import find_formulas, find_notation
from downslope.reading.find_courses import find_courses, find_shapes
from downslope.reading.find_ends import find_ends
from downslope.reading.find_levels import find_knots, find_levels
from downslope.reading.find_others import find_others
from downslope.reading.find_plateaus import find_plateaus
from downslope.reading.find_values import find_optimizers, find_values, resolve_decay
from downslope.reading.find_warmups import find_warmups
from downslope.reading.items import find_items
from downslope.reading.reading import Reading
from downslope.reading.remarks import Remarks
from downslope.reading.text import Text, choose_passages, normalise
from downslope.reading.times import find_times


def read(text: str, *, language: str = "en") -> list[Reading]:
    """Return the readings of a text, the most plausible first.

    Args:
        text: A sentence or more, in English or Chinese; a command line; code; a solver or another configuration.
        language: Of the remarks: "en" or "zh".

    Returns:
        At least one reading; several where the words have several defensible meanings, each with its reason.

    Raises:
        RecipeError: If the text is no string, or the language none of the two.

    Example:
        >>> from downslope import read
        >>> reading = read("learning rate 0.1, divided by 10 every 30 epochs; momentum of 0.9")[0]
        >>> reading.fields["sgd.lr.rate"].value, reading.fields["sgd.lr.rate"].words
        (0.1, 'divided by 10 every 30 epochs')
    """
    if not isinstance(text, str):
        raise RecipeError(f"`text` must be a string; got {text!r} of type {type(text).__name__}.")
    if language not in {"en", "zh"}:
        raise RecipeError(f"`language` must be `en` or `zh`; got {language!r}.")
    passages, shortened = choose_passages(text)
    normal = normalise(passages)
    board, code, framework = find_facts(normal)
    draft = Draft(normal, sorted([*code, *board.facts], key=lambda fact: fact.start), Remarks(language))
    draft.framework = framework
    if shortened:
        draft.remarks.say("long", length=len(text), read=len(passages))
    assemble(draft, board)
    check(draft, board)
    unread = find_unread(board, draft)
    return find_alternatives(draft, unread)


def find_facts(text: Text) -> tuple[Board, list[Fact], str]:
    """Return the board of a text's sentences, the facts of its formulas and code, and whose conventions they follow."""
    formulas, left = find_formulas(text.plain)
    notation, left = find_notation(left)
    code, framework = translate(text, notation)
    board = Board(text, resolve_decay(find_times(find_items(left))))
    find_optimizers(board)
    find_others(board)
    find_plateaus(board)
    find_ends(board)
    find_knots(board)
    find_levels(board)
    find_courses(board)
    find_warmups(board)
    find_shapes(board)
    find_changes(board)
    find_values(board)
    return board, [*formulas, *code], framework
