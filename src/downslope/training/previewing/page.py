"""``downslope train --preview``: the first examples of a run on one page that needs no network and no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import MissingDependencyError
from downslope.plot.template import policy_of, render_page
from downslope.recipe.schema import Recipe
from downslope.training.data import Dataset
from downslope.training.folder.durable import write_file
from downslope.training.packing.preprocessing import build_preprocessing
from downslope.training.packing.table_cells import TableCells
from downslope.training.previewing.examples import COUNT, Seen, is_image, look_ahead
from downslope.training.run.task import build_augmenter

_COLUMNS = 12
"""So many numbers of an example stand in a table at most."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One example as two pictures, PNGs as data addresses; one where nothing changes it."""

    seen: Seen
    original: str
    changed: str | None


def write_preview(recipe: Recipe, name: str, out: Path) -> str:
    """Write the page, and return in words what is on it.

    Args:
        recipe: The recipe.
        name: What it is called.
        out: The file; replaced if it exists.

    Raises:
        DownslopeError: As in `look_ahead`.
        MissingDependencyError: If jinja2 or Pillow is not installed.
        StorageError: If it cannot be written.
    """
    dataset, seen = look_ahead(recipe)
    drawn, changed = is_image(dataset), build_augmenter(recipe, dataset) is not None
    pictures, note = _draw(dataset, seen, changes=changed) if drawn else ([], "")
    page = render_page(
        "training/previewing/preview.html.j2",
        policy=policy_of(),
        title=recipe.title or name,
        recipe=recipe,
        data=dataset,
        count=len(seen),
        wanted=COUNT,
        changes=_changes(recipe, dataset),
        is_changed=changed,
        pictures=pictures,
        note=note,
        table=None if drawn else _table(dataset, seen),
    )
    write_file(out, page.encode("utf-8", "surrogateescape"))
    what = "examples, each beside its original" if pictures and changed else "examples"
    return f"the first {len(seen)} {what}"


def _changes(recipe: Recipe, dataset: Dataset) -> list[tuple[str, str, str]]:
    """Return what changes examples and targets, in order: the key, its value, and what it does."""
    rows: list[tuple[str, str, str]] = []
    augment = recipe.data.augment
    if recipe.data.sampling is not None:
        shares = "balanced" if isinstance(recipe.data.sampling, str) else "given"
        rows.append(("data.sampling", shares, "examples are drawn by class, with replacement: one may come twice"))
    if augment is not None:
        size = f"{augment.size}x{augment.size}" if augment.size is not None else "the images' own size"
        area = ", ".join(f"{part:g}" for part in augment.resized_crop or ())
        jitter = f"[{1 - augment.jitter:g}, {1 + augment.jitter:g}]"
        either = "; each step draws this or the other" if augment.mixup and augment.cutmix else ""
        told = {
            "crop": f"a window of the image's size, out of the image with {augment.crop} zeros on each side",
            "resized_crop": f"a window of such a part of the area and an aspect from 3/4 to 4/3, brought to {size}",
            "size": "the side of what resized_crop gives; evaluation takes the middle window of it",
            "flip": "left and right exchanged in half of the images",
            "trivial": "one of fourteen changes of random strength (TrivialAugment)",
            "jitter": f"brightness, contrast and saturation, each times a number in {jitter}",
            "erase": "probability that a rectangle is replaced by the image's mean",
            "cutout": "the side of a square, somewhere in each image, that is replaced by the image's mean",
            "mixup": f"two images and their labels mixed, the share drawn from Beta with this parameter{either}",
            "cutmix": "a rectangle of another image, its area drawn from Beta with this parameter; labels by area"
            + either,
            "tta": "changes nothing here: an evaluation averages over each image and its mirror image",
        }
        for name, words in told.items():
            value = getattr(augment, name)
            if value:
                shown = (
                    f"[{area}]"
                    if name == "resized_crop"
                    else "true"
                    if value is True
                    else str(value)
                    if isinstance(value, str)
                    else f"{value:g}"
                )
                rows.append((f"data.augment.{name}", shown, words))
    if recipe.data.normalize is not None:
        rows.append(("data.normalize", *_normalize(recipe, dataset)))
    if recipe.train.label_smoothing:
        share = f"{recipe.train.label_smoothing:g}"
        rows.append(("train.label_smoothing", share, "so much of each target is spread over all classes alike"))
    return rows


