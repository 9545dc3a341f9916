"""Convolutional networks that papers train, by name: options of the one network of `convnet`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def _small(blocks: int) -> dict[str, Any]:
    """Return the options of He et al.'s network of 6 * blocks + 2 layers for images of 32x32."""
    return {"blocks": blocks, "shortcut": "padded", "initial": "he"}


def _large(block: str, blocks: list[int], **more: Any) -> dict[str, Any]:
    """Return the options of one of He et al.'s networks for images of 224x224."""
    channels = [64, 128, 256, 512]
    return {"channels": channels, "blocks": blocks, "block": block, "first": "large", "initial": "he", **more}


PAPERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "resnet20": _small(3),
        "resnet32": _small(5),
        "resnet56": _small(9),
        "resnet110": _small(18),
        "wrn-28-10": {
            "channels": [160, 320, 640],
            "blocks": 4,
            "block": "preactivation",
            "first_channels": 16,
            "initial": "he",
        },
        "resnet18": _large("basic", [2, 2, 2, 2]),
        "resnet50": _large("bottleneck", [3, 4, 6, 3]),
        "resnet50-v1": _large("bottleneck", [3, 4, 6, 3], stride_at="first"),
        "vgg16-bn": {
            "channels": [64, 128, 256, 512, 512],
            "blocks": [2, 2, 3, 3, 3],
            "block": "plain",
            "first": "none",
            "halve": "pool",
            "bias": True,
            "dense": [4096, 4096],
            "dropout": 0.5,
            "places": 7,
            "initial": "he",
        },
    }
)
"""A paper's network -> its options, over which `model.options` are laid."""
