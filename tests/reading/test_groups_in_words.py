"""Parameter groups in words: a learning rate or weight decay of their own, by value or by factor; and what is no group."""

from __future__ import annotations

import pytest

from downslope import read
from downslope.schedules import Cosine, MultiStep
from reading.rows import unlike

GROUPS = [
    (
        "SGD with lr 0.001 (0.01 for the classifier), momentum 0.9",
        {"sgd.lr": 0.001, "groups.0.match": "*classifier*", "groups.0.lr": 0.01},
    ),
    ("initial learning rate of 0.001 (0.01 for the final classifier layer)", {"sgd.lr": 0.001, "groups.0.lr": 0.01}),
    (
        "lr is 0.001 for the backbone and 0.01 for the head",
        {"sgd.lr": 0.001, "groups.0.match": "*head*", "groups.0.lr": 0.01},
    ),
    (
        "learning rate 0.01 with a 10x larger learning rate for the head",
        {"sgd.lr": 0.01, "groups.0.lr": 0.1, "groups.0.match": "*head*"},
    ),
    ("lr 0.01, x10 for the head", {"sgd.lr": 0.01, "groups.0.lr": 0.1}),
    ("lr 0.01 (×10 for the classifier)", {"sgd.lr": 0.01, "groups.0.lr": 0.1}),
    (
        "lr 0.01; the learning rate of the decoder is 10 times that of the encoder",
        {"sgd.lr": 0.01, "groups.0.lr": 0.1, "groups.0.match": "*decoder*"},
    ),
    ("lr 0.01; the learning rate of the head is 10 times larger", {"sgd.lr": 0.01, "groups.0.lr": 0.1}),
    ("lr 0.01; the learning rate of the backbone is 10 times smaller", {"sgd.lr": 0.01, "groups.0.lr": 0.001}),
    (
        "lr 0.01, the learning rate for the backbone is multiplied by 0.1",
        {"sgd.lr": 0.01, "groups.0.lr": 0.001, "sgd.lr.schedule": None},
    ),
    ("lr 0.01, a backbone lr multiplier of 0.1", {"sgd.lr": 0.01, "groups.0.lr": 0.001}),
    ("base learning rate 0.01. We use a 0.1x learning rate for the backbone.", {"sgd.lr": 0.01, "groups.0.lr": 0.001}),
    (
        "lr 0.01, the learning rate is doubled for biases",
        {"sgd.lr": 0.01, "groups.0.lr": 0.02, "groups.0.match": "*.bias"},
    ),
    ("lr 0.01, the learning rate of biases is doubled", {"sgd.lr": 0.01, "groups.0.lr": 0.02, "sgd.lr.schedule": None}),
    ("lr 0.01, twice the learning rate for biases", {"sgd.lr": 0.01, "groups.0.lr": 0.02}),
    (
        "lr 0.01, the learning rate is divided by 10 for the backbone",
        {"sgd.lr": 0.01, "groups.0.lr": 0.001, "sgd.lr.schedule": None},
    ),
    (
        "基础学习率为0.01。主干网络上的学习率乘以0.1的因子。",
        {"sgd.lr": 0.01, "groups.0.lr": 0.001, "sgd.lr.schedule": None},
    ),
    ("adapter 学习率 0.001，分类器学习率 0.0001，大多数数据集训练20轮", {"sgd.lr": 0.001, "groups.0.lr": 0.0001}),
    ("LoRA学习率1e-3，分类头学习率1e-2", {"sgd.lr": 0.001, "groups.0.lr": 0.01}),
    ("学习率为0.01，分类器的学习率为其他层的10倍", {"sgd.lr": 0.01, "groups.0.lr": 0.1}),
    ("学习率为0.01，全连接层的学习率扩大10倍", {"sgd.lr": 0.01, "groups.0.lr": 0.1, "groups.0.match": "*fc*"}),
    ("初始學習率設為 0.003，而預訓練的骨幹網路學習率設為 0.0003", {"sgd.lr": 0.003, "groups.0.lr": 0.0003}),
    ("学习率为0.01，偏置的学习率加倍", {"sgd.lr": 0.01, "groups.0.lr": 0.02}),
    ("学习率设为0.002（分类器的是0.02），动量0.9", {"sgd.lr": 0.002, "groups.0.lr": 0.02}),
    ("学习率为0.01，骨干网络的学习率缩小10倍", {"sgd.lr": 0.01, "groups.0.lr": 0.001}),
    (
        "lr 0.1, wd 5e-4, no weight decay on bias and batch norm",
        {"sgd.weight_decay": 0.0005, "groups.0.match": "@bias_and_norm", "groups.0.weight_decay": 0.0},
    ),
    ("weight decay 5e-4 is not applied to biases", {"sgd.weight_decay": 0.0005, "groups.0.match": "*.bias"}),
    ("weight decay is 1e-4 for weights and 0 for biases", {"sgd.weight_decay": 0.0001, "groups.0.weight_decay": 0.0}),
    ("weight decay 1e-4 (0 for biases)", {"sgd.weight_decay": 0.0001, "groups.0.weight_decay": 0.0}),
    ("weight decay 1e-4 (1e-5 for the head)", {"sgd.weight_decay": 0.0001, "groups.0.weight_decay": 1e-05}),
    ("权重衰减为5e-4，不对偏置和BN层使用权重衰减", {"sgd.weight_decay": 0.0005, "groups.0.match": "@bias_and_norm"}),
    (
        "a learning rate of 1e-3 for the backbone and 1e-2 for all other layers",
        {"sgd.lr": 0.01, "groups.0.lr": 0.001, "groups.0.match": "*backbone*"},
    ),
    ("lr 1e-4 for the encoder and 1e-3 for the rest", {"sgd.lr": 0.001, "groups.0.lr": 0.0001}),
    (
        "a learning rate of 1 for weights and 2 for biases and a global learning rate of 0.001",
        {"sgd.lr": 0.001, "groups.0.lr": 0.002, "groups.0.match": "*.bias"},
    ),
    (
        "骨干网络学习率为1e-3，其余部分学习率为1e-2",
        {"sgd.lr": 0.01, "groups.0.lr": 0.001, "groups.0.match": "*backbone*"},
    ),
    ("The backbone learning rate is 1e-5 and the learning rate is 1e-4", {"sgd.lr": 0.0001, "groups.0.lr": 1e-05}),
    (
        "a weight decay of 0.0001 for conv layers and 0.0005 for FC layers",
        {"sgd.weight_decay": 0.0001, "groups.0.match": "*fc*", "groups.0.weight_decay": 0.0005},
    ),
    (
        "lr=0.01,weight_decay=0.0005,对bias参数lr加倍且不做权重衰减",
        {"sgd.lr": 0.01, "groups.0.lr": 0.02, "groups.0.weight_decay": 0.0},
    ),
    (
        "weight decay 1e-4, excluding biases and normalization layers",
        {"sgd.weight_decay": 0.0001, "groups.0.match": "@bias_and_norm", "groups.0.weight_decay": 0.0},
    ),
    ("权重衰减为1e-4（偏置除外），学习率0.1", {"sgd.weight_decay": 0.0001, "groups.0.match": "*.bias"}),
    (
        "lr 0.1 with 0.1x lr on the encoder and weight decay 0.01 without decay of bias",
        {"sgd.lr": 0.1, "groups.0.lr": 0.01},
    ),
    (
        "we use a ten times higher learning rate for the classifier, base lr 0.001",
        {"sgd.lr": 0.001, "groups.0.lr": 0.01},
    ),
]

