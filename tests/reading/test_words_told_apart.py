"""The words that must be told apart, in small sentences worked out by hand: decay, factor, every and at, to and by."""

from __future__ import annotations

import pytest

from downslope import read
from reading.rows import same

TOLD_APART = [
    ("lr 0.1 divided by 10 every 30 epochs", {"sgd.lr.rate": 0.1, "sgd.lr.every": 30}),
    ("lr 0.1 decreased by a factor of 10 every 30 epochs", {"sgd.lr.rate": 0.1}),
    ("lr 0.1 decreased by a factor of 0.1 every 30 epochs", {"sgd.lr.rate": 0.1}),
    ("lr 0.1 multiplied by 0.1 every 30 epochs", {"sgd.lr.rate": 0.1}),
    ("lr 0.1 decreased by 4% every 8 epochs", {"sgd.lr.rate": 0.96, "sgd.lr.every": 8}),
    ("lr 0.1 reduced to 4% of its value every 8 epochs", {"sgd.lr.rate": 0.04}),
    ("lr 0.1 reduced to one tenth every 8 epochs", {"sgd.lr.rate": 0.1}),
    ("lr 0.1 divided by 10 at epoch 30", {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [30]}),
    ("lr 0.1 halved each epoch", {"sgd.lr.rate": 0.5, "sgd.lr.every": 1}),
    ("lr 0.1 reduced by an order of magnitude every 10 epochs", {"sgd.lr.rate": 0.1}),
    (
        "lr 0.1, reduced to 0.01 at epoch 80 and 0.001 at epoch 120",
        {"sgd.lr.factor": 0.1, "sgd.lr.milestones": [80, 120]},
    ),
    (
        "trained for 90k iterations with a learning rate of 0.01 for the first 60k iterations, 0.001 for the next 20k "
        "iterations and 0.0001 for the last 10k",
        {"train.steps": 90000, "sgd.lr.initial": 0.01, "sgd.lr.milestones": [60000, 80000]},
    ),
    (
        "batch_size and num_epochs constant at 16 and 500 respectively, I tuned the learning rate from .03",
        {"sgd.lr.schedule": None, "sgd.lr.milestones": None},
    ),
    ("如果改动了总batch_size，请按线性比例调整学习率。学习率0.01", {"sgd.lr": 0.01, "sgd.lr.schedule": None}),
    ("显存不够时学习率和batch减半。学习率0.01", {"sgd.lr": 0.01, "sgd.lr.schedule": None}),
    ("学习率从 0.06 调低到 0.03，训练 20 轮", {"sgd.lr": 0.03, "sgd.lr.schedule": None, "train.epochs": 20}),
    ("用arcface训练，s=64, m=0.5，学习率0.1", {"sgd.lr": 0.1, "sgd.momentum": None}),
    ("SGD, lr=0.1, m=0.9", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    ("8个GPU，每个minibatch有16幅图像（每个GPU有2幅图像），学习率0.01", {"data.batch_size": 16}),
    (
        "学习率0.1，第1个epoch warmup，第25个epoch衰减10倍",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 1, "sgd.lr.then.milestones": [25]},
    ),
    (
        "lr 0.01. The learning rate drops by 10 at epochs 35 and 60, training ends after 80",
        {"sgd.lr.factor": 0.1, "sgd.lr.milestones": [35, 60]},
    ),
    ("lr 0.1, the learning rate decays by 0.5 every 30 epochs", {"sgd.lr.rate": 0.5, "sgd.lr.every": 30}),
    (
        "lr 0.1 is dropped by a factor of 10 at both 11k iterations and 18k iterations",
        {"sgd.lr.milestones": [11000, 18000], "train.steps": None},
    ),
    (
        "lr 0.1 divided by 10 at epochs 10 and 20, a 30-epoch limit",
        {"sgd.lr.milestones": [10, 20], "train.epochs": 30},
    ),
    ("学习率为0.02，到30k次mini-batch迭代后学习率降为0.002", {"sgd.lr.initial": 0.02, "sgd.lr.milestones": [30000]}),
    ("学习率0.1，在16K、24K次迭代时除以10。在28K迭代时，结束训练。", {"train.steps": 28000}),
    ("the maximum training iteration is set to 80,000, lr 0.1", {"train.steps": 80000}),
    ("lr 0.1, weight decay of 5×10−45\\times 10^{-4}", {"sgd.weight_decay": 0.0005}),
    (
        "下采样通过步长为2的3×3卷积层完成，学习率从0.1开始，在32k和48k次迭代时除以10",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.1, "sgd.lr.every": None},
    ),
    (
        "optimizer: #设定优化器的类型\n  type: sgd #随机梯度下降\n  momentum: 0.9 #动量\n\nlr_scheduler: #学习率的相关设置\n"
        "  type: PolynomialDecay #共支持多种策略\n  learning_rate: 0.01 #初始学习率\n  power: 0.9\n",
        {"sgd.lr.schedule": "polynomial", "sgd.lr.initial": 0.01, "sgd.lr.power": 0.9, "sgd.momentum": 0.9},
    ),
    ("学习率0.1，每30轮降低10倍", {"sgd.lr.rate": 0.1, "sgd.lr.every": 30, "sgd.lr.unit": "epoch"}),
    ("学习率0.1，每30轮降低10%", {"sgd.lr.rate": 0.9}),
    ("学习率0.1，每30轮降低为原来的10%", {"sgd.lr.rate": 0.1}),
    ("学习率0.1，在第30轮除以10", {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [30]}),
    ("学习率0.1，每5000步减半", {"sgd.lr.rate": 0.5, "sgd.lr.every": 5000, "sgd.lr.unit": "step"}),
    (
        "lr 0.1 divided by 10 at epoch 30 and 60, 90 epochs",
        {"sgd.lr.milestones": [30, 60], "train.epochs": 90},
    ),
    ("SGD(lr=0.1, weight_decay=0.98)", {"sgd.weight_decay": 0.98, "sgd.decay": "coupled"}),
    ("--lr 0.1 --wd 0.98", {"sgd.weight_decay": 0.98}),
    ("base_lr: 0.1 weight_decay: 0.98 momentum: 0.9", {"sgd.weight_decay": 0.98}),
    ("weight decay 5e-4", {"sgd.weight_decay": 5e-4}),
    ("weight decay of 0.05%", {"sgd.weight_decay": 5e-4}),
    ("权重衰减为万分之五", {"sgd.weight_decay": 5e-4}),
    ("权重衰减５×10⁻⁴，动量０．９", {"sgd.weight_decay": 5e-4, "sgd.momentum": 0.9}),
    ("momentum with a decay of 0.9", {"sgd.momentum": 0.9, "sgd.weight_decay": None}),
    ("SGD with momentum 0.9 and a decay of 0.0005", {"sgd.weight_decay": 5e-4, "sgd.momentum": 0.9}),
    ("RMSProp with decay 0.9", {"rmsprop.decay": 0.9, "sgd.weight_decay": None, "sgd.momentum": None}),
    ("SGD lr 0.1, EMA with decay 0.9999", {"train.ema": 0.9999, "sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("SGD lr 0.1, batch norm momentum 0.99", {"sgd.momentum": None, "sgd.lr": 0.1}),
    ("SGD lr 0.1 without momentum", {"sgd.momentum": 0.0}),
    ("SGD, lr 0.1, no Nesterov, momentum 0.9", {"sgd.nesterov": False, "sgd.momentum": 0.9}),
    (
        "SGD lr 0.1, dropout 0.5, label smoothing 0.1, 8 GPUs",
        {"sgd.lr": 0.1, "data.batch_size": None, "sgd.momentum": None},
    ),
    ("batch size 128, 200 epochs", {"data.batch_size": 128, "train.epochs": 200}),
    ("momentum and weight decay are 0.9 and 1e-4, respectively", {"sgd.momentum": 0.9, "sgd.weight_decay": 1e-4}),
    ("动量和权重衰减分别设置为0.9和0.0001", {"sgd.momentum": 0.9, "sgd.weight_decay": 1e-4}),
    ("batch of 8 per GPU on 8 GPUs, lr 0.1", {"data.batch_size": 64}),
    ("lr = 0.1 kn/256, batch size 8192", {"sgd.lr": 3.2}),
    ("learning rate 0.1 × 1024/256 = 0.4", {"sgd.lr": 0.4}),
    (
        "the learning rate falls from 0.1 to 0.001 along a cosine over 90 epochs",
        {"sgd.lr.final": 0.001, "sgd.lr.duration": 90},
    ),
    ("--lr 0.1 --schedule cosine --epochs 100", {"sgd.lr.schedule": "cosine", "sgd.lr.duration": 100}),
    ("--lr 0.1 --schedule 30 60 --epochs 100", {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [30, 60]}),
    ("lr 0.01 halved every 10 epochs until it reached 1e-5", {"sgd.lr.rate": 0.5, "sgd.lr.end": 1e-5}),
    ("lr 0.1 divided by 10 at 1/2 and 3/4 of the 200 epochs", {"sgd.lr.milestones": [100, 150], "train.epochs": 200}),
    (
        "lr 0.1 for 60k mini-batches, then 0.01 for the next 20k mini-batches",
        {"sgd.lr.milestones": [60000], "train.steps": 80000},
    ),
    (
        "lr 0.1, cosine annealing for 200 epochs, 5 epochs of warmup",
        {"train.epochs": 200, "sgd.lr.duration": 5, "sgd.lr.then.duration": 195},
    ),
    (
        "accuracy rises from 76.1 to 77.3 when training for 200 instead of 90 epochs",
        {"train.epochs": None, "sgd.lr": None},
    ),
    (
        "The learning rate was increased by 10 for the last layer. lr 0.01, SGD.",
        {"sgd.lr": 0.01, "sgd.lr.factor": None},
    ),
    ("SGD with momentum 0.9 and learning rate 0.1 outperforms Adam with learning rate 0.001", {"sgd.lr": 0.1}),
    (
        "we sweep learning rates in {0.1, 0.01, 0.001} and report the best of 3 runs",
        {"sgd.lr": None, "sgd.lr.initial": None},
    ),
    ("Dense(10, kernel_regularizer=l2(0.02))", {"sgd.weight_decay": 0.04}),
    (
        "keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4)",
        {"sgd.decay": "decoupled", "sgd.lr_in_velocity": True},
    ),
    (
        "torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4)",
        {"sgd.decay": "coupled", "sgd.lr_in_velocity": None},
    ),
    (
        "keras.optimizers.SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)",
        {"sgd.lr.schedule": "inverse", "sgd.lr.gamma": 1e-6},
    ),
    (
        "tf.keras.optimizers.schedules.PiecewiseConstantDecay([30, 60], [0.1, 0.01, 0.001])",
        {"sgd.lr.milestones": [30, 60]},  # Keras changes one step after its boundary
    ),
]


@pytest.mark.parametrize(("text", "expected"), TOLD_APART, ids=[text for text, _ in TOLD_APART])
def test_words_are_told_apart(text, expected):
    """Each field has the value of the right meaning; None means that it must not be there."""
    fields = read(text)[0].fields
    for path, value in expected.items():
        if value is None:
            assert path not in fields
        else:
            assert same(fields[path].value, value), (path, fields.get(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr 0.1, weight decay 0.98", "forgets the weights"),
        ("lr 0.1, BN momentum 0.99", "not the optimizer's"),
        ("lr 0.1, momentum 1.5", "outside what is possible"),
        ("lr 0.1 divided by 10 when the error plateaus", "cannot be replayed"),
        ("L2 penalty of 5e-4", "weight decay of 0.001"),
        ("Adam with lr 1e-3", "Adam, not SGD"),
        ("lr 0.1 after 5 epochs of warmup, divided by 10 when the error plateaus", "the schedule is kept"),
        ("lr 0.1, batch size of 8 per GPU", "how many devices"),
        ("lr 0.1 divided by 10 at epochs 30 and 60, 50 epochs", "ends before the milestone 60"),
        ("lr 0.1 divided by 10 at epochs 30, 60 and 90, 50 epochs", "ends before the milestone 60"),
        # (1 - 0.9) / (0.1 * 5e-4) = 2000 steps, of 128 of 50,000 examples: 5.12 epochs; with 5e-6 it is 512
        ("CIFAR-10, SGD lr 0.1, momentum 0.9, weight decay 5e-6, batch size 128", "within 512 epochs"),
        ("lr 0.1, momentum 0.9, later momentum 0.5", "Another value of sgd.momentum"),
    ],
)
def test_what_is_odd_is_remarked_upon(text, words):
    """A remark says what is implausible, contradictory, or of another convention."""
    assert any(words in remark for reading in read(text) for remark in reading.remarks)


@pytest.mark.parametrize(
    ("text", "left"),
    [("lr 0.1 and 8 GPUs", "8 GPUs"), ("lr 0.1, dropout of 0.5", "0.5"), ("lr 0.1 with 42 things", "42")],
)
def test_what_was_not_understood_is_shown(text, left):
    """Numbers that nothing used are listed with their words."""
    assert any(left in words for words in read(text)[0].unread)


def test_remarks_are_given_in_chinese_too():
    """Asked for Chinese, no remark is English."""
    for reading in read("学习率为0.1，权重衰减因子为0.98，动量1.5", language="zh"):
        assert reading.remarks
        assert all(any("\u4e00" <= character <= "\u9fff" for character in remark) for remark in reading.remarks)


def test_a_usual_weight_decay_is_not_remarked_upon():
    """WRN's 5e-4 forgets within 5.12 epochs, which nobody need be told."""
    remarks = read("CIFAR-10, SGD lr 0.1, momentum 0.9, weight decay 5e-4, batch size 128")[0].remarks
    assert not any("forgets" in remark for remark in remarks)
