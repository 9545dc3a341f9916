"""The sentences that a reading is given with, in English and Chinese."""

from __future__ import annotations

from collections.abc import Collection

SENTENCES: dict[str, tuple[str, str]] = {
    "no_lr": ("The learning rate is not stated.", "没有给出学习率。"),
    "no_base_lr": (
        "The base learning rate is not stated, only how it changes.",
        "没有给出初始学习率，只说了它如何变化。",
    ),
    "no_period": (
        "How often the learning rate decays is not stated; assumed: {every}.",
        "没有说明学习率多久衰减一次；假定为{every}。",
    ),
    "no_milestones": (
        "When the learning rate is changed is not stated, so the schedule cannot be replayed.",
        "没有说明学习率何时改变，因此无法重现这一调度。",
    ),
    "period_in_examples": (
        "The learning rate decays every {examples} examples; how many steps that is depends on the batch size, which is not stated.",
        "学习率每 {examples} 个样本衰减一次；这是多少步取决于批大小，但批大小没有说明。",
    ),
    "no_total": (
        "Milestones are given as parts of the whole, whose length is not stated.",
        "里程碑以总长度的百分比给出，但总长度没有说明。",
    ),
    "no_duration": ("How long the {schedule} schedule lasts is not stated.", "没有说明 {schedule} 调度持续多久。"),
    "no_factor": ("By how much the learning rate is reduced is not stated.", "没有说明学习率降低多少。"),
    "usual_factor": (
        "By how much the learning rate is reduced is not stated; a factor of {factor} is assumed.",
        "没有说明学习率降低多少；假定每次乘以 {factor}。",
    ),
    "no_batch": ("The batch size is not stated.", "没有给出批大小。"),
    "no_length": ("How long the training lasts is not stated.", "没有说明训练多长时间。"),
    "not_sgd": (
        "The optimizer is {optimizer}, not SGD: its fields are shown, but no SGD recipe is made of them.",
        "优化器是 {optimizer}，不是 SGD：字段照样列出，但不据此生成 SGD 配方。",
    ),
    "plateau": (
        "Reductions at a plateau depend on what was measured then and cannot be replayed as a schedule; train.plateau "
        "watches for them anew.",
        "按平台期降低学习率取决于当时的观测值，无法作为调度重现；train.plateau 会重新监测。",
    ),
    "patience": (
        "After how many evaluations without improvement the rate is reduced is not stated; {patience} is assumed.",
        "没有说明多少次评估没有改善后降低学习率；假定为 {patience}。",
    ),
    "reduced_sometime": (
        "The learning rate was reduced {count} times, it is not said when: that cannot be replayed.",
        "学习率降低了 {count} 次，但没有说明何时：无法重现。",
    ),
    "batch_norm": (
        'The momentum of batch normalisation ("{words}") is not the optimizer\'s.',
        "批归一化的动量（“{words}”）不是优化器的动量。",
    ),
    "wd_kept": (
        "weight decay {value} read literally {fate}; here it is read as the fraction kept per step, so {lost} is lost.",
        "权重衰减 {value} 若照字面理解，{fate}；这里理解为每步保留的比例，即每步丢失 {lost}。",
    ),
    "wd_literal": (
        "weight decay {value} read literally {fate}: implausible.",
        "权重衰减 {value} 照字面理解，{fate}：不可信。",
    ),
    "wd_keras": (
        "1 - {value} = {lost} as the strength of an L2 penalty, in Keras l2({lost}), whose gradient is 2 * {lost} * w: "
        "{doubled} in torch's convention.",
        "1 - {value} = {lost} 作为 L2 惩罚的强度，即 Keras 的 l2({lost})，其梯度为 2 * {lost} * w：按 torch 的约定是 {doubled}。",
    ),
    "wd_swapped": (
        "The two factors swapped: a learning rate times {rate} per epoch is common, a weight decay of {value} is not.",
        "两个因子互换：每轮学习率乘以 {rate} 很常见，而 {value} 的权重衰减并不常见。",
    ),
    "timescale": (
        "On {data} ({examples} examples) in batches of {batch}, this weight decay forgets within {epochs} epochs; recipes in use lie between about 1 and 13.",
        "在 {data}（{examples} 个样本）上、批大小 {batch}，这样的权重衰减在 {epochs} 轮内遗忘权重；常用配方约在 1 到 13 轮之间。",
    ),
    "l2_literal": (
        "An L2 penalty of {value} * |w|^2 taken literally would be a weight decay of {doubled} in torch's convention, since "
        "its gradient is 2 * {value} * w; practice (Caffe, torch) is {value}.",
        "若照字面取 L2 惩罚 {value} * |w|^2，其梯度为 2 * {value} * w，按 torch 约定权重衰减应为 {doubled}；实践（Caffe、torch）用的是 {value}。",
    ),
    "keras_decoupled": (
        "Keras's weight_decay is decoupled, and weaker than torch's by the factor 1 - momentum.",
        "Keras 的 weight_decay 是解耦的，比 torch 的弱，相差 1 - momentum 倍。",
    ),
    "keras_l2": (
        "Keras's L2({value}) adds 2 * {value} * w to the gradient: a weight decay of {doubled}, on the layers that have it.",
        "Keras 的 L2({value}) 给梯度加上 2 * {value} * w：相当于 {doubled} 的权重衰减，只作用于设置了它的层。",
    ),
    "scaled": (
        "The learning rate scales linearly with the batch size: {base} at {reference}.",
        "学习率随批大小线性缩放：批大小为 {reference} 时是 {base}。",
    ),
    "per_sample": (
        "A learning rate per sample belongs to a summed loss: for a mean loss multiply it by the batch size{known}.",
        "逐样本的学习率对应求和的损失：若损失取平均，应乘以批大小{known}。",
    ),
    "clip_per_sample": (
        "Clipping at {value} per sample is not the same as clipping the norm of the mean gradient.",
        "逐样本裁剪（{value}）与裁剪平均梯度的范数不是一回事。",
    ),
    "kilostep": (
        "A learning rate of {value} per {examples} examples with its decay is airbench's convention, for a summed loss and "
        "decoupled from momentum: {lr} and {weight_decay} for torch's mean loss.",
        "每 {examples} 个样本 {value} 的学习率是 airbench 的约定（求和损失、与动量解耦）：换成 torch 的平均损失为 {lr} 与 {weight_decay}。",
    ),
    "summed_loss": (
        "Where this recipe is run with a summed loss (as DAWNBench's ResNet-9), the code has lr / batch and weight_decay * batch.",
        "若代码使用求和损失（如 DAWNBench 的 ResNet-9），其中写的是 lr / batch 与 weight_decay * batch。",
    ),
    "inside": (
        "The learning rate is inside the velocity here, as in Caffe: the paths part from torch's when lr changes.",
        "这里学习率在速度之内，与 Caffe 相同：学习率改变时与 torch 的路径不同。",
    ),
    "staircase": (
        "Whether the decay is in steps or smooth is not said; steps are assumed.",
        "没有说明衰减是阶梯式还是平滑的；假定为阶梯式。",
    ),
    "another": ('Another value of {path} is stated too: "{words}".', "还给出了另一个 {path}：“{words}”。"),
    "another_training": (
        'Another training is told of too, and is not used: "{words}".',
        "还讲到另一次训练，未采用：“{words}”。",
    ),
    "out_of_range": (
        "{path} = {value} is outside what is possible and is left out.",
        "{path} = {value} 超出可能的范围，未采用。",
    ),
    "two_optimizers": ("More than one optimizer is named: {names}.", "文中提到不止一个优化器：{names}。"),
    "late_milestones": (
        "The training ends before the milestone {milestone}.",
        "训练在里程碑 {milestone} 之前就结束了。",
    ),
    "both_lengths": (
        "Epochs and steps are both stated; a recipe takes one, the epochs.",
        "同时给出了轮数与步数；配方只取其一，这里取轮数。",
    ),
    "googlenet": (
        "These are GoogLeNet's words; Caffe's re-implementation used lr 0.01, a factor of 0.96, weight decay 2e-4 and batches "
        "of 32.",
        "这是 GoogLeNet 的说法；Caffe 的复现用的是学习率 0.01、因子 0.96、权重衰减 2e-4、批大小 32。",
    ),
    "group": (
        "Which parameters are spared is written as the pattern {match}; check it against your model's names.",
        "不衰减的参数写成模式 {match}；请对照模型中的名称检查。",
    ),
    "own_group": (
        "Which parameters have a value of their own is written as the pattern {match}; check it against your model's names.",
        "有单独取值的参数写成模式 {match}；请对照模型中的名称检查。",
    ),
    "anothers_value": ('"{words}" is told of {optimizer}, and is not used.', "“{words}”说的是 {optimizer}，未采用。"),
    "lost_raised": (
        '"{words}" is read as {value}: a power whose raised digits were lost.',
        "“{words}”读作 {value}：上标在文本中丢失了。",
    ),
    "lost_ten": (
        '"{words}" is read as {value}, which people mean by it; literally it is another number.',
        "“{words}”读作 {value}，这是通常的意思；照字面则是另一个数。",
    ),
    "decimal_comma": (
        '"{words}" is read as {value}: the comma as a decimal point.',
        "“{words}”读作 {value}：逗号当作小数点。",
    ),
    "schedule_and_plateau": (
        "A schedule and a plateau both move the learning rate; the schedule is kept.",
        "调度与平台期都会改变学习率；这里保留调度。",
    ),
    "nesterov_without": (
        "Nesterov's form needs a momentum, and none is stated.",
        "Nesterov 形式需要动量，但文中没有给出。",
    ),
    "momentum_assumed": ("Momentum is not stated; assumed: {momentum}.", "没有给出动量；假定为{momentum}。"),
    "momentum_unknown": ("Momentum is used, but its value is not stated.", "使用了动量，但没有给出数值。"),
    "nothing": (
        "No optimizer, no learning rate and no other setting was found.",
        "没有找到优化器、学习率或任何其他设置。",
    ),
    "constant_lr": ("The learning rate is said to change, but not how.", "文中说学习率会变化，但没有说如何变化。"),
    "per_device": (
        "A batch of {value} per device is stated, but not how many devices there are.",
        "给出了每个设备的批大小 {value}，但没有说明设备数。",
    ),
    "no_momentum": ("Momentum is not stated; without it the recipe has none.", "没有给出动量；配方中就没有动量。"),
    "long": (
        "The text is long ({length} characters): only the passages that speak of training were read ({read}).",
        "文本很长（{length} 个字符）：只读了谈到训练的段落（{read}）。",
    ),
    "restarts": (
        "Warm restarts are stated; a recipe has no schedule with restarts, so only the first cycle can be written.",
        "文中使用了热重启；配方没有带重启的调度，只能写出第一个周期。",
    ),
    "warmup_shape": (
        'The warmup is no straight line ("{words}"); a recipe has only straight ones.',
        "预热不是直线（“{words}”）；配方只有直线预热。",
    ),
    "no_word": (
        'A recipe has no word for this schedule of the learning rate ("{words}").',
        "配方没有与这一学习率调度（“{words}”）对应的词。",
    ),
    "base": (
        'This configuration builds on another ("{words}"), which was not read: what it leaves open is said there.',
        "该配置以另一个配置（“{words}”）为基础，后者未读：这里没有写的在那里。",
    ),
    "base_lr": (
        "The base learning rate {value} is for a batch of 256; the learning rate is {value} times the batch size / 256.",
        "基础学习率 {value} 对应批大小 256；学习率为 {value} 乘以批大小 / 256。",
    ),
    "conflict": (
        'The {kind} says {path} = {value}, the {other} says {beaten} ("{words}"): the first is taken.',
        "{kind}中 {path} = {value}，{other}中为 {beaten}（“{words}”）：取前者。",
    ),
    "ema": (
        'The decay of a moving average ("{words}") is neither weight decay nor the learning rate\'s.',
        "滑动平均的衰减（“{words}”）既不是权重衰减，也不是学习率衰减。",
    ),
    "conditional": (
        '{path} holds under a condition of the program that is not known: "{words}".',
        "{path} 只在程序的某个未知条件下成立：“{words}”。",
    ),
    "otherwise": (
        'Under another setting than the default, the program does something else: "{words}".',
        "若设置与默认不同，程序的做法也不同：“{words}”。",
    ),
    "rate_if_measured": (
        'The program also changes the learning rate under a condition that is not known: "{words}".',
        "程序还会在未知条件下改变学习率：“{words}”。",
    ),
    "rate_unrecognised": (
        'The program changes the learning rate in a way that was not recognised as a schedule: "{words}".',
        "程序改变学习率的方式未能识别为某种调度：“{words}”。",
    ),
    "rate_set_late": (
        "The program sets the learning rate at the end of an epoch: it is in effect from the next one on.",
        "程序在每轮结束时设置学习率：从下一轮起生效。",
    ),
    "rate_early": (
        "The program counts one more than the epoch: each drop comes one epoch earlier than its period says.",
        "程序把轮数加一后再计数：每次下降都比周期所示早一轮。",
    ),
    "group_unknown": (
        'Some parameters have a value of their own ("{words}"), but their names depend on the model: add a [[groups]] for them.',
        "部分参数有单独的值（“{words}”），但其名称取决于模型：请为它们添加 [[groups]]。",
    ),
    "comment_differs": (
        'The comment "{comment}" says something else than the code, "{words}": the code holds.',
        "注释“{comment}”与代码“{words}”不一致：以代码为准。",
    ),
}
"""What can be said -> (English, Chinese)."""

