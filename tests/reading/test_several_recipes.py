"""Several recipes in one text, of which the first is read; maps of rates; verbs that follow each other."""

from __future__ import annotations

import pytest

from downslope import read
from reading.neighbours import faults, periods, sequence, steps, warmup
from reading.rows import unlike

LINEAR = (
    "For pre-training, we use SGD with momentum 0.9, weight decay 1e-4 and a learning rate of 0.03 with cosine decay.\n\n"
    "For linear evaluation, we train a linear classifier for 100 epochs using SGD with momentum 0.9 and no weight decay; "
    "learning rate 30, multiplied by 0.1 at 60 and 80 epochs."
)
RECIPES = [
    (
        LINEAR,
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.03, "sgd.weight_decay": 1e-4, "sgd.lr.milestones": None},
    ),
    (
        "On CIFAR we train with SGD, lr 0.1, for 200 epochs, cosine schedule.\n"
        "On ImageNet we train with SGD, lr 0.5, for 90 epochs, and divide the rate by 10 at epochs 30 and 60.",
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.1, "train.epochs": 200, "sgd.lr.milestones": None},
    ),
    (
        "对于CIFAR，使用SGD，学习率0.1，训练200轮，余弦退火。对于ImageNet，使用SGD，学习率0.5，训练90轮，在第30、60轮乘以0.1。",
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.1, "train.epochs": 200, "sgd.lr.factor": None},
    ),
    (
        "For CIFAR, lr is 0.1 for 200 epochs with cosine. For ImageNet, lr is 0.5 for 90 epochs with step decay. "
        "In all cases SGD with momentum 0.9 and weight decay 1e-4.",
        {"sgd.lr.initial": 0.1, "train.epochs": 200, "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4},
    ),
    (
        "We use SGD with lr 0.1, momentum 0.9. For fine-tuning we use lr 0.001 for 10 epochs.",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.epochs": None},
    ),
    ("Pretraining: SGD lr 0.1 for 100 epochs. Finetuning: SGD lr 0.01 for 20 epochs.", {"sgd.lr": 0.1}),
    (
        "We train for 90 epochs with SGD and momentum 0.9. On 8 GPUs the batch size is 256 and the learning rate 0.1, "
        "divided by 10 at epochs 30 and 60.",
        {"train.epochs": 90, "sgd.lr.initial": 0.1, "sgd.lr.milestones": [30, 60]},
    ),
]
RUNS = [
    (
        "SGD with momentum. The learning rate schedule is {0: 0.1, 80: 0.01, 120: 0.001} for 160 epochs",
        steps(0.1, 0.1, [80, 120], epochs=160),
    ),
    ("学习率按照 {1: 0.1, 30: 0.01, 60: 0.001} 调整，SGD，共90轮", steps(0.1, 0.1, [30, 60], epochs=90)),
    (
        "SGD lr 0.01, raised at epoch 10. The learning rate follows {0: 0.01, 10: 0.1, 80: 0.01}, 200 epochs.",
        sequence([0.01, 0.1, 0.01], [10, 80], epochs=200),
    ),
    (
        "lr 0.1 (epochs 1-60), 0.01 (61-120), 0.001 (121-160), SGD with momentum 0.9",
        steps(0.1, 0.1, [60, 120], epochs=160),
    ),
    (
        "SGD, learning rate 1e-4, divided by 5 on the 25-th epoch and then again by 5 on the 50-th epoch.",
        steps(1e-4, 0.2, [25, 50]),
    ),
    ("SGD 学习率0.1，在第30轮除以10，在第60轮再除以10。", steps(0.1, 0.1, [30, 60])),
    ("SGD，学习率0.1，第30个epoch时乘以0.1，第60个epoch时再乘以0.1，共90个epoch", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("SGD，lr=0.1，25、50epoch时学习率乘以0.1", steps(0.1, 0.1, [25, 50])),
    ("SGD，lr=0.1，30,60,80轮学习率除以10，共100轮", steps(0.1, 0.1, [30, 60, 80], epochs=100)),
    ("SGD lr=0.01, divided by 10 at the beginning of 10th epoch, and of 100th epoch", steps(0.01, 0.1, [10, 100])),
    (
        "SGD. lr is 0.1 at the beginning, 0.01 from epoch 100 and 0.001 from epoch 150 to the end at epoch 200",
        steps(0.1, 0.1, [100, 150], epochs=200),
    ),
    (
        "SGD with lr = 1e-1 for epochs [0, 150), 1e-2 for [150, 250), 1e-3 for [250, 350)",
        steps(0.1, 0.1, [150, 250], epochs=350),
    ),
    (
        "SGD，学习率先在前5个epoch内线性升至0.1，然后在第30、60、80个epoch衰减10倍，总共训练90个epoch",
        {
            **warmup(5),
            "then.initial": 0.1,
            "then.factor": 0.1,
            "then.milestones": [30, 60, 80],
            "then.unit": "epoch",
            "then.schedule": "multistep",
            "epochs": 90,
        },
    ),
    ("| Optimizer | SGD |\n| Learning rate | 0.1 |\n| Epochs | 200 |", {"lr": 0.1, "epochs": 200}),
    ("实验设置：Epoch=100，Batch=32，学习率=0.001，优化器=SGD", {"lr": 0.001, "epochs": 100}),
    ("SGD，lr在20k、30k次迭代后分别降为1e-4和1e-5，初始1e-3", steps(1e-3, 0.1, [20000, 30000], "step")),
    ("SGD 学习率0.01，每个epoch后衰减为0.95倍", periods(0.01, 0.95, 1)),
    ("SGD 学习率0.01，每10轮降为0.5倍，共50轮", periods(0.01, 0.5, 10, epochs=50)),
    ("SGD / lr 0.1 / 90 epochs", {"lr": 0.1, "epochs": 90}),
    ("SGD lr 0.1 / 0.01 / 0.001 at 0 / 80 / 120 epochs", {"lr": 0.1}),
    ("SGD，前10个epoch学习率为1e-3，后面10个epoch为1e-4", steps(1e-3, 0.1, [10], epochs=20)),
    (
        "the learning rate is 1e-4 for the first 30 epochs and 1e-5 for the rest. SGD, 50 epochs",
        steps(1e-4, 0.1, [30], epochs=50),
    ),
    ("SGD, lr 0.1, decay gamma 0.1 every 30 epochs", periods(0.1, 0.1, 30)),
    ("SGD，初始学习率0.1，没60个周期乘以0.1", periods(0.1, 0.1, 60)),
    (
        "SGD, a learning rate of 0.03 for 200 epochs with cosine decay",
        {"schedule": "cosine", "initial": 0.03, "epochs": 200},
    ),
    (
        "After every epoch the learning rate is decayed following a linear schedule from 0.1 to 0.01. SGD, 100 epochs",
        {"schedule": "linear", "initial": 0.1, "final": 0.01, "epochs": 100},
    ),
    (
        "SGD 学习率从0.1线性衰减到最终学习率0.001，共100轮",
        {"schedule": "linear", "initial": 0.1, "final": 0.001, "epochs": 100},
    ),
    ("SGD, learning rate of 0.1 warmed up during the first 5 epochs", warmup(5, then=0.1)),
    (
        "SGD. The rate: the learning rate starts at 0.001 and increases to a maximum of 0.01",
        {"schedule": "warmup", "start": 0.001, "then": 0.01},
    ),
]


@pytest.mark.parametrize(("text", "expected"), RECIPES, ids=[text[:60] for text, _ in RECIPES])
def test_the_first_recipe_is_read(text, expected):
    """What a text tells of a later data set or training does not mix with the first."""
    assert unlike(text, expected) == []


def test_the_later_recipe_is_remarked_upon():
    """Its words are quoted."""
    assert any("learning rate 30" in remark for remark in read(LINEAR)[0].remarks)


@pytest.mark.parametrize(("text", "expected"), RUNS, ids=[text[:60] for text, _ in RUNS])
def test_a_rates_run(text, expected):
    """Maps, stages and verbs that follow each other, worked out by hand."""
    assert faults(text, expected) == []
