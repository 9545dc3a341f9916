"""Parameter groups: torch's own kind with every key, groups by name pattern, names, and groups that come later."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch_runs import assert_close, assert_same_bits, copy_params, make_params, run, set_grads, velocities

from downslope import Group
from downslope.core.errors import DownslopeError, GroupError, SettingsError
from downslope.torch import SGD


def norm_model() -> torch.nn.Sequential:
    """A model with a normalisation layer whose names do not tell so."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 2, 3))


def test_everything_per_group_as_in_torch() -> None:
    """lr, momentum, dampening, weight_decay, nesterov and maximize each differ by group and agree with torch."""
    ours, theirs = make_params(), make_params()

    def groups(params: list[torch.nn.Parameter]) -> list[dict[str, object]]:
        return [
            {"params": [params[0]], "lr": 0.2, "momentum": 0.5, "dampening": 0.25},
            {"params": [params[1]], "weight_decay": 0.1, "nesterov": True, "momentum": 0.8},
            {"params": [params[2]], "maximize": True, "momentum": 0.0},
            {"params": [params[3]]},
        ]

    run(SGD(groups(ours), lr=0.1, momentum=0.9), ours, 10)
    run(torch.optim.SGD(groups(theirs), lr=0.1, momentum=0.9, foreach=False), theirs, 10)
    assert_close(ours, theirs)


def test_own_settings_per_group() -> None:
    """decay, lr_in_velocity and undampened_first_step differ by group; each group equals an optimizer of its own."""
    options: list[dict[str, object]] = [
        {"decay": "decoupled", "weight_decay": 0.1},
        {"lr_in_velocity": True, "weight_decay": 0.2},
        {"undampened_first_step": False, "dampening": 0.5},
        {"decay": "independent", "weight_decay": 0.01, "nesterov": True},
    ]
    together, apart = make_params(), make_params()
    joint = SGD([{"params": [p], **o} for p, o in zip(together, options, strict=True)], lr=0.1, momentum=0.9)
    run(joint, together, 8)
    singles = [SGD([p], lr=0.1, momentum=0.9, **o) for p, o in zip(apart, options, strict=True)]  # type: ignore[arg-type]
    for step in range(8):
        set_grads(apart, step)
        for single in singles:
            single.step()
    assert_same_bits(together, apart)


def test_a_group_may_be_one_tensor() -> None:
    """{"params": tensor} is a group of one, as in torch."""
    (param,) = make_params([(3,)])
    assert SGD([{"params": param}]).param_groups[0]["params"] == [param]


def test_a_generator_of_parameters_is_read_once() -> None:
    """model.parameters() is a generator."""
    model = norm_model()
    assert len(SGD(model.parameters()).param_groups[0]["params"]) == 6
    assert len(SGD([{"params": model.parameters()}]).param_groups[0]["params"]) == 6


def test_the_callers_dictionaries_may_be_used_again() -> None:
    """Two optimizers from one list of dictionaries do not share a group."""
    params = make_params()
    given = [{"params": params, "lr": 0.5}]
    first, second = SGD(given, lr=0.1), SGD(given, lr=0.1)
    first.param_groups[0]["lr"] = 0.25
    assert second.param_groups[0]["lr"] == 0.5


def test_extra_keys_are_kept_as_in_torch() -> None:
    """Frameworks put keys of their own into groups, such as timm's lr_scale."""
    optimizer = SGD([{"params": make_params(), "lr_scale": 0.5, "name": "head"}])
    assert optimizer.param_groups[0]["lr_scale"] == 0.5
    assert optimizer.state_dict()["param_groups"][0]["name"] == "head"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"lr": -1.0}, "`lr`"),
        ({"momentum": -2.0}, "`momentum`"),
        ({"nesterov": "yes"}, "`nesterov`"),
        ({"decay": "none"}, "`decay`"),
        ({"dampening": float("inf")}, "`dampening`"),
        ({"fused": True, "foreach": True}, "`fused=True`"),
    ],
    ids=str,
)
def test_a_bad_setting_of_a_group_names_the_group(options: dict[str, object], word: str) -> None:
    """The message tells which of the groups; torch checks none of them."""
    params = make_params()
    with pytest.raises(DownslopeError) as caught:
        SGD([{"params": params[:1]}, {"params": params[1:], **options}], lr=0.1, momentum=0.9)
    assert word in str(caught.value)
    assert "1" in str(caught.value)


