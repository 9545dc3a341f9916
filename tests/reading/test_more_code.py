"""Code of many frameworks and styles, whole and cut: what each piece says of training."""

from __future__ import annotations

import pytest

from downslope import read

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
    "tf1 momentum piecewise": (
        """\
global_step = tf.train.get_or_create_global_step()
boundaries = [32000, 48000]
values = [0.1, 0.01, 0.001]
lr = tf.train.piecewise_constant(global_step, boundaries, values)
optimizer = tf.train.MomentumOptimizer(learning_rate=lr, momentum=0.9)
train_op = optimizer.minimize(loss, global_step=global_step)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [32000, 48000],
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
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
    "gluon": (
        """\
lr_scheduler = mx.lr_scheduler.MultiFactorScheduler(step=[30*num_batches, 60*num_batches], factor=0.1, base_lr=0.1)
trainer = gluon.Trainer(net.collect_params(), 'sgd', {'lr_scheduler': lr_scheduler, 'wd': 1e-4, 'momentum': 0.9})
for epoch in range(90):
    for batch in train_data:
        trainer.step(batch_size)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 90,
        },
    ),
    "mxnet module fit": (
        """\
mod.fit(train_iter, eval_data=val_iter, optimizer='sgd',
        optimizer_params={'learning_rate': 0.05, 'momentum': 0.9, 'wd': 0.0005, 'lr_scheduler': mx.lr_scheduler.FactorScheduler(step=500, factor=0.9)},
        num_epoch=10, eval_metric='acc')
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.05,
            "sgd.lr.rate": 0.9,
            "sgd.lr.every": 500,
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 10,
        },
    ),
    "paddle": (
        """\
lr = paddle.optimizer.lr.PiecewiseDecay(boundaries=[30, 60, 90], values=[0.1, 0.01, 0.001, 0.0001])
opt = paddle.optimizer.Momentum(learning_rate=lr, momentum=0.9, weight_decay=paddle.regularizer.L2Decay(1e-4), parameters=model.parameters())
for epoch in range(120):
    for x, y in loader():
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.clear_grad()
    lr.step()
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60, 90],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 120,
        },
    ),
    "paddle warmup cosine": (
        """\
scheduler = paddle.optimizer.lr.CosineAnnealingDecay(learning_rate=0.1, T_max=100)
scheduler = paddle.optimizer.lr.LinearWarmup(learning_rate=scheduler, warmup_steps=5, start_lr=0.0, end_lr=0.1)
optimizer = paddle.optimizer.Momentum(scheduler, 0.9, parameters=net.parameters(), use_nesterov=True)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 100,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
        },
    ),
    "mindspore": (
        """\
step_size = dataset.get_dataset_size()
lr = nn.cosine_decay_lr(min_lr=0.0, max_lr=0.1, total_step=step_size * 90, step_per_epoch=step_size, decay_epoch=90)
opt = nn.Momentum(net.trainable_params(), lr, 0.9, weight_decay=1e-4, loss_scale=1024)
model.train(90, dataset, callbacks=cb)
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.1,
            "sgd.lr.duration": 90,
            "sgd.lr.unit": "epoch",
            "sgd.lr.final": 0.0,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 90,
        },
    ),
    "fastai slice": (
        """\
learn = vision_learner(dls, resnet34, metrics=error_rate)
learn.fine_tune(4, base_lr=3e-3)
""",
        {"train.epochs": 4},
    ),
    "lightning": (
        """\
class Net(pl.LightningModule):
    def __init__(self, lr=0.05, momentum=0.9, wd=5e-4):
        super().__init__()
        self.save_hyperparameters()
        self.model = resnet18()
    def training_step(self, batch, idx):
        return self.loss(batch)
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=self.hparams.momentum, weight_decay=self.hparams.wd)
        steps_per_epoch = 45000 // BATCH_SIZE
        scheduler = {"scheduler": OneCycleLR(optimizer, 0.1, epochs=self.trainer.max_epochs, steps_per_epoch=steps_per_epoch), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
trainer = pl.Trainer(max_epochs=30, gradient_clip_val=1.0, devices=1)
""",
        {
            "sgd.lr.schedule": "onecycle",
            "sgd.lr.peak": 0.1,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 30,
            "train.clip_norm": 1.0,
        },
    ),
    "hf trainer": (
        """\
args = TrainingArguments(
    output_dir="out", learning_rate=5e-5, per_device_train_batch_size=16, num_train_epochs=3, weight_decay=0.01,
    warmup_ratio=0.1, lr_scheduler_type="cosine", max_grad_norm=1.0, label_smoothing_factor=0.1, fp16=True,
    gradient_accumulation_steps=4)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 5e-05,
            "train.epochs": 3,
            "sgd.weight_decay": 0.01,
            "data.batch_size": 16,
            "train.clip_norm": 1.0,
            "train.accumulate": 4,
            "train.label_smoothing": 0.1,
            "train.precision": "float16",
        },
    ),
    "detectron2": (
        """\
cfg = get_cfg()
cfg.SOLVER.BASE_LR = 0.00025
cfg.SOLVER.MAX_ITER = 3000
cfg.SOLVER.STEPS = (2000, 2500)
cfg.SOLVER.GAMMA = 0.1
cfg.SOLVER.IMS_PER_BATCH = 2
cfg.SOLVER.WARMUP_ITERS = 100
cfg.SOLVER.WEIGHT_DECAY = 0.0001
trainer = DefaultTrainer(cfg)
trainer.train()
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 100,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.00025,
            "sgd.lr.then.milestones": [2000, 2500],
            "sgd.lr.then.factor": 0.1,
            "train.steps": 3000,
            "data.batch_size": 2,
            "sgd.weight_decay": 0.0001,
        },
    ),
    "yolo": (
        """\
from ultralytics import YOLO
model = YOLO("yolov8n.pt")
results = model.train(data="coco128.yaml", epochs=100, imgsz=640, batch=16, lr0=0.01, lrf=0.01, momentum=0.937, weight_decay=0.0005, optimizer="SGD", warmup_epochs=3)
""",
        {"train.epochs": 100, "data.batch_size": 16, "sgd.momentum": 0.937, "sgd.weight_decay": 0.0005},
    ),
    "dict kwargs": (
        """\
OPT = dict(lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=True)
SCHED = dict(T_max=200, eta_min=1e-5)
optimizer = torch.optim.SGD(net.parameters(), **OPT)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, **SCHED)
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.05,
            "sgd.lr.final": 1e-05,
            "sgd.lr.duration": 200,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
        },
    ),
    "getattr optim": (
        """\
config = {"optimizer": "SGD", "optimizer_params": {"lr": 0.1, "momentum": 0.9}, "scheduler": "StepLR", "scheduler_params": {"step_size": 20, "gamma": 0.5}}
optimizer = getattr(torch.optim, config["optimizer"])(model.parameters(), **config["optimizer_params"])
scheduler = getattr(torch.optim.lr_scheduler, config["scheduler"])(optimizer, **config["scheduler_params"])
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 20,
            "sgd.momentum": 0.9,
        },
    ),
    "optax chain sgdr": (
        """\
schedule = optax.join_schedules([optax.linear_schedule(0.0, 0.1, 5 * steps_per_epoch), optax.cosine_decay_schedule(0.1, 95 * steps_per_epoch)], [5 * steps_per_epoch])
tx = optax.chain(optax.clip_by_global_norm(1.0), optax.add_decayed_weights(5e-4), optax.sgd(schedule, momentum=0.9, nesterov=True))
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 95,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "train.clip_norm": 1.0,
            "sgd.weight_decay": 0.0005,
        },
    ),
    "optax warmup": (
        """\
lr = optax.warmup_cosine_decay_schedule(init_value=0.0, peak_value=args.lr, warmup_steps=500, decay_steps=10000, end_value=1e-5)
opt = optax.sgd(lr, momentum=0.9)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.duration": 9500,
            "sgd.lr.then.final": 1e-05,
            "sgd.momentum": 0.9,
        },
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
        },
    ),
    "keras exponential": (
        """\
lr_schedule = keras.optimizers.schedules.ExponentialDecay(initial_learning_rate=1e-2, decay_steps=10000, decay_rate=0.9, staircase=True)
optimizer = keras.optimizers.SGD(learning_rate=lr_schedule, clipnorm=1.0)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.every": 10000,
            "sgd.lr.rate": 0.9,
            "sgd.lr.staircase": True,
            "sgd.lr.unit": "step",
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
    "keras plateau": (
        """\
reduce_lr = ReduceLROnPlateau(monitor='val_loss', factor=0.2, patience=5, min_lr=0.001)
model.compile(optimizer=SGD(0.01, momentum=0.9, nesterov=True), loss='mse')
model.fit(x, y, epochs=100, batch_size=64, callbacks=[reduce_lr])
""",
        {
            "sgd.lr": 0.01,
            "train.plateau.factor": 0.2,
            "train.plateau.patience": 5,
            "train.plateau.min_lr": 0.001,
            "train.plateau.metric": "loss",
            "sgd.nesterov": True,
            "train.epochs": 100,
            "data.batch_size": 64,
        },
    ),
    "chainer": (
        """\
optimizer = chainer.optimizers.MomentumSGD(lr=0.05, momentum=0.9)
optimizer.setup(model)
optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(5e-4))
updater = training.updaters.StandardUpdater(train_iter, optimizer, device=0)
trainer = training.Trainer(updater, (300, 'epoch'), out='result')
trainer.extend(extensions.ExponentialShift('lr', 0.5), trigger=(25, 'epoch'))
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.05,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 25,
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 300,
        },
    ),
    "timm": (
        """\
optimizer = create_optimizer_v2(model, opt='sgd', lr=0.1, weight_decay=2e-5, momentum=0.9)
scheduler = CosineLRScheduler(optimizer, t_initial=300, lr_min=1e-5, warmup_t=5, warmup_lr_init=1e-4, warmup_prefix=True)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 0.0001,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 300,
            "sgd.lr.then.final": 1e-05,
            "sgd.weight_decay": 2e-05,
        },
    ),
    "mmengine dict": (
        """\
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001), clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 2e-05,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.milestones": [8, 11],
            "train.clip_norm": 35,
            "train.epochs": 12,
            "sgd.momentum": 0.9,
        },
    ),
    "param groups torch": (
        """\
optimizer = torch.optim.SGD([
    {'params': get_1x_lr_params(model), 'lr': args.lr},
    {'params': get_10x_lr_params(model), 'lr': 10 * args.lr}], momentum=0.9, weight_decay=5e-4)
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "no decay groups": (
        """\
decay, no_decay = [], []
for name, p in model.named_parameters():
    if p.ndim <= 1 or name.endswith(".bias"):
        no_decay.append(p)
    else:
        decay.append(p)
opt = torch.optim.SGD([{"params": decay, "weight_decay": 1e-4}, {"params": no_decay, "weight_decay": 0.0}], lr=0.1, momentum=0.9)
""",
        {
            "sgd.lr": 0.1,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "groups.0.match": "@bias_and_norm",
            "groups.0.weight_decay": 0,
        },
    ),
    "dataclass": (
        """\
@dataclass
class TrainConfig:
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    epochs: int = 200
    milestones: tuple = (60, 120, 160)

def build(cfg: TrainConfig, model):
    opt = torch.optim.SGD(model.parameters(), lr=cfg.lr, momentum=cfg.momentum, weight_decay=cfg.weight_decay)
    sch = torch.optim.lr_scheduler.MultiStepLR(opt, cfg.milestones, 0.2)
    return opt, sch
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [60, 120, 160],
            "sgd.momentum": 0.9,
            "data.batch_size": 128,
            "train.epochs": 200,
        },
    ),
    "sequential": (
        """\
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=2e-5)
main = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=600 - 5)
warm = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=5)
sched = torch.optim.lr_scheduler.SequentialLR(optimizer, schedulers=[warm, main], milestones=[5])
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 0.005,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.5,
            "sgd.lr.then.duration": 595,
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
        },
    ),
    "cross entropy, amp, aug": (
        """\
train_tf = transforms.Compose([
    transforms.RandomCrop(32, padding=4),
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))])
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
scaler = torch.cuda.amp.GradScaler()
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for x, y in loader:
    with torch.cuda.amp.autocast():
        loss = criterion(net(x), y)
