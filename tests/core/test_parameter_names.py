"""Names of parameters without what wrappers put in: hand-written names as each wrapper makes them."""

from __future__ import annotations

import pytest

from downslope.core.parameter_names import prefix_of_wrappers, without_wrappers

BARE = ["first.weight", "first.bias", "head.module.weight"]


@pytest.mark.parametrize(
    "wrapped",
    [
        BARE,
        ["_orig_mod." + name for name in BARE],
        ["module." + name for name in BARE],
        ["module.module." + name for name in BARE],
        ["module._orig_mod." + name for name in BARE],
        ["_orig_mod.module." + name for name in BARE],
        ["_forward_module.module." + name for name in BARE],
        ["_fsdp_wrapped_module." + name for name in BARE],
        ["first._orig_mod.weight", "first._orig_mod.bias", "head.module.weight"],
        [
            "module.first._checkpoint_wrapped_module.weight",
            "module.first._checkpoint_wrapped_module.bias",
            "module.head._fsdp_wrapped_module.module._orig_mod.weight",
        ],
    ],
    ids=lambda names: names[-1],
)
def test_wrapped_and_bare_names_are_the_same(wrapped: list[str]) -> None:
    """At any depth, in any order, nested; a layer of one's own called `module` stays."""
    assert without_wrappers(wrapped) == BARE


def test_a_layer_called_module_stays_where_another_name_does_not_begin_with_it() -> None:
    """Only what stands before every name was put there."""
    names = ["module.weight", "head.weight"]
    assert without_wrappers(names) == names
    assert prefix_of_wrappers(names) == ""


def test_names_that_would_become_one_stay_as_they_are() -> None:
    """Nothing is lost, and no two parameters share a name."""
    names = ["a._orig_mod.weight", "a.weight"]
    assert without_wrappers(names) == names


def test_the_last_part_is_a_parameters_own() -> None:
    """A parameter, unlike a layer, may be called as a wrapper calls what it holds."""
    assert without_wrappers(["_orig_mod", "module", "x._module"]) == ["_orig_mod", "module", "x._module"]
    assert without_wrappers([]) == []