@pytest.mark.parametrize("key", ["lr_schedule", "momentum_schedule", "weight_decay_schedule"])
@pytest.mark.parametrize("value", [0.1, "cosine"])
def test_what_is_no_schedule_is_refused_as_one(key: str, value: object) -> None:
    """A group's key for a schedule takes a schedule or None; a number has its own key."""
    with pytest.raises(SettingsError, match=f"`{key}` must be a schedule or None; got .*{value}"):
        SGD([{"params": make_params(), key: value}], lr=0.1)


def test_an_empty_group_is_fine() -> None:
    """A group whose layers were all removed steps over nothing."""
    params = make_params()
    run(SGD([{"params": []}, {"params": params}], lr=0.1, momentum=0.9), params, 2)


def test_a_duplicate_across_groups_is_refused() -> None:
    """As in torch."""
    (param,) = make_params([(3,)])
    with pytest.raises(ValueError, match=r"(?i)twice|duplicate|more than one"):
        SGD([{"params": [param]}, {"params": [param]}])


def test_a_duplicate_is_refused_by_add_param_group_and_nothing_is_added() -> None:
    """The optimizer is as before after the refusal."""
    params = make_params()
    optimizer = SGD(params)
    with pytest.raises(ValueError, match=r"(?i)twice|duplicate|more than one"):
        optimizer.add_param_group({"params": [params[0]]})
    assert len(optimizer.param_groups) == 1


def test_a_later_group_gets_its_undampened_first_step() -> None:
    """add_param_group in mid-run: its parameters' first gradient is theirs, not the optimizer's, as in torch."""
    ours, theirs = make_params(), make_params()
    results = []
    for cls, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        optimizer = cls(params[:2], lr=0.1, momentum=0.9, dampening=0.5)
        run(optimizer, params, 3)
        optimizer.add_param_group({"params": params[2:], "lr": 0.05, "weight_decay": 0.1})
        run(optimizer, params, 3, start=3)
        results.append(optimizer)
    assert_close(ours, theirs)
    assert_close(velocities(results[0]), velocities(results[1]))
    assert results[0].step_count == 6


def test_a_later_groups_bad_setting_is_refused() -> None:
    """add_param_group checks like the constructor, and leaves no half-added group."""
    params = make_params()
    optimizer = SGD(params[:2], lr=0.1)
    with pytest.raises(SettingsError, match="`momentum`"):
        optimizer.add_param_group({"params": params[2:], "momentum": -1.0})
    assert len(optimizer.param_groups) == 1


def test_named_parameters_give_names() -> None:
    """model.named_parameters() works as in torch and the names stand in param_names."""
    model = norm_model()
    optimizer = SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == [name for name, _ in model.named_parameters()]