""",
        {
            "sgd.lr": 0.1,
            "train.label_smoothing": 0.1,
            "train.precision": "float16",
            "data.augment.crop": 4,
            "data.augment.flip": True,
        },
    ),
    "ema": (
        """\
model_ema = ModelEmaV2(model, decay=0.9998)
ema = timm.utils.ModelEmaV3(model, decay=0.9998)
opt = torch.optim.SGD(model.parameters(), 0.1)
""",
        {"sgd.lr": 0.1, "train.ema": 0.9998},
    ),
    "swa avg": (
        """\
ema_model = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
opt = torch.optim.SGD(model.parameters(), 0.1)
""",
        {"sgd.lr": 0.1, "train.ema": 0.999},
    ),
    "py2 tabs": (
        """\
	opt = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
	model.compile(loss='categorical_crossentropy', optimizer=opt)
	print "training..."
	model.fit(X_train, Y_train, batch_size=128, nb_epoch=20, show_accuracy=True, verbose=1)
""",
        {
            "sgd.lr.schedule": "inverse",
            "sgd.lr.initial": 0.01,
            "sgd.lr.gamma": 1e-06,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "data.batch_size": 128,
            "train.epochs": 20,
        },
    ),
    "inside of function cut": (
        """\
        self.optimizer = optim.SGD(self.net.parameters(), lr=self.args.lr,
                                   momentum=0.9, weight_decay=5e-4)
        self.scheduler = optim.lr_scheduler.MultiStepLR(self.optimizer,
                                                        milestones=[int(self.args.epochs * 0.5), int(self.args.epochs * 0.75)], gamma=0.1)
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
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
        },
    ),
    "tf1 exp decay": (
        """\
global_step = tf.Variable(0, trainable=False)
learning_rate = tf.train.exponential_decay(0.1, global_step, 100000, 0.96, staircase=True)
train_step = tf.train.GradientDescentOptimizer(learning_rate).minimize(loss, global_step=global_step)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.every": 100000,
            "sgd.lr.rate": 0.96,
            "sgd.lr.staircase": True,
            "sgd.lr.unit": "step",
        },
    ),
    "tf1 mnist": (
        """\
  learning_rate = tf.train.exponential_decay(
      0.01,                # Base learning rate.
      batch * BATCH_SIZE,  # Current index into the dataset.
      train_size,          # Decay step.
      0.95,                # Decay rate.
      staircase=True)
  optimizer = tf.train.MomentumOptimizer(learning_rate, 0.9).minimize(loss, global_step=batch)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.every": 1,
            "sgd.lr.unit": "epoch",
            "sgd.lr.rate": 0.95,
            "sgd.lr.staircase": True,
            "sgd.momentum": 0.9,
        },
    ),
    "tf1 l2": (
        """\
loss = cross_entropy + 5e-4 * tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "tf slim": (
        """\
with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(0.0005)):
    net = vgg(images)
