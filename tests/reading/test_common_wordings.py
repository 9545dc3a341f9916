"""Settings in one list with their values in another, and numbers of other things beside common words."""

from __future__ import annotations

import random

import pytest

from downslope import read
from draws import draws
from reading.rows import same

NAMES = {
    "en": {
        "sgd.lr": ["learning rate", "initial learning rate", "base learning rate", "lr"],
        "sgd.momentum": ["momentum", "momentum coefficient", "momentum parameter"],
        "sgd.weight_decay": ["weight decay", "weight decay coefficient", "weight-decay factor"],
        "data.batch_size": ["batch size", "mini-batch size"],
        "train.epochs": ["number of epochs", "epochs", "number of training epochs"],
    },
    "zh": {
        "sgd.lr": ["学习率", "初始学习率", "learning rate"],
        "sgd.momentum": ["动量", "动量系数", "momentum"],
        "sgd.weight_decay": ["权重衰减", "权重衰减系数", "weight decay"],
        "data.batch_size": ["批大小", "批量大小", "batch size", "批次大小"],
        "train.epochs": ["训练轮数", "迭代轮数", "epoch数", "训练周期数", "epochs"],
    },
}
VALUES = {
    "sgd.lr": {"0.02": 0.02, "1e-2": 0.01, "$10^{-2}$": 0.01},
    "sgd.momentum": {"0.8": 0.8},
    "sgd.weight_decay": {"0.0003": 0.0003, "3e-4": 0.0003},
    "data.batch_size": {"48": 48},
    "train.epochs": {"70": 70},
}
VERBS = {
    "en": ["are set to", "are", "were set to", "were", "are chosen as", "are fixed to", "equal", "are given by"],
    "zh": [
        "分别为",
        "分别设置为",
        "分别设为",
        "分别是",
        "分别取",
        "分别设定为",
        "设置为",
        "分别被设置为",
        "依次为",
        "各设为",
    ],
}


def listed(choose, language):
    """Return settings told in one list with their values in another, and what they are."""
    paths = choose.sample(list(VALUES), choose.choice([2, 3, 4, 5]))
    names = [choose.choice(NAMES[language][path]) for path in paths]
    written = [choose.choice(list(VALUES[path])) for path in paths]
    wanted = {path: VALUES[path][text] for path, text in zip(paths, written, strict=True)}
    verb = choose.choice(VERBS[language])
    if language == "en":
        end = choose.choice([", respectively", " respectively", ""])
        rows = [f"{', '.join(row[:-1])}{',' * (len(row) > 2)} and {row[-1]}" for row in (names, written)]
        return f"We use SGD where the {rows[0]} {verb} {rows[1]}{end}.", wanted
    if choose.random() < 0.4:
        written = [text + "个epoch" * (path == "train.epochs") for path, text in zip(paths, written, strict=True)]
    rows = [f"{'、'.join(row[:-1])}{choose.choice('、和与及')}{row[-1]}" for row in (names, written)]
    return f"实验采用SGD优化器，{rows[0]}{verb}{rows[1]}。", wanted


@pytest.mark.parametrize("language", ["en", "zh"])
def test_settings_in_one_list_and_their_values_in_another(language):
    """Each value is its own setting's, whatever their order, and an epoch may be counted by its unit."""
    for seed in range(draws(40)):
        text, wanted = listed(random.Random(f"{language} {seed}"), language)
        fields = read(text)[0].fields
        found = {path: field.value for path, field in fields.items() if field.provenance == "stated"}
        assert {path: found.get(path) for path in wanted if not same(found.get(path), wanted[path])} == {}, text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SGD, lr 0.01, halved at iterations $20,000$ and $40,000$. 30% is held out.", {"sgd.lr.milestones": [20000, 40000]}),
        ("SGD with batch size $64$. 30 epochs of training.", {"data.batch_size": 64, "train.epochs": 30}),
        ("SGD, lr 0.1. We anneal it by a factor of 0.5 each time an epoch does not lead to a new minimum loss.",
         {"train.plateau.factor": 0.5, "train.epochs": None}),
        ("用动量为0.9的SGD微调，训练批次和轮数设置为64和300轮", {"data.batch_size": 64, "train.epochs": 300}),
        ("SGD, lr 0.1. Training stops when the learning rate is below 1e-6.", {"sgd.lr.final": None}),
        ("SGD, lr 0.1 with cosine decay to zero; weight decay is 1e-4, and 0.01 is the dropout rate at the end.",
         {"sgd.weight_decay": 1e-4, "sgd.lr.final": 0}),
    ],
)  # fmt: skip
def test_numbers_at_ends_of_formulas_clauses_and_trainings(text, wanted):
    """A formula before a full stop ends its number; what stops training, or is another's, is no end of the rate."""
    fields = {path: field.value for path, field in read(text)[0].fields.items()}
    assert {path: fields.get(path) for path in wanted} == wanted


