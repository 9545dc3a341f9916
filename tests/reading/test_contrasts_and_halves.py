"""What a sentence says of others before its own, optimizers that are switched, halves, and periods of a bare decay."""

import pytest

from downslope import read
from reading.neighbours import faults, periods, sequence, steps

WORDINGS = [
    ("The learning rate starts at 0.1 for 20 epochs, then lowered to 0.01 for 10 more epochs, and finally to 0.001 "
     "for the last 5", steps(0.1, 0.1, [20, 30])),
    ("We train with SGD at lr 0.2 for 30 epochs, then lowered to 0.04 for 20 epochs, and finally to 0.008 for the "
     "last 10.", steps(0.2, 0.2, [30, 50])),
    ("lr 0.05 for 40 epochs, then reduced to 0.01 for 20 more, and then to 0.001 for the last 10 epochs",
     sequence([0.05, 0.01, 0.001], [40, 60])),
    ("We use a learning rate of 0.1 with a decay of 0.5 every 20 epochs and SGD", periods(0.1, 0.5, 20)),
    ("RMSProp with a decay of 0.9, learning rate of 0.045 with a decay of 0.94 every 2 epochs",
     periods(0.045, 0.94, 2)),
    ("SGD, lr 0.1, cut lr in half every 15 epochs", periods(0.1, 0.5, 15)),
    ("cut the learning rate in half every 5k iterations, starting from 0.02", periods(0.02, 0.5, 5000, "step")),
    ("I use SGD lr 0.1 with `StepLR(step_size=30, gamma=0.1)`", periods(0.1, 0.1, 30)),
    ("SGD (lr=0.1) and `MultiStepLR(milestones=[30, 60], gamma=0.2)`", steps(0.1, 0.2, [30, 60])),
    ("The README says 90 epochs but I only did 30, SGD lr 0.1", {"lr": 0.1, "epochs": None}),
    ("The docs recommends a learning rate of 0.4, but I use 0.1 with SGD", {"lr": 0.1}),
    ("文献[5]采用0.1的学习率，本文为0.05，使用SGD", {"lr": 0.05}),
    ("文献[3]使用学习率0.01，而本文使用0.005，优化器为SGD。", {"lr": 0.005}),
    ("文献[12]的学习率为0.2，我们使用0.1，优化器为SGD。", {"lr": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WORDINGS, ids=[text for text, _ in WORDINGS])
def test_wordings(text, expected):
    """What the words say of the text's own training."""
    assert faults(text, expected) == []


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("We train 50 epochs, switching from Adam (1e-3) to SGD (0.1) halfway.", 0.1),
        ("We switched from Adam (lr 0.001) to SGD (lr 0.05) after 30 epochs", 0.05),
        ("After 10 epochs we change from RMSProp with lr 0.01 to SGD with lr 0.2.", 0.2),
    ],
)
def test_the_optimizer_that_is_given_up_has_no_field(text, rate):
    """The recipe is that of the last; a remark says that there is another training."""
    reading = read(text)[0]
    assert reading.optimizer == "sgd"
    assert (reading.fields["sgd.lr"].value if "sgd.lr" in reading.fields else None) == rate
    assert reading.remarks
