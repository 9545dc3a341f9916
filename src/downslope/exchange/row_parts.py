"""Arguments that many systems share, for the rows of the table of conventions.

What lives here: those that have the same name, meaning and default in several systems. What does not: the rows.
"""

from __future__ import annotations

from downslope.exchange import own_words
from downslope.exchange.convention import Argument

ANY: tuple[object, ...] = ()
"""In `Convention.neutral`: whatever its value, the argument is no part of the rule."""

NESTEROV = Argument(name="nesterov", sets="nesterov", default=False)
MOMENTUM = Argument(name="momentum", sets="momentum", default=0.0)
DAMPENING = Argument(name="dampening", sets="dampening", default=0.0)
MAXIMIZE = Argument(name="maximize", sets="maximize", default=False)
WEIGHT_DECAY = Argument(name="weight_decay", sets="weight_decay", default=0.0)


def lr_argument(default: float | None = None, *, name: str = "lr") -> Argument:
    """Return the argument of the learning rate, required where it has no default."""
    return Argument(name=name, sets="lr", default=default, required=default is None, scheduled=True)


def learning_rate_argument(default: float | None = None) -> Argument:
    """Return the argument of the learning rate as Keras and its kin call it; a schedule of Keras's is read too."""
    return Argument(
        name="learning_rate",
        sets="lr",
        default=default,
        required=default is None,
        scheduled=True,
        aliases=("lr",),
        reads=own_words.keras_lr,
    )
