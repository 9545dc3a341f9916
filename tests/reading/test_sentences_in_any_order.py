"""Paragraphs of sentences such as papers have, in any order, beside sentences of other numbers: all is read, and no more."""

from __future__ import annotations

import random

import pytest

from downslope import read
from draws import draws
from reading.rows import same

SETTINGS = {
    "en": (
        "We use SGD with {n}momentum of {m} and weight decay of {w}.",
        "All models are optimized by stochastic gradient descent with {n}momentum {m} and a weight decay of {w}.",
        "The {n}momentum is set to {m} and the weight decay to {w}.",
        "SGD with {n}momentum ({m}) and weight decay ({w}) is used as the optimizer.",
        "We adopt mini-batch SGD, where {n}momentum and weight decay are set to {m} and {w}, respectively.",
        "Network parameters are updated using the SGD optimizer ({n}momentum={m}, weight_decay={w}).",
        "Our optimizer is SGD; {n}momentum = {m}; weight decay = {w}.",
        "For optimization, SGD is employed with a {n}momentum factor of {m} and an L2 weight decay of {w}.",
        "A {n}momentum term of {m} and weight decay λ = {w} were used throughout.",
        "Weights are decayed by {w} and {n}momentum is {m}.",
    ),
    "zh": (
        "我们使用带{n}动量的SGD，动量为{m}，权重衰减为{w}。",
        "优化器采用随机梯度下降法，{n}动量系数{m}，权重衰减系数{w}。",
        "模型采用SGD优化器进行训练，其中{n}动量（momentum）设为{m}，权重衰减（weight decay）设为{w}。",
        "采用{n}动量{m}、权值衰减{w}的SGD作为优化器。",
        "{n}动量和权重衰减分别设置为{m}和{w}。",
        "网络参数用SGD更新（{n} momentum={m}，weight_decay={w}）。",
    ),
}
LENGTHS = {
    "en": (
        "We train for {e} epochs with a batch size of {b}.",
        "Training lasts {e} epochs, with mini-batches of {b} samples.",
        "The batch size is {b} and the model is trained for {e} epochs in total.",
        "Each network was trained for a total of {e} epochs using mini-batches of size {b}.",
        "The mini-batch size and the number of epochs are {b} and {e}, respectively.",
        "We set the batch size to {b} and the maximum number of epochs to {e}.",
        "The total number of training epochs is {e}. Each mini-batch has {b} images.",
    ),
    "zh": (
        "批大小为{b}，共训练{e}个epoch。",
        "训练{e}轮，batch size设为{b}。",
        "每个批次包含{b}张图像，总共训练{e}个周期。",
        "批处理大小和训练轮数分别为{b}和{e}。",
        "模型以{b}的批大小训练了{e}个epochs。",
    ),
}
BEGINNINGS = {
    "en": (
        "The initial learning rate is {l}",
        "We start with a learning rate of {l}",
        "The learning rate starts at {l}",
        "The learning rate, {l} at the start, is the same for all layers",
        "The base learning rate is set to {l}",
    ),
    "zh": ("初始学习率为{l}", "学习率初始值设为{l}", "学习率从{l}开始", "基础学习率设置为{l}", "初始学习率取{l}"),
}
COURSES = {
    "en": (
        (
            "{i}. It is divided by 5 at epochs 30 and 45.",
            {"schedule": "multistep", "factor": 0.2, "milestones": [30, 45]},
        ),
        ("{i} and is halved after 30 and 45 epochs.", {"schedule": "multistep", "factor": 0.5, "milestones": [30, 45]}),
        ("{i}. Every 10 epochs, it drops by half.", {"schedule": "exponential", "rate": 0.5, "every": 10}),
        (
            "{i}, and we decay it by a factor of 10 every 20 epochs.",
            {"schedule": "exponential", "rate": 0.1, "every": 20},
        ),
        ("{i} and follows a cosine schedule.", {"schedule": "cosine"}),
        ("{i} and is decayed by the poly policy with power 0.9.", {"schedule": "polynomial", "power": 0.9}),
        (r"{i}, multiplied by $(1-\frac{{iter}}{{max\_iter}})^{{0.9}}$.", {"schedule": "polynomial", "power": 0.9}),
        ("{i} and is linearly decayed to zero.", {"schedule": "linear"}),
        ("{i}. We divide it by 10 when the validation accuracy plateaus for 5 epochs.", {"factor": 0.1, "patience": 5}),
        ("{i}, and ReduceLROnPlateau is used with factor 0.1 and patience 5.", {"factor": 0.1, "patience": 5}),
        ("{i} and is kept constant.", {}),
    ),
    "zh": (
        ("{i}，在第30和第45个epoch时除以5。", {"schedule": "multistep", "factor": 0.2, "milestones": [30, 45]}),
        ("{i}，每10个epoch减半。", {"schedule": "exponential", "rate": 0.5, "every": 10}),
        ("{i}，采用余弦退火策略。", {"schedule": "cosine"}),
        ("{i}，采用幂为0.9的poly学习率衰减策略。", {"schedule": "polynomial", "power": 0.9}),
        ("{i}，线性衰减到0。", {"schedule": "linear"}),
        ("{i}，当验证集损失连续5个epoch不下降时，学习率乘以0.1。", {"factor": 0.1, "patience": 5}),
        ("{i}，训练过程中保持不变。", {}),
    ),
}
WARMUPS = {
    "en": (
        "We use a linear warmup for the first 3 epochs.",
        "The first 3 epochs are used for warmup.",
        "A warm-up phase of 3 epochs is applied, in which the learning rate increases linearly from 0.",
        "We warm up the learning rate over 3 epochs.",
    ),
    "zh": ("前3个epoch使用线性预热。", "训练的前3轮进行学习率warmup。", "采用warmup策略，在前3轮学习率从0线性增加。"),
}
OTHERS = {
    "en": (
        "The images are resized to 224×224 and randomly flipped horizontally.",
        "Dropout with rate 0.5 is applied before the classifier.",
        "Experiments run on 4 NVIDIA V100 GPUs.",
        "We report the mean over 3 runs.",
        "The dataset contains 50,000 training images in 10 classes.",
        "For Adam baselines we use a learning rate of 3e-4.",
        "We set the loss weight λ = 0.5 and the temperature τ = 0.07.",
        "The network has 110 layers and 1.7M parameters.",
        "Batch normalization uses a momentum of 0.99.",
        "The teacher is updated by EMA with momentum 0.996.",
        "Fine-tuning on the target task takes 10 epochs.",
        "We evaluate every 5 epochs.",
        "Checkpoints are saved every 10 epochs.",
        "The model reaches 93.2% after 150 epochs.",
    ),
    "zh": (
        "图像缩放到224×224并随机水平翻转。",
        "在分类器前使用比率为0.5的Dropout。",
        "实验在4块NVIDIA V100 GPU上进行。",
        "结果为3次实验的平均值。",
        "数据集包含50000张训练图像，共10类。",
        "损失权重λ=0.5，温度τ=0.07。",
        "批归一化的动量为0.99。",
        "教师网络以0.996的动量进行EMA更新。",
        "每5个epoch在验证集上测试一次。",
        "每10轮保存一次模型。",
        "训练150轮后准确率达到93.2%。",
    ),
}


