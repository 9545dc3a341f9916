"""Our word for what other systems call an argument: the table, and the sentences made of it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from downslope import Group, Settings
from downslope.core.errors import SettingsError
from downslope.core.synonyms import our_words, refuse_unknown, say_our_word

HYPERPARAMETERS = ["lr", "momentum", "dampening", "nesterov", "weight_decay", "decay", "maximize"]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("learning_rate", ("lr",)),  # Keras, optax, TensorFlow
        ("learningRate", ("lr",)),
        ("learning-rate", ("lr",)),
        ("LR", ("lr",)),
        ("eta", ("lr",)),
        ("step_size", ("lr",)),
        ("wd", ("weight_decay",)),  # fastai, MXNet
        ("weightDecay", ("weight_decay",)),
        ("weight_decay_rate", ("weight_decay",)),
        ("l2", ("weight_decay",)),
        ("mom", ("momentum",)),  # fastai
        ("beta", ("momentum",)),
        ("use_nesterov", ("nesterov",)),  # TensorFlow 1
        ("nesterovs_momentum", ("nesterov",)),  # scikit-learn
        ("alpha", ("lr", "weight_decay")),  # a paper's learning rate; scikit-learn's penalty
    ],
)
def test_other_systems_words(name: str, ours: tuple[str, ...]) -> None:
    """However its words are parted and written."""
    assert our_words(name, HYPERPARAMETERS) == ours


KEPT = """
    lr_scale lr_mult lr_multiplier name initial_lr max_lr min_lr base_lr base_momentum max_momentum wd_mult decay_mult
    lookahead_alpha betas eps amsgrad foreach fused params param_names layer_id swa_lr
"""


@pytest.mark.parametrize("name", KEPT.split())
def test_what_trainers_and_schedulers_keep_in_a_group_is_no_synonym(name: str) -> None:
    """Such keys do something for somebody."""
    assert our_words(name, HYPERPARAMETERS) == ()


def test_our_own_words_are_not_translated() -> None:
    """A word that is right needs no other."""
    assert all(our_words(name) == () for name in HYPERPARAMETERS)


def test_only_words_that_are_known_at_the_place_are_said() -> None:
    """A door without clipping inside the step does not send people to `clip_norm`."""
    assert say_our_word("max_grad_norm", ["lr", "clip_norm"]) == " Here it is called `clip_norm`."
    assert say_our_word("max_grad_norm", ["lr"]) == ""
    assert say_our_word("alpha", HYPERPARAMETERS) == " Here it is called `lr` or `weight_decay`."
    assert say_our_word("momentun", HYPERPARAMETERS) == " Did you mean `momentum`?"


def test_what_a_place_has_not_is_told_by_any_of_its_names() -> None:
    """A sentence of its own comes before a near word, which may be another thing."""
    instead = {"clip_norm": "Clip before the step.", "clipnorm": "That is of each by itself."}
    known = ["lr", "clipvalue"]
    for name in ("clip_norm", "max_grad_norm"):
        assert say_our_word(name, known, instead) == " Clip before the step."
    assert say_our_word("clipnorm", [*known, "clip_norm"], instead) == " That is of each by itself."
    assert say_our_word("max_grad_norm", [*known, "clip_norm"], instead) == " Here it is called `clip_norm`."
    with pytest.raises(SettingsError, match=r"^place: unknown argument `clip_norm`\. Clip before the step\.$"):
        refuse_unknown(["clip_norm"], known, "place", instead)


def test_unknown_arguments_are_refused_all_at_once() -> None:
    """Both kinds of error that a caller may catch; and one sentence for each argument."""
    refuse_unknown(["lr"], HYPERPARAMETERS)
    for kind in (TypeError, SettingsError):
        with pytest.raises(kind, match="`wd`. Here it is called `weight_decay`. unknown argument `colour`"):
            refuse_unknown(["lr", "wd", "colour"], HYPERPARAMETERS)


@pytest.mark.parametrize("make", [Settings, lambda **given: Group(match="*", **given)])
def test_settings_and_groups_say_our_word(make: Callable[..., object]) -> None:
    """As the doors do; positional arguments, copies and signatures are a dataclass's as ever."""
    for kind in (SettingsError, TypeError):
        with pytest.raises(kind, match="unknown argument `learning_rate`. Here it is called `lr`"):
            make(learning_rate=0.1)
    assert make(lr=0.1) == copy.deepcopy(make(lr=0.1)) == replace(make(lr=0.2), lr=0.1)  # type: ignore[type-var]
    assert list(inspect.signature(Settings).parameters) == [field.name for field in fields(Settings)]
    with pytest.raises(TypeError):
        Settings(0.1)  # type: ignore[misc]