MARKS: dict[str, tuple[str, str]] = {
    "competing": ("another value is stated too", "还给出了另一个值"),
    "large_lr": ("a learning rate above 10", "学习率大于 10"),
    "large_weight_decay": ("a weight decay so strong that it forgets at once", "权重衰减过强，很快遗忘权重"),
    "large_momentum": ("a momentum so near 1 that it never forgets", "动量过于接近 1"),
    "large_batch": ("more than a million examples in a batch", "批大小超过一百万"),
    "long_training": ("longer than any training", "训练长度不可信"),
    "rising": ("a factor that lets the rate rise", "该因子使学习率上升"),
    "after_the_end": ("after the end of the training", "在训练结束之后"),
    "per_device": ("per device, and how many there are is not said", "每个设备的值，但没有说明设备数"),
    "lost_raised": ("read as a power whose raised digits were lost", "读作丢失了上标的幂"),
    "decimal_comma": ("a comma read as a decimal point", "逗号当作小数点"),
    "lost_ten": ("literally another number", "照字面是另一个数"),
    "conditional": ("only under a condition that is not known", "只在某个未知条件下成立"),
    "rate_unrecognised": ("changed in a way that was not recognised", "其变化方式未能识别"),
    "two_optimizers": ("another optimizer has another value", "另一个优化器的值不同"),
    "constant_group": ("constant here, while the others' rate changes", "此组保持不变，而其余参数的学习率会变化"),
    "shape": ("of another course than a recipe's", "形状与配方中的不同"),
    "unit": ("whether epochs or steps is not said", "没有说明是轮还是步"),
    "unnamed": ("no optimizer is named", "没有指明优化器"),
    "unproven": ("the words alone do not say this value", "仅凭这些词得不出这个值"),
}
"""Why a value should be looked at before it is used -> (English, Chinese)."""

