"""Programs read by their syntax tree: what each says, worked out by hand; nothing is run, and nothing raises."""

from __future__ import annotations

import json
import time

import pytest

from downslope import read
from downslope.reading.code import is_notebook, looks_like_python, read_python
from downslope.reading.findings import Found, Part
from downslope.reading.reading import Field


def found_in(text: str, **flags: object) -> Found:
    """Return what a program says, with options that a command line sets."""
    given = {name: Field(value, "stated", f"--{name} {value}", 7, 12, "run.sh") for name, value in flags.items()}
    return read_python(Part("code", "python", text), given)


def values_of(text: str, **flags: object) -> dict[str, object]:
    """Return the values of its fields."""
    return {path: field.value for path, field in found_in(text, **flags).fields.items()}


def remarks_of(text: str) -> set[str]:
    """Return the names of its remarks."""
    return {name for name, _ in found_in(text).remarks}


# name: (program, what it says); every path given must have this value, and those with None must be absent
PROGRAMS = {
    "positional arguments of torch": (
        "opt = torch.optim.SGD(net.parameters(), 0.1, 0.9, 0, 1e-4, True)",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.dampening": 0, "sgd.weight_decay": 1e-4, "sgd.nesterov": True},
    ),
    "alias and keywords from a dictionary": (
        "from torch.optim import SGD as Descent\nsettings = dict(lr=0.2, momentum=0.8)\nopt = Descent(p, **settings, weight_decay=5e-4)",
        {"sgd.lr": 0.2, "sgd.momentum": 0.8, "sgd.weight_decay": 5e-4},
    ),
    "optax, boundaries in a comprehension": (
        "s = optax.piecewise_constant_schedule(0.2, {int(b * steps_per_epoch): 0.1 for b in (30, 60)})\ntx = optax.sgd(s, 0.9)",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.2, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [30, 60], "sgd.lr.unit": "epoch"},
    ),
    "optax, boundaries in a dictionary of pairs, the start unknown": (
        "s = optax.piecewise_constant_schedule(LR, boundaries_and_scales=dict(zip([1000, 2000], [0.5, 0.5])))\ntx = optax.sgd(s)",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": None, "sgd.lr.factor": 0.5, "sgd.lr.milestones": [1000, 2000], "sgd.lr.unit": "step"},
    ),
    "examples by batch are an epoch's steps": (
        "steps = len(train_ds) // 128\ntx = optax.sgd(optax.cosine_decay_schedule(0.1, 90 * steps))",
        {"sgd.lr.schedule": "cosine", "sgd.lr.duration": 90, "sgd.lr.unit": "epoch"},
    ),
    "a function alone, of a rate that is not said": (
        "def adjust_learning_rate(optimizer, epoch, args):\n    lr = args.lr * 0.1 ** (epoch // 3)\n"
        "    for g in optimizer.param_groups:\n        g['lr'] = lr\n",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.1, "sgd.lr.every": 3, "sgd.lr.unit": "epoch", "sgd.lr.initial": None},
    ),
    "a class alone": (
        "class StepLR:\n    def __init__(self, optimizer, learning_rate):\n        self.optimizer, self.base = optimizer, learning_rate\n"
        "    def __call__(self, epoch):\n        lr = self.base if epoch < 40 else self.base * 0.2\n"
        "        for g in self.optimizer.param_groups:\n            g['lr'] = lr\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.2, "sgd.lr.milestones": [40], "sgd.lr.unit": "epoch", "sgd.lr.initial": None},
    ),
    "a class that is called": (
        "class Drop:\n    def __init__(self, optimizer, rate, total):\n        self.o, self.rate, self.total = optimizer, rate, total\n"
        "    def __call__(self, epoch):\n        lr = self.rate if epoch < self.total / 2 else self.rate * 0.2\n"
        "        for g in self.o.param_groups:\n            g['lr'] = lr\n"
        "opt = SGD(net.parameters(), lr=0.3)\ndrop = Drop(opt, 0.3, 60)\nfor epoch in range(60):\n    drop(epoch)\n    train()\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.3, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [30], "train.epochs": 60},
    ),
    **{
        f"milestones counted by {count}": (
            "steps = [30, 60]\nopt = SGD(net.parameters(), lr=0.1)\nfor epoch in range(90):\n"
            f"    lr = 0.1 * 0.2 ** {count}\n    for g in opt.param_groups:\n        g['lr'] = lr\n    train(epoch)\n",
            {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [30, 60]},
        )
        for count in ("int(np.sum(np.array(steps) <= epoch))", "(epoch >= np.array(steps)).sum()", "sum(epoch >= s for s in steps)",
                      "bisect.bisect_right(steps, epoch)", "np.searchsorted(steps, epoch, side='right')")
    },
    "functions in a table": (
        "RATE = 0.05\nTABLE = {\n    'optimizer': lambda p: SGD(p, lr=RATE, momentum=0.9),\n"
        "    'scheduler': lambda o: CosineAnnealingLR(o, 30, 0.1 * RATE),\n}\n",
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.05, "sgd.lr.final": 0.005, "sgd.lr.duration": 30, "sgd.momentum": 0.9},
    ),
    "classes in configurations": (
        "c = Table(o=Config(module=torch.optim.SGD, lr=0.2), s=Config(module=torch.optim.lr_scheduler.StepLR, step_size=9, gamma=0.5))",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.2, "sgd.lr.rate": 0.5, "sgd.lr.every": 9},
    ),
    "lazy calls": (
        "opt = L(torch.optim.SGD)(params=L(get_params)(), lr=0.02, weight_decay=1e-4)",
        {"sgd.lr": 0.02, "sgd.weight_decay": 1e-4},
    ),
    "names alone, with a warmup": (
        "c = ConfigDict()\nc.learning_rate = 0.2\nc.warmup_epochs = 4.0\nc.num_epochs = 50\n",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 4, "sgd.lr.unit": "epoch", "sgd.lr.then": 0.2, "train.epochs": 50},
    ),
    "an optimizer made anew each epoch": (
        "def train(epoch):\n    lr = 0.1\n    if epoch >= 60: lr = lr / 10\n    optimizer = SGD(net.parameters(), lr=lr, momentum=0.9)\n"
        "for epoch in range(100):\n    train(epoch)\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [60]},
    ),
    "optimizers made anew, of which the first is not known": (
        "lr = 0.1\nfor epoch in range(100):\n    if epoch == 50 or epoch == 75:\n        lr = lr * 0.1\n"
        "        optimizer = SGD(net.parameters(), lr=lr)\n    train(epoch)\n",
        {"sgd.lr.schedule": None, "sgd.lr.milestones": None},
    ),
    "a function's own default is its length, not the training's": (
        "def poly_lr(optimizer, init_lr, it, max_iter=100, power=0.9):\n    optimizer.param_groups[0]['lr'] = init_lr * (1 - it / max_iter) ** power\n",
        {"sgd.lr.schedule": "polynomial", "sgd.lr.duration": 100, "sgd.lr.power": 0.9, "sgd.lr.unit": "step", "train.steps": None},
    ),
    "a function of the first rate": (
        "def learning_rate(init, epoch):\n    n = 2 if epoch >= 90 else 1 if epoch >= 60 else 0\n    return init * math.pow(0.2, n)\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.2, "sgd.lr.milestones": [60, 90], "sgd.lr.initial": None},
    ),
    "a table of settings that is used by its names": (
        "hparams = {'learning_rate': 0.02, 'momentum': 0.8}\nopt = SGD(self.parameters(), lr=self.hparams['learning_rate'], momentum=h['momentum'])",
        {"sgd.lr": 0.02, "sgd.momentum": 0.8},
    ),
    "milestones by name, the factor not said": (
        "class Config:\n    lr = 0.02\n    lr_steps = [30, 50]\n    epochs = 60\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.02, "sgd.lr.milestones": [30, 50], "sgd.lr.factor": None, "train.epochs": 60},
    ),
    "a rate of one stretch of the run": ("if epoch == 50:\n    learning_rate = 0.01\n", {"sgd.lr": None}),
    "a length that is not known": (
        "opt = SGD(p, lr=0.1)\ns = optim.lr_scheduler.StepLR(opt, step_size=N, gamma=0.5)",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.5, "sgd.lr.every": None},
    ),
    "factors on a rate that is not known": (
        "s = optim.lr_scheduler.LambdaLR(opt, lr_lambda=lambda epoch: 0.95 ** epoch)",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.95, "sgd.lr.initial": None},
    ),
    "jax": (
        "from jax.experimental import optimizers\ninit, update, get = optimizers.momentum(step_size=0.01, mass=0.8)",
        {"sgd.lr": 0.01, "sgd.momentum": 0.8},
    ),
    "numbered options": (
        "DEFINE_float('init_lr', 0.2, '')\nDEFINE_float('lr_decay_factor', 0.5, '')\nDEFINE_integer('decay_step0', 2000, '')\n"
        "DEFINE_integer('decay_step1', 3000, '')\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.2, "sgd.lr.factor": 0.5, "sgd.lr.milestones": [2000, 3000], "sgd.lr.unit": "step"},
    ),
    "old Keras": (
        "from keras.optimizers import SGD\nm.compile(optimizer=SGD(lr=0.05, decay=1e-6, momentum=0.9, nesterov=True))\nm.fit(x, y, batch_size=32, nb_epoch=40)",
        {"sgd.lr.schedule": "inverse", "sgd.lr.initial": 0.05, "sgd.lr.gamma": 1e-6, "sgd.nesterov": True, "train.epochs": 40, "data.batch_size": 32},
    ),
    "TensorFlow 1": (
        "rate = tf.train.exponential_decay(0.1, global_step, 1000, 0.96, staircase=True)\nopt = tf.train.MomentumOptimizer(rate, 0.9, use_nesterov=True)",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.every": 1000, "sgd.lr.rate": 0.96, "sgd.lr.staircase": True,
         "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "optax's chain, lengths in epochs": (
        ("warm = optax.linear_schedule(0.0, 0.4, 5 * steps_per_epoch)\n"
        "rate = optax.join_schedules([warm, optax.cosine_decay_schedule(0.4, 85 * steps_per_epoch)], [5 * steps_per_epoch])\n"
        "tx = optax.chain(optax.clip_by_global_norm(1.0), optax.add_decayed_weights(5e-4), optax.sgd(rate, 0.9, True))"),
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 5, "sgd.lr.start": 0, "sgd.lr.unit": "epoch", "sgd.lr.then.schedule": "cosine",
         "sgd.lr.then.initial": 0.4, "sgd.lr.then.duration": 85, "sgd.lr.then.unit": "epoch", "sgd.momentum": 0.9, "sgd.nesterov": True,
         "sgd.weight_decay": 5e-4, "train.clip_norm": 1.0},
    ),
    "optax's parts": (
        "tx = optax.chain(optax.trace(decay=0.95, nesterov=True), optax.scale(-0.05))",
        {"sgd.lr": 0.05, "sgd.momentum": 0.95, "sgd.nesterov": True},
    ),
    "gluon": (
        ("s = mx.lr_scheduler.MultiFactorScheduler(step=[300, 600], factor=0.1)\n"
        "t = gluon.Trainer(net.collect_params(), 'nag', {'learning_rate': 0.1, 'wd': 1e-4, 'momentum': 0.9, 'lr_scheduler': s})"),
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.milestones": [300, 600], "sgd.weight_decay": 1e-4, "sgd.nesterov": True},
    ),
    "Paddle": (
        ("rate = paddle.optimizer.lr.PiecewiseDecay([100, 200], [0.1, 0.02, 0.004])\n"
        "opt = paddle.optimizer.Momentum(rate, 0.9, parameters=m.parameters(), weight_decay=paddle.regularizer.L2Decay(1e-4))"),
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [100, 200], "sgd.lr.unit": "step",
         "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4},
    ),
    "MindSpore": (
        "import mindspore.nn as nn\nopt = nn.Momentum(net.trainable_params(), 0.01, 0.9, 1e-4)\nmodel.train(12, data)",
        {"sgd.lr": 0.01, "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4, "train.epochs": 12},
    ),
    "Chainer": (
        ("opt = chainer.optimizers.MomentumSGD(0.05)\nopt.add_hook(chainer.optimizer.WeightDecay(5e-4))\n"
        "trainer = training.Trainer(updater, (300, 'epoch'))\ntrainer.extend(extensions.ExponentialShift('lr', 0.5), trigger=(25, 'epoch'))"),
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.05, "sgd.lr.rate": 0.5, "sgd.lr.every": 25, "sgd.momentum": 0.9,
         "sgd.weight_decay": 5e-4, "train.epochs": 300},
    ),
    "the cycle's own rate beats the optimizer's": (
        "opt = SGD(p, lr=0.01)\ns = OneCycleLR(opt, max_lr=0.4, epochs=30, steps_per_epoch=len(loader), pct_start=0.2)",
        {"sgd.lr.schedule": "onecycle", "sgd.lr.peak": 0.4, "sgd.lr.duration": 30, "sgd.lr.unit": "epoch", "sgd.lr.pct_start": 0.2},
    ),
    "one after the other": (
        ("opt = SGD(p, lr=0.2)\na = LinearLR(opt, start_factor=0.1, total_iters=5)\nb = CosineAnnealingLR(opt, T_max=45, eta_min=0.001)\n"
        "s = SequentialLR(opt, [a, b], milestones=[5])"),
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 5, "sgd.lr.start": 0.02, "sgd.lr.restart": True, "sgd.lr.then.schedule": "cosine",
         "sgd.lr.then.initial": 0.2, "sgd.lr.then.final": 0.001, "sgd.lr.then.duration": 45},
    ),
    "stepped after every batch": (
        "opt = SGD(p, lr=0.2)\ns = StepLR(opt, 500, 0.3)\nfor epoch in range(8):\n    for x in loader:\n        opt.step()\n        s.step()",
        {"sgd.lr.schedule": "exponential", "sgd.lr.every": 500, "sgd.lr.rate": 0.3, "sgd.lr.unit": "step", "train.epochs": 8},
    ),
    "plateau": (
        "opt = SGD(p, lr=0.2)\ns = ReduceLROnPlateau(opt, 'max', factor=0.2, patience=4)",
        {"sgd.lr": 0.2, "train.plateau.factor": 0.2, "train.plateau.patience": 4, "train.plateau.metric": "accuracy"},
    ),
    "Keras changes one step later; the boundaries as written": (
        "rate = keras.optimizers.schedules.PiecewiseConstantDecay([100, 250], [0.1, 0.05, 0.001])\nopt = keras.optimizers.SGD(rate, 0.9)",
        {"sgd.lr.schedule": "sequence", "sgd.lr.schedules": [0.1, 0.05, 0.001], "sgd.lr.boundaries": [100, 250], "sgd.momentum": 0.9},
    ),
    "optax, an exponential with a floor": (
        "s = optax.exponential_decay(0.1, 200, 0.5, staircase=True, end_value=0.002)\ntx = optax.sgd(s, 0.9)",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.5, "sgd.lr.every": 200, "sgd.lr.staircase": True, "sgd.lr.end": 0.002},
    ),
    "optax, a warmup and an exponential with a floor": (
        "tx = optax.sgd(optax.warmup_exponential_decay_schedule(0.0, 0.4, 50, 200, 0.5, 0, True, 0.002))",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 50, "sgd.lr.then.schedule": "exponential", "sgd.lr.then.every": 200,
         "sgd.lr.then.staircase": True, "sgd.lr.then.end": 0.002},
    ),
    "one cycle, all by place": (
        "opt = SGD(p, lr=0.1)\ns = OneCycleLR(opt, 0.4, 300, None, None, 0.2, 'linear', True, 0.8, 0.9, 10, 100)",
        {"sgd.lr.schedule": "onecycle", "sgd.lr.peak": 0.4, "sgd.lr.duration": 300, "sgd.lr.pct_start": 0.2, "sgd.lr.shape": "linear",
         "sgd.lr.div_factor": 10, "sgd.lr.final_div_factor": 100},
    ),
    "transformers, a power by place": (
        "opt = SGD(p, lr=0.1)\ns = get_polynomial_decay_schedule_with_warmup(opt, 10, 300, 1e-3, 2.0)",
        {"sgd.lr.schedule": "warmup", "sgd.lr.then.schedule": "polynomial", "sgd.lr.then.final": 1e-3, "sgd.lr.then.power": 2,
         "sgd.lr.then.duration": 290},
    ),
    "timm, a warmup that comes before": (
        "opt = SGD(p, lr=0.1)\ns = timm.scheduler.CosineLRScheduler(opt, t_initial=100, warmup_t=5, warmup_lr_init=1e-3, warmup_prefix=True)",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 5, "sgd.lr.start": 1e-3, "sgd.lr.restart": True, "sgd.lr.then.duration": 100},
    ),
    "MXNet, a floor": (
        "s = mx.lr_scheduler.FactorScheduler(step=400, factor=0.5, stop_factor_lr=0.003)\n"
        "t = gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.2, 'lr_scheduler': s})",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.2, "sgd.lr.rate": 0.5, "sgd.lr.every": 400, "sgd.lr.end": 0.003},
    ),
    "transformers": (
        "opt = SGD(p, lr=0.01)\ns = get_cosine_schedule_with_warmup(opt, num_warmup_steps=100, num_training_steps=1000)",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 100, "sgd.lr.then.schedule": "cosine", "sgd.lr.then.duration": 900, "sgd.lr.then.initial": 0.01},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_calls_of_each_framework(name):
    """Optimizers and schedules of each framework, by place and by name, nested and alone."""
    program, expected = PROGRAMS[name]
    found = values_of(program)
    assert {path: found.get(path) for path in expected} == expected, found
    assert found_in(program).optimizer in {"", "sgd"}


