"""A person's own model, by import path: a function of the data, or the model's class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.user_code import call, import_object

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

_SIZES = (
    " The first argument is the data: take sizes from it, such as dataset.train_inputs.shape[1] and dataset.classes, "
    "or name a function of the data that returns the model."
)


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the model that `model.name` names.

    A function is called with the data and `model.options`. So is a class, unless its first argument can do without:
    it has a default and is not called `dataset`, or is among the options, or there is none; then by the options alone.

    Raises:
        DataError: If it cannot be called, raises, or gives anything but a module with parameters that can learn.
    """
    name = model.name
    place = f"model.name = '{shown(name)}'"
    target: Any = import_object(name, "model.name")
    if isinstance(target, nn.Module):
        raise DataError(
            f"{place}: is a module that is made already, a {type(target).__name__}, whose weights the recipe's seed "
            "did not draw. Name its class, or a function that returns a new one."
        )
    if not callable(target):
        raise DataError(f"{place}: is {type(target).__name__}, not a function. Name a function or a class.")
    options = model.options
    arguments: tuple[Any, ...] = (dataset,) if _takes_data(target, options) else ()
    hint = _SIZES if arguments and isinstance(target, type) else ""
    named = ("dataset",) if arguments else ()
    made: Any = call(target, name, "model.name", *arguments, options=options, named=named, hint=hint)
    if isinstance(made, type):
        raise DataError(
            f"{place}: must return a torch.nn.Module; got the class {made.__name__}. Call it: return "
            f"{made.__name__}(...)."
        )
    if made is None:
        raise DataError(f"{place}: must return a torch.nn.Module; got None. Does it lack a `return`?")
    if not isinstance(made, nn.Module):
        raise DataError(f"{place}: must return a torch.nn.Module; got {type(made).__name__}.")
    lazy = [key for key, value in (*made.named_parameters(), *made.named_buffers()) if is_lazy(value)]
    if lazy:
        raise DataError(
            f"{place}: `{shown(lazy[0])}` has no shape yet: the model has lazy modules. Let it see an example "
            "before you return it: model(dataset.train_inputs[:2])."
        )
    if not any(parameter.requires_grad for parameter in made.parameters()):
        raise DataError(f"{place}: the model has no parameter that requires a gradient.")
    return made


def _takes_data(target: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """Return whether the data are its first argument; of a class it may be something else, with a default."""
    if not isinstance(target, type):
        return True
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return True
    if not parameters or parameters[0].kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        return False
    first = parameters[0]
    if first.name in options:
        return False
    is_data = first.name in {"data", "dataset"} or "Dataset" in str(first.annotation)
    return is_data or first.default is inspect.Parameter.empty
