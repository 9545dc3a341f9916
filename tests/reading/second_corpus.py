"""The second corpus: sentences of other papers, written down with their meaning before the reader was ever run on them.

It was frozen before its first measurement; docs/reading.md says what that was, and what has been mended since.
Expectations that turned out to be wrong would be changed here only with a note beside them.
"""

from reading.rows import Row, implied, stated

SECOND = [
    Row(
        "SE-Net",
        "Optimisation is performed using synchronous SGD with momentum 0.9 and a minibatch size of 1024. The initial "
        "learning rate is set to 0.6 and decreased by a factor of 10 every 30 epochs. Models are trained for 100 epochs "
        "from scratch.",
        stated(
            sgd__momentum=0.9,
            data__batch_size=1024,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.6,
            sgd__lr__rate=0.1,
            sgd__lr__every=30,
            sgd__lr__unit="epoch",
            train__epochs=100,
        )
        | implied(sgd__lr__staircase=True),
    ),
    Row(
        "ResNeXt",
        "We train the models using SGD with a mini-batch size of 256 on 8 GPUs (32 per GPU). The weight decay is 0.0001 "
        "and the momentum is 0.9. We start from a learning rate of 0.1, and divide it by 10 for three times.",
        stated(
            data__batch_size=256,
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.1,
        )
        | implied(sgd__decay="coupled"),
        absent=("sgd.lr.milestones",),
    ),
    Row(
        "MoCo v1",
        "We use SGD as our optimizer. The SGD weight decay is 0.0001 and the SGD momentum is 0.9. For IN-1M, we use a "
        "mini-batch size of 256 in 8 GPUs, and an initial learning rate of 0.03. We train for 200 epochs with the "
        "learning rate multiplied by 0.1 at 120 and 160 epochs.",
        stated(
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
            data__batch_size=256,
            train__epochs=200,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.03,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[120, 160],
            sgd__lr__unit="epoch",
        ),
    ),
    Row(
        "SimCLR",
        "We train at batch size 4096 for 100 epochs. We use the LARS optimizer with learning rate of 4.8 (= 0.3 × "
        "BatchSize/256) and weight decay of 10^-6. We use linear warmup for the first 10 epochs, and decay the learning "
        "rate with the cosine decay schedule without restarts.",
        stated(
            data__batch_size=4096,
            train__epochs=100,
            sgd__weight_decay=1e-6,
            sgd__lr__schedule="warmup",
            sgd__lr__duration=10,
            sgd__lr__unit="epoch",
            sgd__lr__then__schedule="cosine",
            sgd__lr__then__initial=4.8,
        ),
        optimizer="lars",
    ),
    Row(
        "Mask R-CNN",
        "We train on 8 GPUs (so effective minibatch size is 16) for 160k iterations, with a learning rate of 0.02 which "
        "is decreased by 10 at the 120k iteration. We use a weight decay of 0.0001 and momentum of 0.9.",
        stated(
            data__batch_size=16,
            train__steps=160000,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.02,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[120000],
            sgd__lr__unit="step",
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
        ),
    ),
    Row(
        "Faster R-CNN",
        "We use a learning rate of 0.001 for 60k mini-batches, and 0.0001 for the next 20k mini-batches on the PASCAL "
        "VOC dataset. We use a momentum of 0.9 and a weight decay of 0.0005.",
        stated(
            sgd__lr__initial=0.001,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
            sgd__lr__milestones=[60000],
            sgd__lr__unit="step",
            sgd__lr__schedule="multistep",
        )
        | implied(sgd__lr__factor=0.1, train__steps=80000),
    ),
    Row(
        "YOLO v1",
        "We train the network for about 135 epochs. Throughout training we use a batch size of 64, a momentum of 0.9 "
        "and a decay of 0.0005.",
        stated(train__epochs=135, data__batch_size=64, sgd__momentum=0.9, sgd__weight_decay=5e-4),
    ),
    Row(
        "DeepLab v2",
        'We employ a "poly" learning rate policy with power 0.9, initial learning rate 2.5e-4, batch size 10, 20K '
        "iterations, momentum 0.9 and weight decay 0.0005.",
        stated(
            sgd__lr__schedule="polynomial",
            sgd__lr__power=0.9,
            sgd__lr__initial=2.5e-4,
            data__batch_size=10,
            train__steps=20000,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
        )
        | implied(sgd__lr__duration=20000, sgd__lr__unit="step", sgd__lr__final=0.0),
    ),
    Row(
        "U-Net",
        "We favor large input tiles over a large batch size and hence reduce the batch to a single image. Accordingly "
        "we use a high momentum (0.99).",
        stated(data__batch_size=1, sgd__momentum=0.99),
    ),
    Row(
        "PreResNet",
        "The learning rate starts from 0.1, and is divided by 10 at 32k and 48k iterations. We use a weight decay of "
        "0.0001 and momentum of 0.9, and a mini-batch of 128 on 2 GPUs (64 each).",
        stated(
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[32000, 48000],
            sgd__lr__unit="step",
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
            data__batch_size=128,
        ),
    ),
    Row(
        "Stochastic depth",
        "We train with SGD for 500 epochs with a mini-batch size of 128. The learning rate is initially 0.1 and is "
        "divided by a factor of 10 after epochs 250 and 375. We use a weight decay of 1e-4, momentum of 0.9, and "
        "Nesterov momentum with 0 dampening.",
        stated(
            train__epochs=500,
            data__batch_size=128,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[250, 375],
            sgd__lr__unit="epoch",
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
            sgd__nesterov=True,
            sgd__dampening=0.0,
        ),
    ),
    Row(
        "Shake-Shake",
        "The models were trained for 1800 epochs with an initial learning rate of 0.2, annealed using a cosine function "
        "without restart. Mini-batch size is 128, momentum 0.9 and weight decay 0.0001.",
        stated(
            train__epochs=1800,
            sgd__lr__schedule="cosine",
            sgd__lr__initial=0.2,
            data__batch_size=128,
            sgd__momentum=0.9,
            sgd__weight_decay=1e-4,
        )
        | implied(sgd__lr__duration=1800, sgd__lr__unit="epoch", sgd__lr__final=0.0),
    ),
    Row(
        "mixup",
        "We train all models using batch size 128 for 200 epochs, weight decay 10^{-4}, and an initial learning rate of "
        "0.1 which is divided by 10 at epochs 100 and 150.",
        stated(
            data__batch_size=128,
            train__epochs=200,
            sgd__weight_decay=1e-4,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[100, 150],
            sgd__lr__unit="epoch",
        ),
    ),
    Row(
        "Cutout",
        "Models are trained for 200 epochs with batches of 128 images using SGD, Nesterov momentum of 0.9, and weight "
        "decay of 5e-4. The learning rate is initially set to 0.1, but is scheduled to decrease by a factor of 5x after "
        "each of the 60th, 120th, and 160th epochs.",
        stated(
            train__epochs=200,
            data__batch_size=128,
            sgd__momentum=0.9,
            sgd__nesterov=True,
            sgd__weight_decay=5e-4,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.2,
            sgd__lr__milestones=[60, 120, 160],
            sgd__lr__unit="epoch",
        ),
    ),
    Row(
        "SGDR's baseline",
        "SGD with momentum with initial learning rate 0.05, weight decay of 0.0005, dampening of 0, momentum of 0.9 and "
        "minibatch size of 128; the learning rate is dropped by a factor of 0.2 at 60, 120 and 160 epochs, with a total "
        "budget of 200 epochs.",
        stated(
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.05,
            sgd__lr__factor=0.2,
            sgd__lr__milestones=[60, 120, 160],
            sgd__lr__unit="epoch",
            sgd__weight_decay=5e-4,
            sgd__dampening=0.0,
            sgd__momentum=0.9,
            data__batch_size=128,
            train__epochs=200,
        ),
    ),
    Row(
        "Inception-ResNet",
        "We have trained our networks with stochastic gradient using RMSProp with decay of 0.9 and ε = 1.0. We used a "
        "learning rate of 0.045, decayed every two epochs using an exponential rate of 0.94.",
        stated(
            rmsprop__decay=0.9,
            rmsprop__eps=1.0,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.045,
            sgd__lr__every=2,
            sgd__lr__unit="epoch",
            sgd__lr__rate=0.94,
        ),
        optimizer="rmsprop",
        absent=("sgd.momentum", "sgd.weight_decay"),
    ),
    Row(
        "SqueezeNet",
        "We began with a learning rate of 0.04 and we linearly decreased the learning rate throughout training.",
        stated(sgd__lr__schedule="linear", sgd__lr__initial=0.04),
    ),
    Row(
        "ShuffleNet",
        "Weight decay is set to 4e-5 and we use a linear-decay learning rate policy (decreased from 0.5 to 0), batch "
        "size 1024, for 3×10^5 iterations.",
        stated(
            sgd__weight_decay=4e-5,
            sgd__lr__schedule="linear",
            sgd__lr__initial=0.5,
            sgd__lr__final=0.0,
            data__batch_size=1024,
            train__steps=300000,
        )
        | implied(sgd__lr__duration=300000, sgd__lr__unit="step"),
    ),
    Row(
        "MobileNet v2",
        "We train with RMSPropOptimizer with both decay and momentum set to 0.9. The standard weight decay is set to "
        "0.00004. We use an initial learning rate of 0.045, and a learning rate decay rate of 0.98 per epoch, 16 GPU "
        "asynchronous workers, and a batch size of 96.",
        stated(
            rmsprop__decay=0.9,
            sgd__momentum=0.9,
            sgd__weight_decay=4e-5,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.045,
            sgd__lr__rate=0.98,
            sgd__lr__every=1,
            sgd__lr__unit="epoch",
            data__batch_size=96,
        ),
        optimizer="rmsprop",
    ),
    Row(
        "Zaremba's medium LSTM",
        "We train for 39 epochs with a learning rate of 1, and after 6 epochs we decrease it by a factor of 1.2 after "
        "each epoch. We clip the norm of the gradients at 5. The size of the minibatch is 20.",
        stated(
            train__epochs=39,
            sgd__lr__initial=1.0,
            train__clip_norm=5.0,
            data__batch_size=20,
            sgd__lr__schedule="multistep",
            sgd__lr__factor=1 / 1.2,
            sgd__lr__unit="epoch",
        )
        | implied(sgd__lr__milestones=list(range(6, 39))),
    ),
    Row(
        "AWD-LSTM",
        "We train with gradient clipping with maximum norm 0.25 and an initial learning rate of 30 for all experiments, "
        "with a batch size of 40, for 750 epochs using ASGD, and apply dropout of 0.4.",
        stated(train__clip_norm=0.25, sgd__lr=30.0, data__batch_size=40, train__epochs=750),
        optimizer="asgd",
    ),
    Row(
        "fairseq flags",
        "--arch fconv_wmt_en_de --optimizer nag --lr 0.5 --clip-norm 0.1 --momentum 0.99 --dropout 0.2",
        stated(sgd__lr=0.5, train__clip_norm=0.1, sgd__momentum=0.99) | implied(sgd__nesterov=True),
    ),
    Row(
        "BYOL",
        "We use the LARS optimizer with a cosine decay learning rate schedule, without restarts, over 1000 epochs, with "
        "a warm-up period of 10 epochs. We set the base learning rate to 0.2, scaled linearly with the batch size "
        "(LearningRate = 0.2 × BatchSize/256). We use a weight decay parameter of 1.5·10⁻⁶ and a batch size of 4096.",
        stated(
            train__epochs=1000,
            sgd__lr__schedule="warmup",
            sgd__lr__duration=10,
            sgd__lr__unit="epoch",
            sgd__lr__then__schedule="cosine",
            sgd__weight_decay=1.5e-6,
            data__batch_size=4096,
        )
        | implied(sgd__lr__then__initial=3.2),
        optimizer="lars",
    ),
    Row(
        "ViT fine-tuning",
        "We fine-tune using SGD with momentum 0.9, learning rate 0.01, batch size 512, cosine learning rate decay, no "
        "weight decay, and gradient clipping at global norm 1, for 20 000 steps.",
        stated(
            sgd__momentum=0.9,
            data__batch_size=512,
            sgd__lr__schedule="cosine",
            sgd__lr__initial=0.01,
            sgd__weight_decay=0.0,
            train__clip_norm=1.0,
            train__steps=20000,
        )
        | implied(sgd__lr__duration=20000, sgd__lr__unit="step", sgd__lr__final=0.0),
    ),
    Row(
        "BiT",
        "We use SGD with an initial learning rate of 0.03, momentum 0.9 and batch size 512, for 10,000 steps. We decay "
        "the learning rate by a factor of 10 at 30%, 60% and 90% of the training steps.",
        stated(
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.03,
            sgd__lr__factor=0.1,
            sgd__momentum=0.9,
            data__batch_size=512,
            train__steps=10000,
        )
        | implied(sgd__lr__milestones=[3000, 6000, 9000], sgd__lr__unit="step"),
    ),
    Row(
        "a Chinese thesis, drops every 20 epochs",
        "本文采用随机梯度下降(SGD)算法对网络进行优化，动量因子为0.9，权值衰减为0.0005，初始学习率设置为0.01，每经过20个epoch学习率"
        "下降为原来的1/10，batch size设为32，总共训练100个epoch。",
        stated(
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.01,
            sgd__lr__rate=0.1,
            sgd__lr__every=20,
            sgd__lr__unit="epoch",
            data__batch_size=32,
            train__epochs=100,
        )
        | implied(sgd__lr__staircase=True),
    ),
    Row(
        "a Chinese paper, milestones",
        "优化器选用带动量的SGD，动量参数0.9，权重衰减系数设置为5×10^-4，批次大小为64，初始学习率为0.1，在第100个和第150个epoch时学习率"
        "除以10，一共训练200个epoch。",
        stated(
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
            data__batch_size=64,
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.1,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[100, 150],
            sgd__lr__unit="epoch",
            train__epochs=200,
        ),
    ),
    Row(
        "a Chinese segmentation paper",
        "训练过程中使用小批量随机梯度下降法，批量大小为16，学习率初始值为0.002，采用poly学习率衰减策略，power为0.9，最大迭代次数为80000次，"
        "动量系数0.9，权重衰减系数为千分之一。",
        stated(
            data__batch_size=16,
            sgd__lr__schedule="polynomial",
            sgd__lr__initial=0.002,
            sgd__lr__power=0.9,
            train__steps=80000,
            sgd__momentum=0.9,
            sgd__weight_decay=1e-3,
        )
        | implied(sgd__lr__duration=80000, sgd__lr__unit="step"),
    ),
    Row(
        "a Chinese sentence with Adam",
        "使用Adam优化器，初始学习率1e-3，beta1=0.9，beta2=0.999，每10个epoch学习率减半。",
        stated(
            adam__beta1=0.9,
            adam__beta2=0.999,
            sgd__lr__schedule="exponential",
            sgd__lr__initial=1e-3,
            sgd__lr__rate=0.5,
            sgd__lr__every=10,
            sgd__lr__unit="epoch",
        ),
        optimizer="adam",
    ),
    Row(
        "a Chinese paper with warmup",
        "前5个epoch采用线性预热，学习率从0线性增加到0.4，随后按余弦退火衰减至0，共训练90个epoch，批大小1024，权重衰减5e-5，动量0.9，"
        "不使用Nesterov。",
        stated(
            sgd__lr__schedule="warmup",
            sgd__lr__duration=5,
            sgd__lr__unit="epoch",
            sgd__lr__start=0.0,
            sgd__lr__then__schedule="cosine",
            sgd__lr__then__initial=0.4,
            sgd__lr__then__final=0.0,
            train__epochs=90,
            data__batch_size=1024,
            sgd__weight_decay=5e-5,
            sgd__momentum=0.9,
            sgd__nesterov=False,
        ),
    ),
    Row(
        "PyTorch code with a cosine",
        "optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)\n"
        "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=200)",
        stated(
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
            sgd__lr__schedule="cosine",
            sgd__lr__initial=0.1,
            sgd__lr__duration=200,
        )
        | implied(sgd__decay="coupled", sgd__lr__final=0.0),
    ),
    Row(
        "Keras code",
        "model.compile(optimizer=tf.keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, nesterov=True), loss='mse')",
        stated(sgd__lr=0.01, sgd__momentum=0.9, sgd__nesterov=True) | implied(sgd__lr_in_velocity=True),
    ),
    Row(
        "Detectron2 configuration",
        "SOLVER:\n  BASE_LR: 0.02\n  STEPS: (60000, 80000)\n  MAX_ITER: 90000\n  GAMMA: 0.1\n  WEIGHT_DECAY: 0.0001\n"
        "  MOMENTUM: 0.9\n  IMS_PER_BATCH: 16\n",
        stated(
            sgd__lr__schedule="multistep",
            sgd__lr__initial=0.02,
            sgd__lr__factor=0.1,
            sgd__lr__milestones=[60000, 80000],
            train__steps=90000,
            sgd__weight_decay=1e-4,
            sgd__momentum=0.9,
            data__batch_size=16,
        ),
    ),
    Row(
        "Caffe solver, step policy",
        'base_lr: 0.001\nlr_policy: "step"\ngamma: 0.1\nstepsize: 20000\nmax_iter: 100000\nmomentum: 0.9\n'
        "weight_decay: 0.0005\n",
        stated(
            sgd__lr__schedule="exponential",
            sgd__lr__initial=0.001,
            sgd__lr__rate=0.1,
            sgd__lr__every=20000,
            train__steps=100000,
            sgd__momentum=0.9,
            sgd__weight_decay=5e-4,
        )
        | implied(sgd__lr__unit="step", sgd__lr__staircase=True, sgd__lr_in_velocity=True, sgd__decay="coupled"),
    ),
    Row(
        "RepVGG",
        "We use a global batch size of 256, a learning rate initialized as 0.1 and cosine annealing for 120 epochs, SGD "
        "with momentum coefficient of 0.9 and weight decay of 10^-4 on the kernels of conv and fully-connected layers.",
        stated(
            data__batch_size=256,
            sgd__lr__schedule="cosine",
            sgd__lr__initial=0.1,
            train__epochs=120,
            sgd__momentum=0.9,
            sgd__weight_decay=1e-4,
        )
        | implied(sgd__lr__final=0.0),
    ),
]
