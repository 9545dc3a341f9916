"""Words in other orders and forms: spelled, doubled and spaced numbers, tables, stalls, other subjects."""

import pytest

from reading.neighbours import differences, meant

ROWS = [
    (
        "Training used SGD (momentum 0.9) with a batch size of four because of memory limits, and a learning rate of 0.005.",
        "momentum=0.9 batch=4 lr=0.005",
    ),
    (
        "We optimise with minibatches of sixteen images; the step size is 0.02 and the momentum 0.9.",
        "batch=16 lr=0.02 momentum=0.9",
    ),
    ("批大小为三十二，学习率0.01，训练一百轮。", "batch=32 lr=0.01 epochs=100"),
    (
        "Due to the small batch size (two images per GPU, one GPU), we freeze BN. lr = 0.0025, momentum = 0.9.",
        "batch=2 lr=0.0025 momentum=0.9",
    ),
    (
        "We use batch size $1 2 8$ , learning rate $0 . 0 5$ , momentum $0 . 9$ and weight decay $5 e { - } 4$ for $2 0 0$ epochs.",
        "batch=128 lr=0.05 momentum=0.9 decay=0.0005 epochs=200",
    ),
    (
        "The initial learning rate is set to $1 0 ^ { - 2 }$ and divided by $1 0$ at $3 2 k$ and $4 8 k$ iterations; training stops at $6 4 k$ iterations.",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[32000,48000] unit=step steps=64000",
    ),
    ("batch size of 256¹, learning rate 0.1², momentum 0.9", "momentum=0.9"),
    (
        "We set weight decay to $0 . 0 0 0 1$ and momentum to $0 . 9$ , with a mini-batch of $2 5 6$ .",
        "decay=0.0001 momentum=0.9 batch=256",
    ),
    (
        "The model is trained for $1 { , } 0 0 0$ epochs with SGD and learning rate $3 \\times 1 0 ^ { - 3 }$.",
        "epochs=1000 lr=0.003",
    ),
    ("除4.2节外，所有实验的学习率为0.1，动量为0.9。", "lr=0.1 momentum=0.9"),
    ("如3.1节所述，采用SGD优化器，学习率0.05，见表2。", "lr=0.05"),
    ("除最后2层以外，全部使用学习率0.001，动量0.9", "lr=0.001 momentum=0.9"),
    (
        "Except for Sec. 4.3, all models use lr 0.02 and weight decay 1e-4 (see Table 7 and Fig. 3).",
        "lr=0.02 decay=0.0001",
    ),
    (
        "与5.2节相同的设置：动量0.9，权重衰减1e-4，学习率除以10两次，分别在第30和60轮，初始0.1。",
        "momentum=0.9 decay=0.0001 schedule=multistep initial=0.1 factor=0.1 milestones=[30,60] unit=epoch",
    ),
    (
        "We use a learning rate of 0.003 for the first 50k mini-batches and 0.0003 for the following 25k.",
        "schedule=multistep initial=0.003 factor=0.1 milestones=[50000] unit=step steps=75000",
    ),
    (
        "前8万次迭代，学习率0.01，后4万次为0.001，权重衰减0.0005",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[80000] unit=step steps=120000 decay=0.0005",
    ),
    (
        "For the first 30 epochs lr=0.1, the next 20 lr=0.01, and the last 10 lr=0.001.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[30,50] unit=epoch epochs=60",
    ),
    (
        "Learning rate: 0.01 (epochs 1-40), 0.001 (epochs 41-60), 0.0001 (epochs 61-70).",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[40,60] unit=epoch",
    ),
    (
        "We train 40k batches at lr 0.01 followed by 10k batches at 0.001.",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[40000] unit=step steps=50000",
    ),
    (
        "学习率设置：0.1（前30轮），0.01（30-60轮），0.001（60-90轮）",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[30,60] unit=epoch",
    ),
    (
        "We follow a poly learning rate schedule with base 0.01 and power 0.9.",
        "schedule=polynomial initial=0.01 power=0.9",
    ),
    (
        "A cosine schedule is used (initial value 0.1, final value 0.0001, 300 epochs).",
        "schedule=cosine initial=0.1 final=0.0001 epochs=300",
    ),
    (
        "The learning rate follows a polynomial decay; its initial value is 0.02 and the exponent is 1.0.",
        "schedule=polynomial initial=0.02 power=1.0",
    ),
    (
        "学习率使用step策略，起始为0.01，每10轮乘以0.5。",
        "schedule=exponential initial=0.01 rate=0.5 every=10 unit=epoch",
    ),
    (
        "- 学习率（learning rate）：0.01\n- 批量大小（batch size）：64\n- 动量（momentum）：0.9\n- 训练轮数（epochs）：50",
        "lr=0.01 batch=64 momentum=0.9 epochs=50",
    ),
    (
        "训练轮次(epoch): 80; 批次(batch_size): 16; 初始学习率(lr0): 0.01; 权重衰减(weight_decay): 0.0005",
        "epochs=80 batch=16 lr=0.01 decay=0.0005",
    ),
    (
        "| 超参数 | 取值 |\n|---|---|\n| 学习率 (lr) | 0.01 |\n| 动量 (momentum) | 0.937 |\n| 权重衰减 | 5e-4 |\n| 训练轮数 (epochs) | 300 |\n| 批大小 | 16 |",
        "lr=0.01 momentum=0.937 decay=0.0005 epochs=300 batch=16",
    ),
    (
        "| Hyperparameter | Value |\n|---|---|\n| Optimizer | SGD |\n| Learning rate | 0.1 |\n| Momentum | 0.9 |\n| Weight decay | 1e-4 |\n| Batch size | 128 |\n| Epochs | 200 |\n| LR schedule | cosine |",
        "schedule=cosine initial=0.1 momentum=0.9 decay=0.0001 batch=128 epochs=200",
    ),
    ("Number of epochs (E): 40\nLocal learning rate (η): 0.01\nMini-batch size (B): 10", "epochs=40 lr=0.01 batch=10"),
    (
        "训练周期 (Epoch) 设为150，批尺寸 (Batch Size) 设为8，学习率 (Learning Rate) 设为0.0001，采用SGD优化器。",
        "epochs=150 batch=8 lr=0.0001",
    ),
    ("初始学习率为0.010.01，动量为0.90.9，权重衰减为10−410−4。", "lr=0.01 momentum=0.9 decay=0.0001"),
    (
        "前50个epoch学习率10−210^{-2}，后25个epoch为10−310^{-3}。",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[50] unit=epoch epochs=75",
    ),
    (
        "momentum 0.9, decay 0.0005, learning rate 0.001, batch 64, subdivisions 16",
        "momentum=0.9 decay=0.0005 lr=0.001 batch=64",
    ),
    (
        "在第8和11轮，学习率分别乘以0.1和0.01，基础学习率为0.02，共12轮。",
        "schedule=multistep initial=0.02 factor=0.1 milestones=[8,11] unit=epoch epochs=12",
    ),
    (
        "初始学习率0.4，第30、60、80轮时学习率变为初始的0.1、0.01、0.001倍。",
        "schedule=multistep initial=0.4 factor=0.1 milestones=[30,60,80] unit=epoch",
    ),
    (
        "当验证集损失连续3个epoch没有下降时，学习率减半，初始学习率为0.01。",
        "plateau.factor=0.5 plateau.patience=3 plateau.metric=loss lr=0.01",
    ),
    ("如果10个epoch内验证损失没有改善，则停止训练。学习率为0.001。", "lr=0.001"),
    (
        "The learning rate (0.1) is cut by half whenever the dev loss shows no gain for two epochs in a row.",
        "plateau.factor=0.5 plateau.patience=2 plateau.metric=loss lr=0.1",
    ),
    ("Training ends once the loss fails to improve during 20 consecutive epochs; SGD, lr 0.01.", "lr=0.01"),
    (
        "每当验证loss在3个epoch内停滞不前，学习率缩小10倍。初始学习率1e-2。",
        "plateau.factor=0.1 plateau.patience=3 plateau.metric=loss lr=0.01",
    ),
    ("共训练约 30 万次迭代，batch size 为 64，学习率 1e-3。", "steps=300000 batch=64 lr=0.001"),
    (
        "使用 Adam（β₁=0.9，β₂=0.98，ε=1e-9），学习率 2e-4，训练 10 万步。",
        "beta1=0.9 beta2=0.98 eps=1e-09 lr=0.0002 steps=100000",
    ),
    ("Adam with β₁ = 0.5, β₂ = 0.999 and learning rate 2×10⁻⁴", "beta1=0.5 beta2=0.999 lr=0.0002"),
    ("We train for 1.2 million steps with batch size 2,048 and lr 0.3.", "steps=1200000 batch=2048 lr=0.3"),
    ("使用全部 60,000 张训练图像，学习率0.1，动量0.9，训练20轮。", "lr=0.1 momentum=0.9 epochs=20"),
    ("The data set has in total 50,000 images. SGD with lr 0.1 for 100 epochs.", "lr=0.1 epochs=100"),
    (
        "共有 12,000 条样本，每批 32 条，学习率 0.01，每 5 轮衰减为原来的 0.5。",
        "batch=32 schedule=exponential initial=0.01 rate=0.5 every=5 unit=epoch",
    ),
    (
        "A total of 8 GPUs was used. The learning rate 0.08 is divided by ten every 3 epochs.",
        "schedule=exponential initial=0.08 rate=0.1 every=3 unit=epoch",
    ),
    ("with starting learning rate 0.1 per 256 images in the batch, SGD momentum 0.9", "lr=0.1 momentum=0.9"),
    (
        "base learning rate of 0.1 for a batch of 256, cosine decay, 100 epochs",
        "schedule=cosine initial=0.1 batch=256 epochs=100",
    ),
    ("Five learning rates were compared; momentum 0.9, batch size 32.", "momentum=0.9 batch=32"),
    ("We tried 4 batch sizes and 3-5 learning rates per task. Momentum is 0.9.", "momentum=0.9"),
    ("grid of 10 learning rates between 1e-4 and 1e-1, SGD, 30 epochs", "epochs=30"),
    (
        "The learning rate was lowered by a factor of ten to 0.0001 to avoid divergence. Momentum 0.9.",
        "lr=0.0001 momentum=0.9",
    ),
    ("I ended up decreasing the lr 5x, to 2e-3, and that fixed the NaNs.", "lr=0.002"),
    (
        "BatchNorm keeps running statistics with momentum of 0.99, so they lag behind. We train with SGD, lr 0.1.",
        "lr=0.1",
    ),
    ("BN层的动量为0.1，优化器为SGD，动量为0.9，学习率0.01。", "momentum=0.9 lr=0.01"),
    ("The teacher is an EMA of the student with momentum 0.996; the optimizer is SGD with lr 0.03.", "lr=0.03"),
    (
        "The key encoder is updated with momentum 0.999. Optimizer SGD, momentum 0.9, learning rate 0.03, weight decay 1e-4.",
        "momentum=0.9 lr=0.03 decay=0.0001",
    ),
    (
        "实验采用Pytorch框架，优化器选用带动量的SGD，动量参数取0.9，初始学习速率取0.02，每经过20个训练周期学习率衰减至原来的50%，共训练100个周期，单次送入网络的图像为24幅。",
        "momentum=0.9 schedule=exponential initial=0.02 rate=0.5 every=20 unit=epoch epochs=100 batch=24",
    ),
    (
        "本文使用SGD对网络进行优化，学习率初值0.1，训练至第80轮和第120轮时各缩小为十分之一，训练160轮后停止。",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[80,120] unit=epoch epochs=160",
    ),
    (
        "我们采用 mini-batch SGD（batch size = 64, momentum = 0.9, weight decay = 1e-4），初始 lr = 0.05，每 25 epoch 乘 0.2，共 100 epoch。",
        "batch=64 momentum=0.9 decay=0.0001 schedule=exponential initial=0.05 rate=0.2 every=25 unit=epoch epochs=100",
    ),
    (
        "动量设成0.95，权值衰减设成0.0002，每批次处理48张图，学习率恒为0.0005。",
        "momentum=0.95 decay=0.0002 batch=48 lr=0.0005",
    ),
    (
        "采用随机梯度下降法，初始学习率为0.001，并在训练集遍历15遍、25遍后分别衰减10倍，遍历30遍后训练结束。",
        "schedule=multistep initial=0.001 factor=0.1 milestones=[15,25] unit=epoch epochs=30",
    ),
    (
        "训练轮次数：120；每批样本：8；优化方法：SGD；学习率：0.0025；动量：0.9；衰减：1e-4。",
        "epochs=120 batch=8 lr=0.0025 momentum=0.9 decay=0.0001",
    ),
    (
        "优化器为SGD，初始的学习率大小为1e-2，权重衰减大小为5e-4，训练总轮数200轮，每训练50轮，学习率变为之前的0.1。",
        "schedule=exponential initial=0.01 decay=0.0005 epochs=200 every=50 rate=0.1 unit=epoch",
    ),
    (
        "当迭代到60000次和80000次时，学习率降为原来的1/10，最多迭代90000次，初始学习率为0.02，一次取16张图。",
        "schedule=multistep factor=0.1 milestones=[60000,80000] unit=step steps=90000 initial=0.02 batch=16",
    ),
    (
        "将初始学习率设为3e-3，若连续4轮验证损失没有任何降低，就把学习率乘以0.3。",
        "plateau.factor=0.3 plateau.patience=4 plateau.metric=loss lr=0.003",
    ),
    (
        "学习率调整：0~100轮为1e-2，100~150轮为1e-3，150~200轮为1e-4。",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[100,150] unit=epoch",
    ),
    (
        "YOLOv5训练参数：epochs=100，batch-size=16，imgsz=640，lr0=0.01，momentum=0.937，weight_decay=0.0005。",
        "epochs=100 batch=16 lr=0.01 momentum=0.937 decay=0.0005",
    ),
    (
        "训练使用两块RTX 3090，每块GPU的批大小为4，学习率为0.01，采用poly策略，power=0.9，训练80k次。",
        "batch=8 schedule=polynomial initial=0.01 power=0.9 steps=80000",
    ),
    (
        "整个网络用SGD进行端到端训练，学习率为10的负三次方，动量为0.9，权重衰减为10的负四次方。",
        "lr=0.001 momentum=0.9 decay=0.0001",
    ),
    (
        "Batch Size 为 128；Epochs 为 164；学习率在第 81 和 122 个 epoch 分别除以 10；初始为 0.1；WD 为 1e-4；Nesterov 动量 0.9。",
        "batch=128 epochs=164 schedule=multistep initial=0.1 factor=0.1 milestones=[81,122] unit=epoch decay=0.0001 nesterov=True momentum=0.9",
    ),
    (
        "Training lasts 270k iterations; at 210k and again at 250k the learning rate, initially 0.02, goes down tenfold. The batch comprises 16 images.",
        "steps=270000 schedule=multistep initial=0.02 factor=0.1 milestones=[210000,250000] unit=step batch=16",
    ),
    (
        "We used a mini-batch size of 32, 0.9 for momentum and 0.0001 for weight decay.",
        "batch=32 momentum=0.9 decay=0.0001",
    ),
    (
        "The optimizer is SGD; we set the learning rate to be 0.05, the momentum to be 0.9, and the weight decay to be 0.0005, respectively.",
        "lr=0.05 momentum=0.9 decay=0.0005",
    ),
    (
        "We warm up for the first 1,000 steps and use polynomial decay with power 0.9 from a peak of 0.01 over 80k steps.",
        "then.schedule=polynomial then.initial=0.01 then.power=0.9 steps=80000 schedule=warmup duration=1000 unit=step",
    ),
    (
        "Learning rate drops happen at 50% and 75% of the 300 training epochs, each time by 10x, beginning from 0.1.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[150,225] unit=epoch epochs=300",
    ),
    (
        "The learning rate is 0.1 until epoch 100, 0.01 until epoch 150 and 0.001 until the end at epoch 200.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[100,150] unit=epoch epochs=200",
    ),
    (
        "The initial learning rate is set as 0.01 and is decayed by 0.1 in epoch 40 and epoch 70. In total 80 epochs are run.",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[40,70] unit=epoch epochs=80",
    ),
    (
        "In contrast to Smith et al., who use a learning rate of 0.4 and weight decay 1e-3, our learning rate is 0.1 and no weight decay is applied.",
        "lr=0.1 decay=0",
    ),
    (
        "Both networks use weight decay 1e-4. The student is trained with lr 0.1 for 100 epochs; the teacher was trained with lr 0.05 for 300 epochs.",
        "decay=0.0001 lr=0.1 epochs=100",
    ),
    (
        "We select the learning rate from {0.3, 0.1, 0.03} on the validation set; 0.1 worked best. Weight decay is 2e-4.",
        "decay=0.0002",
    ),
    (
        "The loss weights are 1.0, 0.5 and 0.1, the margin is 0.2, the temperature 0.07. The learning rate is 0.03, SGD momentum 0.9.",
        "lr=0.03 momentum=0.9",
    ),
    ("Our batch size is 1024 split evenly across 8 GPUs.", "batch=1024"),
    ("Each of the 4 GPUs processes 16 samples. The base learning rate is 0.01.", "batch=64 lr=0.01"),
    (
        "Models are evaluated every 5 epochs and checkpoints saved every 10 epochs. lr=0.01, 50 epochs.",
        "lr=0.01 epochs=50",
    ),
    (
        "All images are resized to 256 and cropped to 224. We flip with probability 0.5. lr 0.1, wd 1e-4.",
        "lr=0.1 decay=0.0001",
    ),
    (
        "The total loss is L = L1 + 0.1 L2. SGD with learning rate 0.01 and L2 weight decay of 1e-5.",
        "lr=0.01 decay=1e-05",
    ),
    (
        "Initial LR: 0.1 (x0.1 @ 30, 60, 80 ep). BS: 256. WD: 1e-4. Mom: 0.9. Total: 90 ep.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[30,60,80] unit=epoch batch=256 decay=0.0001 momentum=0.9 epochs=90",
    ),
    (
        "hey all, i train resnet50 w/ sgd lr .1 mom .9 wd 1e-4 bs 256 for 90 ep, dropping lr 10x at 30/60/80. anything off?",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[30,60,80] unit=epoch momentum=0.9 decay=0.0001 batch=256 epochs=90",
    ),
    (
        "My loss goes NaN with lr=0.1, so I lowered it to 0.01 and now it trains fine. Momentum 0.9, 20 epochs.",
        "lr=0.01 momentum=0.9 epochs=20",
    ),
    ("Should I use momentum 0.9 or 0.99? Currently running SGD lr 0.05 with batch size 32.", "lr=0.05 batch=32"),
    (
        "tl;dr: 16 epochs, one-cycle, max lr 0.4, bs 512, wd 5e-4, nesterov 0.9",
        "epochs=16 schedule=onecycle peak=0.4 batch=512 decay=0.0005 nesterov=True momentum=0.9",
    ),
    (
        "loss = 2.31 at epoch 3, acc 0.45. lr 0.01. momentum = 0.9. Training for 10 more epochs doesn't help.",
        "lr=0.01 momentum=0.9",
    ),
    ("请问学习率0.1是不是太大了？我现在用0.01，momentum=0.9，weight decay没加。", "lr=0.01 momentum=0.9 decay=0"),
    (
        "The proposed model is trained end-to-end for 36k iterations. We set the initial learning rate to 2.5e-3 and lower it by a factor of 10 after 24k and 32k iterations. Each batch has 8 images.",
        "steps=36000 schedule=multistep initial=0.0025 factor=0.1 milestones=[24000,32000] unit=step batch=8",
    ),
    (
        "Optimization: stochastic gradient descent; momentum: 0.9; weight decay: 5 × 10−4; batch: 128; epochs: 350; learning rate: 0.1, reduced to 0.01 at epoch 150 and to 0.001 at epoch 250.",
        "momentum=0.9 decay=0.0005 batch=128 epochs=350 schedule=multistep initial=0.1 factor=0.1 milestones=[150,250] unit=epoch",
    ),
    (
        "SGD (lr = 0.1, momentum = 0.9) with a three-step schedule: x0.1 at epochs 90, 135 and 160; 180 epochs overall.",
        "momentum=0.9 schedule=multistep initial=0.1 factor=0.1 milestones=[90,135,160] unit=epoch epochs=180",
    ),
    (
        "The backbone is trained with a learning rate ten times smaller than the 0.01 used for the rest of the network.",
        "",
    ),
    ("We use lr = 0.1 × B/256 with B = 1024.", ""),
    ("Batch size 8 per GPU, 16 GPUs, base lr 0.16.", "batch=128 lr=0.16"),
    (
        "Our models converge within 30k updates at an lr of 0.02 (batch = 512 tokens... sorry, 512 sentences).",
        "lr=0.02 batch=512",
    ),
    (
        "We clip gradients whose norm is above 10 and use SGD with learning rate 0.5 and no momentum.",
        "clip=10 lr=0.5 momentum=0",
    ),
    (
        "learning rate: 1e-1 → 1e-4 (cosine), weight decay: 5e-4 → constant, batch: 128",
        "schedule=cosine initial=0.1 final=0.0001 decay=0.0005 batch=128",
    ),
    (
        "We use a base learning rate of 0.01, which is multiplied by (1 - iter/max_iter)^0.9 after each iteration; 40K iterations; crop 769; batch 12.",
        "schedule=polynomial initial=0.01 power=0.9 steps=40000 batch=12",
    ),
    (
        "Optimiser SGD+momentum(0.9), LR 1e-2 w/ ReduceLROnPlateau (factor 0.1, patience 5), max 100 epochs, early stop after 10.",
        "momentum=0.9 lr=0.01 plateau.factor=0.1 plateau.patience=5 epochs=100",
    ),
    (
        "Table 4: Training settings.\nOptimizer  SGD\nBase learning rate  0.1\nWeight decay  5e-4\nBatch size  128\nTraining epochs  200\nLR decay epochs  60, 120, 160\nLR decay ratio  0.2",
        "schedule=multistep initial=0.1 decay=0.0005 batch=128 epochs=200 milestones=[60,120,160] factor=0.2 unit=epoch",
    ),
    (
        "Hyper-parameter  Value\nEpochs           160\nBatch size       64\nOptimizer        SGD with momentum 0.9\nLearning rate    0.1 (divided by 10 at epochs 80 and 120)\nWeight decay     1e-4",
        "epochs=160 batch=64 momentum=0.9 schedule=multistep initial=0.1 factor=0.1 milestones=[80,120] unit=epoch decay=0.0001",
    ),
    (
        "learning rate 0.1\nmomentum 0.9\nweight decay 0.0001\nbatch 256\nepochs 90",
        "lr=0.1 momentum=0.9 decay=0.0001 batch=256 epochs=90",
    ),
    (
        "超参设置如下：\n（1）学习率：0.005\n（2）动量：0.9\n（3）权重衰减：0.0001\n（4）批量：4\n（5）训练轮数：24，其中第16、22轮学习率降低10倍",
        "schedule=multistep initial=0.005 factor=0.1 milestones=[16,22] unit=epoch momentum=0.9 decay=0.0001 batch=4 epochs=24",
    ),
    (
        "我们把 batch size 设为 32，用 0.9 的动量和 1e-4 的权重衰减，学习率从 0.1 开始，每 30 个 epoch 缩小 10 倍，总共跑 90 个 epoch。",
        "batch=32 momentum=0.9 decay=0.0001 schedule=exponential initial=0.1 rate=0.1 every=30 unit=epoch epochs=90",
    ),
    (
        "所有模型均训练 100 轮，优化器为动量 0.9 的 SGD，采用余弦学习率，峰值 0.1，预热 5 轮，批大小 256。",
        "epochs=100 momentum=0.9 then.schedule=cosine then.initial=0.1 batch=256 schedule=warmup duration=5 unit=epoch",
    ),
    (
        "为了公平比较，所有方法都用同样的设置：lr=0.05, bs=128, 200 epochs, wd=5e-4, 在 100、150 处乘 0.1。",
        "schedule=multistep initial=0.05 batch=128 epochs=200 decay=0.0005 milestones=[100,150] factor=0.1 unit=epoch",
    ),
    (
        "训练时输入图片统一缩放到640×640，mosaic概率1.0，学习率0.01，动量0.937，权重衰减0.0005，训练300轮。",
        "lr=0.01 momentum=0.937 decay=0.0005 epochs=300",
    ),
    ("准确率在第80轮达到92%，第120轮后基本不变。学习率0.1，batch 128，共训练200轮。", "lr=0.1 batch=128 epochs=200"),
    (
        "用SGD训了150轮，lr一开始是0.02，到100轮降10倍，130轮再降10倍。",
        "epochs=150 schedule=multistep initial=0.02 factor=0.1 milestones=[100,130] unit=epoch",
    ),
    (
        "梯度裁剪阈值为35，学习率0.02（8卡，每卡2张），12个epoch，第8、11个epoch学习率×0.1。",
        "clip=35 schedule=multistep initial=0.02 factor=0.1 milestones=[8,11] unit=epoch batch=16 epochs=12",
    ),
    (
        "FWIW I got 94.2 with: SGD nesterov 0.9, wd 5e-4, lr 0.1 cosine to 0, 200 epochs, batch 128, label smoothing 0.1",
        "nesterov=True momentum=0.9 decay=0.0005 schedule=cosine initial=0.1 final=0 epochs=200 batch=128 smoothing=0.1",
    ),
    ("Increasing the batch size from 64 to 256 hurt; we keep 64. lr 0.01.", "lr=0.01"),
    (
        "我们以128的小批量训练网络，动量设为0.9，权重衰减设为5×10−4。学习率从0.1开始，在第32k次和48k次迭代时除以10，并在64k次迭代时终止训练。",
        "batch=128 momentum=0.9 decay=0.0005 schedule=multistep initial=0.1 factor=0.1 milestones=[32000,48000] unit=step steps=64000",
    ),
    (
        "我们对模型进行了90个周期的训练，批量为256，学习速度为0.1，每30个周期减少10倍。",
        "epochs=90 batch=256 schedule=exponential initial=0.1 every=30 rate=0.1 unit=epoch",
    ),
    (
        "在训练期间，我们将mini-batch设置为每个GPU 8张图片，使用4个GPU；初始学习率2.5e-3，在第7和第10个epoch衰减十倍，共11个epoch。",
        "batch=32 schedule=multistep initial=0.0025 factor=0.1 milestones=[7,10] unit=epoch epochs=11",
    ),
    (
        "**优化**：SGD + momentum(0.9)，lr=0.01，每5个epoch×0.8，bs=16，epoch=60",
        "momentum=0.9 schedule=exponential initial=0.01 every=5 rate=0.8 unit=epoch batch=16 epochs=60",
    ),
    (
        "把数据集按8:1:1划分。训练100个epoch，每个batch 32张，用SGD，lr=1e-3，momentum=0.9，每20个epoch lr乘0.5。",
        "epochs=100 batch=32 schedule=exponential initial=0.001 every=20 rate=0.5 unit=epoch momentum=0.9",
    ),
    (
        "ResNet-50，输入224×224，batch=256，lr=0.1，cosine，weight decay=1e-4，120 epochs，top-1 = 76.8%。",
        "batch=256 schedule=cosine initial=0.1 decay=0.0001 epochs=120",
    ),
    (
        "初始学习率设置为0.0125，在训练的第27和33轮下降为0.00125和0.000125，共36轮，动量为0.9，权重衰减为0.0001。",
        "schedule=multistep initial=0.0125 factor=0.1 milestones=[27,33] unit=epoch epochs=36 momentum=0.9 decay=0.0001",
    ),
    (
        "训练设置\n* 优化器: SGD\n* 学习率: 0.1 -> 0 (余弦)\n* 动量: 0.9\n* 权重衰减: 5e-4\n* Epoch: 200\n* Batch: 128",
        "schedule=cosine initial=0.1 final=0 momentum=0.9 decay=0.0005 epochs=200 batch=128",
    ),
    (
        "本文batch size取12，迭代次数取40000，基准学习率取0.01，采用poly学习率策略，其power取0.9，动量取0.9，权重衰减取0.0005。",
        "batch=12 steps=40000 schedule=polynomial initial=0.01 power=0.9 momentum=0.9 decay=0.0005",
    ),
    ("对比实验中lr分别取0.1、0.01、0.001，结果表明0.01时最好。其余参数：动量0.9，批大小64。", "momentum=0.9 batch=64"),
    (
        "warmup 采用线性方式，前 5 个 epoch 从 1e-6 升至 1e-2，之后余弦退火至 1e-5，共 100 个 epoch。",
        "then.schedule=cosine then.initial=0.01 then.final=1e-05 epochs=100 schedule=warmup duration=5 unit=epoch start=1e-06",
    ),
    (
        "训练时间约12小时，共训练了150个epochs，其中前50个epochs学习率为0.001，后100个epochs学习率为0.0001。",
        "epochs=150 schedule=multistep initial=0.001 factor=0.1 milestones=[50] unit=epoch",
    ),
    (
        "SGD的momentum参数为0.9，weight_decay为1e-4，nesterov=True，初始lr=0.1，milestones=[60,120,160]，gamma=0.2",
        "momentum=0.9 decay=0.0001 nesterov=True schedule=multistep initial=0.1 milestones=[60,120,160] factor=0.2",
    ),
    ("模型训练使用随机梯度下降，学习率固定在1e-3，一共50代，每代2000步，批次16。", "lr=0.001 epochs=50 batch=16"),
    (
        "Both streams are trained with a learning rate of 10⁻², which falls to 10⁻³ after 50K iterations and to 10⁻⁴ after 70K iterations, and training is halted at 80K.",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[50000,70000] unit=step steps=80000",
    ),
    (
        "We train with plain SGD (no momentum), mini-batches of 10 and a fixed step of 0.01, for 5 local epochs per round and 500 rounds.",
        "momentum=0 batch=10 lr=0.01",
    ),
    (
        "we fix lr=0.01 for 20 epochs, then 0.001 for another 10",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[20] unit=epoch",
    ),
    (
        "1) lr: 0.1 2) mom: 0.9 3) wd: 1e-4 4) bs: 256 5) epochs: 100",
        "lr=0.1 momentum=0.9 decay=0.0001 batch=256 epochs=100",
    ),
    (
        "Unless otherwise noted: SGD (0.9 momentum), base lr 0.02 (for 16 images), 1x schedule (90k iters, decay ×0.1 at 60k/80k), wd 1e-4.",
        "momentum=0.9 schedule=multistep initial=0.02 factor=0.1 milestones=[60000,80000] steps=90000 decay=0.0001 unit=step",
    ),
    (
        "The network trained for 100 epochs (about 14 h). Learning rate: 0.01; halved after 10 epochs of stagnating validation loss.",
        "epochs=100 plateau.factor=0.5 plateau.patience=10 plateau.metric=loss lr=0.01",
    ),
    (
        "Trained on 2 GPUs w/ batch 20 (10 each), lr=.0001, mom .99 (!), wd 5e-4, 300k iters",
        "batch=20 lr=0.0001 momentum=0.99 decay=0.0005 steps=300000",
    ),
    (
        "lr_mult for bias is 2, and weight decay isn't applied to biases. lr=0.001; wd=0.0005; SGD",
        "lr=0.001 decay=0.0005",
    ),
    (
        "Learning rate 0.1 warmed up over 5 epochs from 0.01; milestones 30-60-80; 90 epochs",
        "then.schedule=multistep then.initial=0.1 then.milestones=[30,60,80] then.unit=epoch epochs=90 schedule=warmup duration=5 unit=epoch start=0.01",
    ),
    (
        "batch_size 64 — lr 0.01 — momentum 0.5 — 10 epochs (MNIST example defaults)",
        "batch=64 lr=0.01 momentum=0.5 epochs=10",
    ),
    (
        "Our detector is trained with lr 0.02 for 12 epochs. The ReID head is trained separately using Adam with lr 3.5e-4 for 120 epochs.",
        "lr=0.02 epochs=12",
    ),
    (
        "PGD attack: step size 2/255, 10 steps. The model is trained for 110 epochs with lr 0.1, decayed at 100 and 105.",
        "epochs=110 initial=0.1 schedule=multistep milestones=[100,105] unit=epoch",
    ),
    ("Weights are initialized from N(0, 0.01). Biases are 0. Learning rate 0.01.", "lr=0.01"),
    (
        "We follow the official split (8,144/8,041 images). lr = 0.003, cosine, 100 epochs, bs 16.",
        "schedule=cosine initial=0.003 epochs=100 batch=16",
    ),
    ("Accuracy improved by 2.1% when the batch size was doubled from 32 to 64. Learning rate 0.01.", "lr=0.01"),
    (
        "The dropout rate is decreased from 0.5 to 0.2 at epoch 30; the learning rate stays at 0.01 for all 60 epochs.",
        "lr=0.01 epochs=60",
    ),
    (
        "Momentum contrast uses a queue of 65536, a momentum of 0.999 and a temperature of 0.07. SGD momentum is 0.9, weight decay 1e-4, lr 0.03, batch 256, 200 epochs with x0.1 at 120 and 160.",
        "momentum=0.9 decay=0.0001 schedule=multistep initial=0.03 factor=0.1 milestones=[120,160] unit=epoch batch=256 epochs=200",
    ),
    (
        "Polyak averaging with coefficient 0.995 is applied to the target critic. lr = 3e-4 (Adam), batch 256.",
        "lr=0.0003 batch=256",
    ),
    (
        "Krizhevsky's network used momentum 0.9 and weight decay 0.0005; ours has no weight decay and momentum 0.95.",
        "momentum=0.95 decay=0",
    ),
    ("The baseline uses lr=0.1, ours uses lr=0.2. 100 epochs each, batch 128.", "lr=0.2 epochs=100 batch=128"),
    (
        "The step size of the sliding window is 16 and the window size 32. Learning rate 0.01, 30 epochs.",
        "lr=0.01 epochs=30",
    ),
    ("We evaluate after 1, 5, and 10 epochs. The optimizer is SGD with lr 0.1.", "lr=0.1"),
    ("We decay the exploration rate by 0.99 every episode and use lr 1e-3 with SGD.", "lr=0.001"),
    (
        "The mini-batch size is 128. Half of the images in a batch (64) are adversarial. Learning rate 0.1.",
        "batch=128 lr=0.1",
    ),
    ("One epoch equals 391 steps at batch 128. 200 epochs, lr 0.1.", "batch=128 epochs=200 lr=0.1"),
    (
        "The image encoder is frozen for the first 5 epochs. lr 0.01; total epochs 30; momentum 0.9.",
        "lr=0.01 epochs=30 momentum=0.9",
    ),
    (
        "Gradient accumulation over 4 steps with micro-batches of 16 gives an effective batch of 64; lr 0.02.",
        "batch=64 lr=0.02",
    ),
    (
        "The scale parameter is 64 and the margin 0.5. lr starts at 0.1 and is divided by 10 at 100K, 160K iterations; training finishes at 180K iterations; batch 512; momentum 0.9; wd 5e-4.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[100000,160000] unit=step steps=180000 batch=512 momentum=0.9 decay=0.0005",
    ),
    ("教师模型由EMA更新，动量0.999；学生用SGD训练，学习率0.03，动量0.9。", "lr=0.03 momentum=0.9"),
    ("损失函数中的λ取0.1，学习率取0.001，batch取8。", "lr=0.001 batch=8"),
    ("与原论文的batch size 256不同，受显存限制本文采用64，学习率相应降为0.025。", "batch=64 lr=0.025"),
    ("滑动窗口步长为16，窗口大小为64。学习率为0.01，训练50轮。", "lr=0.01 epochs=50"),
    ("当epoch为50时准确率最高。学习率为0.01，共训练100个epoch。", "lr=0.01 epochs=100"),
    ("将学习率从0.1改为0.01后，准确率提高了3.2%。动量为0.9。", "momentum=0.9"),
    (
        "正样本与负样本的比例为1:3，IoU阈值0.5，学习率0.001，前40k次后降为0.0001，共60k次，batch为32。",
        "schedule=multistep initial=0.001 factor=0.1 milestones=[40000] unit=step steps=60000 batch=32",
    ),
    (
        "图像裁剪为224×224，以0.5的概率水平翻转。初始学习率为0.1，每隔30轮降低10倍，共90轮，批大小256。",
        "schedule=exponential initial=0.1 every=30 rate=0.1 unit=epoch epochs=90 batch=256",
    ),
    ("初始温度设为1，每轮乘以0.95；学习率为0.05。", "lr=0.05"),
    ("如果验证损失在15轮内没有改善，就提前停止训练；最多训练200轮，学习率0.01。", "epochs=200 lr=0.01"),
]


@pytest.mark.parametrize(("text", "words"), ROWS)
def test_words_say_just_these_fields(text, words):
    """It states just these fields."""
    assert differences(text, meant(words)) == []
