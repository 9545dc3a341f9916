"""The update rule as source code: the rule's own text run on symbols, and written as Python.

What lives here: the lines of a step. What does not: the symbols, which are those of the equations (`terms.py`), and the
rule and the ways of weight decay; they are asked, not repeated, so that no exported line can drift from them.
"""

from __future__ import annotations

from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.settings import Settings, scalars
from downslope.recipes.terms import PYTHON, Term


def step_source(settings: Settings, names: dict[str, str]) -> tuple[str | None, str, str | None]:
    """Return the source of a step: the new velocity, what is added to the parameter, and what is taken from it.

    Args:
        settings: The settings; of numbers that `names` does not name, the value is written.
        names: What the variables are called: "param", "grad", "velocity", "lr" and, if wanted, "momentum",
            "weight_decay", "dampening".

    Returns:
        The new velocity, None where none is kept; what the gradient adds to the parameter; and what weight decay takes
        from it directly, or None.

    Example:
        >>> names = {"param": "w", "grad": "g", "velocity": "v", "lr": "lr"}
        >>> step_source(Settings(lr=0.1, momentum=0.9, weight_decay=0.5, decay="decoupled"), names)
        ('0.9 * v + g', '-lr * v', 'lr * 0.5 * w')
    """
    symbols = {key: Term("name", (name,)) for key, name in names.items()}

    def number(key: str) -> Any:
        return symbols[key] if key in symbols and getattr(settings, key) != 0 else getattr(settings, key)

    step = scalars(
        lr=symbols["lr"],  # pyright: ignore[reportArgumentType]  # symbols stand for the numbers
        momentum=number("momentum"),
        weight_decay=number("weight_decay"),
        dampening=number("dampening"),
        nesterov=settings.nesterov,
        decay=settings.decay,
        lr_in_velocity=settings.lr_in_velocity,
        maximize=settings.maximize,
        lr_initial=settings.lr_initial,
        lr_max=settings.lr_max,
    )
    delta, velocity = sgd_rule(symbols["param"], symbols["grad"], symbols["velocity"], step)
    decayed = delta.parts[1].text({}, PYTHON) if delta.kind == "-" else None
    direction = delta.parts[0] if delta.kind == "-" else delta
    if settings.momentum == 0:
        return None, direction.text({}, PYTHON), decayed
    return velocity.text({}, PYTHON), direction.text({id(velocity): names["velocity"]}, PYTHON), decayed
