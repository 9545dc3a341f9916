"""Chinese wordings: phrases put together of stems and endings, word orders, measures; and numbers that are none of it."""

import pytest

from downslope import read
from reading.neighbours import differences, meant

CHANGES = [
    ("学习率0.1，在60和80个epoch的时候学习率变为原来的十分之一", "schedule=multistep initial=0.1 factor=0.1 milestones=[60,80] unit=epoch"),
    ("训练100个epoch，在60和80个epoch时学习率除以10。另一种是训练230个epoch，在180和210个epoch时衰减", "schedule=multistep factor=0.1 milestones=[60,80] unit=epoch epochs=100"),
    ("学习率初始 0.001，40k 迭代后衰减至 0.0001", "schedule=multistep initial=0.001 milestones=[40000] unit=step"),
    ("lr=0.05，110 epoch 降到 0.005，共140 epochs", "schedule=multistep initial=0.05 milestones=[110] unit=epoch epochs=140"),
    ("训练 90 epoch，lr=0.1，在第30 epoch 降到 0.01", "schedule=multistep initial=0.1 milestones=[30] unit=epoch epochs=90"),
    ("- 32000：学习率从0.1降到0.01；\n- 48000：学习率从0.01降到0.001；\n- 64000：训练结束。", "schedule=multistep initial=0.1 milestones=[32000,48000] unit=step"),
    ("- 第30轮：学习率从0.1降到0.01\n- 第60轮：学习率从0.01降到0.001\n共90轮", "schedule=multistep initial=0.1 milestones=[30,60] unit=epoch epochs=90"),
    ("学习率初始为0.001，在5轮之后增加到0.01，在第55轮和第68轮时分别除以10", "schedule=warmup duration=5 unit=epoch start=0.001 then.schedule=multistep then.initial=0.01 then.factor=0.1 then.milestones=[55,68] then.unit=epoch"),
    ("在第一个周期中，使用0.002到0.04的学习率热启动策略，在第8个周期和第11个周期时减小10倍", "schedule=warmup duration=1 unit=epoch start=0.002 then.schedule=multistep then.initial=0.04 then.factor=0.1 then.milestones=[8,11] then.unit=epoch"),
    ("学习率为3e-4，先线性热身 2000 步再余弦衰减到峰值的 1%", "schedule=warmup duration=2000 unit=step then.schedule=cosine then.initial=0.0003"),
    ("学习率从0.1开始，当验证准确率不再随训练提高时，将学习率除以10", "lr=0.1 plateau.factor=0.1 plateau.metric=accuracy"),
    ("训练100轮，学习率从 0.1 指数降至 5e-5", "schedule=exponential initial=0.1 end=0.00005 epochs=100"),
    ("学习率初始为0.1，epoch为91和136时衰减0.1", "schedule=multistep initial=0.1 factor=0.1 milestones=[91,136] unit=epoch"),
    ("学习率初始为0.1，迭代到4万次时降到0.01，6万次时降到0.001", "schedule=multistep initial=0.1 factor=0.1 milestones=[40000,60000] unit=step"),
    ("起始学习率为0.2，第40、80轮时下调至之前的0.5倍", "schedule=multistep initial=0.2 factor=0.5 milestones=[40,80] unit=epoch"),
    ("初始学习率为0.05，当epoch=20和epoch=40时学习率衰减为先前的0.1", "schedule=multistep initial=0.05 factor=0.1 milestones=[20,40] unit=epoch"),
    ("初始学习率是0.02，在60k和80k次迭代时分别缩小10倍，训练总次数为90k", "schedule=multistep initial=0.02 factor=0.1 milestones=[60000,80000] unit=step steps=90000"),
    ("学习率以0.2的倍率在第30轮和第60轮下降，初值为0.1", "schedule=multistep initial=0.1 factor=0.2 milestones=[30,60] unit=epoch"),
    ("学习率衰减轮次设为[60, 80]，衰减率0.1，初始学习率0.05", "schedule=multistep initial=0.05 factor=0.1 milestones=[60,80] unit=epoch"),
    ("采用分段常数衰减，在30、60、90个epoch处乘0.1，初始0.1", "schedule=multistep initial=0.1 factor=0.1 milestones=[30,60,90] unit=epoch"),
    ("初始学习率为0.01，每10个epoch衰减为原先的0.5", "schedule=exponential initial=0.01 rate=0.5 every=10 unit=epoch"),
    ("初始学习率为0.4，每15轮降低到当前值的一半", "schedule=exponential initial=0.4 rate=0.5 every=15 unit=epoch"),
    ("学习率从0.001起，每5轮打对折", "schedule=exponential initial=0.001 rate=0.5 every=5 unit=epoch"),
    ("初始学习率0.1，每训练20个epoch就将学习率缩小为之前的1/5", "schedule=exponential initial=0.1 rate=0.2 every=20 unit=epoch"),
    ("初始学习率为0.01，每个周期衰减为上一周期的0.98", "schedule=exponential initial=0.01 rate=0.98 every=1 unit=epoch"),
    ("初始学习速率0.3，每2000次迭代调低为原来的0.9倍", "schedule=exponential initial=0.3 rate=0.9 every=2000 unit=step"),
    ("学习率初值为0.1，步长为25个epoch，衰减系数为0.2", "schedule=exponential initial=0.1 rate=0.2 every=25 unit=epoch"),
    ("当验证损失连续4轮没有下降时，学习率缩减为此前的0.3倍，初始学习率0.01", "lr=0.01 plateau.factor=0.3 plateau.patience=4 plateau.metric=loss"),
    ("初始学习率0.01，若验证集准确率连续6轮没有提升则学习率减少一半", "lr=0.01 plateau.factor=0.5 plateau.patience=6 plateau.metric=accuracy"),
    ("验证集损失5轮内无明显下降则学习率×0.5，初始学习率0.001", "lr=0.001 plateau.factor=0.5 plateau.patience=5 plateau.metric=loss"),
    ("学习率按 (1-iter/max_iter)^0.9 衰减，初始学习率为0.01", "schedule=polynomial initial=0.01 power=0.9"),
    ("起始学习率为0.1，多项式速率衰减为4，动量0.9", "schedule=polynomial initial=0.1 power=4 momentum=0.9"),
    ("初始学习率0.1，余弦式下降，训练60轮", "schedule=cosine initial=0.1 epochs=60"),
    ("学习率0.1，按余弦递减算法调整，共60轮", "schedule=cosine initial=0.1 epochs=60"),
    ("初始学习率为0.1，使用线性递减策略，共训练40轮", "schedule=linear initial=0.1 epochs=40"),
    ("初始学习率为 0.2，并在第 30和45 轮衰减为 0.2 倍", "schedule=multistep initial=0.2 factor=0.2 milestones=[30,45] unit=epoch"),
    ("初始学习率为 0.003，每个20k迭代除以5", "schedule=exponential initial=0.003 rate=0.2 every=20000 unit=step"),
    ("每12个epoch，学习率乘以0.1：初始学习率0.5 → 0.05 → 0.005", "schedule=exponential initial=0.5 rate=0.1 every=12 unit=epoch"),
    ("使用线性学习率调度，初始学习率0.1，共30轮", "schedule=linear initial=0.1 epochs=30"),
    ("初始学习率0.1，采用阶梯式下降策略，每8轮乘以0.7", "schedule=exponential initial=0.1 rate=0.7 every=8 unit=epoch"),
    ("在前4K次迭代中，学习率从0线性增长为0.005，然后在第400K和第450K次迭代时，学习率除以10，共500K次迭代", "schedule=warmup duration=4000 unit=step start=0 then.schedule=multistep then.initial=0.005 then.factor=0.1 then.milestones=[400000,450000] then.unit=step steps=500000"),
    ("总epoch数为50，学习率0.01在epoch达到20、40进行0.1倍的衰减", "schedule=multistep initial=0.01 factor=0.1 milestones=[20,40] unit=epoch epochs=50"),
    ("学习率为0.002，每150次迭代以0.99的速率指数衰减", "schedule=exponential initial=0.002 rate=0.99 every=150 unit=step"),
    ("初始学习率为0.045，使用指数衰减，底数为0.94，每两个epoch衰减一次", "schedule=exponential initial=0.045 rate=0.94 every=2 unit=epoch"),
    ("前300k次迭代的学习率为$\\lambda = 1e-4$，之后每100k次迭代，学习率缩小2倍", "schedule=exponential initial=0.0001 rate=0.5 every=100000 unit=step"),
    ("余弦学习率，共300个epoch，5个epoch用于warmup，基础学习率为0.01", "schedule=warmup duration=5 unit=epoch then.schedule=cosine then.initial=0.01 epochs=300"),
    ("基础学习率为0.1，前5轮用作预热，之后余弦衰减，共100轮", "schedule=warmup duration=5 unit=epoch then.schedule=cosine then.initial=0.1 epochs=100"),
    ("初始学习率为0.1，warmup_epoch设为0，余弦衰减，共100轮", "schedule=cosine initial=0.1 epochs=100"),
    ("lr=0.02，在120/200/240epoch时降低10倍学习率，并在280epoch时产出模型", "schedule=multistep initial=0.02 factor=0.1 milestones=[120,200,240] unit=epoch epochs=280"),
    ("学习率在10k步内从零线性预热至1e-3，然后线性衰减至零", "schedule=warmup duration=10000 unit=step start=0 then.schedule=linear then.initial=0.001 then.final=0"),
    ("学习率从0.1开始，每次错误率平缓时就除以10", "lr=0.1 plateau.factor=0.1 plateau.metric=accuracy"),
    ("初始学习率设置为0.005，然后在80k和100k迭代时较小10倍", "schedule=multistep initial=0.005 factor=0.1 milestones=[80000,100000] unit=step"),
    ("首先以0.01的学习率进行训练，在20个周期后的训练过程中，将其降低到0.001", "schedule=multistep initial=0.01 factor=0.1 milestones=[20] unit=epoch"),
    ("StepLR 调度器（decay=0.7/epoch），学习率1e-4，batch size=64", "schedule=exponential initial=0.0001 rate=0.7 every=1 unit=epoch batch=64"),
    ("学习率 1e-4，每 epoch 指数衰减 0.95，训练 40 epoch", "schedule=exponential initial=0.0001 rate=0.95 every=1 unit=epoch epochs=40"),
    ("训练 50 epoch：前 5 epoch 为 warm-up（学习率 1e-5 线性升到 5e-4）", "schedule=warmup duration=5 unit=epoch start=0.00001 then=0.0005 epochs=50"),
    ("batch size 64，训练 10 epochs，学习率从 0.05 余弦退火", "batch=64 epochs=10 schedule=cosine initial=0.05"),
    ("Adam 优化器，学习率 0.001，每 15 epoch 乘 0.98 衰减，训练至验证损失不再提升（最多 200 epochs）", "schedule=exponential initial=0.001 rate=0.98 every=15 unit=epoch epochs=200"),
    ("采用warmup，起始学习率为1e-5，最高学习率为1e-3，warmup 5轮后余弦衰减，共100轮", "schedule=warmup duration=5 unit=epoch start=0.00001 then.schedule=cosine then.initial=0.001 epochs=100"),
    ("学习率预热从1e-6开始，经过1000步达到峰值5e-4，随后线性下降到0，总步数为20000", "schedule=warmup duration=1000 unit=step start=0.000001 then.schedule=linear then.initial=0.0005 then.final=0 steps=20000"),
    ("初始学习律为0.1，迭带20000次，每5000次迭带衰减为原来的一半", "schedule=exponential initial=0.1 rate=0.5 every=5000 unit=step steps=20000"),
    ("实验采用SGD优化器，初始学习率设置为0.01，学习率衰减策略为StepLR，步长为10，gamma为0.1，共训练50轮", "schedule=exponential initial=0.01 rate=0.1 every=10 unit=epoch epochs=50"),
    ("初始学习率 1e-2，前 10% 步 warmup 后线性衰减到 0，batch size 4，共训练100轮", "schedule=warmup duration=10 unit=epoch then.schedule=linear then.initial=0.01 then.final=0 batch=4 epochs=100"),
    ("学习率 0.01，按 $0.999/\\text{epoch}$ 指数衰减", "schedule=exponential initial=0.01 rate=0.999 every=1 unit=epoch"),
    ("batch=1、Adam、学习率 $5{\\times}10^{-4}$ 在 150K/250K 衰减 0.1", "batch=1 schedule=multistep initial=0.0005 factor=0.1 milestones=[150000,250000]"),
    ("使用SGD训练，学习率初始值为0.01，动量为0.9，权重衰减为1e-4，当验证集上的mIoU连续10个epoch没有提升时，学习率乘以0.5", "lr=0.01 momentum=0.9 decay=0.0001 plateau.factor=0.5 plateau.patience=10 plateau.metric=accuracy"),
    ("学习率衰减因子设为0.1，衰减节点为[60, 90]，总轮数120，初始学习率0.1", "schedule=multistep initial=0.1 factor=0.1 milestones=[60,90] epochs=120"),
    ("lr_schedule为multistep，在[30,60,80]处衰减，衰减率0.1，lr为0.1，epoch 90，batch 256", "schedule=multistep initial=0.1 factor=0.1 milestones=[30,60,80] epochs=90 batch=256"),
    ("Adam（weight decay 1e-4）+ 余弦退火（学习率 $8\\times10^{-2}\\to2\\times10^{-4}$），训 1000 epoch", "decay=0.0001 schedule=cosine initial=0.08 final=0.0002 epochs=1000"),
    ("训练共10个epoch，学习率为0.0003，线性学习率调度器，热身比例为0.03", "epochs=10 schedule=warmup then.schedule=linear then.initial=0.0003"),
]  # fmt: skip

