"""Programs that only configure, by options, attributes and tables; and the schedules of more systems."""

import pytest

from downslope import export, read
from reading.neighbours import differences

CASES = {
    "argparse no optimizer": (
        """\
parser.add_argument('--lr', type=float, default=0.05, help='initial learning rate, decays to 0.001')
parser.add_argument('--lr-schedule', default='cosine', choices=['step','cosine'], help='schedule; step divides by 10')
parser.add_argument('--epochs', type=int, default=90)
parser.add_argument('--warmup-epochs', type=int, default=5, help='warmup, was 3 in the paper')
parser.add_argument('--wd', '--weight-decay', type=float, default=1e-4)
parser.add_argument('--batch-size', type=int, default=256, help='mini-batch size (default: 128)')
parser.add_argument('--test-batch-size', type=int, default=1000)
""",
        {
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 256,
            "train.epochs": 90,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.05,
        },
    ),
    "argparse step": (
        """\
parser.add_argument("--learning-rate", default=0.02, type=float)
parser.add_argument("--lr-decay-step", default=40, type=int, help="epochs between drops")
parser.add_argument("--lr-decay-gamma", default=0.2, type=float)
parser.add_argument("--max-epoch", default=160, type=int)
parser.add_argument("--momentum", default=0.9, type=float)
""",
        {
            "sgd.momentum": 0.9,
            "train.epochs": 160,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.02,
            "sgd.lr.rate": 0.2,
            "sgd.lr.every": 40,
            "sgd.lr.unit": "epoch",
        },
    ),
    "argparse str list": (
        """\
parser.add_argument('--lr_decay_epochs', type=str, default='60,120,160', help='where to decay lr, can be a list')
parser.add_argument('--lr_decay_rate', type=float, default=0.2)
parser.add_argument('--learning_rate', type=float, default=0.1)
parser.add_argument('--epochs', type=int, default=200)
parser.add_argument('--batch_size', type=int, default=64)
""",
        {
            "data.batch_size": 64,
            "train.epochs": 200,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.unit": "epoch",
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [60, 120, 160],
        },
    ),
    "absl flags": (
        """\
flags.DEFINE_float('learning_rate', 0.4, 'Base LR, scaled by batch/256')
flags.DEFINE_integer('train_epochs', 90, 'epochs')
flags.DEFINE_integer('batch_size', 1024, '')
flags.DEFINE_float('momentum', 0.9, '')
flags.DEFINE_float('weight_decay', 5e-5, '')
flags.DEFINE_integer('warmup_epochs', 5, '')
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 5e-05,
            "data.batch_size": 1024,
            "train.epochs": 90,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then": 0.4,
        },
    ),
    "dataclass": (
        """\
@dataclass
class TrainConfig:
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epochs: int = 30
    batch_size: int = 512
    label_smoothing: float = 0.1
    scheduler: str = "onecycle"
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 512,
            "train.epochs": 30,
            "sgd.lr.schedule": "onecycle",
            "sgd.lr.peak": 0.1,
        },
    ),
    "hf args": (
        """\
training_args = TrainingArguments(
    output_dir="out", optim="sgd", learning_rate=2e-2, lr_scheduler_type="linear", warmup_steps=500,
    num_train_epochs=3, per_device_train_batch_size=8, weight_decay=0.01, max_grad_norm=1.0)
""",
        {
            "sgd.weight_decay": 0.01,
            "train.clip_norm": 1.0,
            "train.epochs": 3,
            "data.batch_size": 8,
            "sgd.lr.duration": 500,
            "sgd.lr.unit": "step",
            "sgd.lr.schedule": "warmup",
            "sgd.lr.then.initial": 0.02,
            "sgd.lr.then.schedule": "linear",
        },
    ),
    "hf steps instead of epochs": (
        """\
training_args = TrainingArguments(
    output_dir="out", learning_rate=2e-2, lr_scheduler_type="cosine", warmup_ratio=0.03, num_train_epochs=3,
    max_steps=1000, per_device_train_batch_size=8)
""",
        {
            "train.steps": 1000,
            "data.batch_size": 8,
            "sgd.lr.duration": 30,
            "sgd.lr.unit": "step",
            "sgd.lr.schedule": "warmup",
            "sgd.lr.then.initial": 0.02,
            "sgd.lr.then.schedule": "cosine",
        },
    ),
    "lambda epochs": (
        """\
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.1 ** (e // 20))
for epoch in range(60):
    train(epoch)
    scheduler.step()
""",
        {
            "sgd.momentum": 0.9,
            "train.epochs": 60,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.1,
            "sgd.lr.every": 20,
            "sgd.lr.unit": "epoch",
        },
    ),
    "keras callback": (
        """\
def schedule(epoch):
    if epoch < 40: return 0.1
    if epoch < 80: return 0.02
    return 0.004
model.compile(optimizer=SGD(0.1, momentum=0.9, nesterov=True), loss='categorical_crossentropy')
model.fit(x, y, batch_size=128, epochs=120, callbacks=[LearningRateScheduler(schedule)])
""",
        {
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "train.epochs": 120,
            "data.batch_size": 128,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.2,
            "sgd.lr.unit": "epoch",
            "sgd.lr.milestones": [40, 80],
        },
    ),
    "optax decay after trace": (
        "tx = optax.chain(optax.trace(decay=0.9), optax.add_decayed_weights(1e-4), optax.scale(-0.1))",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "sgd.decay": "decoupled", "sgd.lr": 0.1},
    ),
    "optax decay before trace": (
        "tx = optax.chain(optax.add_decayed_weights(5e-4), optax.trace(decay=0.9, nesterov=True), optax.scale(-0.2))",
        {"sgd.momentum": 0.9, "sgd.nesterov": True, "sgd.weight_decay": 0.0005, "sgd.decay": "coupled", "sgd.lr": 0.2},
    ),
    "optax sgd then decay": (
        "tx = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1, momentum=0.9))",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "sgd.decay": "coupled", "sgd.lr": 0.1},
    ),
    "epoch var": (
        """\
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.8)
scheduler = StepLR(optimizer, step_size=7, gamma=0.5)
epoch = 40
best = 0
""",
        {
            "sgd.momentum": 0.8,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 7,
            "sgd.lr.initial": 0.02,
            "sgd.lr.unit": "epoch",
            "sgd.lr.schedule": "exponential",
            "train.epochs": 40,
        },
    ),
    "epoch var0": (
        """\
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.8)
epoch = 0
while True:
    epoch += 1
""",
        {"sgd.momentum": 0.8, "sgd.lr": 0.02},
    ),
    "EPOCH upper": (
        """\
EPOCH = 12
BATCH_SIZE = 50
LR = 0.01
opt = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.8)
""",
        {"sgd.momentum": 0.8, "sgd.lr": 0.01, "train.epochs": 12, "data.batch_size": 50},
    ),
    "chainer": (
        """\
optimizer = chainer.optimizers.MomentumSGD(lr=0.05, momentum=0.9)
optimizer.setup(model)
optimizer.add_hook(chainer.optimizer.WeightDecay(5e-4))
train_iter = chainer.iterators.SerialIterator(train, 64)
updater = training.updaters.StandardUpdater(train_iter, optimizer, device=0)
trainer = training.Trainer(updater, (300, 'epoch'), out='result')
trainer.extend(extensions.ExponentialShift('lr', 0.5), trigger=(25, 'epoch'))
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 300,
            "data.batch_size": 64,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 25,
            "sgd.lr.initial": 0.05,
            "sgd.lr.unit": "epoch",
            "sgd.lr.schedule": "exponential",
        },
    ),
    "cntk py": (
        """\
lr_per_mb = [0.01]*20 + [0.003]*12
lr_schedule = C.learning_parameter_schedule(0.01, minibatch_size=64)
momentum = C.momentum_schedule(0.9)
learner = C.momentum_sgd(z.parameters, lr_schedule, momentum, l2_regularization_weight=0.0005)
max_epochs = 30
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "sgd.lr": 0.01, "train.epochs": 30},
    ),
    "gluon trainer sched": (
        """\
lr_sch = mx.lr_scheduler.MultiFactorScheduler(step=[300, 500], factor=0.2, base_lr=0.05)
trainer = gluon.Trainer(net.collect_params(), 'nag', {'learning_rate': 0.05, 'momentum': 0.9, 'wd': 1e-4, 'lr_scheduler': lr_sch})
""",
        {
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0001,
            "sgd.lr.initial": 0.05,
            "sgd.lr.factor": 0.2,
            "sgd.lr.unit": "step",
            "sgd.lr.schedule": "multistep",
            "sgd.lr.milestones": [300, 500],
        },
    ),
    "paddle": (
        """\
scheduler = paddle.optimizer.lr.MultiStepDecay(learning_rate=0.1, milestones=[30, 60], gamma=0.1)
optimizer = paddle.optimizer.Momentum(learning_rate=scheduler, momentum=0.9, parameters=model.parameters(), weight_decay=paddle.regularizer.L2Decay(1e-4))
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.milestones": [30, 60],
        },
    ),
    "composer py": (
        """\
trainer = Trainer(
    model=model, train_dataloader=dl, max_duration="90ep",
    optimizers=DecoupledSGDW(model.parameters(), lr=2.0, momentum=0.9, weight_decay=5e-4),
    schedulers=MultiStepWithWarmupScheduler(t_warmup="8ep", milestones=["30ep", "60ep"], gamma=0.1))
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "sgd.decay": "decoupled",
            "train.epochs": 90,
            "sgd.lr.duration": 8,
            "sgd.lr.unit": "epoch",
            "sgd.lr.schedule": "warmup",
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.initial": 2.0,
            "sgd.lr.then.unit": "epoch",
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.milestones": [30, 60],
        },
    ),
    "slim": (
        """\
lr = tf.train.exponential_decay(0.01, global_step, decay_steps=2000, decay_rate=0.9, staircase=True)
opt = tf.train.MomentumOptimizer(lr, 0.9, use_nesterov=True)
""",
        {
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.lr.initial": 0.01,
            "sgd.lr.rate": 0.9,
            "sgd.lr.every": 2000,
            "sgd.lr.staircase": True,
            "sgd.lr.schedule": "exponential",
        },
    ),
    "init default args": (
        """\
class Trainer:
    def __init__(self, model, lr=0.05, momentum=0.9, weight_decay=1e-4, batch_size=32, epochs=25):
        self.lr = lr
        self.epochs = epochs
""",
        {"train.epochs": 25, "sgd.lr": 0.05, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "data.batch_size": 32},
    ),
    "config dict + fn": (
        """\
import os
config = {
    'lr': 0.1,
    'momentum': 0.9,
    'weight_decay': 5e-4,
    'scheduler': 'cosine',
    'epochs': 200,
    'batch_size': 128,
}
def main():
    run(config)
if __name__ == '__main__':
    main()
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 128,
            "train.epochs": 200,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.1,
        },
    ),
    "adjust fn only": (
        'def adjust_learning_rate(optimizer, epoch):\n    """Sets the learning rate to the initial LR decayed by 10 every 30 epochs"""\n    lr = args.lr * (0.1 ** (epoch // 30))\n    for param_group in optimizer.param_groups:\n        param_group[\'lr\'] = lr\n',
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.1, "sgd.lr.every": 30, "sgd.lr.unit": "epoch"},
    ),
    "yolox warm": (
        """\
        # --------------  training config --------------------- #
        self.warmup_epochs = 3
        self.max_epoch = 120
        self.warmup_lr = 0
        self.basic_lr_per_img = 0.02 / 64.0
        self.scheduler = "yoloxwarmcos"
        self.no_aug_epochs = 10
        self.min_lr_ratio = 0.01
        self.ema = True
        self.weight_decay = 1e-4
        self.momentum = 0.95
""",
        {
            "sgd.momentum": 0.95,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 120,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0,
            "sgd.lr.then.schedule": "cosine",
        },
    ),
    "ffcv yaml-like": (
        """\
Section('lr', 'lr scheduling').params(
    step_ratio=Param(float, 'learning rate step ratio', default=0.1),
    step_length=Param(int, 'learning rate step length', default=30),
    lr_schedule_type=Param(OneOf(['step', 'cyclic']), default='cyclic'),
    lr=Param(float, 'learning rate', default=0.5),
)
Section('training', 'training hyper param stuff').params(
    batch_size=Param(int, 'The batch size', default=512),
    optimizer=Param(And(str, OneOf(['sgd'])), 'The optimizer', default='sgd'),
    momentum=Param(float, 'SGD momentum', default=0.9),
    weight_decay=Param(float, 'weight decay', default=4e-5),
    epochs=Param(int, 'number of epochs', default=30),
)
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 4e-05,
            "data.batch_size": 512,
            "train.epochs": 30,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.5,
        },
    ),
    "pydantic Field": (
        """\
class Settings(BaseModel):
    lr: float = Field(0.03, description="learning rate, 0.1 for large batches")
    batch_size: int = Field(default=96, ge=1)
    epochs: int = Field(default=50)
    momentum: float = Field(0.9)
""",
        {"sgd.momentum": 0.9, "data.batch_size": 96, "train.epochs": 50, "sgd.lr": 0.03},
    ),
    "click": (
        """\
@click.command()
@click.option('--lr', default=0.07, help='learning rate')
@click.option('--epochs', default=33)
@click.option('--batch-size', default=44)
def main(lr, epochs, batch_size): pass
""",
        {"data.batch_size": 44, "train.epochs": 33, "sgd.lr": 0.07},
    ),
    "skorch": (
        "net = NeuralNetClassifier(Net, max_epochs=15, lr=0.1, optimizer=torch.optim.SGD, optimizer__momentum=0.9, batch_size=64)",
        {"sgd.momentum": 0.9, "train.epochs": 15, "data.batch_size": 64, "sgd.lr": 0.1},
    ),
    "sklearn": (
        "clf = MLPClassifier(hidden_layer_sizes=(100,), solver='sgd', learning_rate_init=0.01, momentum=0.95, alpha=1e-4, batch_size=32, max_iter=60, nesterovs_momentum=False)",
        {"sgd.momentum": 0.95, "sgd.nesterov": False, "train.epochs": 60, "data.batch_size": 32, "sgd.lr": 0.01},
    ),
    "detectron2 lazy": (
        """\
from .common import model
optimizer = L(torch.optim.SGD)(lr=0.02, momentum=0.9, weight_decay=1e-4)
lr_multiplier = L(WarmupParamScheduler)(
    scheduler=L(MultiStepParamScheduler)(values=[1.0, 0.1, 0.01], milestones=[60000, 80000], num_updates=90000),
    warmup_length=1000 / 90000, warmup_factor=0.001)
train.max_iter = 90000
dataloader.train.total_batch_size = 16
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "sgd.lr": 0.02, "train.steps": 90000, "data.batch_size": 16},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_stated(name):
    """Every value that is stated, and no other, is what the text says."""
    assert not differences(*CASES[name])


RECIPE = """
[sgd]
momentum = 0.9
nesterov = true
weight_decay = 5e-4
decay = "decoupled"
[sgd.lr]
schedule = "warmup"
duration = 50
start = 0.01
then = {schedule = "multistep", initial = 0.1, factor = 0.2, milestones = [600, 1200]}
[[groups]]
match = "@bias_and_norm"
weight_decay = 0.0
[data]
batch_size = 128
[train]
steps = 2000
clip_norm = 1.0
"""


def test_what_downslope_exports_is_read_back(tmp_path):
    """A program written by `export --to downslope` says what its recipe says."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    fields = read(str(export(path, "downslope")))[0].fields
    assert {name: fields[name].value for name in fields} == {
        "sgd.momentum": 0.9,
        "sgd.nesterov": True,
        "sgd.weight_decay": 5e-4,
        "sgd.decay": "decoupled",
        "sgd.lr.schedule": "warmup",
        "sgd.lr.duration": 50,
        "sgd.lr.unit": "step",
        "sgd.lr.start": 0.01,
        "sgd.lr.restart": True,
        "sgd.lr.then.schedule": "multistep",
        "sgd.lr.then.initial": 0.1,
        "sgd.lr.then.factor": 0.2,
        "sgd.lr.then.milestones": [600, 1200],
        "sgd.lr.then.unit": "step",
        "groups.0.match": "@bias_and_norm",
        "groups.0.weight_decay": 0.0,
        "data.batch_size": 128,
        "train.steps": 2000,
        "train.clip_norm": 1.0,
    }
