"""Configurations in many shapes, and of many systems: what each says of training."""

import pytest

from reading.neighbours import differences

CASES = {
    "autodl config": (
        """\
{
  "scheduler": ["str",   "cos"],
  "eta_min"  : ["float", "0.0"],
  "epochs"   : ["int",   "200"],
  "optim"    : ["str",   "SGD"],
  "LR"       : ["float", "0.025"],
  "decay"    : ["float", "0.0005"],
  "momentum" : ["float", "0.9"],
  "nesterov" : ["bool",  "1"],
  "batch_size": ["int", "96"]
}
""",
        {
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 96,
            "train.epochs": 200,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.025,
            "sgd.lr.final": 0.0,
            "sgd.lr.duration": 200,
            "sgd.lr.unit": "epoch",
        },
    ),
    "typed pairs yaml": (
        """\
learning_rate: [float, 0.2]
weight_decay: [float, 1e-4]
epochs: [int, 45]
batch_size: [int, 512]
use_nesterov: [bool, true]
""",
        {"sgd.weight_decay": 0.0001, "sgd.nesterov": True, "data.batch_size": 512, "train.epochs": 45, "sgd.lr": 0.2},
    ),
    "json help": (
        """\
{
  "lr": {"value": 0.05, "help": "initial learning rate, 0.1 for batch 256"},
  "batch_size": {"value": 64, "help": "examples per step"},
  "epochs": {"value": 90, "type": "int", "help": "passes over the data"},
  "momentum": {"value": 0.9, "help": "momentum of SGD"},
  "weight_decay": {"value": 0.0005, "help": "L2, default 1e-4"}
}
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "data.batch_size": 64, "train.epochs": 90, "sgd.lr": 0.05},
    ),
    "json default": (
        """\
{
  "params": [
    {"name": "learning_rate", "default": 0.05, "type": "float", "help": "initial lr"},
    {"name": "max_epochs", "default": 30, "type": "int"},
    {"name": "batch_size", "default": 128, "type": "int"}
  ]
}
""",
        {"data.batch_size": 128, "train.epochs": 30, "sgd.lr": 0.05},
    ),
    "keras json": (
        '{"module": "keras.optimizers", "class_name": "SGD", "config": {"name": "SGD", "learning_rate": 0.01, "weight_decay": null, "clipnorm": null, "momentum": 0.9, "nesterov": true}, "registered_name": null}',
        {"sgd.momentum": 0.9, "sgd.nesterov": True, "sgd.lr": 0.01},
    ),
    "keras json schedule": (
        """\
{
  "class_name": "SGD",
  "config": {
    "name": "SGD",
    "learning_rate": {
      "class_name": "ExponentialDecay",
      "config": {"initial_learning_rate": 0.1, "decay_steps": 10000, "decay_rate": 0.96, "staircase": true, "name": null}
    },
    "momentum": 0.9,
    "nesterov": false
  }
}
""",
        {
            "sgd.momentum": 0.9,
            "sgd.nesterov": False,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.96,
            "sgd.lr.every": 10000,
            "sgd.lr.staircase": True,
            "sgd.lr.unit": "step",
        },
    ),
    "keras json cosine": (
        '{"class_name": "SGD", "config": {"learning_rate": {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "config": {"initial_learning_rate": 0.2, "decay_steps": 31200, "alpha": 0.01}}, "momentum": 0.85}}',
        {
            "sgd.momentum": 0.85,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.2,
            "sgd.lr.final": 0.002,
            "sgd.lr.duration": 31200,
            "sgd.lr.unit": "step",
        },
    ),
    "keras piecewise": (
        '{"class_name": "SGD", "config": {"learning_rate": {"class_name": "PiecewiseConstantDecay", "config": {"boundaries": [100000, 110000], "values": [1.0, 0.1, 0.01]}}, "momentum": 0.9}}',
        {
            "sgd.momentum": 0.9,
            "sgd.lr.initial": 1,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.unit": "step",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [100000, 110000],
        },
    ),
    "deepspeed": (
        """\
{
  "train_batch_size": 1024,
  "train_micro_batch_size_per_gpu": 16,
  "gradient_accumulation_steps": 8,
  "gradient_clipping": 1.0,
  "optimizer": {"type": "SGD", "params": {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": true}},
  "scheduler": {"type": "WarmupDecayLR", "params": {"warmup_min_lr": 0, "warmup_max_lr": 0.02, "warmup_num_steps": 500, "total_num_steps": 10000}},
  "fp16": {"enabled": true, "loss_scale": 0, "initial_scale_power": 16},
  "zero_optimization": {"stage": 2}
}
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "sgd.nesterov": True,
            "train.clip_norm": 1,
            "data.batch_size": 1024,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 0,
            "sgd.lr.then.schedule": "linear",
            "sgd.lr.then.initial": 0.02,
        },
    ),
    "composer yaml": (
        """\
max_duration: 90ep
global_train_batch_size: 2048
optimizer:
  name: decoupled_sgdw
  lr: 2.0
  momentum: 0.875
  weight_decay: 5e-4
scheduler:
  name: cosine_with_warmup
  t_warmup: 8ep
  alpha_f: 0.0
precision: amp_fp16
seed: 17
""",
        {
            "sgd.momentum": 0.875,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 2048,
            "train.epochs": 90,
            "sgd.decay": "decoupled",
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 8,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 2,
        },
    ),
    "composer yaml schedulers": (
        """\
optimizers:
  decoupled_sgdw:
    lr: 0.5
    momentum: 0.9
    weight_decay: 1.0e-4
schedulers:
  multistep:
    milestones:
    - 30ep
    - 60ep
    - 80ep
    gamma: 0.1
max_duration: 90ep
train_batch_size: 1024
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 1024,
            "train.epochs": 90,
            "sgd.decay": "decoupled",
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60, 80],
        },
    ),
    "composer warmup ba": (
        """\
max_duration: 16000ba
train_batch_size: 512
optimizer:
  sgd:
    lr: 0.1
    momentum: 0.9
    weight_decay: 1.0e-4
schedulers:
  multistep_with_warmup:
    t_warmup: 100ba
    milestones: [8000ba, 12000ba]
    gamma: 0.2
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 512,
            "train.steps": 16000,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 100,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.unit": "step",
            "sgd.lr.then.factor": 0.2,
            "sgd.lr.then.milestones": [8000, 12000],
        },
    ),
    "lightning cli": (
        """\
seed_everything: 42
trainer:
  max_epochs: 120
  accelerator: gpu
  devices: 4
  gradient_clip_val: 5.0
  precision: 16-mixed
model:
  class_path: my.Classifier
  init_args:
    num_classes: 10
data:
  class_path: my.CIFAR
  init_args:
    batch_size: 64
optimizer:
  class_path: torch.optim.SGD
  init_args:
    lr: 0.08
    momentum: 0.9
    weight_decay: 0.0005
    nesterov: true
lr_scheduler:
  class_path: torch.optim.lr_scheduler.MultiStepLR
  init_args:
    milestones: [60, 90]
    gamma: 0.2
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "sgd.nesterov": True,
            "train.clip_norm": 5,
            "data.batch_size": 64,
            "train.epochs": 120,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.08,
            "sgd.lr.factor": 0.2,
            "sgd.lr.milestones": [60, 90],
            "sgd.lr.unit": "epoch",
        },
    ),
    "lightning hydra": (
        """\
model:
  _target_: src.models.mnist_module.MNISTLitModule
  optimizer:
    _target_: torch.optim.SGD
    _partial_: true
    lr: 0.03
    momentum: 0.9
    weight_decay: 0.0001
  scheduler:
    _target_: torch.optim.lr_scheduler.CosineAnnealingLR
    _partial_: true
    T_max: 40
    eta_min: 0.0003
  net:
    _target_: src.models.components.simple_dense_net.SimpleDenseNet
    input_size: 784
    lin1_size: 64
trainer:
  max_epochs: 40
data:
  batch_size: 128
seed: 7
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 128,
            "train.epochs": 40,
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.03,
            "sgd.lr.final": 0.0003,
            "sgd.lr.duration": 40,
            "sgd.lr.unit": "epoch",
        },
    ),
    "timm args": (
        """\
aa: rand-m9-mstd0.5-inc1
amp: true
batch_size: 192
clip_grad: null
cooldown_epochs: 10
decay_epochs: 30
decay_milestones: [90, 180, 270]
decay_rate: 0.1
epochs: 300
input_size: [3, 224, 224]
lr: 0.4
min_lr: 1.0e-05
mixup: 0.2
model: resnet50
model_ema: true
model_ema_decay: 0.9998
momentum: 0.9
opt: sgd
opt_betas: null
patience_epochs: 10
reprob: 0.25
sched: cosine
smoothing: 0.1
warmup_epochs: 5
warmup_lr: 1.0e-04
weight_decay: 2.0e-05
workers: 8
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 2e-05,
            "data.batch_size": 192,
            "train.ema": 0.9998,
            "train.epochs": 300,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.0001,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.4,
            "sgd.lr.then.final": 1e-05,
        },
    ),
    "vit ml_collections": (
        'def get_config():\n  """Config for training."""\n  config = ml_collections.ConfigDict()\n  config.total_steps = 20_000\n  config.batch = 256\n  config.batch_eval = 500\n  config.base_lr = 0.06\n  config.decay_type = \'linear\'\n  config.warmup_steps = 1_000\n  config.grad_norm_clip = 2.0\n  config.shuffle_buffer = 50_000\n  config.optim_dtype = \'bfloat16\'\n  return config\n',
        {
            "train.clip_norm": 2,
            "data.batch_size": 256,
            "train.steps": 20000,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "linear",
            "sgd.lr.then.initial": 0.06,
        },
    ),
    "flax imagenet ml_collections": (
        'import ml_collections\n\ndef get_config():\n  """Get the default hyperparameter configuration."""\n  config = ml_collections.ConfigDict()\n  config.model = \'ResNet50\'\n  config.dataset = \'imagenet2012:5.*.*\'\n  config.learning_rate = 0.1\n  config.warmup_epochs = 5.0\n  config.momentum = 0.9\n  config.batch_size = 128\n  config.shuffle_buffer_size = 16 * 128\n  config.num_epochs = 100.0\n  config.log_every_steps = 100\n  config.half_precision = False\n  config.num_train_steps = -1\n  return config\n',
        {
            "sgd.momentum": 0.9,
            "data.batch_size": 128,
            "train.epochs": 100,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then": 0.1,
        },
    ),
    "big_vision": (
        """\
def get_config():
  config = mlc.ConfigDict()
  config.seed = 3
  config.total_epochs = 90
  config.input = {}
  config.input.batch_size = 1024
  config.optax_name = 'big_vision.momentum_hp'
  config.grad_clip_norm = 1.0
  config.lr = 0.1
  config.wd = 1e-4
  config.schedule = dict(warmup_steps=10_000, decay_type='cosine')
  return config
""",
        {
            "sgd.weight_decay": 0.0001,
            "train.clip_norm": 1,
            "data.batch_size": 1024,
            "train.epochs": 90,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 10000,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
        },
    ),
    "yolox exp": (
        """\
class Exp(MyExp):
    def __init__(self):
        super(Exp, self).__init__()
        self.depth = 0.33
        self.width = 0.50
        self.num_classes = 80
        self.warmup_epochs = 5
        self.max_epoch = 300
        self.warmup_lr = 0
        self.min_lr_ratio = 0.05
        self.basic_lr_per_img = 0.01 / 64.0
        self.scheduler = "yoloxwarmcos"
        self.no_aug_epochs = 15
        self.ema = True
        self.weight_decay = 5e-4
        self.momentum = 0.9
        self.print_interval = 10
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 300,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0,
            "sgd.lr.then.schedule": "cosine",
        },
    ),
    "class attrs": (
        """\
class Config:
    batch_size = 64
    num_epochs = 120
    base_lr = 0.02
    momentum = 0.9
    weight_decay = 1e-4
    lr_milestones = [60, 90]
    lr_gamma = 0.1
    backbone = "resnet18"
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 64,
            "train.epochs": 120,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.02,
            "sgd.lr.unit": "epoch",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [60, 90],
        },
    ),
    "self attrs adam-free": (
        """\
        self.lr = 0.05
        self.lr_decay = 0.5
        self.lr_decay_epochs = [20, 40]
        self.batch_size = 32
        self.n_epochs = 60
        self.wd = 5e-4
        self.opt = 'sgd'
        self.mom = 0.95
        self.n_blocks = 12
""",
        {
            "sgd.momentum": 0.95,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 32,
            "train.epochs": 60,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.05,
            "sgd.lr.unit": "epoch",
            "sgd.lr.factor": 0.5,
            "sgd.lr.milestones": [20, 40],
        },
    ),
    "cfg solver CN": (
        """\
_C.SOLVER = CN()
_C.SOLVER.BASE_LR = 0.01
_C.SOLVER.MAX_EPOCHS = 120
_C.SOLVER.OPTIMIZER_NAME = "SGD"
_C.SOLVER.MOMENTUM = 0.9
_C.SOLVER.WEIGHT_DECAY = 0.0005
_C.SOLVER.WEIGHT_DECAY_BIAS = 0.0005
_C.SOLVER.GAMMA = 0.1
_C.SOLVER.STEPS = (40, 70)
_C.SOLVER.WARMUP_FACTOR = 0.01
_C.SOLVER.WARMUP_EPOCHS = 10
_C.SOLVER.WARMUP_METHOD = "linear"
_C.SOLVER.IMS_PER_BATCH = 64
""",
        {
            "train.epochs": 120,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 64,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 10,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.0001,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.01,
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.milestones": [40, 70],
            "sgd.lr.then.unit": "epoch",
        },
    ),
    "cfg train upper": (
        """\
cfg.TRAIN = edict()
cfg.TRAIN.OPTIMIZER = 'sgd'
cfg.TRAIN.LR = 0.001
cfg.TRAIN.LR_STEP_SIZE = 30
cfg.TRAIN.LR_GAMMA = 0.5
cfg.TRAIN.MOMENTUM = 0.9
cfg.TRAIN.WD = 1e-4
cfg.TRAIN.BATCH_SIZE = 16
cfg.TRAIN.MAX_EPOCHS = 80
cfg.TEST = edict()
cfg.TEST.BATCH_SIZE = 1
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 16,
            "train.epochs": 80,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.001,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 30,
            "sgd.lr.unit": "epoch",
        },
    ),
    "faster rcnn yaml detectron1": (
        """\
MODEL:
  TYPE: generalized_rcnn
  NUM_CLASSES: 81
NUM_GPUS: 8
SOLVER:
  WEIGHT_DECAY: 0.0001
  LR_POLICY: steps_with_decay
  BASE_LR: 0.02
  GAMMA: 0.1
  MAX_ITER: 90000
  STEPS: [0, 60000, 80000]
TRAIN:
  SCALES: (800,)
  MAX_SIZE: 1333
  IMS_PER_BATCH: 2
  BATCH_SIZE_PER_IM: 512
  RPN_PRE_NMS_TOP_N: 2000
""",
        {
            "sgd.weight_decay": 0.0001,
            "train.steps": 90000,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.02,
            "sgd.lr.unit": "step",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [60000, 80000],
        },
    ),
    "mmengine": (
        """\
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
train_dataloader = dict(batch_size=2, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=True))
auto_scale_lr = dict(base_batch_size=16, enable=False)
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.clip_norm": 35,
            "train.epochs": 12,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 2e-05,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.02,
            "sgd.lr.then.unit": "epoch",
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.milestones": [8, 11],
        },
    ),
    "mmseg poly": (
        """\
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=None)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=40000, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.steps": 40000,
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.01,
            "sgd.lr.final": 0.0001,
            "sgd.lr.power": 0.9,
            "sgd.lr.duration": 40000,
            "sgd.lr.unit": "step",
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_stated(name):
    """Every value that is stated, and no other, is what the text says."""
    assert not differences(*CASES[name])
