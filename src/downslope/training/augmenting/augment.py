"""A recipe's `data.augment` applied to the examples of a leaf, and its `data.normalize` to a model."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.recipe.schema import Augment, Data
from downslope.training.augmenting.draws import uniforms
from downslope.training.augmenting.images import crop_centre, crop_padded, crop_resized, cut_out, erase, flip, jitter
from downslope.training.augmenting.trivial import augment_trivially
from downslope.training.data import Dataset
from downslope.training.data.rows import batches_of, rows_at_once
from downslope.training.run.batches import Leaf
from downslope.training.run.objective import Mixed
from downslope.training.run.randomness import derive_seed, permutation

_CROP, _RESIZED, _FLIP, _TRIVIAL, _JITTER, _ERASE, _CUTOUT = (
    *(slice(0, 2), slice(2, 6), slice(6, 7)),
    *(slice(7, 10), slice(10, 13), slice(13, 18), slice(18, 20)),
)
"""Which of an example's random numbers each change takes; no two share one, so that one more moves no other."""


class Augmenter:
    """Changes the examples of a leaf before a step learns from them.

    Args:
        augment: What to do.
        dataset: The data, which must be images.
        loss: The recipe's `train.loss`.
        seed: The recipe's seed.

    Raises:
        DataError: If the data are no images, if their targets have places, or if they are not of the kind that a change
            needs.
    """

    def __init__(self, augment: Augment, dataset: Dataset, loss: str, seed: int) -> None:
        """Check that the data can be changed so."""
        self._augment, self._seed = augment, seed
        shape = tuple(dataset.train_inputs.shape[1:])
        flat = len(shape) == 1
        self._form = _image_form(dataset, "data.augment")
        _, height, width = cast("tuple[int, int, int]", self._form)
        self._size = (augment.size, augment.size) if augment.size is not None else (height, width)
        if augment.size is not None and (flat or augment.size > min(height, width)):
            raise DataError(
                f"data.augment.size = {augment.size}: must be at most the side of an image, and images must not be "
                f"laid out flat; an example has shape {shape}."
            )
        if augment.cutout > min(self._size):
            raise DataError(
                f"data.augment.cutout = {augment.cutout}: must be at most the side of an image, here {min(self._size)}."
            )
        if augment.trivial or augment.jitter:
            low, high = dataset.range_of_inputs()
            if low < 0 or high > 1:
                name = "trivial" if augment.trivial else "jitter"
                raise DataError(
                    f"data.augment.{name}: changes colours of images whose numbers are in [0, 1]; these go from "
                    f'{low:.6g} to {high:.6g}. Scale them, or use data.normalize = "measured", which comes after it, '
                    "instead of a scaling of the data."
                )
        if (augment.mixup or augment.cutmix) and (
            loss != "cross_entropy" or dataset.class_weights is not None or dataset.classes is None
        ):
            raise DataError(
                'data.augment.mixup and cutmix mix classes: they need train.loss = "cross_entropy" without class '
                "weights. Leave them out."
            )

    def __call__(self, leaf: Leaf, inputs: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor | Mixed]:
        """Return a leaf's examples as a step learns from them."""
        images = self.change(inputs, leaf.examples if leaf.draws is None else leaf.draws, leaf.epoch)
        if not (self._augment.mixup or self._augment.cutmix):
            return images, targets
        return self._mix(images, targets, step, leaf.index)

    def change(self, inputs: Tensor, examples: Tensor, epoch: int) -> Tensor:
        """Return images, each changed by itself.

        Args:
            inputs: Shape (examples, ...), on any device.
            examples: Their indices, or those of the draws that took them, int64, on the host.
            epoch: The epoch.
        """
        augment, draws = self._augment, uniforms(self._seed, epoch, examples)
        images = inputs.reshape(-1, *self._form)
        if augment.crop:
            images = crop_padded(images, draws[:, _CROP], augment.crop)
        if augment.resized_crop is not None:
            images = crop_resized(images, draws[:, _RESIZED], (*augment.resized_crop,), self._size)  # pyright: ignore[reportArgumentType]
        if augment.flip:
            images = flip(images, draws[:, _FLIP])
        if augment.trivial:
            images = augment_trivially(images, draws[:, _TRIVIAL])
        if augment.jitter:
            images = jitter(images, draws[:, _JITTER], augment.jitter)
        if augment.erase:
            images = erase(images, draws[:, _ERASE], augment.erase)
        if augment.cutout:
            images = cut_out(images, draws[:, _CUTOUT], augment.cutout)
        return images if inputs.ndim == 4 else images.reshape(inputs.shape)

    def _mix(self, images: Tensor, targets: Tensor, step: int, place: int) -> tuple[Tensor, Mixed]:
        augment = self._augment
        stream = np.random.Philox(key=derive_seed(self._seed, "mix", step, place))
        partners = torch.from_numpy(permutation(self._seed, f"partners of step {step}, leaf {place}", len(images)))
        partners = partners.to(images.device, non_blocking=True)
        both = augment.mixup > 0 and augment.cutmix > 0
        if augment.cutmix and (not both or _uniform(stream) < 0.5):
            mixed = (images if images.ndim == 4 else images.reshape(-1, *self._form)).clone()
            share, (rows, columns) = _draw_box(stream, augment.cutmix, mixed.shape[2], mixed.shape[3])
            mixed[:, :, rows, columns] = mixed[partners][:, :, rows, columns]
            return mixed.reshape(images.shape), Mixed(targets, targets[partners], share)
        share = draw_beta(stream, augment.mixup)
        return share * images + (1 - share) * images[partners], Mixed(targets, targets[partners], share)


