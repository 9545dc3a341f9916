"""Keras and TensorFlow: keras.optimizers.SGD, L2 regularizers, and a small subclass where its rule is another.

What lives here: both programs, which differ in how a model is trained. What does not: schedules (`keras_schedules.py`)
and the subclass (`keras_subclass.py`).
"""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.exact import exact
from downslope.core.rule_text import step_source
from downslope.core.schedules.schedule import PYTHON, Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting import python_source
from downslope.exporting.digits_programs import keras_digits
from downslope.exporting.export_plan import (
    Plan,
    changes_with_time,
    in_simplest_decay,
    match_source,
    quoted,
    without_dampening,
)
from downslope.exporting.python_source import (
    call,
    comment,
    docstring,
    imports,
    indented,
    listed,
    module,
    short_call,
    statement,
)
from downslope.exporting.schedule_source import Words, has_staircase, is_countable, stays_real, where_function
from downslope.recipe.schema import GROWING

# Schedules in Keras's words


def write_learning_rate(lr: float | Schedule, plan: Plan, keras: str) -> list[str]:
    """Return the definition of `learning_rate`, as source lines.

    Args:
        lr: The learning rate, in steps.
        plan: The plan.
        keras: What Keras is imported as: "keras" or "tf.keras".
    """
    if not isinstance(lr, Schedule):
        return [f"learning_rate = {lr!r}"]
    if lr.extremes()[0] == lr.extremes()[1]:
        return [f"learning_rate = {lr.extremes()[0]!r}"]
    given = plan.recipe.sgd.lr
    epochs = isinstance(given, Schedule) and given.in_epochs()
    before = comment(f"Counted in steps; {plan.counted}.") if epochs else []
    own = _own(lr, plan.total_steps)
    if own is None:
        return [*_schedule_class(lr, keras), "", "", *before, "learning_rate = LearningRate()"]
    name, arguments, remark = own
    made = call(f"{keras}.optimizers.schedules.{name}", arguments, before="learning_rate = ")
    return [*before, *(comment(remark) if remark else []), *made]


def _own(lr: Schedule, total: int | None) -> tuple[str, list[str], str] | None:  # noqa: PLR0911 -- one for each kind of schedule
    """Return Keras's own schedule, its arguments and a remark, or None."""
    if not is_countable(lr):
        return None
    if isinstance(lr, s.Exponential) and lr.end is None:
        return _exponential(lr, total)
    if isinstance(lr, s.MultiStep):
        boundaries = [str(math.ceil(exact(milestone)) - 1) for milestone in lr.milestones]
        values = [repr(value) for value in lr.levels()]
        remark = "PiecewiseConstantDecay changes one step after its boundary, so each is one less here."
        return "PiecewiseConstantDecay", [f"boundaries={listed(boundaries)}", f"values={listed(values)}"], remark
    if isinstance(lr, s.Linear) or (isinstance(lr, s.Polynomial) and stays_real(lr)):
        power = [f"power={lr.power!r}"] if isinstance(lr, s.Polynomial) else []
        return (
            "PolynomialDecay",
            [repr(lr.initial), f"decay_steps={lr.duration!r}", f"end_learning_rate={lr.final!r}", *power],
            "",
        )
    if isinstance(lr, s.Cosine) and lr.initial:
        return "CosineDecay", [repr(lr.initial), f"decay_steps={lr.duration!r}", *_alpha(lr)], ""
    if isinstance(lr, s.Warmup) and lr.restart and isinstance(lr.then, s.Cosine) and lr.then.initial:
        if not isinstance(lr.duration, int) or not lr.duration:
            return None
        arguments = [
            repr(lr.start),
            f"decay_steps={lr.then.duration!r}",
            *_alpha(lr.then),
            f"warmup_target={lr.then.closed_form(0, PYTHON)!r}",
            f"warmup_steps={lr.duration}",
        ]
        return "CosineDecay", arguments, ""
    if isinstance(lr, s.Inverse) and lr.power == 1:
        return "InverseTimeDecay", [repr(lr.initial), "decay_steps=1", f"decay_rate={lr.gamma!r}"], ""
    return None


