"""The first corpus: famous recipes as they are written, and what they mean. The reader was written with these at hand."""

from reading.rows import Row, assumed, implied, stated

FOUNDING = "整个网络的学习率初始化为0.1，采用指数衰减法，衰减因子为0.1，权重衰减因子为0.98"
FOUNDING_ENGLISH = "the learning rate of the whole network starts at 0.1, with exponential decay, decay factor 0.1, weight decay factor 0.98"
_EXPONENTIAL = stated(sgd__lr__schedule="exponential", sgd__lr__initial=0.1, sgd__lr__rate=0.1)
_PERIOD = assumed(sgd__lr__every=1000, sgd__lr__unit="step")

FOUNDING_READINGS = [
    _EXPONENTIAL | _PERIOD | implied(sgd__weight_decay=0.02, sgd__decay="independent"),
    _EXPONENTIAL
    | _PERIOD
    | implied(sgd__weight_decay=0.04, sgd__decay="coupled")
    | assumed(sgd__momentum=0.9, sgd__lr__staircase=True),
    _EXPONENTIAL | _PERIOD | stated(sgd__weight_decay=0.98) | implied(sgd__decay="coupled"),
    stated(sgd__lr__schedule="exponential", sgd__lr__initial=0.1)
    | implied(sgd__lr__rate=0.98, sgd__weight_decay=0.1)
    | assumed(sgd__lr__every=1, sgd__lr__unit="epoch"),
]
"""The four readings of the founding question, in their order."""

