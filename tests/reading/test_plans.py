"""What a plan of the learning rate comes to: worked out by hand."""

import pytest

from downslope.reading.plan import Plan, complete
from downslope.reading.reading import Field


def completed(plan, **known):
    """Return the values of a plan's fields by path, the provenance of each, and the names of the remarks."""
    said = []
    lengths = {f"train.{name}": Field(value, "stated", f"{value} {name}") for name, value in known.items()}
    found = complete(plan, lengths, lambda name, **_: said.append(name))
    return {path: one.value for path, one in found.items()}, {path: one.provenance for path, one in found.items()}, said


def test_parts_of_the_whole_become_times_in_its_unit():
    """Half and three quarters of 90 epochs."""
    plan = Plan("multistep", parts=True).tell("at 50% and 75%", times=[0.5, 0.75], factor=0.1)
    values, sources, said = completed(plan, epochs=90)
    assert values == {"sgd.lr.factor": 0.1, "sgd.lr.unit": "epoch", "sgd.lr.milestones": [45, 67.5]}
    assert sources["sgd.lr.milestones"] == "implied"
    assert not said


def test_parts_of_an_unknown_whole_are_left_out():
    """Nothing tells when it changes."""
    values, _, said = completed(Plan("multistep", parts=True).tell("at 50%", times=[0.5], factor=0.1))
    assert values == {"sgd.lr.factor": 0.1}
    assert said == ["no_total"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([0.1, 0.02, 0.004], {"schedule": "multistep", "initial": 0.1, "factor": 0.2, "milestones": [30, 60]}),
        ([0.1, 0.02, 0.001], {"schedule": "sequence", "schedules": [0.1, 0.02, 0.001], "boundaries": [30, 60]}),
    ],
)
def test_levels_of_one_factor_are_steps(levels, expected):
    """0.1, 0.02, 0.004 are steps of 0.2; 0.001 is none."""
    values, _, _ = completed(Plan("levels").tell("so", levels=levels, times=[30, 60]), epochs=90)
    assert values == {f"sgd.lr.{name}": value for name, value in expected.items()} | {"sgd.lr.unit": "epoch"}


@pytest.mark.parametrize(
    ("times", "known", "unit", "provenance"),
    [
        ([30, 60], {"epochs": 90}, "epoch", "implied"),
        ([30, 60], {"steps": 90}, "step", "implied"),
        ([100, 150], {"epochs": 90}, "step", "assumed"),
        ([30, 60], {}, "epoch", "assumed"),
        ([30_000, 60_000], {}, "step", "assumed"),
    ],
)
def test_times_take_the_unit_of_the_length_that_they_lie_within(times, known, unit, provenance):
    """Else their size tells, and the field is marked."""
    values, sources, _ = completed(Plan("multistep").tell("so", times=times, factor=0.1), **known)
    assert (values["sgd.lr.unit"], sources["sgd.lr.unit"]) == (unit, provenance)


@pytest.mark.parametrize(("clocked", "duration"), [(None, 85), (False, 85), (True, 90)])
def test_a_ramp_goes_to_the_end_of_training_less_the_warmup_before_it(clocked, duration):
    """5 of 90 epochs, unless its clock runs since the start."""
    plan = Plan("warmup", then=Plan("cosine").tell("so", initial=0.1), clocked=clocked)
    values, sources, said = completed(plan.tell("5 epochs", duration=5, unit="epoch"), epochs=90)
    assert values["sgd.lr.then.duration"] == duration
    assert (values["sgd.lr.then.final"], values["sgd.lr.then.unit"]) == (0.0, "epoch")
    assert sources["sgd.lr.then.duration"] == "implied"
    assert values.get("sgd.lr.restart") is (False if clocked else None)
    assert not said


def test_steps_after_a_warmup_count_from_the_start():
    """As in Goyal et al. 2017."""
    then = Plan("multistep").tell("so", times=[30], factor=0.1, unit="epoch")
    values, _, _ = completed(Plan("warmup", then=then).tell("5 epochs", duration=5, unit="epoch"))
    assert values["sgd.lr.restart"] is False


def test_a_constant_phase_and_what_follows_it_are_a_sequence():
    """50 epochs at 0.1, then a line down: of 90 epochs 40 are left."""
    plan = Plan("linear", held=(Field(50, "stated", "for 50 epochs"), "epoch")).tell("then linearly", schedule="linear")
    values, _, _ = completed(plan.tell("0.1", initial=0.1), epochs=90)
    line = {"schedule": "linear", "initial": 0.1, "final": 0.0, "duration": 40, "unit": "epoch"}
    assert values == {
        "sgd.lr.schedule": "sequence",
        "sgd.lr.schedules": [0.1, line],
        "sgd.lr.boundaries": [50],
        "sgd.lr.unit": "epoch",
    }


def test_what_is_missing_is_remarked_on():
    """A factor, times, a length, a plateau's patience."""
    assert completed(Plan("multistep").tell("so", schedule="multistep"))[2] == ["no_factor", "no_milestones"]
    assert completed(Plan("cosine"))[2] == ["no_duration"]
    assert completed(Plan("warmup"))[2] == ["no_duration"]
    values, _, said = completed(Plan("plateau").tell("so", factor=0.1))
    assert values == {"train.plateau.factor": 0.1, "train.plateau.patience": 10}
    assert said == ["plateau", "patience"]
