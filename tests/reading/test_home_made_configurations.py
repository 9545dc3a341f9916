"""Configurations of home-made systems: their own names, sections and levels of rates; values by hand."""

from __future__ import annotations

import pytest

from reading.neighbours import amiss

CONFIGURATIONS = {
    "sweep": (
        """\
program: train.py
method: grid
parameters:
  base_learning_rate:
    value: 0.4
  l2:
    value: 0.0001
  train_epochs:
    value: 90
  batch_size:
    value: 32
  momentum:
    value: 0.9
  seed:
    values: [42, 43, 44]
""",
        {"sgd.lr": 0.4, "sgd.weight_decay": 0.0001, "train.epochs": 90, "data.batch_size": 32, "sgd.momentum": 0.9},
    ),
    "one minus": (
        """\
learning_rate: 0.1
one_minus_momentum: 0.1
train_epochs: 200
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.epochs": 200},
    ),
    "train eval sampler": (
        """\
Optimizer:
  name: Momentum
  momentum: 0.9
LRScheduler:
  name: Cosine
  learning_rate: 0.003
DataLoader:
  Train:
    sampler:
      name: DistributedBatchSampler
      batch_size: 96
  Eval:
    sampler:
      batch_size: 32
""",
        {"data.batch_size": 96, "sgd.momentum": 0.9, "sgd.lr.initial": 0.003, "sgd.lr.schedule": "cosine"},
    ),
    "dash": (
        """\
python train.py -batch_size=1024 -lrn_rate=.2 -weight_decay=0
""",
        {"data.batch_size": 1024, "sgd.lr": 0.2, "sgd.weight_decay": 0},
    ),
    "--b": (
        """\
python main.py -a resnet50 --b 256 --lr 0.1 ./data
""",
        {"data.batch_size": 256, "sgd.lr": 0.1},
    ),
    "lr lists": (
        """\
optimizer_config: {
    optimizer: "momentum"
    lr_list: 1e-1
    lr_list: 1e-2
    lr_decay_steps: 40000
    max_train_steps: 60000
    batch_size: 32
    clip_norm: 5.0
}
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.milestones": [40000],
            "sgd.lr.factor": 0.1,
            "train.steps": 60000,
            "data.batch_size": 32,
            "train.clip_norm": 5,
        },
    ),
    "distiller": (
        """\
lr_schedulers:
  training_lr:
    class: ExponentialLR
    gamma: 0.95
policies:
  - lr_scheduler:
      instance_name: training_lr
    starting_epoch: 0
    ending_epoch: 50
    frequency: 1
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.95},
    ),
    "dict of steps": (
        """\
learning_rate:
  0: 0.1
  30: 0.01
  60: 0.001
epochs: 90
momentum: 0.9
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.milestones": [30, 60],
            "sgd.lr.factor": 0.1,
            "train.epochs": 90,
            "sgd.momentum": 0.9,
        },
    ),
    "a rate for each time": (
        """\
learning_rate:
  0: 0.1
  30: 0.01
  60: 0.001
epochs: 90
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.milestones": [30, 60],
            "sgd.lr.factor": 0.1,
            "train.epochs": 90,
        },
    ),
    "rows of a time and a rate": (
        """\
optimizer: sgd
schedule:
  - {epoch: 0, lr: 0.4}
  - {epoch: 25, lr: 0.08}
  - {epoch: 50, lr: 0.016}
epochs: 75
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.4,
            "sgd.lr.milestones": [25, 50],
            "sgd.lr.factor": 0.2,
            "train.epochs": 75,
        },
    ),
    "rows of a time and a rate, in Python": (
        """\
regime = [
    {'epoch': 0, 'optimizer': 'SGD', 'lr': 2e-1, 'momentum': 0.9, 'weight_decay': 2e-4},
    {'epoch': 40, 'lr': 2e-2},
    {'epoch': 60, 'lr': 2e-3},
]
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.2,
            "sgd.lr.milestones": [40, 60],
            "sgd.lr.factor": 0.1,
            "sgd.momentum": 0.9,
            "train.epochs": None,
        },
    ),
    "rates with their ends": (
        """\
training:
  optimizer: sgd
  lr: [[0.1, 30], [0.01, 60], [0.001, 90]]
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.milestones": [30, 60], "sgd.lr.factor": 0.1},
    ),
    "rates beside their times": (
        """\
training:
  lr: [0.2, 0.02, 0.002]
  lr_epochs: [30, 60]
  epochs: 90
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.2,
            "sgd.lr.milestones": [30, 60],
            "sgd.lr.factor": 0.1,
            "train.epochs": 90,
        },
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_home_made_configurations(name):
    """Each is read with the values that were worked out by hand; what is None is not read."""
    assert amiss(*CONFIGURATIONS[name]) == []
