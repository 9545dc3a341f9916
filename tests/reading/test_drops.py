"""Drops of the learning rate in many word orders, ends of training, and schedules and lengths of other subjects."""

import pytest

from reading.neighbours import faults, periods, sequence, steps

ORDERS = [
    ("学习率0.01，在迭代60K和80K时分别除以10，共90K次迭代", steps(0.01, 0.1, [60000, 80000], "step", steps=90000)),
    ("初始学习率为0.01，并在迭代60K和80K时分别衰减0.1。", steps(0.01, 0.1, [60000, 80000], "step")),
    ("lr 0.1, divided by 10 at 50% and 75% of training, 300 epochs", steps(0.1, 0.1, [150, 225], epochs=300)),
    ("lr 0.1, multiplied by 0.2 after 30, 60 and 80 epochs respectively", steps(0.1, 0.2, [30, 60, 80])),
    ("learning rate 0.1, divided by 10 every 30 epochs", periods(0.1, 0.1, 30)),
    ("lr 0.256, decayed each 2.4 epochs by 0.97", periods(0.256, 0.97, 2.4)),
    ("epoch is 90, lr 0.1, LR schedule is at 30 60, gamma 0.1", {"schedule": "multistep", "initial": 0.1, "factor": 0.1, "milestones": [30, 60], "unit": "epoch", "epochs": 90}),
    ("lr 0.1, step decay at [30, 60, 90] with gamma 0.2", {"schedule": "multistep", "initial": 0.1, "factor": 0.2, "milestones": [30, 60, 90]}),
    ("lr of 0.1 with drops by a factor of 10 at epochs 30 and 60", steps(0.1, 0.1, [30, 60])),
    ("At epochs 150 and 250 the learning rate of 0.1 is divided by 10.", steps(0.1, 0.1, [150, 250])),
    ("After 40 and 60 epochs, we divide the learning rate by 10, starting from 0.05.", steps(0.05, 0.1, [40, 60])),
    ("SGD, learning rate 0.1 (x0.1 at epochs 30, 60, 90), 100 epochs", steps(0.1, 0.1, [30, 60, 90], epochs=100)),
    ("learning rate 0.1, milestones 60, 120, 160 and decay factor 0.2, 200 epochs", {"schedule": "multistep", "initial": 0.1, "factor": 0.2, "milestones": [60, 120, 160], "epochs": 200}),
    ("lr 0.1 /10 @ epochs 30, 60", {"schedule": "multistep", "initial": 0.1, "factor": 0.1, "milestones": [30, 60], "unit": "epoch"}),
    ("学习率为0.1，每隔30个epoch除以10", periods(0.1, 0.1, 30)),
    ("学习率为0.1，每2.4个epoch乘以0.97", periods(0.1, 0.97, 2.4)),
    ("学习率0.1，第30、60、90轮时乘0.1，共100轮", steps(0.1, 0.1, [30, 60, 90], epochs=100)),
    ("在训练的50%和75%处学习率除以10，初始值为0.1，共训练200轮", steps(0.1, 0.1, [100, 150], epochs=200)),
    ("初始学习率为0.001，当迭代到4万次和6万次时学习率分别乘以0.1", steps(0.001, 0.1, [40000, 60000], "step")),
    ("当epoch为30和60时，学习率0.1除以10", steps(0.1, 0.1, [30, 60])),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ORDERS, ids=[text for text, _ in ORDERS])
def test_word_order(text, expected):
    """The same drop, whichever way it is put."""
    assert faults(text, expected) == []