def test_a_module_gives_names() -> None:
    """SGD(model) is SGD(model.named_parameters())."""
    model = norm_model()
    optimizer = SGD(model, lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == [name for name, _ in model.named_parameters()]


def test_named_tuples_in_groups() -> None:
    """Groups may hold (name, tensor) pairs, as in torch."""
    params = make_params()
    optimizer = SGD([{"params": [("a", params[0])]}, {"params": [("b", params[1]), ("c", params[2])], "lr": 0.5}])
    assert [group["param_names"] for group in optimizer.param_groups] == [["a"], ["b", "c"]]


def test_some_names_missing_is_refused_as_in_torch() -> None:
    """Either all have a name or none."""
    params = make_params()
    with pytest.raises(ValueError, match="names"):
        SGD([("a", params[0]), params[1]])
    with pytest.raises(ValueError, match="names"):
        SGD([{"params": [("a", params[0])]}, {"params": [params[1]]}])


def test_the_same_name_twice_is_refused() -> None:
    """Loading by name could not tell them apart."""
    params = make_params()
    with pytest.raises(ValueError, match="`?'?a'?`?"):
        SGD([("a", params[0]), ("a", params[1])])


def test_the_same_name_twice_is_refused_with_patterns_too() -> None:
    """A dictionary by name would lose one of the two, and it would never be trained."""
    params = make_params()
    with pytest.raises(ValueError, match="`a`"):
        SGD([("a", params[0]), ("a", params[1]), ("b", params[2])], groups=[Group(match="b", lr=0.5)])


def test_a_name_taken_in_another_group_is_refused() -> None:
    """Also when the group comes later."""
    params = make_params()
    optimizer = SGD([("a", params[0])], lr=0.1)
    with pytest.raises(ValueError, match="`a`"):
        optimizer.add_param_group({"params": [("a", params[1])]})
    assert len(optimizer.param_groups) == 1


def test_a_misspelt_setting_in_a_group_is_refused() -> None:
    """Torch keeps it as an extra key and trains without it."""
    with pytest.raises(SettingsError, match="Did you mean `weight_decay`"):
        SGD([{"params": make_params(), "weight_deacy": 0.1}])


def test_an_unknown_way_of_decay_written_into_a_group_is_refused() -> None:
    """It must not fall through to some other way."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, weight_decay=0.1)
    optimizer.param_groups[0]["decay"] = "sideways"
    before = copy_params(params)
    with pytest.raises(SettingsError, match="sideways"):
        run(optimizer, params, 1)
    assert_same_bits(params, before)


def test_groups_by_pattern() -> None:
    """groups= assigns by name; what no pattern matches keeps the optimizer's settings and comes last."""
    model = norm_model()
    optimizer = SGD(model.named_parameters(), lr=0.1, weight_decay=0.5, groups=[Group(match="*.bias", lr=0.2)])
    first, last = optimizer.param_groups
    assert first["param_names"] == ["0.bias", "1.bias", "2.bias"]
    assert last["param_names"] == ["0.weight", "1.weight", "2.weight"]
    assert (first["lr"], first["weight_decay"], last["lr"]) == (0.2, 0.5, 0.1)


def test_bias_and_norm_is_exact_for_a_module() -> None:
    """The module knows which layers normalise, whatever they are called; and a 4-d weight of one is found too."""

    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.LayerNorm((2, 3, 4))  # its weight has three dimensions
            self.dense = torch.nn.Linear(4, 4)

    optimizer = SGD(Odd(), lr=0.1, weight_decay=0.5, groups=[Group(match="@bias_and_norm", weight_decay=0.0)])
    without, with_decay = optimizer.param_groups
    assert without["param_names"] == ["scale.weight", "scale.bias", "dense.bias"]
    assert with_decay["param_names"] == ["dense.weight"]


def test_every_parameter_in_a_pattern_leaves_no_empty_group_behind() -> None:
    """When the patterns match everything, the remaining group holds nothing and does no harm."""
    model = norm_model()
    optimizer = SGD(model, lr=0.1, groups=[Group(match="*", lr=0.2)])
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 6
    assert all(group["lr"] == 0.2 for group in optimizer.param_groups if group["params"])


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    """With the nearest name."""
    with pytest.raises(GroupError, match=r"Did you mean"):
        SGD(norm_model(), groups=[Group(match="0.wieght", lr=0.2)])


def test_patterns_without_names_are_an_error_that_says_what_to_pass() -> None:
    """Plain tensors have no name to match."""
    with pytest.raises(DownslopeError, match="named_parameters"):
        SGD(make_params(), groups=[Group(match="*.bias", lr=0.2)])


def test_patterns_with_dictionaries_are_refused() -> None:
    """Two ways of saying which parameter belongs where."""
    model = norm_model()
    with pytest.raises(DownslopeError, match="groups"):
        SGD([{"params": list(model.named_parameters()), "lr": 0.2}], groups=[Group(match="*.bias", lr=0.3)])


def test_parameters_that_need_no_gradient_are_left_alone() -> None:
    """Frozen layers in the list are fine, decay does not touch them, and no velocity is made."""
    params = make_params()
    params[1].requires_grad_(False)
    before = params[1].clone()
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.5)
    run(optimizer, [params[0], params[2], params[3]], 3)
    assert torch.equal(params[1], before)
    assert velocities(optimizer)[1] is None


