"""The schedules under their public name: ``from downslope.schedules import Cosine``."""

from downslope.core import schedules
from downslope.core.schedules import *  # noqa: F403

__all__: list[str] = []
__all__ += schedules.__all__
