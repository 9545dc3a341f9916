"""TrivialAugment: to each image one change, drawn from fourteen, of a strength drawn from 31.

References:
    S. G. Müller, F. Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", ICCV 2021: the wide
    space, table 1. Changes of colour are Pillow's, on numbers in [0, 1] cut to 256 levels where Pillow's are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from downslope.training.augmenting.draws import whole
from downslope.training.augmenting.images import adjust_brightness, adjust_contrast, adjust_saturation, warp

STRENGTHS = 31
MOVES = ("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLOURS = (
    *("brightness", "saturation", "contrast", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize"),
)
_LEVELS = 255


def augment_trivially(images: Tensor, draws: Tensor) -> Tensor:
    """Return images, each changed in one way.

    Args:
        images: Shape (examples, channels, height, width), numbers in [0, 1].
        draws: Three numbers an example: which change, how strong, which sign.
    """
    kinds = whole(draws[:, 0], len(MOVES) + len(COLOURS))
    strengths = whole(draws[:, 1], STRENGTHS).float() / (STRENGTHS - 1)
    signs = torch.where(draws[:, 2] < 0.5, -1.0, 1.0)
    result = images.clone()
    for kind, name in enumerate((*MOVES, *COLOURS)):
        chosen = (kinds == kind).nonzero().flatten()
        if kind and len(chosen):
            strong, sign = strengths[chosen], signs[chosen]
            at = chosen.to(images.device, non_blocking=True)
            picked = images[at]
            result[at] = move(picked, name, strong * sign) if name in MOVES else recolour(picked, name, strong, sign)
    return result


def move(images: Tensor, name: str, strengths: Tensor) -> Tensor:
    """Return images sheared by up to 0.99, moved by up to 32 places or turned by up to 135 degrees about their middle.

    Args:
        images: The images.
        name: One of `MOVES` but the first.
        strengths: In [-1, 1], shape (examples,).
    """
    height, width = images.shape[2:]
    matrix = torch.eye(2, 3).repeat(len(images), 1, 1)
    if name == "shear_x":
        matrix[:, 0, 1] = 0.99 * strengths * height / width
    elif name == "shear_y":
        matrix[:, 1, 0] = 0.99 * strengths * width / height
    elif name == "translate_x":
        matrix[:, 0, 2] = 2 * 32 * strengths / width
    elif name == "translate_y":
        matrix[:, 1, 2] = 2 * 32 * strengths / height
    else:
        angle = math.radians(135) * strengths
        matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
        matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin() * height / width, angle.sin() * width / height
    return warp(images, matrix, (height, width))


def recolour(images: Tensor, name: str, strengths: Tensor, signs: Tensor) -> Tensor:
    """Return images of other colours.

    Args:
        images: The images.
        name: One of `COLOURS`; "saturation" leaves images alone that have not three channels.
        strengths: In [0, 1], shape (examples,).
        signs: -1 or 1: less or more, for the first four.
    """
    if name in _BY_FACTOR:
        alone = name == "saturation" and images.shape[1] != 3
        return images if alone else _BY_FACTOR[name](images, 1 + 0.99 * strengths * signs)
    if name == "posterize":
        return posterize(images, 8 - (6 * strengths).round())
    if name == "solarize":
        limits = (1 - strengths).reshape(-1, 1, 1, 1).to(images)
        return torch.where(images >= limits, 1 - images, images)
    return autocontrast(images) if name == "autocontrast" else equalize(images)


def sharpen(images: Tensor, factors: Tensor) -> Tensor:
    """Return images whose distance from a smoothed copy is multiplied; the outermost places stay, as Pillow's do."""
    kernel = torch.tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=images.dtype, device=images.device) / 13
    channels = images.shape[1]
    if min(images.shape[2:]) < 3:
        return images
    inner = functional.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = inner
    return (smooth + factors.reshape(-1, 1, 1, 1).to(images) * (images - smooth)).clamp(0, 1)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Return images of as many bits a channel, of their 8; `bits` has shape (examples,)."""
    step = (2.0 ** (8 - bits)).reshape(-1, 1, 1, 1).to(images)
    return ((images * _LEVELS).round() / step).floor() * step / _LEVELS


def autocontrast(images: Tensor) -> Tensor:
    """Return images whose channels each go from 0 to 1; a channel of one number stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-12), images)


def equalize(images: Tensor) -> Tensor:
    """Return images whose channels have all levels about as often, as Pillow's `ImageOps.equalize` makes them."""
    levels = (images * _LEVELS).round().long().clamp(0, _LEVELS).flatten(2)
    counts = torch.zeros(*levels.shape[:2], _LEVELS + 1, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    last = torch.where(counts > 0, torch.arange(_LEVELS + 1, device=images.device), -1).amax(2, keepdim=True)
    step = (counts.sum(2, keepdim=True) - counts.gather(2, last)) // _LEVELS
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=_LEVELS)
    found = table.gather(2, levels).to(images.dtype).div(_LEVELS)
    return torch.where(step > 0, found, images.flatten(2)).reshape(images.shape)


_BY_FACTOR = {
    "brightness": adjust_brightness,
    "saturation": adjust_saturation,
    "contrast": adjust_contrast,
    "sharpness": sharpen,
}
