"""Functions, conditions and loops that compute the learning rate, recognised as schedules."""

from __future__ import annotations

import pytest

from reading.programs import found_in, remarks_of, values_of


def set_in_a_loop(body: str, epochs: int = 100) -> str:
    """Return a program that sets the rate at each epoch."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        f"opt = SGD(net.parameters(), lr=0.4, momentum=0.9)\ndef adjust(optimizer, epoch):\n{lines}\n"
        f"    for group in optimizer.param_groups:\n        group['lr'] = lr\n"
        f"for epoch in range({epochs}):\n    adjust(opt, epoch)\n    train(epoch)\n"
    )


# what sets the learning rate epoch by epoch, of 0.4 at first -> the schedule
FUNCTIONS = {
    "lr = 0.4 * (0.5 ** (epoch // 30))": {"schedule": "exponential", "initial": 0.4, "rate": 0.5, "every": 30, "staircase": True},
    "lr = 0.4 * 0.97 ** epoch": {"schedule": "exponential", "initial": 0.4, "rate": 0.97, "every": 1, "staircase": False},
    "lr = 0.4\nif epoch >= 40: lr = 0.04\nif epoch >= 80: lr = 0.004": {"schedule": "multistep", "initial": 0.4, "factor": 0.1, "milestones": [40, 80]},
    "lr = optimizer.param_groups[0]['lr']\nif epoch in [40, 70]: lr *= 0.2": {"schedule": "multistep", "initial": 0.4, "factor": 0.2, "milestones": [40, 70]},
    "if epoch < 10: lr = 0.4\nelif epoch < 50: lr = 0.1\nelse: lr = 0.05": {"schedule": "sequence", "schedules": [0.4, 0.1, 0.05], "boundaries": [10, 50]},
    "lr = 0.2 * (1 + math.cos(math.pi * epoch / 100))": {"schedule": "cosine", "initial": 0.4, "final": 0, "duration": 100},
    "lr = 0.01 + 0.195 * (1 + np.cos(np.pi * epoch / 100))": {"schedule": "cosine", "initial": 0.4, "final": 0.01, "duration": 100},
    "lr = 0.4 * (1 - epoch / 100) ** 0.9": {"schedule": "polynomial", "initial": 0.4, "final": 0, "duration": 100, "power": 0.9},
    "lr = 0.4 * (1 - epoch / 100)": {"schedule": "linear", "initial": 0.4, "final": 0, "duration": 100},
    "lr = 0.4 / (1 + 0.05 * epoch)": {"schedule": "inverse", "initial": 0.4, "gamma": 0.05, "power": 1},
    "lr = max(0.4 * 0.1 ** (epoch // 20), 0.001)": {"schedule": "exponential", "initial": 0.4, "rate": 0.1, "every": 20, "staircase": True, "end": 0.001},
    "lr = 0.4 * epoch / 5 if epoch < 5 else 0.4 * 0.1 ** (epoch // 30)": {
        "schedule": "warmup", "duration": 5, "start": 0, "then.schedule": "exponential", "then.initial": 0.4, "then.rate": 0.1,
        "then.every": 30, "restart": False,
    },
    "if epoch < 5:\n    lr = 0.4 * (epoch + 1) / 5\nelse:\n    lr = 0.2 * (1 + math.cos(math.pi * (epoch - 5) / 95))": {
        "schedule": "warmup", "duration": 5, "start": 0.08, "then.schedule": "cosine", "then.initial": 0.4, "then.final": 0,
        "then.duration": 95, "restart": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("body", FUNCTIONS)
def test_what_sets_the_rate_is_recognised(body):
    """What a program sets epoch by epoch is named as a schedule."""
    expected = {f"sgd.lr.{name}": value for name, value in FUNCTIONS[body].items()}
    found = values_of(set_in_a_loop(body))
    for path, value in expected.items():
        assert found.get(path) == (pytest.approx(value) if not isinstance(value, str | bool) else value), (path, found)
    assert found["train.epochs"] == 100


def test_warmup_within_epochs():
    """Five epochs of warmup batch by batch, then 0.4, divided by 10 at 30, 60 and 80."""
    found = values_of(
        "def adjust(optimizer, epoch, step, length):\n"
        "    drops = epoch // 30 + (epoch >= 80)\n"
        "    lr = 0.4 * 0.1 ** drops\n"
        "    if epoch < 5:\n"
        "        lr = lr * float(1 + step + epoch * length) / (5. * length)\n"
        "    for group in optimizer.param_groups:\n"
        "        group['lr'] = lr\n"
        "opt = SGD(p, lr=0.4)\n"
        "for epoch in range(90):\n"
        "    for i, (x, y) in enumerate(loader):\n"
        "        adjust(opt, epoch, i, len(loader))\n"
        "        loss.backward()\n"
        "        opt.step()\n"
    )
    expected = {
        "sgd.lr.schedule": "warmup",
        "sgd.lr.duration": 5,
        "sgd.lr.unit": "epoch",
        "sgd.lr.then.milestones": [30, 60, 80],
    }
    assert {path: found.get(path) for path in expected} == expected, found


def test_iterations_are_looked_at_where_something_can_change():
    """A long loop is looked at around the numbers of the program."""
    program = (
        "opt = SGD(p, lr=0.2)\nfor it in range(60000):\n    if it in [20000, 45000]:\n"
        "        for g in opt.param_groups: g['lr'] *= 0.1\n    loss.backward()\n    opt.step()"
    )
    found = values_of(program)
    assert found["sgd.lr.milestones"] == [20000, 45000]
    assert (found["sgd.lr.unit"], found["train.steps"]) == ("step", 60000)


def test_lambda_in_steps_is_told_in_epochs():
    """A function of the step that scales with the length of an epoch is one of epochs."""
    program = (
        "opt = SGD(p, lr=0.1)\ns = LambdaLR(opt, lambda t: 0.5 * (1 + math.cos(math.pi * t / (60 * len(loader)))))\n"
        "for epoch in range(60):\n    for x in loader:\n        opt.step()\n        s.step()"
    )
    found = values_of(program)
    assert (found["sgd.lr.schedule"], found["sgd.lr.duration"], found["sgd.lr.unit"]) == ("cosine", 60, "epoch")


def test_a_function_alone():
    """A function that nobody calls tells its schedule, and a name the rate it begins with."""
    program = "def lr_schedule(epoch, lr):\n    if epoch and epoch % 20 == 0:\n        return lr * 0.1\n    return lr\ninitial_lr = 0.05"
    found = values_of(program)
    assert (found["sgd.lr.schedule"], found["sgd.lr.every"], found["sgd.lr.initial"]) == ("exponential", 20, 0.05)


def test_a_function_of_the_iteration_in_an_endless_loop():
    """The function is evaluated over the run: 100 iterations up to 0.3, then a cosine down to 0.03 at 5000."""
    program = (
        "top, bottom, warm, last, max_iters = 0.3, 0.03, 100, 5000, 5000\n"
        "def get_lr(it):\n    if it < warm:\n        return top * it / warm\n    if it > last:\n        return bottom\n"
        "    part = (it - warm) / (last - warm)\n    return bottom + 0.5 * (1 + math.cos(math.pi * part)) * (top - bottom)\n"
        "max_iters = 5000\nopt = SGD(p, lr=top)\nn = 0\nwhile True:\n    for g in opt.param_groups:\n        g['lr'] = get_lr(n)\n    n += 1"
    )
    found = values_of(program)
    assert (found["sgd.lr.schedule"], found["sgd.lr.duration"], found["train.steps"]) == ("warmup", 100, 5000)
    then = {name: found[f"sgd.lr.then.{name}"] for name in ("schedule", "initial", "final", "duration")}
    assert then == {"schedule": "cosine", "initial": 0.3, "final": pytest.approx(0.03), "duration": 4900}


def test_a_rate_that_depends_on_what_is_measured_is_no_schedule():
    """The rate is marked, and nothing is made up."""
    program = (
        "opt = SGD(p, lr=0.1)\nfor epoch in range(50):\n    train(epoch)\n    if loss > best:\n"
        "        for g in opt.param_groups: g['lr'] *= 0.5\n"
    )
    found = found_in(program)
    assert found.fields["sgd.lr"].value == 0.1
    assert "rate_if_measured" in found.fields["sgd.lr"].marks
    assert "rate_if_measured" in remarks_of(program)


def test_a_rate_that_is_not_recognised_is_marked():
    """A scheduler from elsewhere changes it in a way that is not known."""
    program = "opt = SGD(p, lr=0.1)\ns = MyOwnLR(opt, 30)\nfor epoch in range(9):\n    train(epoch)\n    s.step()"
    field = found_in(program).fields["sgd.lr"]
    assert (field.value, field.provenance, field.marks) == (0.1, "implied", ("rate_unrecognised",))
