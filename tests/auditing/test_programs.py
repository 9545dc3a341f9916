"""`audit` of programs: mistakes planted in exported programs of random recipes, and in scripts as people write them."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

import pytest

from auditing.planted import PLANTS
from auditing.scripts import MORE, NEVER_STEPPED, RIGHT, SCRIPTS, STEPPED_BY_ANOTHER_NAME
from downslope import audit, export
from downslope.core.errors import DownslopeError, ExportError
from downslope.core.settings import Settings, is_zero
from downslope.recipe.schema import Data, Recipe, Train
from downslope.schedules import Cosine, MultiStep
from draws import SEED, draws
from exporting.random_recipes import random_case


def exported(number, **options):
    """Yield so many programs of random recipes, with the recipe and the steps of an epoch."""
    rng, found = random.Random(f"audit {SEED}"), 0
    while found < number:
        case = random_case(rng, found)
        try:
            text = export(case.recipe, to="torch", steps_per_epoch=case.steps_per_epoch, with_model=True, **options)
        except ExportError:
            continue
        found += 1
        yield case, text


def test_an_exported_program_has_no_mistake_of_its_own():
    """What is said of the program of a random recipe is of its numbers, never of its lines."""
    for case, text in exported(draws(20)):
        found = audit(text, steps_per_epoch=case.steps_per_epoch)
        assert not [one for one in found.findings if one.where.startswith("line")], f"{found}\n{text}"


def test_each_planted_mistake_is_found():
    """Every mistake, in every random program that it can be made in."""
    planted = dict.fromkeys(PLANTS, 0)
    for case, text in exported(draws(8)):
        for plant, name in PLANTS.items():
            try:
                wrong = plant(text)
            except (ValueError, StopIteration, IndexError):  # the program has no such line
                continue
            if wrong == text or (name == "momentum_lost_on_resume" and is_zero(case.recipe.sgd.momentum)):
                continue
            planted[plant] += 1
            assert name in audit(wrong).names, f"{plant.__name__}\n{wrong}"
    assert all(count >= draws(2) for count in planted.values()), planted


NUMBERS = {
    "decay_forgets_at_once": {"weight_decay": 0.98},
    "schedule_after_the_end": {"lr": MultiStep(0.1, 0.1, [10, 40], "epoch")},
    "schedule_never_acts": {"lr": MultiStep(0.1, 0.1, [100], "epoch")},
    "lr_ends_before_training": {"lr": Cosine(0.1, 0.0, 12, "epoch")},
    "decay_copied_from_torch": {"weight_decay": 5e-4, "decay": "decoupled"},
}
"""Finding -> the settings with which a program is exported."""


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, target) for name in NUMBERS for target in ("keras", "tensorflow")),
        *((name, target) for name in NUMBERS for target in ("torch", "optax") if name != "decay_copied_from_torch"),
    ],
)
def test_wrong_numbers_are_found_in_every_language(name, target):
    """A recipe with the mistake is exported, and the program read and audited."""
    sgd = Settings(**({"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2} | NUMBERS[name]))
    recipe = Recipe(data=Data(name="own:data", batch_size=64), sgd=sgd, train=Train(epochs=20))
    try:
        text = export(recipe, to=target, steps_per_epoch=100)
    except DownslopeError:
        pytest.skip("the target has no such rule")
    found = audit(text, steps_per_epoch=100, steps=2000)
    if found.not_checked and "not recognised" in found.not_checked[0]:
        assert target == "torch"
        return  # the exporter wrote a function of the step, and the audit says that it does not know the lr
    assert name in found.names, f"{found}\n{text}"
    right = export(replace(recipe, sgd=replace(sgd, **RIGHT_NUMBERS)), to=target, steps_per_epoch=100)
    assert not [one for one in audit(right, steps_per_epoch=100, steps=2000).findings if one.level != "advice"]


RIGHT_NUMBERS = {"lr": 0.1, "weight_decay": 5e-4, "decay": "coupled"}


@pytest.mark.parametrize("what", [*SCRIPTS, *MORE])
def test_scripts_as_people_publish_them(what):
    """Each mistake is found, and nothing else that is an error."""
    name, text = (SCRIPTS | MORE)[what]
    found = audit(text)
    assert name in found.names, found
    assert {one.name for one in found.errors} <= {name}, found


@pytest.mark.parametrize("what", RIGHT)
def test_scripts_in_which_nothing_is_wrong(what):
    """Not even advice."""
    assert audit(RIGHT[what]).findings == ()


@pytest.mark.parametrize("what", STEPPED_BY_ANOTHER_NAME)
def test_a_scheduler_may_be_stepped_by_any_name(what):
    """No finding; that it was not checked is said, with the line."""
    found = audit(STEPPED_BY_ANOTHER_NAME[what])
    assert found.errors == (), found
    assert any(line.startswith("whether the scheduler is stepped: it may be in line") for line in found.not_checked)


@pytest.mark.parametrize(
    ("broken", "where"),
    [("x = (", "at line {last}: x = ("), ('print "done"', 'at line {last}: print "done"'), ("x = 1\0", "")],
)
def test_a_program_that_cannot_be_parsed(broken, where):
    """Of what its lines do nothing was checked, and that is said with the line, whether or not its numbers are read."""
    name, whole = SCRIPTS["the old order of scheduler and optimizer"]
    for text in (whole, "import torch\nfrom torch import nn\nmodel = nn.Linear(2, 1)\n"):
        program = f"{text.rstrip()}\n{broken}\n"
        found = audit(program)
        assert name not in found.names
        told = [line for line in found.not_checked if line.startswith("what the program's lines do: Python cannot")]
        assert len(told) == 1, found
        assert told[0].endswith(where.format(last=len(program.splitlines())) or "parse it"), told


@pytest.mark.parametrize("what", NEVER_STEPPED)
def test_a_scheduler_that_nothing_steps(what):
    """It is a certain error as before, whatever else has a step() that is known."""
    (error,) = audit(NEVER_STEPPED[what]).errors
    assert (error.name, error.sure) == ("scheduler_never_stepped", "certain")


def test_of_two_schedulers_one_may_be_stepped_elsewhere():
    """The unit of the one that is seen says nothing of the other's length."""
    text = STEPPED_BY_ANOTHER_NAME["out of a factory"].replace("StepLR(o, 30)", "CosineAnnealingLR(o, epochs)")
    warm = "warm_sched = torch.optim.lr_scheduler.LinearLR(o, total_iters=500)\nfor epoch in"
    text = text.replace("for epoch in", warm).replace("o.step()\n", "o.step()\n        warm_sched.step()\n")
    assert "schedule_in_the_wrong_unit" not in audit(text).names
    alone = text.replace("    s.step()\n", "")
    assert "schedule_in_the_wrong_unit" in audit(alone).names


@pytest.mark.parametrize("text", ["def f(:\n", "x = " + "(" * 5000, "import torch\nfor x in y:\n  pass\n" * 3])
def test_what_is_no_program_says_nothing(text):
    """Broken, endless, or empty of training: an error of the reader, or no finding."""
    with suppress(DownslopeError):
        assert audit(text).findings == ()
