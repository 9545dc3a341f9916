"""`audit`: each finding of a recipe by hand, famous recipes without false alarms, runs, optimizers, the command."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import downslope
from cli.command_line import command, fail, succeed
from downslope import Group, Settings, audit
from downslope.auditing import audit_subject
from downslope.auditing.subject import Sizes, find_subject
from downslope.cli.main import main
from downslope.core.errors import DownslopeError, SettingsError
from downslope.explaining.famous import FAMOUS
from downslope.language import speaking
from downslope.recipe.load import load_recipe
from downslope.recipe.schema import Data, EarlyStop, Plateau, Recipe, Train
from downslope.schedules import Cosine, Exponential, Linear, MultiStep, Warmup
from house.source_tree import ROOT
from reading.first_corpus import FIRST, FOUNDING
from reading.second_corpus import SECOND
from reading.third_corpus import THIRD

SPARED = (Group(match="@bias_and_norm", weight_decay=0.0),)


def recipe_of(size=128, groups=SPARED, sgd=None, train=None, **settings):
    """Return a recipe that nothing is to be said of, but for what is given: WRN's, with biases spared."""
    usual = {"lr": MultiStep(0.1, 0.2, [60, 120, 160], "epoch"), "momentum": 0.9, "weight_decay": 5e-4}
    return Recipe(
        data=Data(name="own:data", batch_size=size),
        sgd=sgd or Settings(**(usual | settings)),
        groups=groups,
        train=Train(**({"epochs": 200} | (train or {}))),
    )


def test_nothing_is_said_of_a_usual_recipe():
    """Neither with the size of the data nor without, which is said."""
    assert audit(recipe_of(), examples=50_000).findings == ()
    without = audit(recipe_of())
    assert without.findings == ()
    assert "--examples" in without.not_checked[0]
    assert "--steps-per-epoch N" in str(without)  # no option is broken at its hyphens


ROWS = {
    # weight decay
    "decay_forgets_at_once error": (recipe_of(weight_decay=0.98), {}),
    "decay_forgets_within_an_epoch warning": (recipe_of(weight_decay=5e-3), {"examples": 50_000}),
    "decay_without_effect warning": (recipe_of(weight_decay=1e-8), {"examples": 50_000}),
    "decay_is_slow advice": (recipe_of(weight_decay=1e-4), {"examples": 50_000}),
    "decay_copied_from_torch warning": (recipe_of(decay="decoupled"), {}),
    "decay_on_bias_and_norm advice": (recipe_of(groups=()), {}),
    "frozen_parameters_decay error": (
        recipe_of(
            weight_decay=1e-4, decay="independent", groups=(*SPARED, Group(match="a", lr=0.0, weight_decay=1e-4))
        ),
        {},
    ),
    # schedules
    "lr_is_zero error": (recipe_of(lr=0.0), {"examples": 50_000}),
    "lr_is_zero error, by a schedule": (recipe_of(lr=Linear(0.0, 0.0, 10)), {}),
    "lr_is_zero error, of all groups": (recipe_of(lr=0.0, groups=(*SPARED, Group(match="a", lr_factor=2.0))), {}),
    "schedule_in_the_wrong_unit error": (recipe_of(lr=MultiStep(0.1, 0.2, [60, 120, 160], "step")), {}),
    "schedule_in_the_wrong_unit error, with the size": (
        recipe_of(lr=MultiStep(0.1, 0.2, [60, 120, 160], "step")),
        {"examples": 50_000},
    ),
    "schedule_never_acts error": (recipe_of(lr=MultiStep(0.1, 0.2, [30_000], "epoch")), {}),
    "schedule_after_the_end error": (recipe_of(lr=Cosine(0.1, 0.0, 78_200, "epoch")), {}),
    "schedule_after_the_end warning": (recipe_of(lr=MultiStep(0.1, 0.2, [60, 200], "epoch")), {}),
    "lr_ends_before_training error": (recipe_of(lr=Cosine(0.1, 0.0, 150, "epoch")), {}),
    "lr_ends_before_training error, exponential": (recipe_of(lr=Exponential(0.1, 0.1, 5, "epoch", True)), {}),
    "warmup_too_long warning": (recipe_of(lr=Warmup(100, 0.1, 0.01, "epoch")), {}),
    # the run
    "no_warmup_for_a_large_batch warning": (recipe_of(lr=MultiStep(3.2, 0.1, [60], "epoch"), size=8192), {}),
    "velocity_outlives_an_epoch warning": (recipe_of(momentum=0.9999, weight_decay=5e-7), {"examples": 50_000}),
    "first_step_undampened advice": (recipe_of(dampening=0.9, lr=1.0), {}),
    "lr_inside_the_velocity advice": (recipe_of(lr_in_velocity=True), {}),
    "batch_larger_than_the_data error": (recipe_of(size=60_000, weight_decay=1e-4, lr=0.001), {"examples": 50_000}),
    "average_outlives_the_run error": (
        recipe_of(lr=0.1, train={"epochs": None, "steps": 500, "ema": 0.9999}, weight_decay=1e-2),
        {},
    ),
    "stops_before_lr_falls error": (
        recipe_of(lr=0.1, train={"plateau": Plateau(patience=10), "early_stop": EarlyStop(patience=5)}),
        {},
    ),
    "plateau_never_acts warning": (recipe_of(lr=0.1, train={"epochs": 8, "plateau": Plateau(patience=10)}), {}),
}


