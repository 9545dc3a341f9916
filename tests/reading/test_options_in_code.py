"""A program's options: followed from their defaults, or from what a command line sets, to where they are used."""

from __future__ import annotations

import pytest

from reading.programs import found_in, remarks_of, values_of

OPTIONS = {
    "argparse": (
        (
            "p = argparse.ArgumentParser()\np.add_argument('--lr', '--rate', type=float, default='0.3', help='try 0.7')\n"
            "p.add_argument('--steps', default='20,40')\np.add_argument('-n', '--num-epochs', type=int, default=50)\n"
            "args = p.parse_args()\nopt = SGD(net.parameters(), lr=args.lr)\n"
            "s = MultiStepLR(opt, [int(t) for t in args.steps.split(',')], gamma=0.5)\nfor epoch in range(args.num_epochs):\n    train(epoch)"
        ),
        {"sgd.lr.initial": 0.3, "sgd.lr.milestones": [20, 40], "sgd.lr.factor": 0.5, "train.epochs": 50},
    ),
    "click": (
        (
            "@click.command()\n@click.option('--lr', default=0.3)\n@click.option('-e', '--epochs', default=7)\n"
            "def main(lr, epochs):\n    opt = SGD(p, lr)\n    for e in range(epochs):\n        train(e)\nmain()"
        ),
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "typer": (
        "def main(lr: float = typer.Option(0.3, help='9'), epochs: int = 7):\n    opt = SGD(p, lr)\n    for e in range(epochs):\n        train(e)\ntyper.run(main)",
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "absl": (
        (
            "FLAGS = flags.FLAGS\nflags.DEFINE_float('lr', 0.3, 'one of 5')\nflags.DEFINE_integer('epochs', 7, '')\n"
            "def main(_):\n    opt = SGD(p, lr=FLAGS.lr)\n    for e in range(FLAGS.epochs):\n        train(e)\napp.run(main)"
        ),
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "fire": (
        "def main(lr=0.3, epochs=7):\n    opt = SGD(p, lr=lr)\n    for e in range(epochs):\n        train(e)\nfire.Fire(main)",
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
    "dataclass": (
        (
            "@dataclass\nclass Config:\n    lr: float = 0.3\n    epochs: int = field(default=7)\n"
            "def main(config: Config):\n    opt = SGD(p, lr=config.lr)\n    for e in range(config.epochs):\n        train(e)\n"
        ),
        {"sgd.lr": 0.3, "train.epochs": 7},
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_followed_to_where_they_are_used(name):
    """A default counts where it reaches the optimizer, the schedule or the loop; help texts do not."""
    program, expected = OPTIONS[name]
    found = values_of(program)
    assert {path: found.get(path) for path in expected} == expected, found


@pytest.mark.parametrize("name", OPTIONS)
def test_flags_take_the_place_of_defaults(name):
    """What a command line sets holds, with the place of its words."""
    program, _ = OPTIONS[name]
    found = found_in(program, lr=0.125)
    field = found.fields.get("sgd.lr") or found.fields["sgd.lr.initial"]
    assert field.value == 0.125
    assert (field.file, field.start, field.end, field.provenance) == ("run.sh", 7, 12, "stated")


def test_a_flag_may_be_a_list_or_a_switch():
    """Flags of several values, and those without one."""
    program = (
        "p.add_argument('--steps', type=int, nargs='+', default=[30])\np.add_argument('--nesterov', action='store_true')\n"
        "a = p.parse_args()\nopt = SGD(w, lr=1.0, momentum=0.9, nesterov=a.nesterov)\ns = MultiStepLR(opt, a.steps)"
    )
    assert values_of(program)["sgd.nesterov"] is False
    found = values_of(program, steps=[40, 60], nesterov=True)
    assert found["sgd.lr.milestones"] == [40, 60]
    assert found["sgd.nesterov"] is True


def test_a_default_that_the_program_refuses_is_passed_over():
    """Where the program asks for another setting, what comes after still tells the training."""
    program = (
        "p.add_argument('--gpu', default=None)\na = p.parse_args()\nif a.gpu is None:\n    raise ValueError('give one')\n"
        "opt = SGD(w, lr=0.1)"
    )
    assert values_of(program) == {"sgd.lr": 0.1}


def test_another_setting_than_the_default_is_a_remark():
    """The default path holds, and the condition is told."""
    program = (
        "p.add_argument('--arch', default='small')\na = p.parse_args()\nopt = SGD(w, lr=0.1)\n"
        "if a.arch in ['large', 'huge']:\n    for g in opt.param_groups: g['lr'] = 0.01\nfor epoch in range(20):\n    train(epoch)"
    )
    assert values_of(program)["sgd.lr"] == 0.1
    assert "otherwise" in remarks_of(program)
