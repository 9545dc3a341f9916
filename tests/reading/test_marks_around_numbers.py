"""Numbers within the markup of formulas and pages, indexes of symbols, keys beside values, and numbers of something else."""

from __future__ import annotations

import pytest

from reading.rows import unlike

POWERS = [
    (r"SGD, learning rate $1 \times 10 ^ { - 5 }$, momentum 0.9", 1e-5),
    (r"学习率设置为 $1\mbox{e$-$}5$，使用SGD", 1e-5),
    (r"SGD, the learning rate is $1\text{e-}3$", 1e-3),
    (r"SGD, the learning rate is $1\mathrm{e}{-3}$", 1e-3),
    ("Adam with a learning rate of 10−<sup>4</sup> , with a batch size of 2", 1e-4),
    ("SGD, base learning rate of 6.25×10−<sup>5</sup> , batch size 128", 6.25e-5),
    ("SGD, learning rate of 1×10<sup>−</sup><sup>3</sup>", 1e-3),
    ("SGD, learning rate of 10<sup>-3</sup>, weight decay 5 × 10<sup>−4</sup>", 1e-3),
    ("SGD 学习速率为2.5 × $10_{−4}$，训练网络250k次迭代", 2.5e-4),
    ("SGD 学习速率为2.5 × $10^{−5}$", 2.5e-5),
    (r"SGD, a learning rate of $10^{\mathrm{-4}}$", 1e-4),
    ("SGD, lr 0. 01 and momentum 0. 9.", 0.01),
    ("SGD, learning rate 0 _._ 001, momentum 0 _._ 9", 0.001),
    (r"SGD, learning rate $1{\rm e}{-5}$", 1e-5),
    ("SGD, learning rate 2.5 x 10_4", None),
    (r"SGD, learning rate 3 \mathcal{e-4}", None),
]
SYMBOLS = [
    (r"SGD, lr $\text{lr}_0 = 0.1$", {"sgd.lr": 0.1}),
    (r"SGD with $\eta_{0}=0.05$ and cosine annealing for 160 epochs", {"sgd.lr.initial": 0.05}),
    ("SGD lr 0.1, lr_{min} = 1e-5, cosine, 100 epochs", {"sgd.lr.initial": 0.1, "sgd.lr.final": 1e-5}),
    ("SGD lr 0.1, cosine decay to lr_f = 0.01, 100 epochs", {"sgd.lr.initial": 0.1, "sgd.lr.final": 0.01}),
    (r"SGD, learning rate 0.1, decays to $\alpha_T = 0.001$ at epoch 50", {"sgd.lr.factor": 0.01}),
    ("SGD lr 0.1, drops to lr_1 = 0.01 at epoch 30", {"sgd.lr.factor": 0.1, "sgd.lr.milestones": [30]}),
    ("SGD，学习率$\\eta_1=0.01$，动量$m_1=0.9$", {"sgd.lr": 0.01, "sgd.momentum": 0.9}),
    ("UCF v2和Jester的初始学习率为0.01，使用SGD", {"sgd.lr": 0.01}),
]
KEYS = [
    ("SGD lr=0.1 bs=128 epochs=200 cosine", {"data.batch_size": 128, "train.epochs": 200}),
    ("SGD lr=0.1 batch=64 epochs=90 momentum=0.9", {"data.batch_size": 64, "train.epochs": 90}),
    ("batch_size: 128 epochs: 90 lr: 0.1 SGD", {"data.batch_size": 128, "train.epochs": 90}),
    ("SGD lr=0.01, epoch<=150", {"train.epochs": 150}),
    ("SGD，lr=0.01，epochs≤150", {"train.epochs": 150}),
]
ANOTHERS = [
    ("RMSProp with a learning rate of 0.0025; the discount factor is γ = 0.99", {"sgd.lr": 0.0025}),
    ("SGD, lr 0.1, 折扣因子γ为0.99", {"sgd.lr": 0.1}),
    ("The learning rate is 0.01 and gamma = 0.95", {"sgd.lr": 0.01}),
    ("SGD, gradient clipping (with T = 8), learning rate 0.1", {"sgd.lr": 0.1, "train.clip_norm": None}),
    ("每个GPU处理8个视频clip（当T=8时），SGD初始学习率为0.01", {"sgd.lr": 0.01, "train.clip_norm": None}),
    ("用SGD训练200个epoch。重复实验10次。学习率0.1", {"train.epochs": 200, "train.steps": None}),
    ("SGD，学习率0.1，测试时采样10次，训练90轮", {"train.epochs": 90, "train.steps": None}),
    ("The momentum of the memory bank is 0.99. SGD with momentum 0.9, lr 0.03", {"sgd.momentum": 0.9}),
    ("动量更新系数m设为0.999。优化器使用SGD，动量为0.9，学习率0.03", {"sgd.momentum": 0.9}),
    ("SGD, linear warmup to the initial learning rate of 0.1 in 5 epochs", {"train.epochs": None}),
    ("SGD, lr 0.1, divided by 10 at the beginning of the 10th epoch", {"train.epochs": None}),
    ("SGD with lr 0.1 at training epochs 30, 60 divided by 10", {"train.epochs": None}),
    ("SGD with momentum 0.9 and lr 0.1; loss weights are λ = 0.5 and μ = 10", {"sgd.weight_decay": None}),
    ("The loss is L = L1 + λ L2 with λ=0.1. SGD lr 0.01", {"sgd.weight_decay": None, "sgd.lr": 0.01}),
    ("SGD, lr 0.01; the weight of the L2 loss is 10", {"sgd.weight_decay": None, "sgd.lr": 0.01}),
    ("SGD, lr 0.01 and λ = 0.0005", {"sgd.weight_decay": 0.0005}),
    ("PGD attack with 10 steps and step size 2/255; SGD lr 0.1 for 100 epochs", {"sgd.lr": 0.1, "train.steps": None}),
    ("SGD lr 0.01, step size 2/255, 10 steps PGD, 100 epochs", {"sgd.lr": 0.01, "train.epochs": 100}),
    ("SGD lr 0.1, momentum 0.999 for the encoder", {"sgd.lr": 0.1, "sgd.momentum": None}),
    ("In [3], SGD with lr 0.1 was used. We use SGD with lr 0.2.", {"sgd.lr": 0.2}),
    ("将学习率从0.1改为0.01后，精度提升。SGD", {"sgd.lr.schedule": None}),
    ("batch size 2 (per GPU) with 8 GPUs, SGD lr 0.02", {"data.batch_size": 16}),
    ("The lr is divided by 2 every 25k iterations from 100k iterations on, SGD lr 0.001", {"train.steps": None}),
    ("SGD lr 0.1 with momentum .9 for 50 epochs then 1e-3 for 50 more", {"train.epochs": None}),
]


@pytest.mark.parametrize(("text", "rate"), POWERS, ids=[text for text, _ in POWERS])
def test_powers_within_markup(text, rate):
    """A power is read through its markup, and never as its mantissa."""
    assert unlike(text, {"sgd.lr": rate}) == []


@pytest.mark.parametrize(("text", "expected"), SYMBOLS, ids=[text for text, _ in SYMBOLS])
def test_an_index_is_no_value(text, expected):
    """The number below a symbol is a part of its name."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), KEYS, ids=[text for text, _ in KEYS])
def test_a_key_is_no_unit(text, expected):
    """What follows a value with a sign of its own begins the next."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), ANOTHERS, ids=[text for text, _ in ANOTHERS])
def test_numbers_of_something_else(text, expected):
    """Repetitions, other symbols, other momenta and parts of a training keep their numbers."""
    assert unlike(text, expected) == []