def test_a_tied_parameter_of_a_module_counts_once() -> None:
    """Tied weights appear once in model.parameters(), so the module is accepted and it is stepped once."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    optimizer = SGD(model, lr=1.0)
    before = model[0].weight.detach().clone()
    model[0].weight.grad = torch.ones(3, 3)
    optimizer.step()
    assert torch.equal(model[0].weight, before - 1)


def test_groups_written_by_hand_after_construction_take_effect() -> None:
    """param_groups is open: freezing by weight_decay=0 or raising momentum in mid-run acts at the next step."""
    ours, theirs = make_params(), make_params()
    for cls, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        optimizer = cls(params, lr=0.1, momentum=0.9, weight_decay=0.1)
        run(optimizer, params, 3)
        optimizer.param_groups[0] |= {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.0, "nesterov": True}
        run(optimizer, params, 3, start=3)
        optimizer.param_groups[0] |= {"maximize": True, "nesterov": False, "dampening": 0.25}
        run(optimizer, params, 3, start=6)
    assert_close(ours, theirs)


def test_no_warnings_in_ordinary_use() -> None:
    """A plain run warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = make_params()
        optimizer = SGD([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}], lr=0.1, momentum=0.9)
        run(optimizer, params, 3)
        twin = copy_params(params)
        again = SGD([{"params": twin[:2]}, {"params": twin[2:], "lr": 0.5}], lr=0.1, momentum=0.9)
        again.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("wd", "weight_decay"),
        ("learning_rate", "lr"),
        ("mom", "momentum"),
        ("beta", "momentum"),
        ("weight_decay_rate", "weight_decay"),
        ("l2", "weight_decay"),
        ("alpha", "lr` or `weight_decay"),
        ("LR", "lr"),
        ("weightDecay", "weight_decay"),
        ("use_nesterov", "nesterov"),
    ],
)
def test_another_systems_word_in_a_group_is_refused(key: str, ours: str) -> None:
    """It would do nothing; at the beginning and in a group that comes later."""
    params = make_params()
    with pytest.raises(SettingsError, match=f"group 1: .*`{key}`, which does nothing. Here it is `{ours}`"):
        SGD([{"params": params[:1]}, {"params": params[1:], key: 0.1}])
    optimizer = SGD(params[:1])
    with pytest.raises(SettingsError, match=f"`{key}`"):
        optimizer.add_param_group({"params": params[1:], key: 0.1})
    assert len(optimizer.param_groups) == 1


def test_what_schedulers_and_trainers_keep_in_a_group_stays() -> None:
    """Every key that a scheduler writes, and the multipliers of timm, fastai, DINO and Megatron."""
    keys = (
        "initial_lr max_lr min_lr base_momentum max_momentum lr_scale lr_mult wd_mult lr_multiplier decay_mult "
        "layer_id is_expert lookahead_k lookahead_alpha betas eps base_lr"
    )
    extra = {**dict.fromkeys(keys.split(), 0.5), "name": "backbone"}
    optimizer = SGD([{"params": make_params(), **extra}])
    assert {key: optimizer.param_groups[0][key] for key in extra} == extra
    again = SGD(optimizer.param_groups, lr=0.1)  # as ZeroRedundancyOptimizer passes them on
    assert {key: again.param_groups[0][key] for key in extra} == extra


@pytest.mark.parametrize(("key", "value"), [("lr_factor", 10.0), ("match", "head.*")])
def test_what_a_pattern_says_is_refused_beside_parameters(key: str, value: Any) -> None:
    """A group of one's own with an lr_factor stepped with the lr of all the others, without a word."""
    params = make_params()
    with pytest.raises(SettingsError, match=f"param group 1: `{key}` belongs to a downslope.Group"):
        SGD([{"params": params[:1]}, {"params": params[1:], key: value}], lr=0.1)
    optimizer = SGD(params[:1], lr=0.1)
    with pytest.raises(SettingsError, match=f"param group 1: `{key}`"):
        optimizer.add_param_group({"params": params[1:], key: value})
    assert len(optimizer.param_groups) == 1


def test_ways_that_exclude_each_other_in_a_group_are_a_runtime_error() -> None:
    """As torch's own, and as they are when they are arguments."""
    with pytest.raises(RuntimeError, match="param group 0: `fused=True` and `foreach=True`"):
        SGD([{"params": make_params(), "fused": True, "foreach": True}], lr=0.1)


@pytest.mark.parametrize("key", ["clip_norm", "on_nonfinite", "velocity_dtype", "step_in_backward", "rounding_seed"])
def test_what_belongs_to_the_whole_optimizer_is_refused_in_a_group(key: str) -> None:
    """A norm of one group alone, say, which somebody would believe to be clipped."""
    with pytest.raises(SettingsError, match=f"`{key}` belongs to the whole optimizer"):
        SGD([{"params": make_params(), key: 1.0}])
