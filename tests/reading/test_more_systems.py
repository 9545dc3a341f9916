"""Configurations of more systems: what each says of training."""

import pytest

from reading.neighbours import differences

CASES = {
    "paddlex": (
        """\
train_dataset: flowers
num_epochs: 10
train_batch_size: 32
learning_rate: 0.025
lr_decay_epochs: [4, 6, 8]
lr_decay_gamma: 0.1
warmup_steps: 0
""",
        {
            "data.batch_size": 32,
            "train.epochs": 10,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.025,
            "sgd.lr.unit": "epoch",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [4, 6, 8],
        },
    ),
    "ultralytics args": (
        """\
task: detect
mode: train
model: yolov8n.pt
epochs: 150
patience: 50
batch: 16
imgsz: 640
optimizer: SGD
cos_lr: true
close_mosaic: 10
lr0: 0.01
lrf: 0.01
momentum: 0.937
weight_decay: 0.0005
warmup_epochs: 3.0
warmup_momentum: 0.8
warmup_bias_lr: 0.1
box: 7.5
nbs: 64
""",
        {
            "sgd.momentum": 0.937,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 16,
            "train.epochs": 150,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.01,
            "sgd.lr.then.final": 0.0001,
        },
    ),
    "ultralytics default comments": (
        """\
epochs: 100 # (int) number of epochs to train for
batch: 16 # (int) number of images per batch (-1 for AutoBatch)
lr0: 0.01 # (float) initial learning rate (i.e. SGD=1E-2, Adam=1E-3)
lrf: 0.1 # (float) final learning rate (lr0 * lrf)
momentum: 0.9 # (float) SGD momentum/Adam beta1
weight_decay: 0.0005 # (float) optimizer weight decay 5e-4
optimizer: SGD # (str) optimizer to use
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 16,
            "train.epochs": 100,
            "sgd.lr.initial": 0.01,
            "sgd.lr.final": 0.001,
        },
    ),
    "hydra fairseq": (
        """\
# @package _group_
task:
  _name: translation
  data: ???
criterion:
  _name: cross_entropy
optimization:
  max_update: 50000
  clip_norm: 0.1
  lr: [0.25]
  update_freq: [2]
optimizer:
  _name: nag
  momentum: 0.99
  weight_decay: 0.0
lr_scheduler:
  _name: fixed
  force_anneal: 50
dataset:
  max_tokens: 4000
""",
        {"sgd.momentum": 0.99, "sgd.weight_decay": 0.0, "train.clip_norm": 0.1, "train.steps": 50000, "sgd.lr": 0.25},
    ),
    "hydra fairseq cosine": (
        """\
optimization:
  max_update: 20000
  lr: [1.0]
optimizer:
  _name: sgd
  momentum: 0.9
lr_scheduler:
  _name: cosine
  warmup_updates: 1000
  warmup_init_lr: 1e-7
  min_lr: 1e-5
""",
        {
            "sgd.momentum": 0.9,
            "train.steps": 20000,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.start": 1e-07,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 1,
        },
    ),
    "tf slim flags": (
        "python train_image_classifier.py \\\n  --train_dir=${TRAIN_DIR} --dataset_name=flowers --model_name=inception_v3 \\\n  --max_number_of_steps=1000 --batch_size=32 --learning_rate=0.01 \\\n  --learning_rate_decay_type=exponential --learning_rate_decay_factor=0.94 --num_epochs_per_decay=2.0 \\\n  --optimizer=momentum --momentum=0.9 --weight_decay=0.00004 --save_interval_secs=60\n",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 4e-05,
            "data.batch_size": 32,
            "train.steps": 1000,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.rate": 0.94,
            "sgd.lr.every": 2,
            "sgd.lr.unit": "epoch",
        },
    ),
    "torchvision ref": (
        "torchrun --nproc_per_node=8 train.py --model resnet50 --batch-size 128 --lr 0.5 \\\n--lr-scheduler cosineannealinglr --lr-warmup-epochs 5 --lr-warmup-method linear \\\n--auto-augment ta_wide --epochs 600 --random-erase 0.1 --weight-decay 0.00002 \\\n--norm-weight-decay 0.0 --label-smoothing 0.1 --mixup-alpha 0.2 --cutmix-alpha 1.0 \\\n--train-crop-size 176 --model-ema --val-resize-size 232 --ra-sampler --ra-reps 4\n",
        {
            "sgd.weight_decay": 2e-05,
            "data.batch_size": 1024,
            "train.epochs": 600,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.5,
            "groups.0.match": "@bias_and_norm",
            "groups.0.weight_decay": 0.0,
        },
    ),
    "hf training args json": (
        """\
{
  "output_dir": "out",
  "optim": "sgd",
  "learning_rate": 0.01,
  "lr_scheduler_type": "cosine",
  "warmup_ratio": 0.1,
  "num_train_epochs": 3,
  "per_device_train_batch_size": 16,
  "gradient_accumulation_steps": 2,
  "weight_decay": 0.01,
  "max_grad_norm": 1.0,
  "seed": 42
}
""",
        {
            "sgd.weight_decay": 0.01,
            "train.clip_norm": 1,
            "train.epochs": 3,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 0.3,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.01,
        },
    ),
    "student keys": (
        """\
{
  "student_lr": 0.1, "student_momentum": 0.9, "student_weight_decay": 5e-4, "student_epochs": 200,
  "student_batch_size": 128, "teacher_lr": 0.01, "teacher_epochs": 30, "temperature": 4, "alpha": 0.9
}
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "data.batch_size": 128, "train.epochs": 200, "sgd.lr": 0.1},
    ),
    "train keys net": (
        """\
train_lr: 0.03
train_epochs: 40
train_batch_size: 48
net_lr: 0.03
model_momentum: 0.9
train_weight_decay: 0.0002
val_batch_size: 200
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0002, "data.batch_size": 48, "train.epochs": 40, "sgd.lr": 0.03},
    ),
    "basic params sections": (
        """\
"Training": {
    "Setup": {
        "device": "cuda",
    },
    "Hyper Parameters": {
        "epochs": 25,
        "optimizer": "SGD",
        "learning rate": 0.02,
        "momentum": 0.9,
        "weight decay": 5e-4,
        "batch size": 40
    },
    "LR Scheduler": {
        "type": "StepLR",
        "step size": 8,
        "gamma": 0.3
    }
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 40,
            "train.epochs": 25,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.02,
            "sgd.lr.rate": 0.3,
            "sgd.lr.every": 8,
            "sgd.lr.unit": "epoch",
        },
    ),
    "sesemi-like": (
        """\
learner:
  optimizer:
    _target_: torch.optim.SGD
    lr: 0.2
    momentum: 0.85
    nesterov: true
    weight_decay: 0.0001
  lr_scheduler:
    scheduler:
      _target_: torch.optim.lr_scheduler.StepLR
      step_size: 12
      gamma: 0.4
    interval: epoch
    frequency: 1
  losses:
    consistency:
      scheduler:
        _target_: x.SigmoidRampup
        weight: 10.0
  ema:
    decay: 0.99
""",
        {
            "sgd.momentum": 0.85,
            "sgd.weight_decay": 0.0001,
            "sgd.nesterov": True,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.2,
            "sgd.lr.rate": 0.4,
            "sgd.lr.every": 12,
            "sgd.lr.unit": "epoch",
        },
    ),
    "epoch_size train": (
        """\
lr: 0.05
momentum: 0.9
batch_size: 32
epoch_size: 90
weight_decay: 4e-5
loss_scale: 1024
save_checkpoint_epochs: 5
keep_checkpoint_max: 10
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 4e-05, "data.batch_size": 32, "train.epochs": 90, "sgd.lr": 0.05},
    ),
    "dictionary int round": (
        """\
max_epochs = int(12 * 2)
base_lr = round(0.01 * 4, 4)
optimizer = dict(type='SGD', lr=base_lr, momentum=0.9, weight_decay=5e-4)
lr_config = dict(policy='step', step=[16, 22])
runner = dict(type='EpochBasedRunner', max_epochs=max_epochs)
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 24,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.04,
            "sgd.lr.milestones": [16, 22],
            "sgd.lr.unit": "epoch",
        },
    ),
    "caffe": (
        """\
net: "train_val.prototxt"
test_iter: 100
test_interval: 500
base_lr: 0.01
momentum: 0.9
weight_decay: 0.004
lr_policy: "multistep"
gamma: 0.1
stepvalue: 5000
stepvalue: 7000
max_iter: 9000
iter_size: 2
solver_mode: GPU
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.004,
            "train.steps": 9000,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.01,
            "sgd.lr.unit": "step",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [5000, 7000],
        },
    ),
    "caffe poly": (
        """\
base_lr: 0.01
lr_policy: "poly"
power: 0.5
max_iter: 100000
momentum: 0.9
weight_decay: 0.0002
snapshot: 10000
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0002,
            "train.steps": 100000,
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.01,
            "sgd.lr.power": 0.5,
        },
    ),
    "allennlp jsonnet": (
        """\
{
  "trainer": {
    "num_epochs": 40,
    "patience": 10,
    "grad_norm": 5.0,
    "optimizer": {"type": "sgd", "lr": 0.15, "momentum": 0.9, "weight_decay": 1e-6},
    "learning_rate_scheduler": {"type": "multi_step", "milestones": [20, 30], "gamma": 0.5}
  },
  "data_loader": {"batch_size": 32}
}
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 1e-06,
            "train.clip_norm": 5,
            "data.batch_size": 32,
            "train.epochs": 40,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.15,
            "sgd.lr.factor": 0.5,
            "sgd.lr.milestones": [20, 30],
            "sgd.lr.unit": "epoch",
        },
    ),
    "catalyst": (
        """\
stages:
  data_params:
    batch_size: 64
  criterion_params:
    criterion: CrossEntropyLoss
  scheduler_params:
    scheduler: MultiStepLR
    milestones: [10, 20]
    gamma: 0.3
  optimizer_params:
    optimizer: SGD
    lr: 0.1
    weight_decay: 0.0001
  stage1:
    state_params:
      num_epochs: 30
""",
        {
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 64,
            "train.epochs": 30,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.3,
            "sgd.lr.milestones": [10, 20],
            "sgd.lr.unit": "epoch",
        },
    ),
    "pytorch-template victoresque": (
        """\
{
    "name": "Mnist_LeNet",
    "n_gpu": 1,
    "arch": {"type": "MnistModel", "args": {}},
    "data_loader": {"type": "MnistDataLoader", "args":{"data_dir": "data/", "batch_size": 128, "shuffle": true, "validation_split": 0.1}},
    "optimizer": {"type": "SGD", "args":{"lr": 0.01, "weight_decay": 0, "momentum": 0.9}},
    "loss": "nll_loss",
    "lr_scheduler": {"type": "StepLR", "args": {"step_size": 50, "gamma": 0.1}},
    "trainer": {"epochs": 100, "save_dir": "saved/", "save_period": 1, "early_stop": 10}
}
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0,
            "data.batch_size": 128,
            "train.epochs": 100,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.rate": 0.1,
            "sgd.lr.every": 50,
            "sgd.lr.unit": "epoch",
        },
    ),
    "ludwig": (
        """\
trainer:
  epochs: 50
  optimizer:
    type: sgd
    momentum: 0.9
  learning_rate: 0.02
  batch_size: 256
  learning_rate_scheduler:
    warmup_fraction: 0.1
    decay: cosine
""",
        {
            "sgd.momentum": 0.9,
            "data.batch_size": 256,
            "train.epochs": 50,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.02,
        },
    ),
    "vissl": (
        """\
OPTIMIZER:
  name: sgd
  weight_decay: 0.0001
  momentum: 0.9
  num_epochs: 200
  nesterov: False
  param_schedulers:
    lr:
      auto_lr_scaling:
        auto_scale: true
        base_value: 0.03
        base_lr_batch_size: 256
      name: multistep
      values: [0.03, 0.003, 0.0003]
      milestones: [120, 160]
      update_interval: epoch
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "sgd.nesterov": False,
            "train.epochs": 200,
            "sgd.lr.initial": 0.03,
            "sgd.lr.schedule": "multistep",
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [120, 160],
            "sgd.lr.unit": "epoch",
        },
    ),
    "solo-learn": (
        """\
optimizer:
  name: "lars"
  batch_size: 64
  lr: 0.5
  classifier_lr: 0.1
  weight_decay: 1e-5
  kwargs:
    momentum: 0.9
scheduler:
  name: "warmup_cosine"
max_epochs: 400
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 1e-05,
            "data.batch_size": 64,
            "train.epochs": 400,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.5,
            "groups.0.lr": 0.1,
        },
    ),
    "paddleseg": (
        """\
batch_size: 2
iters: 80000
optimizer:
  type: sgd
  momentum: 0.9
  weight_decay: 4.0e-5
lr_scheduler:
  type: PolynomialDecay
  learning_rate: 0.01
  end_lr: 0
  power: 0.9
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 4e-05,
            "data.batch_size": 2,
            "train.steps": 80000,
            "sgd.lr.schedule": "polynomial",
            "sgd.lr.initial": 0.01,
            "sgd.lr.final": 0,
            "sgd.lr.power": 0.9,
        },
    ),
    "paddlevideo custom": (
        """\
OPTIMIZER:
 name: 'Momentum'
 momentum: 0.9
 learning_rate:
   name: 'CustomWarmupCosineDecay'
   max_epoch: 80
   warmup_epochs: 8
   warmup_start_lr: 0.002
   cosine_base_lr: 0.2
 weight_decay:
   name: 'L2'
   value: 5e-4
epochs: 80
DATASET:
  batch_size: 16
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 16,
            "train.epochs": 80,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 8,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.002,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.2,
        },
    ),
    "chainer json-like": (
        """\
[train]
optimizer = MomentumSGD
lr = 0.1
momentum = 0.9
lr_shift = 0.1
lr_drop_interval = 30
epoch = 100
batchsize = 128
weight_decay = 0.0005
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 128,
            "train.epochs": 100,
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.1,
            "sgd.lr.every": 30,
        },
    ),
    "cntk brainscript": (
        """\
SGD = {
    epochSize = 0
    minibatchSize = 256
    learningRatesPerSample = 0.00390625*10:0.001953125*10:0.0001
    momentumAsTimeConstant = 0*20:600*20:1200
    maxEpochs = 30
    L2RegWeight = 0.0001
    dropoutRate = 0
}
""",
        {"sgd.weight_decay": 0.0001, "data.batch_size": 256, "train.epochs": 30},
    ),
    "cntk mb": (
        """\
SGD = [
    minibatchSize = 64
    learningRatesPerMB = 0.05
    momentumPerMB = 0.9
    maxEpochs = 20
]
""",
        {"sgd.momentum": 0.9, "data.batch_size": 64, "train.epochs": 20, "sgd.lr": 0.05},
    ),
    "kaldi / nnet": (
        """\
trainer.optimization.initial-effective-lrate=0.001
trainer.optimization.final-effective-lrate=0.0001
trainer.num-epochs=6
trainer.optimization.minibatch-size=128
trainer.optimization.momentum=0.0
""",
        {"sgd.momentum": 0.0, "data.batch_size": 128, "train.epochs": 6},
    ),
    "spacy cfg": (
        """\
[training]
max_epochs = 30
dropout = 0.2

[training.optimizer]
@optimizers = "SGD.v1"
learn_rate = 0.01
L2 = 0.0001
grad_clip = 1.0

[training.batcher]
size = 64
""",
        {"sgd.weight_decay": 0.0001, "train.clip_norm": 1, "train.epochs": 30, "sgd.lr": 0.01},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_stated(name):
    """Every value that is stated, and no other, is what the text says."""
    assert not differences(*CASES[name])
