"""Chinese wordings: phrases put together of stems and endings, word orders, measures; and numbers that are none of it."""

import pytest

from reading.neighbours import differences, meant

CHANGES = [
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
]  # fmt: skip

SETTINGS = [
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
]  # fmt: skip


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
