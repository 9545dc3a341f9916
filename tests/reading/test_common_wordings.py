"""Every combination of common words for one statement: how often a rate falls, where it ends, rises and waits; lists."""

from __future__ import annotations

import itertools
import random

import pytest

from downslope import read
from draws import draws
from reading.rows import same

ENGLISH, CHINESE = "SGD, learning rate 0.2. ", "采用SGD优化器，初始学习率为0.2。"

PERIOD = {"sgd.lr.every": 10, "sgd.lr.rate": 0.3, "sgd.lr.initial": 0.2}
END = {"sgd.lr.schedule": "cosine", "sgd.lr.final": 0.0001, "sgd.lr.initial": 0.2}
WARMUP = {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 5, "sgd.lr.unit": "epoch"}
PLATEAU = {"train.plateau.factor": 0.5, "train.plateau.patience": 5}

WORDINGS = {
    "a period": (
        ENGLISH,
        [
            ["The learning rate is ", "The learning rate was ", "Learning rate ", "LR is ", "The step size is ", "It is "],
            [
                *("decayed by 0.3 every 10 epochs", "multiplied by 0.3 every 10 epochs", "reduced to 30% every 10 epochs"),
                *("dropped by a factor of 0.3 after every 10 epochs", "scaled by 0.3 every ten epochs"),
                *("decreased every 10 epochs by a factor of 0.3", "lowered every 10 epochs by multiplying it by 0.3"),
                *("adjusted every 10 epochs with a decay factor of 0.3", "updated every 10 epochs with gamma = 0.3"),
                *("shrunk by 0.3x every 10 epochs", "cut to 0.3 of its value every 10 epochs"),
                *("decayed at a rate of 0.3 every 10 epochs", "step-decayed every 10 epochs (factor 0.3)"),
                *("decayed stepwise by 0.3 with a step size of 10 epochs", "multiplied with 0.3 once every 10 epochs"),
                *("decayed by 0.3 at intervals of 10 epochs", "decayed by 0.3 for every 10 epochs"),
            ],
        ],
        PERIOD,
    ),
    "a period in Chinese": (
        CHINESE,
        [
            ["", "学习率"],
            ["每", "每隔", "每过", "每经过", "每训练"],
            ["10个epoch", "10轮", "10个周期", "10个轮次", "10epochs", "10次迭代", "10个训练周期"],
            ["衰减", "下降", "降低", "减小", "减少", "调整", "更新", "变化", "缩小", "改变", "递减"],
            ["", "一次"],
            [
                *("，衰减因子为0.3", "，衰减系数为0.3", "，每次乘以0.3", "，gamma为0.3", "，每次变为原来的0.3倍"),
                *("，衰减率为0.3", "，衰减比例为0.3", "，调整系数为0.3", "，下降系数为0.3"),
            ],
        ],
        PERIOD,
    ),
    "an end": (
        ENGLISH,
        [
            [
                *("We use a cosine learning rate schedule", "The learning rate follows a cosine decay"),
                *("Cosine annealing is used", "A cosine annealing scheduler is applied", "With cosine decay"),
            ],
            [
                *(" to 0.0001", " with a minimum learning rate of 0.0001", " down to a final learning rate of 0.0001"),
                *(", gradually reducing the learning rate to 0.0001", ", decaying to 0.0001 at the end of training"),
                *(", reaching 0.0001 at the end", ", ending at 0.0001", " (min lr 0.0001)", " with eta_min = 0.0001"),
                *(", lowering the rate back to 0.0001", " whose floor is 0.0001", ", with 0.0001 as the minimum"),
                *(" until it reaches 0.0001", ", which decreases the learning rate to 0.0001", ", annealing it to 0.0001"),
                *(", with an end learning rate of 0.0001", ", which brings the rate down to 0.0001"),
            ],
        ],
        END,
    ),
    "an end in Chinese": (
        CHINESE,
        [
            [
                *("学习率采用余弦退火策略", "使用余弦退火调整学习率", "采用余弦退火学习率调度器"),
                *("采用CosineAnnealingLR调度", "学习率使用余弦衰减", "使用余弦学习率调度"),
            ],
            [
                *("，最小学习率为0.0001", "，最终降至0.0001", "，逐渐衰减到0.0001", "，从0.2降至0.0001", "，学习率下限为0.0001"),
                *("，末期学习率为0.0001", "，eta_min为0.0001", "，最终学习率0.0001", "，直至0.0001", "，终止学习率为0.0001"),
                *("，训练结束时学习率为0.0001", "，将学习率逐步降低到0.0001", "，使其从0.2逐渐下降到0.0001"),
            ],
        ],
        END,
    ),
    "a rise": (
        ENGLISH,
        [
            [
                *("We use linear warmup", "We warm up the learning rate", "The learning rate is warmed up"),
                *("We employ a warm-up phase", "A warmup is applied", "The learning rate is linearly increased"),
                "We gradually increase the learning rate",
            ],
            [
                *(" for the first 5 epochs.", " over the first 5 epochs.", " during the first five epochs."),
                *(" in the first 5 epochs.", " for 5 epochs.", " over 5 epochs.", " within the initial 5 epochs."),
                *(" across the first 5 epochs.", " throughout the first 5 epochs."),
                " at the start of training for 5 epochs.",
            ],
        ],
        WARMUP,
    ),
    "a rise in Chinese": (
        CHINESE,
        [
            [
                *("前5个epoch", "在前5轮", "最初的5个epoch", "开始的5个epoch内", "训练初期的5个轮次", "前5轮训练"),
                *("在训练的前5个周期", "首5个epoch"),
            ],
            [
                *("进行学习率预热", "使用线性预热", "采用warmup", "学习率线性增加到0.2", "学习率从0逐渐升至0.2"),
                *("使用学习率热身", "采用预热策略", "逐步增大学习率", "作为预热阶段", "为预热期"),
            ],
        ],
        WARMUP,
    ),
    "the length of a rise in Chinese": (
        CHINESE,
        [
            ["预热", "热身", "学习率预热", "线性预热", "warm-up", "warmup"],
            ["轮数为5", "的epoch数为5", "周期为5个epoch", "持续5个epoch", "阶段为5个epoch", "轮数设为5"],
        ],
        {**WARMUP, "sgd.lr.unit": None},
    ),
    "a wait": (
        ENGLISH,
        [
            ["The learning rate is halved ", "We halve the learning rate ", "The learning rate is multiplied by 0.5 "],
            [
                *("if the validation loss does not improve for 5 epochs", "after 5 epochs without improvement"),
                *("when the validation loss has not decreased for 5 epochs", "on plateau with patience 5"),
                *("following five consecutive epochs with no performance gains", "when no improvement was seen for 5 epochs"),
                *("if the validation error fails to decrease for 5 epochs in a row", "if the dev loss did not drop within 5 epochs"),
                *("once the validation loss has stagnated for 5 epochs", "upon a plateau of the validation loss lasting 5 epochs"),
                "whenever the validation loss stops improving for 5 epochs",
            ],
            [".", ", and training is stopped after 20 epochs without improvement."],
        ],
        PLATEAU,
    ),
}  # fmt: skip


@pytest.mark.parametrize("statement", WORDINGS)
def test_every_wording_is_read(statement):
    """Of every combination of the words of each slot, as many as are drawn."""
    before, slots, wanted = WORDINGS[statement]
    combinations = list(itertools.product(*slots))
    for words in random.Random(statement).sample(combinations, min(draws(25), len(combinations))):
        text = before + "".join(words)
        found = {path: field.value for path, field in read(text)[0].fields.items() if field.provenance != "assumed"}
        asked = {path: value for path, value in wanted.items() if value is not None}
        assert {path: found.get(path) for path in asked if not same(found.get(path), asked[path])} == {}, text


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
