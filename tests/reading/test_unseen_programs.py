"""Programs, configurations and command lines of kinds that nobody had tuned the reader to; values by hand."""

from __future__ import annotations

import pytest

from downslope import read
from reading.neighbours import amiss

TEXTS = {
    "the optimizer is made in another function": (
        """\
    def init_optimizer(self):
        optimizer = optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        return optimizer

    def train(self):
        for epoch in range(240):
            if epoch in [150, 180, 210]:
                for param_group in self.optimizer.param_groups:
                    param_group['lr'] *= 0.1
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.01,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [150, 180, 210],
            "sgd.momentum": 0.9,
        },
    ),
    "a period beyond what is looked at first": (
        """\
def lr_schedule(epoch):
    lr = 1e-3
    power = epoch // 400
    lr *= 0.8**power
    return lr
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 1e-3, "sgd.lr.rate": 0.8, "sgd.lr.every": 400},
    ),
    "a factor that only rises": (
        """\
opt = SGD(ps, lr=0.1, momentum=0.9)
sched = LambdaLR(opt, lr_lambda=lambda x: x)
for epoch in range(35):
    opt.step()
    sched.step()
""",
        {"sgd.lr": 0.1, "sgd.lr.schedule": None},
    ),
    "mindspore": (
        """\
from mindspore import nn, Tensor
epoch_size = 20
lr = Tensor(0.5, mindspore.float32)
opt = nn.Momentum(network.trainable_params(), lr, momentum=0.9)
model = Model(network, loss_fn=loss, optimizer=opt)
""",
        {"sgd.lr": 0.5, "sgd.momentum": 0.9, "train.epochs": 20},
    ),
    "mindspore's train": (
        "from mindspore import nn\nopt = nn.Momentum(ps, 0.1, momentum=0.9)\nmodel.train(epoch=3, train_dataset=ds)\n",
        {"sgd.lr": 0.1, "train.epochs": 3},
    ),
    "fastai": (
        "data = CollabDataBunch.from_df(frame, seed=42, valid_pct=0.2, bs=64)\nlearn.fit_one_cycle(15, max_lr=slice(1e-03))\n",
        {"data.batch_size": 64, "train.epochs": 15, "sgd.lr.peak": 1e-3, "sgd.lr.schedule": "onecycle"},
    ),
    "nolearn": (
        "net = NeuralNet(layers=ls, update=nesterov_momentum, update_learning_rate=0.01, update_momentum=0.9, max_epochs=15)\n",
        {"sgd.lr": 0.01, "sgd.momentum": 0.9, "sgd.nesterov": True, "train.epochs": 15},
    ),
    "Keras rises to a target": (
        """\
decay_steps = 4000
initial_learning_rate = 0.
target_learning_rate = 0.001
rate = keras.optimizers.schedules.CosineDecay(
    initial_learning_rate, decay_steps, warmup_target=target_learning_rate, warmup_steps=40)
""",
        {"sgd.lr.schedule": "warmup", "sgd.lr.start": 0.0, "sgd.lr.duration": 40, "sgd.lr.then.initial": 0.001},
    ),
    "flags in a variable that nothing here uses": (
        "export BATCHSIZE=24\nexport EXTRA='--lr-decay-epochs 48 60 --lr-warmup-epoch=15 --lr=0.004 --wd=2e-4'\nexport NODES=8\n",
        {
            "data.batch_size": 24,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 15,
            "sgd.lr.then.milestones": [48, 60],
            "sgd.lr.then.initial": 0.004,
            "sgd.weight_decay": 2e-4,
        },
    ),
    "flags in a variable": (
        'ARGS="--lr=0.1 --wd=1e-4 --epochs 3"\npython train.py $ARGS --epochs 90\n',
        {"sgd.lr": 0.1, "sgd.weight_decay": 1e-4, "train.epochs": 90},
    ),
    "keys with dots and their values": (
        '    SOLVER.IMS_PER_BATCH 40 \\\n    SOLVER.BASE_LR 0.001 \\\n    SOLVER.STEPS "(32000, 40000,)" \\\n    SOLVER.MAX_ITER 80000\n',
        {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [32000, 40000], "train.steps": 80000, "data.batch_size": 40},
    ),
    "a table for an option": (
        'python train.py -o max_iters=30000 LearningRate.base_lr=0.01 \\\n'
        '    LearningRate.schedulers="[!PiecewiseDecay {gamma: 0.2, milestones: [10000]}]"\n',
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.01,
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [10000],
            "sgd.lr.unit": "step",
        },
    ),
    "words whose blanks are escaped": ("sh run.sh train\\ it\\ --lr\\ 0.1\\ now", {"sgd.lr": None}),
    "YAML with Caffe's name for the rate": (
        "nesterov: False\nbase_lr: 0.1\noptimizer: SGD\nstep: [350]\nnum_epoch: 400\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.milestones": [350], "train.epochs": 400},
    ),
    "strings that are joined in tables of OpenMMLab": (
        """\
data_root = 'data/coco/'
base_lr = 4e-3
train_cfg = dict(max_epochs=210)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1, by_epoch=True)]
train_dataloader = dict(batch_size=64, dataset=dict(type='Coco', ann_file=data_root + 'train.json'))
custom_hooks = [dict(type='EMAHook', momentum=1e-4)]
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.then.initial": 4e-3,
            "sgd.lr.then.milestones": [170, 200],
            "sgd.momentum": None,
        },
    ),
    "tensorpack's setter begins at the optimizer's rate": (
        """\
from tensorpack import *
def optimizer(self):
    lr = tf.get_variable('learning_rate', initializer=2e-3, trainable=False)
    return tf.train.MomentumOptimizer(lr, 0.9)
callbacks = [ScheduledHyperParamSetter('learning_rate', [(25, 2e-4)])]
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 2e-3, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [25]},
    ),
    "a schedule's own length": (
        "epoch: 36\nLearningRate:\n  base_lr: 0.01\n  schedulers:\n  - name: CosineDecay\n    max_epochs: 43\n",
        {"train.epochs": 36, "sgd.lr.initial": 0.01, "sgd.lr.duration": 43, "sgd.lr.schedule": "cosine"},
    ),
    "tables of optimizers that are not chosen": (
        "optimizer: Lamb\nAdamWeightDecay:\n  learning_rate: 3e-5\n  weight_decay: 1e-5\nLamb:\n  learning_rate: 3.5e-4\n",
        {"sgd.lr": 3.5e-4, "sgd.weight_decay": None},
    ),
    "defaults of what the environment may say": (
        "train_iters: ${ITERS:1200}\nlr: ${PRIMUS_LR:4.0e-4}\nglobal_batch_size: ${BATCH:-16}\noptimizer: sgd\n",
        {"sgd.lr": 4e-4, "train.steps": 1200, "data.batch_size": 16},
    ),
    "anchors and a focal loss": (
        "lr: 0.05\nsteps: [8, 16, 32, 64, 128]\ngamma: 2.0\nmax_epoch: 90\n", {"sgd.lr": 0.05, "sgd.lr.schedule": None}
    ),
    "a step size in a list": (
        "optim: sgd\nlr: 0.1\nmax_epoch: 60\nlr_scheduler: single_step\nstepsize: [20]\n",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.every": 20},
    ),
    "a decay by 1": ("optimizer: sgd\nlr: 0.1\ndecay_steps: 1000\ndecay_rate: 1.0\nnum_epochs: 5\n", {"sgd.lr": 0.1}),
    "steps within an episode": ("Learner.num_update_steps = 5\nLearnerConfig.learning_rate = 0.01\n", {"train.steps": None}),
    "a method whose class is cut off": (
        """\
        self.step = tf.Variable(0, trainable=False)
        starter_learning_rate = 1e-6  # was 1e-2
        self.learning_rate = tf.train.exponential_decay(starter_learning_rate, self.step,
                                                        5000, 0.9, staircase=False)
        optimizer = tf.train.GradientDescentOptimizer(self.learning_rate)
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 1e-6, "sgd.lr.rate": 0.9, "sgd.lr.every": 5000},
    ),
    "epochs that are counted from 1": (
        """\
def adjust_learning_rate(optimizer, epoch, args):
    lr_adjust = {epoch: 0.01 * (0.5 ** ((epoch - 1) // 1))}
    if epoch in lr_adjust.keys():
        for group in optimizer.param_groups:
            group['lr'] = lr_adjust[epoch]
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.01, "sgd.lr.rate": 0.5, "sgd.lr.every": 1},
    ),
    "a smooth fall by the numbers that are written": (
        """\
def exponential_decay(lr0, s):
    def fall(epoch):
        return lr0 * 0.1 ** ((1 + epoch) / s)
    return fall
callback = tf.keras.callbacks.LearningRateScheduler(exponential_decay(0.01, 35))
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.01, "sgd.lr.rate": 0.1, "sgd.lr.every": 35},
    ),
    "a callback of its own": (
        """\
class Decay(Callback):
    def __init__(self, epochs, decay):
        self.epochs, self.decay = epochs, decay
    def on_epoch_begin(self, epoch, logs={}):
        if epoch % self.epochs == 0 and epoch > 0:
            K.set_value(self.model.optimizer.lr, self.decay * K.get_value(self.model.optimizer.lr))
model.compile(optimizer=SGD(lr=0.1, momentum=0.9), loss='mse')
model.fit(x, y, epochs=100, batch_size=32, callbacks=[Decay(30, 0.2)])
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.rate": 0.2, "sgd.lr.every": 30},
    ),
    "Theano's shared variable": (
        """\
lr = theano.shared(np.float32(0.1))
updates = lasagne.updates.nesterov_momentum(loss, params, lr, 0.9)
for epoch in range(90):
    for x in batches:
        train(x)
    if epoch in [30, 60]:
        lr.set_value(np.float32(lr.get_value() * 0.1))
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [30, 60]},
    ),
    "a product of a way up and a way down": (
        """\
warmup = lambda e: min((e + 1) / 5, 1.0)
decay = lambda e: 0.5 * (1 + math.cos(math.pi * e / 100))
optimizer = torch.optim.SGD(ps, lr=0.1, momentum=0.9)
scheduler = LambdaLR(optimizer, lr_lambda=lambda e: warmup(e) * decay(e))
for epoch in range(100):
    train()
    scheduler.step()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 100,
        },
    ),
    "tables of optimizers in a program": (
        """\
_C = CN()
_C.TRAIN = CN()
_C.TRAIN.OPTIMIZER = 'adamw'
_C.TRAIN.LR = 1e-3
_C.TRAIN.SGD = CN()
_C.TRAIN.SGD.MOMENTUM = 0.9
_C.TRAIN.SGD.WEIGHT_DECAY = 5e-4
_C.TRAIN.ADAMW = CN()
_C.TRAIN.ADAMW.WEIGHT_DECAY = 0.05
""",
        {"sgd.lr": 1e-3, "sgd.weight_decay": 0.05, "sgd.momentum": None},
    ),
    "what variables hold where nothing sets them": (
        '#!/bin/bash\n: "${BATCH_SIZE:=64}"\n: "${MAX_LR:="2e-4"}"\npython train.py --lr $MAX_LR --bs ${BATCH_SIZE}\n',
        {"sgd.lr": 2e-4, "data.batch_size": 64},
    ),
    "where a way up starts": (
        "python main.py --epochs 200 --base_lr 4.8 --final_lr 0.0048 --warmup_epochs 10 --start_warmup 0.3\n",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 10, "sgd.lr.start": 0.3, "sgd.lr.then": 4.8},
    ),
    "parts of an epoch's steps": (
        """\
optimizer = torch.optim.SGD(ps, lr=0.1, momentum=0.9)
total_steps = 30 * math.ceil(len(train_loader.dataset) / args.batch_size)
warmup_steps = max(1, int(0.1 * total_steps))
def lr_lambda(step: int):
    if step < warmup_steps:
        return float(step) / float(max(1, warmup_steps))
    progress = float(step - warmup_steps) / float(max(1, total_steps - warmup_steps))
    return 0.5 * (1.0 + math.cos(math.pi * progress))
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lr_lambda)
for epoch in range(30):
    for x in train_loader:
        optimizer.step()
        scheduler.step()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.duration": 27,
        },
    ),
    "a scheduler of its own that a word tells the way": (
        """\
from utils.lr_scheduler import LR_Scheduler
optimizer = torch.optim.SGD(ps, momentum=0.9, lr=0.007)
scheduler = LR_Scheduler('poly', 0.007, 50, len(train_loader))
for epoch in range(50):
    for i, sample in enumerate(train_loader):
        scheduler(optimizer, i, epoch, best)
        optimizer.step()
""",
        {"sgd.lr.schedule": "polynomial", "sgd.lr.initial": 0.007, "sgd.lr.duration": 50, "train.epochs": 50},
    ),
    "the rate of a loss": (
        "loss.triplet.lr = 0.05\ndefault.lr = 0.1\ndefault.wd = 0.0005\nnet = make(default)\n",
        {"sgd.lr": 0.1, "sgd.weight_decay": 0.0005},
    ),
    "the momentum of an average alone": (
        "optim_wrapper = dict(optimizer=dict(lr=4e-3))\ncustom_hooks = [dict(type='EMAHook', momentum=4e-5)]\n",
        {"sgd.lr": 4e-3, "sgd.momentum": None},
    ),
    "a grid of rates": (
        """\
for lr in [0.1, 0.01, 0.001]:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for epoch in range(20):
        train(model, optimizer)
""",
        {"sgd.lr": 0.1, "train.epochs": 20},
    ),
}  # fmt: skip


def test_a_rate_of_a_grid_is_marked():
    """The first is shown; it holds under a condition."""
    text, _ = TEXTS["a grid of rates"]
    assert read(text)[0].fields["sgd.lr"].marks == ("conditional",)


@pytest.mark.parametrize("name", TEXTS)
def test_unseen_programs(name):
    """Each is read with the values that were worked out by hand; what is None is not read."""
    assert amiss(*TEXTS[name]) == []


def test_an_optimizer_alone_is_not_nothing():
    """Of a program as of a sentence; of neither, nothing was found."""
    nothing = "No optimizer, no learning rate and no other setting was found."
    for text in ("lr = []\nopt = SGD(params, lr=lr)", "We use SGD."):
        reading = read(text)[0]
        assert (reading.optimizer, reading.named) == ("sgd", "stated")
        assert nothing not in reading.remarks
    assert nothing in read("Hello there.")[0].remarks
