"""Label smoothing, augmentation, precision and seeds, as papers and notes say them; and where they do not."""

import pytest

from downslope import read

TEXTS = [
    ("We use label smoothing of 0.1.", {"train.label_smoothing": 0.1}),
    ("Label smoothing (ε = 0.1) [49] is applied.", {"train.label_smoothing": 0.1}),
    ("cross entropy with 0.05 label smoothing", {"train.label_smoothing": 0.05}),
    ("The label smoothing factor is set to 0.2 for all models.", {"train.label_smoothing": 0.2}),
    ("标签平滑系数设为0.1，学习率0.1", {"train.label_smoothing": 0.1}),
    ("使用标签平滑（ε=0.1）", {"train.label_smoothing": 0.1}),
    ("We do not use label smoothing of 0.1.", {}),
    ("label smoothing is used", {}),
    ("不使用标签平滑0.1", {}),
    ("Mixup with alpha 0.2 and CutMix with α = 1.0", {"data.augment.mixup": 0.2, "data.augment.cutmix": 1.0}),
    ("mixup=0.8, cutmix=1.0", {"data.augment.mixup": 0.8, "data.augment.cutmix": 1.0}),
    ("mixup 的 alpha 为 0.2", {"data.augment.mixup": 0.2}),
    ("without mixup 0.2", {}),
    ("random erasing with probability 0.25", {"data.augment.erase": 0.25}),
    ("color jitter of 0.4", {"data.augment.jitter": 0.4}),
    ("We pad 4 pixels on each side and take a random 32x32 crop or its horizontal flip.",
     {"data.augment.crop": 4, "data.augment.flip": True}),
    ("random crops with padding of 4 and random horizontal flips", {"data.augment.crop": 4, "data.augment.flip": True}),
    ("随机裁剪前在图像四周填充4个像素后裁剪，并随机水平翻转", {"data.augment.crop": 4, "data.augment.flip": True}),
    ("random resized crops of 224x224", {"data.augment.resized_crop": (0.08, 1.0)}),
    ("TrivialAugment", {"data.augment.trivial": True}),
    ("Training is in bfloat16.", {"train.precision": "bfloat16"}),
    ("automatic mixed precision is used", {"train.precision": "float16"}),
    ("采用混合精度训练", {"train.precision": "float16"}),
    ("fp32 training", {"train.precision": "float32"}),
    ("The random seed is 42.", {"seed": 42}),
    ("随机种子固定为3407", {"seed": 3407}),
    ("seeds 0, 1 and 2", {}),
    ("seed 0, 4 V100 GPUs", {"seed": 0}),
    ("random seed 42, 93.5% accuracy", {"seed": 42}),
    ("averaged over 5 seeds", {}),
    ("The teacher of Smith et al. used label smoothing of 0.1.", {}),
]  # fmt: skip
TABLES = ("data.augment.", "train.label", "train.precision", "seed")


@pytest.mark.parametrize(("text", "expected"), TEXTS, ids=[text for text, _ in TEXTS])
def test_settings(text, expected):
    """What the words say, and nothing else."""
    fields = read(f"SGD with learning rate 0.1. {text}")[0].fields
    assert {path: field.value for path, field in fields.items() if path.startswith(TABLES)} == expected


def test_they_stand_in_the_recipe():
    """The TOML holds them, and is a recipe."""
    text = (
        "SGD with learning rate 0.1 and momentum 0.9 for 20 epochs, label smoothing 0.1, mixup 0.2, random crops with "
        "padding 4, random horizontal flips, seed 7."
    )
    reading = read(text)[0]
    recipe = reading.recipe()
    assert (recipe.seed, recipe.train.label_smoothing) == (7, 0.1)
    assert recipe.data.augment is not None
    assert (recipe.data.augment.crop, recipe.data.augment.flip, recipe.data.augment.mixup) == (4, True, 0.2)
    assert all(line in reading.to_toml() for line in ("seed = 7", "[data.augment]", "label_smoothing = 0.1"))
