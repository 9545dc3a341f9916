"""What a name, a list or a condition of a program is worth where it is used, also from a module beside."""

from __future__ import annotations

import pytest

from downslope import read
from reading.programs import found_in, values_of

SCRIPT = """
from conf import settings
from defaults import LR, WD
opt = torch.optim.SGD(net.parameters(), lr=LR, momentum=settings.MOMENTUM, weight_decay=WD)
schedule = torch.optim.lr_scheduler.MultiStepLR(opt, milestones=settings.MILESTONES, gamma=0.2)
for epoch in range(1, settings.EPOCH + 1):
    train()
"""
MODULE = "EPOCH = 200\nMILESTONES = [60, 120, 160]\nMOMENTUM = 0.9\nLR = 0.1\nWD = 5e-4\n"
SAID = {
    "sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [60, 120, 160],
    "sgd.lr.unit": "epoch", "sgd.momentum": 0.9, "sgd.weight_decay": 5e-4, "train.epochs": 200,
}  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_a_script_and_the_module_that_it_imports(order):
    """Names are looked up in the module beside, in whatever order the two are given; words say where they stand."""
    pairs = [("train.py", SCRIPT), ("conf.py", MODULE)]
    fields = read(pairs[::order])[0].fields
    assert {path: fields[path].value for path in SAID} == SAID
    milestones = fields["sgd.lr.milestones"]
    assert (milestones.file, MODULE[milestones.start : milestones.end]) == ("conf.py", milestones.words)


def test_a_module_pasted_below_its_script():
    """The names in capitals at the end of a text are known above."""
    fields = read(SCRIPT.replace("from defaults", "from conf") + MODULE)[0].fields
    assert {path: fields[path].value for path in SAID} == SAID


def test_a_name_is_not_taken_from_below():
    """A later value of a variable is not an earlier one of an option."""
    text = "args.lr = 0.1\nargs.n = 512\nlr = args.lr * args.n / 256\nopt = torch.optim.SGD(net.parameters(), lr, momentum=0.9)\n"
    assert read(text)[0].fields["sgd.lr"].value == 0.2


def test_cases_of_an_unknown_subject_are_conditions():
    """Which case holds is as unknown as the side of an `if`; of a known subject the case is the value's."""
    cases = "match mode:\n        case 'a' | 'c':\n            lr = 0.1\n        case 'b':\n            lr = 0.3\n        case _:\n            lr = 0.2"
    program = f"def rate(mode):\n    {cases}\n    return lr\nopt = SGD(p, lr=rate({{}}))"
    assert found_in(program.format("x")).fields["sgd.lr"].marks == ("conditional",)
    for mode, rate in (("c", 0.1), ("b", 0.3), ("other", 0.2)):
        field = found_in(program.format(repr(mode))).fields["sgd.lr"]
        assert (field.value, field.marks) == (rate, ())


@pytest.mark.parametrize(
    ("part", "rate"), [("[::2][1]", 0.3), ("[::-1][0]", 0.4), ("[1:][0]", 0.2), ("[::0][0]", None)]
)
def test_a_slice_takes_its_step(part, rate):
    """Every second item, or the list from its end; a step of 0 is refused by Python."""
    assert values_of(f"rates = [0.1, 0.2, 0.3, 0.4]\nopt = SGD(p, lr=rates{part})").get("sgd.lr") == rate


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ("rate = sorted(rates, reverse=True)[0]", 0.3),
        ("rate = sorted(rates)[0]", 0.1),
        ("rate = sorted(rates, key=score)[0]", None),
        ("rate = list(reversed(rates))[0]", 0.1),
        ("rates.reverse()\nrate = rates[0]", 0.1),
        ("rates.sort()\nrate = rates[1]", 0.2),
        ("rates.sort(reverse=True)\nrate = rates[1]", 0.2),
        ("rates.sort(key=score)\nrate = rates[0]", None),
        ("rates.insert(0, 0.5)\nrate = rates[0]", 0.5),
        ("rate = max(rates, key=score)", None),
    ],
)
def test_order_of_a_list(words, rate):
    """A list is in the order that the program puts it in; by a function that is not known, in none."""
    assert values_of(f"rates = [0.3, 0.2, 0.1]\n{words}\nopt = SGD(p, lr=rate)").get("sgd.lr") == rate


def test_what_is_commented_out_printed_or_help_is_no_value():
    """Only what would run counts."""
    program = (
        "# opt = SGD(p, lr=0.7, momentum=0.6)\np.add_argument('--lr', default=0.1, help='0.5 with momentum 0.4')\n"
        "a = p.parse_args()\nprint('SGD(lr=0.9)')\nopt = SGD(p, lr=a.lr)\n'''lr = 0.8'''"
    )
    assert values_of(program) == {"sgd.lr": 0.1}


def test_the_code_holds_where_its_comment_says_something_else():
    """A comment with another number is told of; one with the same is not."""
    program = "opt = SGD(p,\n  lr=0.1,  # learning rate 0.01\n  momentum=0.9)  # momentum = 0.9"
    assert values_of(program)["sgd.lr"] == 0.1
    assert [name for name, _ in found_in(program).remarks] == ["comment_differs"]
