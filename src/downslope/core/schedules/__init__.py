"""Schedules: learning rate, momentum or weight decay as a function of the step.

A new schedule is one class in `basic` or `composite`; what other systems call it is one row of `systems/schedules.py`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from downslope.core.schedules import basic, composite
from downslope.core.schedules.basic import *  # noqa: F403 -- its list is the list of its schedules
from downslope.core.schedules.composite import *  # noqa: F403
from downslope.core.schedules.schedule import Schedule


def _kinds(kind: type[Schedule]) -> list[type[Schedule]]:
    own = [kind] if "name" in vars(kind) else []
    return [*own, *(one for inner in kind.__subclasses__() for one in _kinds(inner))]


SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType({kind.name: kind for kind in _kinds(Schedule)})
"""By the word for it in a recipe, in the order in which they are defined."""

__all__ = ["SCHEDULES", "Schedule"]
__all__ += basic.__all__
__all__ += composite.__all__