LEVELS = [
    ("前30k的迭代学习率为1e-3，剩下10k的迭代学习率为1e-4", "schedule=multistep initial=0.001 factor=0.1 milestones=[30000] unit=step steps=40000"),
    ("以0.005学习率训练120k个小批次，接着以0.0005的学习率训练60k个小批次", "schedule=multistep initial=0.005 factor=0.1 milestones=[120000] unit=step steps=180000"),
    ("使用0.02的学习率训练前50k个mini-batch，使用0.002的学习率训练后10k个mini-batch", "schedule=multistep initial=0.02 factor=0.1 milestones=[50000] unit=step steps=60000"),
    ("前80000次迭代使用1e-3的学习率，之后20000次迭代使用1e-4，再之后20000次迭代使用1e-5", "schedule=multistep initial=0.001 factor=0.1 milestones=[80000,100000] unit=step steps=120000"),
    ("先以10^-3学习率训练40k次迭代，接着分别以10^-4和10^-5继续训练10k次", "schedule=multistep initial=0.001 factor=0.1 milestones=[40000,50000] unit=step steps=60000"),
    ("学习率先以0.1训练60轮，再以0.01训练30轮", "schedule=multistep initial=0.1 factor=0.1 milestones=[60] unit=epoch epochs=90"),
    ("epoch<100时学习率为0.1，100≤epoch<150时为0.01", "schedule=multistep initial=0.1 factor=0.1 milestones=[100] unit=epoch epochs=150"),
    ("当epoch<40时学习率为0.2，40<=epoch<60时为0.02，epoch>=60时为0.002", "schedule=multistep initial=0.2 factor=0.1 milestones=[40,60] unit=epoch"),
    ("初始学习率为0.001，使用初始学习率训练400k次迭代，然后将学习率降为1e-4再训练80k次迭代，再将学习率降为1e-5再训练60k次迭代", "schedule=multistep initial=0.001 factor=0.1 milestones=[400000,480000] unit=step steps=540000"),
    ("学习率为0.001，训练30k次迭代，然后将学习率降为0.0001，再训练10k次迭代", "schedule=multistep initial=0.001 factor=0.1 milestones=[30000] unit=step steps=40000"),
    ("共训练24k次迭代，初始学习率为0.01，在第18k次迭代时，学习率降为0.001", "schedule=multistep initial=0.01 factor=0.1 milestones=[18000] unit=step steps=24000"),
    ("对于前60k个迭代，学习设置为1e-3，然后对于其余30k个迭代，学习设置为1e-4", "schedule=multistep initial=0.001 factor=0.1 milestones=[60000] unit=step steps=90000"),
    ("在前16K次迭代中，学习率被设置为0.001，随后以0.0001的学习率再进行4K次迭代", "schedule=multistep initial=0.001 factor=0.1 milestones=[16000] unit=step steps=20000"),
    ("以0.003的学习率进行24万次迭代训练，然后以0.0003的学习率进行8万次迭代", "schedule=multistep initial=0.003 factor=0.1 milestones=[240000] unit=step steps=320000"),
    ("第一阶段学习率为0.1，训练60轮；第二阶段学习率降为0.01，训练30轮", "schedule=multistep initial=0.1 factor=0.1 milestones=[60] unit=epoch epochs=90"),
    ("训练分两个阶段：第一阶段以0.01的学习率训练100个epoch，第二阶段以0.001的学习率训练50个epoch，动量0.9", "schedule=multistep initial=0.01 factor=0.1 milestones=[100] unit=epoch epochs=150 momentum=0.9"),
    ("总共训练200个epoch，学习率为0.01，最后50个epoch学习率降为0.001", "schedule=multistep initial=0.01 factor=0.1 milestones=[150] unit=epoch epochs=200"),
    ("学习率为0.1，训练120轮，最后20轮学习率降低10倍", "schedule=multistep initial=0.1 factor=0.1 milestones=[100] unit=epoch epochs=120"),
    ("初始学习率0.01，经过3万次迭代后降为0.001，再经过1万次迭代后降为0.0001", "schedule=multistep initial=0.01 factor=0.1 milestones=[30000,40000] unit=step"),
    ("Adam，batch 12；学习率 $10^{-4}$ 跑 800 epoch、降到 $10^{-5}$ 跑 200 epoch、再降 $10^{-6}$ 跑 100 epoch", "batch=12 schedule=multistep initial=0.0001 factor=0.1 milestones=[800,1000] unit=epoch epochs=1100"),
    ("先用0.003的学习率训练240k次迭代，然后用0.0003的学习率再训练80k次迭代", "schedule=multistep initial=0.003 factor=0.1 milestones=[240000] unit=step steps=320000"),
]  # fmt: skip

