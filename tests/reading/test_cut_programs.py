"""Programs that are cut off, and what they say in ways of their own: steps written out, setters, penalties."""

from __future__ import annotations

import random

import pytest

from downslope import read
from downslope.reading.code.calls import ROWS, SETTING_OF, SIGNATURES
from downslope.reading.code.schedules import Schedules
from reading.programs import found_in, values_of

GIVEN = (
    "0", "1", "0.5", "[30, 60]", "[]", "(3,)", "'cosine'", "None", "True", "unknown", "{}", "{0: 0.1, 30: 0.01}",
    "{'a': 1}", "lambda e: 0.9 ** e", "steps * 3", "StepLR(opt, 30)", "[LinearLR(opt), StepLR(opt, 3)]", "10**400",
    "float('inf')", "'90ep'", "['1ep', '2ba']", "[[1], [2]]", "[None]", "print",
)  # fmt: skip
FRAMEWORKS = ("torch", "keras", "optax", "paddle", "mxnet", "composer", "downslope", "timm")


def _call(name: str, names: list[str], choose: random.Random) -> str:
    placed = [choose.choice(GIVEN) for _ in range(choose.randrange(len(names) + 2))]
    keywords = choose.sample(names, choose.randrange(len(names) + 1))
    return f"{name}({', '.join([*placed, *(f'{one}={choose.choice(GIVEN)}' for one in keywords)])})"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_arguments_of_a_known_call_raise_anything(framework):
    """Missing, of other types, given twice, by place or by keyword; with and without an optimizer."""
    choose = random.Random(f"calls of {framework}")
    for key in sorted({*(one for one in ROWS if " " not in one), *Schedules.methods}):
        words = ROWS.get(key, "x start_factor end_factor warmup_steps schedulers milestones").split()[1:]
        names = [word.partition("<")[2].partition("=")[0] or word.partition("=")[0] for word in words]
        call = _call(key.rpartition(".")[2], [one for one in dict.fromkeys(names) if one.isidentifier()], choose)
        found_in(
            f"from {framework}.x import *\nopt = SGD(p, lr=0.1)\ns = {call}\nfor epoch in range(9):\n    s.step()\n"
        )
    for key in sorted(SIGNATURES):
        names = [*dict.fromkeys([*SIGNATURES[key].split(), *choose.sample(sorted(SETTING_OF), 3)])]
        found_in(f"from {framework}.x import *\nopt = {_call(key.rpartition('.')[2], names, choose)}\n")


def test_a_line_that_stays_where_it_is():
    """An end factor of 1: the end is the beginning."""
    text = "from composer.optim import *\nopt = SGD(p, lr=0.1)\ns = LinearWithWarmupScheduler('5ep', alpha_f=1.0)\n"
    assert values_of(text)["sgd.lr.then.final"] == 0.1
    assert values_of(text.replace(", alpha_f=1.0", ""))["sgd.lr.then.final"] == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g = T.grad(cost, w)\nf = theano.function([x], cost, updates=[(w, w - 0.01 * g)])\n", {"sgd.lr": 0.01}),
        ("W = W - 0.3 * dW\nb = b - 0.3 * db\n", {"sgd.lr": 0.3}),
        ("for p in ps:\n    p -= 0.02 * p.grad\n", {"sgd.lr": 0.02}),
        ("x -= 0.5 * y\nz = z - 0.1 * noise\n", {}),
        ("w -= 0.1 * dw\nb -= 0.2 * db\n", {}),
        (
            "l2 = lasagne.regularization.regularize_network_params(net, lasagne.regularization.l2)\nloss += 5e-4 * l2\n"
            "u = lasagne.updates.nesterov_momentum(loss, ps, learning_rate=0.01)\n",
            {"sgd.lr": 0.01, "sgd.weight_decay": 1e-3},
        ),
        ("opt = SGD(p, 0.1)\nopt = apply(opt, [gradproc.GlobalNormClip(10)])\n", {"sgd.lr": 0.1, "train.clip_norm": 10}),
        ("    return lr\n\ndef make(ps):\n    return SGD(ps, lr=0.1, nesterov=True)\n", {"sgd.lr": 0.1, "sgd.nesterov": True}),
        (
            "def step_decay(epoch):\n    first = 0.1\n    if epoch < 30:\n        lr = first\n    else:\n        lr = first * 0.2\n",
            {"sgd.lr.initial": 0.1, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [30]},
        ),
        (
            "opt = MomentumOptimizer(lr, 0.9)\nf = HyperParamSetterWithFunc('learning_rate', lambda e, x: 0.1 * 0.5 ** (e // 20))\n",
            {"sgd.lr.rate": 0.5, "sgd.lr.every": 20},
        ),
        (
            "torch::optim::SGDOptions o(0.05);\no.momentum(0.9f);\no.weight_decay(5e-4);\ntorch::optim::SGD s(net->ps(), o);\n",
            {"sgd.lr": 0.05, "sgd.momentum": 0.9, "sgd.weight_decay": 5e-4},
        ),
        ("local state = {\n  learningRate = (0.1), -- 0.2\n  momentum = (0.9)\n}\n", {"sgd.lr": 0.1, "sgd.momentum": 0.9}),
        ("const opt = tf.train.momentum(0.01, 0.9);\nconst batchSize = 32;\n", {"sgd.lr": 0.01, "sgd.momentum": 0.9}),
    ],
)  # fmt: skip
def test_what_a_program_says(text, expected):
    """Values, and no others of a rate."""
    fields = read(text)[0].fields
    assert {path: fields[path].value for path in expected if path in fields} == expected
    assert expected or not any(path.startswith("sgd.lr") for path in fields)