def paragraph(random_of, language):
    """Return a paragraph and what it says, by paths; what is told of the rate stands under "rate" and "warmup"."""
    choose = random_of.choice
    lr, momentum, decay = choose([0.1, 0.05, 0.02, 0.4]), choose([0.8, 0.9, 0.95]), choose([1e-4, 5e-4, 4e-5])
    epochs, batch, nesterov = choose([60, 90, 120]), choose([32, 128, 256]), choose([True, False, False])
    name = "" if not nesterov else "Nesterov " if language == "en" else "Nesterov"
    written = choose([f"{decay:g}", f"{decay:.8f}".rstrip("0"), f"{decay:.0e}".replace("e-0", "e-")])
    course, rate = choose(COURSES[language])
    sentences = [
        choose(SETTINGS[language]).format(n=name, m=momentum, w=written),
        choose(LENGTHS[language]).format(e=epochs, b=batch),
        course.format(i=choose(BEGINNINGS[language]).format(l=lr)),
    ]
    wanted = {
        "sgd.momentum": momentum,
        "sgd.weight_decay": decay,
        "sgd.nesterov": nesterov or None,
        "data.batch_size": batch,
        "train.epochs": epochs,
        "rate": {"initial": lr, **rate},
        "warmup": choose([3, None, None]),
    }
    if wanted["warmup"]:
        sentences.append(choose(WARMUPS[language]))
    sentences += random_of.sample(OTHERS[language], random_of.randint(0, 4))
    random_of.shuffle(sentences)
    return (" " if language == "en" else "").join(sentences), wanted


def found_in(text):
    """Return what a paragraph is read as, in the form of `paragraph`."""
    fields = {path: field.value for path, field in read(text)[0].fields.items()}
    warm = fields.get("sgd.lr.schedule") == "warmup"
    root = "sgd.lr.then" if warm else "sgd.lr"
    rate = {key: fields.get(f"{root}.{key}") for key in ("schedule", "milestones", "rate", "every", "power")}
    rate["initial"] = fields.get(root, fields.get(f"{root}.initial"))
    rate["factor"] = fields.get(f"{root}.factor", fields.get("train.plateau.factor"))
    rate["patience"] = fields.get("train.plateau.patience")
    return {
        **{path: fields.get(path) for path in ("sgd.momentum", "sgd.weight_decay", "sgd.nesterov", "data.batch_size")},
        "train.epochs": fields.get("train.epochs"),
        "rate": {key: value for key, value in rate.items() if value is not None},
        "warmup": fields.get("sgd.lr.duration") if warm else None,
    }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_is_read_and_no_more(language):
    """Every value is what its sentence says, and no number of another sentence is taken for one."""
    for seed in range(draws(100)):
        text, wanted = paragraph(random.Random(f"{language} {seed}"), language)
        found = found_in(text)
        apart = {key: (found[key], value) for key, value in wanted.items() if not agree(found[key], value)}
        assert apart == {}, text


def agree(found, wanted):
    """Whether two values are the same, or two rates: with all that a sentence says, and no other schedule."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], value) for key, value in wanted.items())
    return found is wanted if wanted is None or found is None else same(found, wanted)