SETTINGS = [
    ("* SGD\n* 学习率 = 0.1\n* 权重衰退 = 1e-4\n* 轮数 = 250", "lr=0.1 decay=0.0001 epochs=250"),
    ("SGD，lr=0.01，640×640，300 epoch", "lr=0.01 epochs=300"),
    ("权重使用学习率1，偏置使用学习率2，而global learning rate 为0.001，动量为0.9", "lr=0.001 momentum=0.9"),
    ("训练轮数：两个模型各300轮", "epochs=300"),
    ("L2惩罚乘子设为5e-4，动量衰减系数为0.9，学习步长的大小为0.03", "decay=0.0005 momentum=0.9 lr=0.03"),
    ("权值的衰减参数取1e-4，动量项的值取0.95，学习率参数取0.2", "decay=0.0001 momentum=0.95 lr=0.2"),
    ("权重惩罚系数2e-4，学习速率值0.05", "decay=0.0002 lr=0.05"),
    ("正则化项系数为0.003，学习率的数值为0.1", "decay=0.003 lr=0.1"),
    ("l2范数惩罚项系数为0.001，学习率为0.1", "decay=0.001 lr=0.1"),
    ("mini-batch的样本数量为48，训练的最大轮次数为70，学习率0.1", "batch=48 epochs=70 lr=0.1"),
    ("全局批次规模512，最大迭代步数为9000，学习率0.1", "batch=512 steps=9000 lr=0.1"),
    ("批处理样本数为40，最大训练周期数为35，学习率0.1", "batch=40 epochs=35 lr=0.1"),
    ("参数如下：epochs 100，batch 16，lr0 0.01，momentum 0.937", "epochs=100 batch=16 lr=0.01 momentum=0.937"),
    ("lr2e-3，batch为24，共500k迭代", "lr=0.002 batch=24 steps=500000"),
    ("批量大小設為 4,096，學習率設為 0.4，動量為 0.9", "batch=4096 lr=0.4 momentum=0.9"),
    ("采用AdamW优化，动量参数为 0.9 与 0.98，学习率为 3e-4", "beta1=0.9 beta2=0.98 lr=0.0003"),
    ("学习率0.1，梯度累积8步，批大小4", "lr=0.1 accumulate=8 batch=4"),
    ("we accumulate gradients over 4 iterations, lr 0.1, batch size 16", "lr=0.1 accumulate=4 batch=16"),
    ("使用[SGD](https://a.cn/2020/02/20/sgd/)，[momentum](http://a.cn/03/05/x/)=0.9，初始学习率为0.1，batch size=64", "momentum=0.9 lr=0.1 batch=64"),
    ("采用[L2](http://a.cn/2020/02/正则化/#311l2)正则化，其系数设置为5e-4，学习率0.01", "decay=0.0005 lr=0.01"),
    ("参考 https://a.cn/p/51870052 ，学习率0.1，训练40轮", "lr=0.1 epochs=40"),
    ("衰减率为0.0005，动量为0.9，学习率为0.001", "decay=0.0005 momentum=0.9 lr=0.001"),
    ("权重衰减0.0005，0.9的势头，学习率0.01", "decay=0.0005 momentum=0.9 lr=0.01"),
    ("只训练一轮，学习率为0.01", "lr=0.01 epochs=1"),
    ("训练步长为500,500，初始学习率为0.01", "steps=500500 lr=0.01"),
    ("迭代次数(Epoch)设置为300，初始学习率为0.01", "epochs=300 lr=0.01"),
    ("我设置的epoch=500, lr=0.0005，训练了17个epoch了", "epochs=500 lr=0.0005"),
    ("batch size 32训练120,000迭代步，学习率0.001", "batch=32 steps=120000 lr=0.001"),
    ("batch size为128（8块GPU，1块GPU为16的batch size），学习率0.01", "batch=128 lr=0.01"),
    ("每块GPU的每个mini-batch内有2张图像，使用8块GPU，学习率为0.02", "batch=16 lr=0.02"),
    ("使用Nesterov momentum=0.9（没有衰减），学习率0.1", "nesterov=True momentum=0.9 lr=0.1"),
    ("训练了1M steps（约14个epoch），batch size=4096，学习率为0.1", "steps=1000000 epochs=14 batch=4096 lr=0.1"),
    ("训练 500K 迭代、总 batch size 4，学习率 5e-5", "steps=500000 batch=4 lr=0.00005"),
    ("训练约 7K 迭代，batch size 128，学习率 2e-4", "steps=7000 batch=128 lr=0.0002"),
    ("初始学习率 2e-4，500k 迭代，batch size 1，EMA 衰减 0.999", "lr=0.0002 steps=500000 batch=1"),
    ("学习绿0.01，动量0.9，批大小32", "lr=0.01 momentum=0.9 batch=32"),
    ("|超参数|取值|\n|:--|:--|\n|learning rate（学习率）|1e-2|\n|momentum（动量）|0.9|\n|学习率策略|余弦退火|\n|warmup轮数|3|", "momentum=0.9 schedule=warmup duration=3 unit=epoch then.schedule=cosine then.initial=0.01"),
    ("微调 50 个 epoch（而非以往的 300 epoch），学习率 2e-4", "lr=0.0002 epochs=50"),
    ("```bash\nlr: 0.01       # 学习率\nmomentum: 0.9  # 动量\nbatch_size: 32 # 批次大小\n```", "lr=0.01 momentum=0.9 batch=32"),
    ("实验使用的批大小为128（每张卡32，4张卡），学习率为0.1×(128/256)=0.05", "batch=128 lr=0.05"),
    ("受限于显存，batch size设为4，并使用梯度累积8步，等效batch size为32，学习率2e-4", "lr=0.0002 accumulate=8 batch=32"),
    ("```python\n'batch size':36  # batch大小\n'epoch':100  # 训练轮数\n'lr': 0.0001  # 学习率\n```", "batch=36 epochs=100 lr=0.0001"),
]  # fmt: skip