@pytest.mark.parametrize(("said", "row"), ROWS.items(), ids=ROWS)
def test_each_finding_of_a_recipe(said, row):
    """The finding is there, at its level, with all that a person needs; and nothing else is wrong."""
    name, level = said.split(",")[0].split(" ")
    recipe, sizes = row
    found = audit(recipe, **sizes)
    (one,) = [finding for finding in found.findings if finding.name == name]
    assert one.level == level
    assert all((one.what, one.where, one.why, one.source, one.do, one.sure))
    others = {finding.name for finding in found.findings if finding.level == "error"} - {name}
    assert others <= {"schedule_in_the_wrong_unit", "decay_forgets_at_once"}
    assert one.what in " ".join(str(found).split())


def test_numbers_in_words_are_those_of_theory():
    """Five epochs over ten: WRN's timescale 1955 steps of 391 an epoch; ten times the decay is a tenth of it."""
    (one,) = audit(recipe_of(weight_decay=5e-3), examples=50_000).findings
    assert "0.51 epochs (200 steps)" in one.what  # (1 - 0.9) / (0.1 * 0.005) = 200, of 391
    (copied,) = audit(recipe_of(decay="decoupled")).findings
    assert "10 times weaker" in copied.what
    assert copied.do.startswith("use 0.005, or in Keras L2(0.00025)")


MOVING = {"lr": 0.1, "decay": "decoupled", "momentum": Linear(0.5, 0.95, 50, "epoch")}
"""With a decay that falls over 50 epochs of 45 steps to 0: the effective lr is largest at the end, without decay."""


def test_of_a_decay_that_moves_the_sum_counts():
    """0.1 times 0.1 falling to 0 over 2,250 steps is 200 in the mean, 4.4 epochs; a thousandth of 0.1 is 200,000."""
    sizes = {"steps": 2250, "steps_per_epoch": 45}
    usual = Settings(**MOVING, weight_decay=Linear(0.1, 0.0, 50, "epoch"))
    assert audit(usual, **sizes).names == ()
    weak = audit(replace(usual, weight_decay=Linear(1e-4, 0.0, 50, "epoch")), **sizes)
    (one,) = [finding for finding in weak.findings if finding.name == "decay_without_effect"]
    assert one.what.startswith("over the run as a whole weights would forget over 199,")  # 2 / (0.1 * 1e-4), to a step
    strong = audit(replace(usual, weight_decay=Linear(0.5, 0.0, 50, "epoch")), **sizes)
    (one,) = [finding for finding in strong.findings if finding.name.startswith("decay_forgets")]
    assert one.what == "over the run as a whole weights forget over 0.87 epochs (39 steps)"
    cosine = recipe_of(
        lr=Cosine(0.1, 0.0, 200, "epoch"), weight_decay=2e-8
    )  # 50 million steps; half as fast as at first
    (one,) = [f for f in audit(cosine, examples=50_000).findings if f.name == "decay_without_effect"]
    assert "over the run as a whole weights would forget over 99," in one.what


