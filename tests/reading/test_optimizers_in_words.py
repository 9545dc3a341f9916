"""Optimizers and Adam's betas in all writings; of two optimizers each has its own values, and others' trainings none."""

from __future__ import annotations

import pytest

from reading.rows import unlike

NAMED = [
    (
        "Adam with β1 = 0.9, β2 = 0.999 and lr 1e-3",
        {"optimizer": "adam", "adam.beta1": 0.9, "adam.beta2": 0.999, "sgd.lr": 0.001},
    ),
    (
        "Adam with betas (0.9, 0.999), eps 1e-8, lr 1e-3",
        {"adam.beta1": 0.9, "adam.beta2": 0.999, "adam.eps": 1e-08, "sgd.lr": 0.001},
    ),
    ("Adam, (β1, β2) = (0.5, 0.999), lr 2e-4", {"adam.beta1": 0.5, "adam.beta2": 0.999, "sgd.lr": 0.0002}),
    ("Adam with betas=(0.9, 0.98) and lr 1e-3", {"adam.beta1": 0.9, "adam.beta2": 0.98}),
    ("Adam with β_1 = 0.9 and β_2 = 0.98, ε = 1e-9", {"adam.beta1": 0.9, "adam.beta2": 0.98, "adam.eps": 1e-09}),
    ("Adam ($\\beta_{1}=0.9$, $\\beta_{2}=0.999$)", {"adam.beta1": 0.9, "adam.beta2": 0.999}),
    ("Adam with β1 and β2 set to 0.9 and 0.999", {"adam.beta1": 0.9, "adam.beta2": 0.999}),
    (
        "AdamW，β值设为(0.9, 0.95)，权重衰减0.1",
        {"optimizer": "adamw", "adam.beta1": 0.9, "adam.beta2": 0.95, "sgd.weight_decay": 0.1},
    ),
    ("使用Adam优化器，β1=0.9，β2=0.999，学习率0.001", {"adam.beta1": 0.9, "adam.beta2": 0.999, "sgd.lr": 0.001}),
    ("Adam with betas of 0.9 and 0.95", {"adam.beta1": 0.9, "adam.beta2": 0.95}),
    ("SGDM with lr 0.1", {"optimizer": "sgd", "sgd.lr": 0.1}),
    ("MomentumSGD, lr 0.1, momentum 0.9", {"optimizer": "sgd", "sgd.momentum": 0.9}),
    ("SGD-M (lr 0.1, momentum 0.9)", {"optimizer": "sgd", "sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("NAG with lr 0.1 and momentum 0.9", {"optimizer": "sgd", "sgd.momentum": 0.9, "sgd.nesterov": True}),
    ("mSGD with momentum 0.9", {"optimizer": "sgd", "sgd.momentum": 0.9}),
    ("带动量的SGD，动量为0.9，学习率0.1", {"optimizer": "sgd", "sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("随机梯度下降（SGD），动量0.9", {"optimizer": "sgd", "sgd.momentum": 0.9}),
    ("stochastic gradient descent (SGD) with heavy ball momentum 0.9", {"optimizer": "sgd", "sgd.momentum": 0.9}),
    ("Stochastic Gradient Descent with momentum (0.9)", {"sgd.momentum": 0.9}),
    ("SGD with Nesterov's momentum of 0.95", {"sgd.momentum": 0.95, "sgd.nesterov": True}),
    ("采用Nesterov动量0.9的SGD", {"sgd.momentum": 0.9, "sgd.nesterov": True}),
    (
        "We used the Adam optimizer [20] with β1 = 0.9, β2 = 0.98 and ϵ = 10−9.",
        {"adam.beta1": 0.9, "adam.beta2": 0.98, "adam.eps": 1e-09},
    ),
    (
        "we use minibatch SGD and apply the Adam solver, with a learning rate of 0.0002, and momentum parameters β1 = 0.5, β2 = 0.999",
        {"optimizer": "adam", "sgd.lr": 0.0002, "adam.beta1": 0.5},
    ),
    (
        "判别器和生成器均采用Adam优化器（β1=0，β2=0.9），学习率1e-4",
        {"optimizer": "adam", "adam.beta1": 0.0, "adam.beta2": 0.9},
    ),
]

TWO = [
    (
        "Adam with lr 1e-4 for the generator, SGD with lr 0.1 and momentum 0.9 for the discriminator",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "optimizer": "sgd"},
    ),
    (
        "The generator uses Adam (lr 2e-4, beta1 0.5) and the classifier SGD (lr 1e-2, momentum 0.9).",
        {"optimizer": "sgd", "sgd.lr": 0.01, "sgd.momentum": 0.9},
    ),
    (
        "Our baseline trained with a learning rate of 3e-4 using AdamW; for ablations we replaced it by SGD with "
        "learning rate 0.3 and momentum 0.95.",
        {"optimizer": "sgd", "sgd.lr": 0.3, "sgd.momentum": 0.95},
    ),
    (
        "预训练阶段用 Adam，学习率 1e-3，训练 20 轮；微调阶段改用 SGD，学习率 1e-2，动量 0.9，训练 50 轮。",
        {"optimizer": "sgd", "sgd.lr": 0.01, "sgd.momentum": 0.9, "train.epochs": 50},
    ),
    ("lr 0.1 for SGD with momentum 0.9; lr 0.001 with Adam", {"optimizer": "sgd", "sgd.lr": 0.1}),
    ("Learning rate is 0.001 for Adam and 0.1 for SGD, momentum 0.9.", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    (
        "The learning rate was 1e-4 (Adam) / 1e-2 (SGD) and weight decay 5e-4 for SGD.",
        {"sgd.lr": 0.01, "sgd.weight_decay": 0.0005},
    ),
    ("学习率：Adam 为 0.001，SGD 为 0.1，动量 0.9。", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    ("学习率为 0.01（SGD）或 0.001（Adam）", {"sgd.lr": 0.01}),
    ("learning rates of 0.1 for SGD, 0.001 for Adam, and 0.01 for RMSprop", {"sgd.lr": 0.1}),
    (
        "lr: 0.1 with SGD, 3e-4 with AdamW; wd: 5e-4 with SGD, 0.05 with AdamW",
        {"sgd.lr": 0.1, "sgd.weight_decay": 0.0005},
    ),
    (
        "SGD with lr 0.1 and momentum 0.9 for the weights. We use Adam for α with lr 3e-4 and weight decay 1e-3.",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": None, "optimizer": "sgd"},
    ),
    (
        "SGD with momentum 0.9, learning rate 0.1, instead of Adam with weight decay 0.01",
        {"sgd.lr": 0.1, "sgd.weight_decay": None},
    ),
    (
        "Instead of Adam we use SGD, learning rate 0.1, momentum 0.9",
        {"optimizer": "sgd", "sgd.lr": 0.1, "sgd.momentum": 0.9},
    ),
    ("SGD with lr 0.1 beats Adam (lr 0.001, weight decay 0.05)", {"sgd.lr": 0.1, "sgd.weight_decay": None}),
    (
        "生成器使用SGD，学习率0.1，判别器使用Adam，学习率1e-4，权重衰减1e-5",
        {"optimizer": "sgd", "sgd.lr": 0.1, "sgd.weight_decay": None},
    ),
    (
        "Unlike ResNet, which uses a weight decay of 1e-4, we use 5e-5. lr 0.1.",
        {"sgd.weight_decay": None, "sgd.lr": 0.1},
    ),
    ("the paper uses a batch size of 256 but I could only fit 64; lr 0.1", {"data.batch_size": 64, "sgd.lr": 0.1}),
    ("与ResNet不同，其权重衰减为1e-4，我们使用5e-5。学习率0.1。", {"sgd.weight_decay": None, "sgd.lr": 0.1}),
    (
        "He et al. used SGD with lr 0.1 and weight decay 1e-4. We use SGD with lr 0.05.",
        {"sgd.lr": 0.05, "sgd.weight_decay": None},
    ),
    (
        "MSCNN used an lr of 0.001 and momentum 0.95. A learning rate of 0.01 is used, batch size 100.",
        {"sgd.lr": 0.01, "sgd.momentum": None, "data.batch_size": 100},
    ),
    ("Following He et al. [7], we use lr 0.1 and momentum 0.9", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
    ("He et al. used SGD with lr 0.1", {"sgd.lr": 0.1}),
    ("原论文使用的学习率为0.1，动量0.9。我们的学习率为0.01。", {"sgd.lr": 0.01, "sgd.momentum": None}),
]


@pytest.mark.parametrize(("text", "expected"), NAMED, ids=[text for text, _ in NAMED])
def test_an_optimizer_and_its_settings_are_read(text, expected):
    """Whatever it is called, and however its numbers are written."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), TWO, ids=[text for text, _ in TWO])
def test_whose_value_it_is(text, expected):
    """A value that is told of another optimizer, or of somebody else's training, is left out."""
    assert unlike(text, expected) == []
