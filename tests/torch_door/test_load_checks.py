"""What load_state_dict checks before it touches anything: names, shapes, groups, and the form of the state."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from named_runs import NAMES, named, refusal, run_named, trained, two_groups, velocity_by_name
from torch_runs import assert_same_bits, make_params, run, velocities

from downslope.torch import SGD
from work import calls


def test_permuted_names_are_matched_by_name() -> None:
    """Each parameter gets its own velocity, whatever the order in which the model lists them."""
    state = trained(("a", "b", "c"))
    optimizer = SGD(named(("c", "a", "b")), lr=0.1, momentum=0.9)
    optimizer.load_state_dict(state)
    by_name = velocity_by_name(optimizer)
    for index, name in enumerate(("a", "b", "c")):
        assert torch.equal(by_name[name], state["state"][index]["momentum_buffer"])
    assert optimizer.param_groups[0]["param_names"] == ["c", "a", "b"]


def test_permuted_names_of_a_torch_state_are_matched_by_name() -> None:
    """Torch's own state_dict carries names too, when built from named_parameters()."""
    pairs = named(("a", "b"))
    theirs = torch.optim.SGD(pairs, lr=0.1, momentum=0.9)
    run_named(theirs, pairs)
    optimizer = SGD(named(("b", "a")), lr=0.1, momentum=0.9)
    optimizer.load_state_dict(theirs.state_dict())
    assert torch.equal(velocity_by_name(optimizer)["a"], theirs.state_dict()["state"][0]["momentum_buffer"])


@pytest.mark.parametrize("nameless", ["state", "optimizer"])
def test_without_names_on_one_side_position_decides(nameless: str) -> None:
    """As in torch; a state saved without names still loads."""
    state = trained()
    if nameless == "state":
        del state["param_groups"][0]["param_names"]
        optimizer = SGD(named(), lr=0.1, momentum=0.9)
    else:
        optimizer = SGD([param for _, param in named()], lr=0.1, momentum=0.9)
    optimizer.load_state_dict(state)
    expected = [state["state"][index]["momentum_buffer"] for index in range(4)]
    assert_same_bits(velocities(optimizer), expected)  # type: ignore[arg-type]


def test_names_of_this_optimizer_stay() -> None:
    """Loading a nameless state into a named optimizer keeps the names."""
    state = trained()
    del state["param_groups"][0]["param_names"]
    optimizer = SGD(named(), lr=0.1, momentum=0.9)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["param_names"] == list(NAMES)


def test_missing_and_unexpected_names_are_listed_together() -> None:
    """One message names everything that does not fit; the nearest thing to a diff."""
    text = refusal(SGD(named(("a", "b", "x", "y")), lr=0.1, momentum=0.9), trained(("a", "b", "c", "d")))
    for word in ("x", "y", "c", "d"):
        assert f"`{word}`" in text or f"'{word}'" in text or f" {word}" in text, word
    assert "missing" in text.lower()
    assert "unexpected" in text.lower()
    assert "strict=False" in text


def test_every_kind_of_mismatch_stands_in_one_message() -> None:
    """A wrong shape, a wrong kind of number, a missing and an unexpected parameter: all four in one StateError."""
    state = trained(("a", "b", "c", "d"))
    state["state"][0]["momentum_buffer"] = torch.zeros(7, dtype=torch.float64)
    state["state"][1]["momentum_buffer"] = torch.zeros(3, dtype=torch.complex64)
    state["param_groups"][0]["param_names"][3] = "z"
    text = refusal(SGD(named(), lr=0.1, momentum=0.9), state)
    for word in ("(7,)", "(3,)", "complex64", "float64", "z", "d"):
        assert word in text, word


def test_a_wrong_shape_is_refused_and_named() -> None:
    """Torch takes it and fails at the next step, or broadcasts."""
    state = trained()
    state["state"][2]["momentum_buffer"] = torch.zeros(3, 1, dtype=torch.float64)
    text = refusal(SGD(named(), lr=0.1, momentum=0.9), state)
    assert "c" in text
    assert "(3, 1)" in text
    assert "(3,)" in text


def test_a_transposed_velocity_is_refused() -> None:
    """A shape with the same number of elements is still another shape."""
    state = SGD(named(("a",), (2, 3)), lr=0.1, momentum=0.9)
    pairs = named(("a",), (2, 3))
    state = SGD(pairs, lr=0.1, momentum=0.9)
    run_named(state, pairs)
    text = refusal(SGD(named(("a",), (3, 2)), lr=0.1, momentum=0.9), state.state_dict())
    assert "(2, 3)" in text
    assert "(3, 2)" in text


