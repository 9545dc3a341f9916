"""What calls say of data and training beside the optimizer: smoothing, averages, precision, how images are changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from downslope.reading.arithmetic import is_number
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.values import Made, Ref, Value, numbers, words_of

_LOSSES = (
    "CrossEntropyLoss cross_entropy CategoricalCrossentropy SparseCategoricalCrossentropy categorical_crossentropy"
)
_SMOOTHED = "LabelSmoothingCrossEntropy LabelSmoothing LabelSmoothingLoss LabelSmoothLoss CrossEntropyLabelSmooth"
_AVERAGES = "ModelEma ModelEmaV2 ModelEmaV3 ModelEMA ExponentialMovingAverage EMA EMAModel"
_CALLS = (
    ("train.label_smoothing", "label_smoothing label_smoothing_factor", -1, f"{_LOSSES} softmax_cross_entropy"),
    ("train.label_smoothing", "label_smoothing_factor", -1, "TrainingArguments Seq2SeqTrainingArguments"),
    ("train.label_smoothing", "smoothing label_smoothing epsilon eps smooth_factor", 0, _SMOOTHED),
    ("train.label_smoothing", "alpha", 1, "smooth_labels"),
    ("train.ema", "decay", 0, "get_ema_multi_avg_fn get_ema_avg_fn ExponentialMovingAverage EMA"),
    ("train.ema", "decay ema_decay beta", 1, _AVERAGES),
    ("train.accumulate", "gradient_accumulation_steps", -1, "TrainingArguments Seq2SeqTrainingArguments Accelerator"),
    ("train.accumulate", "accumulate_grad_batches", -1, "Trainer"),
    ("data.augment.crop", "padding", 1, "RandomCrop"),
    ("data.augment.resized_crop", "scale", 1, "RandomResizedCrop"),
    ("data.augment.size", "size", 0, "RandomResizedCrop"),
    ("data.augment.flip", "p", 0, "RandomHorizontalFlip"),
    ("data.augment.erase", "p", 0, "RandomErasing"),
    ("data.augment.mixup", "mixup_alpha", 0, "Mixup"),
    ("data.augment.cutmix", "cutmix_alpha", 1, "Mixup"),
    ("data.augment.mixup", "alpha", -1, "MixUp RandomMixup RandomMixUp"),
    ("data.augment.cutmix", "alpha", -1, "CutMix RandomCutmix RandomCutMix"),
    ("data.normalize.mean", "mean", 0, "Normalize"),
    ("data.normalize.deviation", "std", 1, "Normalize"),
)
"""Our field, the keywords for it, its place among the arguments (-1 for none), the calls that say it."""

_ALWAYS: dict[str, tuple[str, Any]] = {
    "RandomResizedCrop": ("data.augment.resized_crop", [0.08, 1.0]),
    "RandomHorizontalFlip": ("data.augment.flip", True),
    "random_flip_left_right": ("data.augment.flip", True),
    "TrivialAugmentWide": ("data.augment.trivial", True),
}
"""What a call says by itself."""

_HALF = words_of("fp16 float16 O1 O2 mixed_float16 16-mixed 16 16-true half")
_BRAIN = words_of("bf16 bfloat16 mixed_bfloat16 bf16-mixed bf16-true")


def find_others(on: Interpreter, doubt: int) -> Iterator[tuple[str, Value]]:
    """Yield (path, value) of what the program's calls say; none of those under more conditions than `doubt`."""
    for made in on.made:
        if made.doubt > doubt:
            continue
        for path, keywords, place, names in _CALLS:
            if made.name in names.split() and (value := _argument(made, keywords.split(), place)) is not None:
                yield path, value
        if made.name in _ALWAYS and not (made.name == "RandomHorizontalFlip" and (made.args or made.kwargs)):
            path, data = _ALWAYS[made.name]
            yield path, Value([Value(one) for one in data] if isinstance(data, list) else data, made.start, made.end)
        elif made.name == "ColorJitter":
            given = [made.argument(name, at) for at, name in enumerate(("brightness", "contrast", "saturation", "hue"))]
            rates = [one.data if one is not None else 0 for one in given]
            if rates[0] and rates[0] == rates[1] == rates[2] and not rates[3]:
                yield "data.augment.jitter", Value(rates[0], made.start, made.end)
        precision = _precision(made)
        if precision:
            yield "train.precision", Value(precision, made.start, made.end)


def _argument(made: Made, keywords: list[str], place: int) -> Value | None:
    """Return an argument that a field can hold."""
    given = next((made.kwargs[name] for name in keywords if name in made.kwargs), None) or made.argument("", place)
    if given is None:
        return None
    if made.name == "RandomHorizontalFlip":
        return Value(True, made.start, made.end) if given.data == 0.5 else None
    if made.name == "RandomCrop" and (sides := numbers(given)) is not None:
        return given.data[0] if len(set(sides)) == 1 else None
    if isinstance(given.data, list | tuple):
        return given if numbers(given) is not None else None
    return given if is_number(given.data) and (given.data or made.name == "Normalize") else None


def _precision(made: Made) -> str:
    """Return the format that a call makes forward passes compute in, or ""."""
    on = made.kwargs.get("enabled")
    if on is not None and on.data is not True:
        return ""
    if made.name == "GradScaler":
        return "float16"
    keys = ("dtype", "mixed_precision", "precision", "opt_level")
    data = [value.data for value in [*(made.kwargs.get(key) for key in keys), *made.args[:2]] if value is not None]
    told = {one.path.rpartition(".")[2] if isinstance(one, Ref) else str(one) for one in data}
    if made.name == "autocast":
        return "bfloat16" if _BRAIN & told else "float16"
    if made.name.endswith("TrainingArguments"):
        told = {key for key in ("fp16", "bf16") if key in made.kwargs and made.kwargs[key].data is True}
    elif made.name not in _CHOOSING:
        return ""
    return "float16" if _HALF & told else "bfloat16" if _BRAIN & told else ""


_CHOOSING = words_of("Trainer Accelerator Fabric set_global_policy set_policy initialize Policy")
"""Calls that are told by a word in which format to compute."""
