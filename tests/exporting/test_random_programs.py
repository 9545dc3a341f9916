"""Programs of random recipes: every name in them is defined, and they go the way of the rule at every step.

What a program says of itself counts: where it declares a deviation in a comment, the rule is taken with that deviation,
and any other is a failure.
"""

import random
import subprocess
import sys
from itertools import count

import pytest

from downslope import export
from downslope.core.errors import ExportError
from draws import SEED, draws
from exporting.problem import largest_difference, same_rule, trajectory
from exporting.random_recipes import random_case
from exporting.running import ON_TENSORFLOW, as_module, run_keras, run_optax, run_torch, solver_settings
from exporting.timm_as_it_is import install

WITHIN = 1e-6
PYTHON = ("torch", "timm", "downslope", "optax", "keras", "tensorflow")


def random_programs(seed, targets, number):
    """Yield (case, target, text) until `number` recipes could be expressed, each in the next of the targets."""
    rng = random.Random(f"{SEED} {seed}")
    found = 0
    for drawn in count():
        case, target = random_case(rng, drawn), targets[found % len(targets)]
        with_model = rng.random() < 0.5 and target != "caffe"
        try:
            text = export(case.recipe, to=target, steps_per_epoch=case.steps_per_epoch, with_model=with_model)
        except ExportError:
            continue
        yield case, target, text
        found += 1
        if found == number:
            return


def test_every_name_is_defined(tmp_path):
    """A thousand programs, of every target and with the model and without, compile, and ruff misses no name in them."""
    for number, (_, target, text) in enumerate(random_programs("names", PYTHON, draws(1020))):
        name = f"{target}_{number}.py"
        compile(text, name, "exec")
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E7,E9", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:3000]


def test_caffe_solvers_are_the_rule():
    """A random recipe's Caffe solver, read back by the conventions, has the rule's matrices at every step."""
    for case, _, text in random_programs("caffe", ("caffe",), draws(15)):
        if case.recipe.groups:
            continue
        settings, _ = solver_settings(text)
        assert same_rule(settings, case.recipe.sgd.in_steps(case.steps_per_epoch), range(1, case.steps)), text


def assert_goes_the_way_of_the_rule(case, text, path):
    """Raise unless a program's parameters are the rule's after every step, but for what the program declares."""
    said = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    clip_epsilon = 1e-6 if "divides by the norm + 1e-6" in said else 0.0
    expected = trajectory(case.recipe, case.steps, case.steps_per_epoch, clip_epsilon=clip_epsilon)
    assert largest_difference(path, expected) < WITHIN, f"seed {SEED}, {case}\n{case.recipe}\n{text}"


@pytest.mark.parametrize("target", ["torch", "timm", "downslope"])
def test_programs_for_torch_go_the_way_of_the_rule(target):
    """PyTorch, timm and Downslope, by the program's own loop."""
    if target == "timm":
        install()
    for case, _, text in random_programs("torch", (target,), draws(25)):
        assert_goes_the_way_of_the_rule(case, text, run_torch(case, target, module=as_module(text)))


@pytest.mark.slow
def test_programs_for_jax_go_the_way_of_the_rule():
    """JAX and optax, by the program's own step: compiled, and now and then as it is."""
    import jax

    for number, (case, _, text) in enumerate(random_programs("jax", ("optax",), draws(40))):
        with jax.disable_jit(disable=number % 8 == 0):
            path = run_optax(case, module=lambda text=text: as_module(text))
        assert_goes_the_way_of_the_rule(case, text, path)


@pytest.mark.slow
@ON_TENSORFLOW
@pytest.mark.parametrize("target", ["keras", "tensorflow"])
def test_programs_for_keras_go_the_way_of_the_rule(target):
    """Keras and TensorFlow, by the compiled model or training step under tf.function, and now and then as it is."""
    import tensorflow as tf

    for number, (case, _, text) in enumerate(random_programs("keras", (target,), draws(20))):
        tf.config.run_functions_eagerly(number % 4 == 0)
        try:
            path = run_keras(case, target, module=lambda text=text: as_module(text))
        finally:
            tf.config.run_functions_eagerly(False)
        assert_goes_the_way_of_the_rule(case, text, path)
