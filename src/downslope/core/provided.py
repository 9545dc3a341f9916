"""What core's classes offer and rooms to the right of core carry out.

What lives here: the one way in which core reaches them. Core imports none of these rooms. The package, which loads its
public names when they are first used, is the one place that knows every room, and core asks it when the call is made.
What does not: any knowledge of who provides what.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def provided(name: str) -> Callable[..., Any]:
    """Return the function that the package provides under a name.

    Args:
        name: One of the package's names, such as "settings_from_convention".
    """
    return getattr(sys.modules[__name__.partition(".")[0]], name)
