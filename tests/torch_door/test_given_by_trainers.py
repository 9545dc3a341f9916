"""Parameters as trainers pass them, without names: groups by the model, by dimension, by a function; `param_groups`."""

from __future__ import annotations

import copy

import pytest
import torch

from downslope import Group
from downslope.core.errors import GroupError, SettingsError, UnorderedError
from downslope.torch import SGD, param_groups


def model_with_norm() -> torch.nn.Sequential:
    """A model with a normalisation layer whose weight has two dimensions: only the layer tells what it is."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm([2, 4]), torch.nn.Linear(4, 1))


def decays(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return the weight decay of each parameter, by its name in the model."""
    found = {id(param): group["weight_decay"] for group in optimizer.param_groups for param in group["params"]}
    return {name: found[id(param)] for name, param in model.named_parameters()}


NO_DECAY = {"0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "2.bias": 0.0, "0.weight": 0.1, "2.weight": 0.1}


@pytest.mark.parametrize(
    "groups",
    [
        [Group(match="@bias_and_norm", weight_decay=0.0)],
        [{"match": "@bias_and_norm", "weight_decay": 0.0}],
        {"match": "@bias_and_norm", "weight_decay": 0.0},
        {"@bias_and_norm": {"weight_decay": 0.0}},
        {"*.bias": {"weight_decay": 0.0}, "1.*": {"weight_decay": 0.0}},
        [Group(match=lambda name, param: name.endswith("bias") or name.startswith("1."), weight_decay=0.0)],
    ],
    ids=["object", "dictionary", "one dictionary", "by pattern", "two patterns", "function"],
)
def test_the_model_beside_the_parameters_gives_names(groups):
    """As with the module itself: the same groups, names and state; layers are known too."""
    model = model_with_norm()
    optimizer = SGD(model.parameters(), lr=0.1, weight_decay=0.1, groups=groups, model=model)
    assert decays(model, optimizer) == NO_DECAY
    same = SGD(model, lr=0.1, weight_decay=0.1, groups=groups)
    assert optimizer.state_dict() == same.state_dict()
    wrapped = torch.nn.DataParallel(model)
    within = SGD(list(wrapped.parameters()), lr=0.1, weight_decay=0.1, groups=groups, model=model)
    assert within.state_dict() == same.state_dict()
    theirs = torch.optim.SGD(param_groups(model, groups), lr=0.1, weight_decay=0.1)
    assert decays(model, theirs) == NO_DECAY


def test_names_for_a_trainers_own_groups():
    """Dictionaries keep what they say; names come from the model, so that states are loaded by name."""
    model = model_with_norm()
    weights = [param for param in model.parameters() if param.ndim > 1]
    others = [param for param in model.parameters() if param.ndim <= 1]
    optimizer = SGD([{"params": weights}, {"params": iter(others), "weight_decay": 0.0}], lr=0.1, model=model)
    assert [group["param_names"] for group in optimizer.param_groups] == [
        ["0.weight", "1.weight", "1.bias", "2.weight"],
        ["0.bias", "2.bias"],
    ]


def test_names_that_are_there_stay():
    """The model then only tells which layers are normalisation."""
    model = model_with_norm()
    named = [(f"own.{name}", param) for name, param in model.named_parameters()]
    optimizer = SGD(named, lr=0.1, model=model)
    assert optimizer.param_groups[0]["param_names"][0] == "own.0.weight"


def test_without_names_dimensions_decide():
    """The built-in selector takes what has at most one dimension; functions get None for the name."""
    model = model_with_norm()
    optimizer = SGD(
        model.parameters(), lr=0.1, weight_decay=0.1, groups=[{"match": "@bias_and_norm", "weight_decay": 0.0}]
    )
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 4]
    assert "param_names" not in optimizer.param_groups[0]
    seen = []
    optimizer = SGD(
        model.parameters(),
        lr=0.1,
        weight_decay=0.1,
        groups=[{"match": lambda name, param: bool(seen.append(name)) or param.ndim == 1, "weight_decay": 0.0}],
    )
    assert seen == [None] * 6
    assert decays(model, optimizer) == {name: 0.0 if name in ("0.bias", "2.bias") else 0.1 for name in NO_DECAY}


def test_an_odd_name_chosen_by_a_function_is_that_name_alone():
    """Letters that mean something in a pattern mean themselves."""
    named = [(name, torch.nn.Parameter(torch.ones(2, 2))) for name in ("a*", "ab", "[a]", "a")]
    optimizer = SGD(named, lr=0.1, groups=[Group(match=lambda name, _: name in ("a*", "[a]"), lr=0.2)])
    assert [group["param_names"] for group in optimizer.param_groups] == [["a*", "[a]"], ["ab", "a"]]


