"""Warmups in their many wordings: how long, from where; and lengths that are none of the warmup's."""

import pytest

from reading.neighbours import faults, warmup

WARMUPS = [
    ("The learning rate is linearly increased from 0.01 to 0.1 in the first 5 epochs.", warmup(5, start=0.01, then=0.1)),
    ("The learning rate is increased from 0 to 0.4 in the first training epoch and then decayed to 0 with a cosine schedule over 30 epochs.",
     {"schedule": "warmup", "duration": 1, "unit": "epoch", "start": 0.0, "then.schedule": "cosine", "then.initial": 0.4, "then.final": 0.0, "then.duration": 30, "then.unit": "epoch", "epochs": 31}),
    ("learning rate 0.1, cosine schedule with a 5-epoch warm-up, 100 epochs",
     {**warmup(5), "then.schedule": "cosine", "then.initial": 0.1, "then.duration": 95, "then.unit": "epoch", "epochs": 100}),
    ("The learning rate of 0.1 is warmed up linearly over 5 epochs.", warmup(5, then=0.1)),
    ("The first 500 iterations ramp the learning rate up to 0.02.", warmup(500, "step", then=0.02)),
    ("We warm up for 1000 iterations, starting from 1/10 of the base learning rate of 0.01.", warmup(1000, "step", start=0.001, then=0.01)),
    ("base learning rate 0.02; linear warmup during the first 500 iterations from 0.001 of it", warmup(500, "step", then=0.02, start=2e-5)),
    ("Training lasts 300 epochs with a learning rate of 0.1 and a warmup ratio of 0.1.", warmup(30, then=0.1, epochs=300)),
    ("We use a linear warm-up strategy in the first 8k iterations; learning rate 1.6.", warmup(8000, "step", then=1.6)),
    ("learning rate 0.001 with a burn-in of 1000 iterations", warmup(1000, "step", then=0.001)),
    ("We train for 90 epochs with a learning rate of 0.1 and a gradual warmup.", {"schedule": "warmup", "duration": None, "then": 0.1, "epochs": 90}),
    ("lr 0.4, gradually warmed up during the first 5 epochs, 90 epochs", warmup(5, then=0.4, epochs=90)),
    ("During the first 10 epochs the learning rate grows linearly from 1e-6 to 0.2.", warmup(10, start=1e-6, then=0.2)),
    ("learning rate 0.1 with 10 epochs of linear warmup and 200 epochs in total", warmup(10, then=0.1, epochs=200)),
    ("learning rate 0.1, 2000 warmup steps, 100000 training steps", warmup(2000, "step", then=0.1, steps=100000)),
    ("learning rate 0.5, the first 5% of the 200 epochs are used for warmup", warmup(10, then=0.5, epochs=200)),
    ("In the warm-up stage, the learning rate rises from 0.0001 to 0.01 within 4 epochs.", warmup(4, start=0.0001, then=0.01)),
    ("We ramp up the learning rate from 0.1 to 3.2 over the course of 5 epochs.", warmup(5, start=0.1, then=3.2)),
    ("learning rate 0.03 with 3 warm-up epochs, trained for 100 epochs", warmup(3, then=0.03, epochs=100)),
    ("The learning rate is 0.1. A warm-up of 4 epochs is used; the total number of epochs is 60.", warmup(4, then=0.1, epochs=60)),
    ("lr 0.05 with linear warm-up, trained for 200 epochs", {"schedule": "warmup", "duration": None, "then": 0.05, "epochs": 200}),
    ("We set warmup steps to 300. SGD with momentum, learning rate of 5e-4, 5000 steps.", warmup(300, "step", then=5e-4, steps=5000)),
    ("I set the warmup epochs to 5 and the lr to 0.1 (SGD)", warmup(5, then=0.1)),
    ("set warmup to 4 epochs, SGD lr 0.1", warmup(4, then=0.1)),
    ("SGD lr 0.2, warmup 8, batch 64, trained for 120 epochs", warmup(8, then=0.2, epochs=120)),
    ("SGD, warmup lr 0.01, lr 0.1", {"schedule": "warmup", "duration": None, "start": 0.01, "then": 0.1}),
    ("warmup_learning_rate: 0.0004, warmup_steps: 330, learning_rate_base: 0.004, SGD", warmup(330, "step", start=0.0004, then=0.004)),
    ("SGD with a warmup learning rate of 0.01 for 400 iterations, learning rate 0.3", warmup(400, "step", start=0.01, then=0.3)),
    ("学习率为0.1，前5轮线性预热", warmup(5, then=0.1)),
    ("学习率0.02，前500次迭代进行线性预热，共训练90000次迭代", warmup(500, "step", then=0.02, steps=90000)),
    ("学习率在前5个epoch从0线性增加到0.1", warmup(5, start=0.0, then=0.1)),
    ("学习率0.1，预热5个epoch，共训练100个epoch", warmup(5, then=0.1, epochs=100)),
    ("学习率为0.1，预热轮数为5", warmup(5, then=0.1)),
    ("学习率为0.1，采用5个epoch的warmup", warmup(5, then=0.1)),
    ("在前4个时期以1e-5进行线性学习率热身，学习率为0.01", warmup(4, start=1e-5, then=0.01)),
    ("训练300轮，学习率0.1，使用线性预热", {"schedule": "warmup", "duration": None, "then": 0.1, "epochs": 300}),
    ("学习率0.1，训练200轮，其中前10%用于预热", warmup(20, then=0.1, epochs=200)),
    ("学习率先在前1000步由0.001线性升至0.1", warmup(1000, "step", start=0.001, then=0.1)),
    ("前3个epoch为热身阶段，学习率从1e-4逐渐增加到1e-2", warmup(3, start=1e-4, then=1e-2)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WARMUPS, ids=[text for text, _ in WARMUPS])
def test_warmups(text, expected):
    """The warmup has its own length, never the training's, and the training none of the warmup's."""
    assert faults(text, expected) == []
