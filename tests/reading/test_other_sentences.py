"""Sentences of other numbers beside those of a training: wherever they stand, the training is read as without them."""

from __future__ import annotations

import pytest

from downslope import read

TRAININGS = {
    "en": (
        "We train with SGD, an initial learning rate of 0.1, momentum 0.9 and weight decay 5e-4. The learning rate is divided by "
        "10 at epochs 80 and 120. Training lasts 160 epochs with a batch size of 128.",
        "Our optimizer is SGD with momentum of 0.9. The learning rate is 0.05 with a cosine schedule. We train for 100 epochs.",
        "The model is trained by SGD with a learning rate of 0.01.",
    ),
    "zh": (
        "我们使用SGD训练，初始学习率为0.1，动量为0.9，权重衰减为5e-4。学习率在第80和120轮除以10。共训练160轮，批大小为128。",
        "模型使用SGD训练，学习率为0.01。",
    ),
}
ENGLISH = [
    "The dataset is split into 45k training and 5k validation images.",
    "We follow the protocol of He et al. and report the median over 5 runs.",
    "After 30 epochs, the baseline overfits while our method keeps improving.",
    "ResNet-50 has 25.6M parameters and needs 4.1 GFLOPs.",
    "Every 10 epochs we prune 20% of the remaining weights.",
    "The pruning rate is increased linearly from 0 to 0.9 over the first 40 epochs.",
    "We use a replay buffer of size 1000 and sample 64 examples per step from it.",
    "The temperature is annealed from 5 to 0.5 with a cosine schedule.",
    "The KL weight is warmed up over 10 epochs.",
    "The exploration rate decays from 1.0 to 0.05 over 100k steps.",
    "The discount factor is 0.99 and the target network is updated every 1000 steps.",
    "The target network is updated with momentum 0.99.",
    "We sample 8 frames from each video with a stride of 2.",
    "Images are normalised with mean 0.485 and standard deviation 0.229.",
    "We apply random erasing with probability 0.25 and color jitter of 0.4.",
    "Early stopping with a patience of 10 epochs is used.",
    "The GPU time is about 3 hours on one RTX 3090.",
    "Inference takes 12 ms per image at batch size 1.",
    "At test time we use a batch size of 100.",
    "Evaluation uses a batch size of 256 and 10 crops.",
    "The EMA decay is 0.999.",
    "We tried a learning rate of 0.5, but training diverged.",
    "A learning rate of 1.0 led to divergence in preliminary experiments.",
    "We also experimented with batch sizes of 32, 64 and 256.",
    "Larger weight decay (1e-3) hurts accuracy.",
    "Without momentum, accuracy drops by 0.8%.",
    "Removing weight decay reduces accuracy from 76.3% to 75.1%.",
    "In contrast, Zagoruyko et al. train for 200 epochs with a learning rate of 0.02.",
    "Loshchilov and Hutter use a cosine schedule with warm restarts every 10 epochs.",
    "The teacher is trained for 240 epochs with an initial learning rate of 0.05.",
    "The discriminator is updated 5 times for each generator update.",
    "The generator uses Adam with learning rate 2e-4 and β1 = 0.5.",
    "The memory bank holds 65536 negatives.",
    "The InfoNCE temperature is 0.07.",
    "The projection head has a hidden dimension of 2048.",
    "We set α = 0.5, β = 0.1 and γ = 2.",
    "The focal loss uses γ = 2 and α = 0.25.",
    "The loss weights are 1.0, 0.5 and 0.1.",
    "Dropout is linearly increased from 0 to 0.3.",
    "Dropout 0.2 is applied after each layer.",
    "Stochastic depth with a survival probability of 0.8 is used.",
    "The drop path rate is 0.1.",
    "Gradients are accumulated over 4 steps.",
    "The k-means clustering is repeated every 5 epochs with 100 clusters.",
    "Labels are refined after 20 epochs.",
    "The number of attention heads is 8 and the depth is 12.",
    "The learning curve flattens after 60 epochs.",
    "The training loss falls below 0.1 after 40 epochs.",
    "Accuracy drops by 10 points at epoch 80 when noise is added.",
    "Accuracy is divided by the number of classes.",
    "The error is reduced by a factor of 2 at 20 dB.",
    "The image resolution is increased from 128 to 224 at epoch 50.",
    "The feature dimension is reduced by a factor of 4.",
    "The channel number is halved at each stage.",
    "We use 10-fold cross validation.",
    "Each experiment is repeated 3 times with seeds 1, 2 and 3.",
    "The first 1000 iterations are excluded from the statistics.",
    "We crop patches of 64 pixels with a stride of 32.",
    "The NMS threshold is 0.5 and the score threshold 0.05.",
    "Anchors have scales 8, 16 and 32.",
    "IoU thresholds range from 0.5 to 0.95 in steps of 0.05.",
    "The word embeddings have 300 dimensions, and the LSTM has 512 units.",
    "Beam search uses a beam size of 5 and a length penalty of 0.6.",
    "The vocabulary has 32k entries.",
    "Sequences are truncated at 512 tokens.",
    "The optimizer state takes 8 bytes per parameter.",
    "Adam with a learning rate of 1e-3 gives similar results.",
    "Using AdamW (lr 3e-4, weight decay 0.05) instead does not help.",
    "The linear classifier is trained for 100 epochs with a learning rate of 30.",
    "For linear evaluation, we use SGD with lr 30 and batch size 4096.",
    "For fine-tuning on PASCAL VOC we use a learning rate of 0.001 for 20 epochs.",
    "The backbone is pre-trained on ImageNet for 300 epochs.",
    "Batch normalization momentum is 0.1 and epsilon is 1e-5.",
    "BN statistics are computed with a decay of 0.9997.",
    "The moving average decay of BN is 0.99.",
    "We freeze the backbone for the first 5 epochs.",
    "The attack uses PGD with 10 steps and a step size of 2/255.",
    "Adversarial examples are generated with 7 steps of size 2.",
    "The perturbation budget is ε = 8/255.",
    "The Lipschitz constant is clipped to 0.01.",
    "Weights are clipped to [-0.01, 0.01].",
    "We use an early-exit threshold of 0.9.",
    "The mask ratio is 0.75.",
    "The noise level σ decays exponentially with rate 0.95.",
    "The learning rate of the meta-learner is 0.4 with 5 inner steps.",
    "The search takes 50 epochs with a batch size of 64.",
    "There are 100 clients, of which 10 take part in each round.",
    "Each client trains for 5 local epochs.",
    "The quantizer uses 4 bits with a step size of 0.1.",
    "Layer-wise decay of 0.75 is applied to the features.",
    "Figure 3 shows the learning rate over 90 epochs.",
    "See Table 2 for results with batch sizes from 128 to 8192.",
    "The original paper reports 93.6% after 300 epochs.",
    "PyTorch 1.7 and CUDA 11.0 are used.",
    "We log every 50 iterations.",
    "The checkpoint with the best validation accuracy (epoch 143) is used.",
    "Performance saturates at a momentum of 0.95.",
    "Linear regression on the features gives R² = 0.8.",
    "The cosine similarity threshold is 0.7.",
    "The polynomial kernel has degree 3.",
    "The exponential moving average of the loss uses a rate of 0.98.",
]
CHINESE = [
    "数据集分为45000张训练图像和5000张验证图像。",
    "每个实验重复3次，取平均值。",
    "ResNet-50有25.6M参数。",
    "每10轮剪枝20%的权重。",
    "剪枝率在前40轮从0线性增加到0.9。",
    "温度参数从5余弦退火到0.5。",
    "探索率从1.0衰减到0.05。",
    "折扣因子为0.99，目标网络每1000步更新一次。",
    "采用早停策略，耐心值为10轮。",
    "推理时批大小为1，耗时12毫秒。",
    "测试时的批大小为100。",
    "EMA衰减率为0.999。",
    "我们尝试过学习率0.5，但训练发散。",
    "还比较了批大小32、64和256。",
    "去掉权重衰减后准确率从76.3%降到75.1%。",
    "He等人训练200轮，学习率为0.02。",
    "教师网络训练240轮，初始学习率0.05。",
    "判别器每更新5次，生成器更新一次。",
    "生成器使用Adam，学习率2e-4。",
    "focal loss的γ为2，α为0.25。",
    "损失权重分别为1.0、0.5和0.1。",
    "Dropout从0线性增加到0.3。",
    "训练损失在40轮后降到0.1以下。",
    "准确率在第80轮下降了10个百分点。",
    "特征维度缩小为原来的四分之一。",
    "采用十折交叉验证。",
    "NMS阈值为0.5。",
    "词向量为300维，LSTM有512个单元。",
    "束搜索的宽度为5。",
    "使用Adam（学习率1e-3）结果相近。",
    "线性分类器以学习率30训练100轮。",
    "骨干网络在ImageNet上预训练300轮。",
    "批归一化的动量为0.1。",
    "前5轮冻结骨干网络。",
    "PGD攻击迭代10步，步长为2/255。",
    "元学习器的学习率为0.4。",
    "每个客户端本地训练5轮。",
    "图3给出了90轮的学习率曲线。",
    "每50次迭代打印一次日志。",
    "最佳模型出现在第143轮。",
    "余弦相似度的阈值为0.7。",
    "多项式核的次数为3。",
    "K=5时效果最好。",
    "图像大小调整为256×256，再随机裁剪为224×224。",
    "学习率越大，收敛越快。",
    "当batch size增大4倍时，训练时间减少一半。",
    "原论文训练了300轮，准确率为93.6%。",
]
ITS_OWN = ("data.augment", "train.ema", "train.accumulate", "train.label_smoothing")
"""What some of these sentences may add to a recipe."""


