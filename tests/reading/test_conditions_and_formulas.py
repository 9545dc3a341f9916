"""Rates by conditions, lists in brackets, inverse formulas, Keras's decay, and powers of Python, worked out by hand."""

import pytest

from downslope import read
from reading.neighbours import differences, faults, periods, steps, warmup

RATES = [
    ("step-wise decay: lr=0.1 for steps<40k; 0.01 for 40k<=steps<60k; 0.001 otherwise; SGD", steps(0.1, 0.1, [40000, 60000], "step")),
    ("SGD, lr = 0.2 if epoch < 40, 0.04 if 40 <= epoch < 80, else 0.008", steps(0.2, 0.2, [40, 80])),
    ("lr: 0.1 (epoch<80), 0.01 (80<=epoch<120), 0.001 (epoch>=120), SGD", steps(0.1, 0.1, [80, 120])),
    ("学习率：epoch<30时为0.1，30≤epoch<60时为0.01，epoch≥60时为0.001，SGD", steps(0.1, 0.1, [30, 60])),
    ("SGD lr=0.01, epoch<=150", {"lr": 0.01, "epochs": 150}),
    ("after 10k steps I lower the learning rate from 3e-3 to 3e-4 and after 20k to 3e-5. SGD.", steps(3e-3, 0.1, [10000, 20000], "step")),
    ("SGD, lr=0.1 dropping to 0.01 at epoch 100 and 0.001 at 150, 200 epochs total.", steps(0.1, 0.1, [100, 150], epochs=200)),
    ("SGD lr 0.1 divided by 5 at 60, 120, 160, 200 epochs total", steps(0.1, 0.2, [60, 120, 160], epochs=200)),
    ("SGD, lr [0.1, 0.02, 0.004] at epochs [0, 60, 120], total of 160 epochs", steps(0.1, 0.2, [60, 120], epochs=160)),
    ("SGD lr 0.4, divided by 10 at steps [30000, 60000]", steps(0.4, 0.1, [30000, 60000], "step")),
    ("Total epochs 36; LR 0.01; LR steps 24 and 33; factor 0.2; SGD", steps(0.01, 0.2, [24, 33], epochs=36)),
    ("optimizer: sgd lr: 0.1 momentum: 0.9 epochs: 160 lr_steps: [80, 120] lr_gamma: 0.3", steps(0.1, 0.3, [80, 120], epochs=160)),
    ("learning rate lr = 0.1 * 0.2 ** (epoch // 30); SGD", periods(0.1, 0.2, 30)),
    ("LR schedule [(0, 0.1), (80, 0.01), (120, 0.001)], SGD", steps(0.1, 0.1, [80, 120])),
    ("boundaries and lr: (3000, 0.01) (6000, 0.001), SGD initial lr 0.1", steps(0.1, 0.1, [3000, 6000], "step")),
    ("Every 50 epochs the lr (initially 0.03) drops to a third. SGD", periods(0.03, 1 / 3, 50)),
    ("When I change the learning rate from 0.1 to 0.01 with SGD the accuracy improves", {"schedule": None, "lr": None}),
    ("SGD. LR: 0.1 (cosine to 0). Epochs: 100.", {"schedule": "cosine", "initial": 0.1, "final": 0, "epochs": 100}),
    ("SGD lr 0.1, batch 20, bptt 35, 40 epochs", {"lr": 0.1, "epochs": 40}),
    ("an initial rate of 0.08, SGD (B = 10, 30 epochs)", {"lr": 0.08, "epochs": 30}),
    ("After a warm-up phase of 1000 iterations with lr 1e-4, lr is 1e-2. SGD", warmup(1000, "step", start=1e-4, then=1e-2)),
    ("最初的学习率被设定为0.002。在80个epochs后，我们以0.1的倍数减少它。SGD", steps(0.002, 0.1, [80])),
    ("学习率每30轮以0.5的倍数降低，SGD 学习率0.1", periods(0.1, 0.5, 30)),
    ("固定学习率到conv3-1。初始学习率设置为0.004，并在18K迭代后减小10倍。SGD", steps(0.004, 0.1, [18000], "step")),
    ("SGD, lr 0.01, after 20 epochs without progress on the validation set the learning rate is divided by 2",
     {"lr": 0.01, "plateau.factor": 0.5, "plateau.patience": 20}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), RATES, ids=[text for text, _ in RATES])
