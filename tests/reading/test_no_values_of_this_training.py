"""Trials, failures, logs, others' trainings, marks of lists and averages of other things are no values of this training."""

import pytest

from downslope import read
from reading.rows import same

CASES = (
    ("They train for 200 epochs; we only train for 100", {"train.epochs": 100}),
    ("The paper uses lr 0.1 but I used 0.05", {"sgd.lr": 0.05}),
    ("The authors trained for 300 epochs, while we train for 120.", {"train.epochs": 120}),
    ("The original paper used a batch size of 256 but we used 64.", {"data.batch_size": 64}),
    ("The authors use momentum 0.9 and lr 0.1; I used lr 0.02.", {"sgd.lr": 0.02}),
    ("原论文的学习率为0.1，我们使用0.01。", {"sgd.lr": 0.01}),
    ("They used a weight decay of 5e-4, we used 1e-4. SGD with lr 0.1.", {"sgd.weight_decay": 0.0001, "sgd.lr": 0.1}),
    ("Learning rates of 0.1, 0.03 and 0.01 were tried; 0.03 worked best. Momentum 0.9.", {"sgd.momentum": 0.9}),
    (
        "We tested batch sizes of 32, 64 and 128. The final batch size is 64, lr is 0.01.",
        {"data.batch_size": 64, "sgd.lr": 0.01},
    ),
    (
        "Batch sizes 16, 32, 64 were compared. We chose a batch size of 32 and SGD with a learning rate of 1e-2.",
        {"data.batch_size": 32, "sgd.lr": 0.01},
    ),
    ("momentum values of 0.5, 0.9 and 0.99 were evaluated", {}),
    ("A learning rate of 1.0 diverges, so we train with a learning rate of 0.1.", {"sgd.lr": 0.1}),
    (
        "lr = 0.5 was too high and the loss exploded. lr = 0.05 was fine; batch size 64.",
        {"data.batch_size": 64, "sgd.lr": 0.05},
    ),
    ("学习率0.1过大，训练发散，因此学习率设置为0.01，批大小64。", {"data.batch_size": 64, "sgd.lr": 0.01}),
    (
        "With a weight decay of 0.1 the model did not converge. Weight decay: 1e-4, lr: 0.1",
        {"sgd.weight_decay": 0.0001, "sgd.lr": 0.1},
    ),
    ("We use a learning rate of 0.1. Results are averaged over 5 epochs.", {"sgd.lr": 0.1}),
    ("The loss is measured over 50 steps. lr 0.1, 90 epochs.", {"train.epochs": 90, "sgd.lr": 0.1}),
    (
        "学习率设置\n1、初始学习率为0.01\n2、动量为0.9\n3、批大小为32",
        {"data.batch_size": 32, "sgd.momentum": 0.9, "sgd.lr": 0.01},
    ),
    ("训练参数：\n(1) 学习率：0.02\n(2) 权重衰减：1e-4", {"sgd.weight_decay": 0.0001, "sgd.lr": 0.02}),
    ("学习率\n1、采用余弦退火\n2、共训练50个epoch", {"train.epochs": 50, "sgd.lr.schedule": "cosine"}),
    ("Batch size\n1. We use SGD with lr 0.1\n2. Momentum is 0.9", {"sgd.momentum": 0.9, "sgd.lr": 0.1}),
    (
        "采用poly策略，学习率乘以(1-epoch/epochs)^0.9，初始学习率0.02",
        {"sgd.lr.schedule": "polynomial", "sgd.lr.initial": 0.02, "sgd.lr.power": 0.9},
    ),
    ("lr = 0.1 * (1 - step/total_steps)^{2}, batch size 8", {"data.batch_size": 8}),
    (
        "The exploration rate ε decays exponentially.\n\nThe network is trained with SGD, learning rate 0.01.",
        {"sgd.lr": 0.01},
    ),
    ("历史样本按指数衰减加权。\n\n网络用SGD训练，学习率为0.005，动量0.9。", {"sgd.momentum": 0.9, "sgd.lr": 0.005}),
    ("We keep an exponential moving average of the codebook with decay 0.99. SGD, lr 0.1.", {"sgd.lr": 0.1}),
    ("We use an exponentially decaying average of rewards with decay 0.9. The learning rate is 0.1.", {"sgd.lr": 0.1}),
    (
        "The teacher temperature follows a linear schedule from 0.04 to 0.07. The learning rate is 0.3 with cosine decay.",
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.3},
    ),
    ("We use an EMA of the weights with decay 0.9999 and lr 0.1.", {"train.ema": 0.9999, "sgd.lr": 0.1}),
    ("The running loss is an EMA with factor 0.98; SGD with learning rate 0.2", {"sgd.lr": 0.2}),
    ("重量衰减为0.0005，动量为0.9", {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005}),
    (
        "采用余玄退火调整学习率，初始学习率0.01，训练100轮",
        {
            "train.epochs": 100,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.01,
            "sgd.lr.duration": 100,
            "sgd.lr.unit": "epoch",
        },
    ),
    ("larger bacth size (512) and initial learning rate (0.2)", {"data.batch_size": 512, "sgd.lr": 0.2}),
    ("L2惩罚乘数设为2e-4，学习率0.1", {"sgd.weight_decay": 0.0002, "sgd.lr": 0.1}),
    (
        "正则化系数1e-4，动量0.9，学习率由0递增到0.1，热身轮数是3",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.0,
            "sgd.lr.then": 0.1,
        },
    ),
    ("The learning rate was decreased to 1e-4 and momentum is 0.9", {"sgd.momentum": 0.9, "sgd.lr": 0.0001}),
    ("I lowered the learning rate to 0.005, batch size 16", {"data.batch_size": 16, "sgd.lr": 0.005}),
    ("学习率调小到0.001，批大小32", {"data.batch_size": 32, "sgd.lr": 0.001}),
    ("We use SGD with momentum and weight decay, batch\n7\n\nsize of 64 and lr of 0.1", {"sgd.lr": 0.1}),
    ("We train with a learning rate of\n12\n\n0.05 and momentum 0.9.", {"sgd.momentum": 0.9}),
    (
        "We train with SGD, momentum 0.9, learning rate\n0.05\nfor 90 epochs.",
        {"train.epochs": 90, "sgd.momentum": 0.9, "sgd.lr": 0.05},
    ),
    (
        "class SGD(params, lr, momentum=0.0, nesterov=False, weight_decay=0.0)\n\nImplements stochastic gradient descent.\n\nParameters:\n  • params (iterable) – parameters to optimize.\n  • lr (float) – learning rate.\n  • momentum (float) – momentum factor. Default: 0.0\n  • nesterov (bool) – enables Nesterov momentum. Default: False\n  • weight_decay (float) – weight decay (L2 penalty). Default: 0.0",
        {},
    ),
    (
        "I got 92% with\nbatch_size=256 (means 64 for each gpu)\nepoch=240\nlearning rate schedule\n    0.1 when epoch < 80,\n    0.01 when epoch < 160,\n    0.001 when epoch < 240\nmomentum=0.9, weight_decay=5e-4",
        {
            "data.batch_size": 256,
            "train.epochs": 240,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.factor": 0.1,
            "sgd.lr.initial": 0.1,
            "sgd.lr.milestones": [80, 160],
            "sgd.lr.unit": "epoch",
        },
    ),
    (
        "Train Epoch: 1 [0/50000 (0%)]\tLoss: 2.303388\tLR: 0.1\nTrain Epoch: 1 [12800/50000 (26%)]\tLoss: 2.289754\tLR: 0.1\nTest set: Average loss: 2.9473, Accuracy: 1000/10000 (10.00%)",
        {},
    ),
    (
        "SGD lr 0.1 momentum 0.9, EMA of weights with decay 0.9999",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.ema": 0.9999},
    ),
    ("lr 0.1, momentum 0.999 for the moving average", {"sgd.lr": 0.1}),
    ("Suppose the gradient is 5 at each step and the momentum is 0.9; after 10 steps the velocity is 32.", {}),
    ("Best val acc 94.1 at epoch 187/200, lr 0.0008, batch 128", {"data.batch_size": 128, "sgd.lr": 0.0008}),
    ("Our approach reaches 76.3% after 90 epochs whereas the baseline (lr 0.1, 120 epochs) reaches 76.0%.", {}),
    ("In PyTorch the default weight decay is 0 and momentum 0; we set them to 1e-4 and 0.9, lr=0.1.", {"sgd.lr": 0.1}),
    (
        "Fine-tuning: 10 epochs with lr 1e-3. Pre-training: 100 epochs with lr 0.1. Both use SGD with momentum 0.9 and batch size 64.",
        {"data.batch_size": 64, "train.epochs": 10, "sgd.momentum": 0.9, "sgd.lr": 0.001},
    ),
    (
        "We decay the dropout rate from 0.5 to 0.1 in the last 20 epochs. lr 0.01, momentum 0.9.",
        {"sgd.momentum": 0.9, "sgd.lr": 0.01},
    ),
    (
        "Hi, I train with lr=2e-4, batch_size=8. After about 12,000 steps (1 epoch = 20,000 steps) the loss turned into nan.",
        {"data.batch_size": 8, "sgd.lr": 0.0002},
    ),
    (
        "iter 0 || Loss: 26.1034 || Timer: 0.2098 sec.\niter 10 || Loss: 15.1629 || Timer: 0.2115 sec.\nI use the default lr=0.001.",
        {"sgd.lr": 0.001},
    ),
    (
        "Train: 4 [ 300/5004 (  6%)]  Loss:       nan (   nan)  Time: 3.225s,   79.37/s  LR: 6.227e-02  Data: 3.035 (0.453)\nTrain: 4 [ 350/5004 (  7%)]  Loss:       nan (   nan)  Time: 0.202s, 1270.36/s  LR: 6.227e-02  Data: 0.014 (0.448)",
        {},
    ),
    (
        "2022-07-26 11:33:46,558 - mmseg - INFO - Iter [50/240000]\tlr: 9.998e-03, eta: 1 day, 0:43:21, time: 0.371, data_time: 0.005, memory: 17671, decode.loss_seg: 36.8659, loss: 37.5183\n2022-07-26 11:34:00,031 - mmseg - INFO - Iter [100/240000]\tlr: 9.996e-03, eta: 21:20:13, time: 0.269",
        {},
    ),
    (
        "checkpoint = None  # path to model checkpoint, None if none\nbatch_size = 8  # batch size (CHANGE ACCORDINGLY)\niterations =  120000 # number of iterations to train (CHANGE ACCORDINGLY)\nworkers = 4  # number of workers\nlr = 1e-3  # learning rate\ndecay_lr_at = [80000, 100000]  # decay learning rate after these many iterations\ndecay_lr_to = 0.1  # decay learning rate to this fraction of the existing learning rate\nmomentum = 0.9  # momentum\nweight_decay = 5e-4  # weight decay\ngrad_clip = None  # clip if gradients are exploding, which may happen at larger batch sizes (sometimes at 32)",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 8,
            "train.steps": 120000,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.001,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [80000, 100000],
        },
    ),
    (
        "[Architecture]\ndropout_rate : 0.0\nlearning_rate    : 0.002\nbatch_size       : 256\nwarmup_epoch     : 10\nwarmup_momentum  : 0.3\ntraining_epochs  : 25",
        {
            "data.batch_size": 256,
            "train.epochs": 25,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 10,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then": 0.002,
        },
    ),
    (
        'class LearningRateWarmupParameters(BaseModel):\n    enable: bool = Field(\n        default=False,\n        title="Enable",\n        description="Toggle to enable or disable a warmup phase.",\n    )\n    epochs: int = Field(\n        default=5,\n        ge=1,\n        title="Warmup epochs",\n    )\nclass GradientClipParameters(BaseModel):\n    enable: bool = Field(default=False)\n    max_grad_norm: float = Field(gt=0, default=1.0, title="Maximum gradient norm")',
        {"train.clip_norm": 1.0},
    ),
    (
        'training_id = \'abc\'\n"""str: A string identifying this particular training configuration."""\n\ninitial_seed = 1000\n"""int: Fixed seed used prior to training."""\n\nbatch_size = 40\n"""int: The number of samples in a mini batch."""\n\nn_epochs = 35\n"""int: The number of epochs to train the network for.\n\nA value of -1 indicates an early stopping condition should be used.\n"""\n\nlearning_rate = {\'initial\': 0.002,\n                 \'decay\': 0.9,\n                 \'decay_rate\': 2.,\n                 }\n"""dict: Learning rate hyperparameters for SGD."""',
        {"data.batch_size": 40, "train.epochs": 35, "sgd.lr": 0.002},
    ),
    (
        "from tools.config import Config as C\n\nk = 1.\n\nconfig = C(\n    seed=42,\n    epochs=100,\n    train=C(\n        batch_size=int(64 * k),\n        opt=C(\n            type='sgd',\n            lr=0.2 * k,\n            momentum=0.9,\n            weight_decay=1e-4),\n        sched=C(\n            type='multistep',\n            epochs=[50, 80])),\n    eval=C(\n        batch_size=int(256 * k)))",
        {
            "data.batch_size": 64,
            "train.epochs": 100,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.2,
            "sgd.lr.unit": "epoch",
            "sgd.lr.milestones": [50, 80],
        },
    ),
    ("I reduced the lr from 0.1 to 0.01 because training was unstable", {"sgd.lr.initial": 0.1, "sgd.lr.final": 0.01}),
)


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_all_that_is_stated(text, expected):
    """Every value that is stated, and no other, is what the text says."""
    fields = read(text)[0].fields
    assert {path for path, field in fields.items() if field.provenance == "stated"} <= expected.keys()
    for path, value in expected.items():
        assert path in fields, path
        assert same(fields[path].value, value), (path, fields[path].value)
