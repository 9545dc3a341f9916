"""Plain settings of programs in other languages than Python, and of some more systems."""

import pytest

from reading.neighbours import differences

CASES = {
    "sweep wandb": (
        """\
program: train.py
method: bayes
parameters:
  learning_rate:
    value: 0.1
  momentum:
    value: 0.9
  epochs:
    value: 30
  batch_size:
    values: [64, 128]
""",
        {"sgd.momentum": 0.9, "train.epochs": 30, "sgd.lr": 0.1},
    ),
    "markdown table": (
        """\
| Hyperparameter | Value |
|---|---|
| Learning rate | 0.1 |
| Momentum | 0.9 |
| Weight decay | 5e-4 |
| Epochs | 200 |
| Batch size | 128 |
""",
        {"data.batch_size": 128, "train.epochs": 200, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "sgd.lr": 0.1},
    ),
    "namespace print": (
        "Namespace(arch='resnet20', batch_size=128, epochs=200, lr=0.1, momentum=0.9, weight_decay=0.0001, workers=4, half=False, print_freq=50)",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "data.batch_size": 128, "train.epochs": 200, "sgd.lr": 0.1},
    ),
    "sgd print": (
        """\
SGD (
Parameter Group 0
    dampening: 0
    differentiable: False
    foreach: None
    initial_lr: 0.1
    lr: 0.1
    maximize: False
    momentum: 0.9
    nesterov: False
    weight_decay: 0.0005
)
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "sgd.nesterov": False, "sgd.dampening": 0.0, "sgd.lr": 0.1},
    ),
    "nested solver warm": (
        """\
SOLVER:
  TYPE: "SGD"
  LR: 0.25
  WARMUP:
    EPOCHS: 5
    START_LR: 0.025
  SCHEDULER:
    NAME: "cosine"
    MIN_LR: 0.0
  EPOCHS: 100
  MOMENTUM: 0.9
  WD: 4e-5
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 4e-05,
            "train.epochs": 100,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.025,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.25,
            "sgd.lr.then.final": 0.0,
        },
    ),
    "hydra nested interval": (
        """\
optimizer:
  _target_: torch.optim.SGD
  lr: 0.04
  momentum: 0.9
lr_scheduler:
  _target_: pl_bolts.optimizers.lr_scheduler.LinearWarmupCosineAnnealingLR
  warmup_epochs: 10
  max_epochs: 90
  warmup_start_lr: 0.001
  eta_min: 0.0001
trainer:
  max_epochs: 90
""",
        {
            "sgd.momentum": 0.9,
            "train.epochs": 90,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 10,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.001,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.04,
            "sgd.lr.then.final": 0.0001,
            "sgd.lr.then.duration": 90,
            "sgd.lr.then.unit": "epoch",
        },
    ),
    "ema other": (
        """\
byol:
  base_momentum: 0.996
  ema_decay: 0.99
optim:
  name: sgd
  lr: 0.2
  momentum: 0.9
moving_average:
  momentum: 0.999
bn_momentum: 0.1
""",
        {"sgd.momentum": 0.9, "sgd.lr": 0.2},
    ),
    "detection yaml chinese comments": (
        """\
base_lr: 0.02  # 基础学习率
lr_steps: [60000, 80000]  # 学习率衰减步数
lr_gamma: 0.1  # 衰减系数
warmup_iters: 1000  # 预热
momentum: 0.9  # 动量
wd: 0.0001  # 权重衰减
max_iter: 90000  # 总迭代次数
batch_size: 16  # 批大小
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "data.batch_size": 16,
            "train.steps": 90000,
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 1000,
            "sgd.lr.unit": "step",
            "sgd.lr.then.schedule": "multistep",
            "sgd.lr.then.initial": 0.02,
            "sgd.lr.then.factor": 0.1,
            "sgd.lr.then.milestones": [60000, 80000],
            "sgd.lr.then.unit": "step",
        },
    ),
    "log": (
        '{"epoch": 37, "train_loss": 0.53, "lr": 0.01, "val_acc": 0.9}',
        {"sgd.lr": 0.01},
    ),
    "ini epoch": (
        """\
[train]
epoch = 40
lr = 0.1
""",
        {"train.epochs": 40, "sgd.lr": 0.1},
    ),
    "matlab options": (
        """\
% train options
maxEpochs = 20;
miniBatchSize = 64;
options = trainingOptions('sgdm', ...
    'InitialLearnRate',0.05, ...
    'LearnRateSchedule','piecewise', ...
    'LearnRateDropFactor',0.2, ...
    'LearnRateDropPeriod',5, ...
    'MaxEpochs',maxEpochs, ...
    'MiniBatchSize',miniBatchSize, ...
    'L2Regularization',1e-4, ...
    'GradientThreshold',1, ...
    'Plots','training-progress');
net = trainNetwork(imds,layers,options);
""",
        {
            "sgd.weight_decay": 0.0001,
            "train.clip_norm": 1,
            "data.batch_size": 64,
            "train.epochs": 20,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.05,
            "sgd.lr.rate": 0.2,
            "sgd.lr.every": 5,
            "sgd.lr.unit": "epoch",
        },
    ),
    "matlab keywords": (
        'options = trainingOptions("sgdm", InitialLearnRate=0.02, MaxEpochs=8, Momentum=0.85, MiniBatchSize=32);',
        {"sgd.momentum": 0.85, "data.batch_size": 32, "train.epochs": 8, "sgd.lr": 0.02},
    ),
    "matlab fields": (
        """\
opts.learningRate = 0.001;
opts.numEpochs = 50;
opts.batchSize = 100;
opts.weightDecay = 0.0005;
opts.momentum = 0.9;
opts = vl_argparse(opts, varargin);
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "data.batch_size": 100, "train.epochs": 50, "sgd.lr": 0.001},
    ),
    "lua lapp": (
        """\
require 'optim'
opt = lapp[[
   -b,--batchSize             (default 128)          batch size
   -r,--learningRate          (default 1)        learning rate
   --learningRateDecay        (default 1e-7)      learning rate decay
   --weightDecay              (default 0.0005)      weightDecay
   -m,--momentum              (default 0.9)         momentum
   --epoch_step               (default 25)          epoch step
   --max_epoch                (default 300)           maximum number of iterations
]]
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "data.batch_size": 128,
            "train.epochs": 300,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 1,
            "sgd.lr.every": 25,
            "sgd.lr.unit": "epoch",
        },
    ),
    "lua state": (
        """\
optimState = {
  learningRate = opt.learningRate,
  weightDecay = 5e-4,
  momentum = 0.9,
  nesterov = true,
  dampening = 0.0
}
for epoch = 1, 164 do
  if epoch == 80 or epoch == 120 then optimState.learningRate = optimState.learningRate / 10 end
end
""",
        {
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "sgd.nesterov": True,
            "sgd.dampening": 0.0,
            "train.epochs": 164,
        },
    ),
    "lua table": (
        """\
sgd_params = {
   learningRate = 1e-2,
   learningRateDecay = 1e-4,
   weightDecay = 1e-3,
   momentum = 1e-4
}
batchSize = 50
""",
        {"sgd.momentum": 0.0001, "sgd.weight_decay": 0.001, "data.batch_size": 50, "sgd.lr": 0.01},
    ),
    "julia loop": (
        """\
using Flux
opt = Momentum(0.01, 0.9)
epochs = 30
batchsize = 128
for epoch in 1:epochs
    Flux.train!(loss, ps, data, opt)
end
""",
        {"sgd.momentum": 0.9, "data.batch_size": 128, "train.epochs": 30, "sgd.lr": 0.01},
    ),
    "julia chain": (
        "opt = Optimiser(WeightDecay(1e-4), Momentum(0.1, 0.9))",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "sgd.lr": 0.1},
    ),
    "julia descent": (
        """\
optim = Flux.setup(Flux.Descent(0.05), model)
for epoch in 1:20
""",
        {"sgd.lr": 0.05},
    ),
    "julia struct": (
        """\
Base.@kwdef mutable struct Args
    η::Float64 = 3e-4       # learning rate
    batchsize::Int = 256    # batch size
    epochs::Int = 10        # number of epochs
    λ = 5e-4
end
""",
        {"data.batch_size": 256, "train.epochs": 10, "sgd.lr": 0.0003},
    ),
    "r keras": (
        """\
model %>% compile(
  optimizer = optimizer_sgd(lr = 0.01, momentum = 0.9, decay = 1e-6, nesterov = TRUE),
  loss = 'categorical_crossentropy')
model %>% fit(x, y, epochs = 30, batch_size = 128)
""",
        {"sgd.momentum": 0.9, "sgd.nesterov": True, "data.batch_size": 128, "train.epochs": 30, "sgd.lr": 0.01},
    ),
    "libtorch": (
        """\
auto optimizer = torch::optim::SGD(model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.5).weight_decay(1e-4));
const int64_t kTrainBatchSize = 64;
const int64_t kNumberOfEpochs = 10;
""",
        {"sgd.momentum": 0.5, "sgd.weight_decay": 0.0001, "data.batch_size": 64, "train.epochs": 10, "sgd.lr": 0.01},
    ),
    "rust": (
        """\
