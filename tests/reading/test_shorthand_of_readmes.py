"""Shorthand of READMEs: lists and tables with signs and arrows, such as "÷10 @ 30, 60", "x0.1 after 80", "0.2 -> 0.02"."""

import pytest

from reading.neighbours import amiss, faults, periods, plateau, steps

DROPS = [
    ("LR 0.1 decayed ×10 at epochs 100 and 150 over 200 epochs", steps(0.1, 0.1, [100, 150], epochs=200)),
    ("LR 0.1 (reduced /5 at epochs 60 and 120)", steps(0.1, 0.2, [60, 120])),
    ("* LR: 1e-1, decay x0.1 every 30 epochs", periods(0.1, 0.1, 30)),
    ("Initial LR 0.01, dropped ×10 every 20 epochs", periods(0.01, 0.1, 20)),
    ("| LR decay | ×0.01 after epoch 160; ×0.0001 after epoch 180 |\n| LR | 0.1 |", steps(0.1, 0.01, [160, 180])),
    ("| LR decay | ×0.1 after 80, ×0.01 after 120, ×0.001 after 160 epochs |\n| LR | 1e-3 |",
     steps(1e-3, 0.1, [80, 120, 160])),
    ("SGD\n- LR 0.1, divided by 10 at 32k and 48k iterations, stop at 64k\n  (164 epochs or so)",
     {"initial": 0.1, "factor": 0.1, "milestones": [32000, 48000], "unit": "step", "schedule": "multistep", "steps": 64000, "epochs": 164}),
    ("LR 0.01. The learning rate is dropped by a factor of 0.1 (LR_GAMMA) every 5 epochs (LR_STEP_SIZE).",
     periods(0.01, 0.1, 5)),
    ("lr 0.001 for the first ~60k iterations then 0.0001 for ~20k more (as in the paper)",
     steps(0.001, 0.1, [60000], "step", steps=80000)),
    ("Trained for 25 epochs with a learning rate of 1e-4.\nThe learning rate was lowered to 1e-5 for the last 5 epochs.",
     steps(1e-4, 0.1, [20], epochs=25)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), DROPS, ids=[text for text, _ in DROPS])
def test_drops(text, expected):
    """A sign behind a verb of falling, powers of one multiplier, a length behind an end."""
    assert faults(text, expected) == []


