"""What compare advises is taken at its word: each list of arguments, put in its side's place, is what it claims."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from downslope import Group, Settings, compare, load_recipe
from downslope.comparing.advice import write_call
from downslope.core.errors import DownslopeError
from downslope.core.settings import DECAYS
from downslope.recipe.load import parse_recipe, to_toml
from downslope.schedules import Cosine, Exponential, Linear, MultiStep, Sequence, Warmup
from downslope.systems.table import CONVENTIONS
from downslope.systems.to_system import arguments_for_convention
from draws import SEED, draws

SCHEDULES = [
    MultiStep(0.1, 0.1, (3,)),
    Exponential(0.1, 0.9, 2),
    Warmup(3, then=Cosine(0.4, 0.0, 20)),
    Sequence((Linear(0.0, 0.1, 4), MultiStep(0.1, 0.5, (9, 12))), (4,)),
]
SENTENCE = "SGD with Nesterov momentum 0.9, learning rate 0.1, weight decay 5e-4, 1000 steps"


def some_settings(chance: random.Random) -> Settings:
    """Return settings of any kind."""
    momentum = chance.choice([0.0, 0.5, 0.9, Linear(0.5, 0.9, 7)])
    lr = chance.choice([0.1, 0.5, 1.0, *SCHEDULES])
    return Settings(
        lr=lr,
        momentum=momentum,
        dampening=chance.choice([0.0, 0.0, 0.5, 0.9]) if momentum else 0.0,
        nesterov=momentum != 0 and chance.random() < 0.4,
        weight_decay=chance.choice([0.0, 1e-2, 5e-4, Linear(0.0, 0.01, 9)]),
        decay=chance.choice(DECAYS if lr is not SCHEDULES[-1] else ("coupled", "decoupled")),  # it begins at 0
        lr_in_velocity=chance.random() < 0.4,
        undampened_first_step=chance.random() < 0.5,
        maximize=chance.random() < 0.1,
    )


def some_call(system: str, chance: random.Random) -> str:
    """Return an argument list of a system, of settings that it can say."""
    while True:
        try:
            arguments = arguments_for_convention(some_settings(chance), system, batch_size=32)
        except DownslopeError:
            continue
        return write_call(CONVENTIONS[system], arguments, {})


def test_every_list_that_is_advised_is_the_rule_that_it_is_said_to_be():
    """All systems by turns: each piece of advice, compared again, is the same, or parts where it says, and why."""
    chance, systems = random.Random(SEED), list(CONVENTIONS)
    said = {"same": 0, "why": 0}
    for number in range(draws(120)):
        one, two = systems[number % len(systems)], chance.choice(systems)
        a, b = some_call(one, chance), some_call(two, chance)
        found = compare(a, b, steps=30)
        if found.same:
            assert not found.advice
            continue
        assert {advice.side for advice in found.advice} == {"a", "b"}
        for advice in found.advice:
            other = a if advice.side == "b" else b
            again = compare(other, advice.text, steps=30) if advice.text else None
            if advice.same:
                said["same"] += 1
                assert again is not None
                assert again.same, (a, b, advice)
                assert any(advice.text in sentence for sentence in found.suggestions)
            else:
                said["why"] += 1
                assert advice.why
                assert again is None or again.first_step == advice.first_step, (a, b, advice)
                assert any(advice.why in sentence for sentence in found.suggestions)
    assert min(said.values()) > 20


def test_what_must_return_to_its_default_is_in_the_list():
    """torch to torch, of every pair of forms: laid over the arguments that stood there, the list is the other rule."""
    chance = random.Random(SEED)
    for _ in range(draws(40)):
        a, b = some_call("torch", chance), some_call("torch", chance)
        found = compare(a, b, steps=20)
        if not found.same:
            text = next(advice.text for advice in found.advice if advice.side == "b")
            over = _arguments(b) | _arguments(text)  # as a person would who edits the call that is there
            joined = ", ".join(f"{name}={value}" for name, value in over.items())
            assert compare(a, f"torch: SGD({joined})", steps=20).same


def _arguments(call: str) -> dict[str, str]:
    """Return the arguments of a call as text: a comma within brackets separates nothing."""
    inner, depth, parts = call.partition("(")[2][:-1], 0, [""]
    for character in inner:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return dict(part.strip().split("=", 1) for part in parts if part.strip())


def test_dampening_and_nesterov_are_taken_back():
    """By hand: from dampened to Nesterov's form and back, each list names what it switches off."""
    a, b = "torch: SGD(lr=0.1, momentum=0.9, dampening=0.5)", "torch: SGD(lr=0.2, momentum=0.9, nesterov=True)"
    texts = {advice.side: advice.text for advice in compare(a, b).advice}
    assert texts["b"] == "torch: SGD(lr=0.1, momentum=0.9, dampening=0.5, nesterov=False)"
    assert texts["a"] == "torch: SGD(lr=0.2, momentum=0.9, nesterov=True, dampening=0.0)"