NONE = [
    ("学习率的设置见图3，动量的设置见表2-1，批大小为16", "batch=16"),
    ("在4个GPU上使用512的小批量（算法 1 中的N），学习率0.1", "batch=512 lr=0.1"),
    ("学习率为0.1，损失在线性假设下平均下降", "lr=0.1"),
    ("优化多项式逻辑回归目标，学习率为0.01", "lr=0.01"),
    ("采用多项式核函数的SVM与本文方法对比，学习率0.1", "lr=0.1"),
    ("池化步长为2，卷积步长为1，学习率为0.01", "lr=0.01"),
    ("学习率为0.01，最后一层是线性层，输出10类", "lr=0.01"),
    ("学习率为0.01，RoI批大小为每张图像256个", "lr=0.01"),
    ("学习率为0.01，目标函数乘以0.5", "lr=0.01"),
    ("学习率为0.01。预热阶段冻结主干网络", "lr=0.01"),
    ("学习率0.05，训练集为12，500张图像，测试集为4，300张", "lr=0.05"),
    ("学习率为0.1，动量系数为0.9，详见[3.batch_size 的选择](#3)", "lr=0.1 momentum=0.9"),
    ("学习率为0.1，验证间隔一般设置为一个epoch对应的步数", "lr=0.1"),
    ("学习率为0.01，其中N是类别数，1代表背景", "lr=0.01"),
    ("学习率为0.01，采用4步训练法", "lr=0.01"),
    ("学习率为0.01，每个网络都跑了10次", "lr=0.01"),
    ("学习率通常很小（1e-5 到 1e-3），批大小为16", "batch=16"),
    ("训练轮数：通常较小（1-5），批大小为16", "batch=16"),
    ("初始学习率设置为1.0，将卷积层的通道数减半", "lr=1.0"),
    ("β1为一阶矩估计的指数衰减率（如 0.9），学习率为0.001", "lr=0.001"),
    ("1、Warm up 、Focal loss等都试了一遍，未见起色；2、初始学习率设为0.001", "lr=0.001"),
    ("优化器为SGD，momentum=0.9，学习率：1轮0.01；2轮0.03", "momentum=0.9"),
    ("学习率为0.01，随机缩放0.125到1.5（步长0.125），训练图像裁剪为512", "lr=0.01"),
    ("学习率为0.01，一个epoch包含超过250次迭代", "lr=0.01"),
    ("学习率为0.001，20个epoch训练还没有收敛", "lr=0.001"),
    ("使用60k小批量和0.001的学习率", "steps=60000 lr=0.001"),
    ("学习率 0.0004，负载均衡系数 $\\lambda=0.001$", "lr=0.0004"),
    ("学习率0.0001，$\\lambda_5=0.01$，batch size 16", "lr=0.0001 batch=16"),
    ("文本截断至20个token，基于余弦相似度匹配，学习率1e-5", "lr=0.00001"),
    ("优先回放指数 α=0.6，学习率 1e-4", "lr=0.0001"),
    ("AdamW 优化器，学习率 0.001，充分性阈值 ρ=0.65", "lr=0.001"),
    ("按余弦差异算异常图，学习率1e-4，batch size 8", "lr=0.0001 batch=8"),
    ("把运行时间从 6.12s 压到 3.00s，学习率0.001，200 epoch", "lr=0.001 epochs=200"),
    ("学习率 1e-2，早停策略（验证精度3轮改善<0.3%则停止）", "lr=0.01"),
    ("学习率网格搜索 5e-4 到 5e-5，batch size 8", "batch=8"),
    ("权重衰减为0.0001，我们还使用指数移动平均（EMA），其衰减率为0.9999，学习率为0.1", "decay=0.0001 lr=0.1 ema=0.9999"),
    ("学习率 4e-5，扩散用余弦噪声表 500 步，推理用 25 步 DDIM", "lr=0.00004"),
    ("每个 batch 跑 5 轮交互，初始学习率 0.0003", "lr=0.0003"),
    ("实验用 SGD 和多个 learning rate（$10^{-6}$ 到 $3\\times 10^{-5}$）", ""),
    ("权重衰减使其从零单调递增到正常数，SGD 收敛", ""),
    ("学习率 1e-3，固定 $B=2$ 个偏置，batch size 1024", "lr=0.001 batch=1024"),
    ("学习率 1e-3，$(\\alpha,\\beta)=(0.5, 0.1)$，AdamW", "lr=0.001"),
    ("AdamW优化器，学习率 1e-3，逐层衰减 $\\text{layer\\_decay}=0.75$，训练200个epoch", "lr=0.001 epochs=200"),
    ("AdamW优化器，扰动参数 $\\epsilon = 0.5$，学习率1e-3", "lr=0.001"),
    ("SGD 满足 $\\Delta = 2\\eta t^2/B$", ""),
    ("先剔除需外部知识的 OK-VQA、再用 Qwen2.5-VL 清噪，学习率 1e-6", "lr=0.000001"),
    ("用 6 个不同的 $\\lambda$ 训练模型，学习率 1e-4", "lr=0.0001"),
    ("初始学习率lr0=0.01，最终学习率系数lrf=0.1，余弦退火，训练300轮", "schedule=cosine initial=0.01 epochs=300"),
    ("学习率为0.1，最后20轮学习率降低10倍", "schedule=multistep initial=0.1 factor=0.1"),
    ("多阶段扩容：一旦截断率超过 10% 就放大预算，梯度正常，学习率 6e-5", "lr=0.00006"),
    ("结构为 Linear(4096→4096)+ReLU、Linear(4096→1)，学习率 1e-5，训练 50 个 epoch", "lr=0.00001 epochs=50"),
    ("学习率 1e-4，噪声调度用 cosine，batch 20，500k 迭代、Adam", "lr=0.0001 batch=20 steps=500000"),
    ("batch size 24，初始学习率 1e-4，单张 RTX 3090 训练，$\\beta_1=0.5,\\beta_2=1$，Adam", "batch=24 lr=0.0001 beta1=0.5"),
    ("深度缩放中学习率 $\\eta \\propto 1/d$，batch 32", "batch=32"),
    ("$\\lambda=0.01$ 为对比正则系数，优化器 AdamW（weight decay 0.02，初始学习率 1e-4）", "decay=0.02 lr=0.0001"),
    ("扩散配置：线性噪声调度 $N=1000$ 步；训练配置：batch size 64，学习率 1e-4", "batch=64 lr=0.0001"),
]  # fmt: skip


