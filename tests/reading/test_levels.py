"""Levels of the learning rate by phase, in their many wordings, each worked out by hand."""

import pytest

from reading.neighbours import faults, sequence, steps

LEVELS = [
    ("We use a learning rate of 0.1 for the first 30 epochs, 0.01 for the next 30 epochs, and 0.001 for the remaining 30 epochs.",
     steps(0.1, 0.1, [30, 60], epochs=90)),
    ("The learning rate is 0.1 for the first 100 epochs, 0.01 for the next 50, and 0.001 for the last 50.",
     steps(0.1, 0.1, [100, 150], epochs=200)),
    ("For the learning rate we use 0.1 for the first 30 epochs, 0.01 for the next 30, and 0.001 for the remaining. We train for 90 epochs.",
     steps(0.1, 0.1, [30, 60], epochs=90)),
    ("The learning rate is 0.01 initially, changed to 0.001 after 60k iterations and to 0.0001 after 80k iterations; training is stopped after 90k iterations.",
     steps(0.01, 0.1, [60000, 80000], "step", steps=90000)),
    ("initial learning rate 0.05, changed to 0.005 after 20 epochs", steps(0.05, 0.1, [20])),
    ("lr 0.01. At epochs 60 and 80, the learning rate is reduced to 0.001 and 0.0001, respectively.", steps(0.01, 0.1, [60, 80])),
    ("初始学习率设为0.01，训练到第60和80个epoch时，学习率分别降至0.001和0.0001。", steps(0.01, 0.1, [60, 80])),
    ("初始学习率为0.01，在第60轮和第80轮，学习率分别调整为0.001和0.0001。", steps(0.01, 0.1, [60, 80])),
    ("The learning rate starts at 0.02; we change it to 0.002 after 10k iterations, then to 0.0002 after 15k iterations.",
     steps(0.02, 0.1, [10000, 15000], "step")),
    ("Learning rate by iteration: 0-40k: 0.1, 40k-60k: 0.01, 60k-64k: 0.001", steps(0.1, 0.1, [40000, 60000], "step", steps=64000)),
    ("Epochs 0-100: lr=0.1; epochs 100-150: lr=0.01; epochs 150-200: lr=0.001", steps(0.1, 0.1, [100, 150], epochs=200)),
    ("Iterations 0 - 20,000 LR = 0.05\nIterations 20,000 - 30,000 LR = 0.005\nIterations 30,000 - 40,000 LR = 0.0005",
     steps(0.05, 0.1, [20000, 30000], "step", steps=40000)),
    ("lr = 0.1 for epochs [0, 60), 0.02 for epochs [60, 120), 0.004 for epochs [120, 160) and 0.0008 for epochs [160, 200)",
     steps(0.1, 0.2, [60, 120, 160], epochs=200)),
    ("The learning rate is 0.1 in epochs 1-30, 0.01 in epochs 31-60 and 0.001 in epochs 61-90.", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("lr 0.1 (epochs 1-30), 0.01 (epochs 31-60), 0.001 (epochs 61-90)", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("We train for 50 epochs with a learning rate of 0.1, then with 0.01 for 25 more epochs.", steps(0.1, 0.1, [50], epochs=75)),
    ("We train with learning rate 1e-3 for 60k iterations, then with 1e-4 for another 20k iterations and with 1e-5 for the last 20k iterations.",
     steps(1e-3, 0.1, [60000, 80000], "step", steps=100000)),
    ("The network is trained for 60k iterations with a learning rate of 1e-3, followed by 20k iterations with a learning rate of 1e-4.",
     steps(1e-3, 0.1, [60000], "step", steps=80000)),
    ("We use the 0.01 learning rate for 30k iterations, then continue training for 10k iterations with 0.001 and 0.0001.",
     steps(0.01, 0.1, [30000, 40000], "step", steps=50000)),
    ("The learning rate was set to 0.4 and was dropped twice (to 0.04 and 0.004 respectively) in the course of training.",
     {"schedule": "multistep", "initial": 0.4, "factor": 0.1}),
    ("The learning rate starts from 0.01 and is dropped to 1e-3, 1e-4 and 1e-5 at 100k, 300k and 500k iterations respectively.",
     steps(0.01, 0.1, [100000, 300000, 500000], "step")),
    ("The initial learning rate is 0.1. It is reduced to 0.02, 0.004 and 0.0008 at epochs 60, 120 and 160.", steps(0.1, 0.2, [60, 120, 160])),
    ("learning rate 0.1 for 10 epochs, 0.05 for 10 epochs, 0.001 for 5 epochs", sequence([0.1, 0.05, 0.001], [10, 20], epochs=25)),
    ("lr 0.1 until epoch 30, 0.01 until epoch 60, and 0.001 until epoch 90", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("The learning rate is 0.1 up to epoch 50, 0.01 up to epoch 75 and 0.001 afterwards; 100 epochs in total.", steps(0.1, 0.1, [50, 75], epochs=100)),
    ("We set the learning rate to 0.1 at epoch 0, 0.01 at epoch 80 and 0.001 at epoch 120.", steps(0.1, 0.1, [80, 120])),
    ("Learning rate: 1e-2 for 20 epochs -> 1e-3 for 10 epochs", steps(0.01, 0.1, [20], epochs=30)),
    ("For the first 40 epochs the learning rate is 0.1, for the next 40 epochs it is 0.01 and for the last 20 epochs it is 0.001.",
     steps(0.1, 0.1, [40, 80], epochs=100)),
    ("The first 10k iterations use a learning rate of 0.01, the next 5k iterations 0.001.", steps(0.01, 0.1, [10000], "step", steps=15000)),
    ("The learning rate is 0.05 for epochs 1 to 20 and 0.005 for epochs 21 to 30.", steps(0.05, 0.1, [20], epochs=30)),
    ("learning rate 1e-3; after 30 epochs: 1e-4; after 45 epochs: 1e-5", steps(1e-3, 0.1, [30, 45])),
    ("learning rate is 0.1 and becomes 0.01 at epoch 82 and 0.001 at epoch 123", steps(0.1, 0.1, [82, 123])),
    ("we drop the learning rate from 0.1 to 0.01 at epoch 50", steps(0.1, 0.1, [50])),
    ("learning rate 0.1 for the first 80% of training and 0.01 for the remaining 20%, 100 epochs in total", steps(0.1, 0.1, [80], epochs=100)),
    ("前30个epoch学习率为0.1，接下来30个epoch为0.01，最后30个epoch为0.001。", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("学习率前100轮为0.1，之后50轮为0.01，最后50轮为0.001", steps(0.1, 0.1, [100, 150], epochs=200)),
    ("前6万次迭代使用1e-3的学习率，之后2万次迭代使用1e-4的学习率，最后2万次迭代使用1e-5的学习率", steps(1e-3, 0.1, [60000, 80000], "step", steps=100000)),
    ("初始学习率为0.01，在第60轮调整为0.001，在第90轮调整为0.0001，共训练100轮。", steps(0.01, 0.1, [60, 90], epochs=100)),
    ("学习率初始为0.1，30轮后变为0.01，60轮后变为0.001。", steps(0.1, 0.1, [30, 60])),
    ("学习率设置：0-40k次迭代为0.1，40k-60k次迭代为0.01，60k-64k次迭代为0.001", steps(0.1, 0.1, [40000, 60000], "step", steps=64000)),
    ("第1-30轮学习率为0.1，第31-60轮学习率为0.01，第61-90轮学习率为0.001", steps(0.1, 0.1, [30, 60], epochs=90)),
    ("先以0.001的学习率训练10万次迭代，然后以0.0001的学习率训练5万次迭代", steps(1e-3, 0.1, [100000], "step", steps=150000)),
    ("初始学习率为0.1，训练过程中下降三次（分别降至0.01、0.001和0.0001）", {"schedule": "multistep", "initial": 0.1, "factor": 0.1}),
    ("学习率为0.1，在第32k和48k次迭代时分别降为0.01和0.001，在64k次迭代时终止训练", steps(0.1, 0.1, [32000, 48000], "step", steps=64000)),
    ("前80个epoch的学习率为0.05，后20个epoch的学习率为0.005", steps(0.05, 0.1, [80], epochs=100)),
    ("学习率在前50轮取0.1，50到75轮取0.01，75到100轮取0.001", steps(0.1, 0.1, [50, 75], epochs=100)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LEVELS, ids=[text for text, _ in LEVELS])
def test_levels(text, expected):
    """The first level is the learning rate, the others follow at the sums of the spans."""
    assert faults(text, expected) == []
