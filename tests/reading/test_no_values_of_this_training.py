"""Trials, failures, others' trainings, marks of lists and averages of other things are no values of this training."""

import pytest

from downslope import read
from reading.rows import same

CASES = {
    "p1": (
        "They train for 200 epochs; we only train for 100",
        {"train.epochs": 100},
    ),
    "p2": (
        "The paper uses lr 0.1 but I used 0.05",
        {"sgd.lr": 0.05},
    ),
    "p3": (
        "The authors trained for 300 epochs, while we train for 120.",
        {"train.epochs": 120},
    ),
    "p4": (
        "The original paper used a batch size of 256 but we used 64.",
        {"data.batch_size": 64},
    ),
    "p5": (
        "The authors use momentum 0.9 and lr 0.1; I used lr 0.02.",
        {"sgd.lr": 0.02},
    ),
    "p6": (
        "原论文的学习率为0.1，我们使用0.01。",
        {"sgd.lr": 0.01},
    ),
    "p7": (
        "They used a weight decay of 5e-4, we used 1e-4. SGD with lr 0.1.",
        {"sgd.weight_decay": 0.0001, "sgd.lr": 0.1},
    ),
    "t1": (
        "Learning rates of 0.1, 0.03 and 0.01 were tried; 0.03 worked best. Momentum 0.9.",
        {"sgd.momentum": 0.9},
    ),
    "t2": (
        "We tested batch sizes of 32, 64 and 128. The final batch size is 64, lr is 0.01.",
        {"data.batch_size": 64, "sgd.lr": 0.01},
    ),
    "t3": (
        "Batch sizes 16, 32, 64 were compared. We chose a batch size of 32 and SGD with a learning rate of 1e-2.",
        {"data.batch_size": 32, "sgd.lr": 0.01},
    ),
    "t5": (
        "momentum values of 0.5, 0.9 and 0.99 were evaluated",
        {},
    ),
    "h2": (
        "A learning rate of 1.0 diverges, so we train with a learning rate of 0.1.",
        {"sgd.lr": 0.1},
    ),
    "h3": (
        "lr = 0.5 was too high and the loss exploded. lr = 0.05 was fine; batch size 64.",
        {"data.batch_size": 64, "sgd.lr": 0.05},
    ),
    "h4": (
        "学习率0.1过大，训练发散，因此学习率设置为0.01，批大小64。",
        {"data.batch_size": 64, "sgd.lr": 0.01},
    ),
    "h5": (
        "With a weight decay of 0.1 the model did not converge. Weight decay: 1e-4, lr: 0.1",
        {"sgd.weight_decay": 0.0001, "sgd.lr": 0.1},
    ),
    "m1": (
        "We use a learning rate of 0.1. Results are averaged over 5 epochs.",
        {"sgd.lr": 0.1},
    ),
    "m2": (
        "The loss is measured over 50 steps. lr 0.1, 90 epochs.",
        {"train.epochs": 90, "sgd.lr": 0.1},
    ),
    "l1": (
        """\
学习率设置
1、初始学习率为0.01
2、动量为0.9
3、批大小为32
""",
        {"data.batch_size": 32, "sgd.momentum": 0.9, "sgd.lr": 0.01},
    ),
    "l2": (
        """\
训练参数：
(1) 学习率：0.02
(2) 权重衰减：1e-4
""",
        {"sgd.weight_decay": 0.0001, "sgd.lr": 0.02},
    ),
    "l3": (
        """\
学习率
1、采用余弦退火
2、共训练50个epoch
""",
        {"train.epochs": 50, "sgd.lr.schedule": "cosine"},
    ),
    "l4": (
        """\
Batch size
1. We use SGD with lr 0.1
2. Momentum is 0.9
""",
        {"sgd.momentum": 0.9, "sgd.lr": 0.1},
    ),
    "f2": (
        "采用poly策略，学习率乘以(1-epoch/epochs)^0.9，初始学习率0.02",
        {"sgd.lr.schedule": "polynomial", "sgd.lr.initial": 0.02, "sgd.lr.power": 0.9},
    ),
    "f3": (
        "lr = 0.1 * (1 - step/total_steps)^{2}, batch size 8",
        {"data.batch_size": 8},
    ),
    "s1": (
        """\
The exploration rate ε decays exponentially.

The network is trained with SGD, learning rate 0.01.
""",
        {"sgd.lr": 0.01},
    ),
    "s2": (
        """\
历史样本按指数衰减加权。

网络用SGD训练，学习率为0.005，动量0.9。
""",
        {"sgd.momentum": 0.9, "sgd.lr": 0.005},
    ),
    "s3": (
        "We keep an exponential moving average of the codebook with decay 0.99. SGD, lr 0.1.",
        {"sgd.lr": 0.1},
    ),
    "s4": (
        "We use an exponentially decaying average of rewards with decay 0.9. The learning rate is 0.1.",
        {"sgd.lr": 0.1},
    ),
    "s5": (
        "The teacher temperature follows a linear schedule from 0.04 to 0.07. The learning rate is 0.3 with cosine decay.",
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.3},
    ),
    "s6": (
        "We use an EMA of the weights with decay 0.9999 and lr 0.1.",
        {"train.ema": 0.9999, "sgd.lr": 0.1},
    ),
    "s7": (
        "The running loss is an EMA with factor 0.98; SGD with learning rate 0.2",
        {"sgd.lr": 0.2},
    ),
    "w1": (
        "重量衰减为0.0005，动量为0.9",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "w2": (
        "采用余玄退火调整学习率，初始学习率0.01，训练100轮",
        {
            "train.epochs": 100,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.01,
            "sgd.lr.duration": 100,
            "sgd.lr.unit": "epoch",
        },
    ),
    "w3": (
        "larger bacth size (512) and initial learning rate (0.2)",
        {"data.batch_size": 512, "sgd.lr": 0.2},
    ),
    "w4": (
        "L2惩罚乘数设为2e-4，学习率0.1",
        {"sgd.weight_decay": 0.0002, "sgd.lr": 0.1},
    ),
    "w5": (
        "正则化系数1e-4，动量0.9，学习率由0递增到0.1，热身轮数是3",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.0,
            "sgd.lr.then": 0.1,
        },
    ),
    "d1": (
        "The learning rate was decreased to 1e-4 and momentum is 0.9",
        {"sgd.momentum": 0.9, "sgd.lr": 0.0001},
    ),
    "d2": (
        "I lowered the learning rate to 0.005, batch size 16",
        {"data.batch_size": 16, "sgd.lr": 0.005},
    ),
    "d3": (
        "学习率调小到0.001，批大小32",
        {"data.batch_size": 32, "sgd.lr": 0.001},
    ),
    "b1": (
        """\
We use SGD with momentum and weight decay, batch
7

size of 64 and lr of 0.1
""",
        {"sgd.lr": 0.1},
    ),
    "b2": (
        """\
We train with a learning rate of
12

0.05 and momentum 0.9.
""",
        {"sgd.momentum": 0.9},
    ),
    "b3": (
        """\
We train with SGD, momentum 0.9, learning rate
0.05
for 90 epochs.
""",
        {"train.epochs": 90, "sgd.momentum": 0.9, "sgd.lr": 0.05},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_stated(name):
    """Every value that is stated, and no other, is what the text says."""
    text, expected = CASES[name]
    fields = read(text)[0].fields
    assert {path for path, field in fields.items() if field.provenance == "stated"} <= expected.keys()
    for path, value in expected.items():
        assert path in fields, path
        assert same(fields[path].value, value), (path, fields[path].value)