ENDS = [
    ("lr 0.1, training is stopped after 64k iterations", {"lr": 0.1, "steps": 64000}),
    ("lr 0.1. We terminate training at 64k iterations.", {"lr": 0.1, "steps": 64000}),
    ("lr 0.1. Training is terminated at the 64k-th iteration.", {"lr": 0.1, "steps": 64000}),
    ("lr 0.1. The training process is ended at the 50th epoch.", {"lr": 0.1, "epochs": 50}),
    ("lr 0.1 and training ends after 120 epochs", {"lr": 0.1, "epochs": 120}),
    ("lr 0.1; we stop training at epoch 80", {"lr": 0.1, "epochs": 80}),
    ("lr 0.1; training finishes at 30 epochs", {"lr": 0.1, "epochs": 30}),
    ("lr 0.1; all models converge and are stopped at epoch 200", {"lr": 0.1, "epochs": 200}),
    ("lr 0.1, the whole training takes 100 epochs", {"lr": 0.1, "epochs": 100}),
    ("学习率0.1，训练过程结束于第32K次迭代", {"lr": 0.1, "steps": 32000}),
    ("学习率0.1，训练在第100轮结束", {"lr": 0.1, "epochs": 100}),
    ("学习率0.1，epoch总量为120", {"lr": 0.1, "epochs": 120}),
    ("学习率0.1，总迭代次数为30W次", {"lr": 0.1, "steps": 300000}),
    ("学习率0.1，共迭代9万次", {"lr": 0.1, "steps": 90000}),
    ("学习率0.1，训练到第50轮停止", {"lr": 0.1, "epochs": 50}),
    ("学习率0.1，迭代50000次后终止训练", {"lr": 0.1, "steps": 50000}),
    ("学习率为0.01，网络一共训练了80个周期", {"lr": 0.01, "epochs": 80}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ENDS, ids=[text for text, _ in ENDS])
def test_ends(text, expected):
    """Where training ends is how long it lasts."""
    assert faults(text, expected) == []


OTHERS = [
    ("lr 0.1 on CIFAR-10 and CIFAR-100 with ResNet-50, reporting top-5 error", {"lr": 0.1, "epochs": None, "steps": None}),
    ("We train ResNet-18, ResNet-34 and ResNet-50 with a learning rate of 0.1.", {"lr": 0.1}),
    ("ε of the policy decays from 1.0 to 0.1 over 1M steps; learning rate 0.00025", {"lr": 0.00025}),
    ("The learning rate is 0.1. The temperature is annealed from 5 to 0.5 over 50 epochs.", {"lr": 0.1}),
    ("The learning rate is 0.1. The dropout rate is increased linearly from 0 to 0.3 over the first 30 epochs.", {"lr": 0.1}),
    ("lr 0.01. The weight of the auxiliary loss is divided by 2 every 10 epochs.", {"lr": 0.01}),
    ("A constant learning rate of 0.01 is used. Smith et al. used a learning rate of 0.1, divided by 10 every 30 epochs, for 90 epochs.", {"lr": 0.01}),
    ("We use a fixed learning rate of 0.02. In contrast, the baseline decays its learning rate by 0.5 every 20 epochs.", {"lr": 0.02}),
    ("The backbone is pretrained for 300 epochs. We fine-tune with a learning rate of 0.01 for 20 epochs.", {"lr": 0.01, "epochs": 20}),
    ("lr 0.1; the discriminator is updated every 5 iterations", {"lr": 0.1}),
    ("lr 0.1; we evaluate every 10 epochs and save a checkpoint every 5 epochs", {"lr": 0.1}),
    ("lr 0.1; the momentum is increased from 0.5 to 0.9 over the first 10 epochs", {"lr": 0.1}),
    ("学习率0.1，在CIFAR-10和CIFAR-100上使用ResNet-50", {"lr": 0.1, "epochs": None}),
    ("学习率0.1，每10轮在验证集上测试一次", {"lr": 0.1}),
    ("学习率为0.01。温度系数在前50轮从5线性降到0.5。", {"lr": 0.01}),
    ("学习率为0.01。文献[3]采用的学习率为0.1，每30轮衰减10倍。", {"lr": 0.01}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), OTHERS, ids=[text for text, _ in OTHERS])
def test_what_is_not_the_learning_rates(text, expected):
    """Nothing of another subject's schedule, of names, or of others' trainings is read."""
    assert faults(text, expected) == []


HELD = [
    (
        "We keep the learning rate of 0.1 constant for the first 50 epochs and then decay it linearly to 0 over the next 50 epochs.",
        sequence(
            [0.1, {"schedule": "linear", "initial": 0.1, "final": 0.0, "duration": 50, "unit": "epoch"}],
            [50],
            epochs=100,
        ),
    ),
    (
        "The learning rate of 0.2 is kept constant for the first 10 epochs, then a cosine schedule to 0 follows. We train for 60 epochs.",
        sequence(
            [0.2, {"schedule": "cosine", "initial": 0.2, "final": 0.0, "duration": 50, "unit": "epoch"}],
            [10],
            epochs=60,
        ),
    ),
    (
        "学习率0.1在前30轮保持不变，随后按余弦退火降至0，共训练100轮",
        sequence(
            [0.1, {"schedule": "cosine", "initial": 0.1, "final": 0.0, "duration": 70, "unit": "epoch"}],
            [30],
            epochs=100,
        ),
    ),
]


@pytest.mark.parametrize(("text", "expected"), HELD, ids=[text for text, _ in HELD])
def test_a_constant_phase_comes_before_a_schedule(text, expected):
    """The schedule counts from the end of the phase; its duration is what is left of the training."""
    assert faults(text, expected) == []
