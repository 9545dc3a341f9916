"""A reading: what a text means, field by field, with where each value comes from.

What lives here: the two dataclasses that `downslope.read` returns. What does not: how they are found, and how a recipe
is made of them (`to_recipe.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe

Provenance = Literal["stated", "implied", "assumed"]


@dataclass(frozen=True)
class Field:
    """The value of one field.

    Attributes:
        value: A number, a word, True or False, or a list of numbers.
        provenance: "stated" (the text says so), "implied" (it follows from a convention or from several statements)
            or "assumed" (the text does not say).
        words: The words that it came from, or why it was implied or assumed.
    """

    value: Any
    provenance: Provenance
    words: str = ""


@dataclass
class Reading:
    """One way to understand a text.

    Attributes:
        optimizer: "sgd", "rmsprop", "adam", "adamw", "lars", ..., as far as it is known.
        fields: Dotted path of a recipe -> its field. A constant learning rate is `sgd.lr`, a schedule is
            `sgd.lr.schedule`, `sgd.lr.initial` and so on, with the names of the recipe file.
        remarks: Sentences on what is missing, contradictory or implausible.
        unread: The numbers that were not used, each with the words around it.
        reason: Why the text is read like this, where there are several readings.
    """

    optimizer: str
    fields: dict[str, Field] = field(default_factory=dict[str, Field])
    remarks: list[str] = field(default_factory=list[str])
    unread: list[str] = field(default_factory=list[str])
    reason: str = ""

    def recipe(self) -> Recipe:
        """Return the recipe of this reading; what the text leaves open is as `to_recipe.complete` says.

        Raises:
            RecipeError: If the optimizer is not SGD, or something essential is missing; the message says what.

        Example:
            >>> from downslope import read
            >>> read("SGD with learning rate 0.1 and momentum 0.9 for 20 epochs")[0].recipe().sgd.momentum
            0.9
        """
        from downslope.recipes.reading.to_recipe import make_recipe

        return make_recipe(self)

    def to_toml(self) -> str:
        """Return the recipe file of this reading, with a comment on every field that the text does not state.

        Raises:
            RecipeError: As `recipe`.
        """
        from downslope.recipes.reading.to_recipe import write_toml

        return write_toml(self)
