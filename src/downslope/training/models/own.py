"""A person's own model, by import path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from downslope.core.errors import DataError
from downslope.training.imports import call_function

if TYPE_CHECKING:
    from downslope.recipes.schema import Recipe
    from downslope.training.data import Dataset


def build(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """Return what the function that `model.name` names returns, called with the data and `model.options`.

    Raises:
        DataError: If it cannot be called, raises, or returns anything but a module with parameters that can learn.
    """
    name = recipe.model.name
    model: Any = call_function(name, "model.name", dataset, options=recipe.model.options)
    if not isinstance(model, nn.Module):
        raise DataError(f"model.name = {name!r}: must return a torch.nn.Module; got {type(model).__name__}.")
    lazy = [key for key, value in (*model.named_parameters(), *model.named_buffers()) if is_lazy(value)]
    if lazy:
        raise DataError(
            f"model.name = {name!r}: `{lazy[0]}` has no shape yet: the model has lazy modules. Let it see an example "
            "before you return it: model(dataset.train_inputs[:2])."
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise DataError(f"model.name = {name!r}: the model has no parameter that requires a gradient.")
    return model
