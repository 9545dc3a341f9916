"""`pair_names`: which tensor of one model is which of another, whatever stands before the names of one of them."""

import pytest

from downslope.core.errors import GroupError
from downslope.core.parameter_names import pair_names

NAMES = ["conv.weight", "conv.bias", "block.0.weight", "head.weight"]


def paired(here, there, fits=lambda mine, theirs: True):
    """Return the pairs and words of two lists of names."""
    return pair_names(here, there, fits)


@pytest.mark.parametrize("before", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("after", ["", "module."])
def test_wrappers_count_nowhere(before, after):
    """On neither side, and they are not worth a word."""
    pairs, words = paired([after + name for name in NAMES], [before + name for name in NAMES])
    assert pairs == {after + name: before + name for name in NAMES}
    assert words == ""


@pytest.mark.parametrize("prefix", ["model.", "network.bert.", "a.b.c."])
def test_a_prefix_of_one_side_is_taken_off(prefix):
    """Here or there, of all names or of those of the trunk; a head that has another place has no pair."""
    pairs, words = paired([prefix + name for name in NAMES], NAMES)
    assert (pairs, words) == ({prefix + name: name for name in NAMES}, f"follow `{prefix}` here")
    pairs, words = paired(NAMES, [*(prefix + name for name in NAMES[:3]), "fc.weight"])
    assert (pairs, words) == ({name: prefix + name for name in NAMES[:3]}, f"follow `{prefix}` there")


def test_both_sides_may_have_one():
    """A file of Lightning's for a model of ours that holds another library's."""
    pairs, words = paired(["network." + name for name in NAMES], ["model." + name for name in NAMES])
    assert pairs == {"network." + name: "model." + name for name in NAMES}
    assert words == "follow `network.` here and `model.` there"


def test_names_that_are_the_same_stay_so():
    """A prefix by which no more fits is not looked for: the encoder is the encoder."""
    here = ["encoder.0.weight", "encoder.1.weight"]
    pairs, words = paired(here, [*here, "decoder.0.weight", "decoder.1.weight"])
    assert (pairs, words) == ({name: name for name in here}, "")


def test_what_fits_decides():
    """Of two prefixes the one whose tensors have the right shapes; if both have, nobody can know."""
    here, there = ["0.weight", "1.weight"], ["a.0.weight", "a.1.weight", "b.0.weight", "b.1.weight"]
    pairs, words = paired(here, there, lambda mine, theirs: theirs.startswith("b."))
    assert (pairs, words) == ({"0.weight": "b.0.weight", "1.weight": "b.1.weight"}, "follow `b.` there")
    with pytest.raises(GroupError, match=r"2 ways, one of which is that they follow `a\.` there"):
        paired(here, there)


def test_nothing_in_common():
    """No pairs, and no words about none."""
    assert paired(["a.weight"], ["b.bias"]) == ({}, "")
    assert paired([], []) == ({}, "")
