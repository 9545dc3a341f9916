"""Words that a page took apart, ordinals of formulas, labels of experiments, and shorthand for times and levels."""

import pytest

from downslope import read
from reading.rows import same

CASES = [
    ("SGD op-\ntimizer with learn-\ning rate 0.1, mo- mentum 0.9, weight de-\ncay 1e-4.",
     {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4}),
    ("SGD. The batch size for all ex-\nperiments was set to 128.", {"data.batch_size": 128}),
    ("SGD lr 0.1, divided by 10 at the $150^{th}$ and $225^{\\text{th}}$ epochs", {"sgd.lr.milestones": [150, 225]}),
    ("SGD lr 0.1, divided by 10 at the 2$^{nd}$ and 3<sup>rd</sup> epoch", {"sgd.lr.milestones": [2, 3]}),
    ("SGD, weight decay $5 \\times e ^ { - 4 }$, lr 0.01", {"sgd.weight_decay": 5e-4}),
    ("Nesterov Momentum with a half-wave cosine annealing schedule and an initial LR of 0.1",
     {"sgd.momentum": None, "sgd.lr.schedule": "cosine"}),
    ("**Learning rate**: in experiment #1 we used SGD with lr 0.01", {"sgd.lr": 0.01}),
    ("SGD, lr 0.1, MultiStepLR epoch 20/30, 40 epochs", {"sgd.lr.milestones": [20, 30], "train.epochs": 40}),
    ("SGD, lr 0.1, lr decay: at 6 / 8 epochs", {"sgd.lr.milestones": [6, 8]}),
    ("SGD lr 0.1 for 40 epochs. Epoch 20/40: loss 0.5", {"sgd.lr.milestones": None, "train.epochs": 40}),
    ("SGD with lr 0.1, scaled down by a γ = 0.2 using a schedule of [60, 120, 160] epochs",
     {"sgd.lr.factor": 0.2, "sgd.lr.milestones": [60, 120, 160]}),
    ("sgd lr 0.1 for 30 epochs then 0.01 for 30 then 0.001 for 30", {"sgd.lr.milestones": [30, 60], "train.epochs": 90}),
    ("We start with lr=0.1, after 150 epochs 0.01, after 225 epochs 0.001, SGD.", {"sgd.lr.milestones": [150, 225]}),
    ("SGD lr 0.1, step 30/60/80, x0.1, 90ep", {"sgd.lr.milestones": [30, 60, 80], "sgd.lr.unit": "epoch"}),
    ("SGD for 160/80 epochs on CIFAR/SVHN, with lr 0.1 divided by 10 at epochs 80/40 and 120/60.",
     {"train.epochs": 160, "sgd.lr.milestones": [80, 120]}),
    ("SGD, lr 0.1. Warm-up: lr 0.01 until the training error is below 80% (about 400 iterations), then 0.1.", {"train.steps": None}),
    ("| | CIFAR | ImageNet |\n|---|---|---|\n| optimizer | SGD | Adam |\n| lr | 0.1 | 0.4 |\n| epochs | 200 | 90 |\n"
     "| schedule | multistep (100,150) | cosine |",
     {"sgd.lr.initial": 0.1, "train.epochs": 200, "sgd.lr.schedule": "multistep", "sgd.lr.milestones": [100, 150]}),
    ("lr is 1.0 between epochs 0 and 100. Decrease it to 0.1 between epochs 100 and 200, and to 0.01 at epoch 200. SGD",
     {"sgd.lr.milestones": [100, 200]}),
    ("Runs for 10000 steps, where the first 2000 are warm-up steps, SGD, lr 0.1", {"sgd.lr.duration": 2000}),
    ("`--warmup_epochs`: the number of epochs of warmup. SGD, lr 0.1", {"sgd.lr.schedule": None}),
    ("SGD, lr=0.1, decay at 150 and 225, 300 epochs", {"sgd.lr.milestones": [150, 225], "train.epochs": 300}),
    ("SGD, lr=0.1, decayed at 150 and 225, but the accuracy is 2% lower.", {"sgd.lr.milestones": [150, 225], "sgd.lr.factor": 0.1}),
    ("SGD lr 0.1; results after 30 epochs of training are shown; full training is 90 epochs.", {"train.epochs": 90}),
    ("SGD, lr 0.1, 300 epochs, whereas the original paper trained for 200 epochs.", {"train.epochs": 300}),
    ("SGD lr 0.1; batch sizes of 32, 64 and 128 give the same result.", {"data.batch_size": None}),
    ("SGD lr 0.1. Larger batch sizes (512) hurt; we use a batch size of 128.", {"data.batch_size": 128}),
    ("After testing learning rates of 0.001 and 0.005, we found that a learning rate of 0.0001 was better. SGD", {"sgd.lr": 0.0001}),
    ("With lr 0.1 the loss becomes nan after 200 iterations, with lr 0.01 it is ok. SGD", {"sgd.lr": 0.01}),
    ("Each model is trained for 350 epochs with SGD, lr 0.1. Change the training epochs to 60 or 30.", {"train.epochs": 350}),
    ("SGD lr 0.02; the lr is divided by 10 after 150 epochs of 300.", {"sgd.lr.milestones": [150], "train.epochs": 300}),
    ("SGD: lr 0.01 for backbone, 0.1 for head, both divided by 10 at epoch 30.", {"sgd.lr.initial": 0.01, "groups.0.lr": 0.1}),
    ("LR of 0.02, decreased by 0.1 after 60k and 80k iterations, terminates at 90k iterations. The long schedule reduces the "
     "LR by 0.1 at 100k and 120k iterations.", {"sgd.lr.milestones": [60000, 80000]}),
    ("All schedules use a 500 iteration linear learning rate warm up. SGD, lr 0.1", {"sgd.lr.duration": 500, "train.steps": None}),
    ("| batch size | integer | [8,256] | yes |", {"data.batch_size": None}),
    ("Constant learning rate 0.1, reduce every epoch when validation accuracy decreases", {"sgd.lr.every": None}),
    ("SGD, lr=0.045, and decrease the lr 0.98 for each epoch", {"sgd.lr.rate": 0.98, "sgd.lr.every": 1}),
    ("SGD lr 0.1; reduce the lr 0.001 each epoch", {"sgd.lr.rate": None}),
    ("lr = args.lr * (0.1 ^ (epoch // (args.epochs * 0.5))), SGD", {"sgd.lr.rate": None}),
    ("SGD: learning rate 10^-3 for the first 60k iterations, and 10^-4 and 10^-5 for the next two 30k iterations.",
     {"sgd.lr.milestones": [60000, 90000], "sgd.lr.factor": 0.1}),
    ("SGD: lr 0.1 for the first 100 epochs, and 0.01, 0.001 for the next 50 epochs each.",
     {"sgd.lr.milestones": [100, 150], "train.epochs": 200}),
    ("SGD, learning rate of 0.01 for the first 60k iterations, 0.001 between 60k and 80k, and 0.0001 in the last 10k",
     {"sgd.lr.milestones": [60000, 80000]}),
    ("In Experiment 1, we used a learning rate of 1e-4 for 20 epochs. Now we use lr 1e-4 for the first 25 epochs and then "
     "1e-6 for the next 5 epochs.", {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [25]}),
    ("SGD lr 0.1. We train for 200 and 100 epochs on CIFAR and ImageNet, respectively.", {"train.epochs": 200}),
    ("SGD, lr 0.1. We stop training when lr < 1e-6.", {"sgd.lr": 0.1, "train.plateau.min_lr": None}),
    ("Epochs: 1000 with early stopping (50 epochs patience), SGD lr 0.1", {"train.epochs": 1000}),
    ("SGD lr 0.05, random rescaling by 0.8 to 1.2, gradients clipped at 10", {"train.clip_norm": 10}),
    ("SGD lr 0.05. Clip the norm of the gradients (normalized by minibatch size) at 5",
     {"train.clip_norm": 5, "data.batch_size": None}),
    ("I tried using base_lr=0.008 and got 23.2% mAP. My schedule: Base_lr: 0.004, SGD", {"sgd.lr": 0.004}),
    ("For CIFAR100, we train for 240 epochs with SGD. The learning rate is 0.05 and divided by 10 at 150, 180, and 210 epochs. "
     "The batch size is 64.\n\nFor ImageNet, we train for 100 epochs. As the batch size is 512, the learning rate is "
     "initialized to 0.2 and divided by 10 for every 30 epochs.",
     {"sgd.lr.initial": 0.05, "sgd.lr.milestones": [150, 180, 210], "data.batch_size": 64, "train.epochs": 240}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_what_a_page_or_haste_has_changed(text, expected):
    """It is read as what it was; None: as nothing of the kind."""
    fields = read(text)[0].fields
    for path, value in expected.items():
        found = fields[path].value if path in fields else None
        assert found is None if value is None else same(found, value), (path, found)


VAIN = [
    "We use SGD with lr 0.1 for 90 epochs. We also tried a warmup of 5 epochs but it did not help.",
    "SGD, lr 0.1, 90 epochs. Warmup (5 epochs) brought no gain, so we do not use it.",
    "SGD, lr 0.1, 90 epochs. We found no benefit from learning-rate warmup.",
    "We found that warm-up is not needed for lr 0.1. We use SGD for 90 epochs.",
    "SGD, lr 0.1, 90 epochs. Adding a 5-epoch warm-up made training worse.",
]


@pytest.mark.parametrize("text", VAIN, ids=VAIN)
def test_a_warmup_in_vain_is_none(text):
    """The rate is constant for all epochs."""
    fields = read(text)[0].fields
    assert (fields["sgd.lr"].value, fields["train.epochs"].value) == (0.1, 90)


def test_brackets_around_a_warmup():
    """What stands behind them is the length of training."""
    fields = read("SGD lr 0.05, a cosine scheduler (with linear warmup) for 35 epochs")[0].fields
    assert fields["train.epochs"].value == 35
    assert "sgd.lr.duration" not in fields
