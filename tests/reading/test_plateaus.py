"""Plateaus in their many wordings: the factor, the patience, what is watched, and where it ends."""

import pytest

from downslope import read
from reading.neighbours import faults, plateau

PLATEAUS = [
    ("The learning rate of 0.1 is divided by 10 when the validation loss stops improving.", plateau(0.1, 0.1, metric="loss")),
    ("learning rate 5e-4, halved when the loss does not decrease for 3 epochs", plateau(5e-4, 0.5, 3, "loss")),
    ("The learning rate is 0.01 and is multiplied by 0.5 once the validation accuracy saturates.", plateau(0.01, 0.5, metric="accuracy")),
    ("lr 0.1, halved after three successive epochs without improvement", plateau(0.1, 0.5, 3)),
    ("lr 0.1, halved after 5 consecutive epochs without improvement of the validation loss", plateau(0.1, 0.5, 5, "loss")),
    ("The learning rate is initially 0.01. If the validation loss does not improve for 10 epochs, the learning rate is reduced by a factor of 10.",
     plateau(0.01, 0.1, 10, "loss")),
    ("lr 0.1, reduced by a factor of 5 whenever the validation error has not decreased for four epochs", plateau(0.1, 0.2, 4, "accuracy")),
    ("learning rate of 1e-3 with a reduce-on-plateau scheduler (factor 0.5, patience 5)", plateau(1e-3, 0.5, 5)),
    ("learning rate 0.1, divided by 2 if there is no improvement in validation perplexity for two epochs", plateau(0.1, 0.5, 2, "loss")),
    ("We decrease the learning rate of 0.05 by a factor of 0.2 when the validation loss plateaus for 5 epochs, down to a minimum of 1e-6.",
     plateau(0.05, 0.2, 5, "loss", **{"plateau.min_lr": 1e-6})),
    ("The learning rate is 0.1. We lower it by 10 when the validation error stagnates. Training is stopped after 60 epochs.",
     plateau(0.1, 0.1, metric="accuracy", epochs=60)),
    ("Learning rate 0.1; when the training loss has not fallen for 8 epochs the rate is divided by ten. The data set has 10 classes.",
     plateau(0.1, 0.1, 8, "loss")),
    ("lr 0.1, multiplied by 0.1 whenever validation performance does not improve during 2 checkpoints", plateau(0.1, 0.1, 2, "accuracy")),
    ("SGD, lr 0.002, which is halved if the validation score is stuck for 3 evaluations", plateau(0.002, 0.5, 3, "accuracy")),
    ("learning rate of 10, reduced by a factor of 1/4 every time the validation perplexity increased", plateau(10, 0.25, metric="loss")),
    ("SGD lr 0.1; early stopping (patience = 20) and learning rate reduction (patience = 10, reduction factor = 0.5) based on validation loss",
     plateau(0.1, 0.5, 10, "loss")),
    ("SGD lr 0.1; learning rate reduction with a patience of 4 epochs and a factor of 0.5", plateau(0.1, 0.5, 4)),
    ("SGD lr 0.1; `ReduceLROnPlateauMultiple`, factor 0.1, patience 10", plateau(0.1, 0.1, 10)),
    ("lr 0.01, halved when the validation loss stops improving, and training stops early after 6 epochs without progress",
     plateau(0.01, 0.5, 10, "loss")),
    ("lr 0.01, halved whenever the training loss fails to improve for five epochs, with a floor of 1e-8",
     plateau(0.01, 0.5, 5, "loss", **{"plateau.min_lr": None})),
    ("学习率为0.1，验证损失不再下降时学习率除以10", plateau(0.1, 0.1, metric="loss")),
    ("初始学习率为0.01，若验证集准确率连续5轮没有提升，则学习率减半", plateau(0.01, 0.5, 5, "accuracy")),
    ("学习率0.001，当验证集损失在3个epoch内没有下降时，将学习率乘以0.1", plateau(0.001, 0.1, 3, "loss")),
    ("学习率设为0.01，连续10个epoch损失不下降则学习率衰减为原来的0.5", plateau(0.01, 0.5, 10, "loss")),
    ("学习率0.1，验证误差趋于平稳时学习率降低10倍", plateau(0.1, 0.1, metric="accuracy")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PLATEAUS, ids=[text for text, _ in PLATEAUS])
def test_plateaus(text, expected):
    """Each number is what it is to the plateau; the learning rate stays a constant."""
    assert faults(text, expected) == []


BROKEN = [
    ("lr 0.1, divided by 10 when the validation loss plateaus for half an epoch", plateau(0.1, 0.1, 10, "loss")),
    ("lr 0.1, halved when the loss does not improve for 10% of the training", plateau(0.1, 0.5, 10, "loss")),
    ("learning rate 0.1, divided by 10 on plateau with a patience of 0.5", plateau(0.1, 0.1, 10)),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN, ids=[text for text, _ in BROKEN])
def test_patience_is_whole(text, expected):
    """Half an epoch and a part of the training are no number of evaluations: the usual one is assumed."""
    assert faults(text, expected) == []
    assert read(text)[0].fields["train.plateau.patience"].provenance == "assumed"


EARLY = [
    (
        "lr 0.1, halved when the loss does not improve for 3 epochs, and training is stopped after 60 epochs",
        plateau(0.1, 0.5, 3, "loss", epochs=60),
    ),
    (
        "lr 0.1, divided by 10 at epochs 30 and 60; training stops if the loss does not improve for 5 epochs",
        {
            "schedule": "multistep",
            "initial": 0.1,
            "factor": 0.1,
            "milestones": [30, 60],
            "unit": "epoch",
            "epochs": None,
        },
    ),
    ("学习率0.1，损失3轮不下降时减半，训练到第50轮停止", plateau(0.1, 0.5, 3, "loss", epochs=50)),
    ("lr 0.1; training stops early if the validation loss does not improve for 10 epochs", {"lr": 0.1, "epochs": None}),
    ("lr 0.1, early stopping with a patience of 20 epochs, at most 200 epochs", {"lr": 0.1, "epochs": 200}),
    ("学习率0.1，若验证损失连续10轮不下降则提前停止训练", {"lr": 0.1, "epochs": None}),
    ("学习率0.1，早停耐心值为15，最多训练100轮", {"lr": 0.1, "epochs": 100}),
]


@pytest.mark.parametrize(("text", "expected"), EARLY, ids=[text for text, _ in EARLY])
def test_stops_and_plateaus_are_told_apart(text, expected):
    """An early stop is no plateau of the learning rate, nor is its patience the length of training."""
    assert faults(text, expected) == []
