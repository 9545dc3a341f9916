"""Configurations and command lines of many systems: what each says of training."""

from __future__ import annotations

import pytest

from downslope import read

CASES = {
    "slowfast longer": (
        """\
SOLVER:
  BASE_LR: 0.2
  LR_POLICY: steps_with_relative_lrs
  STEPS: [0, 94, 154, 196]
  LRS: [1, 0.1, 0.01, 0.001]
  MAX_EPOCH: 239
  MOMENTUM: 0.9
  WEIGHT_DECAY: 1e-4
TRAIN:
  BATCH_SIZE: 64
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.2,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [94, 154, 196],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "train.epochs": 239,
            "data.batch_size": 64,
        },
    ),
    "mmcls": (
        """\
optimizer = dict(type='SGD', lr=0.8, momentum=0.9, weight_decay=0.0001, nesterov=True, paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_iters=2500, warmup_ratio=0.25)
runner = dict(type='EpochBasedRunner', max_epochs=100)
data = dict(samples_per_gpu=128, workers_per_gpu=2)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 2500,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 0.2,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.8,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 100,
            "data.batch_size": 128,
            "groups.0.weight_decay": 0,
            "groups.0.match": "@bias_and_norm",
        },
    ),
    "paddleclas": (
        """\
Global:
  epochs: 120
Optimizer:
  name: Momentum
  momentum: 0.9
  lr:
    name: Piecewise
    learning_rate: 0.1
    decay_epochs: [30, 60, 90]
    values: [0.1, 0.01, 0.001, 0.0001]
  regularizer:
    name: 'L2'
    coeff: 0.0001
DataLoader:
  Train:
    sampler:
      name: DistributedBatchSampler
      batch_size: 64
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
            "data.batch_size": 64,
        },
    ),
    "paddledet": (
        """\
epoch: 12
LearningRate:
  base_lr: 0.01
  schedulers:
  - !PiecewiseDecay
    gamma: 0.1
    milestones: [8, 11]
  - !LinearWarmup
    start_factor: 0.1
    steps: 1000
OptimizerBuilder:
  optimizer:
    momentum: 0.9
    type: Momentum
  regularizer:
    factor: 0.0001
    type: L2
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 0.001,
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.01,
            "sgd.lr.then.milestones": [8, 11],
            "sgd.lr.then.factor": 0.1,
            "sgd.weight_decay": 0.0001,
            "sgd.momentum": 0.9,
            "train.epochs": 12,
        },
    ),
    "yolo hyp": (
        """\
lr0: 0.01  # initial learning rate (SGD=1E-2, Adam=1E-3)
lrf: 0.1  # final OneCycleLR learning rate (lr0 * lrf)
momentum: 0.937  # SGD momentum/Adam beta1
weight_decay: 0.0005  # optimizer weight decay 5e-4
warmup_epochs: 3.0  # warmup epochs (fractions ok)
warmup_momentum: 0.8  # warmup initial momentum
warmup_bias_lr: 0.1  # warmup initial bias lr
box: 0.05
label_smoothing: 0.1
mixup: 0.1
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "linear",
            "sgd.lr.then.initial": 0.01,
            "sgd.lr.then.final": 0.001,
            "sgd.momentum": 0.937,
            "sgd.weight_decay": 0.0005,
            "train.label_smoothing": 0.1,
        },
    ),
    "darknet": (
        """\
[net]
batch=64
subdivisions=16
momentum=0.949
decay=0.0005
learning_rate=0.0013
burn_in=1000
max_batches = 500500
policy=steps
steps=400000,450000
scales=.1,.1
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.0013,
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.milestones": [400000, 450000],
            "sgd.momentum": 0.949,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 64,
            "train.steps": 500500,
        },
    ),
    "caffe": (
        """\
net: "models/bvlc_alexnet/train_val.prototxt"
test_iter: 1000
test_interval: 1000
base_lr: 0.01
lr_policy: "step"
gamma: 0.1
stepsize: 100000
display: 20
max_iter: 450000
momentum: 0.9
weight_decay: 0.0005
snapshot: 10000
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.rate": 0.1,
            "sgd.lr.every": 100000,
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.steps": 450000,
        },
    ),
    "caffe multistep": (
        """\
base_lr: 0.1
lr_policy: "multistep"
gamma: 0.1
stepvalue: 32000
stepvalue: 48000
max_iter: 64000
momentum: 0.9
weight_decay: 0.0001
solver_mode: GPU
type: "Nesterov"
iter_size: 2
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [32000, 48000],
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 0.0001,
            "train.steps": 64000,
            "train.accumulate": 2,
        },
    ),
    "caffe rms": (
        """\
base_lr: 0.01
lr_policy: "fixed"
momentum: 0.9
weight_decay: 0.0005
max_iter: 10000
type: "Adam"
momentum2: 0.999
delta: 1e-8
solver_mode: CPU
""",
        {"sgd.lr": 0.01, "train.steps": 10000, "adam.beta2": 0.999, "adam.eps": 1e-08},
    ),
    "timm args": (
        """\
./distributed_train.sh 8 /imagenet --model resnet50 --sched cosine --epochs 150 --warmup-epochs 5 --warmup-lr 1e-4 --lr 0.4 --reprob 0.5 --remode pixel --batch-size 256 --amp -j 4 --opt sgd --weight-decay 2e-5 --smoothing 0.1 --mixup 0.2 --model-ema --model-ema-decay 0.9999
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 0.0001,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.4,
            "sgd.weight_decay": 2e-05,
            "train.epochs": 150,
            "data.batch_size": 256,
            "train.ema": 0.9999,
            "train.label_smoothing": 0.1,
            "train.precision": "float16",
            "data.augment.mixup": 0.2,
            "data.augment.erase": 0.5,
        },
    ),
    "torchvision": (
        """\
torchrun --nproc_per_node=8 train.py --model resnext50_32x4d --batch-size 128 --lr 0.5 \\
--lr-scheduler cosineannealinglr --lr-warmup-epochs 5 --lr-warmup-method linear --lr-warmup-decay 0.01 \\
--auto-augment ta_wide --epochs 600 --random-erase 0.1 --weight-decay 0.00002 \\
--norm-weight-decay 0.0 --label-smoothing 0.1 --mixup-alpha 0.2 --cutmix-alpha 1.0 \\
--train-crop-size 176 --model-ema --val-resize-size 232 --ra-sampler --ra-reps 4
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.005,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.5,
            "sgd.weight_decay": 2e-05,
            "train.epochs": 600,
            "data.batch_size": 1024,
            "groups.0.weight_decay": 0,
            "train.label_smoothing": 0.1,
            "data.augment.mixup": 0.2,
            "data.augment.cutmix": 1.0,
        },
    ),
    "fairseq": (
        """\
fairseq-train data-bin/wikitext-103 --task language_modeling --arch transformer_lm_wiki103 --max-update 286000 --lr 1.0 --t-mult 2 --lr-period-updates 270000 --lr-scheduler cosine --lr-shrink 0.75 --warmup-updates 16000 --warmup-init-lr 1e-07 --stop-min-lr 1e-09 --optimizer nag --min-lr 0.0001 --clip-norm 0.1 --criterion adaptive_loss --max-tokens 3072 --update-freq 3
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 16000,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 1e-07,
            "sgd.lr.then.initial": 1.0,
            "train.steps": 286000,
            "train.clip_norm": 0.1,
            "sgd.nesterov": True,
            "train.accumulate": 3,
        },
    ),
    "hydra overrides": (
        """\
python main.py optimizer=sgd optimizer.lr=0.05 optimizer.momentum=0.9 scheduler=multistep scheduler.milestones=[60,80] scheduler.gamma=0.2 trainer.max_epochs=100 data.batch_size=128
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.05,
            "sgd.lr.milestones": [60, 80],
            "sgd.lr.factor": 0.2,
            "sgd.momentum": 0.9,
            "train.epochs": 100,
            "data.batch_size": 128,
        },
    ),
    "lightning yaml": (
        """\
trainer:
  max_epochs: 50
  gradient_clip_val: 0.5
  accumulate_grad_batches: 2
  precision: 16-mixed
optimizer:
  class_path: torch.optim.SGD
  init_args:
    lr: 0.1
    momentum: 0.9
    weight_decay: 5.0e-4
lr_scheduler:
  class_path: torch.optim.lr_scheduler.MultiStepLR
  init_args:
    milestones: [20, 40]
    gamma: 0.1
data:
  batch_size: 64
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [20, 40],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 50,
            "train.clip_norm": 0.5,
            "train.accumulate": 2,
            "data.batch_size": 64,
            "train.precision": "float16",
        },
    ),
    "composer yaml": (
        """\
max_duration: 90ep
optimizers:
  sgd:
    lr: 2.0
    momentum: 0.9
    weight_decay: 5.0e-4
schedulers:
  multistep_with_warmup:
    t_warmup: 8ep
    milestones: [30ep, 60ep]
    gamma: 0.1
train_batch_size: 2048
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "data.batch_size": 2048},
    ),
    "allennlp": (
        """\
{
  "trainer": {
    "num_epochs": 40,
    "patience": 10,
    "grad_norm": 5.0,
    "optimizer": {"type": "sgd", "lr": 0.01, "momentum": 0.9},
    "learning_rate_scheduler": {"type": "reduce_on_plateau", "factor": 0.5, "mode": "max", "patience": 2}
  },
  "iterator": {"batch_size": 64}
}""",
        {
            "sgd.lr": 0.01,
            "sgd.momentum": 0.9,
            "train.epochs": 40,
            "train.clip_norm": 5.0,
            "train.plateau.factor": 0.5,
            "train.plateau.patience": 2,
            "train.plateau.metric": "accuracy",
            "data.batch_size": 64,
        },
    ),
    "pycls": (
        """\
OPTIM:
  BASE_LR: 0.2
  LR_POLICY: cos
  MAX_EPOCH: 100
  MOMENTUM: 0.9
  NESTEROV: True
  WARMUP_EPOCHS: 5
  WEIGHT_DECAY: 5e-5
  EMA_ALPHA: 1e-5
TRAIN:
  BATCH_SIZE: 256
  MIXUP_ALPHA: 0.2
  LABEL_SMOOTHING: 0.1
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.2,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.weight_decay": 5e-05,
            "train.epochs": 100,
            "data.batch_size": 256,
        },
    ),
    "semantic seg": (
        """\
TRAIN:
  BATCH_SIZE_PER_GPU: 3
  BEGIN_EPOCH: 0
  END_EPOCH: 484
  OPTIMIZER: sgd
  LR: 0.01
  WD: 0.0005
  MOMENTUM: 0.9
  NESTEROV: false
  LR_STEP:
  - 30
  - 60
  LR_FACTOR: 0.1
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.01,
            "sgd.lr.milestones": [30, 60],
            "sgd.lr.factor": 0.1,
            "sgd.weight_decay": 0.0005,
            "sgd.nesterov": False,
            "train.epochs": 484,
            "data.batch_size": 3,
        },
    ),
    "json flat": (
        """\
{"arch": "resnet18", "lr": 0.1, "lr_decay": 0.1, "lr_decay_steps": "80,120", "momentum": 0.9, "weight_decay": 0.0005, "epochs": 160, "batch_size": 128, "optimizer": "sgd"}""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.milestones": [80, 120],
            "sgd.lr.factor": 0.1,
            "sgd.momentum": 0.9,
            "train.epochs": 160,
            "data.batch_size": 128,
            "sgd.weight_decay": 0.0005,
        },
    ),
    "negative warmup": (
        """\
lr: 0.1
warmup_epochs: -1
momentum: 0.9
epochs: 90
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.epochs": 90},
    ),
    "classy": (
        """\
{"num_epochs": 90, "optimizer": {"name": "sgd", "param_schedulers": {"lr": {"name": "multistep", "values": [0.1, 0.01, 0.001], "milestones": [30, 60]}}, "weight_decay": 1e-4, "momentum": 0.9}}""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60],
            "sgd.weight_decay": 0.0001,
            "train.epochs": 90,
        },
    ),
    "tf od": (
        """\
train_config {
  batch_size: 64
  num_steps: 25000
  optimizer {
    momentum_optimizer {
      learning_rate {
        cosine_decay_learning_rate {
          learning_rate_base: 0.04
          total_steps: 25000
          warmup_learning_rate: 0.013333
          warmup_steps: 2000
        }
      }
      momentum_optimizer_value: 0.9
    }
    use_moving_average: false
  }
}""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 2000,
            "sgd.lr.start": 0.013333,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.04,
            "sgd.lr.then.duration": 23000,
            "sgd.momentum": 0.9,
            "data.batch_size": 64,
            "train.steps": 25000,
        },
    ),
    "flag json": (
        """\
python train.py --optimizer sgd --optimizer-kwargs '{"lr": 0.1, "momentum": 0.9, "nesterov": true}' --scheduler-kwargs '{"T_max": 200}' --scheduler CosineAnnealingLR
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.1,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "sgd.lr.duration": 200,
        },
    ),
    "gluon flags": (
        """\
python train_imagenet.py --rec-train /media/train.rec --model resnet50_v1 --mode hybrid --lr 0.4 --lr-mode cosine --num-epochs 120 --batch-size 128 --num-gpus 8 -j 60 --warmup-epochs 5 --use-rec --dtype float16 --last-gamma --no-wd --label-smoothing --mixup
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.4,
            "train.epochs": 120,
            "data.batch_size": 1024,
            "groups.0.weight_decay": 0,
        },
    ),
    "sparseml-ish": (
        """\
python run.py --init-lr 0.1 --optim SGD --optim-args "momentum=0.9 weight_decay=1e-4" --train-batch-size 64
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "data.batch_size": 64},
    ),
    "lr list generic": (
        """\
lr: [0.1, 0.01]
momentum: 0.9
epochs: 10
""",
        {"sgd.momentum": 0.9, "train.epochs": 10},
    ),
    "lr finder": (
        """\
lr_finder:
  start_lr: 1e-7
  end_lr: 10
optimizer:
  type: SGD
  lr: 0.05
  momentum: 0.9
""",
        {"sgd.lr": 0.05, "sgd.momentum": 0.9},
    ),
    "two optimizers gan": (
        """\
optimizer_G: {type: Adam, lr: 0.0002, betas: [0.5, 0.999]}
optimizer_D: {type: Adam, lr: 0.0004, betas: [0.5, 0.999]}
epochs: 100
batch_size: 16
""",
        {"train.epochs": 100, "data.batch_size": 16},
    ),
    "swa": (
        """\
optimizer: sgd
lr: 0.05
swa_lr: 0.01
swa_start: 150
momentum: 0.9
epochs: 200
""",
        {"sgd.lr": 0.05, "sgd.momentum": 0.9, "train.epochs": 200},
    ),
    "wandb sweep": (
        """\
method: random
parameters:
  lr:
    values: [0.1, 0.01, 0.001]
  batch_size:
    value: 128
  epochs:
    value: 30
""",
        {"data.batch_size": 128, "train.epochs": 30},
    ),
    "shell vars": (
        """\
LR=0.05
BS=64
for wd in 1e-4 5e-4; do
  python train.py --lr $LR --batch_size $BS --weight-decay $wd --epochs 100 --milestones 50 75
done
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.05,
            "sgd.lr.milestones": [50, 75],
            "data.batch_size": 64,
            "train.epochs": 100,
        },
    ),
    "deepspeed": (
        """\
{"train_batch_size": 256, "gradient_accumulation_steps": 2, "gradient_clipping": 1.0, "optimizer": {"type": "SGD", "params": {"lr": 0.01, "momentum": 0.9}}, "scheduler": {"type": "WarmupLR", "params": {"warmup_min_lr": 0, "warmup_max_lr": 0.01, "warmup_num_steps": 1000}}, "fp16": {"enabled": true}}""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 0,
            "sgd.lr.then": 0.01,
            "sgd.momentum": 0.9,
            "train.clip_norm": 1.0,
            "data.batch_size": 256,
            "train.accumulate": 2,
        },
    ),
}
"""What each says, worked out by hand."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name):
    """Each value that is written, followed to where it is used; no value that is not there is called stated."""
    text, expected = CASES[name]
    fields = read(text)[0].fields
    assert {path: fields[path].value if path in fields else None for path in expected} == expected
