"""A Keras model's layers as its files show them: names of variables, and which velocity is whose.

What lives here: naming, and the order of trainable variables, told from the configuration where there is one, and else
only where shapes leave no choice. What does not: HDF5 (`keras_files.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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

_MOST_ORDERS = 20_000
"""Orders of layers that are looked at."""
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
    order = _only_order([tuple(kind) for kind in by_kind.values()], shapes)
    if order is None:
        return [f"momentum/{place}" for place in range(len(shapes))]
    return [name for layer in order for name in layer.trainable]


def _only_order(queues: list[tuple[Layer, ...]], shapes: list[Shape]) -> list[Layer] | None:
    """Return the one way to take layers from the heads of queues so that their shapes are those given.

    None if there is no way, are several, or so many orders are thinkable that they cannot all be looked at. What is
    left to do depends only on how many layers were taken of each queue: each such state is visited once.
    """
    start = (0,) * len(queues)
    offsets = [_offsets(queue) for queue in queues]
    ends = tuple(len(queue) for queue in queues)
    ways: dict[tuple[int, ...], tuple[int, list[Layer]]] = {}  # how many ways lead on, at most 2, and the first step
    stack = [start]
    while stack:
        taken = stack[-1]
        if taken in ways:
            stack.pop()
            continue
        done = sum(offset[count] for offset, count in zip(offsets, taken, strict=True))
        if taken == ends:
            ways[taken] = (int(done == len(shapes)), [])
            continue
        onward = list(_onward(queues, taken, shapes[done:]))
        waiting = [state for _, state in onward if state not in ways]
        if waiting:
            stack += waiting
            if len(ways) + len(stack) > _MOST_ORDERS:
                return None
            continue
        possible = [(head, state) for head, state in onward if ways[state][0]]
        count = min(sum(ways[state][0] for _, state in possible), 2)
        ways[taken] = (count, [head for head, _ in possible[:1]])
    if ways[start][0] != 1:
        return None
    order: list[Layer] = []
    while start != ends:
        head = ways[start][1][0]
        order.append(head)
        place = next(p for p, queue in enumerate(queues) if start[p] < len(queue) and queue[start[p]] is head)
        start = (*start[:place], start[place] + 1, *start[place + 1 :])
    return order


def _onward(
    queues: list[tuple[Layer, ...]], taken: tuple[int, ...], shapes: list[Shape]
) -> Iterator[tuple[Layer, tuple[int, ...]]]:
    """Yield the layers that may come next, and what is then taken."""
    for place, queue in enumerate(queues):
        if taken[place] < len(queue):
            head = queue[taken[place]]
            own = [head.shapes[name] for name in head.trainable]
            if shapes[: len(own)] == own:
                yield head, (*taken[:place], taken[place] + 1, *taken[place + 1 :])


def _offsets(queue: tuple[Layer, ...]) -> list[int]:
    """Return how many variables the first 0, 1, 2, ... layers of a queue have."""
    counts = [0]
    for layer in queue:
        counts.append(counts[-1] + len(layer.trainable))
    return counts
