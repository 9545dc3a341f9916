"""Configurations of each system, written in its manner, against what they say, worked out by hand."""

import pytest

from downslope.reading.configuration import read_configuration
from downslope.reading.parts import split

STEP = {"sgd.lr.unit": "step"}


def multistep(initial, milestones, factor, unit="epoch", root="sgd.lr"):
    """Fields of a multistep schedule."""
    fields = {"schedule": "multistep", "initial": initial, "milestones": milestones, "factor": factor, "unit": unit}
    return {f"{root}.{name}": value for name, value in fields.items()}


def ramp(shape, initial, final, duration, unit="epoch", root="sgd.lr", **more):
    """Fields of a schedule from one value to another."""
    fields = {"schedule": shape, "initial": initial, "final": final, "duration": duration, "unit": unit, **more}
    return {f"{root}.{name}": value for name, value in fields.items()}


def warmup(duration, unit, **more):
    """Fields of a warmup."""
    return {
        f"sgd.lr.{name}": v for name, v in {"schedule": "warmup", "duration": duration, "unit": unit, **more}.items()
    }


CASES = {
    "caffe, steps": (
        "solver.prototxt",
        'net: "a.prototxt"\ntest_iter: 100\nbase_lr: 0.02\nlr_policy: "step"\nstepsize: 5000\ngamma: 0.2\nmax_iter: 20000\n'
        "momentum: 0.8\nweight_decay: 0.001\nsnapshot: 500\n",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.02, "sgd.lr.every": 5000, "sgd.lr.rate": 0.2,
         "sgd.lr.staircase": True, "train.steps": 20000, "sgd.momentum": 0.8, "sgd.weight_decay": 0.001,
         "sgd.lr_in_velocity": True, **STEP},
    ),
    "caffe, repeated values": (
        "",
        "base_lr: 1e-3 # so\nlr_policy: 'multistep'\nstepvalue: 300\nstepvalue: 450\ngamma: 0.1\nmax_iter: 500\nmomentum: 0.9\n"
        "solver_mode: GPU\n",
        {**multistep(1e-3, [300, 450], 0.1, "step"), "train.steps": 500, "sgd.momentum": 0.9, "sgd.lr_in_velocity": True},
    ),
    "caffe, inverse": (
        "s.prototxt",
        'base_lr: 0.01\nlr_policy: "inv"\ngamma: 0.0002\npower: 0.5\nmax_iter: 700\nsnapshot_prefix: "a2"\n',
        {"sgd.lr.schedule": "inverse", "sgd.lr.initial": 0.01, "sgd.lr.gamma": 2e-4, "sgd.lr.power": 0.5, "train.steps": 700,
         "sgd.lr_in_velocity": True, **STEP},
    ),
    "caffe, a net": (
        "train_val.prototxt",
        'layer { name: "a" include { phase: TRAIN } data_param { batch_size: 32 } }\n'
        'layer { name: "a" include { phase: TEST } data_param { batch_size: 10 } }\n'
        'layer { name: "c" param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 } num_output: 96 }\n',
        {"data.batch_size": 32, "groups.0.match": "*.bias", "groups.0.weight_decay": 0.0},
    ),
    "paddleclas, the last boundary ends the last level": (
        "a.yaml",
        "Optimizer:\n  name: Momentum\n  momentum: 0.9\n  lr:\n    name: Piecewise\n    decay_epochs: [10, 20, 30]\n"
        "    values: [0.2, 0.02, 0.002]\n",
        {**multistep(0.2, [10, 20], 0.1), "sgd.momentum": 0.9},
    ),
    "gluoncv on torch": (
        "a.yaml",
        "DDP_CONFIG:\n  WORLD_SIZE: 1\n  GPU_WORLD_SIZE: 4\nCONFIG:\n  TRAIN:\n    EPOCH_NUM: 60\n    BATCH_SIZE: 16\n    LR: 0.05\n"
        "    W_DECAY: 1e-5\n    LR_POLICY: 'Step'\n    LR_MILESTONE: [20, 40]\n    STEP: 0.2\n",
        {**multistep(0.05, [20, 40], 0.2), "train.epochs": 60, "data.batch_size": 64, "sgd.weight_decay": 1e-5},
    ),
    "mindspore": (
        "a.yaml",
        "epoch_size: 60\ndataset_sink_mode: True\nscheduler: 'multi_step_decay'\nlr: 0.4\ndecay_rate: 0.2\n"
        "multi_step_decay_milestones: [20, 40]\nopt: 'momentum'\nmomentum: 0.9\n",
        {**multistep(0.4, [20, 40], 0.2), "train.epochs": 60, "sgd.momentum": 0.9},
    ),
    "mindspore, a rate from start to peak": (
        "a.yaml",
        "epoch_size: 45\nlr_init: 0.001\nlr_max: 0.3\nlr_end: 0.0\nwarmup_epochs: 5\nlr_decay_mode: 'cosine'\nmomentum: 0.9\n",
        {**warmup(5, "epoch", start=0.001), **ramp("cosine", 0.3, 0.0, 40, root="sgd.lr.then"), "train.epochs": 45,
         "sgd.momentum": 0.9},
    ),
    "one rate for encoder and decoder": (
        "a.yaml",
        "TRAIN:\n  num_epoch: 30\n  optim: SGD\n  lr_encoder: 0.04\n  lr_decoder: 0.04\n  lr_pow: 0.8\n",
        {**ramp("polynomial", 0.04, 0.0, 30, power=0.8), "train.epochs": 30},
    ),
    "milestones of which the last lies after the end": (
        "a.yaml",
        "max_epoch: 100\nlr: 0.1\nscheduler:\n  name: multi_step\n  milestones: [60, 120]\n  gamma: 0.1\n",
        {**multistep(0.1, [60, 120], 0.1), "train.epochs": 100},
    ),
    "milestones that count steps": (
        "a.yaml",
        "trainer:\n  max_epochs: 100\noptimizer:\n  lr: 0.1\nscheduler:\n  milestones: [30000, 60000]\n  gamma: 0.1\n",
        {**multistep(0.1, [30000, 60000], 0.1, "step"), "train.epochs": 100},
    ),
    "yaml pasted from its middle on": (
        "a.yaml",
        "      max_epochs: 20\n      batch_size: 16\n  lr_scheduler:\n    class_path: MultiStepLR\n    init_args:\n      milestones:\n"
        "        - 5\n        - 15\n      gamma: 0.3\n  lr: 0.2\n",
        {**multistep(0.2, [5, 15], 0.3), "train.epochs": 20, "data.batch_size": 16},
    ),
    "slowfast, normalisation layers without decay": (
        "a.yaml",
        "BN:\n  WEIGHT_DECAY: 0.0\nSOLVER:\n  BASE_LR: 0.1\n  LR_POLICY: cosine\n  MAX_EPOCH: 50\n  WEIGHT_DECAY: 1e-4\n",
        {**ramp("cosine", 0.1, 0.0, 50), "train.epochs": 50, "sgd.nesterov": True, "sgd.weight_decay": 1e-4,
         "groups.0.match": "@bias_and_norm", "groups.0.weight_decay": 0.0},
    ),
    "classyvision, a fragment without the length": (
        "",
        '  "optimizer": {\n    "name": "sgd",\n    "param_schedulers": {\n      "lr": {\n        "name": "composite",\n'
        '        "schedulers": [\n          {"name": "linear", "start_value": 0.01, "end_value": 0.5},\n'
        '          {"name": "cosine", "start_value": 0.5, "end_value": 0.001}\n        ],\n        "lengths": [0.1, 0.9]\n'
        '      }\n    },\n    "momentum": 0.8\n  }\n}\n',
        {"sgd.lr.schedule": "warmup", "sgd.lr.start": 0.01, "sgd.lr.then.schedule": "cosine", "sgd.lr.then.initial": 0.5,
         "sgd.lr.then.final": 0.001, "sgd.momentum": 0.8},
    ),
    "a lua program's options": (
        "opts.lua",
        "local cmd = torch.CmdLine()\ncmd:option('-nEpochs', 90, 'epochs, not 7') -- 8\ncmd:option('-batchSize', 64, '(1 = pure)')\n"
        "cmd:option('-LR', 0.2, 'rate')\ncmd:option('-weightDecay', 1e-3)\nlocal s = { momentum = 0.7, nesterov = true }\n",
        {"sgd.lr": 0.2, "train.epochs": 90, "data.batch_size": 64, "sgd.weight_decay": 1e-3, "sgd.momentum": 0.7,
         "sgd.nesterov": True},
    ),
    "rates by time, in pairs": (
        "a.json",
        '{"lr_schedule": [[0, 0.2], [30, 0.02]], "epochs": 40}',
        {**multistep(0.2, [30], 0.1), "train.epochs": 40},
    ),
    "rates by time, after the first": (
        "",
        "lr: 0.4\nepochs: 90\nlr_schedule:\n  30: 0.2\n  60: 0.1\n",
        {**multistep(0.4, [30, 60], 0.5), "train.epochs": 90},
    ),
    "detectron2's keys, counted in epochs": (
        "a.yaml",
        "SOLVER:\n  BASE_LR: 0.01\n  MAX_EPOCHS: 50\n  STEPS: [20, 40]\n  MOMENTUM: 0.9\n",
        {**multistep(0.01, [20, 40], 0.1), "train.epochs": 50, "sgd.momentum": 0.9},
    ),
    "factors on a rate that is not said": (
        "a.yaml",
        "learning_rate:\n  name: stepwise\n  boundaries: [30, 60]\n  multipliers: [1.0, 0.2, 0.04]\nepochs: 90\n",
        {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.2, "sgd.lr.milestones": [30, 60], "sgd.lr.unit": "epoch",
         "train.epochs": 90},
    ),
    "a command that tests says nothing of training": (
        "run.sh",
        "python train.py --lr 0.3 --epochs 9\npython tools/test_net.py --lr 0.5 --batch-size 5\n",
        {"sgd.lr": 0.3, "train.epochs": 9},
    ),
    "lines of a dictionary": (
        "",
        '"learning_rate": 0.3,\n"momentum": 0.8,\n"epochs": 12\n',
        {"sgd.lr": 0.3, "sgd.momentum": 0.8, "train.epochs": 12},
    ),
    "torch's flags": (
        "",
        "th main.lua -LR 0.2 -nEpochs 60 -batchSize 32",
        {"sgd.lr": 0.2, "train.epochs": 60, "data.batch_size": 32},
    ),
    "a command in a comment, a flag given twice": (
        "",
        "# python train.py --lr 0.5 --epochs 10 \\\n#   --wd 1e-3 --task A --lr 0.2",
        {"sgd.lr": 0.2, "train.epochs": 10, "sgd.weight_decay": 1e-3},
    ),
    "a command in a comment of a script counts for nothing": (
        "",
        "#!/bin/bash\n# python train.py --lr 0.5 --epochs 10\npython train.py --lr 0.1 --epochs 90\n",
        {"sgd.lr": 0.1, "train.epochs": 90},
    ),
    "darknet": (
        "yolo.cfg",
        "[net]\n# Testing\n#batch=1\n# Training\nbatch=32\nsubdivisions=8\nmomentum=0.9\ndecay=0.0004\nlearning_rate=0.002\n"
        "burn_in=500\nmax_batches = 9000\npolicy=steps\nsteps=6000,8000\nscales=.2,.2\n\n[convolutional]\nbatch_normalize=1\n"
        "size=3\n\n[yolo]\nmomentum=0.1\nanchors = 10,13, 16,30\n",
        {**warmup(500, "step", restart=False), **multistep(0.002, [6000, 8000], 0.2, "step", "sgd.lr.then"),
         "data.batch_size": 32, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0004, "train.steps": 9000},
    ),
    "darknet, set for testing": (
        "a.cfg",
        "[net]\n# Training\n# batch=128\n# Testing\nbatch=1\nsubdivisions=1\n\nlearning_rate=0.1\npolicy=poly\npower=3\n"
        "max_batches=1000\n",
        ramp("polynomial", 0.1, 0.0, 1000, "step", power=3) | {"train.steps": 1000},
    ),
    "darknet, factors that differ": (
        "b.cfg",
        "[net]\nlearning_rate=0.001\nmax_batches=900\npolicy=steps\nsteps=100,500\nscales=10,.1\n",
        {"sgd.lr.schedule": "sequence", "sgd.lr.schedules": [0.001, 0.01, 0.001], "sgd.lr.boundaries": [100, 500],
         "train.steps": 900, **STEP},
    ),
    "detectron2": (
        "a.yaml",
        "MODEL:\n  ANCHOR_GENERATOR: {SIZES: [[32]]}\nSOLVER:\n  IMS_PER_BATCH: 8\n  BASE_LR: 0.01\n  STEPS: (6000, 8000)\n"
        "  MAX_ITER: 9000\n  WARMUP_ITERS: 100\n  WARMUP_FACTOR: 0.01\n  WEIGHT_DECAY: 5e-4\n  WEIGHT_DECAY_NORM: 0.0\n",
        {**warmup(100, "step", start=1e-4, restart=False), **multistep(0.01, [6000, 8000], 0.1, "step", "sgd.lr.then"),
         "data.batch_size": 8, "train.steps": 9000, "sgd.weight_decay": 5e-4, "sgd.momentum": 0.9,
         "groups.0.match": "@bias_and_norm", "groups.0.weight_decay": 0.0},
    ),
    "slowfast": (
        "a.yaml",
        "TRAIN:\n  BATCH_SIZE: 16\nTEST:\n  BATCH_SIZE: 8\nSOLVER:\n  BASE_LR: 0.2\n  LR_POLICY: steps_with_relative_lrs\n"
        "  STEPS: [0, 20, 30]\n  LRS: [1, 0.5, 0.25]\n  MAX_EPOCH: 40\n  MOMENTUM: 0.9\nBN:\n  MOMENTUM: 0.1\n",
        {**multistep(0.2, [20, 30], 0.5), "data.batch_size": 16, "train.epochs": 40, "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "pycls": (
        "a.yaml",
        "OPTIM:\n  BASE_LR: 0.1\n  LR_POLICY: cos\n  MAX_EPOCH: 100\n  MOMENTUM: 0.9\n  NESTEROV: True\n  WARMUP_EPOCHS: 5\n"
        "  WARMUP_FACTOR: 0.1\n",
        {**warmup(5, "epoch", start=0.01, restart=False), **ramp("cosine", 0.1, 0.0, 100, root="sgd.lr.then"),
         "train.epochs": 100, "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "openmmlab, hooks": (
        "a.py",
        "model = dict(backbone=dict(norm_cfg=dict(type='BN', momentum=0.03)))\n"
        "optimizer = dict(type='SGD', lr=0.02 / 8, momentum=0.9, paramwise_cfg=dict(norm_decay_mult=0.))\n"
        "optimizer_config = dict(grad_clip=dict(max_norm=10, norm_type=2))\n"
        "lr_config = dict(policy='CosineAnnealing', warmup='linear', warmup_iters=500, warmup_ratio=0.1, min_lr=1e-5)\n"
        "runner = dict(type='EpochBasedRunner', max_epochs=24)\n",
        {**warmup(500, "step", start=0.00025, restart=False), **ramp("cosine", 0.0025, 1e-5, 24, root="sgd.lr.then"),
         "sgd.momentum": 0.9, "train.clip_norm": 10.0, "train.epochs": 24, "groups.0.match": "@bias_and_norm",
         "groups.0.weight_decay": 0.0},
    ),
    "openmmlab, a number is a period": (
        "a.py",
        "optimizer = dict(type='SGD', lr=0.1)\nlr_config = dict(policy='step', step=7, gamma=0.3)\ntotal_epochs = 30\n",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.every": 7, "sgd.lr.rate": 0.3, "sgd.lr.unit": "epoch",
         "sgd.lr.staircase": True, "train.epochs": 30},
    ),
    "openmmlab, a list of schedulers": (
        "a.py",
        "train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=36, val_interval=1)\nparam_scheduler = [\n"
        "    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),\n"
        "    dict(type='MultiStepLR', begin=0, end=36, by_epoch=True, milestones=[27, 33], gamma=0.1)]\n"
        "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))\n"
        "custom_hooks = [dict(type='EMAHook', momentum=0.0002)]\n",
        {**warmup(1000, "step", start=1e-4, restart=False), **multistep(0.01, [27, 33], 0.1, root="sgd.lr.then"),
         "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4, "train.epochs": 36},
    ),
    "openmmlab, from the end of the warmup": (
        "a.py",
        "optimizer = dict(type='SGD', lr=0.01)\nparam_scheduler = [\n"
        "    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1500),\n"
        "    dict(type='PolyLR', eta_min=1e-4, power=0.8, begin=1500, end=40000, by_epoch=False)]\n"
        "train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000)\n",
        {**warmup(1500, "step", start=1e-3, restart=True),
         **ramp("polynomial", 0.01, 1e-4, 38500, "step", "sgd.lr.then", power=0.8), "train.steps": 40000},
    ),
    "paddleclas": (
        "a.yaml",
        "Global:\n  epochs: 100\nOptimizer:\n  name: Momentum\n  momentum: 0.9\n  lr:\n    name: Piecewise\n"
        "    decay_epochs: [40, 70]\n    values: [0.2, 0.02, 0.002]\n  regularizer:\n    name: 'L2'\n    coeff: 0.0002\n",
        {**multistep(0.2, [40, 70], 0.1), "sgd.momentum": 0.9, "sgd.weight_decay": 2e-4, "train.epochs": 100},
    ),
    "paddleclas, cosine": (
        "a.yaml",
        "Global: {epochs: 60}\nOptimizer:\n  name: Momentum\n  lr: {name: Cosine, learning_rate: 0.4, warmup_epoch: 5}\n",
        {**warmup(5, "epoch", start=0.0), **ramp("cosine", 0.4, 0.0, 55, root="sgd.lr.then"), "train.epochs": 60},
    ),
    "paddledetection": (
        "a.yml",
        "epoch: 24\nLearningRate:\n  base_lr: 0.02\n  schedulers:\n  - !PiecewiseDecay\n    gamma: 0.1\n    milestones: [16, 22]\n"
        "  - !LinearWarmup\n    start_factor: 0.25\n    steps: 400\nOptimizerBuilder:\n  optimizer: {momentum: 0.9, type: Momentum}\n"
        "  regularizer: {factor: 0.0005, type: L2}\n",
        {**warmup(400, "step", start=0.005, restart=False), **multistep(0.02, [16, 22], 0.1, root="sgd.lr.then"),
         "sgd.momentum": 0.9, "sgd.weight_decay": 5e-4, "train.epochs": 24},
    ),
    "paddleseg": (
        "a.yml",
        "iters: 5000\noptimizer:\n  type: sgd\n  momentum: 0.9\nlr_scheduler:\n  type: PolynomialDecay\n  learning_rate: 0.05\n"
        "  end_lr: 1.0e-5\n  power: 0.7\n",
        ramp("polynomial", 0.05, 1e-5, 5000, "step", power=0.7) | {"sgd.momentum": 0.9, "train.steps": 5000},
    ),
    "yolo": (
        "hyp.yaml",
        "lr0: 0.02  # initial\nlrf: 0.1  # final\nmomentum: 0.9\nweight_decay: 0.0003\nwarmup_epochs: 2.0\nwarmup_momentum: 0.8\n"
        "warmup_bias_lr: 0.1\ncls: 0.5\n",
        {"sgd.lr.then.initial": 0.02, "sgd.lr.then.final": 0.002, "sgd.momentum": 0.9, "sgd.weight_decay": 3e-4,
         "sgd.nesterov": True, "sgd.lr.schedule": "warmup", "sgd.lr.duration": 2, "sgd.lr.unit": "epoch"},
    ),
    "ultralytics": (
        "args.yaml",
        "epochs: 50\npatience: 30\nbatch: 16\noptimizer: SGD\ncos_lr: true\nlr0: 0.01\nlrf: 0.01\nmomentum: 0.937\n"
        "warmup_epochs: 3.0\n",
        {**warmup(3, "epoch", restart=False), **ramp("cosine", 0.01, 1e-4, 50, root="sgd.lr.then"), "data.batch_size": 16,
         "train.epochs": 50, "sgd.momentum": 0.937, "sgd.nesterov": True},
    ),
    "fairseq": (
        "a.yaml",
        "optimization:\n  max_update: 1000\n  lr: [0.25]\n  clip_norm: 0.1\noptimizer:\n  _name: nag\n  momentum: 0.99\n",
        {"sgd.lr": 0.25, "train.steps": 1000, "train.clip_norm": 0.1, "sgd.nesterov": True, "sgd.momentum": 0.99},
    ),
    "transformers": (
        "args.json",
        '{"optim": "sgd", "learning_rate": 0.01, "num_train_epochs": 10, "lr_scheduler_type": "linear", "warmup_ratio": 0.1, '
        '"weight_decay": 0.0, "max_grad_norm": 1.0, "per_device_train_batch_size": 8, "fp16": true}',
        {**warmup(1, "epoch"), **ramp("linear", 0.01, 0.0, 9, root="sgd.lr.then"), "sgd.weight_decay": 0.0,
         "train.clip_norm": 1.0, "train.epochs": 10, "data.batch_size": 8},
    ),
    "tensorflow, cosine": (
        "pipeline.config",
        "model { ssd { batch_norm { decay: 0.997 } } }\ntrain_config: {\n  batch_size: 64\n  optimizer {\n"
        "    momentum_optimizer: {\n      learning_rate: {\n        cosine_decay_learning_rate {\n"
        "          learning_rate_base: .08\n          total_steps: 5000\n          warmup_learning_rate: .02\n"
        "          warmup_steps: 500\n        }\n      }\n      momentum_optimizer_value: 0.9\n    }\n  }\n  num_steps: 5000\n}\n",
        {**warmup(500, "step", start=0.02), **ramp("cosine", 0.08, 0.0, 4500, "step", "sgd.lr.then"), "sgd.momentum": 0.9,
         "data.batch_size": 64, "train.steps": 5000},
    ),
    "tensorflow, steps by hand": (
        "pipeline.config",
        "train_config {\n  batch_size: 1\n  optimizer { momentum_optimizer { learning_rate { manual_step_learning_rate {\n"
        "    initial_learning_rate: 0.003\n    schedule { step: 900 learning_rate: .0003 }\n"
        "    schedule { step: 1200 learning_rate: .00003 }\n  } } momentum_optimizer_value: 0.9 } }\n"
        "  gradient_clipping_by_norm: 10.0\n}\n",
        {**multistep(0.003, [900, 1200], 0.1, "step"), "sgd.momentum": 0.9, "train.clip_norm": 10.0, "data.batch_size": 1},
    ),
    "openseq2seq": (
        "a.py",
        "from x import piecewise_constant\nbase_params = {\n  'num_epochs': 100, 'num_gpus': 8, 'batch_size_per_gpu': 32,\n"
        "  'optimizer': 'Momentum', 'optimizer_params': {'momentum': 0.90},\n  'lr_policy': piecewise_constant,\n"
        "  'lr_policy_params': {'learning_rate': 0.1, 'boundaries': [30, 60], 'decay_rates': [0.1, 0.01]},\n"
        "  'regularizer_params': {'scale': 0.0001}}\n",
        {**multistep(0.1, [30, 60], 0.1), "data.batch_size": 256, "train.epochs": 100, "sgd.momentum": 0.9,
         "sgd.weight_decay": 1e-4},
    ),
    "classyvision": (
        "a.json",
        '{"num_epochs": 90, "optimizer": {"name": "sgd", "param_schedulers": {"lr": {"name": "composite", "schedulers": ['
        '{"name": "linear", "start_value": 0.1, "end_value": 0.4}, {"name": "cosine", "start_value": 0.4, "end_value": 0.0001}],'
        ' "lengths": [0.1, 0.9]}}, "momentum": 0.9, "nesterov": true}}',
        {**warmup(9, "epoch", start=0.1), **ramp("cosine", 0.4, 1e-4, 81, root="sgd.lr.then"), "train.epochs": 90,
         "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "classyvision, equal parts": (
        "a.json",
        '{"num_epochs": 60, "optimizer": {"name": "sgd", "param_schedulers": {"lr": {"name": "step", "values": [0.1, 0.01]}}}}',
        {**multistep(0.1, [30], 0.1), "train.epochs": 60},
    ),
    "lightning": (
        "a.yaml",
        "trainer:\n  max_epochs: 90\n  gradient_clip_val: 0.5\noptimizer:\n  class_path: torch.optim.SGD\n  init_args:\n"
        "    lr: 0.1\n    momentum: 0.9\nlr_scheduler:\n  class_path: torch.optim.lr_scheduler.MultiStepLR\n  init_args:\n"
        "    milestones:\n      - 30\n      - 60\n    gamma: 0.1\nmodel:\n  init_args:\n    momentum: 0.99\n",
        {**multistep(0.1, [30, 60], 0.1), "train.epochs": 90, "train.clip_norm": 0.5, "sgd.momentum": 0.9},
    ),
    "hydra": (
        "a.yaml",
        "lr: 0.1\noptimizer:\n  _target_: torch.optim.SGD\n  lr: ${lr}\n  momentum: 0.9\nscheduler:\n"
        "  _target_: torch.optim.lr_scheduler.CosineAnnealingLR\n  T_max: ${epochs}\n  eta_min: 0.001\nepochs: 200\n"
        "teacher:\n  ema_decay: 0.996\n  momentum: 0.5\n",
        ramp("cosine", 0.1, 0.001, 200) | {"sgd.momentum": 0.9, "train.epochs": 200},
    ),
    "toml": (
        "a.toml",
        '[optimizer]\nname = "SGD" # so\nlr = 1e-1\nbetas = [\n  0.5,\n  0.9,\n]\n[optimizer.schedule]\ntype = "step"\n'
        "step_size = 30\ngamma = 0.1\n[train]\nepochs = 90\nbatch_size = 256\n",
        {"sgd.lr.schedule": "exponential", "sgd.lr.initial": 0.1, "sgd.lr.every": 30, "sgd.lr.rate": 0.1, "sgd.lr.unit": "epoch",
         "sgd.lr.staircase": True, "train.epochs": 90, "data.batch_size": 256},
    ),
    "ini": (
        "a.ini",
        "[train]\n; a comment = 3\nbatch_size = 128\nepochs : 160\n[optimizer]\ntype = SGD\nlearning_rate = 0.1\n"
        "milestones = 80, 120\ngamma = 0.1\n",
        {**multistep(0.1, [80, 120], 0.1), "data.batch_size": 128, "train.epochs": 160},
    ),
    "json with comments": (
        "a.jsonc",
        '{\n  // the optimizer\n  "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9,}, /* no, 5 */\n  "epochs": 3,\n}\n',
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.epochs": 3},
    ),
    "plateau": (
        "a.yaml",
        "optimizer: sgd\nlr: 0.1\nscheduler:\n  name: ReduceLROnPlateau\n  mode: max\n  factor: 0.2\n  patience: 4\n  min_lr: 1e-5\n",
        {"sgd.lr": 0.1, "train.plateau.factor": 0.2, "train.plateau.patience": 4, "train.plateau.min_lr": 1e-5,
         "train.plateau.metric": "accuracy"},
    ),
    "parts of the whole": (
        "a.yaml",
        "optimizer: {name: sgd, lr: 0.1}\nlr_milestones: [0.5, 0.75]\nlr_gamma: 0.1\nepochs: 160\n",
        {**multistep(0.1, [80, 120], 0.1), "train.epochs": 160},
    ),
    "cfg attributes": (
        "a.py",
        "cfg.SOLVER.BASE_LR = 0.02 / 16\ncfg.SOLVER.MAX_ITER = 300\ncfg.SOLVER.STEPS = []\n",
        {"sgd.lr": 0.00125, "train.steps": 300, "sgd.momentum": 0.9},
    ),
}  # fmt: skip


def found_in(name, text):
    """What the one part of a text says."""
    parts = split(text, name)
    assert len(parts) == 1
    return read_configuration(parts[0])


@pytest.mark.parametrize("case", CASES)
def test_each_value_is_what_the_system_makes_of_it(case):
    """Values come out as the system means them."""
    name, text, expected = CASES[case]
    found = found_in(name, text)
    values = {path: field.value for path, field in found.fields.items()}
    assert {path: values.get(path) for path in expected} == {
        path: pytest.approx(value) if isinstance(value, float) else value for path, value in expected.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_nothing_else_is_called_stated(case):
    """What is called stated is what the text states."""
    name, text, expected = CASES[case]
    found = found_in(name, text)
    assert not {p for p, field in found.fields.items() if field.provenance == "stated"} - set(expected)


@pytest.mark.parametrize("case", CASES)
def test_the_words_stand_at_their_place(case):
    """A field quotes the words that stand where it says."""
    name, text, _ = CASES[case]
    for field in found_in(name, text).fields.values():
        if field.start >= 0:
            assert text[field.start : field.end].strip() == field.words
        else:
            assert field.provenance != "stated"


def test_every_number_is_in_a_field_or_not_used():
    """No number of a configuration is lost, whether or not it means anything here."""
    text = (
        "lr: 0.1\nmodel:\n  width: 64\n  norm: {momentum: 0.03}\nloss_lr: 7\nval_batch_size: 5\nepochs: 90\nseed: 3\n"
    )
    found = found_in("a.yaml", text)
    assert {path: field.value for path, field in found.fields.items()} == {"sgd.lr": 0.1, "train.epochs": 90}
    assert [text[start:end] for start, end in found.unread] == [
        "width: 64",
        "momentum: 0.03",
        "loss_lr: 7",
        "val_batch_size: 5",
        "seed: 3",
    ]


FOREIGN = {
    "teacher: {momentum: 0.996}\nlr: 0.1\nepochs: 3": {"sgd.lr": 0.1, "train.epochs": 3},
    "discriminator:\n  optimizer: {lr: 4.0}\nlr: 0.1": {"sgd.lr": 0.1},
    "model: {momentum: 0.1, dropout: 0.5}\nlr: 0.2": {"sgd.lr": 0.2},
    "BN:\n  MOMENTUM: 0.1\nlr: 0.2": {"sgd.lr": 0.2},
    "loss: {gamma: 0.5, weight_decay: 0.3}\nlr: 0.2": {"sgd.lr": 0.2},
    "val_dataloader: {batch_size: 7}\ntrain: {batch_size: 9}": {"data.batch_size": 9},
    "augmentation: {lr: 0.5}\nlr: 0.2": {"sgd.lr": 0.2},
    "weight_decay: cosine\nlr: 0.2": {"sgd.lr": 0.2},
    "momentum: 1.5\nlr: 0.2": {"sgd.lr": 0.2},
    "lr: true\nmomentum: 0.9": {"sgd.momentum": 0.9},
    "lr: [0.1, 0.01]\nmomentum: 0.9": {"sgd.momentum": 0.9},
    "batch_size: 0.5\nlr: 0.1": {"sgd.lr": 0.1},
    "epochs: [1, 2]\nlr: 0.1": {"sgd.lr": 0.1},
    "optimizer: auto\nlr: 0.1": {"sgd.lr": 0.1},
    "optimizer: {name: Adam, lr: 0.001}\nsgd: {momentum: 0.9}": {"sgd.lr": 0.001},
}


@pytest.mark.parametrize("text", FOREIGN)
def test_what_belongs_to_another_subject_is_not_taken(text):
    """A key counts where it stands, not by its last word, and only with a value that it can have."""
    found = found_in("a.yaml", text)
    assert {path: field.value for path, field in found.fields.items() if field.provenance == "stated"} == FOREIGN[text]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("optimizer_G: {type: SGD, lr: 0.1}\noptimizer_D: {type: SGD, lr: 0.2}", "sgd.lr"),
        ("stage1: {lr: 0.1, epochs: 3}\nstage2: {lr: 0.01, epochs: 3}", "sgd.lr"),
        ("stage1: {lr: 0.1, epochs: 3}\nstage2: {lr: 0.1, epochs: 5}", "train.epochs"),
    ],
)
def test_values_of_several_sections_compete(text, path):
    """The first is shown, marked, with a remark on the other."""
    found = found_in("a.yaml", text)
    assert "competing" in found.fields[path].marks
    assert "another" in dict(found.remarks)


def test_a_batch_of_one_device_is_marked_unless_their_number_is_known():
    """The total is worked out where it can be."""
    one = found_in("a.json", '{"per_device_train_batch_size": 8, "num_train_epochs": 3}').fields["data.batch_size"]
    assert (one.value, one.provenance, one.marks) == (8, "implied", ("per_device",))
    all_of_them = found_in("a.yaml", "num_gpus: 4\nbatch_size_per_gpu: 8\nlr: 0.1").fields["data.batch_size"]
    assert (all_of_them.value, all_of_them.provenance, all_of_them.marks) == (32, "implied", ())


def test_yaml_leaves_tags_templates_and_interpolation_alone():
    """What cannot be known is no value, and no error."""
    text = "a: !!python/object:os.system {x: 1}\noptimizer:\n  lr: ${oc.env:LR}\n  momentum: {{ momentum }}\n  weight_decay: 1e-4\n"
    assert {path: field.value for path, field in found_in("a.yaml", text).fields.items() if path != "sgd.decay"} == {
        "sgd.weight_decay": 1e-4
    }


def test_several_documents_anchors_and_merges():
    """All documents are read; an anchor gives what it stands for."""
    text = "base: &base {momentum: 0.8}\n---\noptimizer:\n  name: sgd\n  lr: 1_0e-2\nx: 3\n"
    assert found_in("a.yaml", text).fields["sgd.lr"].value == pytest.approx(0.1)
    merged = "defaults_of_it: &d {momentum: 0.8, lr: 0.3}\noptimizer:\n  <<: *d\n  name: sgd\n"
    assert found_in("a.yaml", merged).fields["sgd.momentum"].value == pytest.approx(0.8)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\n"
        + "".join(f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}" if n else "*a"] * 9) + "]\n" for n in range(30)),
        "[" * 50_000,
        "- " * 50_000,
        '{"a": ' * 50_000,
        "a: {" * 50_000,
        "".join(f"k{n}: {n}\n" for n in range(50_000)),
        "lr: 0.1\n" * 50_000,
        "a: 1\n\x00\x1b\x85",
        "? [a]\n: b\n- c",
        "lr: 1e999\nmomentum: .nan\nepochs: " + "9" * 5000,
        "lr = " + "-" * 20_000 + "1",
        "x = " + "(" * 20_000,
        "a { " * 50_000,
    ],
    ids=range(13),
)
def test_hostile_configurations_are_read_in_bounded_time(text):
    """Nothing is raised, whatever a file's name says it is."""
    for name in ("", "a.yaml", "a.json", "a.toml", "a.cfg", "a.prototxt", "a.py", "a.sh"):
        for part in split(text, name):
            if part.kind in {"configuration", "command"}:
                read_configuration(part)


@pytest.mark.parametrize(
    ("named", "nesterov"), [("sgd", True), ("nesterov", True), ("momentum", None), ("fusedmomentum", None)]
)
def test_timm_has_a_name_for_momentum_alone(named, nesterov):
    """`create_optimizer` passes nesterov=True for sgd, and False for momentum."""
    fields = found_in("run.sh", f"python train.py --lr 0.4 --sched cosine --opt {named} --epochs 90\n").fields
    assert (fields["sgd.nesterov"].value if "sgd.nesterov" in fields else None) is nesterov
    assert fields["sgd.momentum"].value == 0.9
