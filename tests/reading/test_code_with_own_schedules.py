"""Whole programs that write out their own schedule, as a class, a function or a loop: every value that each states."""

from __future__ import annotations

import pytest

from reading.neighbours import differences

CASES = {
    "torch custom scheduler class": (
        """\
class PolyLR(_LRScheduler):
    def __init__(self, optimizer, max_iters, power=0.9, last_epoch=-1, min_lr=1e-6):
        self.power = power
        self.max_iters = max_iters
        self.min_lr = min_lr
        super(PolyLR, self).__init__(optimizer, last_epoch)

    def get_lr(self):
        return [max(base_lr * (1 - self.last_epoch / self.max_iters) ** self.power, self.min_lr)
                for base_lr in self.base_lrs]

optimizer = torch.optim.SGD(params=model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
scheduler = PolyLR(optimizer, 30000, power=0.9)
""",
        {
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.01,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 30000,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.steps": 30000,
        },
    ),
    "custom warmup class": (
        """\
class WarmUpLR(_LRScheduler):
    def __init__(self, optimizer, total_iters, last_epoch=-1):
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)
    def get_lr(self):
        return [base_lr * self.last_epoch / (self.total_iters + 1e-8) for base_lr in self.base_lrs]

class CosineWarm(torch.optim.lr_scheduler._LRScheduler):
    def __init__(self, optimizer, warmup_epochs, max_epochs, eta_min=0.0, last_epoch=-1):
        self.warmup_epochs = warmup_epochs
        self.max_epochs = max_epochs
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)
    def get_lr(self):
        if self.last_epoch < self.warmup_epochs:
            return [base * self.last_epoch / self.warmup_epochs for base in self.base_lrs]
        t = (self.last_epoch - self.warmup_epochs) / (self.max_epochs - self.warmup_epochs)
        return [self.eta_min + (base - self.eta_min) * 0.5 * (1 + math.cos(math.pi * t)) for base in self.base_lrs]

opt = torch.optim.SGD(net.parameters(), 0.4, momentum=0.9, nesterov=True)
sched = CosineWarm(opt, 5, 100)
for epoch in range(100):
    train_one_epoch()
    sched.step()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.4,
            "sgd.lr.then.duration": 95,
            "sgd.nesterov": True,
            "train.epochs": 100,
            "sgd.lr.start": 0.0,
            "sgd.lr.then.final": 0.0,
            "sgd.momentum": 0.9,
        },
    ),
    "if elif chain keras": (
        """\
def lr_schedule(epoch):
    lr = 1e-1
    if epoch > 180:
        lr *= 0.5e-3
    elif epoch > 160:
        lr *= 1e-3
    elif epoch > 120:
        lr *= 1e-2
    elif epoch > 80:
        lr *= 1e-1
    return lr
model.compile(loss='categorical_crossentropy', optimizer=SGD(learning_rate=lr_schedule(0), momentum=0.9), metrics=['accuracy'])
callbacks = [LearningRateScheduler(lr_schedule)]
model.fit(x_train, y_train, batch_size=32, epochs=200, validation_data=(x_test, y_test), callbacks=callbacks)
""",
        {
            "sgd.lr.schedule": "sequence",
            "sgd.lr.boundaries": [81, 121, 161, 181],
            "sgd.lr.schedules": [0.1, 0.01, 0.001, 0.0001, 5e-05],
            "sgd.momentum": 0.9,
            "data.batch_size": 32,
            "train.epochs": 200,
        },
    ),
    "tf official resnet": (
        """\
def learning_rate_with_decay(batch_size, batch_denom, num_images, boundary_epochs, decay_rates, base_lr=0.1):
  initial_learning_rate = base_lr * batch_size / batch_denom
  batches_per_epoch = num_images / batch_size
  boundaries = [int(batches_per_epoch * epoch) for epoch in boundary_epochs]
  vals = [initial_learning_rate * decay for decay in decay_rates]
  def learning_rate_fn(global_step):
    return tf.train.piecewise_constant(global_step, boundaries, vals)
  return learning_rate_fn

learning_rate_fn = learning_rate_with_decay(batch_size=128, batch_denom=128, num_images=50000,
    boundary_epochs=[91, 136, 182], decay_rates=[1, 0.1, 0.01, 0.001])
optimizer = tf.train.MomentumOptimizer(learning_rate=learning_rate_fn(step), momentum=0.9)
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.1, "sgd.momentum": 0.9},
    ),
    "zip lists": (
        """\
lrs = [0.1, 0.01, 0.001]
epochs = [80, 40, 40]
for lr, n in zip(lrs, epochs):
    opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    for e in range(n):
        train(net, opt)
""",
        {"sgd.momentum": 0.9},
    ),
    "lambda": (
        """\
optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
lambda1 = lambda epoch: 0.95 ** epoch
scheduler = optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda1)
""",
        {"sgd.lr.schedule": "exponential", "sgd.lr.rate": 0.95, "sgd.lr.every": 1, "sgd.momentum": 0.9},
    ),
    "manual": (
        """\
lr = 0.1
optimizer = SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
for epoch in range(1, 201):
    if epoch in [100, 150]:
        lr /= 10
        for param_group in optimizer.param_groups:
            param_group['lr'] = lr
    train(epoch)
    test(epoch)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [100, 150],
            "sgd.lr.unit": "epoch",
            "train.epochs": 200,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
        },
    ),
    "keras step decay math": (
        """\
def step_decay(epoch):
    initial_lrate = 0.1
    drop = 0.5
    epochs_drop = 10.0
    lrate = initial_lrate * math.pow(drop, math.floor((1+epoch)/epochs_drop))
    return lrate
sgd = SGD(lr=0.0, momentum=0.9)
lrate = LearningRateScheduler(step_decay)
model.fit(X, Y, epochs=50, batch_size=28, callbacks=[lrate])
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 10,
            "sgd.lr.unit": "epoch",
            "train.epochs": 50,
            "data.batch_size": 28,
            "sgd.momentum": 0.9,
        },
    ),
    "loop iteration poly": (
        """\
def lr_poly(base_lr, iter, max_iter, power):
    return base_lr * ((1 - float(iter) / max_iter) ** power)

def adjust_learning_rate(optimizer, i_iter):
    lr = lr_poly(args.learning_rate, i_iter, args.num_steps, args.power)
    optimizer.param_groups[0]['lr'] = lr

parser.add_argument("--learning-rate", type=float, default=2.5e-4)
parser.add_argument("--num-steps", type=int, default=20000)
parser.add_argument("--power", type=float, default=0.9)
parser.add_argument("--momentum", type=float, default=0.9)
args = parser.parse_args()
optimizer = optim.SGD(model.parameters(), lr=args.learning_rate, momentum=args.momentum, weight_decay=0.0005)
for i_iter in range(args.num_steps):
    optimizer.zero_grad()
    adjust_learning_rate(optimizer, i_iter)
    loss = model(x)
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
            "train.steps": 20000,
            "sgd.weight_decay": 0.0005,
        },
    ),
    "epochs*0.5 known": (
        '''\
parser.add_argument('--epochs', default=300, type=int)
parser.add_argument('--lr', default=0.1, type=float)
parser.add_argument('-b', '--batch-size', default=64, type=int)
args = parser.parse_args()
optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=0.9, nesterov=True, weight_decay=1e-4)
def adjust_learning_rate(optimizer, epoch):
    """Sets the learning rate to the initial LR decayed by 10 after 150 and 225 epochs"""
    lr = args.lr * (0.1 ** (epoch // 150)) * (0.1 ** (epoch // 225))
    for param_group in optimizer.param_groups:
        param_group['lr'] = lr
''',
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [150, 225],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 64,
            "train.epochs": 300,
        },
    ),
    "wrn dict": (
        """\
def learning_rate(init, epoch):
    optim_factor = 0
    if(epoch > 160):
        optim_factor = 3
    elif(epoch > 120):
        optim_factor = 2
    elif(epoch > 60):
        optim_factor = 1
    return init*math.pow(0.2, optim_factor)
optimizer = optim.SGD(net.parameters(), lr=cf.learning_rate(args.lr, epoch), momentum=0.9, weight_decay=5e-4)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [61, 121, 161],
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
        },
    ),
    "keras functional dict": (
        """\
lr_dict = {0: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008}
def scheduler(epoch, lr):
    return lr_dict.get(epoch, lr)
model.compile(optimizer=tf.keras.optimizers.SGD(0.1, momentum=0.9), loss='sparse_categorical_crossentropy')
model.fit(train_ds, epochs=200, callbacks=[tf.keras.callbacks.LearningRateScheduler(scheduler)])
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [60, 120, 160],
            "sgd.momentum": 0.9,
            "train.epochs": 200,
        },
    ),
    "tf2 custom schedule": (
        """\
class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, base_lr, warmup_steps, total_steps):
        self.base_lr = base_lr
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        warm = self.base_lr * step / self.warmup_steps
        cos = 0.5 * self.base_lr * (1 + tf.cos(np.pi * (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)))
        return tf.where(step < self.warmup_steps, warm, cos)
