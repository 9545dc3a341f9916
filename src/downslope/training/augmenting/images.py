"""Changes of images on batches: windows, flips, colours, erased rectangles. Tensors in, tensors out.

Images are floating-point tensors of shape (examples, channels, height, width), numbers in [0, 1]. `draws` are an
example's own random numbers in [0, 1), float64 of shape (examples, as many as the change takes).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from downslope.training.augmenting.draws import between, whole

_LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (ITU-R BT.601), as Pillow's and torchvision's greys are made."""


def crop_padded(images: Tensor, draws: Tensor, padding: int) -> Tensor:
    """Return windows of the images' own size out of images with zeros around them (Krizhevsky 2012; He et al. 2016).

    Args:
        images: The images.
        draws: Two numbers an example.
        padding: Zeros on each side.
    """
    height, width = images.shape[2:]
    padded = functional.pad(images, (padding,) * 4)
    offsets = whole(draws, 2 * padding + 1).to(images.device, non_blocking=True)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = offsets[:, 1:2] + torch.arange(width, device=images.device)
    at = torch.arange(len(images), device=images.device)
    return padded[at[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def crop_resized(images: Tensor, draws: Tensor, area: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """Return windows of random area and aspect, brought to one size by bilinear interpolation (Szegedy et al. 2015).

    Args:
        images: The images.
        draws: Four numbers an example.
        area: Smallest and largest part of the image that a window covers; its aspect is from 3/4 to 4/3, as likely on
            a logarithmic scale, and a side that is longer than the image's is cut to it.
        size: (height, width) of what is returned.
    """
    height, width = images.shape[2:]
    part = between(draws[:, 0], *area) * height * width
    aspect = between(draws[:, 1], math.log(3 / 4), math.log(4 / 3)).exp()
    wide = (part * aspect).sqrt().clamp(max=width)
    high = (part / aspect).sqrt().clamp(max=height)
    left = draws[:, 2].float() * (width - wide)
    top = draws[:, 3].float() * (height - high)
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = wide / width, high / height
    matrix[:, 0, 2] = (2 * left + wide) / width - 1
    matrix[:, 1, 2] = (2 * top + high) / height - 1
    return warp(images, matrix, size, edge="border")


def warp(images: Tensor, matrix: Tensor, size: tuple[int, int], edge: str = "zeros") -> Tensor:
    """Return images drawn anew through affine maps.

    Args:
        images: The images.
        matrix: From a place in the result to one in the image, both in [-1, 1], float32 of shape (examples, 2, 3).
        size: (height, width) of what is returned.
        edge: What is beyond an image: "zeros", or its "border".
    """
    moved = matrix.to(images)
    grid = functional.affine_grid(moved, [len(images), images.shape[1], *size], align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode=edge, align_corners=False)


def crop_centre(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle window of a size, as evaluation sees it."""
    top, left = ((have - want) // 2 for have, want in zip(images.shape[2:], size, strict=True))
    return images[:, :, top : top + size[0], left : left + size[1]]


def flip(images: Tensor, draws: Tensor) -> Tensor:
    """Return images, those whose draw is below 1/2 with left and right exchanged."""
    return torch.where(_each(draws[:, 0] < 0.5, images), images.flip(-1), images)


def jitter(images: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Return images of other brightness, contrast and, of three channels, saturation.

    Each is multiplied by a number in [1 - strength, 1 + strength], in this order (Krizhevsky et al. 2012; Howard 2013).

    Args:
        images: The images.
        draws: Three numbers an example.
        strength: In [0, 1].
    """
    factors = between(draws, 1 - strength, 1 + strength)
    images = adjust_brightness(images, factors[:, 0])
    images = adjust_contrast(images, factors[:, 1])
    return adjust_saturation(images, factors[:, 2]) if images.shape[1] == 3 else images


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Return images times factors, shape (examples,)."""
    return (images * _each(factors, images)).clamp(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Return images whose distance from their mean grey is multiplied."""
    return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Return images of three channels whose distance from their own grey is multiplied."""
    return _blend(images, _grey(images), factors)


def erase(images: Tensor, draws: Tensor, probability: float) -> Tensor:
    """Return images of which some have a rectangle replaced by the image's mean (Zhong et al. 2020, RE-M).

    The rectangle's area is a part from 0.02 to 0.33 of the image, its aspect from 0.3 to 3.3; a side that is longer
    than the image's is cut to it.

    Args:
        images: The images.
        draws: Five numbers an example.
        probability: Of being erased.
    """
    height, width = images.shape[2:]
    area = between(draws[:, 1], 0.02, 0.33) * height * width
    aspect = between(draws[:, 2], math.log(0.3), math.log(3.3)).exp()
    high = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (draws[:, 3] * (height - high + 1)).floor()
    left = (draws[:, 4] * (width - wide + 1)).floor()
    inside = (
        _within(top, high, height)[:, None, :, None]
        & _within(left, wide, width)[:, None, None, :]
        & (draws[:, 0] < probability)[:, None, None, None]
    )
    return torch.where(inside.to(images.device, non_blocking=True), images.mean((2, 3), keepdim=True), images)


def cut_out(images: Tensor, draws: Tensor, side: int) -> Tensor:
    """Return images in each of which a square is replaced by the image's mean (DeVries & Taylor 2017).

    The square lies within the image, as in Page 2018; theirs has its middle within it.

    Args:
        images: The images.
        draws: Two numbers an example.
        side: Side of the square, at most that of an image.
    """
    height, width = images.shape[2:]
    length = torch.tensor(side)
    top, left = (whole(draws[:, axis], size - side + 1) for axis, size in enumerate((height, width)))
    inside = _within(top, length, height)[:, None, :, None] & _within(left, length, width)[:, None, None, :]
    return torch.where(inside.to(images.device, non_blocking=True), images.mean((2, 3), keepdim=True), images)


def _within(first: Tensor, length: Tensor, size: int) -> Tensor:
    places = torch.arange(size)
    return (places >= first[:, None]) & (places < (first + length)[:, None])


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = torch.tensor(_LUMA, dtype=images.dtype, device=images.device)[:, None, None]
    return (images * weights).sum(1, keepdim=True)


def _blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """Return others + factor * (images - others), in [0, 1]."""
    return (others + _each(factors, images) * (images - others)).clamp(0, 1)


def _each(values: Tensor, images: Tensor) -> Tensor:
    """Return one value an example in a shape that meets images."""
    found = values.reshape(-1, 1, 1, 1).to(images.device, non_blocking=True)
    return found if found.dtype == torch.bool else found.to(images.dtype)