let mut sgd = nn::Sgd { momentum: 0.9, dampening: 0., wd: 5e-4, nesterov: true }.build(&vs, 0.1)?;
for epoch in 1..150 { sgd.set_lr(learning_rate(epoch)); }
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "sgd.nesterov": True, "sgd.dampening": 0.0},
    ),
    "deeplearning4j": (
        """\
MultiLayerConfiguration conf = new NeuralNetConfiguration.Builder()
    .seed(123)
    .l2(0.0005)
    .updater(new Nesterovs(0.006, 0.9))
    .build();
int batchSize = 64;
int nEpochs = 15;
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "data.batch_size": 64, "train.epochs": 15, "sgd.lr": 0.006},
    ),
    "tensorflow.js": (
        """\
const optimizer = tf.train.momentum(0.1, 0.9);
await model.fit(xs, ys, {epochs: 20, batchSize: 32});
""",
        {"sgd.momentum": 0.9, "data.batch_size": 32, "train.epochs": 20, "sgd.lr": 0.1},
    ),
    "java constants": (
        """\
public static final double LEARNING_RATE = 0.01;
public static final int EPOCHS = 40;
private static final int BATCH_SIZE = 64;
double momentum = 0.9;
""",
        {"sgd.momentum": 0.9, "data.batch_size": 64, "train.epochs": 40, "sgd.lr": 0.01},
    ),
    "c defines": (
        """\
#define LEARNING_RATE 0.01
#define MOMENTUM 0.9
#define EPOCHS 200
#define BATCH_SIZE 32
""",
        {"sgd.momentum": 0.9, "data.batch_size": 32, "train.epochs": 200, "sgd.lr": 0.01},
    ),
    "mxnet fit": (
        "mod.fit(train_iter, eval_data=val_iter, optimizer='sgd', optimizer_params={'learning_rate': 0.1, 'momentum': 0.9, 'wd': 1e-4}, num_epoch=8, batch_end_callback=mx.callback.Speedometer(batch_size, 100))",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "train.epochs": 8, "sgd.lr": 0.1},
    ),
    "gluon": (
        """\
trainer = gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.05, 'momentum': 0.9, 'wd': 5e-4})
for epoch in range(20):
    for batch in train_data:
        with autograd.record():
            loss = L(net(x), y)
        loss.backward()
        trainer.step(batch_size)
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005, "train.epochs": 20, "sgd.lr": 0.05},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_stated(name):
    """Every value that is stated, and no other, is what the text says."""
    assert not differences(*CASES[name])
