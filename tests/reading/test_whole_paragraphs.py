"""Whole paragraphs, some telling of two trainings: the first is read, and the other is remarked upon, never mixed in."""

from __future__ import annotations

import pytest

from downslope import read
from reading.rows import same

DENSENET = (
    "On CIFAR and SVHN we train using batch size 64 for 300 and 40 epochs, respectively. The initial learning rate is set to 0.1, "
    "and is divided by 10 at 50% and 75% of the total number of training epochs. On ImageNet, we train models for 90 epochs with a "
    "batch size of 256. The learning rate is set to 0.1 initially, and is lowered by 10 times at epoch 30 and 60. We use a weight "
    "decay of 10^-4 and a Nesterov momentum of 0.9 without dampening."
)
WIDE = (
    "In all our experiments we use SGD with Nesterov momentum. The initial learning rate is set to 0.1, weight decay to 0.0005, "
    "dampening to 0, momentum to 0.9 and minibatch size to 128. On CIFAR learning rate is dropped by 0.2 at 60, 120 and 160 epochs "
    "and we train for total 200 epochs. On SVHN initial learning rate is set to 0.01 and we drop it at 80 and 120 epochs by 0.1, "
    "training for total 160 epochs."
)
SEQUENCE = (
    "We used SGD without momentum, with a fixed learning rate of 0.7. After 5 epochs, we began halving the learning rate every half "
    "epoch. We trained our models for a total of 7.5 epochs. We used batches of 128 sequences for the gradient and divided it by the "
    "size of the batch. We enforced a hard constraint on the norm of the gradient by scaling it when its norm exceeded a threshold: 5."
)
PARAGRAPHS = [
    (
        DENSENET,
        {
            "data.batch_size": 64,
            "train.epochs": 300,
            "sgd.lr.milestones": [150, 225],
            "sgd.lr.factor": 0.1,
            "sgd.weight_decay": 1e-4,
            "sgd.dampening": 0.0,
        },
    ),
    (
        WIDE,
        {
            "sgd.lr.milestones": [60, 120, 160],
            "sgd.lr.factor": 0.2,
            "sgd.lr.initial": 0.1,
            "train.epochs": 200,
            "sgd.weight_decay": 5e-4,
            "sgd.dampening": 0.0,
            "sgd.momentum": 0.9,
            "data.batch_size": 128,
        },
    ),
    (
        SEQUENCE,
        {
            "sgd.momentum": 0.0,
            "sgd.lr.milestones": [5, 5.5, 6, 6.5, 7],
            "train.epochs": 7.5,
            "data.batch_size": 128,
            "train.clip_norm": 5.0,
        },
    ),
]


@pytest.mark.parametrize(("text", "expected"), PARAGRAPHS, ids=["DenseNet", "Wide ResNet", "seq2seq"])
def test_a_paragraph_is_read(text, expected):
    """Each field of the first training has its value, worked out by hand."""
    fields = read(text)[0].fields
    for path, value in expected.items():
        assert same(fields[path].value, value), (path, fields[path])


@pytest.mark.parametrize(
    ("text", "words"), [(DENSENET, "at epoch 30 and 60"), (WIDE, "80 and 120 epochs")], ids=["DenseNet", "Wide ResNet"]
)
def test_the_other_training_is_remarked_upon(text, words):
    """What the second training does is quoted in a remark."""
    assert any(words in remark for remark in read(text)[0].remarks)
