"""Ways in which programs set up a training: settings, pieces, own schedules; what they say was worked out by hand."""

from __future__ import annotations

import pytest

from reading.neighbours import amiss

PROGRAMS = {
    "only made": (
        """\
sgd = SGD(lr=0.01, decay=1e-6, momentum=0.9)
model.compile(loss='mse', optimizer='adam')
model.fit(x, y, batch_size=32, epochs=30)
""",
        {"data.batch_size": 32, "train.epochs": 30, "sgd.lr": None, "sgd.momentum": None},
    ),
    "made anew": (
        """\
optim = nn.SGD(net.trainable_params(), 1e-2)
optim = nn.Momentum(params=net.trainable_params(), learning_rate=0.1, momentum=0.9)
model = Model(net, optimizer=optim)
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9},
    ),
    "batch of the held-out examples": (
        """\
train_loader = DataLoader(train_set, batch_size=args.batch_size)
eval_loader = DataLoader(dev_set, batch_size=512)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
""",
        {"sgd.lr": 0.1, "data.batch_size": None},
    ),
    "the first rate is given": (
        """\
def adjust_learning_rate(optimizer, epoch, learning_rate):
    if epoch >= 30 and epoch < 40:
        lr = learning_rate / 2
    elif epoch >= 40:
        lr = learning_rate / 4
    else:
        lr = learning_rate
    for group in optimizer.param_groups:
        group['lr'] = lr
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.5, "sgd.lr.milestones": [30, 40]},
    ),
    "unknown trigger": (
        """\
optimizer = chainer.optimizers.MomentumSGD(lr=0.1, momentum=0.9)
trainer.extend(extensions.ExponentialShift('lr', 0.5), trigger=(args.step_size, 'epoch'))
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.5, "sgd.lr.factor": None},
    ),
    "parse list": (
        """\
parser = argparse.ArgumentParser()
parser.add_argument('-e', '--epochs', type=int, default=10)
parser.add_argument('--lr', type=float, default=0.1)
args = parser.parse_args(['-e', '120', '--lr', '0.05'])
opt = SGD(ps, lr=args.lr)
for epoch in range(args.epochs):
    train(epoch)
""",
        {"sgd.lr": 0.05, "train.epochs": 120},
    ),
    "interp": (
        """\
sched = lambda t: np.interp([t], [0, 15, 30], [0, 0.1, 0])[0]
opt = SGD(ps, lr=0.1, momentum=0.9)
for epoch in range(30):
    for i, (x, y) in enumerate(loader):
        lr = sched(epoch + (i + 1) / len(loader))
        opt.param_groups[0].update(lr=lr)
        loss = net(x)
        loss.backward()
        opt.step()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 15,
            "sgd.lr.then.schedule": "linear",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.final": 0,
            "train.epochs": 30,
        },
    ),
    "multiplicative": (
        """\
opt = SGD(ps, lr=0.1)
s = MultiplicativeLR(opt, lr_lambda=lambda epoch: 0.95)
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.rate": 0.95, "sgd.lr.every": 1},
    ),
    "own step class": (
        """\
class Poly(object):
    def __init__(self, base_lr, max_epochs, power=0.9):
        self.base_lr = base_lr
        self.max_epochs = max_epochs
        self.power = power
    def step(self, epoch):
        return round(self.base_lr * (1 - float(epoch) / self.max_epochs) ** self.power, 6)
opt = SGD(ps, lr=0.01, momentum=0.9)
sched = Poly(0.01, 80)
for epoch in range(80):
    lr = sched.step(epoch)
    opt.param_groups[0]['lr'] = lr
    train(epoch)
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.01,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 80,
            "train.epochs": 80,
        },
    ),
    "tf poly by hand": (
        """\
parser.add_argument('--lr', type=float, default=2.5e-4)
parser.add_argument('--num-steps', type=int, default=20000)
parser.add_argument('--power', type=float, default=0.9)
args = parser.parse_args()
base = tf.constant(args.lr)
step_ph = tf.placeholder(dtype=tf.float32, shape=())
learning_rate = tf.scalar_mul(base, tf.pow((1 - step_ph / args.num_steps), args.power))
opt = tf.train.MomentumOptimizer(learning_rate, 0.9)
for step in range(args.num_steps):
    sess.run(train_op, {step_ph: step})
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.00025,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 20000,
            "sgd.momentum": 0.9,
            "train.steps": 20000,
        },
    ),
    "chainer make_shift": (
        """\
parser.add_argument('--batchsize', type=int, default=8)
args = parser.parse_args()
opt = chainer.optimizers.MomentumSGD(momentum=0.9)
opt.add_hook(chainer.optimizer.WeightDecay(rate=0.0001))
trainer = training.Trainer(updater, (30, 'epoch'))
@make_shift('lr')
def lr_schedule(trainer):
    base_lr = 0.0005 * args.batchsize
    epoch = trainer.updater.epoch
    rate = 1
    for step in [19, 25]:
        if epoch >= step:
            rate *= 0.1
    return rate * base_lr
trainer.extend(lr_schedule)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.004,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [19, 25],
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 30,
        },
    ),
    "optax per epoch": (
        """\
steps = len(ds) // 128
sched = optax.piecewise_constant_schedule(0.1, {60 * steps: 0.2, 120 * steps: 0.2})
tx = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(sched, momentum=0.9, nesterov=True))
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [60, 120],
            "sgd.weight_decay": 0.0005,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
        },
    ),
    "jax take": (
        """\
def lr_at(epoch):
    bounds = jnp.array([30, 60, 80])
    values = jnp.array([1., 0.1, 0.01, 0.001]) * 0.4
    return jnp.take(values, jnp.sum(bounds <= epoch))
opt = objax.optimizer.Momentum(net.vars(), momentum=0.9)
for epoch in range(90):
    lr = lr_at(epoch)
    for x, y in batches():
        opt(lr, grads)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.4,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60, 80],
            "sgd.momentum": 0.9,
            "train.epochs": 90,
        },
    ),
    "objax warm": (
        """\
flags.DEFINE_float('lr', 0.1, 'rate')
flags.DEFINE_integer('epochs', 90, 'n')
FLAGS = flags.FLAGS
class Exp:
    def __init__(self):
        self.lr = FLAGS.lr
        self.opt = objax.optimizer.Momentum(self.vars, momentum=0.9, nesterov=True)
    def learning_rate(self, epoch):
        till = 5
        bounds = jn.array((30, 60, 80))
        values = jn.array([1., 0.1, 0.01, 0.001]) * self.lr
        lr = jn.take(values, jn.sum(bounds < epoch))
        return lr * jn.minimum(1., epoch / till)
    def train(self):
        for epoch in range(FLAGS.epochs):
            self.opt(self.learning_rate(epoch), grads)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.factor": 0.1,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "train.epochs": 90,
        },
    ),
    "lr_poly": (
        """\
def lr_poly(base_lr, it, max_iter, power):
    return base_lr * ((1 - float(it) / max_iter) ** power)
def adjust_learning_rate(optimizer, i_iter):
    lr = lr_poly(args.learning_rate, i_iter, args.num_steps, args.power)
    optimizer.param_groups[0]['lr'] = lr
    optimizer.param_groups[1]['lr'] = lr * 10
parser.add_argument('--learning-rate', type=float, default=2.5e-4)
parser.add_argument('--num-steps', type=int, default=20000)
parser.add_argument('--power', type=float, default=0.9)
args = parser.parse_args()
optimizer = optim.SGD(model.optim_parameters(args), lr=args.learning_rate, momentum=0.9, weight_decay=5e-4)
for i_iter in range(args.num_steps):
    adjust_learning_rate(optimizer, i_iter)
    loss.backward()
    optimizer.step()
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.00025,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 20000,
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.steps": 20000,
        },
    ),
    "fastai fit": (
        """\
learn = cnn_learner(dls, resnet34, opt_func=SGD)
learn.fit(10, lr=0.02)
""",
        {"sgd.lr": 0.02, "train.epochs": 10},
    ),
    "config class init": (
        """\
class RunConfig(Base):
    def __init__(self, n_epochs=150, init_lr=0.05, lr_schedule_type='cosine', train_batch_size=256, test_batch_size=500, opt_type='sgd', weight_decay=4e-5, label_smoothing=0.1, **kw):
        super().__init__(n_epochs, init_lr)
        self.n_epochs = n_epochs
        self.init_lr = init_lr
        self.opt_type = opt_type
""",
        {
            "sgd.lr.initial": 0.05,
            "sgd.lr.schedule": "cosine",
            "train.epochs": 150,
            "data.batch_size": 256,
            "sgd.weight_decay": 4e-05,
        },
    ),
    "inv decay tf": (
        """\
def inv(lr, step, gamma, power, name=None):
    lr = ops.convert_to_tensor(lr)
    gamma = math_ops.cast(gamma, dtype)
    def decayed(step):
        base = math_ops.multiply(gamma, step)
        return math_ops.multiply(lr, math_ops.pow(1 + base, -power), name=name)
    return decayed(step)
lr = inv(0.001, global_step, gamma=0.001, power=0.75)
opt = tf.train.MomentumOptimizer(lr, 0.9)
""",
        {
            "sgd.lr.schedule": "inverse",
            "sgd.lr.initial": 0.001,
            "sgd.lr.gamma": 0.001,
            "sgd.lr.power": 0.75,
            "sgd.momentum": 0.9,
        },
    ),
    "inv in torch": (
        """\
def inv_lr_scheduler(optimizer, iter_num, gamma, power, lr=0.001):
    lr = lr * (1 + gamma * iter_num) ** (-power)
    for g in optimizer.param_groups:
        g['lr'] = lr * g['lr_mult']
    return optimizer
opt = SGD(ps, lr=0.001, momentum=0.9)
for i in range(10000):
    opt = inv_lr_scheduler(opt, i, gamma=0.001, power=0.75)
    opt.step()
""",
        {
            "sgd.lr.schedule": "inverse",
            "sgd.lr.initial": 0.001,
            "sgd.lr.gamma": 0.001,
            "sgd.lr.power": 0.75,
            "sgd.momentum": 0.9,
        },
    ),
    "tf1 feed": (
        """\
class Net:
    def __init__(self, args):
        self.epoch = args.epoch
        self.init_lr = args.lr
        self.lr = tf.placeholder(tf.float32, name='learning_rate')
        self.optim = tf.train.MomentumOptimizer(self.lr, momentum=0.9).minimize(self.loss)
    def train(self):
        epoch_lr = self.init_lr
        for epoch in range(self.epoch):
            if epoch == int(self.epoch * 0.5) or epoch == int(self.epoch * 0.75):
                epoch_lr = epoch_lr * 0.1
            for idx in range(0, self.iteration):
                self.sess.run(self.optim, feed_dict={self.x: b, self.lr: epoch_lr})
parser.add_argument('--epoch', type=int, default=82)
parser.add_argument('--lr', type=float, default=0.1)
net = Net(parser.parse_args())
net.train()
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [41, 61],
            "sgd.momentum": 0.9,
            "train.epochs": 82,
        },
    ),
    "tf by flag": (
        """\
flags.DEFINE_float('learning_rate', 0.001, 'x')
flags.DEFINE_integer('decay_step', 200000, 'x')
flags.DEFINE_float('decay_rate', 0.7, 'x')
flags.DEFINE_string('optimizer', 'momentum', 'x')
FLAGS = flags.FLAGS
OPTIMIZER = FLAGS.optimizer
def get_lr(batch):
    lr = tf.train.exponential_decay(FLAGS.learning_rate, batch * 32, FLAGS.decay_step, FLAGS.decay_rate, staircase=True)
    lr = tf.maximum(lr, 0.00001)
    return lr
def train():
    lr = get_lr(batch)
    if OPTIMIZER == 'momentum':
        opt = tf.train.MomentumOptimizer(lr, momentum=0.9)
    elif OPTIMIZER == 'adam':
        opt = tf.train.AdamOptimizer(lr)
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.001, "sgd.lr.rate": 0.7, "sgd.momentum": 0.9},
    ),
    "hparams milestone ep": (
        """\
h = TrainingHparams(optimizer_name='sgd', momentum=0.9, milestone_steps='80ep,120ep', lr=0.1, gamma=0.1, weight_decay=1e-4, training_steps='160ep')
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [80, 120],
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 160,
        },
    ),
    "args assigned": (
        """\
args.n_epochs = 120
args.base_lr = 3e-2
args.lr_schedule_type = 'cosine'
args.opt_type = 'sgd'
args.momentum = 0.9
args.no_nesterov = False
args.weight_decay = 3e-5
args.base_batch_size = 64
args.opt_param = {'momentum': args.momentum, 'nesterov': not args.no_nesterov}
run_config = RunConfig(**args.__dict__)
""",
        {
            "sgd.lr.initial": 0.03,
            "sgd.lr.schedule": "cosine",
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 3e-05,
            "data.batch_size": 64,
            "train.epochs": 120,
        },
    ),
    "fixmatch": (
        """\
class M:
    def model(self, batch, lr, wd, ema=0.999):
        lrate = tf.clip_by_value(tf.to_float(self.step) / (FLAGS.train_kimg << 10), 0, 1)
        lr *= tf.cos(lrate * (7 * np.pi) / (2 * 8))
        loss_wd = sum(tf.nn.l2_loss(v) for v in vars if 'kernel' in v.name)
        op = tf.train.MomentumOptimizer(lr, 0.9, use_nesterov=True).minimize(loss + wd * loss_wd)
def main(argv):
    m = M(lr=FLAGS.lr, wd=FLAGS.wd, batch=FLAGS.batch)
flags.DEFINE_float('wd', 0.0005, 'Weight decay.')
FLAGS.set_default('batch', 64)
FLAGS.set_default('lr', 0.03)
""",
        {"sgd.lr": 0.03, "sgd.momentum": 0.9, "sgd.nesterov": True, "sgd.weight_decay": 0.0005, "data.batch_size": 64},
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_ways_of_programs(name):
    """Each is read with the values that were worked out by hand; what is None is not read."""
    assert amiss(*PROGRAMS[name]) == []
