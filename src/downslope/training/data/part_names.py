"""Names that people give to the parts of their data, and which of the parts is held out and which kept for the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from downslope.core.errors import DataError

Kind = Literal["train", "held_out", "validation", "test"]
"""What a part's name says. Of the last three the first that is there is held out: what a test is for should not be
looked at while training."""

NAMES: Mapping[Kind, frozenset[str]] = {
    "train": frozenset({"train", "training", "trn", "训练", "訓練"}),
    "held_out": frozenset({"heldout", "holdout", "留出"}),
    "validation": frozenset(
        {"val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation", "验证", "驗證"}
    ),
    "test": frozenset({"test", "testing", "tst", "tests", "测试", "測試"}),
}
"""In small letters without signs, as `plain` returns them."""

KINDS: tuple[Kind, ...] = ("train", "held_out", "validation", "test")
_HELD_OUT: tuple[Kind, ...] = KINDS[1:]

LOOKED_AT = "the test part is what is held out of these data: it was looked at while the run was trained"
HUGGING_FACE = "hf:"
"""How the name of a data set of Hugging Face's begins, before its folder."""

_LEFT = "is left alone, to be used once at the end: downslope evaluate RUN --split test"


def plain(name: str) -> str:
    """Return a name without case, signs and numbers, by which parts are compared.

    Example:
        >>> plain("Held-Out_Set"), plain("TEST")
        ('heldout', 'test')
    """
    letters = re.sub(r"[\W_]+", "", name.casefold())
    return re.sub(r"(images|imgs|data|set|split|集|集合|数据|数据集|數據|數據集)$", "", letters)


def kind_of_part(name: str) -> Kind | None:
    """Return what a part is by its name, or None if that is no name of a part.

    Example:
        >>> kind_of_part("Valid"), kind_of_part("test set"), kind_of_part("cat")
        ('validation', 'test', None)
    """
    word = plain(name)
    return next((kind for kind, names in NAMES.items() if word in names), None)


@dataclass(frozen=True)
class Roles:
    """Which parts are which.

    Attributes:
        held_out: The part that is evaluated while training; None to hold out some of those to learn from.
        test: The part for one look at the end, which may be what is held out; None if there is none.
        note: What a person should know of the choice, or nothing.
    """

    held_out: Kind | None
    test: Kind | None
    note: str = ""


def choose_roles(there: Mapping[Kind, str], held_out_from: Literal["train", "test"] | None, place: str) -> Roles:
    """Return which part is held out and which is for the end.

    Args:
        there: The parts that there are, with what their owner calls them.
        held_out_from: What is held out where nothing but a test part is there: itself, which None is too, or some of
            the examples to learn from.
        place: What has these parts, for messages.

    Raises:
        DataError: If `held_out_from` has nothing to decide.
    """
    found: Kind | None = next((kind for kind in _HELD_OUT if kind in there), None)
    held_out = cast("Kind | None", found)
    if held_out_from is not None and held_out != "test":
        what = "brings no test part" if held_out is None else f"brings `{there[held_out]}`, which is held out"
        raise DataError(
            f"data.options.held_out_from = '{held_out_from}': chooses between a test part and a part of the examples "
            f"to learn from, but {place} {what}. Leave it out."
        )
    learned = f"of {place}, `{there['train']}` is learned from"
    if held_out is None:
        return Roles(None, None)
    if held_out != "test":
        words = [f"{learned} and `{there[held_out]}` held out"]
        if held_out == "held_out" and "validation" in there:
            words.append(f"`{there['validation']}` is not used")
        if "test" in there:
            words.append(f"`{there['test']}` {_LEFT}")
        return Roles(held_out, "test" if "test" in there else None, "; ".join(words) if len(words) > 1 else "")
    if held_out_from == "train":
        note = f"{learned} but for data.held_out of it, which is held out; `{there['test']}` {_LEFT}"
        return Roles(None, "test", note)
    return Roles(
        "test",
        "test",
        f"{learned}, and `{there['test']}` is what is held out. To hold out a part of "
        'the other in its place, and leave this for the end: data.options.held_out_from = "train"',
    )