def _normalize(recipe: Recipe, dataset: Dataset) -> tuple[str, str]:
    from downslope.training.augmenting.augment import measure_channels

    given = recipe.data.normalize
    if isinstance(given, str):
        mean, deviation = (values.tolist() for values in measure_channels(dataset))
    else:
        mean, deviation = ((given or {})[key] for key in ("mean", "deviation"))
    numbers = [", ".join(f"{value:.4g}" for value in values) for values in (mean, deviation)]
    told = f"by channel, the mean subtracted: {numbers[0]}; divided by the deviation: {numbers[1]}"
    return "measured" if isinstance(given, str) else "given", f"{told}; the model's first act, after what is drawn here"


# Pictures


def _draw(dataset: Dataset, seen: Sequence[Seen], *, changes: bool) -> tuple[list[Pictures], str]:
    """Return the examples as pictures, and a sentence on how numbers became colours."""
    originals = [_pixels(dataset, one.original) for one in seen]
    changed = [_pixels(dataset, one.changed) for one in seen] if changes else []
    low, high = 0.0, 255.0
    note = ""
    if originals and originals[0].dtype != torch.uint8:
        every = [*originals, *changed]
        low, high = min(float(one.min()) for one in every), max(float(one.max()) for one in every)
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        note = f"Black is {low:.4g}, and white {high:.4g}."
    if originals and originals[0].shape[0] == 4:
        note = f"{note} Of four channels the first three are drawn.".strip()
    return [
        Pictures(
            seen=one,
            original=_png(originals[place], low, high),
            changed=_png(changed[place], low, high) if changes else None,
        )
        for place, one in enumerate(seen)
    ], note


def _pixels(dataset: Dataset, example: Tensor) -> Tensor:
    """Return an example before it was scaled: (channels, height, width), of 8 bits where it came from pixels."""
    raw = build_preprocessing(dataset).invert(example[None])[0][0]
    return raw.reshape(1, *dataset.image_shape) if raw.ndim == 1 and dataset.image_shape is not None else raw


def _png(pixels: Tensor, low: float, high: float) -> str:
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependencyError('a preview needs Pillow. Run: pip install "downslope[plot]"') from None
    if pixels.dtype != torch.uint8:
        pixels = ((pixels.double() - low) / ((high - low) or 1) * 255).round().clamp(0, 255).to(torch.uint8)
    array = pixels[:3].permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


# What is no image


def _table(dataset: Dataset, seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the examples as the rows of a table: headers, cells, and how many numbers are left out."""
    if dataset.sequences is not None:
        symbols = dataset.sequences.inputs
        rows = [[symbols.text(one.changed.tolist())] for one in seen]
        return {"headers": ["input"], "rows": rows, "seen": seen, "left_out": 0, "numbers": False}
    flat = [one.changed.flatten() for one in seen]
    total = len(flat[0]) if flat else 0
    headers = _names(dataset)[:_COLUMNS] or [str(place) for place in range(min(total, _COLUMNS))]
    rows = [[f"{value:.5g}" for value in one[:_COLUMNS].tolist()] for one in flat]
    return {"headers": headers, "rows": rows, "seen": seen, "left_out": max(0, total - _COLUMNS), "numbers": True}


def _names(dataset: Dataset) -> list[str]:
    """Return what the inputs of a table are called, a word's by its column and itself; of other data nothing."""
    if not isinstance(build_preprocessing(dataset), TableCells) or dataset.reader is None:
        return []
    kept = dataset.reader.kept()
    return [
        called
        for name in kept.features
        for called in ([f"{name} = {word}" for word in kept.words[name]] if name in kept.words else [name])
    ]
