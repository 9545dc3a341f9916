"""What `downslope tune` searches: lines of a search, coordinates by the theory, proposals, and the order of trials."""

import math
from dataclasses import replace

import pytest

from downslope import load_recipe
from downslope.core.errors import DownslopeError, RecipeError
from downslope.recipe.schema import Tune
from downslope.schedules import Constant
from downslope.theory.forgetting import memory
from downslope.training.tuning.coordinates import coordinates_of, default_space, recipe_at
from downslope.training.tuning.ladder import Job, next_turn, rungs_of
from downslope.training.tuning.propose import Known, propose
from downslope.training.tuning.space import grid, read_dimension, read_space

DIGITS = 1437 - 288  # 20 % of those to learn from, 287.4 rounded up


@pytest.mark.parametrize(
    ("name", "form", "places", "values"),
    [
        ("sgd.lr", "log(1e-3, 1)", (0.0, 1 / 3, 1.0), (0.001, 0.01, 1.0)),
        ("sgd.momentum", "uniform(0, 0.9)", (0.0, 0.5, 1.0), (0.0, 0.45, 0.9)),
        ("data.batch_size", "int(8, 11)", (0.0, 0.26, 1.0), (8, 9, 11)),
        ("model.hidden", "choice([64], [128, 64])", (0.0, 0.6, 1.0), ("[64]", "[128, 64]", "[128, 64]")),
        ("train.loss", 'choice("mse", "huber")', (0.2, 0.8), ('"mse"', '"huber"')),
    ],
)
def test_values_of_a_dimension(name, form, places, values):
    """A dimension goes from end to end, and finds the place of each of its values again."""
    one = read_dimension(name, form)
    assert tuple(one.at(place) for place in places) == pytest.approx(values) if name[0] == "s" else values
    for value in values:
        assert one.at(one.place(value)) == value
    assert read_dimension(*map(str.strip, str(one).split("=", 1))) == one


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"sgd.lrr": "log(1, 2)"}, "Did you mean"),
        ({"sgd.lr": "log(0, 1)"}, "above 0"),
        ({"sgd.lr": "log(1, 0.1)"}, "below the second"),
        ({"sgd.lr": "gauss(0, 1)"}, "values are given as"),
        ({"sgd.lr": "log(1)"}, "two finite numbers"),
        ({"data.batch_size": "int(1.5, 3)"}, "two integers"),
        ({"model.hidden": "choice([64])"}, "at least two"),
        ({"effective_lr": 'choice(1.0, "x")'}, "a coordinate is a number"),
        ({"decay_epochs": "choice(true, false)"}, "a coordinate is a number"),
        ({"sgd.lr": "log(1e-3, 1)", "effective_lr": "log(1e-3, 1)"}, "Search one of the two"),
    ],
)
def test_a_search_that_has_no_meaning_is_refused(search, says):
    """Each mistake gets one message."""
    with pytest.raises(RecipeError, match=says):
        read_space(search)


def test_what_a_schedule_is_replaced_by():
    """Of lr with a schedule a number is its largest value, another schedule takes its place, and a word is refused."""
    recipe = load_recipe()
    assert recipe_at(recipe, {"sgd.lr": "0.25"}, 1437).sgd.lr == replace(recipe.sgd.lr, initial=0.25)
    constant = recipe_at(recipe, {"sgd.lr": '{ schedule = "constant", value = 0.5 }'}, 1437)
    assert constant.sgd.lr == Constant(0.5)
    for word in ('"x"', "true", "nan"):
        with pytest.raises(DownslopeError, match="`lr` must"):
            recipe_at(recipe, {"sgd.lr": word}, 1437)


def test_coordinates_by_hand():
    """Horizon 320 examples in steps of 32 is momentum 0.9; effective lr 1 then lr 0.1; 36 steps an epoch."""
    recipe = load_recipe(overrides=[("sgd.lr", "0.5")])
    point = {"effective_lr": 1.0, "velocity_examples": 320, "decay_epochs": 10.0}
    found = recipe_at(recipe, point, DIGITS).sgd
    assert (found.momentum, found.lr) == pytest.approx((0.9, 0.1))
    assert found.weight_decay == pytest.approx(1 / (10 * 36 * 1.0))
    assert coordinates_of(recipe_at(recipe, point, DIGITS), DIGITS) == pytest.approx(point)