def _uniform(stream: np.random.Philox) -> float:
    """Return the next number in (0, 1) of a stream whose raw numbers NumPy promises to keep."""
    return (int(stream.random_raw()) >> 11) * 2.0**-53 + 2.0**-54


def draw_beta(stream: np.random.Philox, alpha: float) -> float:
    """Return a number drawn from Beta(alpha, alpha), by Jöhnk's method in logarithms.

    References:
        M. D. Jöhnk, "Erzeugung von betaverteilten und gammaverteilten Zufallszahlen", Metrika 1964.
    """
    while True:
        first, second = (math.log(_uniform(stream)) / alpha for _ in range(2))
        top = max(first, second)
        total = top + math.log(math.exp(first - top) + math.exp(second - top))
        if total <= 0:
            return math.exp(first - total)


def _draw_box(stream: np.random.Philox, alpha: float, height: int, width: int) -> tuple[float, tuple[slice, slice]]:
    """Return what is left of an image's area outside a box, and the box's rows and columns."""
    side = math.sqrt(1 - draw_beta(stream, alpha))
    middle = _uniform(stream) * height, _uniform(stream) * width
    spans = [
        (max(round(at - side * size / 2), 0), min(round(at + side * size / 2), size))
        for at, size in zip(middle, (height, width), strict=True)
    ]
    inside = math.prod(end - begin for begin, end in spans)
    return 1 - inside / (height * width), (slice(*spans[0]), slice(*spans[1]))


# What a model does first

NORMALIZE = _MEAN, _DEVIATION = "input_mean", "input_deviation"
"""Buffers of a model that shifts and scales its inputs."""