FIRST = [
    Row("founding question", FOUNDING, FOUNDING_READINGS[0], remarks=("0.98 read literally forgets",)),
    Row("founding question, English", FOUNDING_ENGLISH, FOUNDING_READINGS[0], remarks=("0.98 read literally forgets",)),
    Row(
        "the same page, PyTorch settings",
        "学习率、momentum(一般0.9)、weight_decay、nesterov",
        stated(sgd__momentum=0.9, sgd__nesterov=True),
        absent=("sgd.lr", "sgd.weight_decay"),
        remarks=("learning rate is not stated",),
    ),
    Row(
        "AlexNet",
        "batch size of 128 examples, momentum of 0.9, and weight decay of 0.0005; v := 0.9 v - 0.0005 eps w - eps grad; "
        "lr initialised at 0.01 and reduced three times",
        stated(data__batch_size=128, sgd__momentum=0.9, sgd__weight_decay=5e-4, sgd__lr=0.01)
        | implied(sgd__decay="coupled", sgd__lr_in_velocity=True),
        remarks=("reduced 3 times", "inside the velocity"),
    ),
    Row(
        "VGG",
        "batch size 256, momentum 0.9 ... weight decay (the L2 penalty multiplier set to 5e-4) ... learning rate initially "
        "1e-2, decreased by a factor of 10 when the validation set accuracy stopped improving",
        stated(
            data__batch_size=256,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
            sgd__lr=0.01,
            train__plateau__factor=0.1,
            train__plateau__metric="accuracy",
        )
        | implied(sgd__decay="coupled")
        | assumed(train__plateau__patience=10),
        remarks=("would be a weight decay of 0.001", "cannot be replayed"),
    ),
    Row(
        "ResNet",
        "mini-batch size of 256. The learning rate starts from 0.1 and is divided by 10 when the error plateaus, trained for "
        "up to 60e4 iterations. weight decay of 0.0001 and a momentum of 0.9",
        stated(
            data__batch_size=256,
            sgd__lr=0.1,
            train__plateau__factor=0.1,
            train__plateau__metric="accuracy",
            train__steps=600000,
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
        )
        | implied(sgd__decay="coupled"),
        remarks=("cannot be replayed",),
    ),
    Row(
        "Wide ResNet",
        "SGD with Nesterov momentum ... initial learning rate 0.1, weight decay 0.0005, dampening 0, momentum 0.9, minibatch "
        "size 128; dropped by 0.2 at 60, 120 and 160 epochs, total of 200",
        stated(
            sgd__nesterov=True,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.2,
            sgd__lr__milestones=[60, 120, 160],
            sgd__lr__unit="epoch",
            sgd__weight_decay=5e-4,
            sgd__dampening=0.0,
            sgd__momentum=0.9,
            data__batch_size=128,
            train__epochs=200,
        )
        | implied(sgd__decay="coupled"),
    ),
    Row(
        "DenseNet",
        "batch size 64 for 300 epochs, initial learning rate 0.1, divided by 10 at 50% and 75% of the total number of training "
        "epochs, weight decay of 1e-4 and a Nesterov momentum of 0.9 without dampening",
        stated(
            data__batch_size=64,
            train__epochs=300,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.1,
            sgd__weight_decay=1e-4,
            sgd__nesterov=True,
            sgd__momentum=0.9,
            sgd__dampening=0.0,
        )
        | implied(sgd__lr__milestones=[150, 225], sgd__lr__unit="epoch", sgd__decay="coupled"),
    ),
    Row(
        "GoogLeNet",
        "asynchronous SGD with 0.9 momentum, fixed learning rate schedule (decreasing the learning rate by 4% every 8 epochs)",
        stated(
            sgd__momentum=0.9,
            sgd__lr__schedule="exponential",
            sgd__lr__rate=0.96,
            sgd__lr__every=8,
            sgd__lr__unit="epoch",
        )
        | implied(sgd__lr__staircase=True),
        absent=("sgd.lr", "sgd.lr.initial", "sgd.weight_decay", "data.batch_size"),
        remarks=("base learning rate is not stated", "Caffe's re-implementation"),
    ),
    Row(
        "Inception-v3",
        "momentum with a decay of 0.9 ... RMSProp with decay of 0.9 and eps 1.0 ... learning rate 0.045, decayed every two "
        "epochs using an exponential rate of 0.94 ... clipping 2.0",
        stated(
            sgd__momentum=0.9,
            rmsprop__decay=0.9,
            rmsprop__eps=1.0,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.045,
            sgd__lr__every=2,
            sgd__lr__unit="epoch",
            sgd__lr__rate=0.94,
            train__clip_norm=2.0,
        ),
        optimizer="rmsprop",
        absent=("sgd.weight_decay",),
        remarks=("RMSProp, not SGD",),
    ),
    Row(
        "MobileNet v1",
        "very little or no weight decay on the depthwise filters",
        stated(groups__0__weight_decay=0.0) | implied(groups__0__match="*depthwise*"),
        absent=("sgd.weight_decay",),
    ),
    Row(
        "EfficientNet",
        "decay 0.9 and momentum 0.9; batch norm momentum 0.99; weight decay 1e-5; initial learning rate 0.256 that decays by "
        "0.97 every 2.4 epochs",
        stated(
            rmsprop__decay=0.9,
            sgd__momentum=0.9,
            sgd__weight_decay=1e-5,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.256,
            sgd__lr__rate=0.97,
            sgd__lr__every=2.4,
            sgd__lr__unit="epoch",
        ),
        optimizer="rmsprop",
        remarks=("RMSProp, not SGD", "is not the optimizer's"),
    ),
    Row(
        "Goyal et al.",
        "Nesterov momentum with m of 0.9, weight decay lambda 0.0001 ... not applied to the learnable batch-norm coefficients "
        "... lr = 0.1 kn/256, 5 epochs of gradual warmup, divided by 10 at the 30th, 60th and 80th epoch",
        stated(
            sgd__nesterov=True,
            sgd__momentum=0.9,
            sgd__weight_decay=1e-4,
            groups__0__weight_decay=0.0,
            sgd__lr__schedule="warmup",
            sgd__lr__duration=5,
            sgd__lr__unit="epoch",
            sgd__lr__then__schedule="multistep",
            sgd__lr__then__factor=0.1,
            sgd__lr__then__milestones=[30, 60, 80],
            sgd__lr__then__unit="epoch",
        )
        | implied(sgd__lr__then__initial=0.1, groups__0__match="@bias_and_norm", sgd__lr__restart=False)
        | assumed(data__batch_size=256),
        remarks=("scales linearly",),
    ),
    Row(
        "ConvS2S",
        "Nesterov's accelerated gradient, momentum value of 0.99, renormalize gradients if their norm exceeds 0.1, learning "
        "rate 0.25; once perplexity stops improving, reduce by an order of magnitude after each epoch until it falls below 1e-4",
        stated(
            sgd__nesterov=True,
            sgd__momentum=0.99,
            train__clip_norm=0.1,
            sgd__lr=0.25,
            train__plateau__factor=0.1,
            train__plateau__metric="loss",
            train__plateau__min_lr=1e-4,
        ),
        remarks=("cannot be replayed",),
    ),
    Row(
        "Sutskever's seq2seq",
        "SGD without momentum, fixed learning rate of 0.7. After 5 epochs, halving the learning rate every half epoch, total of "
        "7.5 epochs; batches of 128; norm constraint 5",
        stated(
            sgd__momentum=0.0,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.7,
            sgd__lr__factor=0.5,
            sgd__lr__unit="epoch",
            train__epochs=7.5,
            data__batch_size=128,
            train__clip_norm=5.0,
        )
        | implied(sgd__lr__milestones=[5, 5.5, 6, 6.5, 7]),
    ),
    Row(
        "PyTorch's ImageNet example",
        "--lr 0.1 --momentum 0.9 --wd 1e-4 -b 256, StepLR(30, 0.1), 90 epochs",
        stated(
            sgd__momentum=0.9,
            sgd__weight_decay=1e-4,
            data__batch_size=256,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.1,
            sgd__lr__rate=0.1,
            sgd__lr__every=30,
            train__epochs=90,
        )
        | implied(sgd__lr__unit="epoch", sgd__lr__staircase=True, sgd__decay="coupled"),
    ),
    Row(
        "Caffe solver",
        'base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75 momentum: 0.9 weight_decay: 0.0005',
        stated(
            sgd__lr__schedule="inverse",
            sgd__lr__initial=0.01,
            sgd__lr__gamma=1e-4,
            sgd__lr__power=0.75,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
        )
        | implied(sgd__lr__unit="step", sgd__lr_in_velocity=True, sgd__decay="coupled"),
        remarks=("inside the velocity",),
    ),
    Row(
        "TF-slim",
        "learning_rate 0.01, learning_rate_decay_factor 0.94, num_epochs_per_decay 2.0, weight_decay 0.00004, momentum 0.9",
        stated(
            sgd__lr__initial=0.01,
            sgd__lr__rate=0.94,
            sgd__lr__every=2,
            sgd__lr__unit="epoch",
            sgd__weight_decay=4e-5,
            sgd__momentum=0.9,
        )
        | implied(sgd__lr__schedule="exponential", sgd__lr__staircase=True, sgd__decay="coupled"),
    ),
    Row(
        "DAWNBench ResNet-9",
        "lr piecewise 0 to 0.4 at epoch 5 to 0 at 24, Nesterov 0.9, wd 5e-4, batch 512",
        stated(
            sgd__lr__schedule="warmup",
            sgd__lr__start=0.0,
            sgd__lr__duration=5,
            sgd__lr__unit="epoch",
            sgd__lr__then__initial=0.4,
            sgd__lr__then__final=0.0,
            sgd__nesterov=True,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
            data__batch_size=512,
        )
        | implied(sgd__lr__then__schedule="linear", sgd__lr__then__duration=19, train__epochs=24),
        remarks=("summed loss",),
    ),
    Row(
        "airbench94",
        'Nesterov 0.85, "lr 11.5 per 1024 examples", "wd 0.0153", batch 1024, 9.9 epochs, warmup 23 %',
        stated(
            sgd__nesterov=True, sgd__momentum=0.85, data__batch_size=1024, train__epochs=9.9, sgd__lr__schedule="warmup"
        )
        | implied(sgd__lr__then=1.5, sgd__weight_decay=0.0153 / 11.5, sgd__lr__duration=2.277, sgd__lr__unit="epoch"),
        remarks=("1.5 and 0.00133",),
    ),
    Row(
        "CNTK G2P",
        "learningRatesPerMB / per sample 0.01, momentumPerMB 0, clip 5.0 per sample, halve when validation stops improving",
        stated(sgd__momentum=0.0, train__clip_norm=5.0, train__plateau__factor=0.5),
        absent=("sgd.lr",),
        remarks=("multiply it by the batch size", "cannot be replayed"),
    ),
    Row(
        "a Chinese course",
        "采用SGD优化器，动量设为0.9，权重衰减系数为1e-4，初始学习率0.1，每30轮衰减为原来的十分之一，批大小256，共训练90轮",
        stated(
            sgd__momentum=0.9,
            sgd__weight_decay=1e-4,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.1,
            sgd__lr__rate=0.1,
            sgd__lr__every=30,
            sgd__lr__unit="epoch",
            data__batch_size=256,
            train__epochs=90,
        )
        | implied(sgd__lr__staircase=True, sgd__decay="coupled"),
    ),
    Row(
        "a Chinese paper",
        "学习率按余弦退火从0.05降至0，使用Nesterov动量0.9，L2正则化系数0.0005",
        stated(
            sgd__lr__schedule="cosine",
            sgd__lr__initial=0.05,
            sgd__lr__final=0.0,
            sgd__nesterov=True,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
        )
        | implied(sgd__decay="coupled"),
    ),
]