def test_places_elsewhere_have_their_numbers():
    """Keras's regularizer, TensorFlow 1's loss, optax's chain: written out, no argument's name in a value's place."""
    torch = "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)"
    said = " ".join(compare(torch, "keras: SGD(0.1, momentum=0.5)").suggestions)
    assert "each layer: kernel_regularizer=keras.regularizers.L2(0.00025)" in said
    said = " ".join(compare(torch, "tf1: MomentumOptimizer(learning_rate=0.1, momentum=0.5)").suggestions)
    assert "the loss: + 0.0005 * tf.nn.l2_loss(param), for each param" in said
    said = " ".join(compare(torch, "optax: sgd(0.1, momentum=0.5)").suggestions)
    assert "optax.chain(optax.add_decayed_weights(0.0005), optax.sgd(learning_rate=0.1, momentum=0.9))" in said
    independent = "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)", "timm: SGDW(lr=0.1, momentum=0.9)"
    assert "(weight_decay)" not in " ".join(compare(*independent).suggestions)


def test_dampening_counts_in_what_pulls_like():
    """lr 1, momentum .9, dampening .9: coupled is decoupled 5e-4; undampened ten times it; Nesterov 9.5e-4."""
    keras = "keras: SGD(learning_rate=1.0, momentum=0.9, weight_decay=1e-3)"
    for how, like in (
        ("momentum=0.9, dampening=0.9", 0.0005),
        ("momentum=0.9", 0.005),
    ):
        said = " ".join(compare(f"torch: SGD(lr=1.0, {how}, weight_decay=5e-4)", keras).suggestions)
        assert f"coupled 0.0005 pulls like decoupled {like!r}" in said
    ahead = Settings(lr=1.0, momentum=0.9, dampening=0.9, nesterov=True, weight_decay=5e-4)
    said = " ".join(compare(ahead, replace(ahead, decay="decoupled")).suggestions)
    assert "pulls like decoupled 0.00095" in said  # 5e-4 (1 - .81) / (1 - .9)
    strong = Settings(lr=1.0, momentum=0.9, weight_decay=0.9)  # weights swing, and no decoupled decay does
    assert "pulls like" not in " ".join(compare(strong, replace(strong, decay="decoupled")).suggestions)


@pytest.mark.parametrize("system", ["torch", "optax"])
def test_dampening_goes_into_an_lr_that_changes(system):
    """Half of every gradient is all of it at half the lr; neither system has a first step that is dampened too."""
    dampened = Settings(lr=MultiStep(0.25, 0.5, (3,)), momentum=0.9, dampening=0.5, undampened_first_step=False)
    other = {"torch": "torch: SGD(lr=1.0)", "optax": "optax: sgd(learning_rate=1.0)"}[system]
    advice = compare(dampened, other).advice[0]
    assert advice.same
    assert "MultiStep(initial=0.125, " in advice.text
    assert compare(dampened, advice.text).same


def _apply(recipe, text):
    """Return the recipe with the fields of a piece of advice laid over it, as `--sgd.lr 0.1` would be."""
    pieces = re.split(r", (?=(?:sgd\.\w+|groups) = )", text)
    return parse_recipe(to_toml(recipe), "the advice", [tuple(piece.split(" = ", 1)) for piece in pieces])


@pytest.mark.parametrize("seed", range(6))
def test_a_recipe_is_advised_in_its_own_fields(seed):
    """Laid over the recipe, they make it the rule of the other, and its groups those of the other."""
    chance = random.Random(seed)
    recipe = replace(
        load_recipe(),
        sgd=some_settings(chance),
        groups=(Group(match="*.bias", weight_decay=0.0),) if seed % 2 else (),
    )
    torch = "torch: SGD(lr=0.3, momentum=0.8, weight_decay=1e-3)"
    for other in (torch, replace(load_recipe(), groups=(Group(match="*.weight", lr=0.3),))):
        found = compare(other, recipe)
        advice = next(advice for advice in found.advice if advice.side == "b")
        assert advice.same
        assert advice.text in " ".join(found.suggestions)
        assert compare(other, _apply(recipe, advice.text)).same


