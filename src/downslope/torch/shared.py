"""Attributes of an optimizer that stay one, whoever wraps it.

Trainers wrap optimizers in a class made on the spot, which inherits from the optimizer's. Fabric copies the
``__dict__`` once, so that a plain attribute is what it was then. Lightning looks up by ``__getattr__`` what the class
does not have, so that a default on the class hides the optimizer's own value. What is to be seen and set through both
lives in one table, which every wrapper finds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Shared:
    """An attribute that lives in the table ``shared`` of its object.

    Args:
        check: Returns a value that is set as it is to be kept, or raises.

    Example:
        >>> class Optimizer:
        ...     clip_norm = Shared(float)
        >>> optimizer = Optimizer()
        >>> optimizer.shared = {}
        >>> optimizer.clip_norm = 1
        >>> optimizer.clip_norm, optimizer.shared
        (1.0, {'clip_norm': 1.0})
    """

    def __init__(self, check: Callable[[Any], Any] = lambda value: value) -> None:
        """Keep how values are checked."""
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the attribute's name."""
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the value."""
        return self if instance is None else instance.shared[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        """Check the value and keep it."""
        instance.shared[self._name] = self._check(value)