OPTIONS = {
    "argparse": (
        (
            "p = argparse.ArgumentParser()\np.add_argument('--lr', '--rate', type=float, default='0.3', help='try 0.7')\n"
            "p.add_argument('--steps', default='20,40')\np.add_argument('-n', '--num-epochs', type=int, default=50)\n"
            "args = p.parse_args()\nopt = SGD(net.parameters(), lr=args.lr)\n"
            "s = MultiStepLR(opt, [int(t) for t in args.steps.split(',')], gamma=0.5)\nfor epoch in range(args.num_epochs):\n    train(epoch)"
        ),
        {"sgd.lr.initial": 0.3, "sgd.lr.milestones": [20, 40], "sgd.lr.factor": 0.5, "train.epochs": 50},
    ),
    "click": (
        (
            "@click.command()\n@click.option('--lr', default=0.3)\n@click.option('-e', '--epochs', default=7)\n"
            "def main(lr, epochs):\n    opt = SGD(p, lr)\n    for e in range(epochs):\n        train(e)\nmain()"
        ),
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "typer": (
        "def main(lr: float = typer.Option(0.3, help='9'), epochs: int = 7):\n    opt = SGD(p, lr)\n    for e in range(epochs):\n        train(e)\ntyper.run(main)",
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "absl": (
        (
            "FLAGS = flags.FLAGS\nflags.DEFINE_float('lr', 0.3, 'one of 5')\nflags.DEFINE_integer('epochs', 7, '')\n"
            "def main(_):\n    opt = SGD(p, lr=FLAGS.lr)\n    for e in range(FLAGS.epochs):\n        train(e)\napp.run(main)"
        ),
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "fire": (
        "def main(lr=0.3, epochs=7):\n    opt = SGD(p, lr=lr)\n    for e in range(epochs):\n        train(e)\nfire.Fire(main)",
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "dataclass": (
        (
            "@dataclass\nclass Config:\n    lr: float = 0.3\n    epochs: int = field(default=7)\n"
            "def main(config: Config):\n    opt = SGD(p, lr=config.lr)\n    for e in range(config.epochs):\n        train(e)\n"
        ),
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_followed_to_where_they_are_used(name):
    """A default counts where it reaches the optimizer, the schedule or the loop; help texts do not."""
    program, expected = OPTIONS[name]
    found = values_of(program)
    assert {path: found.get(path) for path in expected} == expected, found


@pytest.mark.parametrize("name", OPTIONS)
def test_flags_take_the_place_of_defaults(name):
    """What a command line sets holds, with the place of its words."""
    program, _ = OPTIONS[name]
    found = found_in(program, lr=0.125)
    field = found.fields.get("sgd.lr") or found.fields["sgd.lr.initial"]
    assert field.value == 0.125
    assert (field.file, field.start, field.end, field.provenance) == ("run.sh", 7, 12, "stated")


def test_a_flag_may_be_a_list_or_a_switch():
    """Flags of several values, and those without one."""
    program = (
        "p.add_argument('--steps', type=int, nargs='+', default=[30])\np.add_argument('--nesterov', action='store_true')\n"
        "a = p.parse_args()\nopt = SGD(w, lr=1.0, momentum=0.9, nesterov=a.nesterov)\ns = MultiStepLR(opt, a.steps)"
    )
    assert values_of(program)["sgd.nesterov"] is False
    found = values_of(program, steps=[40, 60], nesterov=True)
    assert found["sgd.lr.milestones"] == [40, 60]
    assert found["sgd.nesterov"] is True


def set_in_a_loop(body: str, epochs: int = 100) -> str:
    """Return a program that sets the rate at each epoch."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        f"opt = SGD(net.parameters(), lr=0.4, momentum=0.9)\ndef adjust(optimizer, epoch):\n{lines}\n"
        f"    for group in optimizer.param_groups:\n        group['lr'] = lr\n"
        f"for epoch in range({epochs}):\n    adjust(opt, epoch)\n    train(epoch)\n"
    )


# what sets the learning rate epoch by epoch, of 0.4 at first -> the schedule
FUNCTIONS = {
    "lr = 0.4 * (0.5 ** (epoch // 30))": {"schedule": "exponential", "initial": 0.4, "rate": 0.5, "every": 30, "staircase": True},
    "lr = 0.4 * 0.97 ** epoch": {"schedule": "exponential", "initial": 0.4, "rate": 0.97, "every": 1, "staircase": False},
    "lr = 0.4\nif epoch >= 40: lr = 0.04\nif epoch >= 80: lr = 0.004": {"schedule": "multistep", "initial": 0.4, "factor": 0.1, "milestones": [40, 80]},
    "lr = optimizer.param_groups[0]['lr']\nif epoch in [40, 70]: lr *= 0.2": {"schedule": "multistep", "initial": 0.4, "factor": 0.2, "milestones": [40, 70]},
    "if epoch < 10: lr = 0.4\nelif epoch < 50: lr = 0.1\nelse: lr = 0.05": {"schedule": "sequence", "schedules": [0.4, 0.1, 0.05], "boundaries": [10, 50]},
    "lr = 0.2 * (1 + math.cos(math.pi * epoch / 100))": {"schedule": "cosine", "initial": 0.4, "final": 0, "duration": 100},
    "lr = 0.01 + 0.195 * (1 + np.cos(np.pi * epoch / 100))": {"schedule": "cosine", "initial": 0.4, "final": 0.01, "duration": 100},
    "lr = 0.4 * (1 - epoch / 100) ** 0.9": {"schedule": "polynomial", "initial": 0.4, "final": 0, "duration": 100, "power": 0.9},
    "lr = 0.4 * (1 - epoch / 100)": {"schedule": "linear", "initial": 0.4, "final": 0, "duration": 100},
    "lr = 0.4 / (1 + 0.05 * epoch)": {"schedule": "inverse", "initial": 0.4, "gamma": 0.05, "power": 1},
    "lr = max(0.4 * 0.1 ** (epoch // 20), 0.001)": {"schedule": "exponential", "initial": 0.4, "rate": 0.1, "every": 20, "staircase": True, "end": 0.001},
    "lr = 0.4 * epoch / 5 if epoch < 5 else 0.4 * 0.1 ** (epoch // 30)": {
        "schedule": "warmup", "duration": 5, "start": 0, "then.schedule": "exponential", "then.initial": 0.4, "then.rate": 0.1,
        "then.every": 30, "restart": False,
    },
    "if epoch < 5:\n    lr = 0.4 * (epoch + 1) / 5\nelse:\n    lr = 0.2 * (1 + math.cos(math.pi * (epoch - 5) / 95))": {
        "schedule": "warmup", "duration": 5, "start": 0.08, "then.schedule": "cosine", "then.initial": 0.4, "then.final": 0,
        "then.duration": 95, "restart": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("body", FUNCTIONS)
def test_what_sets_the_rate_is_recognised(body):
    """What a program sets epoch by epoch is named as a schedule."""
    expected = {f"sgd.lr.{name}": value for name, value in FUNCTIONS[body].items()}
    found = values_of(set_in_a_loop(body))
    for path, value in expected.items():
        assert found.get(path) == (pytest.approx(value) if not isinstance(value, str | bool) else value), (path, found)
    assert found["train.epochs"] == 100


def test_warmup_within_epochs():
    """Five epochs of warmup batch by batch, then 0.4, divided by 10 at 30, 60 and 80."""
    found = values_of(
        "def adjust(optimizer, epoch, step, length):\n"
        "    drops = epoch // 30 + (epoch >= 80)\n"
        "    lr = 0.4 * 0.1 ** drops\n"
        "    if epoch < 5:\n"
        "        lr = lr * float(1 + step + epoch * length) / (5. * length)\n"
        "    for group in optimizer.param_groups:\n"
        "        group['lr'] = lr\n"
        "opt = SGD(p, lr=0.4)\n"
        "for epoch in range(90):\n"
        "    for i, (x, y) in enumerate(loader):\n"
        "        adjust(opt, epoch, i, len(loader))\n"
        "        loss.backward()\n"
        "        opt.step()\n"
    )
    expected = {
        "sgd.lr.schedule": "warmup",
        "sgd.lr.duration": 5,
        "sgd.lr.unit": "epoch",
        "sgd.lr.then.milestones": [30, 60, 80],
    }
    assert {path: found.get(path) for path in expected} == expected, found


def test_iterations_are_looked_at_where_something_can_change():
    """A long loop is looked at around the numbers of the program."""
    program = (
        "opt = SGD(p, lr=0.2)\nfor it in range(60000):\n    if it in [20000, 45000]:\n"
        "        for g in opt.param_groups: g['lr'] *= 0.1\n    loss.backward()\n    opt.step()"
    )
    found = values_of(program)
    assert found["sgd.lr.milestones"] == [20000, 45000]
    assert (found["sgd.lr.unit"], found["train.steps"]) == ("step", 60000)


def test_lambda_in_steps_is_told_in_epochs():
    """A function of the step that scales with the length of an epoch is one of epochs."""
    program = (
        "opt = SGD(p, lr=0.1)\ns = LambdaLR(opt, lambda t: 0.5 * (1 + math.cos(math.pi * t / (60 * len(loader)))))\n"
        "for epoch in range(60):\n    for x in loader:\n        opt.step()\n        s.step()"
    )
    found = values_of(program)
    assert (found["sgd.lr.schedule"], found["sgd.lr.duration"], found["sgd.lr.unit"]) == ("cosine", 60, "epoch")


def test_a_function_alone():
    """A function that nobody calls tells its schedule, and a name the rate it begins with."""
    program = "def lr_schedule(epoch, lr):\n    if epoch and epoch % 20 == 0:\n        return lr * 0.1\n    return lr\ninitial_lr = 0.05"
    found = values_of(program)
    assert (found["sgd.lr.schedule"], found["sgd.lr.every"], found["sgd.lr.initial"]) == ("exponential", 20, 0.05)


def test_a_function_of_the_iteration_in_an_endless_loop():
    """The function is evaluated over the run: 100 iterations up to 0.3, then a cosine down to 0.03 at 5000."""
    program = (
        "top, bottom, warm, last, max_iters = 0.3, 0.03, 100, 5000, 5000\n"
        "def get_lr(it):\n    if it < warm:\n        return top * it / warm\n    if it > last:\n        return bottom\n"
        "    part = (it - warm) / (last - warm)\n    return bottom + 0.5 * (1 + math.cos(math.pi * part)) * (top - bottom)\n"
        "max_iters = 5000\nopt = SGD(p, lr=top)\nn = 0\nwhile True:\n    for g in opt.param_groups:\n        g['lr'] = get_lr(n)\n    n += 1"
    )
    found = values_of(program)
    assert (found["sgd.lr.schedule"], found["sgd.lr.duration"], found["train.steps"]) == ("warmup", 100, 5000)
    then = {name: found[f"sgd.lr.then.{name}"] for name in ("schedule", "initial", "final", "duration")}
    assert then == {"schedule": "cosine", "initial": 0.3, "final": pytest.approx(0.03), "duration": 4900}


def test_a_default_that_the_program_refuses_is_passed_over():
    """Where the program asks for another setting, what comes after still tells the training."""
    program = (
        "p.add_argument('--gpu', default=None)\na = p.parse_args()\nif a.gpu is None:\n    raise ValueError('give one')\n"
        "opt = SGD(w, lr=0.1)"
    )
    assert values_of(program) == {"sgd.lr": 0.1}


def test_a_rate_that_depends_on_what_is_measured_is_no_schedule():
    """The rate is marked, and nothing is made up."""
    program = (
        "opt = SGD(p, lr=0.1)\nfor epoch in range(50):\n    train(epoch)\n    if loss > best:\n"
        "        for g in opt.param_groups: g['lr'] *= 0.5\n"
    )
    found = found_in(program)
    assert found.fields["sgd.lr"].value == 0.1
    assert "rate_if_measured" in found.fields["sgd.lr"].marks
    assert "rate_if_measured" in remarks_of(program)


def test_cases_of_an_unknown_subject_are_conditions():
    """Which case holds is as unknown as the side of an `if`; of a known subject the case is the value's."""
    cases = "match mode:\n        case 'a' | 'c':\n            lr = 0.1\n        case 'b':\n            lr = 0.3\n        case _:\n            lr = 0.2"
    program = f"def rate(mode):\n    {cases}\n    return lr\nopt = SGD(p, lr=rate({{}}))"
    assert found_in(program.format("x")).fields["sgd.lr"].marks == ("conditional",)
    for mode, rate in (("c", 0.1), ("b", 0.3), ("other", 0.2)):
        field = found_in(program.format(repr(mode))).fields["sgd.lr"]
        assert (field.value, field.marks) == (rate, ())


@pytest.mark.parametrize(
    ("part", "rate"), [("[::2][1]", 0.3), ("[::-1][0]", 0.4), ("[1:][0]", 0.2), ("[::0][0]", None)]
)
def test_a_slice_takes_its_step(part, rate):
    """Every second item, or the list from its end; a step of 0 is refused by Python."""
    assert values_of(f"rates = [0.1, 0.2, 0.3, 0.4]\nopt = SGD(p, lr=rates{part})").get("sgd.lr") == rate


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ("rate = sorted(rates, reverse=True)[0]", 0.3),
        ("rate = sorted(rates)[0]", 0.1),
        ("rate = sorted(rates, key=score)[0]", None),
        ("rate = list(reversed(rates))[0]", 0.1),
        ("rates.reverse()\nrate = rates[0]", 0.1),
        ("rates.sort()\nrate = rates[1]", 0.2),
        ("rates.sort(reverse=True)\nrate = rates[1]", 0.2),
        ("rates.sort(key=score)\nrate = rates[0]", None),
        ("rates.insert(0, 0.5)\nrate = rates[0]", 0.5),
        ("rate = max(rates, key=score)", None),
    ],
)
def test_order_of_a_list(words, rate):
    """A list is in the order that the program puts it in; by a function that is not known, in none."""
    assert values_of(f"rates = [0.3, 0.2, 0.1]\n{words}\nopt = SGD(p, lr=rate)").get("sgd.lr") == rate


def test_a_rate_that_is_not_recognised_is_marked():
    """A scheduler from elsewhere changes it in a way that is not known."""
    program = "opt = SGD(p, lr=0.1)\ns = MyOwnLR(opt, 30)\nfor epoch in range(9):\n    train(epoch)\n    s.step()"
    field = found_in(program).fields["sgd.lr"]
    assert (field.value, field.provenance, field.marks) == (0.1, "implied", ("rate_unrecognised",))


@pytest.mark.parametrize(
    ("call", "more", "less"),
    [
        ("tf.keras.optimizers.schedules.PolynomialDecay(0.1, 900, 0.01, 2.0{})", ", cycle=True", ", cycle=False"),
        ("tf.train.polynomial_decay(0.1, step, 900, 0.01, 2.0{})", ", True", ", False"),
        ("tf.train.inverse_time_decay(0.1, step, 900, 0.5{})", ", staircase=True", ""),
        ("keras.optimizers.schedules.InverseTimeDecay(0.1, 900, 0.5{})", ", True", ", False"),
        ("optax.exponential_decay(0.1, 900, 0.5{})", ", 300", ", 0"),
        ("optax.linear_schedule(0.1, 0.0, 900{})", ", transition_begin=300", ""),
        ("optax.cosine_decay_schedule(0.1, 900, 0.0{})", ", 2.0", ", 1.0"),
        ("optax.warmup_cosine_decay_schedule(0.0, 0.1, 50, 900{})", ", exponent=2.0", ", exponent=1.0"),
    ],
)
def test_an_argument_that_makes_another_schedule(call, more, less):
    """One that cycles, begins later or takes steps is not told as the one that does not."""
    program = f"opt = optax.sgd({call.format(more)})"
    assert not [path for path in values_of(program) if path.startswith("sgd.lr")]
    assert "rate_unrecognised" in remarks_of(program)
    assert "sgd.lr.schedule" in values_of(f"opt = optax.sgd({call.format(less)})")


@pytest.mark.parametrize(
    ("call", "more", "less"),
    [
        ("OneCycleLR(opt, 0.4, total_steps=300{})", ", three_phase=True", ", three_phase=False"),
        ("get_cosine_schedule_with_warmup(opt, 10, 300{})", ", 2", ", 0.5"),
    ],
)
def test_an_argument_that_makes_another_scheduler(call, more, less):
    """A third phase, or more waves than half of one, leave a rate that changes in a way that is not known."""
    program = "opt = torch.optim.SGD(p, lr=0.1)\ns = {}\nfor batch in loader:\n    train(batch)\n    s.step()"
    assert found_in(program.format(call.format(more))).fields["sgd.lr"].marks == ("rate_unrecognised",)
    assert "sgd.lr.schedule" in values_of(program.format(call.format(less)))


def test_another_setting_than_the_default_is_a_remark():
    """The default path holds, and the condition is told."""
    program = (
        "p.add_argument('--arch', default='small')\na = p.parse_args()\nopt = SGD(w, lr=0.1)\n"
        "if a.arch in ['large', 'huge']:\n    for g in opt.param_groups: g['lr'] = 0.01\nfor epoch in range(20):\n    train(epoch)"
    )
    assert values_of(program)["sgd.lr"] == 0.1
    assert "otherwise" in remarks_of(program)


def test_what_is_commented_out_printed_or_help_is_no_value():
    """Only what would run counts."""
    program = (
        "# opt = SGD(p, lr=0.7, momentum=0.6)\np.add_argument('--lr', default=0.1, help='0.5 with momentum 0.4')\n"
        "a = p.parse_args()\nprint('SGD(lr=0.9)')\nopt = SGD(p, lr=a.lr)\n'''lr = 0.8'''"
    )
    assert values_of(program) == {"sgd.lr": 0.1}


def test_the_code_holds_where_its_comment_says_something_else():
    """A comment with another number is told of; one with the same is not."""
    program = "opt = SGD(p,\n  lr=0.1,  # learning rate 0.01\n  momentum=0.9)  # momentum = 0.9"
    assert values_of(program)["sgd.lr"] == 0.1
    assert [name for name, _ in found_in(program).remarks] == ["comment_differs"]


def test_groups():
    """Parameters of a known name become groups; those that are given nothing of their own do not."""
    found = values_of(
        "opt = SGD([{'params': net.fc.parameters(), 'lr': 0.1}, {'params': biases, 'weight_decay': 0},"
        " {'params': net.stem.parameters()}], lr=0.01, momentum=0.9, weight_decay=5e-4)"
    )
    assert found["sgd.lr"] == 0.01
    assert [
        (found[f"groups.{i}.match"], found.get(f"groups.{i}.lr"), found.get(f"groups.{i}.weight_decay")) for i in (0, 1)
    ] == [
        ("fc.*", 0.1, None),
        ("*.bias", None, 0.0),
    ]


def test_groups_by_a_condition_on_the_name():
    """What is set for names with "bias" is a group, and what is set for the rest the main setting."""
    found = values_of(
        "params = []\nfor name, value in net.named_parameters():\n    if 'bias' in name:\n"
        "        params += [{'params': [value], 'lr': 0.02, 'weight_decay': 0}]\n    else:\n"
        "        params += [{'params': [value], 'lr': 0.01, 'weight_decay': 1e-4}]\nopt = torch.optim.SGD(params, momentum=0.9)"
    )
    assert (found["sgd.lr"], found["sgd.weight_decay"]) == (0.01, 1e-4)
    assert (found["groups.0.match"], found["groups.0.lr"], found["groups.0.weight_decay"]) == ("*.bias", 0.02, 0)


def test_a_group_of_unknown_parameters_is_a_remark():
    """Its numbers are told, and no pattern is made up."""
    program = "opt = SGD([{'params': picked, 'lr': 0.5}], lr=0.1)"
    assert values_of(program) == {"sgd.lr": 0.1}
    assert "group_unknown" in remarks_of(program)


def test_two_optimizers_compete():
    """The first is read, and what the other says otherwise is marked."""
    program = "g = SGD(G.parameters(), lr=0.2, momentum=0.5)\nd = SGD(D.parameters(), lr=0.1, momentum=0.9)"
    found = found_in(program)
    assert found.fields["sgd.lr"].marks == found.fields["sgd.momentum"].marks == ("two_optimizers",)
    assert "another" in remarks_of(program)


def test_a_rate_for_each_device_is_in_doubt():
    """How many devices there are is not in the program."""
    field = found_in("opt = SGD(p, lr=0.0125 * hvd.size(), momentum=0.9)").fields["sgd.lr"]
    assert (field.value, field.provenance, field.marks) == (0.0125, "implied", ("conditional",))


PIECES = {
    ">>> opt = SGD(p, lr=0.1,\n...           momentum=0.9)\n<optimizer 3.5>\n>>> print opt": {"sgd.lr": 0.1, "sgd.momentum": 0.9},
    "    opt = SGD(p, lr=0.1)\n  s = StepLR(opt, 30)\n    for epoch in range(90):\n        ...\nand so on, 7 times": {
        "sgd.lr.initial": 0.1, "sgd.lr.every": 30, "train.epochs": 90},
    "opt = SGD(p, lr=0.1,\n    momentum=0.9": {"sgd.lr": 0.1, "sgd.momentum": 0.9},
    "def f():\n    x = x.cuda(async=True)\n    print 'a', 3\n    opt = SGD(p, lr=0.1)\n": {"sgd.lr": 0.1},
    "%matplotlib inline\n!pip install x\nopt = SGD(p, lr=0.1)": {"sgd.lr": 0.1},
    "try:\n    a()\nexcept Error, e:\n    pass\nopt = SGD(p, lr=0.1)": {"sgd.lr": 0.1},
    "class A:\n    def f(self):\n        return (1,\n\nopt = SGD(p, lr=0.1)\n": {"sgd.lr": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("text", PIECES)
def test_pieces_that_are_python(text):
    """Prompts, missing brackets, Python 2, magics and prose around it."""
    found = values_of(text)
    assert {path: found.get(path) for path in PIECES[text]} == PIECES[text], found


def test_words_stand_where_they_are_said_to():
    """Places count from the beginning of the whole input, in characters."""
    text = "# 学习率\nopt = SGD(p, lr=0.1, momentum=0.9)\ns = MultiStepLR(opt, milestones=[30, 60])\n"
    part = Part("code", "python", text, start=100, name="a.py")
    for path, field in read_python(part).fields.items():
        if field.start >= 0:
            assert text[field.start - 100 : field.end - 100] == field.words, path
            assert field.file == "a.py"


def test_every_number_is_in_a_field_or_not_used():
    """Numbers of layers, comments and the like are listed."""
    text = "x = Conv(3, 64)\nopt = SGD(p, lr=0.1)  # was 0.7\ny = 12"
    found = found_in(text)
    unread = [text[start:end] for start, end in found.unread]
    assert unread == ["x = Conv(3, 64)", "opt = SGD(p, lr=0.1)  # was 0.7", "y = 12"]


def test_notebook():
    """Code cells are one program, with places in the file; text cells, with the same words too, are not used."""
    cells = [
        {"cell_type": "markdown", "source": ["# Train\n", 'with "SGD" for 7 epochs; lr = 0.1\n']},
        {"cell_type": "code", "source": ["lr = 0.1\n", 'name = "π"\n']},
        {"cell_type": "code", "source": "opt = SGD(p, lr=lr, momentum=0.9)"},
    ]  # fmt: skip
    text = json.dumps({"cells": cells, "nbformat": 4}, indent=1, ensure_ascii=False)
    assert is_notebook(text)
    part = Part("code", "notebook", text, name="a.ipynb")
    found = read_python(part)
    assert {path: field.value for path, field in found.fields.items()} == {"sgd.lr": 0.1, "sgd.momentum": 0.9}
    for field in found.fields.values():
        assert text[field.start : field.end] == field.words
        assert field.start > text.index('"code"')
    assert [words for words in read(text, name="a.ipynb")[0].unread if "7 epochs" in words]


@pytest.mark.parametrize(
    ("text", "is_python"),
    [
        ("import torch\nopt = torch.optim.SGD(p, lr=0.1)", True),
        ("SGD(net.parameters(), lr=0.1, momentum=0.9)", True),
        ("for epoch in range(3):\n    train()", True),
        ("We use SGD with momentum 0.9 and a learning rate of 0.1.", False),
        ("lr = 0.1\nmomentum = 0.9", False),
        ("lr: 0.1\nmomentum: 0.9", False),
        ("optimizer = dict(type='SGD', lr=0.1)", False),
        ("python train.py --lr 0.1", False),
        ('{"lr": 0.1}', False),
        ("torch::optim::SGD opt(net->parameters(), 0.1);", False),
        ("", False),
    ],
)
def test_what_looks_like_python(text, is_python):
    """Prose, settings, command lines and other languages do not."""
    assert looks_like_python(text) is is_python


HOSTILE = {
    "powers": "x = 10**10**10\ny = 2**(2**(2**100))\nopt = SGD(p, lr=9**9**9)\n",
    "shifts": "x = 1 << 10**9\ny = (1<<63)*(1<<63)*(1<<63)\n",
    "repetitions": "x = 'a' * 10**12\ny = [0] * 10**12\nz = [[[]]*1000]*1000*1000\n",
    "brackets": "(" * 1_000_000,
    "calls that never end": "SGD(" * 50_000,
    "nesting": "x = " + "[" * 90 + "]" * 90 + "\nopt = SGD(p, lr=0.1)",
    "long sums": "x = " + "+".join(["1"] * 20_000) + "\nopt = SGD(p, lr=0.1)\n",
    "long chains": "x = a" + ".b" * 20_000,
    "deep ifs": "".join(" " * i + "if a:\n" for i in range(95)) + " " * 95 + "x=1\n",
    "recursion": "def f(n):\n    return f(n-1)+f(n-2)\nf(40)\ndef g(): g(); g()\ng()\n",
    "mutual recursion": "".join(f"def f{i}(x):\n    return f{(i + 1) % 50}(x) + f{(i + 7) % 50}(x)\n" for i in range(50)) + "f0(1)\n",
    "nested loops": "for a in range(300):\n  for b in range(300):\n    for epoch in range(300):\n      opt.param_groups[0]['lr'] = lr*epoch\n",
    "endless loops": "while True:\n    x = 1\nfor i in range(10**15):\n    opt.param_groups[0]['lr'] *= 0.9\n",
    "a megabyte of lines": "lr = 0.1\n" * 110_000,
    "a megabyte of calls": "opt = SGD(p, lr=0.1)\n" * 48_000,
    "broken lines": "def f(:\n   x = = 2\n" * 5_000,
    "open brackets": "x = (\n" * 20_000,
    "ragged lines": "\n".join("  " * (i % 40) + "x = 1 +" for i in range(20_000)),
    "surrogates and nulls": "x = '\ud800'\0\nopt = SGD(p, lr=0.1)",
    "itself": "a = {}\na['a'] = a\nb = []\nb.append(b)\nopt = SGD(b, lr=a)\nx = b == b\nclass A(A): pass\nA()\nA.y = A\n",
    "infinity": "opt = SGD(p, lr=float('inf'), momentum=float('nan'))\nopt2 = SGD(p, lr=1e999)\n",
    "widths": "x = '%1000000000d' % 5\ny = f'{5:1000000000}'\nz = '{:>1000000000}'.format(1)\nv = 'x'.replace('x', 'y' * 1000)\n",
    "comprehensions": "x = [i for i in range(10**12) for j in range(10**12)]\ny = {i: [k for k in range(10**9)] for i in range(300)}\n",
    "keywords of nothing": "SGD(**None, *3)\nSGD(lr=)\nopt = SGD(p, lr=[1, [2]], momentum={}, weight_decay='x', nesterov=3)\n",
    "schedules of nothing": "StepLR()\nMultiStepLR(1, [])\nSequentialLR(o, [[]], [3])\nLambdaLR(o, lambda: 1)\nOneCycleLR(o, max_lr=[1], epochs='a')\n"
    "PiecewiseConstantDecay([], [])\nPiecewiseConstantDecay([1], ['a', 'b'])\njoin_schedules([1], [2])\nLinearWarmup()\nLRSequential(3)\n",
    "options of nothing": "p.add_argument()\np.add_argument('--x', type=3, default='a')\np.add_argument('--y', type=int, default='1e5')\np.parse_args().x",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_end_soon_and_raise_nothing(name):
    """Whatever a program holds."""
    began = time.process_time()
    looks_like_python(HOSTILE[name])
    found = found_in(HOSTILE[name])
    assert time.process_time() - began < 8  # far less on a quiet machine
    assert all(start <= end for start, end in found.unread)


def test_numbers_beyond_use_are_no_values():
    """What is too large to be computed, infinite or no number."""
    assert "sgd.lr" not in values_of(HOSTILE["powers"])
    assert values_of(HOSTILE["infinity"]) == {}
