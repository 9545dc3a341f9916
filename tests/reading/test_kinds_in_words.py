"""Words in other orders and forms: spelled, doubled and spaced numbers, tables, stalls, other subjects."""

import pytest

from reading.neighbours import differences, meant

ROWS = [
    (
        "優化器採用SGD，初始學習率為0.05，動量0.9，權重衰減1e-4，批次大小64，訓練80輪，第40與60輪學習率乘以0.1。",
        "schedule=multistep initial=0.05 factor=0.1 milestones=[40,60] unit=epoch momentum=0.9 decay=0.0001 batch=64 epochs=80",
    ),
    (
        "學習率預熱5個epoch後，以餘弦方式從0.1降到0，共訓練100個epoch。",
        "then.schedule=cosine then.initial=0.1 then.final=0 epochs=100 schedule=warmup duration=5 unit=epoch",
    ),
    (
        "總共訓練90個週期，每30個週期將學習率除以10，初始值0.1，批量256。",
        "epochs=90 schedule=exponential initial=0.1 every=30 rate=0.1 unit=epoch batch=256",
    ),
    (
        'bash -c "python train.py --lr 0.05 --momentum 0.9 --epochs 30 --batch-size 64"',
        "lr=0.05 momentum=0.9 epochs=30 batch=64",
    ),
    ("ssh node1 'cd /data && torchrun main.py --lr 0.4 --wd 5e-5 --epochs 100'", "lr=0.4 decay=5e-05 epochs=100"),
    ("tmux send-keys 'python run.py --learning_rate 0.02 --n_epochs 12 --bs 16' C-m", "lr=0.02 epochs=12 batch=16"),
    (
        "doc.add_paragraph('The network is trained with SGD, a learning rate of 0.01, momentum 0.9 and a batch size of 32 for 40 epochs.')",
        "lr=0.01 momentum=0.9 batch=32 epochs=40",
    ),
    (
        "SGD(lr=0.01, momentum=0.9, nesterov=False) was used in the baseline notebook.",
        "momentum=0.9 nesterov=False lr=0.01",
    ),
    ("momentum 0.9, nesterov: no, lr 0.1", "momentum=0.9 nesterov=False lr=0.1"),
    (
        "在30k、40k次迭代时按0.1的比例降低学习率，初始学习率0.01，训练在45k次迭代时截止。",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[30000,40000] unit=step steps=45000",
    ),
    (
        "学习率初始0.1，第60轮、第80轮分别做10倍的衰减，100轮结束。",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[60,80] unit=epoch epochs=100",
    ),
    (
        "每8个epoch后学习率以0.5的系数衰减，初始值为0.02，每个epoch结束后保存模型。",
        "schedule=exponential initial=0.02 every=8 rate=0.5 unit=epoch",
    ),
    (
        "batch=32 (images per step)\nsubdivisions=16 (split of it)\nlearning_rate=0.002 (start)\nburn_in=500 (warm-up)\nmax_batches=8000 (end)\npolicy=steps (kind)\nsteps=6000,7000 (when)\nscales=.1,.1 (how much)",
        "then.schedule=multistep then.initial=0.002 then.factor=0.1 then.milestones=[6000,7000] then.unit=step batch=32 steps=8000 schedule=warmup duration=500 unit=step",
    ),
    ("a) lr=0.1\nb) momentum=0.9\nc) epochs=20", "lr=0.1 momentum=0.9 epochs=20"),
    (
        "python main.py --lr 0.1 --lr-policy multistep --lr-gamma 0.2 --epochs 60",
        "schedule=multistep initial=0.1 factor=0.2 epochs=60",
    ),
    (
        "python main.py --lr 0.1 --lr_change_epochs 20,40 --lr_decay 5 --num_epochs 50",
        "schedule=multistep initial=0.1 factor=0.2 milestones=[20,40] unit=epoch epochs=50",
    ),
    (
        'export lr=0.05\nexport epoch_step="{30,60}"\nexport nesterov=true\nexport max_epoch=90\nth train.lua',
        "schedule=multistep initial=0.05 milestones=[30,60] unit=epoch nesterov=True epochs=90",
    ),
    (
        "We pre-train for 300 epochs with AdamW ($\\beta _ { 1 } = 0 . 9$ , $\\beta _ { 2 } = 0 . 9 9 9$ , weight decay $0 . 0 5$ ) and batch size $2 0 4 8$ .",
        "beta1=0.9 beta2=0.999 decay=0.05 batch=2048 epochs=300",
    ),
    (
        "SGD with batch size \\(64\\), learning rate \\(0.05\\), momentum \\(0.9\\) for \\(120\\) epochs",
        "batch=64 lr=0.05 momentum=0.9 epochs=120",
    ),
    (
        "trained for 40 epochs of SGD with batch 64; a final L-BFGS polish took at most 500 iterations",
        "epochs=40 batch=64",
    ),
    (
        "lr 0.01, dropped by 10 after 20 and 30 epochs on CIFAR and after 10 and 15 epochs on SVHN; momentum 0.9",
        "initial=0.01 momentum=0.9 schedule=multistep factor=0.1 milestones=[20,30] unit=epoch",
    ),
    (
        "The linear warm-up takes 2,000 steps starting from a learning rate of 1e-6; the peak of 0.02 then decays with a cosine. Batch size 512.",
        "then.schedule=cosine then.initial=0.02 batch=512 schedule=warmup duration=2000 unit=step start=1e-06",
    ),
    (
        "SGD without momentum or weight decay, nominal training/test batch sizes of 128, lr 0.1, 10 epochs",
        "batch=128 lr=0.1 epochs=10 momentum=0 decay=0",
    ),
    ("若模型欠拟合，可把学习率提高10倍；若发散，则降低10倍。", ""),
    ("If the loss explodes, lower the learning rate by a factor of 10.", ""),
    (
        "学习率多项式衰减系数为0.9，初始学习率0.01，迭代30000次",
        "schedule=polynomial power=0.9 initial=0.01 steps=30000",
    ),
    (
        "warmup_momentum = 0.8 and warmup_bias_lr = 0.1 are only used at the start; momentum = 0.937, lr = 0.01",
        "momentum=0.937 lr=0.01",
    ),
    ("训练epoch由50个增加到100个，batch从16改为32，学习率0.01", "epochs=100 batch=32 lr=0.01"),
    (
        "local opt = {learningRate = (0.01), weightDecay = 1e-4, momentum = 0.9} -- tuned",
        "lr=0.01 decay=0.0001 momentum=0.9",
    ),
    (
        "auto options = torch::optim::SGDOptions(0.1);\noptions.momentum(0.9);\noptions.weight_decay(5e-4);",
        "lr=0.1 momentum=0.9 decay=0.0005",
    ),
    (
        '{\n  "epochs_trained": 25,\n  "lr": 0.01,\n  "optimizer": "sgd",\n  "batch": 64\n}',
        "epochs=25 lr=0.01 batch=64",
    ),
    (
        "Training used SGD (momentum 0.9) with a batch size of four because of memory limits, and a learning rate of 0.005.",
        "momentum=0.9 batch=4 lr=0.005",
    ),
    (
        "The network is trained for ninety epochs with a batch of two hundred fifty-six images, learning rate 0.1.",
        "epochs=90 batch=256 lr=0.1",
    ),
    (
        "Due to the small batch size (two images per GPU, one GPU), we freeze BN. lr = 0.0025, momentum = 0.9.",
        "batch=2 lr=0.0025 momentum=0.9",
    ),
    (
        "We use batch size $1 2 8$ , learning rate $0 . 0 5$ , momentum $0 . 9$ and weight decay $5 e { - } 4$ for $2 0 0$ epochs.",
        "batch=128 lr=0.05 momentum=0.9 decay=0.0005 epochs=200",
    ),
    ("SGD with batch size 512^2, momentum 0.9 and lr 0.4.", "momentum=0.9 lr=0.4"),
    (
        "We set weight decay to $0 . 0 0 0 1$ and momentum to $0 . 9$ , with a mini-batch of $2 5 6$ .",
        "decay=0.0001 momentum=0.9 batch=256",
    ),
    (
        "The model is trained for $1 { , } 0 0 0$ epochs with SGD and learning rate $3 \\times 1 0 ^ { - 3 }$.",
        "epochs=1000 lr=0.003",
    ),
    ("除了第3章的实验，其余实验学习率均为0.01，批大小64。", "lr=0.01 batch=64"),
    ("除最后2层以外，全部使用学习率0.001，动量0.9", "lr=0.001 momentum=0.9"),
    (
        "Except for Sec. 4.3, all models use lr 0.02 and weight decay 1e-4 (see Table 7 and Fig. 3).",
        "lr=0.02 decay=0.0001",
    ),
    (
        "学习率前60k个mini-batch为0.001，之后20k个为0.0001，动量0.9。",
        "schedule=multistep initial=0.001 factor=0.1 milestones=[60000] unit=step momentum=0.9 steps=80000",
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
        "第1到100轮学习率为0.1，101到150轮为0.01，151到200轮为0.001。",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[100,150] unit=epoch",
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
        "学习率采用poly策略，基数为0.007，指数为0.9，迭代30k次",
        "schedule=polynomial initial=0.007 power=0.9 steps=30000",
    ),
    (
        "学习率使用step策略，起始为0.01，每10轮乘以0.5。",
        "schedule=exponential initial=0.01 rate=0.5 every=10 unit=epoch",
    ),
    (
        "- 学习率（learning rate）：0.01\n- 批量大小（batch size）：64\n- 动量（momentum）：0.9\n- 训练轮数（epochs）：50",
        "lr=0.01 batch=64 momentum=0.9 epochs=50",
    ),
    ("迭代次数（iterations）：20000，学习率（lr）：0.001，批处理大小（batch）：32", "steps=20000 lr=0.001 batch=32"),
    (
        "| Hyperparameter | Value |\n|---|---|\n| Optimizer | SGD |\n| Learning rate | 0.1 |\n| Momentum | 0.9 |\n| Weight decay | 1e-4 |\n| Batch size | 128 |\n| Epochs | 200 |\n| LR schedule | cosine |",
        "schedule=cosine initial=0.1 momentum=0.9 decay=0.0001 batch=128 epochs=200",
    ),
    ("Number of epochs (E): 40\nLocal learning rate (η): 0.01\nMini-batch size (B): 10", "epochs=40 lr=0.01 batch=10"),
    ("训练周期为60，动量取0.9", "epochs=60 momentum=0.9"),
    (
        "前50个epoch学习率10−210^{-2}，后25个epoch为10−310^{-3}。",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[50] unit=epoch epochs=75",
    ),
    (
        "momentum 0.9, decay 0.0005, learning rate 0.001, batch 64, subdivisions 16",
        "momentum=0.9 decay=0.0005 lr=0.001 batch=64",
    ),
    (
        "The base learning rate 0.1 is multiplied by 0.1, 0.01 and 0.001 at epochs 30, 60 and 80.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[30,60,80] unit=epoch",
    ),
    (
        "当验证集损失连续3个epoch没有下降时，学习率减半，初始学习率为0.01。",
        "plateau.factor=0.5 plateau.patience=3 plateau.metric=loss lr=0.01",
    ),
    ("如果10个epoch内验证损失没有改善，则停止训练。学习率为0.001。", "lr=0.001"),
    (
        "If validation accuracy hasn't gone up in 4 epochs we divide the learning rate, initially 0.02, by 5.",
        "plateau.factor=0.2 plateau.patience=4 plateau.metric=accuracy lr=0.02",
    ),
    (
        "每当验证loss在3个epoch内停滞不前，学习率缩小10倍。初始学习率1e-2。",
        "plateau.factor=0.1 plateau.patience=3 plateau.metric=loss lr=0.01",
    ),
    ("共训练约 30 万次迭代，batch size 为 64，学习率 1e-3。", "steps=300000 batch=64 lr=0.001"),
    (
        "学习率 η₀ = 0.1，在 1.5 万 和 3 万 次迭代时除以 10，总共 4.5 万次迭代",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[15000,30000] unit=step steps=45000",
    ),
    ("We train for 1.2 million steps with batch size 2,048 and lr 0.3.", "steps=1200000 batch=2048 lr=0.3"),
    ("使用全部 60,000 张训练图像，学习率0.1，动量0.9，训练20轮。", "lr=0.1 momentum=0.9 epochs=20"),
    (
        "We sampled a total of 1,281 videos; lr is 0.01, dropped by 10 after 20 epochs.",
        "initial=0.01 schedule=multistep factor=0.1 milestones=[20] unit=epoch",
    ),
    (
        "A total of 8 GPUs was used. The learning rate 0.08 is divided by ten every 3 epochs.",
        "schedule=exponential initial=0.08 rate=0.1 every=3 unit=epoch",
    ),
    ("with starting learning rate 0.1 per 256 images in the batch, SGD momentum 0.9", "lr=0.1 momentum=0.9"),
    ("We sweep over 3 learning rates and 2 weight decays and use momentum 0.9.", "momentum=0.9"),
    ("We tried 4 batch sizes and 3-5 learning rates per task. Momentum is 0.9.", "momentum=0.9"),
    ("grid of 10 learning rates between 1e-4 and 1e-1, SGD, 30 epochs", "epochs=30"),
    ("我们将学习率减小10倍至0.001，动量0.9，批大小32", "lr=0.001 momentum=0.9 batch=32"),
    (
        "BatchNorm keeps running statistics with momentum of 0.99, so they lag behind. We train with SGD, lr 0.1.",
        "lr=0.1",
    ),
    ("BN层的动量为0.1，优化器为SGD，动量为0.9，学习率0.01。", "momentum=0.9 lr=0.01"),
    ("Keras' default momentum of 0.99 for the moving mean is too slow; we set it to 0.9.", ""),
    (
        "实验采用Pytorch框架，优化器选用带动量的SGD，动量参数取0.9，初始学习速率取0.02，每经过20个训练周期学习率衰减至原来的50%，共训练100个周期，单次送入网络的图像为24幅。",
        "momentum=0.9 schedule=exponential initial=0.02 rate=0.5 every=20 unit=epoch epochs=100 batch=24",
    ),
    (
        "本文使用SGD对网络进行优化，学习率初值0.1，训练至第80轮和第120轮时各缩小为十分之一，训练160轮后停止。",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[80,120] unit=epoch epochs=160",
    ),
    (
        "学习率先在5个epoch内由0线性增长到0.4，随后按余弦曲线下降到0，总计90个epoch。",
        "then.schedule=cosine then.initial=0.4 then.final=0 epochs=90 schedule=warmup duration=5 unit=epoch start=0",
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
        "在ImageNet上，我们遵循[12]的设置：256的批大小，0.1的初始学习率，90个epoch，每30个epoch学习率乘以0.1。",
        "batch=256 schedule=exponential initial=0.1 epochs=90 every=30 rate=0.1 unit=epoch",
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
        "为加快收敛，采用动量项0.9的SGD。每个小批量包含2张图像，训练160k次迭代。学习率0.02，在第120k次迭代时下降10倍。",
        "momentum=0.9 batch=2 steps=160000 schedule=multistep initial=0.02 factor=0.1 milestones=[120000] unit=step",
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
        "With 64 examples per batch and a constant step size of 1e-3 we perform 25 passes over the training data using momentum SGD (μ = 0.9).",
        "batch=64 lr=0.001 epochs=25 momentum=0.9",
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
        "After every ten epochs, we shrink the learning rate to 80% of its value; it begins at 0.03. Training takes 60 epochs.",
        "schedule=exponential initial=0.03 every=10 rate=0.8 unit=epoch epochs=60",
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
        "Each run uses 5 seeds, 3 learning rates {0.1, 0.01, 0.001} and 100 epochs; momentum is fixed at 0.9.",
        "epochs=100 momentum=0.9",
    ),
    (
        "The loss weights are 1.0, 0.5 and 0.1, the margin is 0.2, the temperature 0.07. The learning rate is 0.03, SGD momentum 0.9.",
        "lr=0.03 momentum=0.9",
    ),
    ("Our batch size is 1024 split evenly across 8 GPUs.", "batch=1024"),
    (
        "we finetune ImageNet pre-trained models (trained for 90 epochs) for 20 epochs with lr 0.001 and momentum 0.9",
        "epochs=20 lr=0.001 momentum=0.9",
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
        "lr 0.1→0.01→0.001 at epochs 100/150, 200 epochs total, bs 128",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[100,150] unit=epoch epochs=200 batch=128",
    ),
    (
        "My loss goes NaN with lr=0.1, so I lowered it to 0.01 and now it trains fine. Momentum 0.9, 20 epochs.",
        "lr=0.01 momentum=0.9 epochs=20",
    ),
    ("Should I use momentum 0.9 or 0.99? Currently running SGD lr 0.05 with batch size 32.", "lr=0.05 batch=32"),
    (
        "Just set weight_decay=5e-4 and use SGD(momentum=0.9) with StepLR(step_size=20, gamma=0.5); lr 0.01 works for me.",
        "decay=0.0005 momentum=0.9 schedule=exponential every=20 rate=0.5 initial=0.01",
    ),
    ("请问学习率0.1是不是太大了？我现在用0.01，momentum=0.9，weight decay没加。", "lr=0.01 momentum=0.9 decay=0"),
    (
        "The proposed model is trained end-to-end for 36k iterations. We set the initial learning rate to 2.5e-3 and lower it by a factor of 10 after 24k and 32k iterations. Each batch has 8 images.",
        "steps=36000 schedule=multistep initial=0.0025 factor=0.1 milestones=[24000,32000] unit=step batch=8",
    ),
    (
        "We start with a learning rate of 10^{-2} and reduce it every 8 epochs to 70% of the current rate. We stop after 64 epochs.",
        "schedule=exponential initial=0.01 every=8 rate=0.7 unit=epoch epochs=64",
    ),
    (
        "The backbone is trained with a learning rate ten times smaller than the 0.01 used for the rest of the network.",
        "",
    ),
    ("We use lr = 0.1 × B/256 with B = 1024.", ""),
    (
        "Momentum of 0.9 and decay of 1e-4 were used, the mini-batch had 256 samples, and training ran for 60 epochs at a fixed rate of 0.01.",
        "momentum=0.9 decay=0.0001 batch=256 epochs=60 lr=0.01",
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
        "The learning rate was set to 0.01 for the first 3/4 of training and to 0.001 for the remaining quarter, 80 epochs altogether.",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[60] unit=epoch epochs=80",
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
        "训练策略：SGD，momentum 0.9，weight decay 5e-4，batch 64，初始lr 0.1，epoch 60/120/160 时 lr×0.2，共 200 epoch",
        "momentum=0.9 decay=0.0005 batch=64 schedule=multistep initial=0.1 milestones=[60,120,160] factor=0.2 unit=epoch epochs=200",
    ),
    (
        "我们把 batch size 设为 32，用 0.9 的动量和 1e-4 的权重衰减，学习率从 0.1 开始，每 30 个 epoch 缩小 10 倍，总共跑 90 个 epoch。",
        "batch=32 momentum=0.9 decay=0.0001 schedule=exponential initial=0.1 rate=0.1 every=30 unit=epoch epochs=90",
    ),
    (
        "所有模型均训练 100 轮，优化器为动量 0.9 的 SGD，采用余弦学习率，峰值 0.1，预热 5 轮，批大小 256。",
        "epochs=100 momentum=0.9 then.schedule=cosine then.initial=0.1 batch=256 schedule=warmup duration=5 unit=epoch",
    ),
    ("本实验中 batch_size 取 100，epoch 取 20，学习率取 0.01，不使用动量。", "batch=100 epochs=20 lr=0.01 momentum=0"),
    ("准确率在第80轮达到92%，第120轮后基本不变。学习率0.1，batch 128，共训练200轮。", "lr=0.1 batch=128 epochs=200"),
    (
        "用SGD训了150轮，lr一开始是0.02，到100轮降10倍，130轮再降10倍。",
        "epochs=150 schedule=multistep initial=0.02 factor=0.1 milestones=[100,130] unit=epoch",
    ),
    (
        "lr=1e-2, sgd, momentum=.9, wd=1e-3, bs=64. After ~30 epochs it plateaus at 70% and never improves. What should I change?",
        "lr=0.01 momentum=0.9 decay=0.001 batch=64",
    ),
    (
        "README: to reproduce, train 160 epochs (lr 0.1, x0.1 at 80 & 120), batch size 128, weight decay 1e-4, momentum 0.9",
        "epochs=160 schedule=multistep initial=0.1 factor=0.1 milestones=[80,120] unit=epoch batch=128 decay=0.0001 momentum=0.9",
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
        "实验环境为Ubuntu 18.04，CUDA 10.2，显存11GB。batch size为8，初始学习率为0.001，动量因子为0.9，权值衰减为0.0005，最大迭代次数为12000次，在8000次和10000次时学习率分别下降为原来的十分之一。",
        "batch=8 schedule=multistep initial=0.001 factor=0.1 milestones=[8000,10000] unit=step momentum=0.9 decay=0.0005 steps=12000",
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
        "设置学习率衰减策略为每隔10个epoch将学习率下降为原来的0.8倍，初始学习率为0.01",
        "schedule=exponential every=10 rate=0.8 unit=epoch initial=0.01",
    ),
    ("对比实验中lr分别取0.1、0.01、0.001，结果表明0.01时最好。其余参数：动量0.9，批大小64。", "momentum=0.9 batch=64"),
    (
        "warmup 采用线性方式，前 5 个 epoch 从 1e-6 升至 1e-2，之后余弦退火至 1e-5，共 100 个 epoch。",
        "then.schedule=cosine then.initial=0.01 then.final=1e-05 epochs=100 schedule=warmup duration=5 unit=epoch start=1e-06",
    ),
    (
        "Learning Rate Schedule：第0-60 epoch，lr=0.1；第60-120 epoch，lr=0.02；第120-160 epoch，lr=0.004；第160-200 epoch，lr=0.0008。",
        "schedule=multistep initial=0.1 factor=0.2 milestones=[60,120,160] unit=epoch",
    ),
    ("模型训练使用随机梯度下降，学习率固定在1e-3，一共50代，每代2000步，批次16。", "lr=0.001 epochs=50 batch=16"),
    (
        "Both streams are trained with a learning rate of 10⁻², which falls to 10⁻³ after 50K iterations and to 10⁻⁴ after 70K iterations, and training is halted at 80K.",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[50000,70000] unit=step steps=80000",
    ),
    (
        "The learning rate linearly ramps from 0.1 to 0.8 during the first five epochs and is then divided by 10 at epochs 30, 60 and 80.",
        "then.schedule=multistep then.initial=0.8 then.factor=0.1 then.milestones=[30,60,80] then.unit=epoch schedule=warmup duration=5 unit=epoch start=0.1",
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
        "We lower the learning rate when the error plateaus, terminating after the third drop. SGD+M, lr 0.05, batch 100.",
        "lr=0.05 batch=100",
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
        "My setup: RTX 3080, PyTorch 1.13, batch 48, 320px images, SGD lr 0.015, 0.9 momentum, 1e-4 wd, 75 epochs with milestones 45 and 65 (x0.1)",
        "batch=48 schedule=multistep initial=0.015 factor=0.1 milestones=[45,65] unit=epoch momentum=0.9 decay=0.0001 epochs=75",
    ),
    (
        "PGD attack: step size 2/255, 10 steps. The model is trained for 110 epochs with lr 0.1, decayed at 100 and 105.",
        "epochs=110 initial=0.1 schedule=multistep milestones=[100,105] unit=epoch",
    ),
    ("Weights are initialized from N(0, 0.01). Biases are 0. Learning rate 0.01.", "lr=0.01"),
    (
        "The number of proposals is 300, NMS threshold 0.7, RPN batch 256, lr 0.001 for 50k and 0.0001 for 20k iterations.",
        "schedule=multistep initial=0.001 factor=0.1 milestones=[50000] unit=step",
    ),
    (
        "The dropout rate is decreased from 0.5 to 0.2 at epoch 30; the learning rate stays at 0.01 for all 60 epochs.",
        "lr=0.01 epochs=60",
    ),
    (
        "Momentum contrast uses a queue of 65536, a momentum of 0.999 and a temperature of 0.07. SGD momentum is 0.9, weight decay 1e-4, lr 0.03, batch 256, 200 epochs with x0.1 at 120 and 160.",
        "momentum=0.9 decay=0.0001 schedule=multistep initial=0.03 factor=0.1 milestones=[120,160] unit=epoch batch=256 epochs=200",
    ),
    ("He et al. trained with lr 0.1 for 600k iterations. We use lr 0.05 and 90 epochs.", "lr=0.05 epochs=90"),
    ("The baseline uses lr=0.1, ours uses lr=0.2. 100 epochs each, batch 128.", "lr=0.2 epochs=100 batch=128"),
    (
        "The step size of the sliding window is 16 and the window size 32. Learning rate 0.01, 30 epochs.",
        "lr=0.01 epochs=30",
    ),
    ("Training took 36 hours for 300 epochs on 4 V100 GPUs with a batch size of 64 per GPU.", "epochs=300 batch=256"),
    (
        "The mini-batch size is 128. Half of the images in a batch (64) are adversarial. Learning rate 0.1.",
        "batch=128 lr=0.1",
    ),
    ("One epoch equals 391 steps at batch 128. 200 epochs, lr 0.1.", "batch=128 epochs=200 lr=0.1"),
    ("Test-time: 10 crops, batch size 100. Training: batch size 256, lr 0.1.", "batch=256 lr=0.1"),
    (
        "The scale parameter is 64 and the margin 0.5. lr starts at 0.1 and is divided by 10 at 100K, 160K iterations; training finishes at 180K iterations; batch 512; momentum 0.9; wd 5e-4.",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[100000,160000] unit=step steps=180000 batch=512 momentum=0.9 decay=0.0005",
    ),
    ("教师模型由EMA更新，动量0.999；学生用SGD训练，学习率0.03，动量0.9。", "lr=0.03 momentum=0.9"),
    ("文献[8]采用的学习率为0.1，本文采用0.01，批大小均为64。", "lr=0.01 batch=64"),
    ("滑动窗口步长为16，窗口大小为64。学习率为0.01，训练50轮。", "lr=0.01 epochs=50"),
    ("当epoch为50时准确率最高。学习率为0.01，共训练100个epoch。", "lr=0.01 epochs=100"),
    (
        "Dropout率为0.5，每层128个神经元，学习率0.01，动量0.9，epochs=30，batch=50。",
        "lr=0.01 momentum=0.9 epochs=30 batch=50",
    ),
    (
        "图像裁剪为224×224，以0.5的概率水平翻转。初始学习率为0.1，每隔30轮降低10倍，共90轮，批大小256。",
        "schedule=exponential initial=0.1 every=30 rate=0.1 unit=epoch epochs=90 batch=256",
    ),
    ("初始温度设为1，每轮乘以0.95；学习率为0.05。", "lr=0.05"),
]


@pytest.mark.parametrize(("text", "words"), ROWS)
def test_words_say_just_these_fields(text, words):
    """It states just these fields."""
    assert differences(text, meant(words)) == []
