"""Names of classes and columns: their order, their indices, and how messages list them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from downslope.core.errors import DataError, did_you_mean
from downslope.core.shown import shown

Indices = np.ndarray[Any, np.dtype[np.int64]]

_MANY, _LONG = 2000, 200
"""Up to so many names are searched for the one that a person may have meant, of so many characters."""

_EXACT = 16
"""Characters below which different whole numbers are different floating-point numbers."""


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return each label once: by number if all are integers, otherwise by alphabet.

    Raises:
        DataError: If two labels are one number written in two ways, such as `1` and `1.0`.

    Example:
        >>> order_classes(["10", "9", "10"]), order_classes(["dog", "cat"])
        (('9', '10'), ('cat', 'dog'))
    """
    names = set(labels)
    numbers: dict[float, str] = {}
    for name in sorted(names):
        try:
            other = numbers.setdefault(float(name), name)
        except ValueError:
            continue
        if other != name and len(name) < _EXACT and len(other) < _EXACT:
            raise DataError(
                f"the labels `{shown(other, 60)}` and `{shown(name, 60)}` are one number written in two ways. Write it "
                "in one."
            )
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))


def index_labels(
    labels: Sequence[str], names: Sequence[str], place: Callable[[int], str], unknown: str, hint: str = ""
) -> Indices:
    """Return the index of each label.

    Args:
        labels: One an example.
        names: The classes.
        place: From an example to where it stands, for messages.
        unknown: What to say of a label that is no class, "{}" standing for it.
        hint: A sentence on what to do then.
    """
    index = {name: number for number, name in enumerate(names)}
    for example, label in enumerate(labels):
        if label not in index:
            what = unknown.replace("{}", f"'{shown(label, 60)}'")
            raise DataError(f"{place(example)}: {what}.{suggest(label, names)} There are {show_names(names)}.{hint}")
    return np.array([index[label] for label in labels], dtype=np.int64)


def check_classes(names: Sequence[str], train: Indices, origin: str, hint: str = "") -> None:
    """Raise unless there are two classes, each with an example to learn from."""
    if len(names) < 2:
        raise DataError(f"{origin}: there is only one class, '{shown(names[0], 60)}'; two are needed to tell apart.")
    learned = set(train.tolist())
    absent = [name for number, name in enumerate(names) if number not in learned]
    if absent:
        raise DataError(
            f"{origin}: every example of {show_names(absent)} is held out, so that there is none to learn from. Use a "
            f"smaller data.held_out, another seed, or more examples.{hint}"
        )


def suggest(name: str, names: Sequence[str]) -> str:
    """Return " Did you mean `...`?" for the name most alike, or nothing."""
    return did_you_mean(name[:_LONG], names) if len(names) <= _MANY else ""


def differ_in_capitals(names: Iterable[str]) -> str:
    """Return the first names that differ in capitals alone, as a list; "" if there are none.

    Example:
        >>> differ_in_capitals(["No", "YES", "no", "yes", "maybe"])
        '`No` / `no`, `YES` / `yes`'
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    found = [group for group in alike.values() if len(group) > 1]
    return ", ".join(show_names(group[:2], " / ") for group in found[:3])


def show_names(names: Sequence[str], last: str = ", ", *, most: int = 10, width: int = 60) -> str:
    """Return names as a list that is never long: "`cat`, `dog` and 3 more"; `last` stands before the last of a few."""
    quotes = [f"`{shown(name, width)}`" for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(quotes)} and {len(names) - most:,} more"
    return last.join([", ".join(quotes[:-1]), quotes[-1]]) if len(quotes) > 1 else "".join(quotes)
