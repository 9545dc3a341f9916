"""Weight decay said in another way, where the two are the same.

What lives here: which of the five ways equals which other, and under what condition. What does not: what they are
(`core/settings.py`).
"""

from __future__ import annotations

from dataclasses import replace

from downslope.core.errors import SettingsError, one_of
from downslope.core.schedules.base import Schedule
from downslope.core.settings import Decay, Settings, is_zero

_WITH_ANY_LR = frozenset({"decoupled", "relative"})
"""These two differ by a constant factor, whatever lr does; the others equal them only while lr is constant."""


def decay_in_another_way(
    name: str, settings: Settings, ways: tuple[str, ...], remarks: list[str], *, exactly: bool
) -> Settings:
    """Return settings of the same rule whose weight decay is one of `ways`.

    Args:
        name: Of the system that has these ways, for messages.
        settings: The settings, whose weight decay is not 0 and none of `ways`.
        ways: What the system has, the preferred first.
        remarks: Is added to.
        exactly: Whether to refuse at once.

    Raises:
        SettingsError: If none of them is the same rule.
    """
    if not exactly:
        for way in ways:
            if (said := _said(settings, way)) is not None:
                remarks.append(said[1])
                return said[0]
    coupled = "coupled" in ways
    raise SettingsError(
        f'{name} cannot express decay="{settings.decay}": its weight decay is {one_of(ways)}. '
        + (
            "Decay that is coupled passes through momentum, decay that is not does not, so no number makes them equal."
            if coupled != (settings.decay == "coupled")
            else "The two follow lr differently, and lr changes here."
        )
    )


def _said(settings: Settings, way: str) -> tuple[Settings, str] | None:
    """Return the settings with their decay said in a way and a sentence on it, or None if that is another rule."""
    before = settings.decay
    still = is_zero(settings.momentum)
    if "coupled" in (before, way) and not still:
        return None
    constant = not isinstance(settings.lr, Schedule) or settings.lr.extremes()[0] == settings.lr.extremes()[1]
    family = _WITH_ANY_LR | ({"coupled"} if still else set())
    if not constant and not {before, way} <= family:
        return None
    if settings.lr_initial == 0 or (constant and isinstance(settings.lr, Schedule) and settings.lr_max == 0):
        return None  # nothing moves, and no factor says how the two compare
    if isinstance(settings.weight_decay, Schedule):
        return None
    weight_decay = settings.weight_decay * _to_decoupled(before, settings) / _to_decoupled(way, settings)
    again: Decay = way  # pyright: ignore[reportAssignmentType] -- one of the row's own
    because = "without momentum" if "coupled" in (before, way) else ""
    if not {before, way} <= family:
        because = " and ".join(filter(None, (because, "with a constant lr")))
    return (
        replace(settings, weight_decay=weight_decay, decay=again),
        f"{before} weight_decay={settings.weight_decay!r} is said as {way} {weight_decay!r}"
        + (f"; exact {because}" if because else "; exact whatever lr does"),
    )


def _to_decoupled(way: str, settings: Settings) -> float:
    """Return what a weight_decay is multiplied with to be that of decoupled decay."""
    return 1.0 / settings.lr_initial if way in {"relative", "independent"} else 1.0
