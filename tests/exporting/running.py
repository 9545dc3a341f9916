"""Running exported programs: each, as a module, trains the small problem as its reader would run it."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import types

import numpy as np
import pytest

from downslope import Settings, export
from exporting.problem import FLATTER, NAMES, START, batch

ON_TENSORFLOW = pytest.mark.skipif(
    os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason="tf.function is TensorFlow's"
)


class Enough(Exception):  # noqa: N818 - no error: the test has seen as many steps as it wants
    """Ends a training."""


def program(case, target, **options):
    """Return the exported program, run as a module."""
    text = export(case.recipe, to=target, steps_per_epoch=case.steps_per_epoch, **options)
    return as_module(text, f"<{target}: {case.name}>")


def as_module(text, name="<exported>"):
    """Return a program, run as a module."""
    module = types.ModuleType("exported")
    exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 - that it runs is the test
    module.TEXT = text
    return module


def run_torch(case, target="torch", *, evaluate=None, module=None):
    """Train by the program's own `train`, watching the parameters as it asks for batches."""
    import torch

    module = module or program(case, target)
    model = torch.nn.Sequential()
    model.add_module("dense1", torch.nn.Linear(3, 2, dtype=torch.float64))
    model.add_module("logits", torch.nn.Linear(2, 1, dtype=torch.float64))
    with torch.no_grad():
        for name, param in model.named_parameters():
            param.copy_(torch.from_numpy(START[name].T if param.ndim == 2 else START[name]))
    path = []

    def look():
        path.append({n: p.detach().numpy().T.copy() for n, p in model.named_parameters()})

    class Batches:
        def __init__(self):
            self.step = 0

        def __iter__(self):
            for _ in range(case.steps_per_epoch):
                look()
                if self.step == case.steps:
                    raise Enough
                inputs, targets = batch(self.step, case.steps_per_epoch)
                self.step += 1
                yield torch.from_numpy(inputs), torch.from_numpy(targets)

    plateau = case.recipe.train.plateau is not None and target != "downslope"
    try:
        module.train(
            model,
            Batches(),
            lambda y, t: ((y - t) ** 2).mean() / FLATTER,
            *([evaluate or _better(case)] if plateau else []),
        )
        look()
    except Enough:
        pass
    return path


def _better(case):
    """Return an evaluation that improves each time, so that nothing is reduced."""
    sign = 1 if case.recipe.train.plateau.metric == "accuracy" else -1
    values = iter(range(1, 1_000_000))
    return lambda model: sign * float(next(values))


def run_optax(case, *, module=None):
    """Train by the program's own compiled step."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        module = program(case, "optax") if module is None else module()
        params = {
            layer: {"kernel": jnp.asarray(START[f"{layer}.weight"]), "bias": jnp.asarray(START[f"{layer}.bias"])}
            for layer in ("dense1", "logits")
        }

        def loss_function(params, inputs, targets):
            for layer in ("dense1", "logits"):
                inputs = inputs @ params[layer]["kernel"] + params[layer]["bias"]
            return ((inputs - targets) ** 2).mean() / FLATTER

        optimizer = module.make_optimizer()
        state = optimizer.init(params)
        train_step = module.make_train_step(optimizer, loss_function)
        path = []
        for step in range(case.steps + 1):
            path.append(params)
            if step < case.steps:
                params, state = train_step(params, state, *map(jnp.asarray, batch(step, case.steps_per_epoch)))
        words = {"weight": "kernel", "bias": "bias"}
        return [{n: np.asarray(one[n.split(".")[0]][words[n.split(".")[1]]]) for n in NAMES} for one in path]


@contextlib.contextmanager
def keras_precision(floatx):
    """Set Keras's default precision for some lines."""
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx(floatx)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def keras_model(penalty=None):
    """Return the network in Keras, built, with its first weights; with an L2 penalty of each layer, if it has one."""
    import keras

    regularized = {}
    if penalty is not None:
        regularized = {name: keras.regularizers.L2(penalty) for name in ("kernel_regularizer", "bias_regularizer")}
    layers = [keras.Input((3,), dtype="float64")]
    layers.append(keras.layers.Dense(2, name="dense1", dtype="float64", **regularized))
    layers.append(keras.layers.Dense(1, name="logits", dtype="float64", **regularized))
    model = keras.Sequential(layers)
    model.set_weights([START[name] for name in NAMES])
    return model


_PENALTY = re.compile(r"(?:kernel|bias)_regularizer=(?:tf\.)?keras\.regularizers\.L2\(([\d.e-]+)\)")


def run_keras(case, target, *, module=None):
    """Train by the program's compiled model (keras), or its training step (tensorflow)."""
    import keras

    with keras_precision("float64"):
        module = program(case, target) if module is None else module()
        penalties = set(
            re.findall(r"(?:kernel|bias)_regularizer=(?:tf\.)?keras\.regularizers\.L2\(([\d.e-]+)\)", module.TEXT)
        )
        model = keras_model(float(penalties.pop()) if len(penalties) == 1 else None)  # as the program's own
        if target == "keras":
            module.compile_model(model, lambda t, y: keras.ops.mean((t - y) ** 2) / FLATTER)
            model.jit_compile = False  # compiling takes longer than these steps
            train_step = model.train_on_batch
        else:
            train_step = module.make_train_step(model, lambda t, y: keras.ops.mean((t - y) ** 2) / FLATTER)
        path = [dict(zip(NAMES, model.get_weights(), strict=True))]
        for step in range(case.steps):
            train_step(*batch(step, case.steps_per_epoch))
            path.append(dict(zip(NAMES, model.get_weights(), strict=True)))
    return path


def solver_settings(text):
    """Return the settings that a Caffe solver stands for, by the convention, and its other fields by name."""
    given, steps = {}, []
    for line in text.splitlines():
        if line.startswith(("#", "net:")):
            continue
        name, value = line.split(": ")
        value = ast.literal_eval(value)
        if name == "stepvalue":
            steps.append(value)
        else:
            given[name] = value
    others = {name: given.pop(name, None) for name in ("clip_gradients", "iter_size")}
    if given["lr_policy"] != "poly":
        others["max_iter"] = given.pop("max_iter")
    return Settings.from_convention("caffe", **given, **({"stepvalue": steps} if steps else {})), others
