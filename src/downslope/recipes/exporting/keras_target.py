"""Keras and TensorFlow: keras.optimizers.SGD, L2 regularizers, and a small subclass where its rule is another.

What lives here: both programs, which differ in how a model is trained. What does not: schedules (`keras_schedules.py`)
and the subclass (`keras_subclass.py`).
"""

from __future__ import annotations

from downslope.core.errors import ExportError
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.recipes.exporting import common
from downslope.recipes.exporting.keras_digits import keras_digits
from downslope.recipes.exporting.keras_schedules import write_learning_rate
from downslope.recipes.exporting.keras_subclass import reasons_for_subclass, write_subclass
from downslope.recipes.exporting.plan import (
    Plan,
    in_simplest_decay,
    match_source,
    quoted,
    without_dampening,
)
from downslope.recipes.exporting.source import call, comment, docstring, imports, module, statement
from downslope.recipes.schema import GROWING


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
            *common.constants(plan),
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
    opening = common.opening(plan, "TensorFlow" if keras == "tf.keras" else "Keras")
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
    left_out = [f"    {line}" for line in common.not_exported(plan)]
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
    if common.by_epochs(plan):
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

    sizes = [64, *common.widths(plan), 10]
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