def test_without_names_the_position_is_named() -> None:
    """The message says which parameter by its group and place."""
    params = make_params([(3,), (4,)])
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    state = optimizer.state_dict()
    other = SGD(make_params([(3,), (5,)]), lr=0.1, momentum=0.9)
    text = refusal(other, state)
    assert "(4,)" in text
    assert "(5,)" in text
    assert "1" in text


def test_a_different_number_of_groups_is_refused() -> None:
    """With both numbers."""
    pairs = named()
    text = refusal(SGD([{"params": pairs[:2]}, {"params": pairs[2:]}], lr=0.1, momentum=0.9), trained())
    assert "1" in text
    assert "2" in text
    assert "group" in text


def test_a_different_number_of_parameters_is_refused_without_names() -> None:
    """With both numbers and the group."""
    params = make_params([(3,)] * 3)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    other = SGD(make_params([(3,)] * 4), lr=0.1, momentum=0.9)
    text = refusal(other, optimizer.state_dict())
    assert "3" in text
    assert "4" in text


def test_a_parameter_that_moved_to_another_group_is_refused() -> None:
    """It would silently run under other settings; the message says which group it was in and is in."""
    optimizer, pairs = two_groups("ab", "cd")
    run_named(optimizer, pairs)
    other, _ = two_groups("ac", "bd")
    text = refusal(other, optimizer.state_dict())
    assert "misplaced" in text.lower() or "another group" in text.lower() or "other group" in text.lower()
    assert "`b`" in text
    assert "`c`" in text


def test_swapped_groups_are_refused() -> None:
    """The groups in another order are every parameter in another group."""
    optimizer, pairs = two_groups("ab", "cd")
    run_named(optimizer, pairs)
    other, _ = two_groups("cd", "ab")
    refusal(other, optimizer.state_dict())


def test_not_strict_loads_what_fits() -> None:
    """Missing ones start afresh, unexpected ones are dropped, misfits start afresh; names decide."""
    state = trained(("a", "b", "c", "d"))
    state["state"][1]["momentum_buffer"] = torch.zeros(7, dtype=torch.float64)
    pairs = named(("d", "b", "x", "a"))
    optimizer = SGD(pairs, lr=0.1, momentum=0.9)
    with pytest.warns(UserWarning, match="missing in the state: `x`"):
        optimizer.load_state_dict(state, strict=False)
    by_name = velocity_by_name(optimizer)
    assert set(by_name) == {"a", "d"}
    assert torch.equal(by_name["a"], state["state"][0]["momentum_buffer"])
    assert torch.equal(by_name["d"], state["state"][3]["momentum_buffer"])
    assert optimizer.step_count == 2
    run_named(optimizer, pairs)


def test_not_strict_across_groups() -> None:
    """A parameter that moved to another group takes its velocity along."""
    optimizer, pairs = two_groups("ab", "cd")
    run_named(optimizer, pairs)
    state = optimizer.state_dict()
    other, _ = two_groups("ac", "bd")
    with pytest.warns(UserWarning, match="misplaced"):
        other.load_state_dict(state, strict=False)
    assert torch.equal(velocity_by_name(other)["b"], state["state"][1]["momentum_buffer"])
    assert torch.equal(velocity_by_name(other)["c"], state["state"][2]["momentum_buffer"])


