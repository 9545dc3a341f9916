"""Parts of a model that are not learned: by `train.freeze` they get no gradient, no decay and no velocity.

A normalisation layer all of whose parameters are frozen is in evaluation mode while the rest is trained: it uses its
running statistics and leaves them alone, as Keras's frozen layers and torchvision's FrozenBatchNorm2d do. Dropout goes
on.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from downslope.core.errors import DataError
from downslope.core.groups import chosen_by
from downslope.torch.parameters import norm_parameter_names


def freeze(model: nn.Module, patterns: Sequence[str]) -> frozenset[str]:
    """Freeze the parameters that patterns match, and return their names.

    Raises:
        GroupError: If a pattern matches nothing.
        DataError: If nothing is left to learn.
    """
    if not patterns:
        return frozenset()
    named = dict(model.named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in named.items()}
    frozen = frozenset(chosen_by(patterns, shapes, norm_parameter_names(model), "train.freeze"))
    for name in frozen:
        named[name].requires_grad = False
    if not any(parameter.requires_grad for parameter in named.values()):
        raise DataError(f"train.freeze = {list(patterns)!r}: leaves no parameter to learn. Leave one out.")
    for path, layer in model.named_modules():
        if getattr(layer, "running_mean", None) is None:
            continue
        names = [name for name, _ in layer.named_parameters(recurse=False)] or [
            "running_mean"
        ]  # one that learns nothing
        own = [f"{path}.{name}" if path else name for name in names]
        if all(name in frozen or any(fnmatchcase(name, pattern) for pattern in patterns) for name in own):
            layer.eval()
    return frozen
