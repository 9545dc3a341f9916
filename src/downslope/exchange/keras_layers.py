"""A Keras model's layers as its files show them: names of variables, and which velocity is whose.

What lives here: naming, and the order of trainable variables, told from the configuration where there is one, and else
only where shapes leave no choice. What does not: HDF5 (`keras_files.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Shape = tuple[int, ...]

_VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("dense", "conv1d", "conv2d", "conv3d"), ("kernel", "bias")),
        **dict.fromkeys(("conv1d_transpose", "conv2d_transpose", "conv3d_transpose"), ("kernel", "bias")),
        **dict.fromkeys(("depthwise_conv1d", "depthwise_conv2d"), ("kernel", "bias")),
        "embedding": ("embeddings",),
        "layer_normalization": ("gamma", "beta"),
        "group_normalization": ("gamma", "beta"),
        **dict.fromkeys(("lstm", "gru", "simple_rnn"), ("kernel", "recurrent_kernel", "bias")),
    }
)
"""By the group's name without its number, what a layer's variables are called, in order."""

_MOVING = ("moving_mean", "moving_variance")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer.

    Attributes:
        name: Its name in the model.
        kind: Its class in snake case, such as "dense".
        places: By parameter name, "LAYER/kernel", the dataset.
        trainable: Names of the variables that gradients move, in order.
        shapes: Shape of each variable, by name.
    """

    name: str
    kind: str
    places: dict[str, str]
    trainable: tuple[str, ...]
    shapes: dict[str, Shape]

    @classmethod
    def of(cls, name: str, group: str, places: list[str], shapes: list[Shape]) -> Layer:
        """Return the layer of a group of datasets.

        Args:
            name: Its name; in a model within the model, after that one's.
            group: The group's name: its class in snake case, numbered from the second on; in a model within the model,
                after that one's group.
            places: Its datasets below the group, in order: "vars/0", "cell/vars/0", ...
            shapes: Their shapes.
        """
        kind = re.sub(r"_\d+$", "", group.rsplit("/", 1)[-1])
        own = [place for place in places if "seed_generator" not in place]
        words = _VARIABLES.get(kind, ())
        moving: tuple[str, ...] = ()
        if kind == "batch_normalization" and len(own) >= 2:
            kept = ("gamma", "beta")[: len(own) - 2] if len(own) != 3 else ("vars/0",)
            words, moving = (*kept, *_MOVING), _MOVING
        known = len(own) <= len(words)
        names = [f"{name}/{words[place] if known else own[place]}" for place in range(len(own))]
        by_place = (
            dict(zip(own, shapes, strict=False))
            if own == places
            else {place: shape for place, shape in zip(places, shapes, strict=True) if place in own}
        )
        return cls(
            name=name,
            kind=kind,
            places={n: f"layers/{group}/{place}" for n, place in zip(names, own, strict=True)},
            trainable=tuple(n for n in names if n.rsplit("/", 1)[1] not in moving),
            shapes={n: tuple(by_place[place]) for n, place in zip(names, own, strict=True)},
        )


def order_of_config(layers: list[Layer], config: Mapping[str, Any]) -> tuple[list[Layer], bool]:
    """Return the layers in the order of the model, and whether that is certain.

    Args:
        layers: As in the file, whose order is the alphabet's.
        config: The model's configuration, empty if unknown. Layers that it says are frozen are left out.
    """
    by_name = {layer.name: layer for layer in layers}
    names = _trainable_names(config, ())
    if names is None:
        return layers, False
    return [by_name[name] for name in names if name in by_name], True


def _trainable_names(config: Mapping[str, Any], place: tuple[str, ...]) -> list[str] | None:
    """Return the names of the layers that are not frozen, in order, those of inner models too; None if none are listed.

    Args:
        config: Of a model.
        place: Names of the models that it lies within, its own the last; empty for the outermost.
    """
    model = config.get("config")
    listed = model.get("layers") if isinstance(model, Mapping) else None
    if not isinstance(listed, list):
        return None
    names: list[str] = []
    for item in listed:
        own = item.get("config") if isinstance(item, Mapping) else None
        if not isinstance(own, Mapping) or own.get("trainable", True) is False:
            continue
        here = (*place, str(own.get("name")))
        inner = _trainable_names(item, here)
        names += ["/".join(here)] if inner is None else inner
    return names


def name_momentums(layers: list[Layer], shapes: list[Shape], *, certain: bool) -> list[str]:
    """Return which parameter each velocity belongs to, or "momentum/0", "momentum/1", ... where it cannot be told.

    Args:
        layers: The layers.
        shapes: Shapes of the velocities, in the order of the trainable variables.
        certain: Whether the layers are in the model's order. If not, layers of one class are in order among themselves,
            and the answer is given only where shapes allow a single one.
    """
    by_kind: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.trainable:
            by_kind.setdefault("" if certain else layer.kind, []).append(layer)
    answers = _orders(tuple(tuple(kind) for kind in by_kind.values()), tuple(shapes))
    if len(answers) != 1:
        return [f"momentum/{place}" for place in range(len(shapes))]
    return answers[0]


def _orders(queues: tuple[tuple[Layer, ...], ...], shapes: tuple[Shape, ...]) -> list[list[str]]:
    """Return up to two ways to take layers from the heads of queues so that their shapes are those given."""
    if not shapes:
        return [[]] if not any(queues) else []
    found: list[list[str]] = []
    for place, queue in enumerate(queues):
        if not queue:
            continue
        head = queue[0]
        own = tuple(head.shapes[name] for name in head.trainable)
        if shapes[: len(own)] != own:
            continue
        rest = (*queues[:place], queue[1:], *queues[place + 1 :])
        found += [[*head.trainable, *others] for others in _orders(rest, shapes[len(own) :])]
        if len(found) > 1:
            return found[:2]
    return found