PARTS = [
    ("Optimizer: SGD\nLearning rate schedule: multi-step decay (0.2 -> 0.02 -> 0.002)",
     {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.2, "sgd.lr.factor": 0.1}),
    ("- lr: 1e-1 -> 1e-2 -> 1e-3 (epochs 80, 120)", {"sgd.lr.initial": 0.1, "sgd.lr.factor": 0.1, "train.epochs": None}),
    ("- SGD, 100 epochs\n- **Learning Rate**: 0.01 with MultiStepLR scheduler",
     {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.01}),
    ("| Learning rate | 0.005, StepLR (step 8, γ 0.1) |\n| Epochs | 20 |",
     {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.1, "sgd.lr.every": 8, "sgd.lr.unit": "epoch", "train.epochs": 20}),
    ("LR Scheduler: StepLR with step 5 and decay 0.5. LR 0.01", {"sgd.lr.rate": 0.5, "sgd.lr.every": 5}),
    ("Scheduler: StepLR (γ=0.1, step size 30 epochs), LR 0.1",
     {"sgd.lr.rate": 0.1, "sgd.lr.every": 30, "train.epochs": None}),
    ("LR schedule: 0.1 with decay at (100, 150)", {"sgd.lr.initial": 0.1, "sgd.lr.milestones": [100, 150]}),
    ("- Training optimizer: SGD, momentum 0.9.\n- Epochs: 200 for CIFAR, 90 for SVHN.\n- LR schedule:\n  - CIFAR: 0.1 with decay at (100, 150)\n  - SVHN: 0.01 with decay at (100, 150)",
     {"sgd.lr.initial": 0.1, "sgd.lr.milestones": [100, 150]}),
    ("SGD, learning rate 0.1, linearly decayed at every epoch, 100 epochs", {"sgd.lr.schedule": "linear", "sgd.lr.every": None}),
    ("AdamW with OneCycle, a maximum of 1e-3 and a 15% warm-up phase for 20k updates",
     {"sgd.lr.schedule": "onecycle", "sgd.lr.pct_start": 0.15}),
    ("The learning rate follows a OneCycle schedule with a maximum of 0.4 and a 30% warm-up phase",
     {"sgd.lr.peak": 0.4, "sgd.lr.pct_start": 0.3}),
    ("Step-down schedule (SGD, LR 0.1 ÷10 at epochs 100 and 150); also a one-cycle schedule",
     {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1}),
    ("SGD, lr 0.1, divided by 10 at epochs 81 and 122. For the deepest net use --warmup-epochs 1.",
     {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 1, "sgd.lr.then.milestones": [81, 122], "sgd.lr.then.factor": 0.1}),
    ("SGD, weight decay 1e-4 (no decay on BN γ,β or biases)", {"sgd.weight_decay": 1e-4, "groups.0.weight_decay": 0.0}),
    ("SGD. One epoch consists of 150 mini-batches, where each mini-batch is 12 samples.", {"data.batch_size": 12}),
    ("lr 0.01. The batch size can be set as 128 Number of epochs can be set as 10.", {"train.epochs": 10}),
    ("SGD, lr 0.1\n| Epochs | 30 |\n| Log Frequency | 25 steps |", {"train.epochs": 30, "train.steps": None}),
    ("lr 0.001\n- Save interval: 1000 steps\n- Print frequency: 100 iterations", {"train.steps": None}),
    ("lr 0.1, warmup: none, ÷10 at epochs 30, 60", {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1}),
    ("| LR | 0.1 ÷10 at epochs 30, 60 |\n| Warmup | — |\n| Nesterov | no |",
     {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.nesterov": False}),
    ("Adam (lr=0.001)\nLR schedule:\n   - ÷10 at epoch 12 (lr=0.0001)\n   - ÷10 at epoch 24 (lr=0.00001)",
     {"sgd.lr.initial": 0.001, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [12, 24]}),
    ("Notes:\n  - Window 100, stride 50\n  - Loss: 1 * A + 5 * B\n  - Adam, lr=1e-3, step LR ÷10 at epochs 30 and 45\n  - Batch 256, epochs 80",
     {"sgd.lr.initial": 1e-3, "sgd.lr.milestones": [30, 45], "train.epochs": 80, "data.batch_size": 256}),
    ("- LR scheduler: MultiStepLR([60, 120, 160], γ=0.2), lr 0.1", {"sgd.lr.factor": 0.2, "sgd.lr.initial": 0.1}),
    ("- Optimizer: AdamW (lr=1e-4, weight_decay=1e-3)\n- Scheduler: OneCycleLR (max_lr=1e-3)\n- Epochs: 40 (as a rule)",
     {"sgd.lr.schedule": "onecycle", "sgd.lr.peak": 1e-3}),
    ("- LR schedule: linear warmup (0 → 1e-4 over 2,000 steps) + cosine decay (1e-4 → 1e-5)",
     {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 2000, "sgd.lr.then.final": 1e-5, "train.steps": None}),
    ("LR: 1e-2 (x0.1 / 20 epochs)", {"sgd.lr.rate": 0.1, "sgd.lr.every": 20, "train.epochs": None}),
    ("| Optimizer | SGD |\n| Learning rate | 0.01 |\n| Iterations | 20000 |", {"sgd.lr": 0.01, "train.steps": 20000}),
    ("- SGD, lr 0.1, cosine decay to 0.01 × peak over 20 epochs", {"sgd.lr.initial": 0.1, "sgd.lr.final": 0.001}),
    ("|LR schedule|0.1 → ÷10 when error plateaus|Common annealing|", {"sgd.lr": 0.1, "train.plateau.factor": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PARTS, ids=[text for text, _ in PARTS])
def test_parts(text, expected):
    """What rows, labels, brackets and arrows say."""
    assert amiss(text, expected) == []


PLATEAUS = [
    ("Learning rate 0.1. Reduce the learning rate by a factor of 0.1 after 10 epochs without validation-loss improvement.",
     plateau(0.1, 0.1, 10, "loss")),
    ("lr 1e-3, ×0.5 after 4 epochs with no val-accuracy improvement", plateau(1e-3, 0.5, 4, "accuracy")),
    ("LR 0.01. No improvement for 5 epochs → lr multiplied by 0.1. The lr is never reduced below `1e-6`.",
     plateau(0.01, 0.1, 5, **{"plateau.min_lr": 1e-6})),
    ("Learning rate 0.001, reduced 10× when validation loss stalls for 3 epochs, never below 1e-6",
     plateau(1e-3, 0.1, 3, "loss", **{"plateau.min_lr": 1e-6})),
    ("- Scheduler: ReduceLROnPlateau (×0.5, patience = 5, min lr = 1e-6), lr 1e-3",
     plateau(1e-3, 0.5, 5, **{"plateau.min_lr": 1e-6})),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PLATEAUS, ids=[text for text, _ in PLATEAUS])
def test_plateaus(text, expected):
    """What is watched stands within the words for its stall; a floor is said by what the rate never does."""
    assert faults(text, expected) == []
