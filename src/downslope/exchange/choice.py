"""Choosing one optimizer of those that a file holds."""

from __future__ import annotations

from collections.abc import Sequence

from downslope.core.errors import StateError
from downslope.core.shown import shown


def choose(found: Sequence[str], chosen: str | None, what: object, needed: str) -> int:
    """Return the place of the optimizer to take.

    Args:
        found: Where each one is in the file, such as "optimizer_states.0"; at least one.
        chosen: Its number in that order, or where it is; None where there is only one.
        what: The file, for messages.
        needed: What there must be one of, for the message: "one optimizer's state_dict".

    Raises:
        StateError: If there are several and none was chosen, or the choice is none of them. The message lists them.

    Example:
        >>> choose(["first", "second"], "1", "run.pt", "one optimizer's state_dict")
        1
    """
    if chosen is None and len(found) == 1:
        return 0
    if chosen in found:
        return found.index(chosen)
    is_number = chosen is not None and chosen.isascii() and chosen.isdecimal() and len(chosen) < 9
    if chosen is not None and is_number and int(chosen) < len(found):
        return int(chosen)
    listed = "".join(f"\n  - {shown(name)}" for name in found)
    if chosen is None:
        raise StateError(
            f"{shown(what)}: must hold {needed}; got {len(found)}:{listed}\n"
            "Choose one with --optimizer: its number in this list, from 0, or what stands there."
        )
    raise StateError(
        f"{shown(what)}: has no optimizer {shown(chosen)!r}; give a number from 0, or what is listed:{listed}"
    )
