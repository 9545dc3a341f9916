"""Configurations that say a setting in words, in tables of several columns, by arithmetic, or cut and remarked on."""

import pytest

from downslope import read
from reading.neighbours import differences, meant

ROWS = [
    # a value that is a phrase
    ("optimizer: SGD with momentum 0.8\nlr: 0.2\nscheduler: multi-step, x0.3 at 40 and 70 epochs\nepochs: 80",
     "schedule=multistep initial=0.2 factor=0.3 milestones=[40,70] unit=epoch momentum=0.8 epochs=80"),
    ('{"lr": 0.2, "scheduler": "iteration-wise polynomial, power=0.7", "momentum": 0.8}',
     "schedule=polynomial initial=0.2 power=0.7 momentum=0.8"),
    ("cfg = dict(lr=0.2, lr_schedule='divided by 5 every 20 epochs', epochs=60)",
     "schedule=exponential initial=0.2 rate=0.2 every=20 unit=epoch epochs=60"),
    ("training:\n  epochs: 60\n  lr: 0.2\n  scheduler: cosine annealing with 5 epochs of linear warmup",
     "schedule=warmup duration=5 unit=epoch then.schedule=cosine then.initial=0.2 epochs=60"),
    ("lr: 0.2\nscheduler: MultiStepLR [40, 70], gamma 0.3\nepochs: 80",
     "schedule=multistep initial=0.2 factor=0.3 milestones=[40,70] epochs=80"),
    ('[lr_scheduler]\nname = "StepLR 25"\n[optimizer]\nlr = 0.2', "schedule=exponential initial=0.2 every=25"),
    # a table whose rows are stages; one that has a row for each model; one with a column for each data set
    ("| Epochs | Learning rate | Weight decay | Momentum |\n|---|---|---|---|\n| 1 - 40 | 0.2 | 5e-4 | 0.8 |\n| 41 - 80 | 0.04 | 5e-4 | 0.8 |",
     "schedule=multistep initial=0.2 milestones=[40] momentum=0.8 decay=5e-4 epochs=80"),
    ("| iterations | lr | momentum |\n|:--|:--:|--:|\n| 0-9999 | 0.2 | 0.8 |\n| 10000-19999 | 0.1 | 0.8 |",
     "schedule=multistep initial=0.2 milestones=[10000] momentum=0.8 steps=20000"),
    ("Our settings:\n\n| Model | lr | momentum | batch size | epochs |\n|---|---|---|---|---|\n| A | 0.2 | 0.8 | 64 | 30 |\n",
     "lr=0.2 momentum=0.8 batch=64 epochs=30"),
    ("| Model | lr | momentum | epochs |\n|---|---|---|---|\n| A | 0.2 | 0.8 | 30 |\n| B | 0.3 | 0.8 | 30 |", "momentum=0.8 epochs=30"),
    ("| Setting | A | B |\n|---|---|---|\n| lr | 0.2 | 0.2 |\n| batch size | 64 | 32 |\n| Epochs | 30 | 30 |", "lr=0.2 epochs=30"),
    # the same with Chinese names, and without bars at the ends
    ("| 模型 | 初始学习率 | 批大小 | 训练轮数 | 动量 |\n|---|---|---|---|---|\n| A | 0.2 | 48 | 35 | 0.8 |", "lr=0.2 batch=48 epochs=35 momentum=0.8"),
    ("学习率 | 批次 | 轮数\n---|---|---\n0.03 | 24 | 45", "lr=0.03 batch=24 epochs=45"),
    ("| 参数 | 学习率 | 权重衰减系数 |\n|:--|:-:|--:|\n| 取值 | 0.2 | 3e-4 |", "lr=0.2 decay=3e-4"),
    ("轮数 | 学习率\n---|---\n1-20|0.3\n21-50|0.03", "schedule=multistep initial=0.3 milestones=[20] epochs=50"),
    # pairs with a comma after each, without a blank after the colon, among lines that are left out
    ("learningRate = 0.2,\nweightDecay = 2e-4,\nmomentum = 0.8", "lr=0.2 decay=2e-4 momentum=0.8"),
    ('base_lr: 0.2\nlr_policy: "multistep"\ngamma:0.3\nstepvalue:4000\nstepvalue:6000\nmax_iter: 8000',
     "schedule=multistep initial=0.2 factor=0.3 milestones=[4000,6000] steps=8000"),
    ("    batch=32\n    subdivisions=8   # fewer where memory lacks\n    ...\n    learning_rate=0.002\n    max_batches=9000\n"
     "    policy=steps\n    steps=7000,8000  # near the end\n    scales=.1,.1",
     "schedule=multistep initial=0.002 factor=0.1 milestones=[7000,8000] batch=32 steps=9000"),
    # a plateau by its keys alone; one command behind a variable; updates that are counted in epochs
    ("python main.py --lr 0.2 --lr_factor 3 --lr_patience 7 --lr_min 1e-5", "lr=0.2 plateau.patience=7 plateau.min_lr=1e-5"),
    ("CUDA_VISIBLE_DEVICES=0 python test_adapt.py --optimizer sgd --lr 0.0002 --weight_decay 0.0", "lr=0.0002 decay=0"),
    ('{"max_epochs": 9, "lr_updates": [3, 6], "lr_decay_factor": 0.3, "lr_mode": "step", "initial_lr": 0.2}',
     "schedule=multistep initial=0.2 factor=0.3 milestones=[3,6] epochs=9"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), ROWS)
def test_configurations_state_just_these_fields(text, words):
    """It states just these fields."""
    assert differences(text, meant(words)) == []


@pytest.mark.parametrize(
    "line",
    ["scheduler: our own curve, version 2", "lr_schedule: see table 4 (3 phases)", "lr_policy: custom with 3 restarts"],
)
def test_words_that_are_not_understood_mark_the_rate(line):
    """A rate beside words about a schedule that say none is marked, and the words are listed."""
    found = read(f"optimizer: SGD\nlr: 0.2\n{line}\nepochs: 90\n")[0]
    assert found.fields["sgd.lr"].marks == ("shape",)
    assert any(line.rpartition(" ")[2][:3] in words for words in found.unread)


@pytest.mark.parametrize(
    "text",
    [
        "| Model | top-1 | top-5 |\n|---|---|---|\n| A | 70.1 | 90.2 |",
        "test:\n  note: batch size 64 in 3 runs\nlr_mult: 2",
    ],
)
def test_tables_and_words_of_other_things_state_nothing(text):
    """Results, and what stands under a key of testing, are no settings."""
    assert not [path for path, field in read(text)[0].fields.items() if field.provenance == "stated"]


def test_a_column_that_differs_is_listed():
    """What differs from row to row is not taken, and not lost."""
    found = read("| Model | lr | momentum |\n|---|---|---|\n| A | 0.2 | 0.8 |\n| B | 0.3 | 0.8 |")[0]
    assert "sgd.lr" not in found.fields
    assert any("0.3" in words for words in found.unread)