def fields(text):
    """Return what is read, but for what other sentences may add."""
    found = read(text)[0].fields
    return {path: field.value for path, field in found.items() if not path.startswith(ITS_OWN)}


def test_the_trainings_are_read():
    """Nothing could change what was not read."""
    for longest, *_, shortest in TRAININGS.values():
        assert fields(longest) == {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [80, 120],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 5e-4,
            "sgd.decay": "coupled",
            "data.batch_size": 128,
            "train.epochs": 160,
        }
        assert fields(shortest) == {"sgd.lr": 0.01}


@pytest.mark.parametrize("sentence", [*ENGLISH, *CHINESE])
def test_they_change_nothing(sentence):
    """Before, among and after the sentences that tell of the training."""
    chinese = sentence.endswith("。")
    stop, gap = ("。", "") if chinese else (". ", " ")
    for training in TRAININGS["zh" if chinese else "en"]:
        wanted = fields(training)
        first, _, rest = training.partition(stop)
        texts = [sentence + gap + training, training + gap + sentence]
        if rest:
            texts.append(first + stop + sentence + gap + rest)
        for text in texts:
            assert fields(text) == wanted, text


def test_what_is_left_out_is_listed():
    """As whole phrases, with the parenthesis that closes behind the number."""
    text = "SGD, lr 0.1. The KL weight is warmed up over 10 epochs. Larger weight decay (1e-3) hurts accuracy."
    assert read(text)[0].unread == ["KL weight is warmed up over 10 epochs", "Larger weight decay (1e-3)"]
