"""Groups of parameters in code: which become groups of a recipe, and which cannot."""

from __future__ import annotations

import pytest

from reading.neighbours import differences
from reading.programs import remarks_of, values_of

CASES = {
    "param groups torch": (
        """\
optimizer = torch.optim.SGD([
    {'params': get_1x_lr_params(model), 'lr': args.lr},
    {'params': get_10x_lr_params(model), 'lr': 10 * args.lr}], momentum=0.9, weight_decay=5e-4)
""",
        {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "no decay groups": (
        """\
decay, no_decay = [], []
for name, p in model.named_parameters():
    if p.ndim <= 1 or name.endswith(".bias"):
        no_decay.append(p)
    else:
        decay.append(p)
opt = torch.optim.SGD([{"params": decay, "weight_decay": 1e-4}, {"params": no_decay, "weight_decay": 0.0}], lr=0.1, momentum=0.9)
""",
        {
            "sgd.lr": 0.1,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "groups.0.match": "@bias_and_norm",
            "groups.0.weight_decay": 0,
        },
    ),
    "group wd bias lr": (
        """\
params = []
for key, value in dict(net.named_parameters()).items():
    if value.requires_grad:
        if 'bias' in key:
            params += [{'params': [value], 'lr': lr * 2, 'weight_decay': 0}]
        else:
            params += [{'params': [value], 'lr': lr, 'weight_decay': 0.0005}]
lr = 0.001
optimizer = torch.optim.SGD(params, momentum=0.9)
""",
        {"sgd.momentum": 0.9, "sgd.lr": 0.001, "sgd.weight_decay": 0.0005, "groups.0.weight_decay": 0.0},
    ),
    "group wd bias lr known": (
        """\
lr = 0.001
params = []
for key, value in dict(net.named_parameters()).items():
    if value.requires_grad:
        if 'bias' in key:
            params += [{'params': [value], 'lr': lr * 2, 'weight_decay': 0}]
        else:
            params += [{'params': [value], 'lr': lr, 'weight_decay': 0.0005}]
optimizer = torch.optim.SGD(params, momentum=0.9)
""",
        {
            "sgd.lr": 0.001,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "groups.0.match": "*.bias",
            "groups.0.lr": 0.002,
            "groups.0.weight_decay": 0,
        },
    ),
    "fc 10x": (
        """\
ignored_params = list(map(id, model.fc.parameters()))
base_params = filter(lambda p: id(p) not in ignored_params, model.parameters())
optimizer = optim.SGD([
    {'params': base_params},
    {'params': model.fc.parameters(), 'lr': 0.01}], lr=0.001, momentum=0.9)
""",
        {"sgd.lr": 0.001, "sgd.momentum": 0.9, "groups.0.match": "fc.*", "groups.0.lr": 0.01},
    ),
}
"""What each states, all of it, worked out by hand."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name):
    """Each value that is written, followed to where it is used; nothing else is stated."""
    assert not differences(*CASES[name])


def test_groups():
    """Parameters of a known name become groups; those that are given nothing of their own do not."""
    found = values_of(
        "opt = SGD([{'params': net.fc.parameters(), 'lr': 0.1}, {'params': biases, 'weight_decay': 0},"
        " {'params': net.stem.parameters()}], lr=0.01, momentum=0.9, weight_decay=5e-4)"
    )
    assert found["sgd.lr"] == 0.01
    assert [
        (found[f"groups.{i}.match"], found.get(f"groups.{i}.lr"), found.get(f"groups.{i}.weight_decay")) for i in (0, 1)
    ] == [
        ("fc.*", 0.1, None),
        ("*.bias", None, 0.0),
    ]


def test_groups_by_a_condition_on_the_name():
    """What is set for names with "bias" is a group, and what is set for the rest the main setting."""
    found = values_of(
        "params = []\nfor name, value in net.named_parameters():\n    if 'bias' in name:\n"
        "        params += [{'params': [value], 'lr': 0.02, 'weight_decay': 0}]\n    else:\n"
        "        params += [{'params': [value], 'lr': 0.01, 'weight_decay': 1e-4}]\nopt = torch.optim.SGD(params, momentum=0.9)"
    )
    assert (found["sgd.lr"], found["sgd.weight_decay"]) == (0.01, 1e-4)
    assert (found["groups.0.match"], found["groups.0.lr"], found["groups.0.weight_decay"]) == ("*.bias", 0.02, 0)


def test_a_group_of_unknown_parameters_is_a_remark():
    """Its numbers are told, and no pattern is made up."""
    program = "opt = SGD([{'params': picked, 'lr': 0.5}], lr=0.1)"
    assert values_of(program) == {"sgd.lr": 0.1}
    assert "group_unknown" in remarks_of(program)