WORDS: dict[str, tuple[str, str]] = {
    "reading": ("Reading {number} of {total}", "读法 {number}（共 {total} 种）"),
    "stated": ("stated", "明示"),
    "implied": ("implied", "推得"),
    "assumed": ("assumed", "假定"),
    "remarks": ("Remarks", "说明"),
    "unread": ("Not used", "未使用"),
    "none": ("no field was read", "没有读出任何字段"),
    "because": ("Because", "理由"),
    "more": (
        "Another reading is printed as a recipe by --to toml --reading N.",
        "要把另一种读法写成配方，用 --to toml --reading N。",
    ),
    "page_title": ("What the text says", "文中所述的配方"),
    "text": ("The text", "原文"),
    "unnamed": ("no optimizer is named", "文中没有指明优化器"),
    "by_momentum": ("a momentum is SGD's", "动量属于 SGD"),
    "colon": (": ", "："),
    "open": (" (", "（"),
    "close": (")", "）"),
    "stop": (".", "。"),
    "from_files": ("A recipe read from {files}.", "由 {files} 读出的配方。"),
    "from_words": ("A recipe read from words.", "由文字读出的配方。"),
    "from_these": ("A recipe read from these words:", "由以下文字读出的配方："),
    "legend": (
        "stated: the words say so; implied: a convention or several statements; assumed: nothing is said.",
        "明示：文中写明；推得：由惯例或几处说法得出；假定：文中没有说。",
    ),
    "usual_batch": ("assumed: data.batch_size is the recipe's default, 64", "假定：data.batch_size 取配方的默认值 64"),
}
"""The headings of a reading -> (English, Chinese)."""