def test_not_strict_with_another_number_of_groups() -> None:
    """Names are enough to find what fits; this optimizer's settings stay where no group corresponds."""
    state = trained()
    optimizer, _ = two_groups("ab", "cd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.load_state_dict(state, strict=False)
    assert set(velocity_by_name(optimizer)) == set(NAMES)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({}, "param_groups"),
        ({"state": {}}, "param_groups"),
        ({"param_groups": []}, "state"),
        ([], "dict"),
        (None, "dict"),
        ({"state": {}, "param_groups": "x"}, "param_groups"),
        ({"state": {}, "param_groups": [{}]}, "params"),
        ({"state": {}, "param_groups": [{"params": [0, 0, 1, 2]}]}, "0"),
        ({"state": {9: {}}, "param_groups": [{"params": [0, 1, 2, 3]}]}, "9"),
        ({"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"params": [0, 1, 2, 3]}]}, "exp_avg"),
        ({"state": {0: "x"}, "param_groups": [{"params": [0, 1, 2, 3]}]}, "str"),
    ],
    ids=[
        "empty",
        "no groups",
        "no state",
        "list",
        "None",
        "groups no list",
        "group no params",
        "index twice",
        "foreign index",
        "Adam's",
        "entry no dict",
    ],
)
def test_something_else_than_an_sgd_state_is_refused(state: Any, word: str) -> None:
    """A model's state, Adam's state, rubbish: each gets a StateError, never a KeyError."""
    optimizer = SGD(named(), lr=0.1, momentum=0.9)
    assert word in refusal(optimizer, state)


def test_a_parameter_called_narrower_is_like_any_other() -> None:
    """No decision may hang on words of a message, in which names stand."""
    pairs = named(("narrower",))
    optimizer = SGD(pairs, lr=0.1, momentum=0.9)
    run_named(optimizer, pairs)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["momentum_buffer"] = torch.zeros(7, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"\(7,\)"):
        optimizer.load_state_dict(state, strict=False)
    assert velocities(optimizer) == [None]


def test_not_strict_takes_a_velocity_of_another_range_as_it_is() -> None:
    """What fits in shape is better than a fresh start; it is said, and its format is kept, not cast."""
    params = make_params([(3,)], dtype=torch.float16)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["momentum_buffer"] = torch.ones(3, dtype=torch.bfloat16)
    with pytest.warns(UserWarning, match="neither holds the other's numbers"):
        optimizer.load_state_dict(state, strict=False)
    assert velocities(optimizer)[0].dtype is torch.bfloat16  # type: ignore[union-attr]
    run(optimizer, params, 1)


def test_a_pre_hook_may_unpack_the_state() -> None:
    """The form is checked after the hooks, which are there to convert."""
    state = trained()
    optimizer = SGD(named(), lr=0.1, momentum=0.9)
    optimizer.register_load_state_dict_pre_hook(lambda o, s: s["optimizer"])
    optimizer.load_state_dict({"optimizer": state, "epoch": 3})
    assert optimizer.step_count == 2


def test_groups_that_differ_by_an_empty_one_are_refused() -> None:
    """Every name fits, yet the settings of which group belong to which is a guess."""
    state = trained()
    other = SGD([{"params": named()}, {"params": [], "param_names": []}], lr=0.1, momentum=0.9)
    text = refusal(other, state)
    assert "1 parameter group" in text
    assert "2" in text


def test_the_work_of_loading_is_linear_in_the_number_of_parameters() -> None:
    """Ten times as many parameters take about ten times the work."""

    def work(count: int) -> int:
        pairs = [(f"p{i}", torch.nn.Parameter(torch.zeros(1))) for i in range(count)]
        optimizer = SGD(pairs, lr=0.1, momentum=0.9)
        for _, param in pairs:
            param.grad = torch.ones(1)
        optimizer.step()
        state = optimizer.state_dict()
        taken, _ = calls(lambda: optimizer.load_state_dict(state))
        assert optimizer.step_count == 1
        return taken

    assert work(2_000) < 12 * work(200)


_NOT_ONE = torch.ones(2)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("param_groups", 0, "param_names"), 0.5, "`param_names` of group 0 of the state must be a list"),
        (("param_groups", 0, "param_names"), None, "`param_names` of group 0 of the state must be a list"),
        (("param_groups", 0, "params", 1), _NOT_ONE, "or it is no index"),
        (("param_groups", 0, "trust_coefficient"), _NOT_ONE, "`trust_coefficient` must be a number"),
        (("param_groups", 0, "adaptive_clip"), torch.ones(2, device="meta"), "`adaptive_clip` must be a number"),
        (("param_groups", 0, "trust_clip"), _NOT_ONE, "`trust_clip` must be True or False"),
        (("state", 0, "momentum_buffer"), torch.ones(3, device="meta"), 'device "meta"'),
        (("state", 0, "momentum_buffer"), torch.ones(3).to_sparse(), "must be dense"),
        (("state", 0, "average"), torch.ones(3, device="meta"), 'average of `a` is on the device "meta"'),
    ],
)
def test_a_value_of_another_kind_is_refused_and_nothing_moves(path: tuple[Any, ...], value: Any, said: str) -> None:
    """Of each kind that a file may hold one message, before anything changes; never an error of Python's or torch's."""
    pairs = named()
    optimizer = SGD(pairs, lr=0.1, momentum=0.9, ema=0.9)
    run_named(optimizer, pairs)
    table: Any = copy.deepcopy(optimizer.state_dict())
    state = table
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    assert said in refusal(optimizer, state)
