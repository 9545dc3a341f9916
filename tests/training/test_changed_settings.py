"""Going on under a changed recipe: what a plateau has reduced, what an early stop holds back, what is said."""

import json
from pathlib import Path

import pytest
from training_runs import run, tiny

from downslope.core.errors import CheckpointError
from downslope.training.run import environment, plan
from downslope.training.run.environment import describe_environment

PLATEAU = "{ patience = 1, factor = 0.5, min_delta = 9.0 }"
"""No evaluation but the first is an improvement, so that lr is halved after the second, the third and so on."""
SETTINGS = {"lr": "0.2", "momentum": "0.5"}
GROUPS = '[{ match = "*.bias", lr = 0.4 }]'


def recipe(groups="[]", plateau=PLATEAU, **sgd):
    """Return a recipe of 20 steps, evaluated after every 5."""
    table = ", ".join(f"{key} = {value}" for key, value in (SETTINGS | sgd).items())
    return tiny(sgd=f"{{ {table} }}", groups=groups, **({"train__plateau": plateau} if plateau else {}))


def lrs(folder):
    """Return the lr of each logged step."""
    rows = map(json.loads, (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [row["lr"] for row in rows if row["kind"] == "step"]


@pytest.mark.parametrize("changed", [{"momentum": "0.6"}, {"weight_decay": "0.01"}, {"nesterov": "true"}], ids=str)
def test_a_reduced_lr_survives_another_setting(changed, tmp_path):
    """After step 12 lr has been halved once; a recipe with another momentum goes on with the half, and halves it on."""
    run(recipe(), tmp_path, at=12)
    assert lrs(tmp_path) == [0.2] * 10 + [0.1] * 2
    _, said = run(recipe(**changed), tmp_path)
    assert lrs(tmp_path) == [0.2] * 10 + [0.1] * 5 + [0.05] * 5
    assert not any("plateau" in text for text in said)


def test_a_reduced_lr_survives_without_its_plateau(tmp_path):
    """Taking the plateau out stops further reductions and undoes none."""
    run(recipe(), tmp_path, at=12)
    run(recipe(plateau=None, momentum="0.6"), tmp_path)
    assert lrs(tmp_path) == [0.2] * 10 + [0.1] * 10


@pytest.mark.parametrize(
    ("lr", "told"), [("0.3", "0.3"), ("{ schedule = 'linear', initial = 0.3, final = 0, duration = 20 }", "linear")]
)
def test_a_new_lr_holds_and_the_lost_reduction_is_said(lr, told, tmp_path):
    """The recipe's own lr has changed: it holds, and a note tells what the plateau had come to."""
    run(recipe(), tmp_path, at=12)
    _, said = run(recipe(lr=lr, plateau=None), tmp_path)
    assert lrs(tmp_path)[12] == pytest.approx(0.3 if lr == "0.3" else 0.12)
    (note,) = [text for text in said if "plateau had" in text]
    assert note.startswith("lr is the recipe's again: ")
    assert told in note
    assert "had reduced it to 0.1, but the recipe's lr or groups have changed since" in note


def test_each_group_keeps_its_own_reduction(tmp_path):
    """The biases' lr changes in the recipe, the others' does not: one is new and said, the other stays reduced."""
    run(recipe(GROUPS), tmp_path, at=12)
    manifest = json.loads((tmp_path / "checkpoints/step-00000012/manifest.json").read_text(encoding="utf-8"))
    assert [group["lr"] for group in manifest["state"]["optimizer"]] == [0.2, 0.1]
    _, said = run(recipe(GROUPS.replace("0.4", "0.8"), plateau=None), tmp_path)
    (note,) = [text for text in said if "plateau had" in text]
    assert note.startswith("lr of dense1.bias and others is the recipe's again: 0.8. A plateau had reduced it to 0.2")
    last = max((tmp_path / "checkpoints").iterdir())
    groups = json.loads((last / "manifest.json").read_text(encoding="utf-8"))["state"]["optimizer"]
    assert [group["lr"] for group in groups] == [0.8, 0.1]


def test_new_groups_of_the_same_lr_keep_the_reduction(tmp_path):
    """Splitting the parameters otherwise changes no lr, so none is raised again."""
    run(recipe(), tmp_path, at=12)
    _, said = run(recipe('[{ match = "*.bias", weight_decay = 0.0, momentum = 0.1 }]', plateau=None), tmp_path)
    assert lrs(tmp_path) == [0.2] * 10 + [0.1] * 10
    assert not any("plateau had" in text for text in said)


def test_an_early_stopped_run_is_released_by_more_patience(tmp_path):
    """More epochs alone do not: the outcome says that an early stop holds it; more patience goes on to the end."""
    stop = {"train__early_stop": "{ patience = 1, min_delta = 9.0 }"}
    first, _ = run(tiny(**stop), tmp_path)
    assert (first.step, first.finished, first.stopped) == (10, True, "held-out loss has not improved for 1 evaluation")
    held, _ = run(tiny(**stop, train__epochs="6"), tmp_path)
    assert (held.step, held.stopped) == (10, first.stopped)
    again, _ = run(tiny(**stop, train__epochs="6"), tmp_path)
    assert (again.step, again.stopped) == (10, first.stopped)
    more = {"train__early_stop": "{ patience = 9, min_delta = 9.0 }"}
    released, _ = run(tiny(**more, train__epochs="6"), tmp_path)
    assert (released.step, released.finished, released.stopped) == (30, True, None)


def test_another_backend_of_the_step_is_said(tmp_path, monkeypatch):
    """The environment states what steps run on; a resumed run that steps otherwise says so, as for all that matters."""
    run(tiny(), tmp_path, at=3)
    facts = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert facts["environment"]["kernel"].split()[0] in ("compiled", "fallback")
    now = describe_environment()
    monkeypatch.setattr(plan, "describe_environment", lambda *_: {**now, "kernel": "fallback (elsewhere)"})
    _, said = run(tiny(), tmp_path)
    assert f"step's backend was {now['kernel']}, is now fallback (elsewhere): from here on results may differ" in (
        "\n".join(said)
    )


def test_what_an_older_version_did_not_note_is_not_called_a_change():
    """A checkpoint whose environment lacks a key is not said to have had none."""
    now = environment.describe_environment()
    then = {key: value for key, value in now.items() if key != "kernel"}
    assert environment.differences(then, now) == []
    assert environment.differences({**then, "numpy": "1"}, now) != []


def test_what_changes_images_is_told_by_what_differs(tmp_path):
    """A table of augmentation where there was none says what it turns on; one that turns on nothing is no change."""
    run(tiny(train__steps="2"), tmp_path)
    with pytest.raises(CheckpointError, match=r"all of a run's numbers: data\.augment\.flip False -> True\. Use"):
        plan.plan_run(tiny(train__steps="3", data__augment="{ flip = true }"), name="x", out=tmp_path)
    found = plan.plan_run(tiny(train__steps="3", data__augment="{ crop = 0 }"), name="x", out=tmp_path)
    assert not [note for note in found.notes if "augment" in note]