optimizer = tf.keras.optimizers.SGD(WarmUp(0.4, 1000, 20000), momentum=0.9)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.4,
            "sgd.lr.then.duration": 19000,
            "sgd.momentum": 0.9,
            "train.steps": 20000,
        },
    ),
    "gluon manual decay": (
        """\
lr_decay = 0.1
lr_decay_epoch = [80, 160, np.inf]
lr_decay_count = 0
trainer = gluon.Trainer(net.collect_params(), 'nag', {'learning_rate': 0.1, 'wd': 0.0001, 'momentum': 0.9})
epochs = 240
for epoch in range(epochs):
    if epoch == lr_decay_epoch[lr_decay_count]:
        trainer.set_learning_rate(trainer.learning_rate*lr_decay)
        lr_decay_count += 1
    for i, batch in enumerate(train_data):
        trainer.step(batch_size)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [80, 160],
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 240,
        },
    ),
    "np interp": (
        """\
lr_schedule = lambda t: np.interp([t], [0, 5, 24], [0, 0.4, 0])[0]
opt = SGD(params, lr=0.4, momentum=0.9, weight_decay=5e-4*512, nesterov=True)
for epoch in range(24):
    lr = lr_schedule(epoch)
    train()
""",
        {
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "train.epochs": 24,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "linear",
            "sgd.lr.then.initial": 0.4,
            "sgd.lr.then.final": 0.0,
            "sgd.weight_decay": 0.256,
        },
    ),
    "manual plateau": (
        """\
lr = 20
for epoch in range(1, 41):
    train()
    val_loss = evaluate(val_data)
    if not best_val_loss or val_loss < best_val_loss:
        best_val_loss = val_loss
    else:
        # Anneal the learning rate if no improvement has been seen
        lr /= 4.0
""",
        {"train.plateau.factor": 0.25, "train.plateau.metric": "loss", "train.epochs": 40, "sgd.lr": 20},
    ),
    "manual plateau torch": (
        """\
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
for epoch in range(50):
    acc = evaluate()
    if acc <= best_acc:
        for g in optimizer.param_groups:
            g['lr'] *= 0.5
    best_acc = max(acc, best_acc)
""",
        {
            "sgd.lr": 0.5,
            "sgd.momentum": 0.9,
            "train.plateau.factor": 0.5,
            "train.plateau.metric": "accuracy",
            "train.epochs": 50,
        },
    ),
    "numpy sgd": (
        """\
for epoch in range(50):
    for i in range(0, n, 32):
        v = 0.9 * v - 0.01 * grad
        w += v
""",
        {"train.epochs": 50},
    ),
}
"""What each states, all of it, worked out by hand."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name):
    """Each value that is written, followed to where it is used; nothing else is stated."""
    assert not differences(*CASES[name])