VERDICTS: dict[str, tuple[str, str]] = {
    "confirmed": ("confirmed", "证实"),
    "contradicted": ("contradicted", "矛盾"),
    "absent": ("not in the text", "文中没有"),
    "assumed": ("assumed", "假定"),
    "reads": ("the text says {value}:", "文中为 {value}："),
    "left_out": ("left out of the recipe;", "配方中没有；"),
    "failed": (
        "{failed} of {total} values are neither confirmed by the text nor marked as assumed.",
        "{total} 个值中有 {failed} 个既未被正文证实，也未标为假定。",
    ),
    "holds": ("Every value is confirmed by the text or marked as assumed.", "每个值都被正文证实，或已标为假定。"),
}
"""What is said of the values of a recipe held against a text -> (English, Chinese)."""

PARTS: dict[str, tuple[str, str]] = {
    "command": ("command line", "命令行"),
    "configuration": ("configuration", "配置"),
    "code": ("code", "代码"),
    "prose": ("text", "正文"),
}
"""The kinds of parts -> what they are called in English and Chinese."""

EXPLANATIONS: dict[str, str] = {
    "not stated; to the end of the schedule": "没有说明；到调度结束",
    "weight decay with SGD is an L2 penalty unless said otherwise": "SGD 的权重衰减即 L2 惩罚，除非另有说明",
    "a fraction of the weights kept per step does not depend on lr": "每步保留的比例与学习率无关",
    "an L2 penalty enters the gradient": "L2 惩罚进入梯度",
    "the usual value": "常用值",
    "not stated; as in the recipe that comes along, digits": "没有说明；与自带配方 digits 相同",
    "not stated; such a rate is usually per epoch": "没有说明；这样的衰减率通常按轮计",
    "such a rate is usually per epoch": "这样的衰减率通常按轮计",
    "whether in steps or smooth is not said": "没有说明是阶梯式还是平滑",
    "it drops at once": "一次降到位",
    "drops at once, period by period": "每个周期一次降到位",
    "schedules end at 0 unless said otherwise": "调度降到 0，除非另有说明",
    "the usual power of a poly policy": "poly 策略常用的幂",
    "to the end of training": "到训练结束",
    "to the end of the schedule": "到调度结束",
    "until the end of training": "直到训练结束",
    "less the warmup": "减去预热",
    "epochs are counted from the start of training, as in Goyal et al. 2017": "轮数从训练开始算起，如 Goyal 等 2017",
    "it counts iterations": "按迭代计",
    "it counts optimizer steps": "按优化器步数计",
    "torch's schedulers are usually stepped once per epoch": "torch 的调度器通常每轮调用一次",
    "torch's schedulers change at their calls": "torch 的调度器在调用时改变",
    "the default of torch's ReduceLROnPlateau": "torch ReduceLROnPlateau 的默认值",
    "the default of": "默认值：",
    "the unit of the training's length": "与训练长度同单位",
    "not stated; a tenth is usual": "没有说明；通常取十分之一",
    "not stated; one period after the last milestone": "没有说明；取最后一个里程碑之后的一个周期",
    "not stated; three periods of the schedule": "没有说明；取调度的三个周期",
    "not stated; as in the embedded default recipe": "没有说明；与内置的默认配方相同",
    "the batch that the learning rate is for": "学习率所对应的批大小",
    "not stated": "没有说明",
    "counted in epochs": "按轮计",
    "once per call": "每次调用一次",
    "puts lr inside the velocity": "把学习率放在速度之内",
    "SGDW decays apart from the gradient": "SGDW 的衰减与梯度分开",
    "the weight_decay of Keras's optimizers is decoupled": "Keras 优化器的 weight_decay 是解耦的",
    "the reference of the linear scaling": "线性缩放的基准",
    "the old `decay` of Keras": "旧版 Keras 的 `decay`",
    "Keras changes one step after each": "Keras 在其后一步才改变",
    "timm's name sgd means Nesterov momentum": "timm 中 sgd 指 Nesterov 动量",
    "timm's default": "timm 的默认值",
    "is Nesterov's form": "即 Nesterov 形式",
    "one device": "单个设备",
    "as the program counts": "按程序的计数",
    "as its trigger counts": "按触发器的计数",
    "the clock of what follows": "与其后的调度同单位",
    "Ultralytics lowers lr in a line unless cos_lr is set": "除非设置 cos_lr，Ultralytics 线性降低学习率",
    "equal parts of the training": "训练的等分",
    "longer than": "长于",
}
"""Why a field is implied or assumed, in English -> in Chinese."""


