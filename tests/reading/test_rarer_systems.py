"""Configurations with headings, phases and composed schedules, and programs of rarer systems: what each says."""

import pytest

from reading.neighbours import differences

CASES = {
    "heading in yaml": (
        """\
### other config
epoch: 240
LearningRate:
  base_lr: 0.01
  schedulers:
  - !PiecewiseDecay
    gamma: 0.1
    milestones: [160]
  - !LinearWarmup
    start_factor: 0.001
    steps: 1000
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "train.epochs": 240,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.01,
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.milestones": [160],
        },
    ),
    "phases with lengths": (
        """\
phases:
  - {lr: 0.001, iters: 60000}
  - {lr: 0.0001, iters: 20000}
momentum: 0.9
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.001, "sgd.lr.milestones": [60000], "sgd.momentum": 0.9},
    ),
    "runs of their own": (
        """\
runs:
  - {name: a, lr: 0.1, epochs: 90}
  - {name: b, lr: 0.2, epochs: 30}
""",
        {"sgd.lr": 0.1, "train.epochs": 90},
    ),
    "composite from lr to lr": (
        """\
{"optimizer": {"name": "sgd", "momentum": 0.9, "param_schedulers": {"lr": {"name": "composite", "schedulers": [
  {"name": "linear", "start_lr": 0.1, "end_lr": 0.4},
  {"name": "multistep", "values": [0.4, 0.04, 0.004], "milestones": [30, 60]}],
  "lengths": [0.05, 0.95]}}}}
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.start": 0.1,
            "sgd.momentum": 0.9,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.4,
            "sgd.lr.then.milestones": [30, 60],
        },
    ),
    "clip by norm": (
        """\
SOLVER:
  BASE_LR: 0.01
  MAX_ITER: 9000
  CLIP_GRADIENTS:
    CLIP_TYPE: "norm"
    CLIP_VALUE: 1.0
""",
        {"sgd.lr": 0.01, "train.steps": 9000, "train.clip_norm": 1},
    ),
    "inverse of Torch7": (
        """\
local state = {
  learningRate = 0.1,
  learningRateDecay = 1e-4,
  momentum = 0.9
}
optim.sgd(feval, params, state)
""",
        {"sgd.lr.schedule": "inverse", "sgd.lr.initial": 0.1, "sgd.lr.gamma": 1e-4, "sgd.momentum": 0.9},
    ),
    "MXNet in R": (
        """\
model <- mx.model.FeedForward.create(net, X=x, y=y, num.round=30, array.batch.size=100, learning.rate=0.05,
  momentum=0.9)
""",
        {"train.epochs": 30, "data.batch_size": 100, "sgd.lr": 0.05, "sgd.momentum": 0.9},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_stated(name):
    """Every value that is stated, and no other, is what the text says."""
    assert not differences(*CASES[name])