optimizer = tf.train.MomentumOptimizer(learning_rate=0.001, momentum=0.9)
""",
        {"sgd.lr": 0.001, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "lasagne": (
        """\
updates = lasagne.updates.nesterov_momentum(loss, params, learning_rate=0.01, momentum=0.9)
l2 = lasagne.regularization.regularize_network_params(network, lasagne.regularization.l2) * 1e-4
""",
        {"sgd.lr": 0.01, "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "jax example optimizers": (
        """\
opt_init, opt_update, get_params = optimizers.momentum(step_size=0.001, mass=0.9)
num_epochs = 10
batch_size = 128
""",
        {"sgd.lr": 0.001, "sgd.momentum": 0.9, "train.epochs": 10, "data.batch_size": 128},
    ),
    "flax trainstate": (
        """\
def create_train_state(rng, config):
    tx = optax.sgd(config.learning_rate, config.momentum)
    return train_state.TrainState.create(apply_fn=cnn.apply, params=params, tx=tx)

config = ml_collections.ConfigDict()
config.learning_rate = 0.1
config.momentum = 0.9
config.batch_size = 128
config.num_epochs = 10
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "data.batch_size": 128, "train.epochs": 10},
    ),
    "flax learning rate fn": (
        """\
def create_learning_rate_fn(config, base_learning_rate, steps_per_epoch):
  warmup_fn = optax.linear_schedule(init_value=0., end_value=base_learning_rate, transition_steps=config.warmup_epochs * steps_per_epoch)
  cosine_epochs = max(config.num_epochs - config.warmup_epochs, 1)
  cosine_fn = optax.cosine_decay_schedule(init_value=base_learning_rate, decay_steps=cosine_epochs * steps_per_epoch)
  return optax.join_schedules(schedules=[warmup_fn, cosine_fn], boundaries=[config.warmup_epochs * steps_per_epoch])
def get_config():
  config = ml_collections.ConfigDict()
  config.learning_rate = 0.1
  config.warmup_epochs = 5.0
  config.momentum = 0.9
  config.batch_size = 128
  config.num_epochs = 100.0
  return config
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 95,
            "sgd.momentum": 0.9,
            "data.batch_size": 128,
            "train.epochs": 100,
        },
    ),
    "mxnet symbol": (
        """\
lr_sch = mx.lr_scheduler.FactorScheduler(step=max(int(epoch_size * 30), 1), factor=0.1)
optimizer = mx.optimizer.SGD(learning_rate=0.1, momentum=0.9, wd=0.0001, lr_scheduler=lr_sch, rescale_grad=1.0/256)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.1,
            "sgd.lr.every": 30,
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
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
    "paddle fluid": (
        """\
boundaries = [step * e for e in [30, 60, 90]]
values = [0.1 * (0.1 ** i) for i in range(4)]
optimizer = fluid.optimizer.Momentum(
    learning_rate=fluid.layers.piecewise_decay(boundaries=boundaries, values=values),
    momentum=0.9,
    regularization=fluid.regularizer.L2Decay(1e-4))
""",
        {"sgd.lr.initial": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0001},
    ),
    "torch swa": (
        """\
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
swa_model = AveragedModel(model)
scheduler = CosineAnnealingLR(optimizer, T_max=100)
swa_start = 5
swa_scheduler = SWALR(optimizer, swa_lr=0.05)
for epoch in range(100):
    for input, target in loader:
        optimizer.step()
    if epoch > swa_start:
        swa_scheduler.step()
    else:
        scheduler.step()
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.1,
            "sgd.lr.duration": 100,
            "sgd.momentum": 0.9,
            "train.epochs": 100,
            "sgd.weight_decay": 0.0001,
        },
    ),
    "torch cyclic": (
        """\
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.01, max_lr=0.1)
""",
        {"sgd.momentum": 0.9},
    ),
    "warm restarts": (
        """\
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2, eta_min=1e-4)
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.05,
            "sgd.lr.duration": 10,
            "sgd.lr.final": 0.0001,
            "sgd.momentum": 0.9,
        },
    ),
    "one cycle torch": (
        """\
sched = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, epochs=30, steps_per_epoch=len(train_loader), pct_start=0.2, anneal_strategy='linear')
optimizer = torch.optim.SGD(model.parameters(), lr=0.04, momentum=0.9, weight_decay=5e-4, nesterov=True)
""",
        {
            "sgd.lr.schedule": "onecycle",
            "sgd.lr.peak": 0.4,
            "sgd.lr.duration": 30,
            "sgd.lr.unit": "epoch",
            "sgd.lr.pct_start": 0.2,
            "sgd.momentum": 0.9,
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
        {"sgd.momentum": 0.9, "sgd.nesterov": True, "train.epochs": 24},
    ),
    "group wd bias lr": (
        """\
params = []
for key, value in dict(net.named_parameters()).items():
    if value.requires_grad:
        if 'bias' in key:
            params += [{'params': [value], 'lr': lr * 2, 'weight_decay': 0}]
        else:
            params += [{'params': [value], 'lr': lr, 'weight_decay': 0.0005}]
lr = 0.001
optimizer = torch.optim.SGD(params, momentum=0.9)
""",
        {"sgd.momentum": 0.9},
    ),
    "group wd bias lr known": (
        """\
lr = 0.001
params = []
for key, value in dict(net.named_parameters()).items():
    if value.requires_grad:
        if 'bias' in key:
            params += [{'params': [value], 'lr': lr * 2, 'weight_decay': 0}]
        else:
            params += [{'params': [value], 'lr': lr, 'weight_decay': 0.0005}]
optimizer = torch.optim.SGD(params, momentum=0.9)
""",
        {
            "sgd.lr": 0.001,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "groups.0.match": "*.bias",
            "groups.0.lr": 0.002,
            "groups.0.weight_decay": 0,
        },
    ),
    "fc 10x": (
        """\
ignored_params = list(map(id, model.fc.parameters()))
base_params = filter(lambda p: id(p) not in ignored_params, model.parameters())
optimizer = optim.SGD([
    {'params': base_params},
    {'params': model.fc.parameters(), 'lr': 0.01}], lr=0.001, momentum=0.9)
""",
        {"sgd.lr": 0.001, "sgd.momentum": 0.9, "groups.0.match": "fc.*", "groups.0.lr": 0.01},
    ),
    "plateau manual": (
        """\
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode='max', factor=0.5, patience=3, min_lr=1e-6, verbose=True)
""",
        {
            "sgd.lr": 0.1,
            "sgd.momentum": 0.9,
            "train.plateau.factor": 0.5,
            "train.plateau.patience": 3,
            "train.plateau.metric": "accuracy",
            "train.plateau.min_lr": 1e-06,
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
        {"train.plateau.factor": 0.25, "train.plateau.metric": "loss", "train.epochs": 40},
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
    "repl": (
        """\
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
>>> scheduler = StepLR(optimizer, step_size=30, gamma=0.1)
>>> for epoch in range(100):
>>>     train(...)
>>>     validate(...)
>>>     scheduler.step()
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.every": 30,
            "sgd.lr.rate": 0.1,
            "sgd.momentum": 0.9,
            "train.epochs": 100,
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
    "ignite": (
        """\
optimizer = SGD(model.parameters(), lr=0.01, momentum=0.5)
trainer = create_supervised_trainer(model, optimizer, F.nll_loss, device=device)
trainer.run(train_loader, max_epochs=10)
""",
        {"sgd.lr": 0.01, "sgd.momentum": 0.5, "train.epochs": 10},
    ),
    "catalyst": (
        """\
runner.train(model=model, criterion=criterion, optimizer=torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9), loaders=loaders, num_epochs=8)
""",
        {"sgd.lr": 0.02, "sgd.momentum": 0.9, "train.epochs": 8},
    ),
    "skorch": (
        """\
net = NeuralNetClassifier(Module, max_epochs=20, lr=0.1, batch_size=64, optimizer=torch.optim.SGD, optimizer__momentum=0.9, optimizer__weight_decay=1e-4)
""",
        {"sgd.lr": 0.1, "train.epochs": 20, "data.batch_size": 64, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0001},
    ),
    "sklearn": (
        """\
clf = MLPClassifier(solver='sgd', learning_rate_init=0.1, momentum=0.9, max_iter=200, batch_size=32, alpha=1e-4, nesterovs_momentum=True)
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "data.batch_size": 32, "sgd.nesterov": True},
    ),
    "hf with sgd": (
        """\
args = TrainingArguments("out", optim="sgd", learning_rate=0.01, num_train_epochs=5, per_device_train_batch_size=8, warmup_steps=100, lr_scheduler_type="linear")
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 100,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "linear",
            "sgd.lr.then.initial": 0.01,
            "train.epochs": 5,
            "data.batch_size": 8,
        },
    ),
    "timm cli style in code": (
        """\
parser.add_argument('--sched', default='cosine', type=str)
parser.add_argument('--lr', type=float, default=0.05)
parser.add_argument('--epochs', type=int, default=300)
parser.add_argument('--warmup-epochs', type=int, default=5)
parser.add_argument('--warmup-lr', type=float, default=1e-6)
parser.add_argument('--min-lr', type=float, default=1e-5)
parser.add_argument('--opt', default='sgd')
parser.add_argument('--momentum', type=float, default=0.9)
parser.add_argument('--weight-decay', type=float, default=2e-5)
args = parser.parse_args()
optimizer = create_optimizer(args, model)
lr_scheduler, num_epochs = create_scheduler(args, optimizer)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 1e-06,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.05,
            "sgd.lr.then.final": 1e-05,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 2e-05,
            "train.epochs": 300,
        },
    ),
    "adam not sgd": (
        """\
optimizer = optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9, weight_decay=1e-4)
""",
        {"sgd.lr": 0.001, "adam.beta1": 0.9, "adam.beta2": 0.98, "adam.eps": 1e-09, "sgd.weight_decay": 0.0001},
    ),
}
"""What each says, worked out by hand."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name):
    """Each value that is written, followed to where it is used."""
    text, expected = CASES[name]
    fields = read(text)[0].fields
    assert {path: fields[path].value if path in fields else None for path in expected} == expected


SCRIPT = """
from conf import settings
from defaults import LR, WD
opt = torch.optim.SGD(net.parameters(), lr=LR, momentum=settings.MOMENTUM, weight_decay=WD)
schedule = torch.optim.lr_scheduler.MultiStepLR(opt, milestones=settings.MILESTONES, gamma=0.2)
for epoch in range(1, settings.EPOCH + 1):
    train()
