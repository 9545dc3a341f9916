"""Parameter groups: who gets which settings, and the messages where nobody does."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from downslope import Group, Settings
from downslope.core.errors import GroupError
from downslope.core.groups import assign_groups
from downslope.schedules import Cosine

SHAPES = {
    "conv.weight": (8, 3, 3, 3),
    "conv.bias": (8,),
    "norm.weight": (8,),
    "norm.bias": (8,),
    "head.weight": (10, 8),
    "head.bias": (10,),
    "head.scale": (),
}


def refused(*groups, shapes=SHAPES):
    """Return the message that these groups are refused with."""
    with pytest.raises(GroupError) as caught:
        assign_groups(groups, shapes)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_first_match_wins():
    """A name belongs to the first group that matches it, and to no other; order is kept; the rest come last."""
    groups = (Group(match="head.*", lr=0.1), Group(match="*.bias", lr=0.2))
    assert assign_groups(groups, SHAPES) == [
        ["head.weight", "head.bias", "head.scale"],
        ["conv.bias", "norm.bias"],
        ["conv.weight", "norm.weight"],
    ]
    assert assign_groups(groups[::-1], SHAPES)[0] == ["conv.bias", "norm.bias", "head.bias"]


def test_no_groups():
    """Without groups everything is unmatched, and so is nothing."""
    assert assign_groups((), SHAPES) == [list(SHAPES)]
    assert assign_groups((), {}) == [[]]


def test_several_patterns_in_one_group():
    """A group may have several patterns, given as a list or a tuple."""
    for match in (("conv.*", "head.bias"), ["conv.*", "head.bias"]):
        assert assign_groups((Group(match=match, lr=0.1),), SHAPES)[0] == ["conv.weight", "conv.bias", "head.bias"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", list(SHAPES)),
        ("*.scale", ["head.scale"]),
        ("????.bias", ["conv.bias", "norm.bias", "head.bias"]),
        ("[ch]*.bias", ["conv.bias", "head.bias"]),
        ("head.bias", ["head.bias"]),
    ],
)
def test_patterns(pattern, expected):
    """Star, question mark and brackets mean what they mean in a shell, dots being ordinary."""
    assert assign_groups((Group(match=pattern, lr=0.1),), SHAPES)[0] == expected


def test_patterns_mind_the_case():
    """Names are matched case by case on every system."""
    assert "matches no parameter" in refused(Group(match="HEAD.*", lr=0.1))


def test_bias_and_norm():
    """The selector takes vectors and scalars, names ending in bias, and whatever is known to be normalisation."""
    shapes = {**SHAPES, "attention.bias": (4, 7, 7), "table_norm": (3, 3), "debias": (2, 2)}
    group = Group(match="@bias_and_norm", weight_decay=0.0)
    expected = ["conv.bias", "norm.weight", "norm.bias", "head.bias", "head.scale", "attention.bias"]
    assert assign_groups((group,), shapes)[0] == expected
    assert assign_groups((group,), shapes, {"table_norm"})[0] == [*expected, "table_norm"]


@pytest.mark.parametrize("match", ["*", "@bias_and_norm"])
def test_names_that_are_no_text(match):
    """A number in the place of a name, as a key of NumPy's dictionary or beside a tensor of torch's, is said."""
    with pytest.raises(GroupError, match=r"and the name 1 is no text\. Give names such as '1'\."):
        assign_groups([Group(match=match, lr=0.1)], {"w": (2,), 1: (2,)})
    assert assign_groups([], {1: (2,)}) == [[1]]


def test_pattern_that_matches_nothing():
    """A pattern without a parameter is an error that lists the names and guesses the one meant."""
    assert refused(Group(match="head.wieght", lr=0.1)) == (
        "group pattern 'head.wieght' matches no parameter. Did you mean `head.weight`? The parameters are: "
        "conv.weight, conv.bias, norm.weight, norm.bias, head.weight, head.bias, head.scale."
    )
    assert refused(Group(match="x", lr=0.1), shapes={}) == (
        "group pattern 'x' matches no parameter. The parameters are: (none)."
    )


def test_one_of_several_patterns_matches_nothing():
    """Each pattern must match by itself: one of two that does is not enough."""
    assert "'tail.*' matches no parameter" in refused(Group(match=("head.*", "tail.*"), lr=0.1))


def test_group_left_with_nothing():
    """A group whose every parameter went to earlier ones is an error, since its settings would do nothing."""
    assert refused(Group(match="head.*", lr=0.1), Group(match="head.bias", lr=0.2)) == (
        "group 'head.bias' gets no parameter: earlier groups match all of its own, and the first match wins. "
        "Put the more specific group first."
    )


def test_selector_on_a_model_without_biases():
    """The built-in selector too must select something."""
    assert "'@bias_and_norm' matches no parameter" in refused(
        Group(match="@bias_and_norm", lr=0.1), shapes={"weight": (3, 3)}
    )


@pytest.mark.parametrize("bad", ["", (), ("*.bias", ""), None, 3, ("*.bias", 3)])
def test_match_must_be_patterns(bad):
    """What is no pattern is refused where the group is made."""
    with pytest.raises(GroupError, match='`match` must be a name pattern such as "\\*.bias", or several; got'):
        Group(match=bad, lr=0.1)


def test_unknown_selector():
    """A selector that does not exist is not taken for a pattern."""
    with pytest.raises(GroupError, match="one built-in selector, \"@bias_and_norm\"; got '@bias'"):
        Group(match="@bias", lr=0.1)


def test_group_that_changes_nothing():
    """A group without settings is refused."""
    with pytest.raises(GroupError, match="the group '\\*' changes nothing"):
        Group(match="*")


def test_apply_changes_what_is_given_and_only_that():
    """What a group leaves out is as for all others, False and 0 being given values."""
    settings = Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, maximize=True)
    changed = Group(match="*", weight_decay=0.0, nesterov=False, lr=Cosine(0.1, 0, 5)).apply(settings)
    assert changed == dataclasses.replace(settings, weight_decay=0.0, nesterov=False, lr=Cosine(0.1, 0, 5))


@pytest.mark.parametrize("field", list(dataclasses.fields(Settings)), ids=lambda field: field.name)
def test_every_setting_may_differ_by_group(field):
    """No setting is missing from groups: each can be changed, to its default or to another value."""
    other = {"lr": 0.5, "momentum": 0.5, "dampening": 0.5, "nu": 0.5, "weight_decay": 0.5, "decay": "independent"}
    other |= {"trust_coefficient": 0.5, "adaptive_clip": 0.5, "adaptive_clip_by": "unit"}
    value = other.get(field.name, not field.default)
    changed = Group(match="*", **{field.name: value}).apply(
        Settings(momentum=0.9, trust_coefficient=0.1, adaptive_clip=0.1)
    )
    assert getattr(changed, field.name) == value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"momentum": 0.0}, "group '*.bias': `nesterov` needs momentum; got nesterov=True with momentum=0."),
        ({"lr": -1.0}, "group '*.bias': `lr` must be finite and >= 0; got -1.0."),
        ({"decay": "couple"}, "group '*.bias': `decay` must be"),
    ],
)
def test_apply_names_the_group(change, expected):
    """A change that the settings do not allow says which group it stands in."""
    with pytest.raises(GroupError) as caught:
        Group(match="*.bias", **change).apply(Settings(momentum=0.9, nesterov=True))
    assert str(caught.value).startswith(expected)


def test_group_in_steps():
    """A group's own schedules are resolved like those of the settings."""
    group = Group(match="*", lr=Cosine(0.1, 0, 5, unit="epoch"), momentum=0.5)
    assert group.in_steps(10) == Group(match="*", lr=Cosine(0.1, 0, 50), momentum=0.5)


def test_groups_are_frozen_values():
    """Groups hash, compare, copy and pickle as values, a list of patterns being a tuple."""
    group = Group(match=["a", "b"], lr=Cosine(0.1, 0, 5))
    assert group.match == group.patterns == ("a", "b")
    assert len({group, Group(match=("a", "b"), lr=Cosine(0.1, 0, 5))}) == 1
    assert pickle.loads(pickle.dumps(group)) == copy.deepcopy(group) == group
    with pytest.raises(dataclasses.FrozenInstanceError):
        group.lr = 1.0


def test_a_change_that_is_never_allowed_is_refused_at_once() -> None:
    """A negative weight decay is wrong whatever the other settings are."""
    with pytest.raises(GroupError, match=r"`weight_decay` must be finite and >= 0; got -1\.0"):
        Group(match="*.bias", weight_decay=-1.0)


@pytest.mark.parametrize("ema", [1.0, -0.1, 10**400, True, "0.9", float("nan")])
def test_an_average_that_is_none_is_refused(ema):
    """In words, of a number beyond all floats too."""
    with pytest.raises(GroupError, match=r"group 'a': `ema` must be in \(0, 1\) such as 0\.999, or 0 for no average"):
        Group(match="a", ema=ema)