def test_a_decay_under_which_weights_grow_is_an_error():
    """1 - 1 * 3 is -2: no number of steps is said after which they have forgotten; nor is it with lr 1, decay 2."""
    for weight_decay in (3.0, 2.0):
        found = audit(Settings(lr=1.0, weight_decay=weight_decay), steps=2250, steps_per_epoch=45)
        assert [finding.name for finding in found.errors] == ["decay_forgets_at_once"]
        assert "beyond 0 at every step" in found.errors[0].what
        assert "inf" not in str(found)


def test_an_lr_of_0_is_a_fault_of_lr_alone():
    """Nothing is said of decay, and no number of steps is infinite; nor is it a fault where a group learns."""
    found = audit(recipe_of(lr=0.0), examples=50_000)
    assert [(one.name, one.where, one.sure) for one in found.findings] == [("lr_is_zero", "sgd.lr", "certain")]
    assert "inf" not in str(found)
    assert audit(recipe_of(lr=0.0, groups=(*SPARED, Group(match="head", lr=0.1))), examples=50_000).findings == ()
    model, optimizer = model_and_optimizer(torch.optim.SGD)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: epoch / 10)  # a warmup from 0
    assert "lr_is_zero" not in audit(optimizer, model).names
    program = "import torch\nopt = torch.optim.SGD(m.parameters(), lr=0.0, momentum=0.9)\nadjust(opt)\n"
    assert audit(program).errors == ()


def test_what_is_one_is_counted_in_the_singular():
    """A step after which 37 % is kept, an epoch of training, an example: in both languages."""
    found = str(audit(Settings(lr=0.25, weight_decay=2.0), steps=3, steps_per_epoch=1))
    assert "after 1 step, 1.4 epochs" in found
    short = audit(Settings(lr=MultiStep(0.1, 0.1, [9])), steps=1)
    assert not any("1 steps" in finding.what for finding in short.findings)
    one = audit(recipe_of(lr=Warmup(2, then=0.1), train={"epochs": 1}), batch_size=128, examples=128)
    assert "1 steps" not in str(one)
    with speaking("zh"):
        assert "权重在 1 步" in str(audit(Settings(lr=0.25, weight_decay=2.0), steps_per_epoch=1))


def test_famous_recipes_have_at_most_one_false_alarm():
    """The recipes that come along, the sentences of the three corpora, and the famous numbers: advice alone."""
    things = [(path.stem, str(path), {}) for path in sorted((ROOT / "recipes").glob("*.toml"))]
    things += [(row.name, row.text, {}) for row in (*FIRST, *SECOND, *THIRD)]
    things += [(one.name, one.settings, {"batch_size": one.batch_size, "examples": one.examples}) for one in FAMOUS]
    looked_at, alarms = 0, []
    for name, thing, sizes in things:
        try:
            found = audit(thing, **sizes)
        except DownslopeError:  # another optimizer's, or too little for a recipe
            continue
        looked_at += 1
        alarms += [(name, finding) for finding in found.findings if finding.level != "advice"]
    assert looked_at > 80
    assert len(alarms) <= 1, alarms


def test_the_founding_question():
    """Read as the reader reads it first, nothing is wrong; taken literally, it forgets at once."""
    assert audit(FOUNDING).errors == ()
    literally = audit("torch: SGD(lr=0.1, weight_decay=0.98)")
    assert literally.errors[0].name == "decay_forgets_at_once"
    assert "weight_decay=0.98" in literally.errors[0].where