def prepare_model(model: nn.Module, data: Data, dataset: Dataset, *, begun: bool = False) -> nn.Module:
    """Let a model begin with what the recipe says of all images, in training and after it.

    Of images larger than `data.augment.size` it takes the middle window. With `data.normalize` it subtracts the mean
    and divides by the deviation of each channel; both are buffers of its, so that they are saved with its weights.
    Where training has `begun`, a checkpoint brings what was measured. With `data.augment.tta`, it sees mirror images
    too, in evaluation mode.

    Raises:
        DataError: If the data are no images, or have another number of channels.
    """
    size = None if data.augment is None else data.augment.size
    if data.augment is not None and data.augment.tta is not None:
        average_over_flips(model, dataset)
    if data.normalize is not None:
        _register_normal(model, data, dataset, begun=begun)
    if data.normalize is None and size is None:
        return model

    def begin(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        images, *rest = inputs
        if size is not None:  # in a step they have it; whole ones come in evaluation, and where sharpness is measured
            images = crop_centre(images, (size, size))
        if data.normalize is not None:
            images = (images - module.get_buffer(_MEAN)) / module.get_buffer(_DEVIATION)
        return (images, *rest)

    model.register_forward_pre_hook(begin)
    return model


def average_over_flips(model: nn.Module, dataset: Dataset) -> None:
    """Let a model in evaluation mode return the mean of its outputs for images and for their mirror images.

    Raises:
        DataError: If the data are no images.
    """
    form = _image_form(dataset, "data.augment.tta")

    def average(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> Any:
        if module.training:
            return None
        images, *rest = inputs  # as the model gets them: cropped and scaled
        mirrored = images.flip(-1) if images.ndim == 4 else images.reshape(-1, *form).flip(-1).reshape(images.shape)
        others = module.forward(mirrored, *rest)
        if not isinstance(outputs, Tensor) or not isinstance(others, Tensor):
            raise DataError(
                f'data.augment.tta = "flip" averages outputs that are a tensor; the model returned '
                f"{type(outputs).__name__}. Leave it out."
            )
        return (outputs + others) / 2

    model.register_forward_hook(average)


def _image_form(dataset: Dataset, key: str) -> tuple[int, ...]:
    """Return (channels, height, width) of an example, which may be laid out flat.

    Raises:
        DataError: If it is no image.
    """
    shape = tuple(dataset.train_inputs.shape[1:])
    flat = len(shape) == 1 and dataset.image_shape is not None
    if not dataset.train_inputs.dtype.is_floating_point or not (len(shape) == 3 or flat):
        raise DataError(
            f"{key}: changes images, (channels, height, width); an example of data.name = {dataset.name!r} has shape "
            f"{shape}. Leave it out."
        )
    if dataset.train_targets.ndim > 2:
        raise DataError(
            f"{key}: changes images alone; a target of data.name = {dataset.name!r} has shape "
            f"{tuple(dataset.train_targets.shape[1:])}, places of the image that would have to move with it. Leave it "
            "out, and change both in a Dataset of your own."
        )
    return (1, *dataset.image_shape) if flat and dataset.image_shape is not None else shape


def _register_normal(model: nn.Module, data: Data, dataset: Dataset, *, begun: bool) -> None:
    form = tuple(dataset.train_inputs.shape[1:])
    dtype = dataset.train_inputs.dtype
    if not dtype.is_floating_point:
        raise DataError(f"data.normalize: scales numbers; the inputs of data.name = {dataset.name!r} are {dtype}.")
    channels = form[0] if len(form) == 3 else 1
    if isinstance(data.normalize, str) and begun:
        mean, deviation = torch.zeros(channels), torch.ones(channels)
    elif isinstance(data.normalize, str):
        mean, deviation = measure_channels(dataset)
    else:
        given = data.normalize or {}
        mean, deviation = (torch.tensor(given[key], dtype=torch.float64) for key in ("mean", "deviation"))
        if len(mean) not in {1, channels}:
            raise DataError(f"data.normalize: has {len(mean)} means; an example has {channels} channel(s).")
    shape = (-1, 1, 1) if len(form) == 3 else (-1,)
    for name, values in ((_MEAN, mean), (_DEVIATION, deviation)):
        if hasattr(model, name):
            raise DataError(f"data.normalize: the model has a `{name}` of its own. Rename it, or leave this out.")
        model.register_buffer(name, values.reshape(shape).to(dtype))


def measure_channels(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return the mean and deviation of each channel over the images to learn from, float64; in two passes.

    A channel that is the same everywhere has deviation 1.
    """
    form = tuple(dataset.train_inputs.shape[1:])
    channels = form[0] if len(form) == 3 else 1
    inputs = dataset.train_inputs
    numbers = len(inputs) * math.prod(form) // channels

    def total(of: Any) -> Tensor:
        sums = torch.zeros(channels, dtype=torch.float64)
        for batch in batches_of(inputs, range(math.ceil(len(inputs) / rows_at_once(inputs)))):
            sums += of(batch.double().reshape(len(batch), channels, -1)).sum((0, 2))
        return sums

    mean = total(lambda images: images) / numbers
    variance = total(lambda images: (images - mean[:, None]).square()) / numbers
    deviation = variance.sqrt()
    return mean, torch.where(deviation > 0, deviation, 1.0)