def test_param_groups_train_as_the_optimizer_with_groups():
    """The same bits, from our groups in our optimizer; in torch's the same numbers."""
    groups = {"@bias_and_norm": {"weight_decay": 0.0}, "2.weight": {"lr": 0.01, "momentum": 0.5}}
    first, second, third = (copy.deepcopy(model_with_norm()) for _ in range(3))
    rest = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    optimizers = [
        SGD(first, groups=groups, **rest),
        SGD(param_groups(second, groups), **rest),
        torch.optim.SGD(param_groups(third, groups), **rest),
    ]
    for _ in range(4):
        for model, optimizer in zip((first, second, third), optimizers, strict=True):
            optimizer.zero_grad()
            model(torch.arange(12.0).reshape(2, 2, 3)[0] / 9).square().mean().backward()
            optimizer.step()
    for one, two, three in zip(first.parameters(), second.parameters(), third.parameters(), strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, three, rtol=1e-6, atol=1e-7)
    assert [group["param_names"] for group in optimizers[1].param_groups] == [
        group["param_names"] for group in optimizers[0].param_groups
    ]
    optimizers[0].load_state_dict(optimizers[1].state_dict())


def test_param_groups_of_nothing_and_of_a_wrapped_model():
    """No groups are one; names are those of the bare model."""
    model = model_with_norm()
    (group,) = param_groups(model, ())
    assert len(group["params"]) == len(group["param_names"]) == 6
    assert set(group) == {"params", "param_names"}
    found = param_groups(torch.nn.DataParallel(model), {"*.bias": {"weight_decay": 0.0}})
    assert found[0]["param_names"] == ["0.bias", "1.bias", "2.bias"]
    assert param_groups(torch.nn.ReLU(), ()) == [{"params": [], "param_names": []}]


def test_later_groups_may_have_names_beside_them():
    """A dictionary of `param_groups` is added as it is."""
    model = model_with_norm()
    first, second = param_groups(model, {"2.*": {"lr": 0.5}})
    optimizer = SGD([first], lr=0.1)
    optimizer.add_param_group(second)
    assert [group["param_names"] for group in optimizer.param_groups] == [first["param_names"], second["param_names"]]
    with pytest.raises(GroupError, match="1 parameters and 2 names"):
        SGD([{"params": [model[0].weight], "param_names": ["a", "b"]}], lr=0.1)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({"*.bias": {"weight_decay": 0.0}}, GroupError, r"`groups` match parameters by name.*model="),
        ([{"weight_decay": 0.0}], GroupError, 'needs "match"'),
        ([("*.bias", 0.0)], GroupError, "must be a downslope.Group, or a dictionary"),
        ({"*.bias": 0.0}, GroupError, "must have a dictionary of settings"),
        ([{"match": "@bias_and_norm", "weight_decy": 0.0}], SettingsError, "weight_decay"),
        ([{"match": "@norm", "weight_decay": 0.0}], GroupError, "@bias_and_norm"),
        ([{"match": lambda name, param: 1, "weight_decay": 0.0}], GroupError, "must return True or False"),
        ([{"match": lambda name, param: False, "weight_decay": 0.0}], GroupError, "chooses no parameter"),
        ({Group(match="@bias_and_norm", weight_decay=0.0)}, UnorderedError, "must be a list"),
    ],
)
def test_what_cannot_be_is_said(groups, error, message):
    """With what is allowed, and what to do."""
    with pytest.raises(error, match=message):
        SGD(model_with_norm().parameters(), lr=0.1, groups=groups)


def test_a_model_that_the_parameters_are_not_of():
    """The first that it lacks is named; what is no module is refused."""
    model = model_with_norm()
    with pytest.raises(GroupError, match=r"parameter 0, of shape \(4, 3\), is none of `model`, a Sequential"):
        SGD(model.parameters(), lr=0.1, model=model_with_norm())
    with pytest.raises(SettingsError, match="`model` must be"):
        SGD(model.parameters(), lr=0.1, model="resnet18")
    with pytest.raises(SettingsError, match="`model` must be"):
        param_groups(model.parameters(), ())


def test_functions_are_for_torch_alone():
    """Elsewhere a group needs patterns, and says so."""
    group = Group(match=lambda name, param: True, weight_decay=0.0)
    with pytest.raises(GroupError, match=r"downslope\.torch alone"):
        _ = group.patterns


def test_groups_of_parameters_alone_are_parameters():
    """As skorch passes them: dictionaries without settings leave the choice to `groups`."""
    model = model_with_norm()
    own = [{"params": [param]} for param in model.parameters()]
    optimizer = SGD(own, lr=0.1, weight_decay=0.1, groups={"@bias_and_norm": {"weight_decay": 0.0}}, model=model)
    assert decays(model, optimizer) == NO_DECAY
    with pytest.raises(GroupError, match=r"exclude each other.*param_groups\(model, groups\)"):
        SGD([{"params": list(model.parameters()), "lr": 0.2}], lr=0.1, groups={"*.bias": {"lr": 0.3}}, model=model)
