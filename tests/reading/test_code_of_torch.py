"""Whole programs for PyTorch and what is built on it: every value that each states."""

from __future__ import annotations

import pytest

from reading.neighbours import differences

CASES = {
    "fastai slice": (
        """\
learn = vision_learner(dls, resnet34, metrics=error_rate)
learn.fine_tune(4, base_lr=3e-3)
""",
        {"train.epochs": 4, "sgd.lr": 0.003},
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
        {
            "train.epochs": 100,
            "data.batch_size": 16,
            "sgd.momentum": 0.937,
            "sgd.weight_decay": 0.0005,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.initial": 0.01,
        },
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
            "sgd.weight_decay": 0.0001,
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
            "sgd.momentum": 0.9,
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
            "sgd.lr.then.initial": 0.02,
            "sgd.lr.then.factor": 0.1,
            "sgd.weight_decay": 0.0001,
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
            "sgd.weight_decay": 0.0005,
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
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 2e-05,
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
            "sgd.momentum": 0.9,
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
    "inside of function cut": (
        """\
        self.optimizer = optim.SGD(self.net.parameters(), lr=self.args.lr,
                                   momentum=0.9, weight_decay=5e-4)
        self.scheduler = optim.lr_scheduler.MultiStepLR(self.optimizer,
                                                        milestones=[int(self.args.epochs * 0.5), int(self.args.epochs * 0.75)], gamma=0.1)
""",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
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
            "sgd.weight_decay": 0.0005,
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
            "sgd.lr.shape": "linear",
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0005,
        },
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
            "sgd.lr.then.duration": 300,
        },
    ),
    "adam not sgd": (
        """\
optimizer = optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9, weight_decay=1e-4)
""",
        {"sgd.lr": 0.001, "adam.beta1": 0.9, "adam.beta2": 0.98, "adam.eps": 1e-09, "sgd.weight_decay": 0.0001},
    ),
}
"""What each states, all of it, worked out by hand."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name):
    """Each value that is written, followed to where it is used; nothing else is stated."""
    assert not differences(*CASES[name])
