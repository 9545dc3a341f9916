"""A function that says which of its arguments was meant, where it gets one that it does not have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from downslope.core.synonyms import refuse_unknown

Given = ParamSpec("Given")
Result = TypeVar("Result")


def says_our_words(where: str) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Return a decorator under which an unknown argument is an error that says our word for it.

    Its signature stays what it was, for those who look: `optax.inject_hyperparams` and Keras do.

    Args:
        where: What is called, for the message.

    Raises:
        UnknownArgumentError: When the function is called so; a TypeError too, as Python's own is.

    Example:
        >>> @says_our_words("here")
        ... def step(lr, momentum=0.0):
        ...     return lr
        >>> step(learning_rate=0.1)
        Traceback (most recent call last):
            ...
        downslope.core.errors.UnknownArgumentError: here: unknown argument `learning_rate`. Here it is called `lr`.
    """

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        known = [name for name in inspect.signature(function).parameters if name != "self"]

        @functools.wraps(function)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            if kwargs.keys() - known:
                refuse_unknown(kwargs, known, where)
            return function(*args, **kwargs)

        return checked

    return decorate
