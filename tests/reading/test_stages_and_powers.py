"""Stages of a training, powers, arrows, other things that are divided, and lengths seen in passing."""

import pytest

from reading.neighbours import faults, periods, plateau, steps, warmup

TEXTS = [
    (
        "40K iterations were run at a learning rate of 0.01 and another 20K iterations at 0.001.",
        steps(0.01, 0.1, [40000], "step", steps=60000),
    ),
    (
        "We performed 30 epochs with a learning rate of 0.1 and 15 further epochs with a learning rate of 0.01.",
        steps(0.1, 0.1, [30], epochs=45),
    ),
    (
        "60k iterations are done with a learning rate of 1e-3, then 20k additional iterations with a learning rate of 1e-4.",
        steps(1e-3, 0.1, [60000], "step", steps=80000),
    ),
    (
        "The network is trained for the first 100K steps with a learning rate of 1e-3, followed by 50K steps with a smaller learning rate of 1e-4.",
        steps(1e-3, 0.1, [100000], "step", steps=150000),
    ),
    ("The learning rate was 0.05 up to epoch 40 and 0.005 thereafter.", steps(0.05, 0.1, [40])),
    ("We used a fixed learning rate of 0.1 until epoch 60 and of 0.01 afterwards.", steps(0.1, 0.1, [60])),
    ("学习率在前80轮为0.1，之后为0.01，共训练120轮。", steps(0.1, 0.1, [80], epochs=120)),
    ("前5万次迭代学习率为0.001，后续2万次迭代学习率为0.0001。", steps(0.001, 0.1, [50000], "step", steps=70000)),
    ("lr 0.1 -> 0.01 @ 30 -> 0.001 @ 60, 90 epochs", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("lr .2→.04 @ epoch 60→.008 @ epoch 120", steps(0.2, 0.2, [60, 120])),
    ("lr goes 0.1 -> 0.02 @ 40k -> 0.004 @ 60k steps", steps(0.1, 0.2, [40000, 60000], "step")),
    ("Pixel values are divided by 255. The learning rate is 0.01.", {"lr": 0.01}),
    ("All rewards are scaled by 0.1, and the learning rate is 1e-3.", {"lr": 1e-3}),
    ("The auxiliary loss is multiplied by 0.4. We use a learning rate of 0.05.", {"lr": 0.05}),
    ("The logits are divided by 0.07, learning rate 0.03.", {"lr": 0.03}),
    ("图像像素值除以255，学习率设为0.01。", {"lr": 0.01}),
    ("奖励乘以0.1后输入网络，学习率为0.001", {"lr": 0.001}),
    ("Coordinates are multiplied by 100. lr = 0.02.", {"lr": 0.02}),
    ("第一阶段学习率为0.01，训练20个epoch；第二阶段学习率为0.001，训练10个epoch。", steps(0.01, 0.1, [20], epochs=30)),
    ("第一阶段学习率为0.01，训练20个epoch；第二阶段微调，学习率为0.001，训练10个epoch。", {"lr": 0.01, "epochs": 20}),
    (
        "In the first stage we train for 100 epochs with a learning rate of 0.1. In the second stage, we fine-tune for 20 epochs with a learning rate of 0.001.",
        {"lr": 0.1, "epochs": 100},
    ),
    ("Stage 1: lr 0.1, 50 epochs. Stage 2: lr 0.01, 10 epochs.", {"lr": 0.1, "epochs": 50}),
    (
        "We train the network for 90 epochs with a learning rate of 0.1. The linear probing stage uses a learning rate of 30 for 100 epochs.",
        {"lr": 0.1, "epochs": 90},
    ),
    (
        "The generator is trained with learning rate 0.02 for 50 epochs. The initial learning rate of the refinement network is set to 0.001 and it is trained for 20 epochs.",
        {"lr": 0.02, "epochs": 50},
    ),
    ("The learning rate is 0.1 * 0.95^{epoch}.", periods(0.1, 0.95, 1)),
    ("The learning rate decays as 0.01 × 0.9^epoch.", periods(0.01, 0.9, 1)),
    ("学习率为0.1×0.97^{epoch}，共训练50个epoch", periods(0.1, 0.97, 1, epochs=50)),
    (
        "The learning rate at iteration t is 0.045 · 0.94^{t/10000}; batch 32",
        {"schedule": "exponential", "initial": 0.045, "rate": 0.94, "every": 10000},
    ),
    ("initial lr 0.01, lr = lr0 * 0.5^floor(epoch/20)", periods(0.01, 0.5, 20)),
    (
        "We train for 200\n```\nepochs with a learning rate of 0.1 (with learning rate drops every 50\n```\nepochs).",
        {"schedule": "exponential", "initial": 0.1, "every": 50, "unit": "epoch", "epochs": 200},
    ),
    (
        "The learning rate of 0.1 drops every 30 epochs, 90 epochs",
        {"schedule": "exponential", "initial": 0.1, "every": 30, "unit": "epoch", "epochs": 90},
    ),
    (
        "The learning rate warms from 0.001 at epoch 1 to 0.1 at epoch 6 and then decays by cosine to 0.0001 at epoch 100.",
        warmup(5, start=0.001, **{"then.schedule": "cosine", "then.initial": 0.1, "then.final": 0.0001}),
    ),
    (
        "For the first 500 warmup steps the learning rate increases to 1e-3, and then decays linearly to 0 over the remaining steps.",
        warmup(500, "step", **{"then.schedule": "linear", "then.initial": 1e-3, "then.final": 0.0}),
    ),
    (
        "前1000个预热步中学习率升至3e-4，随后线性下降到0，共2万步",
        warmup(1000, "step", steps=20000, **{"then.schedule": "linear", "then.initial": 3e-4, "then.final": 0.0}),
    ),
    (
        "预热步数的数量设为2000，学习率峰值1e-3，线性衰减",
        warmup(2000, "step", **{"then.schedule": "linear", "then.initial": 1e-3}),
    ),
    ("训练5个epoch后发现loss不降。于是把学习率设为0.001，训练60个epoch。", {"lr": 0.001, "epochs": 60}),
    ("训练20轮的时候准确率只有30%，后来学习率改成0.01，训练80轮。", {"lr": 0.01, "epochs": 80}),
    (
        "Training was performed for 45 epochs with a learning rate of 0.1. The model was then fine-tuned for 60 epochs.",
        {"lr": 0.1, "epochs": 45},
    ),
    (
        "The learning rate 0.5 is halved if the error falls by less than 0.005 between two epochs.",
        {"lr": 0.5, "epochs": None},
    ),
    ("We train with Adam at 1e-3 using 1000 rounds of training.", {"lr": None, "epochs": 1000}),
    (
        "The learning rate 0.01 is reduced by a factor of 0.5 every time the validation loss does not improve for 5 epochs until it reaches a minimum of 1e-6.",
        plateau(0.01, 0.5, 5, "loss", **{"plateau.min_lr": 1e-6}),
    ),
    (
        "验证损失5轮不下降时学习率乘以0.5，最小学习率为1e-6，初始学习率0.01",
        plateau(0.01, 0.5, 5, "loss", **{"plateau.min_lr": 1e-6}),
    ),
    ("We train every model 120 epochs, lr 0.1", {"lr": 0.1, "epochs": 120}),
    ("每个模型训练100个epoch，学习率0.01", {"lr": 0.01, "epochs": 100}),
    ("对每个数据集训练50轮，学习率0.05", {"lr": 0.05, "epochs": 50}),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS, ids=[text for text, _ in TEXTS])
def test_texts(text, expected):
    """What the words say, and nothing that they do not say."""
    assert faults(text, expected) == []