def _exponential(lr: s.Exponential, total: int | None) -> tuple[str, list[str], str] | None:
    arguments = [repr(lr.initial), f"decay_steps={lr.every!r}", f"decay_rate={lr.rate!r}"]
    remark = "Counted in steps, not epochs."
    if not lr.staircase:
        return "ExponentialDecay", arguments, remark
    if total is None or not _divides_right(lr.every, total):
        return None
    remark += (
        " Keras counts periods by a division in floating point, by which compiled programs drop one step late for "
        f"many periods (41, 4690, 46900, ...); for this one they are right up to the last of these {total} steps."
    )
    return "ExponentialDecay", [*arguments, "staircase=True"], remark


def _divides_right(period: float, total: int) -> bool:
    """Return whether floor(step / period) is right at every step of a training, compiled or not.

    Compilers multiply by the rounded inverse in place of dividing, in Keras's default precision, float32 or float64.

    Args:
        period: The period, in steps.
        total: Steps of the training.
    """
    if total // period > MOST_PERIODS:
        return False
    ratio = exact(period)
    periods = range(1, int(total // period) + 2)
    boundaries = [-(-n * ratio.numerator // ratio.denominator) for n in periods]
    for precision in ("f", "d"):  # rounding to it after float64 gives what computing in it gives
        length = array(precision, [period])[0]
        inverse = array(precision, [1 / length])[0]
        for before in (0, 1):
            steps = array(precision, [boundary - before for boundary in boundaries])
            divided = array(precision, [step / length for step in steps])
            multiplied = array(precision, [step * inverse for step in steps])
            right = [n - before for n in periods]
            if [math.floor(q) for q in divided] != right or [math.floor(q) for q in multiplied] != right:
                return False
    return True


MOST_PERIODS = 100_000
"""How many drops are looked at one by one."""


def _alpha(lr: s.Cosine) -> list[str]:
    return [f"alpha={lr.final!r} / {lr.initial!r}"] if lr.final else []


def ops_of(keras: str) -> str:
    """Return the module of array operations: Keras's own, or TensorFlow itself."""
    return "tf" if keras == "tf.keras" else "ops"


def _schedule_class(lr: Schedule, keras: str) -> list[str]:
    ops = ops_of(keras)
    words = Words(f"{ops}.cos", f"{ops}.sqrt", "math.pi", f"{ops}.maximum", f"{ops}.minimum", "as_float")
    doc = "Return the learning rate of a step, counted from 0."
    function = where_function("__call__", lr, doc=doc, where=f"{ops}.where", words=words, depth=1)
    text = "\n".join(function)
    doc = "The learning rate as a function of the step"
    if has_staircase(lr):
        about = docstring(
            f"{doc}, whole periods counted in integers.",
            "ExponentialDecay(staircase=True) takes the floor of a division in Keras's default precision: compiled, by "
            "tf.function or by XLA, that drops one step late for many periods (41, 4690, 46900, ...).",
            depth=1,
        )
    elif isinstance(lr, s.Polynomial):
        about = docstring(
            f"{doc}, a number at its end too.",
            "PolynomialDecay is (1 - decay_steps / decay_steps) ** power there: compiled, that may be rounded below 0, "
            f"whose power of {lr.power!r} is NaN.",
            depth=1,
        )
    else:
        about = [f'    """{doc}; Keras has no schedule like it."""']
    head = ["def __call__(self, step):", *function[1:2], f"    step = {ops}.convert_to_tensor(step)", *function[2:]]
    dtype = f"{keras}.config.floatx()"
    if ops == "tf":  # tf.cast would take a Python number through float32
        convert = [
            f"    dtype = {dtype}",
            "    if isinstance(number, float):",
            "        return tf.constant(number, dtype)",
        ]
        convert += ["    return tf.cast(number, dtype)"]
    else:
        convert = [f"    return ops.convert_to_tensor(number, {dtype})"]
    as_float = ["def as_float(number):", '    """Return a number in Keras\'s default precision."""', *convert, "", ""]
    return [
        *(as_float if "as_float(" in text else []),
        f"class LearningRate({keras}.optimizers.schedules.LearningRateSchedule):",
        *about,
        "",
        *indented(head),
        "",
        "    def get_config(self):",
        '        """Return its arguments: it has none."""',
        "        return {}",
    ]


# Keras

_DECAYED = "gradient + weight_decay * variable"


def reasons_for_subclass(plan: Plan, form: Settings, way: str) -> list[str]:
    """Return what Keras's own SGD cannot do, in words; nothing where it can do all.

    Args:
        plan: The plan.
        form: The settings.
        way: The way of weight decay, "" for none.
    """
    reasons: list[str] = []
    if not form.lr_in_velocity and not is_zero(form.momentum) and changes_with_time(form, plan.recipe):
        reasons.append("lr outside the velocity, so that a change of lr acts on all of it at once")
    if form.dampening:
        reasons.append("dampening")
    if way == "coupled" and plan.recipe.train.clip_norm is not None:
        reasons.append("weight decay added after clipping, which an L2 penalty in the loss would not be")
    if way in {"independent", "corrected"}:
        reasons.append(f"{way} weight decay, which does not follow lr as Keras's does")
    if form.maximize:
        reasons.append("the gradient's sign turned, to maximize")
    return reasons


def write_subclass(form: Settings, plan: Plan, keras: str, reasons: list[str], *, in_step: bool, way: str) -> list[str]:
    """Return the subclass as source lines.

    Args:
        form: The settings.
        plan: The plan.
        keras: What Keras is imported as.
        reasons: What `reasons_for_subclass` returned.
        in_step: Whether weight decay belongs into the step.
        way: The way of weight decay.
    """
    names = {"param": "variable", "grad": "gradient", "velocity": "velocity", "lr": "learning_rate"}
    momentum = form.momentum.extremes()[0] if isinstance(form.momentum, Schedule) else form.momentum
    decay = 0.0
    if in_step:
        names["weight_decay"] = "weight_decay"
        decay = next(s.weight_decay for s in (form, *plan.everyone) if not is_zero(s.weight_decay))
    dampened = form.dampening and form.undampened_first_step
    if momentum:
        names["momentum"] = "self.momentum"
    if dampened:
        names["dampening"] = "dampening"
    settings = replace(form, momentum=momentum, weight_decay=decay, decay=way if in_step else "coupled")  # pyright: ignore[reportArgumentType] -- way is one of them
    ops = ops_of(keras)
    lines = [
        f"class SGD({keras}.optimizers.SGD):",
        *docstring(f"Keras's SGD with {_joined(reasons)}.", depth=1),
        "",
        "    def update_step(self, gradient, variable, learning_rate):",
        '        """Take one step of one variable."""',
        f"        learning_rate = {ops}.cast(learning_rate, variable.dtype)",
        f"        gradient = {ops}.cast(gradient, variable.dtype)",
    ]
    if in_step:
        if plan.groups:
            lines += ["        index = self._get_variable_index(variable)"]
            lines += ["        weight_decay = weight_decay_of(self._trainable_variables[index])"]
        else:
            lines += ["        weight_decay = WEIGHT_DECAY"]
        if way == "coupled":
            lines += [f"        gradient = {'weight_decay * variable - gradient' if form.maximize else _DECAYED}"]
            settings = replace(settings, weight_decay=0.0, maximize=False)
    if dampened:
        lines += comment("The first gradient is not dampened.", 2)
        lines += [f"        is_first = {ops}.cast(self.iterations == 0, variable.dtype)"]
        lines += [f"        dampening = {form.dampening!r} * (1 - is_first)"]
    velocity, direction, decayed = step_source(settings, names)
    if velocity is not None:
        lines += ["        velocity = self.momentums[self._get_variable_index(variable)]"]
        lines += short_call("self.assign", ["velocity", velocity], depth=2)
    if decayed is not None and len(direction) + len(decayed) > 60:
        lines.append(f"        decayed = {decayed}")
        decayed = "decayed"
    delta = direction if decayed is None else f"{direction} - {decayed}"
    return [*lines, *short_call("self.assign_add", ["variable", delta], depth=2)]


def _joined(reasons: list[str]) -> str:
    return "; and ".join(reasons)


def write_keras(plan: Plan) -> str:
    """Return the program of a plan in Keras, any backend."""
    return _write(plan, "keras")


def write_tensorflow(plan: Plan) -> str:
    """Return the program of a plan in TensorFlow, with tf.keras's optimizer and a training step of its own."""
    return _write(plan, "tf.keras")


def _write(plan: Plan, keras: str) -> str:
    forms = [_form(settings) for settings in plan.everyone]
    base = forms[-1]
    _check(forms, base)
    way = next((form.decay for form in forms if not is_zero(form.weight_decay)), "")
    reasons = reasons_for_subclass(plan, base, way)
    subclassed = bool(reasons)
    gradient_changed = plan.recipe.train.clip_norm is not None or base.maximize
    in_step = way in {"independent", "corrected"} or (way == "coupled" and gradient_changed)
    regularized = way == "coupled" and not in_step
    on_model = regularized and not plan.with_model  # the digits' layers have it themselves
    learning_rate = write_learning_rate(base.lr, plan, keras)
    subclass = write_subclass(base, plan, keras, reasons, in_step=in_step, way=way) if subclassed else []
    per_variable = bool(plan.groups) and way != "" and not (regularized and plan.with_model)
    parts = [
        [
            *python_source.constants(plan),
            *(
                []
                if per_variable or not way or (plan.with_model and regularized) or (way == "decoupled" and not in_step)
                else [f"WEIGHT_DECAY = {base.weight_decay!r}"]
            ),
        ],
        learning_rate,
        _weight_decay_of(plan, forms) if per_variable else [],
        subclass,
        _make_optimizer(plan, base, keras, way, subclassed=subclassed, in_step=in_step),
        _add_l2(keras, first_strength(forms), per_variable=per_variable) if on_model else [],
        *_training(
            plan,
            keras,
            regularized=regularized,
            on_model=on_model,
            excluded=per_variable and way == "decoupled" and not in_step,
        ),
    ]
    if plan.with_model:
        parts += keras_digits(plan, keras, _l2_of(plan, forms) if regularized else None)
    opening = python_source.opening(plan, "TensorFlow" if keras == "tf.keras" else "Keras")
    return module(opening, imports(parts, *_IMPORTS), *parts)


_IMPORTS = (
    "import math",
    "from fnmatch import fnmatchcase",
    "import keras",
    "import numpy as np",
    "import sklearn.datasets",
    "import tensorflow as tf",
    "from keras import ops",
)


def first_strength(forms: list[Settings]) -> float:
    """Return the first weight decay that is not 0."""
    return next(f.weight_decay for f in reversed(forms) if not is_zero(f.weight_decay))  # pyright: ignore[reportReturnType]


def _form(settings: Settings) -> Settings:
    return without_dampening(in_simplest_decay(settings))


def _check(forms: list[Settings], base: Settings) -> None:
    for form in forms:
        for name in ("momentum", "weight_decay"):
            value = getattr(form, name)
            if isinstance(value, Schedule) and value.extremes()[0] != value.extremes()[1]:
                raise ExportError(
                    f"Keras takes a schedule for the learning rate alone; this recipe has one of `{name}`. Set a "
                    "number, or export to optax, torch or downslope."
                )
        different = [
            name
            for name in ("lr", "momentum", "dampening", "nesterov", "lr_in_velocity", "maximize")
            if getattr(form, name) != getattr(base, name)
        ]
        if different:
            raise ExportError(
                f"a Keras optimizer has one `{different[0]}` for all variables, and a group changes it. Export to "
                "optax, torch or downslope, or leave it out of the group."
            )
    ways = sorted({form.decay for form in forms if not is_zero(form.weight_decay)})
    if len(ways) > 1:
        raise ExportError(
            f"the groups have several ways of weight decay ({', '.join(ways)}). Use one, or export to optax."
        )
    if ways == ["decoupled"] and len({form.weight_decay for form in forms if not is_zero(form.weight_decay)}) > 1:
        raise ExportError(
            "Keras decays all variables by one `weight_decay`, or not at all; the groups have several. Use one "
            "strength, or export to optax, torch or downslope."
        )


def _weight_decay_of(plan: Plan, forms: list[Settings]) -> list[str]:
    lines = [
        "def weight_decay_of(variable):",
        '    """Return the weight decay of a variable, by its group."""',
        '    words = {"kernel": "weight", "gamma": "weight", "beta": "bias"}',
        '    *parents, last = variable.path.split("/")',
        '    name = ".".join([*parents, words.get(last, last)])',
    ]
    conditions: list[str] = []
    for (group, _), form in zip(plan.groups, forms, strict=False):
        patterns = tuple(one if one[0] in "*@" else f"*{one}" for one in group.patterns)
        exact = tuple(one for one in group.patterns if one[0] not in "*@" and not any(mark in one for mark in "*?["))
        if exact == group.patterns:
            condition = " or ".join(f'f".{{name}}".endswith({quoted(f".{one}")})' for one in exact)
        else:
            condition = match_source(patterns, name="name", is_flat="len(variable.shape) <= 1")
        conditions.append(condition)
        lines += [statement(f"    if {condition}:"), f"        return {form.weight_decay!r}"]
    return [*lines, f"    return {forms[-1].weight_decay!r}"]


def _make_optimizer(plan: Plan, form: Settings, keras: str, way: str, *, subclassed: bool, in_step: bool) -> list[str]:
    lines = ["def make_optimizer():", '    """Return the optimizer."""']
    still = is_zero(form.momentum)
    arguments = ["learning_rate=learning_rate"]
    if not still:
        momentum = form.momentum.extremes()[0] if isinstance(form.momentum, Schedule) else form.momentum
        arguments.append(f"momentum={momentum!r}")
        if form.nesterov:
            arguments.append("nesterov=True")
    if way == "decoupled" and not in_step:
        strength = first_strength([form, *(_form(settings) for settings in plan.everyone)])
        arguments.append(f"weight_decay={strength!r}")
        lines += comment("Keras's weight_decay is decoupled: variable -= lr * weight_decay * variable.", 1)
    if plan.recipe.train.clip_norm is not None:
        arguments.append(f"global_clipnorm={plan.recipe.train.clip_norm!r}")
    if not subclassed and not still and not form.lr_in_velocity:
        lines += comment(
            "Keras has lr inside the velocity, the recipe outside: the same steps as long as lr stays the same.",
            1,
        )
    if way == "coupled" and not in_step:
        lines += comment(
            "No weight_decay= here, which would be decoupled. The recipe's is coupled, an L2 penalty: "
            + ("see make_model." if plan.with_model else "see add_l2."),
            1,
        )
    if plan.settings.dampening and not form.dampening:
        lines += comment(f"dampening={plan.settings.dampening!r} is in the learning rate: the same rule.", 1)
    name = "SGD" if subclassed else f"{keras}.optimizers.SGD"
    return [*lines, *call(name, arguments, before="return ", depth=1)]


def _add_l2(keras: str, weight_decay: float, *, per_variable: bool) -> list[str]:
    strength = "weight_decay_of(variable)" if per_variable else "WEIGHT_DECAY"
    shown = "weight_decay / 2" if per_variable else repr(weight_decay / 2)
    lines = [
        "def add_l2(model):",
        *docstring(
            "Put the recipe's coupled weight decay on the model, as Keras does: as a penalty.",
            f"In a layer it is kernel_regularizer={keras}.regularizers.L2({shown}), and where biases are decayed "
            "the same as bias_regularizer.",
            depth=1,
        ),
        *comment("L2(l) adds l * sum(w**2) to the loss, 2 * l * w to the gradient: hence the half.", 1),
        "    for variable in model.trainable_variables:",
    ]
    if not per_variable:
        return [*lines, f"        variable.regularizer = {keras}.regularizers.L2({strength} / 2)"]
    return [
        *lines,
        f"        weight_decay = {strength}",
        "        if weight_decay:",
        f"            variable.regularizer = {keras}.regularizers.L2(weight_decay / 2)",
    ]


def _excluding(name: str) -> list[str]:
    return [
        f"    {name}.exclude_from_weight_decay(",
        "        var_list=[v for v in model.trainable_variables if not weight_decay_of(v)]",
        "    )",
    ]


def _training(plan: Plan, keras: str, *, regularized: bool, on_model: bool, excluded: bool) -> list[list[str]]:
    first = ["    add_l2(model)"] if on_model else []
    left_out = [f"    {line}" for line in python_source.not_exported(plan)]
    made = ["    optimizer = make_optimizer()", *(_excluding("optimizer") if excluded else [])]
    if keras == "keras":
        compile_model = [
            "def compile_model(model, loss, metrics=None):",
            '    """Make a built model ready to be trained by its fit()."""',
            *left_out,
            *first,
            *made,
            "    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)",
        ]
        return [compile_model, _plateau_callback(plan)]
    penalty = "        loss = loss_function(targets, model(inputs, training=True))"
    step = [
        "def make_train_step(model, loss_function):",
        *docstring("Return one step of training of a built model, compiled.", depth=1),
        *left_out,
        *first,
        *made,
        "    optimizer.build(model.trainable_variables)",
        "",
        "    @tf.function",
        "    def train_step(inputs, targets):",
        "        with tf.GradientTape() as tape:",
        f"    {penalty}",
        *(["            loss += tf.add_n(model.losses)"] if regularized else []),
        "        grads = tape.gradient(loss, model.trainable_variables)",
        "        optimizer.apply_gradients(zip(grads, model.trainable_variables))",
        "        return loss",
        "",
        "    return train_step",
    ]
    return [step, _train(plan)]


def _train(plan: Plan) -> list[str]:
    lines = [
        "def train(model, dataset, loss_function):",
        *docstring("Train a built model in place; the dataset once through is an epoch.", depth=1),
    ]
    if plan.recipe.train.plateau is not None:
        lines += comment(
            "Not here: the recipe multiplies lr by "
            f"{plan.recipe.train.plateau.factor!r} when the held-out {plan.recipe.train.plateau.metric} has not "
            f"improved for {plan.recipe.train.plateau.patience} evaluations; in a loop of your own, assign to "
            "optimizer.learning_rate.",
            1,
        )
    lines += ["    train_step = make_train_step(model, loss_function)"]
    if python_source.by_epochs(plan):
        lines += ["    for _ in range(EPOCHS):", "        for inputs, targets in dataset:"]
        return [*lines, "            train_step(inputs, targets)"]
    lines += ["    for inputs, targets in dataset.repeat().take(STEPS):"]
    return [*lines, "        train_step(inputs, targets)"]


def _plateau_callback(plan: Plan) -> list[str]:
    plateau = plan.recipe.train.plateau
    if plateau is None:
        return []
    arguments = [
        f'monitor="val_{plateau.metric}"',
        f"factor={plateau.factor!r}",
        f"patience={plateau.patience}",
        f"min_delta={plateau.min_delta!r}",
        f"min_lr={plateau.min_lr!r}",
        f'mode="{"max" if plateau.metric in GROWING else "min"}"',
    ]
    remark = comment(
        "val_loss contains the L2 penalty, which the recipe's loss does not.", 1
    ) if plateau.metric == "loss" else []  # fmt: skip
    if plateau.metric not in {"loss", "accuracy"}:
        remark = comment(f"Give compile() a metric of the name {plateau.metric!r}, which is watched here.", 1)
    return [
        "def make_callbacks():",
        '    """Return the callbacks for fit(): lr is reduced on a plateau."""',
        *remark,
        "    return [",
        *call("keras.callbacks.ReduceLROnPlateau", [*arguments], depth=2),
        "    ]",
    ]


def _l2_of(plan: Plan, forms: list[Settings]) -> dict[str, float]:
    """Return the l of L2(l) for each parameter of the default classifier, by its name."""
    from downslope.core.groups import assign_groups

    sizes = [64, *python_source.widths(plan), 10]
    names = [*(f"dense{number}" for number in range(1, len(sizes) - 1)), "logits"]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, a, b in zip(names, sizes, sizes[1:], strict=False):
        shapes |= {f"{name}.weight": (a, b), f"{name}.bias": (b,)}
    assigned = assign_groups(plan.recipe.groups, shapes)
    return {
        name: form.weight_decay / 2
        for form, home in zip(forms, assigned, strict=True)
        for name in home
        if not isinstance(form.weight_decay, Schedule)
    }
