"""The moving average of a run's weights: worked out from its checkpoints, resumed, of narrow and of frozen ones."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors.torch
import torch
from training_runs import fingerprints, run, tiny

from downslope.training.folder.manifest import MANIFEST, decode_manifest, describe_bytes, render_manifest

EMA = {"train__ema": "0.9"}
NARROW = {**EMA, "model": '{ name = "training_tasks:narrow" }'}


def tensors_of(folder, name="ema"):
    """Return the tensors of a run, or of a checkpoint."""
    return safetensors.torch.load_file(folder / f"{name}.safetensors")


def checkpoints_of(folder):
    """Return a run's checkpoints, the earliest first."""
    return sorted((folder / "checkpoints").iterdir())


@pytest.mark.parametrize("model", ["mlp", "training_tasks:narrow", "training_tasks:batch_norm"])
def test_the_average_is_that_of_the_weights_after_each_step(model, tmp_path):
    """Begun with the first, moved a tenth of the way to each; buffers are the model's; narrow ones are rounded."""
    hidden = ", hidden = [8]" if model == "mlp" else ""
    options = {"checkpoint__every_steps": "1", "checkpoint__keep": "30", "train__epochs": "1.2"}
    run(tiny(**EMA, **options, model=f'{{ name = "{model}"{hidden} }}'), tmp_path)
    weights = [tensors_of(folder, "model") for folder in checkpoints_of(tmp_path)][-6:]
    assert len(weights) == 6
    for name, average in tensors_of(tmp_path).items():
        if "running" in name or "num_batches" in name:
            assert torch.equal(average, weights[-1][name])
            continue
        kept = weights[0][name].float()
        for one in weights[1:]:
            kept = kept + (one[name].float() - kept) * (1 - 0.9)
        assert torch.equal(average, kept.to(average.dtype))


def test_groups_have_their_own_averages(tmp_path):
    """Worked out from the checkpoints; a run that is resumed ends with the same bytes, and one whose groups change."""
    groups = "[{ match = '*.bias', ema = 0.5 }, { match = 'dense1.weight', ema = 0 }]"
    options = {**EMA, "checkpoint__every_steps": "1", "checkpoint__keep": "30", "train__epochs": "1.2"}
    run(tiny(**options, groups=groups), tmp_path / "whole")
    weights = [tensors_of(folder, "model") for folder in checkpoints_of(tmp_path / "whole")][-6:]
    decays = (
        dict.fromkeys(weights[0], 0.9) | {"dense1.weight": 0.0} | {n: 0.5 for n in weights[0] if n.endswith("bias")}
    )
    assert set(decays.values()) == {0.9, 0.0, 0.5}
    for name, average in tensors_of(tmp_path / "whole").items():
        kept = weights[0][name]
        for one in weights[1:]:
            kept = kept + (one[name] - kept) * (1 - decays[name]) if decays[name] else one[name]
        assert torch.equal(average, kept)
    run(tiny(**options, groups=groups), tmp_path / "parts", at=3)
    shutil.copytree(tmp_path / "parts", tmp_path / "changed")
    run(tiny(**options, groups=groups), tmp_path / "parts")
    assert fingerprints(tmp_path / "parts") == fingerprints(tmp_path / "whole")
    outcome, _ = run(tiny(**options, groups="[{ match = '*.weight', ema = 0.5 }]"), tmp_path / "changed")
    assert outcome.finished
    kept = tensors_of(checkpoints_of(tmp_path / "parts")[2], "model")["dense1.weight"]
    for one in weights[3:]:
        kept = kept + (one["dense1.weight"] - kept) * 0.5
    assert torch.equal(tensors_of(tmp_path / "changed")["dense1.weight"], kept)


def test_a_narrow_models_average_goes_on_in_float32(tmp_path):
    """Interrupted and resumed: byte for byte the average of a run that was not."""
    run(tiny(**NARROW), tmp_path / "whole")
    run(tiny(**NARROW), tmp_path / "parts", at=7)
    kept = tensors_of(checkpoints_of(tmp_path / "parts")[-1], "optimizer")
    assert {kept[name].dtype for name in kept if name.startswith(".average.")} == {torch.float32}
    run(tiny(**NARROW), tmp_path / "parts")
    assert fingerprints(tmp_path / "parts") == fingerprints(tmp_path / "whole")


@pytest.mark.parametrize("options", [EMA, NARROW], ids=["float32", "bfloat16"])
def test_a_checkpoint_of_an_earlier_version_goes_on(options, tmp_path):
    """Its groups do not speak of an average, and what there is of one is the averaged model alone."""
    run(tiny(**options), tmp_path / "whole")
    run(tiny(**options), tmp_path / "parts", at=7)
    last = checkpoints_of(tmp_path / "parts")[-1]
    manifest = decode_manifest((last / MANIFEST).read_bytes())
    for group in manifest["state"]["optimizer"]:
        del group["ema"]
    path = last / "optimizer.safetensors"
    kept = {name: t for name, t in tensors_of(last, "optimizer").items() if not name.startswith(".average.")}
    data = safetensors.torch.save(kept)
    if options is NARROW:
        path.write_bytes(data)
        manifest["files"]["optimizer.safetensors"] = describe_bytes(data)
    (last / MANIFEST).write_bytes(render_manifest(manifest))
    outcome, _ = run(tiny(**options), tmp_path / "parts")
    assert outcome.finished
    assert tensors_of(tmp_path / "parts", "model").keys() == tensors_of(tmp_path / "whole", "model").keys()
    for name, own in tensors_of(tmp_path / "whole", "model").items():
        assert torch.equal(own, tensors_of(tmp_path / "parts", "model")[name])
    if options is EMA:
        assert fingerprints(tmp_path / "parts") == fingerprints(tmp_path / "whole")


def test_an_average_that_is_switched_on_begins_there_and_one_switched_off_is_gone(tmp_path):
    """As the recipe says from the resumed step on."""
    run(tiny(), tmp_path / "on", at=7)
    shutil.copytree(tmp_path / "on", tmp_path / "begun")
    run(tiny(**EMA), tmp_path / "begun", at=8)
    last = checkpoints_of(tmp_path / "begun")[-1]
    assert all(torch.equal(one, tensors_of(last, "model")[name]) for name, one in tensors_of(last).items())
    assert json.loads((last / MANIFEST).read_text(encoding="utf-8"))["state"]["ema_updates"] == 1
    run(tiny(), tmp_path / "begun")
    assert not (tmp_path / "begun" / "ema.safetensors").exists()
    assert not (checkpoints_of(tmp_path / "begun")[-1] / "ema.safetensors").exists()


def test_weights_that_are_frozen_later_are_their_own_average(tmp_path):
    """Which is said, since the average was another until then."""
    run(tiny(**EMA), tmp_path, at=7)
    names = list(tensors_of(checkpoints_of(tmp_path)[-1], "model"))
    _, said = run(tiny(**EMA, train__freeze=f'["{names[0]}"]'), tmp_path)
    assert any(f"the average of {names[0]}, frozen from here on, is the weights themselves" in text for text in said)
    model, average = tensors_of(tmp_path, "model"), tensors_of(tmp_path)
    assert torch.equal(model[names[0]], average[names[0]])
    assert not torch.equal(model[names[1]], average[names[1]])