"""
MODULE = "EPOCH = 200\nMILESTONES = [60, 120, 160]\nMOMENTUM = 0.9\nLR = 0.1\nWD = 5e-4\n"
SAID = {
    "sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [60, 120, 160],
    "sgd.lr.unit": "epoch", "sgd.momentum": 0.9, "sgd.weight_decay": 5e-4, "train.epochs": 200,
}  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_a_script_and_the_module_that_it_imports(order):
    """Names are looked up in the module beside, in whatever order the two are given; words say where they stand."""
    pairs = [("train.py", SCRIPT), ("conf.py", MODULE)]
    fields = read(pairs[::order])[0].fields
    assert {path: fields[path].value for path in SAID} == SAID
    milestones = fields["sgd.lr.milestones"]
    assert (milestones.file, MODULE[milestones.start : milestones.end]) == ("conf.py", milestones.words)


def test_a_module_pasted_below_its_script():
    """The names in capitals at the end of a text are known above."""
    fields = read(SCRIPT.replace("from defaults", "from conf") + MODULE)[0].fields
    assert {path: fields[path].value for path in SAID} == SAID


def test_a_name_is_not_taken_from_below():
    """A later value of a variable is not an earlier one of an option."""
    text = "args.lr = 0.1\nargs.n = 512\nlr = args.lr * args.n / 256\nopt = torch.optim.SGD(net.parameters(), lr, momentum=0.9)\n"
    assert read(text)[0].fields["sgd.lr"].value == 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=0.1,\n    momentum=0.9,\n    weight_decay=5e-4,\n)\ns = torch.optim.lr_scheduler.StepLR(opt, 30)\n", {"sgd.momentum": 0.9}),
        ("    lr: float = 0.1,\n    momentum: float = 0.9,\n    batch_size: int = 32,\n):\n", {"sgd.lr": 0.1, "data.batch_size": 32}),
    ],
)  # fmt: skip
def test_a_piece_that_begins_inside_of_brackets(text, expected):
    """The rest of a call's arguments, or of a function's parameters, is read as such."""
    fields = read(text)[0].fields
    assert {path: fields[path].value for path in expected} == expected


def test_how_images_are_changed_becomes_a_recipe():
    """What a recipe can hold of it is implied, and stands in the recipe's tables."""
    text = (
        "tf = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(0.5), T.ColorJitter(0.4, 0.4, 0.4)])\n"
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)\nfor epoch in range(3):\n    train()\n"
    )
    reading = read(text)[0]
    augment = reading.recipe().data.augment
    assert augment is not None
    assert (augment.resized_crop, augment.size, augment.flip, augment.jitter) == ((0.08, 1.0), 224, True, 0.4)
    assert {found.provenance for path, found in reading.fields.items() if path.startswith("data.augment.")} == {
        "implied"
    }


def test_what_recipes_cannot_hold_is_left_out():
    """A flip of another probability, a crop that pads its sides differently, autocast that is switched off."""
    text = (
        "tf = T.Compose([T.RandomCrop(32, padding=(4, 2)), T.RandomHorizontalFlip(p=0.3)])\n"
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)\nwith torch.autocast('cuda', enabled=False):\n    step()\n"
    )
    assert not {"data.augment.crop", "data.augment.flip", "train.precision"} & read(text)[0].fields.keys()
