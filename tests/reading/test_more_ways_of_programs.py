"""More ways in which programs set up a training: loops, schedulers by the step, frameworks; values by hand."""

from __future__ import annotations

import pytest

from reading.neighbours import amiss

WARMUP_POLY = """\
class WarmupPoly(torch.optim.lr_scheduler._LRScheduler):
    def __init__(self, optimizer, max_iters, power=0.9, warmup_iters=500, last_epoch=-1):
        self.max_iters = max_iters
        self.power = power
        self.warmup_iters = warmup_iters
        super().__init__(optimizer, last_epoch)
    def get_lr(self):
        if self.last_epoch < self.warmup_iters:
            return [b * self.last_epoch / self.warmup_iters for b in self.base_lrs]
        f = (1 - (self.last_epoch - self.warmup_iters) / (self.max_iters - self.warmup_iters)) ** self.power
        return [b * f for b in self.base_lrs]
"""
PROGRAMS = {
    "warmup by epochs": (
        """\
opt = torch.optim.SGD(ps, lr=0.1, momentum=0.9)
scheduler = WarmupMultiStepLR(opt, [90, 110], gamma=0.1, warmup_epochs=5)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.milestones": [90, 110],
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.initial": 0.1,
        },
    ),
    "warmup that a name tells": (
        """\
WARMUP_STEPS = 500
LR = 0.01
opt = torch.optim.SGD(ps, lr=LR, momentum=0.9)
""",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 500, "sgd.lr.then": 0.01},
    ),
    "policy of skorch": (
        """\
net = NeuralNetClassifier(Net, max_epochs=20, lr=0.1, optimizer=torch.optim.SGD, optimizer__momentum=0.9,
    callbacks=[LRScheduler(policy='StepLR', step_size=5, gamma=0.5)])
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.rate": 0.5, "sgd.lr.every": 5},
    ),
    "policy of skorch by class": (
        """\
net = NeuralNetClassifier(Net, max_epochs=20, lr=0.1, optimizer=torch.optim.SGD,
    callbacks=[LRScheduler(policy=torch.optim.lr_scheduler.MultiStepLR, milestones=[5, 10], gamma=0.1)])
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.1, "sgd.lr.milestones": [5, 10], "train.epochs": 20},
    ),
    "neon": (
        "opt = GradientDescentMomentum(0.1, 0.9)\nmlp.fit(x, num_epochs=2, optimizer=opt)\n",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.epochs": 2},
    ),
    "length from elsewhere": (
        """\
def scheduler(epoch):
    if epoch < epoch_num * 0.4:
        return 0.1
    return 0.01
model.fit(x, y, epochs=50, callbacks=[LearningRateScheduler(scheduler)])
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.milestones": [20], "train.epochs": 50},
    ),
    "cycle with warm start": (
        """\
iters = 500
def lr_at(it):
    if it < iters:
        return 0.02 * it / iters
    return 0.02
opt = SGD(ps, lr=0.02)
for it in range(9000):
    for g in opt.param_groups: g['lr'] = lr_at(it)
    loss.backward()
    opt.step()
""",
        {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 500, "sgd.lr.then": 0.02},
    ),
    "own StepLR": (
        """\
from utility.step_lr import StepLR
opt = torch.optim.SGD(ps, lr=0.1, momentum=0.9)
scheduler = StepLR(opt, 0.1, 200)
for epoch in range(200):
    train(epoch)
    scheduler(epoch)
""",
        {"sgd.lr.schedule": None, "sgd.lr.rate": None, "sgd.momentum": 0.9, "train.epochs": 200},
    ),
    "own StepLR args": (
        """\
from utility.step_lr import StepLR
parser.add_argument('--epochs', default=200, type=int)
parser.add_argument('--learning_rate', default=0.1, type=float)
args = parser.parse_args()
opt = SAM(net.parameters(), torch.optim.SGD, rho=args.rho, lr=args.learning_rate, momentum=0.9)
scheduler = StepLR(opt, args.learning_rate, args.epochs)
for epoch in range(args.epochs):
    scheduler(epoch)
""",
        {"sgd.lr": 0.1, "sgd.lr.rate": None, "sgd.momentum": 0.9, "train.epochs": 200},
    ),
    "estimator2": (
        """\
def model_fn(features, labels, mode, params):
    weight_decay = params['weight_decay']
    l2 = weight_decay * tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
    lr = inv(params['base_lr'], global_step, gamma=0.001, power=0.75)
    opt = tf.train.MomentumOptimizer(learning_rate=lr, momentum=params['momentum'])
classifier = tf.estimator.Estimator(model_fn=model_fn, params={'weight_decay': 0.0005, 'momentum': 0.9, 'base_lr': 0.001, 'batch_size': 36})
def inv(lr, step, gamma, power):
    return lr * tf.pow(1 + gamma * step, -power)
""",
        {
            "sgd.lr.schedule": "inverse",
            "sgd.lr.initial": 0.001,
            "sgd.lr.gamma": 0.001,
            "sgd.lr.power": 0.75,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 36,
        },
    ),
    "shift function": (
        """\
opt = chainer.optimizers.MomentumSGD(momentum=0.9)
@make_shift('lr')
def lr_schedule(trainer):
    base_lr = 0.005
    warm_up_duration = 500
    warm_up_rate = 1 / 3
    iteration = trainer.updater.iteration
    if iteration < warm_up_duration:
        rate = warm_up_rate + (1 - warm_up_rate) * iteration / warm_up_duration
    elif iteration < 60000:
        rate = 1
    elif iteration < 80000:
        rate = 0.1
    else:
        rate = 0.01
    return base_lr * rate
trainer = training.Trainer(updater, (90000, 'iteration'))
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.005,
            "sgd.lr.then.milestones": [60000, 80000],
            "train.steps": 90000,
            "sgd.momentum": 0.9,
        },
    ),
    "lars eta": (
        """\
from lars import LARS
parser.add_argument('--lr', default=.1, type=float)
parser.add_argument('--eta', default=.001, type=float)
args = parser.parse_args()
opt = LARS(params=m.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4, eta=args.eta, max_epoch=90)
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "objax devices": (
        """\
flags.DEFINE_integer('train_device_batch_size', 64, 'b')
flags.DEFINE_float('base_learning_rate', 0.1, 'Base')
FLAGS = flags.FLAGS
class E:
    def __init__(self):
        self.total = FLAGS.train_device_batch_size * jax.device_count()
        self.base = FLAGS.base_learning_rate * self.total / 256
        self.optimizer = objax.optimizer.Momentum(self.vars, momentum=0.9, nesterov=True)
        self.train_op_parallel = objax.Parallel(self.train_op, self.all, reduce=lambda x: x[0])
    def learning_rate(self, epoch: float):
        till = 5
        boundaries = jn.array((30, 60, 80))
        values = jn.array([1., 0.1, 0.01, 0.001]) * self.base
        index = jn.sum(boundaries < epoch)
        lr = jn.take(values, index)
        return lr * jn.minimum(1., epoch / till)
    def train_op(self, images, labels, cur_epoch):
        cur_epoch = cur_epoch[0]
        lr = self.learning_rate(cur_epoch)
        self.optimizer(lr, grads)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.factor": 0.1,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
        },
    ),
    "tf deeplab": (
        """\
LEARNING_RATE = 2.5e-4
NUM_STEPS = 20001
POWER = 0.9
def get_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('--learning-rate', type=float, default=LEARNING_RATE)
    parser.add_argument('--momentum', type=float, default=0.9)
    parser.add_argument('--num-steps', type=int, default=NUM_STEPS)
    parser.add_argument('--power', type=float, default=POWER)
    return parser.parse_args()
def main():
    args = get_arguments()
    base_lr = tf.constant(args.learning_rate)
    step_ph = tf.placeholder(dtype=tf.float32, shape=())
    learning_rate = tf.scalar_mul(base_lr, tf.pow((1 - step_ph / args.num_steps), args.power))
    opt_conv = tf.train.MomentumOptimizer(learning_rate, args.momentum)
    opt_fc_w = tf.train.MomentumOptimizer(learning_rate * 10.0, args.momentum)
    for step in range(args.num_steps):
        sess.run(train_op, feed_dict={step_ph: step})
main()
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.00025,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 20001,
            "sgd.momentum": 0.9,
            "train.steps": 20001,
        },
    ),
    "parse list in main": (
        """\
def main(args):
    train(args.dataset, args.batch_size, args.epochs)
def train(dataset='mnist', batch_size=128, epochs=50):
    if dataset == 'c100':
        opt = SGD(lr=0.1, decay=5e-3, momentum=0.9)
    else:
        opt = SGD(lr=0.1, decay=1e-4, momentum=0.9)
    model.compile(loss=loss, optimizer=opt)
    model.fit_generator(gen, steps_per_epoch=n / batch_size, epochs=epochs)
if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('-d', '--dataset', type=str)
    parser.add_argument('-e', '--epochs', type=int)
    parser.add_argument('-b', '--batch_size', type=int)
    parser.set_defaults(epochs=150)
    parser.set_defaults(batch_size=128)
    args = parser.parse_args(['-d', 'c10', '-e', '120', '-b', '64'])
    main(args)
""",
        {
            "sgd.momentum": 0.9,
            "train.epochs": 120,
            "data.batch_size": 64,
            "sgd.lr.schedule": "inverse",
            "sgd.lr.gamma": 0.0001,
        },
    ),
    "pretrain then main": (
        """\
def pretrain(net):
    opt = SGD(net.parameters(), lr=0.5)
    for epoch in range(3):
        train(opt)
def main():
    pretrain(net)
    opt = SGD(net.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(60):
        train(opt)
main()
""",
        {"sgd.lr": 0.05, "sgd.momentum": 0.9, "train.epochs": 60},
    ),
    "fluid cosine": (
        """\
lr = fluid.dygraph.CosineDecay(0.025, steps, 50)
clip = fluid.clip.GradientClipByGlobalNorm(clip_norm=5.0)
opt = fluid.optimizer.MomentumOptimizer(lr, 0.9, regularization=fluid.regularizer.L2DecayRegularizer(3e-4), parameter_list=ps, grad_clip=clip)
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.025,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0003,
            "train.clip_norm": 5.0,
        },
    ),
    "lr by dict of stages": (
        """\
stages = [(0, 0.1), (30, 0.01), (60, 0.001)]
opt = SGD(ps, lr=0.1, momentum=0.9)
def lr_for(epoch):
    for start, lr in reversed(stages):
        if epoch >= start:
            return lr
for epoch in range(90):
    for g in opt.param_groups: g['lr'] = lr_for(epoch)
    train(epoch)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60],
            "train.epochs": 90,
        },
    ),
    "LUT": (
        """\
LUT = [(60, 0.1), (120, 0.02), (200, 0.004)]
opt = SGD(ps, lr=0.1, momentum=0.9)
for epoch in range(200):
    lr = next((lr for (max_epoch, lr) in LUT if max_epoch > epoch), LUT[-1][1])
    for g in opt.param_groups: g['lr'] = lr
    train(epoch)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [60, 120],
            "train.epochs": 200,
        },
    ),
    "enum milestones": (
        """\
opt = SGD(ps, lr=0.1)
for epoch in range(200):
    if epoch == 100 or epoch == 150:
        adjust(opt)
    train(epoch)
def adjust(opt):
    for g in opt.param_groups:
        g['lr'] *= 0.1
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.milestones": [100, 150],
            "sgd.lr.factor": 0.1,
            "train.epochs": 200,
        },
    ),
    "optax join": (
        """\
warm = optax.linear_schedule(0., 0.4, 5 * spe)
cos = optax.cosine_decay_schedule(0.4, 85 * spe)
sched = optax.join_schedules([warm, cos], [5 * spe])
tx = optax.sgd(sched, momentum=0.9, nesterov=True)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.4,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
        },
    ),
    "eval only opt": (
        """\
def validate(net, epochs=5):
    for epoch in range(epochs):
        pass
def train(net, epochs=30, lr=0.1):
    opt = SGD(net.parameters(), lr=lr)
    for epoch in range(epochs):
        for x, y in loader:
            loss.backward()
            opt.step()
""",
        {"sgd.lr": 0.1, "train.epochs": 30},
    ),
    "keras poly cb": (
        """\
class Poly(tf.keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        lr = 0.01 * (1 - epoch / 40) ** 0.9
        K.set_value(self.model.optimizer.lr, lr)
model.compile(tf.keras.optimizers.SGD(0.01, momentum=0.9))
model.fit(x, y, batch_size=16, epochs=40, callbacks=[Poly()])
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.01,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 40,
            "sgd.momentum": 0.9,
            "data.batch_size": 16,
            "train.epochs": 40,
        },
    ),
    "lr list steps": (
        """\
stepvalues = (80000, 100000, 120000)
gamma = 0.1
step_index = 0
opt = SGD(ps, lr=1e-3, momentum=0.9)
for iteration in range(0, 120000):
    if iteration in stepvalues:
        step_index += 1
        adjust_learning_rate(opt, gamma, step_index)
    loss.backward()
    opt.step()
def adjust_learning_rate(optimizer, gamma, step):
    lr = 1e-3 * (gamma ** step)
    for g in optimizer.param_groups:
        g['lr'] = lr
""",
        {
            "train.steps": 120000,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.001,
            "sgd.lr.factor": 0.1,
            "sgd.momentum": 0.9,
        },
    ),
    "rounds of a whole training": (
        """\
for fold in range(5):
    net = Net()
    opt = SGD(net.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(12):
        for x, y in loader:
            loss.backward()
            opt.step()
""",
        {"train.epochs": 12, "sgd.lr": 0.1},
    ),
    "rounds of a function that trains": (
        """\
def train_fold(k):
    opt = SGD(net.parameters(), lr=0.1)
    for epoch in range(12):
        for x, y in loader:
            loss.backward()
            opt.step()
for fold in range(5):
    train_fold(fold)
""",
        {"train.epochs": 12},
    ),
    "an epoch by its batches": (
        """\
opt = SGD(net.parameters(), lr=0.1)
for i in range(12):
    for x, y in loader:
        loss.backward()
        opt.step()
""",
        {"train.epochs": 12, "train.steps": None},
    ),
    "a factor by the step": (
        """\
opt = SGD(ps, lr=0.01)
sched = LambdaLR(opt, lambda it: (1 - it / 40000) ** 0.9)
for epoch in range(40):
    for x in loader:
        opt.step()
        sched.step()
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.duration": 40000,
            "sgd.lr.power": 0.9,
            "sgd.lr.unit": "step",
            "train.epochs": 40,
        },
    ),
    "a scheduler's own class by the step": (
        WARMUP_POLY
        + """\
opt = SGD(ps, lr=0.01, momentum=0.9)
sched = WarmupPoly(opt, max_iters=40000)
for it in range(40000):
    loss.backward()
    opt.step()
    sched.step()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "polynomial",
            "sgd.lr.then.power": 0.9,
            "sgd.lr.then.duration": 39500,
            "sgd.momentum": 0.9,
            "train.steps": 40000,
        },
    ),
    "a scheduler's own class in epochs": (
        WARMUP_POLY
        + """\
opt = SGD(ps, lr=0.01, momentum=0.9)
sched = WarmupPoly(opt, max_iters=40000)
for epoch in range(30):
    for x in loader:
        opt.step()
        sched.step()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "polynomial",
            "sgd.lr.then.power": 0.9,
            "sgd.lr.then.duration": 39500,
            "train.epochs": 30,
        },
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_more_ways_of_programs(name):
    """Each is read with the values that were worked out by hand; what is None is not read."""
    assert amiss(*PROGRAMS[name]) == []
