"""Whose times and numbers they are: of one of two data sets, of a name that is longer, of what is counted; in any script."""

import pytest

from reading.rows import unlike

STEPS = {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.1}

SCOPES = [
    (
        "SGD, lr 0.1, decay it by a factor of 10 at 30 and 60 epochs for CIFAR-10 and at 80 and 120 epochs for CIFAR-100",
        {**STEPS, "sgd.lr.milestones": [30, 60]},
    ),
    (
        "lr 0.1 divided by 10 at epochs 30 and 60 on ImageNet, and at epochs 100 and 150 on CIFAR; SGD",
        {**STEPS, "sgd.lr.milestones": [30, 60]},
    ),
    (
        "lr 0.1 is dropped after 40 epochs for the small network and 80 epochs for the large one, by a factor of 10",
        {**STEPS, "sgd.lr.milestones": [40], "train.epochs": None},
    ),
    (
        "第6轮和第九轮结束时把学习率再乘以0.1，每个epoch之后运行一次验证，初始学习率0.1",
        {**STEPS, "sgd.lr.milestones": [6, 9], "sgd.lr.every": None},
    ),
    ("SGD, lr 0.1, 训练过程中学习率降低3次", {"sgd.lr": 0.1, "train.steps": None}),
    ("SGD, learning rate 0.1, dropped 3 times prior to termination", {"sgd.lr": 0.1, "sgd.lr.factor": None}),
    ("SGD lr 0.1, reduced 2 times every 30 epochs", {"sgd.lr.rate": 0.5, "sgd.lr.every": 30}),
    ("SGD lr 0.1, every 30 epochs reduced 2 times", {"sgd.lr.rate": 0.5, "sgd.lr.every": 30}),
    ("SGD with LR = 0.1 for 256 batch size", {"sgd.lr": 0.1, "data.batch_size": 256, "train.steps": None}),
    ("SGD, lr 0.1, 前60k个mini-batch", {"data.batch_size": None}),
    (
        "warmup_momentum: 0.8 and warmup_bias_lr: 0.1 beside momentum: 0.9 and lr: 0.01",
        {"sgd.lr": 0.01, "sgd.momentum": 0.9},
    ),
    ("通道数为64/128/256/512的网络，学习率0.1，动量0.9", {"sgd.lr": 0.1, "sgd.lr.milestones": None}),
    ("批量归一化除以标准差，批量归一层不衰减；学习率0.1", {"data.batch_size": None, "sgd.lr": 0.1}),
    ("训练已失败。修复：将学习率降低10倍。", {"sgd.lr.schedule": None, "sgd.lr.factor": None}),
    ("SGD lr 0.1; the warmup lasts 5 epochs, training 90 epochs", {"sgd.lr.duration": 5, "train.epochs": 90}),
    (
        "SGD lr 0.1; a warmup which lasts 500 steps",
        {"sgd.lr.duration": 500, "sgd.lr.unit": "step", "train.steps": None},
    ),
]

WORDS = [
    (
        "SGD (default ones: lr=0.01, momentum=0.0, nesterov=False) were used",
        {"sgd.nesterov": False, "sgd.momentum": 0.0},
    ),
    ("SGD with momentum 0.9, nesterov = no, lr 0.1", {"sgd.nesterov": False}),
    (
        "lr: “0.1 for the first 60 epochs”, “0.02 for the next 60 epochs”, SGD",
        {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [60], "train.epochs": 120},
    ),
    (
        r"SGD, learning rates of \(0.1\) (decayed by a factor of 10 at epochs 150, 225) over \(300\) epochs",
        {**STEPS, "sgd.lr.milestones": [150, 225], "train.epochs": 300},
    ),
    (
        "a linear warmup for 1,000 steps, starting from a learning rate of 1e-7; SGD",
        {"sgd.lr.schedule": "warmup", "sgd.lr.start": 1e-7, "sgd.lr.duration": 1000},
    ),
    (
        "SGD with lr 0.1 and a cosine schedule that decreases it up to 1e-4",
        {"sgd.lr.schedule": "cosine", "sgd.lr.final": 1e-4, "sgd.lr.initial": 0.1},
    ),
    (
        "学习率0.1，动量0.9，在总轮数的一半和四分之三时分别做0.1的衰减",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.1},
    ),
    (
        "SGD，初始学习率为0.1，在40K，60K迭代时按10倍的倍率下降，训练在100K迭代时截止。",
        {**STEPS, "sgd.lr.milestones": [40_000, 60_000], "train.steps": 100_000},
    ),
    (
        "动量0.9，每8次遍历下降学习率4%",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.rate": 0.96,
            "sgd.lr.every": 8,
            "sgd.lr.unit": "epoch",
            "sgd.lr": None,
        },
    ),
    ("SGD, lr 0.1, 权重递减为0.0005, 训练epoch从25个调整为40个", {"sgd.weight_decay": 0.0005, "train.epochs": 40}),
    ("学习率最初设为0.01，动量0.9", {"sgd.lr": 0.01}),
    (
        "初始学习率为0.1，学习率多项式衰减系数为4，动量0.9，训练160轮",
        {"sgd.lr.schedule": "polynomial", "sgd.lr.power": 4, "sgd.lr.initial": 0.1, "train.epochs": 160},
    ),
    ("批次大小：训练128，评估512；SGD，lr 0.1", {"data.batch_size": 128}),
    (
        "優化器為 SGD，動量 0.9，權重衰減 5e-4，學習率 0.1，餘弦退火，訓練 200 輪，批次大小 128",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.1,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 200,
            "data.batch_size": 128,
        },
    ),
    (
        "學習率從 0.1 開始，在第 30 輪和第 60 輪除以 10，動量設為 0.9，總共訓練 90 輪，前 5 輪線性預熱",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.milestones": [30, 60],
            "sgd.lr.then.initial": 0.1,
            "sgd.momentum": 0.9,
            "train.epochs": 90,
        },
    ),
    ("我們採用隨機梯度下降，初始學習率設為 0.01，每 20 個週期減半", {"sgd.lr.rate": 0.5, "sgd.lr.every": 20}),
]


@pytest.mark.parametrize(("text", "expected"), SCOPES, ids=[text for text, _ in SCOPES])
def test_a_time_or_a_number_is_read_as_its_owners(text, expected):
    """What is told of something else is left out, and takes no place of what is told of the training."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), WORDS, ids=[text for text, _ in WORDS])
def test_other_words_say_the_same(text, expected):
    """Quoted, in formulas, in traditional characters, in another order."""
    assert unlike(text, expected) == []