@pytest.mark.parametrize("decay", ["coupled", "decoupled", "independent", "relative", "corrected"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_the_timescale_is_what_the_rule_forgets(decay, nesterov):
    """Of every kind of decay, and of a schedule at its largest value, weights forget in the steps asked for."""
    recipe = load_recipe(
        overrides=[("sgd.decay", decay), ("sgd.nesterov", str(nesterov).lower()), ("sgd.dampening", "0.0")]
    )
    point = {"effective_lr": 0.3, "velocity_examples": 96.0, "decay_epochs": 100.0}
    sgd = recipe_at(recipe, point, DIGITS).sgd
    assert type(sgd.lr) is type(recipe.sgd.lr)  # its shape is kept
    assert memory(sgd.at(0)).steps == pytest.approx(100 * 36, rel=0.01)


def test_a_schedule_is_scaled_in_raw_coordinates():
    """A number searched where a schedule stands is that schedule's largest value."""
    recipe = load_recipe()
    assert recipe_at(recipe, {"sgd.lr": 0.02}, DIGITS).sgd.lr(0) == pytest.approx(0.02)
    names = [one.name for one in default_space(load_recipe(), 50)]
    assert names == ["effective_lr", "decay_epochs", "velocity_examples"]


def test_a_grid_by_hand():
    """Nine trials are three values of each of two numbers, ends included; too few are refused."""
    space = read_space({"sgd.lr": "log(0.01, 1)", "sgd.momentum": "uniform(0.0, 0.9)"})
    points = grid(space, 11)
    assert [point["sgd.lr"] for point in points] == pytest.approx([0.01] * 3 + [0.1] * 3 + [1.0] * 3)
    assert [point["sgd.momentum"] for point in points[:3]] == pytest.approx([0.0, 0.45, 0.9])
    with pytest.raises(RecipeError, match="at least 4 trials"):
        grid(space, 3)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "cmaes"])
def test_a_proposal_is_a_function_of_what_is_known(sampler):
    """Asked twice it is the same; within the ranges; another number gives another, and a sampler learns."""
    pytest.importorskip("optuna")
    space = read_space({"sgd.lr": "log(1e-4, 1)", "sgd.momentum": "uniform(0.0, 0.9)", "seed": "choice(1, 2)"})
    known = []
    for number in range(24):
        found = propose(space, sampler, seed=3, number=number, known=known, trials=50)
        if number % 8 == 0:
            assert found == propose(space, sampler, seed=3, number=number, known=list(known), trials=50)
        assert all(one.at(one.place(found[one.name])) == found[one.name] for one in space)
        distance = abs(math.log10(found["sgd.lr"]) + 2) + found["sgd.momentum"]
        known.append(Known(found, distance if distance < 2 else math.inf))
    if sampler in {"tpe", "cmaes"}:
        first, last = ([one.value for one in part if math.isfinite(one.value)] for part in (known[:10], known[14:]))
        assert sum(last) / len(last) < sum(first) / len(first)


def test_rungs_by_hand():
    """Thirds of 900 steps, cut to whole evaluations; no more rungs than trials can climb, or evaluations divide."""
    assert rungs_of(900, 10, 40, 3) == (30, 100, 300, 900)
    assert rungs_of(900, 10, 8, 3) == (300, 900)
    assert rungs_of(900, 400, 40, 3) == (900,)


def test_successive_halving_by_hand():
    """Of each two the better goes on at once; ties go to the earlier; what diverged never does."""
    values = {0: 0.5, 1: 0.4, 2: math.inf, 3: 0.1}
    results, order = {}, []
    while batch := next_turn(results, trials=4, width=1, rungs=3, halving=2).batch:
        order.append(tuple(batch[0]))
        results[batch[0]] = values[batch[0].trial]
    assert order == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1), (3, 2)]


def test_a_batch_waits_for_all_of_it():
    """What comes next does not depend on which of a batch ended first."""
    one = next_turn({Job(1, 0): 0.2}, trials=4, width=2, rungs=1, halving=None)
    assert one.batch == (Job(0, 0), Job(1, 0))
    assert not one.done
    both = next_turn({Job(1, 0): 0.2, Job(0, 0): 0.3}, trials=3, width=2, rungs=1, halving=None)
    assert both.done == (Job(0, 0), Job(1, 0))
    assert both.batch == (Job(2, 0),)


def test_tables_are_checked():
    """A table [tune] is checked as any other."""
    for wrong in ({"trials": 0}, {"halving": 1}, {"seeds": 0}, {"validation": 1.0}):
        with pytest.raises(RecipeError):
            Tune(**wrong)
