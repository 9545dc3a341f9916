"""Numbers that are no value of a setting: another concept's, a range's, a search's, a formula's, a reference's, a broken power's."""

from __future__ import annotations

import pytest

from reading.rows import unlike

OTHERS = [
    (
        "SGD lr 0.1. Batch norm is added after every convolution layer with momentum 0.99, and weight decay is 1e-5",
        {"sgd.lr": 0.1, "sgd.momentum": None, "sgd.weight_decay": 1e-05},
    ),
    ("SGD lr 0.1, BN layers use a momentum of 0.1", {"sgd.lr": 0.1, "sgd.momentum": None}),
    ("SGD lr 0.1; the momentum of batch norm is 0.1", {"sgd.momentum": None}),
    ("SGD lr 0.1, momentum 0.9, momentum of 0.1 for batch norm", {"sgd.momentum": 0.9}),
    ("SGD with lr 0.1 and momentum 0.9, synchronized BN with momentum 0.99 and epsilon 1e-3", {"sgd.momentum": 0.9}),
    ("学习率0.1，BN的动量为0.99", {"sgd.momentum": None, "sgd.lr": 0.1}),
    ("学习率0.1，批归一化层的动量设为0.99，优化器动量为0.9", {"sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("SGD, lr 0.1, momentum 0.9; the teacher is updated with momentum 0.996", {"sgd.momentum": 0.9}),
    ("SGD, lr 0.1; the teacher is an EMA with momentum 0.996", {"sgd.momentum": None}),
    ("SGD, lr 0.1, the key encoder has a momentum of 0.999", {"sgd.momentum": None}),
    ("SGD lr 0.1, no weight decay on batch norm, momentum 0.9", {"sgd.momentum": 0.9}),
    ("SGD with batch normalization and momentum 0.9", {"sgd.momentum": 0.9}),
    (
        "lr 0.1, dropout 0.5, label smoothing 0.1, temperature 0.07, mixup alpha 0.2",
        {"sgd.lr": 0.1, "sgd.momentum": None, "sgd.weight_decay": None},
    ),
    ("lr 0.1, dropout rate of 0.2 and stochastic depth with rate 0.1", {"sgd.lr": 0.1, "sgd.lr.rate": None}),
    ("学习率0.1，丢弃率0.5，标签平滑0.1，温度0.07", {"sgd.lr": 0.1, "sgd.momentum": None}),
    ("教师模型采用EMA更新，动量为0.999，学生模型使用SGD，学习率0.03，动量0.9", {"sgd.momentum": 0.9, "sgd.lr": 0.03}),
    (
        "For the target network, the exponential moving average parameter is 0.996; SGD, lr 0.1",
        {"train.ema": None, "sgd.lr": 0.1},
    ),
    ("Dropout比率设为0.5，BN层动量0.1，优化器动量0.9，学习率0.01", {"sgd.momentum": 0.9, "sgd.lr": 0.01}),
    ("linear probing with SGD, lr 30, batch size 256", {"sgd.lr": 30, "sgd.lr.schedule": None}),
]

UNCOUNTED = [
    ("SGD, lr 0.1, number of epochs: every 50000 samples", {"train.epochs": None, "sgd.lr": 0.1}),
    ("SGD, lr 0.1, maximum iterations per 1024 images", {"train.steps": None, "train.epochs": None}),
    ("SGD, lr 0.1, number of training epochs over 50% of the training", {"train.epochs": None}),
    ("SGD, lr 0.1, decay steps every 50000 images, decay rate 0.9", {"sgd.lr.rate": 0.9, "sgd.lr.every": 1}),
]
"""Periods and parts of the whole beside a concept that counts epochs or steps."""

SEVERAL = [
    ("we tried learning rates in {0.1, 0.01}", {"sgd.lr": None, "sgd.lr.initial": None}),
    ("learning rate in {0.1, 0.01, 0.001}, momentum 0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    ("we search over learning rates 0.1, 0.03 and 0.01; momentum 0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    ("momentum in [0.8, 0.99], lr 0.1", {"sgd.momentum": None, "sgd.lr": 0.1}),
    ("momentum between 0.8 and 0.99, lr 0.1", {"sgd.momentum": None, "sgd.lr": 0.1}),
    ("momentum 0.9-0.99, lr 0.1", {"sgd.momentum": None, "sgd.lr": 0.1}),
    ("weight decay of 1e-4 to 5e-4, lr 0.1", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("a learning rate of 0.1 or 0.01", {"sgd.lr": None}),
    ("学习率从{0.1, 0.01, 0.001}中选择，动量0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    ("学习率尝试了0.1、0.01和0.001，动量0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    ("权重衰减为1e-4或5e-4，学习率0.1", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("train for 70 to 100 epochs, lr 0.1", {"train.epochs": None, "sgd.lr": 0.1}),
    ("train for 70-100 epochs, lr 0.1", {"train.epochs": None, "sgd.lr": 0.1}),
    ("convergence is achieved after 10-20 epochs, lr 0.1", {"train.epochs": None}),
    ("训练70到100轮，学习率0.1", {"train.epochs": None, "sgd.lr": 0.1}),
    ("训练70~100轮，学习率0.1", {"train.epochs": None, "sgd.lr": 0.1}),
    ("lr 0.1, 0.1 and 0.01 for CIFAR-10, CIFAR-100 and SVHN, respectively", {"sgd.lr": 0.1}),
]

FORMULAS_AND_NAMES = [
    (
        "the learning rate at the n-th iteration is η · 0.5[cos(n/N π) + 1], the base learning rate η is 1.6",
        {"sgd.lr": 1.6},
    ),
    ("learning rate η0 = 0.1, momentum μ = 0.9", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    ("$\\eta_0 = 0.1$, weight decay $\\lambda = 10^{-4}$", {"sgd.lr": 0.1, "sgd.weight_decay": 0.0001}),
    ("η = η0 · 0.5(1 + cos(πt/T)), momentum 0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    ("L2 regularization of 1e-4, lr 0.1", {"sgd.weight_decay": 0.0001, "sgd.lr": 0.1}),
    ("ℓ2 weight decay 1e-4", {"sgd.weight_decay": 0.0001}),
    ("L_2 penalty 1e-4", {"sgd.weight_decay": 0.0001}),
    ("SGD [12] with momentum [34] of 0.9 and learning rate [7] 0.1", {"sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("ResNet-50 on CIFAR-10 with lr 0.1", {"sgd.lr": 0.1, "data.batch_size": None}),
    ("learning rate on CIFAR-10 is 0.1", {"sgd.lr": 0.1}),
    ("learning rate (see Section 3.2) is 0.1", {"sgd.lr": 0.1}),
    ("the learning rate in Table 2 is 0.1", {"sgd.lr": 0.1}),
    ("momentum (Eq. 4) of 0.9", {"sgd.momentum": 0.9}),
    ("We start with α = 0.1. The learning rate α is kept.", {"sgd.lr": 0.1}),
    ("learning rate α of 0.1 and momentum β of 0.9", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    ("accuracy 93.5 with lr 0.1", {"sgd.lr": 0.1}),
    ("we use a learning rate of 0.1, reaching 76.3% top-1", {"sgd.lr": 0.1}),
    ("LR schedule is at 30 60", {"sgd.lr": None}),
    ("learning rate schedule 30-60-90", {"sgd.lr": None}),
    ("momentum is increased from 0.5 to 0.9, lr 0.1", {"sgd.momentum": None, "sgd.lr": 0.1}),
]

ODD = [
    ("weight decay 5e, lr 0.1", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("weight decay of 5 x e-4, lr 0.1", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("weight decay e-4, lr 0.1", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("weight decay 5 10 - 4, lr 0.1", {"sgd.weight_decay": 0.0005, "sgd.lr": 0.1}),
    ("weight decay of 5-4, lr 0.1", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    ("权重衰减为5e^−4，学习率0.1", {"sgd.weight_decay": 0.0005, "sgd.lr": 0.1}),
    ("权重衰减为5^{-4}，学习率0.1", {"sgd.weight_decay": 0.0005, "sgd.lr": 0.1}),
    ("weight decay of  $5e^{-4}$ .", {"sgd.weight_decay": 0.0005}),
    ("learning rate of 10−7, momentum of 0.9", {"sgd.lr": 1e-07, "sgd.momentum": 0.9}),
    ("momentum 0,9 and lr 0,01", {"sgd.momentum": 0.9, "sgd.lr": 0.01}),
    ("the learning rate (default 0.1) is set to 0.05", {"sgd.lr": 0.05}),
    ("momentum (default: 0.9), lr 0.1", {"sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("weight decay 0.9 (only on weights), lr 0.1", {"sgd.weight_decay": 0.9}),
    ("SGD lr 0.1, weight decay factor 0.98", {"sgd.weight_decay": 0.02}),
    ("lr 0.1 without momentum and weight decay", {"sgd.momentum": 0.0, "sgd.weight_decay": 0.0}),
    ("lr 0.1, gradients are clipped to a norm of 5", {"train.clip_norm": 5}),
    ("学习率0.1，梯度裁剪阈值为5", {"train.clip_norm": 5}),
    ("gradient clipping (max norm 1.0), lr 0.1", {"train.clip_norm": 1.0}),
    ("lr 0.1, gradient values are clipped to [-1, 1]", {"train.clip_norm": None}),
    ("lr 0.1, EMA of weights with decay 0.999", {"train.ema": 0.999, "sgd.weight_decay": None}),
    ("lr 0.1, seed 42", {"sgd.lr": 0.1}),
    ("a learning rate of 0.1 is too high; momentum 0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    ("学习率为0.1时训练发散，动量0.9", {"sgd.lr": None, "sgd.momentum": 0.9}),
    (
        "Learning rate, weight decay, and momentum: 0.1, 1e-4, 0.9.",
        {"sgd.lr": 0.1, "sgd.weight_decay": 0.0001, "sgd.momentum": 0.9},
    ),
    ("lr = 1e-3 * 8 = 8e-3 for 8 GPUs", {"sgd.lr": 0.008}),
    ("η = 0.1, µ = 0.9, λ = 5 × 10⁻⁴", {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005}),
    ("𝜂 = 0.1, 𝜇 = 0.9", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    ("权重衰减为10的-4次方，学习率初始化为10的-2次方", {"sgd.weight_decay": 0.0001, "sgd.lr": 0.01}),
    ("learning rate of 10−4, weight decay of 10−4.", {"sgd.lr": 0.0001, "sgd.weight_decay": 0.0001}),
    ("weight decay of 5−4 or 2−4, momentum 0.9", {"sgd.weight_decay": None, "sgd.momentum": 0.9}),
    ("Learning rate decay: decay of rate 0.9; weight decay 1e-4; lr 0.1", {"sgd.weight_decay": 0.0001}),
]


@pytest.mark.parametrize(("text", "expected"), OTHERS, ids=[text for text, _ in OTHERS])
def test_another_concepts_number_is_not_taken(text, expected):
    """Batch normalisation, a teacher, dropout and the like keep theirs."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), UNCOUNTED, ids=[text for text, _ in UNCOUNTED])
def test_no_length_is_counted_in_examples_or_parts(text, expected):
    """What counts epochs or steps takes no period in examples and no percentage; nothing is raised."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), SEVERAL, ids=[text for text, _ in SEVERAL])
def test_a_choice_or_a_range_is_no_value(text, expected):
    """What is searched over, or lies between two numbers, is left unused."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), FORMULAS_AND_NAMES, ids=[text for text, _ in FORMULAS_AND_NAMES])
def test_formulas_subscripts_and_references(text, expected):
    """Numbers within them are no settings, and do not hide those that are."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), ODD, ids=[text for text, _ in ODD])
def test_odd_and_broken_numbers(text, expected):
    """A broken power is never read as its mantissa; what is plain nonetheless is read."""
    assert unlike(text, expected) == []