def test_rates(text, expected):
    """Each rate begins where its condition, its bracket or its formula says."""
    assert faults(text, expected) == []


INVERSE = [
    ("lr_t = 0.1/(1+0.001 t), SGD", 0.1, 0.001, "step"),
    ("SGD, the learning rate is lr0 / (1 + 1e-4 * iter) with lr0 = 0.01", 0.01, 1e-4, "step"),
    ("we use η_t = η_0/(1+γ t) with η_0 = 0.2 and γ = 0.03, SGD", 0.2, 0.03, "step"),
    ("学习率为 0.05/(1+0.01*epoch)，SGD", 0.05, 0.01, "epoch"),
    ("SGD with inverse time decay: initial 0.1, decay rate 0.5, decay steps 1000", 0.1, 0.0005, "step"),
    ("SGD, lr 0.1, lr decay of 1e-6 per update", 0.1, 1e-6, "step"),
    ("SGD with learning rate decay of 5e-7, lr 0.001", 0.001, 5e-7, "step"),
    ("optimiser SGD, lr 0.01, decayed with 1e-5 per update", 0.01, 1e-5, "step"),
]


@pytest.mark.parametrize(("text", "initial", "gamma", "unit"), INVERSE)
def test_inverse_decays(text, initial, gamma, unit):
    """As a formula, by rate and steps, and as the decay of Keras and Torch7, which is too small for a factor."""
    fields = read(text)[0].fields
    rate = {name: fields[f"sgd.lr.{name}"].value for name in ("schedule", "initial", "gamma", "unit")}
    assert rate == {"schedule": "inverse", "initial": initial, "gamma": pytest.approx(gamma), "unit": unit}
    assert "sgd.lr.rate" not in fields
    assert read(text)[0].unread == []


def test_the_decay_of_keras_is_remarked_on():
    """It is told that no factor was meant, in both languages."""
    assert any("lr / (1 + decay * step)" in one for one in read("SGD, lr 0.1, lr decay of 1e-6 per update")[0].remarks)
    assert any("不是倍数" in one for one in read("SGD，学习率0.1，学习率衰减1e-6", language="zh")[0].remarks)


def test_a_rate_scaled_linearly_is_no_linear_schedule():
    """The rule of the batch size, with both rates told."""
    text = "we linearly scale the lr: 0.1 for batch of 256, so 1.6 for batch size 4096. SGD 90 epochs"
    fields = read(text)[0].fields
    assert "sgd.lr.schedule" not in fields
    assert (fields["sgd.lr"].value, fields["data.batch_size"].value) == (pytest.approx(1.6), 4096)


def test_a_batch_of_each_named_device():
    """V100s are devices, too."""
    text = "Trained on 4 V100s with batch size 64 each, SGD with lr 0.2"
    assert read(text)[0].fields["data.batch_size"].value == 256


@pytest.mark.parametrize("text", ["SGD with lr **0.1** (epoch 30: 0.01), momentum **0.9** (nesterov)"])
def test_emphasis_is_no_power(text):
    """Stars around a number, whatever stands behind them."""
    assert differences(text, {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.nesterov": True}) == []


def test_levels_that_one_factor_gives_are_not_listed_as_unused():
    """0.01 and 0.001 are what 0.1 falls to."""
    assert read("SGD, lr = 0.1 if epoch < 30, 0.01 if 30 <= epoch < 60, else 0.001")[0].unread == []
