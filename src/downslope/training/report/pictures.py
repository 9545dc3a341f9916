"""Held-out images as small pictures inside the page, with what the model says of them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 24
"""How many pictures a page shows."""

_PLAIN, _SIDE = 48, 96
"""Images of up to so many pixels a side stay as they are; larger ones are shrunk to at most so many, as JPEG."""


@dataclass(frozen=True)
class Picture:
    """One held-out image: a data address, its class, what the model says, with which probability; whether in colour."""

    image: str
    truth: int
    prediction: int
    confidence: float
    colour: bool = False


def pictures_of(pixels: Any, truth: Any, prediction: Any, confidence: Any, order: Any) -> list[Picture]:
    """Return the images at the places in `order` as pictures."""
    low, high = float(pixels.min()), float(pixels.max())
    return [
        Picture(_png(one, low, high), int(truth[i]), int(prediction[i]), float(confidence[i]), one.ndim == 3)
        for i in order
        for one in [pixels[i]]
    ]


def as_pictures(dataset: Any, examples: Any) -> Any:
    """Return images as `summarise` takes them, or None if the inputs are no images."""
    from downslope.training.data.rows import Rows

    if isinstance(examples, Rows):
        colour = len(examples.shape) == 4 and examples.shape[1] == 3 and dataset.name == "images"
        return _FewPictures(dataset, examples) if colour or dataset.image_shape is not None else None
    inputs = examples.numpy()
    if inputs.ndim == 4 and inputs.shape[1] == 3 and dataset.name == "images":
        return inputs.transpose(0, 2, 3, 1)
    if dataset.image_shape is None:
        return None
    height, width = dataset.image_shape
    drawn = inputs.reshape(len(inputs), height, width)
    return drawn if inputs.ndim == 2 else drawn.max() - drawn  # a photograph's light is high, where ink is


class _FewPictures:
    """What `summarise` asks of images, of examples that are read when needed: those that it shows alone."""

    def __init__(self, dataset: Any, rows: Any) -> None:
        self._dataset, self._rows = dataset, rows
        self._low, self._high = dataset.range_of_inputs()
        self._is_drawn = rows.shape[1] != 3 and len(rows.shape) > 2

    def min(self) -> float:
        return 0.0 if self._is_drawn else self._low

    def max(self) -> float:
        return self._high - self._low if self._is_drawn else self._high

    def __getitem__(self, place: Any) -> Any:
        pixels = self._rows[int(place)].numpy()
        if pixels.ndim == 3 and len(pixels) == 3:
            return pixels.transpose(1, 2, 0)
        pixels = pixels.reshape(self._dataset.image_shape)
        return self._high - pixels if self._is_drawn else pixels


def _png(pixels: Any, low: float, high: float) -> str:
    import matplotlib.image

    buffer = io.BytesIO()
    photograph = max(pixels.shape[:2]) > _PLAIN
    if photograph:
        pixels = _shrunk(pixels)
    if pixels.ndim == 3:
        pixels = np.clip((pixels - low) / (high - low or 1), 0, 1)
    quiet: dict[str, Any] = {"metadata": {"Software": None}}  # which would name the version of matplotlib
    if photograph:
        quiet = {"pil_kwargs": {"quality": 85}}
    kind = "jpeg" if photograph else "png"
    matplotlib.image.imsave(buffer, pixels, format=kind, cmap="gray_r", vmin=low, vmax=high, **quiet)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def _shrunk(pixels: Any) -> Any:
    """Return an image by means over squares, as many as leave no side above `_SIDE`."""
    by = -(-max(pixels.shape[:2]) // _SIDE)
    height, width = (max(side // by, 1) for side in pixels.shape[:2])
    cut = pixels[: height * by, : width * by]
    if min(pixels.shape[:2]) < by:
        return cut[::by, ::by]
    return cut.reshape(height, by, width, by, *pixels.shape[2:]).mean((1, 3))