NONE = [
    (
        "SGD, lr 0.1. The weight decay of weights and biases is 1e-4.",
        {"sgd.weight_decay": 1e-4, "groups.0.match": None, "groups.0.weight_decay": None},
    ),
    (
        "SGD, lr 0.1. L2 regularization of kernels and biases was set to 5e-4.",
        {"sgd.weight_decay": 5e-4, "groups.0.match": None, "groups.0.weight_decay": None},
    ),
    ("lr 0.001 (0.01 for the last layer)", {"sgd.lr": 0.001, "groups.0.lr": None, "groups.0.match": None}),
    ("lr 0.001, 10 times larger for the last layer", {"sgd.lr": 0.001, "groups.0.lr": None}),
    (
        "lr 0.01; the learning rate of the last layer is 10 times",
        {"sgd.lr": 0.01, "groups.0.lr": None, "sgd.lr.schedule": None},
    ),
    (
        "The learning rate was increased by 10 for the last layer. lr 0.01, SGD.",
        {"sgd.lr": 0.01, "sgd.lr.factor": None},
    ),
    (
        "lr 0.1 divided by 10 every 30 epochs for all layers of the backbone",
        {"sgd.lr.every": 30, "sgd.lr.rate": 0.1, "groups.0.lr": None},
    ),
    (
        "The learning rate of the backbone is 0.01, divided by 10 at epochs 30 and 60",
        {"sgd.lr.initial": 0.01, "sgd.lr.milestones": [30, 60], "groups.0.lr": None},
    ),
    ("lr 0.1 for the head", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("a linear head with dropout 0.5, lr 0.1", {"sgd.lr": 0.1, "groups.0.lr": None, "groups.0.weight_decay": None}),
    ("lr 0.1, a decoder with 3 layers", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("The classifier has 10 outputs, lr 0.1", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("the head is trained 10 times with lr 0.1", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("学习率0.1，解码器有3层", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("Trained with lr 0.1, the backbone reaches 76.1 and the head 0.5", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("learning rate 0.1 for 30 epochs with a frozen backbone", {"sgd.lr": 0.1, "groups.0.lr": None}),
    ("The encoder learning rate is 1e-5", {"sgd.lr": 1e-05, "groups.0.lr": None}),
    ("We decay all weights by 1e-4 except for biases", {"groups.0.weight_decay": None}),
    (
        "weight decay 1e-4 for all parameters including biases",
        {"sgd.weight_decay": 0.0001, "groups.0.weight_decay": None},
    ),
    ("学习率0.1，编码器学习率设为解码器的0.1倍", {"sgd.lr": 0.1}),
    (
        "The learning rate of new layers is set to ten times that of pre-trained layers; base lr 0.001",
        {"sgd.lr": 0.001, "groups.0.lr": None},
    ),
]


@pytest.mark.parametrize(("text", "expected"), GROUPS, ids=[text for text, _ in GROUPS])
def test_a_group_is_read(text, expected):
    """Its names are the pattern that its words call, its value the words' or the factor times the others'."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), NONE, ids=[text for text, _ in NONE])
def test_no_group_is_invented(text, expected):
    """A part whose names nobody can know gives a remark, and a part that is only mentioned nothing."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(
    ("course", "lr"),
    [
        ("divided by 10 at epochs 30 and 60", MultiStep(initial=1.0, factor=0.1, milestones=[30, 60], unit="epoch")),
        ("cosine to 0.01", Cosine(initial=1.0, final=0.1, duration=90, unit="epoch")),
        ("kept constant", 1.0),
    ],
)
def test_a_group_follows_the_schedule_of_the_others(course, lr):
    """In a recipe its learning rate falls as theirs does, in proportion."""
    text = f"SGD, momentum 0.9, batch size 64, 90 epochs, learning rate 0.1, {course}; 10 times larger learning rate for the head"
    (group,) = read(text)[0].recipe().groups
    assert (group.match, group.lr) == ("*head*", lr)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_that_nobody_can_know(language):
    """The value of the last layer is in a remark, in both languages."""
    reading = read("SGD, lr 0.001 (0.01 for the last layer)", language=language)[0]
    assert any("0.01 for the last layer" in remark for remark in reading.remarks)