def test_a_batch_of_all_devices_beside_that_of_one():
    """The product for eight devices is the whole batch; the share of one is no base of linear scaling."""
    assert read("单卡batchsize：128\n8卡batchsize：64*8")[0].fields["data.batch_size"].value == 512
    text = "线性缩放，初始学习率为0.01，batch size为128（8块GPU，1块GPU为16的batch size）"
    fields = read(text)[0].fields
    assert (fields["data.batch_size"].value, fields["sgd.lr"].value) == (128, 0.01)


@pytest.mark.parametrize(("text", "words"), CHANGES, ids=[text for text, _ in CHANGES])
def test_changes_of_the_rate(text, words):
    """降至, 衰减为之前的, 缩小为上一周期的, 打对折: to a value, to a part of what it was, by name."""
    assert differences(text, meant(words)) == []


@pytest.mark.parametrize(("text", "words"), LEVELS, ids=[text for text, _ in LEVELS])
def test_levels_of_the_rate(text, words):
    """A rate and how long it holds, in the order of Chinese or between signs."""
    assert differences(text, meant(words)) == []


@pytest.mark.parametrize(("text", "words"), SETTINGS, ids=[text for text, _ in SETTINGS])
def test_names_of_settings(text, words):
    """A name with any of its endings is the setting."""
    assert differences(text, meant(words)) == []


@pytest.mark.parametrize(("text", "words"), NONE, ids=[text for text, _ in NONE])
def test_what_is_none_of_the_settings(text, words):
    """The same stems name other things, too."""
    assert differences(text, meant(words)) == []