def test_a_value_that_may_be_another_makes_no_error():
    """Nor does a part of it; another value whose name begins alike says nothing of it."""
    subject = find_subject(recipe_of(lr=MultiStep(0.1, 0.2, [30_000], "epoch")), Sizes())
    for unsure in ("sgd.lr", "sgd.lr.milestones"):
        (one,) = audit_subject(replace(subject, unsure=(unsure,))).findings
        assert (one.name, one.level, one.sure) == ("schedule_never_acts", "warning", "possible")
    (one,) = audit_subject(replace(subject, unsure=("sgd.lr_in_velocity",))).findings
    assert (one.level, one.sure) == ("error", "certain")


def test_a_run(tmp_path, capsys):
    """Clipping that always acts, one that never does, an edge, and where it stands; a run takes no options."""
    out = tmp_path / "run"
    words = ["train", "digits", "--train.epochs", "1", "--train.clip_norm", "1e-4", "--train.sharpness_every", "10"]
    succeed([*words, "--out", str(out), "--sgd.lr", "0.001", "--sgd.momentum", "0"], capsys)
    found = audit(str(out))
    assert {"clipping_always_acts", "lr_below_the_edge"} <= set(found.names)
    with pytest.raises(DownslopeError, match="Give no options"):
        audit(str(out), examples=5)
    log = out / "log.jsonl"
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if row["kind"] == "sharpness":
            row["sharpness"] = 2 * row["limit"]
        if row["kind"] == "step":
            row["grad_norm"] = 1e-6
            row["loss"] = float(row["step"] + 1)
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert {"clipping_never_acts", "lr_above_the_edge", "diverged"} <= set(audit(str(out)).names)
    capsys.readouterr()
    assert main(["audit", str(out)]) == 1
    assert "lr_above_the_edge" in capsys.readouterr().out


def model_and_optimizer(kind, **settings):
    """Return a small model with a normalisation layer, and an optimizer of all of it."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    parameters = model.named_parameters() if kind is not torch.optim.SGD else model.parameters()
    return model, kind(parameters, **({"lr": 0.1, "momentum": 0.9} | settings))


@pytest.mark.parametrize("kind", [torch.optim.SGD, downslope.torch.SGD], ids=["torch", "downslope"])
def test_an_optimizer(kind):
    """Ours and torch's: what decays, what is missing, what is another's, what is frozen, and over how many epochs."""
    model, optimizer = model_and_optimizer(kind, weight_decay=5e-4)
    found = audit(optimizer, model, steps_per_epoch=391)
    assert found.names == ("decay_on_bias_and_norm",)
    assert "4 parameters are biases" in found.findings[0].what
    assert audit(model_and_optimizer(kind, weight_decay=0.5)[1]).names == ("decay_forgets_at_once",)
    assert audit(optimizer, model, steps_per_epoch=10_000).names[0] == "decay_forgets_within_an_epoch"

    model[2] = nn.Linear(4, 3)
    names = audit(optimizer, model).names
    assert names[:2] == ("parameters_not_in_the_optimizer", "parameters_of_another_model")

    model, optimizer = model_and_optimizer(kind, weight_decay=5e-4)
    model[0].weight.requires_grad = False
    assert "frozen_parameters_held" in audit(optimizer, model).names
    model[0].weight.grad = torch.zeros_like(model[0].weight)
    assert audit(optimizer, model).errors[0].name == "frozen_parameters_decay"


def test_what_the_finding_on_frozen_parameters_says_is_so():
    """torch's SGD decays a frozen parameter whose gradient is zeros, and leaves one alone whose gradient is None."""
    model, optimizer = model_and_optimizer(torch.optim.SGD, weight_decay=0.5)
    weight = model[0].weight.requires_grad_(False)
    before = weight.clone()
    optimizer.step()
    assert torch.equal(weight, before)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert torch.allclose(weight, 0.95 * before)