def explain(words: str, language: str) -> str:
    """Return the reason of an implied or assumed field in a language.

    Example:
        >>> explain("it counts iterations", "zh")
        '按迭代计'
    """
    if language == "zh":
        for english, chinese in EXPLANATIONS.items():
            words = words.replace(english, chinese)
    return words


class Remarks(list[str]):
    """The sentences of one reading, each said once.

    Args:
        language: "en" or "zh".

    Attributes:
        said: The name of each sentence, and the values in it.
    """

    def __init__(self, language: str = "en") -> None:
        """Begin with none."""
        super().__init__()
        self.language = language
        self.said: list[tuple[str, dict[str, object]]] = []

    def say(self, what: str, **values: object) -> None:
        """Add a sentence, unless it has been said."""
        sentence = SENTENCES[what][self.language == "zh"].format(**values)
        if sentence not in self:
            self.append(sentence)
            self.said.append((what, values))

    def drop(self, names: Collection[str]) -> None:
        """Take back the sentences of these names."""
        kept = [(what, values) for what, values in self.said if what not in names]
        self.clear()
        self.said = []
        for what, values in kept:
            self.say(what, **values)

    def part(self, kind: str) -> str:
        """Return what a kind of part is called."""
        return PARTS[kind][self.language == "zh"]


def shown(value: float) -> str:
    """Return a number as people write it.

    Example:
        >>> [shown(value) for value in (0.1, 5e-4, 0.020000000000000018, 128)]
        ['0.1', '0.0005', '0.02', '128']
    """
    return f"{value:.6g}"
