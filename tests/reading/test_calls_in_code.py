"""Optimizers and schedules as each framework calls them, and two of them at once."""

from __future__ import annotations

import pytest

from reading.programs import found_in, remarks_of, values_of

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
    "one cycle stepped once an epoch": (
        "opt = SGD(p, lr=0.1)\ns = OneCycleLR(opt, 0.4, total_steps=20)\nfor epoch in range(20):\n    for x in loader:\n        opt.step()\n    s.step()",
        {"sgd.lr.schedule": "onecycle", "sgd.lr.peak": 0.4, "sgd.lr.duration": 20, "sgd.lr.unit": "epoch"},
    ),
    "one cycle stepped after every batch": (
        "opt = SGD(p, lr=0.1)\ns = OneCycleLR(opt, 0.4, 900)\nfor epoch in range(20):\n    for x in loader:\n        opt.step()\n        s.step()",
        {"sgd.lr.schedule": "onecycle", "sgd.lr.peak": 0.4, "sgd.lr.duration": 900, "sgd.lr.unit": "step"},
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