OTHERS = {
    "train.accumulate": [
        *("gradient accumulation, 2 GPUs, batch size 32", "gradient accumulation (4 A100s)", "采用梯度累积, 100轮"),
        *("gradient accumulation with 8 GPUs and batch size 32", "使用梯度累积, 4块GPU", "累积了100次的梯度范数"),
        "mixed precision, gradient accumulation, 16 GPUs and weight decay 1e-4",
    ],
    "train.clip_norm": [
        "To limit memory, sequences of at most 512 tokens are used with gradient checkpointing.",
        *(
            "序列长度上限为512, 使用梯度检查点",
            "图像最大边不超过1333, 使用梯度检查点",
            "图像最大边长超过512的被缩放, 梯度累积4步",
        ),
        *(
            "We use the gradient scaler with initial scale above 1024.",
            "Gradient clipping by value with threshold 0.5.",
        ),
        *("Gradients are scaled by the loss scale of at most 1024.", "The gradient norm is above 10 without clipping."),
        "We compute gradients with micro batches of at most 8 to bound memory.",
        "Gradients are normalized with batch norm, limited to 4 groups.",
    ],
    "sgd.lr.final": [
        *("Cosine annealing. Weight decay is increased to 0.04 at the end.", "Cosine annealing. We set λ to 0.05."),
        *("Cosine annealing. Momentum is decayed to 0.05.", "Cosine annealing. The NMS threshold goes to 0.05."),
        *("Cosine annealing. Pixel values scale to 0.01.", "余弦退火。偏置初始化到0.01。"),
    ],
    "train.steps": ["PGD steps and momentum are 10 and 0.9.", "The diffusion steps and batch size are 1000 and 64."],
    "train.epochs": ["Local epochs and batch size are 5 and 32.", "Warm-up epochs and momentum are 5 and 0.9."],
    "train.ema": ["BN uses exponential moving average, decay 0.99", "EMA, decay rate 0.95 per epoch"],
    "sgd.lr.rate": ["更新系数0.05的目标网络", "每轮调整图像大小, 调整比例为0.5"],
    "sgd.lr.duration": ["With this learning rate the loss increases for 5 epochs then falls."],
    "sgd.lr.peak": ["One cycle of cosine annealing to 0.001 over 90 epochs."],
    "groups": [
        "The learning rate of the head is 0.1 at first and 0.01 for the remaining epochs.",
        "The learning rate of the encoder is 0.1 for the first stage and 0.01 for the rest.",
        "Weight of the head is 0.4 and of the encoder 0.6, learning rate.",
    ],
}


@pytest.mark.parametrize(("path", "text"), [(path, text) for path, texts in OTHERS.items() for text in texts])
def test_what_such_words_say_of_other_things_is_no_setting(path, text):
    """The rate stays what it is said to be, and nothing is stated of what the text does not tell."""
    fields = read(f"SGD, learning rate 0.1. {text}")[0].fields
    stated = {one: field.value for one, field in fields.items() if field.provenance == "stated"}
    assert not [one for one in stated if one.startswith(path)], stated
    assert stated.get("sgd.lr", stated.get("sgd.lr.initial", stated.get("sgd.lr.then"))) == 0.1


@pytest.mark.parametrize(
    "text",
    [
        '{"optimizer": "sgd", "lr": 0.1, "最小学习率": 0.001}',
        '{"optimizer": "sgd", "初始学习率": 0.1, "最终学习率": 0.001}',
        "学习率\t动量\t最小学习率\n0.1\t0.9\t0.001",
        "| 优化器 | 学习率 | 最小学习率 | 动量 |\n|---|---|---|---|\n| SGD | 0.1 | 0.001 | 0.9 |",
        "# lr, momentum, weight decay\n0.1, 0.9, 1e-4",
    ],
)
def test_the_least_rate_is_not_the_rate(text):
    """Whether it is a key in words, or the name of a column."""
    assert read(text)[0].fields["sgd.lr"].value == 0.1