def test_schedules_and_state_of_an_optimizer():
    """Our schedules within the optimizer are looked at; a scheduler that has moved without a velocity is told."""
    lr = MultiStep(0.1, 0.1, [100_000])
    model, optimizer = model_and_optimizer(downslope.torch.SGD, lr=lr)
    assert audit(optimizer, model, steps=1000).errors[0].name == "schedule_never_acts"
    model, optimizer = model_and_optimizer(torch.optim.SGD)
    torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    assert audit(optimizer, model).findings == ()
    optimizer.param_groups[0]["lr"] = 0.01
    assert audit(optimizer, model).names == ("momentum_lost_on_resume",)
    adam = torch.optim.Adam(model.parameters(), weight_decay=0.1)
    assert audit(adam, model).names == ("decay_on_bias_and_norm",)


def test_refusals(tmp_path):
    """What is no such thing, and a model without its optimizer."""
    with pytest.raises(SettingsError, match="`steps` must be an integer"):
        audit("digits", steps=0)
    with pytest.raises(SettingsError, match="goes with an optimizer"):
        audit("digits", nn.Linear(1, 1))
    with pytest.raises(SettingsError, match="must have named parameters"):
        audit(model_and_optimizer(torch.optim.SGD)[1], [1])
    with pytest.raises(DownslopeError, match="no run folder"):
        audit(str(tmp_path))


def test_the_command(tmp_path, capsys):
    """Text, JSON, overrides, exit codes; and a script by its path, with the line."""
    assert succeed(["audit", "digits-cosine-warmup"], capsys).startswith("digits-cosine-warmup: 0 errors, 0 warnings,")
    assert main(["audit", "digits", "--sgd.weight_decay", "0.98", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["where"] == "sgd.weight_decay"
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\nopt = torch.optim.SGD(m.parameters(), lr=0.1, weight_decay=0.98)\n", encoding="utf-8"
    )
    assert main(["audit", str(script)]) == 1
    assert 'line 2: "weight_decay=0.98"' in capsys.readouterr().out
    script.write_text("import torch\nopt = torch.optim.SGD(m.parameters(), lr=rate)\n", encoding="utf-8")
    assert "not checked" in succeed(["audit", str(script)], capsys)
    done = command("audit", "-", input=script.read_text(encoding="utf-8").replace("rate", "0.1, weight_decay=0.98"))
    assert done.returncode == 1
    assert "not both" in fail(["audit", "digits", "--examples", "5", "--steps-per-epoch", "5"], capsys)
    assert "sgd.lr" in fail(["audit", "nothing like a recipe"], capsys)


def test_limits_of_the_plain_rule_are_none_where_there_is_a_trust_ratio():
    """An lr of LARS is far above SGD's: what follows of it with a decay is no error, and is said not to be checked."""
    recipe = load_recipe("digits")
    plain = replace(recipe, groups=(), sgd=Settings(lr=4.8, momentum=0.9, weight_decay=1e-3))
    lars = replace(plain, sgd=replace(plain.sgd, trust_coefficient=0.001))
    assert [finding.name for finding in audit(plain).errors] == ["decay_forgets_at_once"]
    found = audit(lars)
    assert not found.errors
    assert any("trust ratio" in line for line in found.not_checked)
    large = [audit(one.sgd, batch_size=4096, examples=10**6).names for one in (plain, lars)]
    assert ["no_warmup_for_a_large_batch" in names for names in large] == [True, False]
    optimizer = downslope.torch.SGD(nn.Linear(2, 1, bias=False), lr=4.8, momentum=0.9, weight_decay=1e-3)
    assert "decay_forgets_at_once" in audit(optimizer, steps_per_epoch=100).names
    optimizer.param_groups[0]["trust_coefficient"] = 0.001
    assert "decay_forgets_at_once" not in audit(optimizer, steps_per_epoch=100).names


def test_a_recipe_is_left_as_it_is():
    """An audit changes nothing."""
    recipe = load_recipe("digits")
    same = replace(recipe)
    audit(recipe)
    assert recipe == same