def test_a_sentence_is_advised_in_fields_and_settings_in_their_own():
    """Both are read back: the sentence's recipe with the fields, and Settings as an argument list of this library."""
    from downslope import read

    torch = "torch: SGD(lr=0.3, momentum=0.8)"
    advice = next(advice for advice in compare(torch, SENTENCE).advice if advice.side == "b")
    assert advice.text == "sgd.lr = 0.3, sgd.momentum = 0.8, sgd.nesterov = false, sgd.weight_decay = 0.0"
    assert compare(torch, _apply(read(SENTENCE)[0].recipe(), advice.text)).same
    own = Settings(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=Linear(0.0, 0.1, 5), decay="independent")
    advice = next(advice for advice in compare(torch, own).advice if advice.side == "b")
    assert advice.text.startswith("downslope: Settings(")
    assert compare(torch, advice.text).same


def test_groups_that_no_argument_list_has_are_said():
    """Of a recipe with groups, torch's arguments alone are never the same training."""
    recipe = replace(load_recipe(), groups=(Group(match="*.bias", weight_decay=0.0),))
    found = compare(recipe, "torch: SGD(lr=0.1, momentum=0.9)")
    advice = next(advice for advice in found.advice if advice.side == "b")
    assert not advice.same
    assert "groups" in advice.why
    assert "*.bias" in " ".join(found.suggestions)


def test_an_increment_is_not_called_a_factor():
    """Of coupled 5e-4 at lr 0.1 a step adds -5e-05 times param; it does not multiply by that."""
    from downslope.cli.compare import page

    text = page(compare("torch: SGD(lr=0.1, weight_decay=5e-4)", "torch: SGD(lr=0.1)"))
    assert "adds -5e-05 times param in A, 0 times in B" in text
    assert "multiplies" not in text


TORCH = "torch: SGD(lr=0.01, momentum=0.9, weight_decay=1e-4)"
TFA = "tfa: SGDW(weight_decay=1e-6, learning_rate=0.01, momentum=0.9)"


def test_an_lr_that_stays_is_not_said_to_change():
    """What an lr inside the velocity does when lr changes is said where the lr to follow changes, or a plateau does."""
    told = "multiply its velocity by lr_new / lr_old"
    assert told not in " ".join(compare(TORCH, TFA).suggestions)
    drop = "torch: SGD(lr=MultiStep(0.01, 0.1, [5]), momentum=0.9, weight_decay=1e-4)"
    assert told in " ".join(compare(drop, TFA).suggestions)
    plateau = load_recipe("recipes/digits-plateau-early-stop.toml")
    assert told in " ".join(compare(plateau, TFA).suggestions)


def test_nearest_in_the_long_run_is_said_to_be_that():
    """1e-5 = 0.01 * 1e-4 / (1 - 0.9) pulls as much, and parts at step 0; the call that is there parts at step 1."""
    found = compare(TORCH, TFA)
    assert found.first_step == 1
    assert found.advice[0].text == "tfa: SGDW(weight_decay=1e-05, learning_rate=0.01, momentum=0.9)"
    assert [advice.decay_is for advice in found.advice] == ["other kind", "other kind"]
    said = " ".join(found.suggestions)
    assert f"nearest in the long run comes {found.advice[0].text}: its weight decay pulls as much" in said
    assert "even then" not in said
    scheduled = compare("torch: SGD(lr=Linear(0.01, 0.0, 9), momentum=0.9, weight_decay=1e-4)", TFA)
    assert scheduled.advice[0].decay_is == "left out"  # no number of independent decay follows an lr
    assert "nearest but for weight decay, which is left out, comes tfa" in " ".join(scheduled.suggestions)


@pytest.mark.parametrize("kind", [kind for kind in DECAYS if kind != "coupled"])
@pytest.mark.parametrize("lr", [0.01, Linear(0.01, 0.005, 9)])
def test_what_pulls_like_is_a_number_of_the_kind_of_the_other_side(kind, lr):
    """Coupled 1e-4 at lr 0.01 and momentum 0.9 takes away 1e-5 in a step: times lr, or not, by the kind."""
    coupled = Settings(lr=lr, momentum=0.9, weight_decay=1e-4)
    like, back = {
        "decoupled": ("0.001", "1e-05"),
        "independent": ("1e-05", "0.001"),
        "relative": ("1e-05", "0.001"),
        "corrected": ("0.001", "1e-05"),
    }[kind]
    other = replace(coupled, decay=kind, weight_decay=1e-4)
    there, here = (" ".join(compare(*pair).suggestions) for pair in ((coupled, other), (other, coupled)))
    if kind in {"independent", "corrected"} and lr != 0.01:  # which follow lr another way, so that no number will do
        assert "pulls like" not in there + here
        return
    over = "weight_decay_coupled * lr" if kind in {"independent", "relative"} else "weight_decay_coupled"
    assert f"coupled 0.0001 pulls like {kind} {like} (weight_decay_{kind} = {over} / (1 - momentum))" in there
    assert f"{kind} 0.0001 pulls like coupled {back} " in here
