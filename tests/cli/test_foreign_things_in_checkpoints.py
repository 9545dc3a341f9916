"""Foreign things in a checkpoint's folder stay; what is the run's own goes; and every later command goes on."""

import json
import shutil
from pathlib import Path

import pytest
from hostile_json import signed
from storage_runs import fingerprint, train

from downslope.cli.main import main

FOREIGN = [
    "@eaDir/",
    ".ipynb_checkpoints/",
    "nested/",
    ".DS_Store",
    ".nfs0000a1",
    "notes.txt",
    "model.0-of-x.safetensors",
]


def put(folder, name):
    """Put something foreign into a folder, and return it."""
    path = folder / name.rstrip("/")
    if name.endswith("/"):
        path.mkdir()
        path = path / "inner"
    path.write_text("somebody's")
    return path


@pytest.mark.parametrize("name", FOREIGN)
def test_pruning_leaves_what_is_not_ours_and_says_so_once(name, stopped, tmp_path, whole, capsys, no_report):
    """The checkpoint goes, the folder stays with the foreign thing, and no longer counts; nothing fails later."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    folder = run / "checkpoints" / "step-00000010"
    foreign, beside = put(folder, name), put(run / "checkpoints", name)
    code, out, _ = train(run, capsys, checkpoint__keep="1")
    assert code == 0
    top = name.rstrip("/")
    assert out.count(f"{folder}: its checkpoint is removed; the folder stays, since it holds {top}, ") == 1
    assert fingerprint(run) == whole
    code, out, _ = train(run, capsys, train__steps="50", checkpoint__keep="1")
    assert (code, "step-00000010" in out) == (0, False)
    assert [path.name for path in folder.iterdir()] == [top]
    assert foreign.read_text() == beside.read_text() == "somebody's"
    assert main(["report", str(run)]) == 0


def test_a_checkpoint_is_written_where_foreign_things_lie(stopped, tmp_path, whole, capsys, no_report):
    """What a folder of the same step was left with stays beside the new checkpoint, which counts."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    folder = run / "checkpoints" / "step-00000040"
    folder.mkdir()
    foreign = put(folder, "@eaDir/")
    assert train(run, capsys)[0] == 0
    assert fingerprint(run) == whole
    assert foreign.exists()
    code, out, _ = train(run, capsys, train__steps="50")
    assert (code, "from step 40" in out) == (0, True)


def test_a_file_named_as_a_checkpoint_is_somebody_elses(stopped, tmp_path, whole, capsys, no_report):
    """It is neither read nor removed; at the step of its name the run says that it is in the way."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    early = run / "checkpoints" / "step-00000005"
    early.write_text("somebody's")
    assert train(run, capsys, checkpoint__keep="1")[0] == 0
    assert fingerprint(run) == whole
    assert early.read_text() == "somebody's"


NAMES = [
    "../../../planted.sh",
    "/planted.sh",
    "sub/model.safetensors",
    "..",
    ".",
    "",
    "manifest.json",
    "model.safetensors\0",
    "model.safetensors/",
    "model\uff0esafetensors",
    "mode\u04cf.safetensors",
    "model.\u0661-of-2.safetensors",
    "model.0-of-2.safetensors",
    "Model.safetensors",
    "weights.safetensors",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_that_names_another_file_does_not_count(name, stopped, tmp_path, capsys, no_report):
    """Well signed, and the file is there: whatever is done, nothing is read, written or removed under that name."""
    run = Path(shutil.copytree(stopped, tmp_path / "a" / "b" / "c" / "run"))
    folder = run / "checkpoints" / "step-00000030"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["model.safetensors"]
    (folder / "manifest.json").write_bytes(signed(manifest))
    planted = shutil.copy(folder / "model.safetensors", tmp_path / "a" / "b" / "planted.sh")
    (folder / "sub").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "sub")
    before = sorted(path for path in tmp_path.rglob("*"))
    code, _, err = train(tmp_path / "new", capsys, resume=str(folder))
    assert code == 2
    assert err.startswith(f"{folder}: cannot be used: manifest.json is no manifest: ")
    assert main(["evaluate", str(run), "--checkpoint", str(folder)]) == 2
    assert sorted(path for path in tmp_path.rglob("*")) == before
    code, out, _ = train(run, capsys, checkpoint__keep="1")
    assert (code, "passed over step-00000030: manifest.json is no manifest" in out) == (0, True)
    assert Path(planted).exists()
    assert (folder / "sub" / "model.safetensors").exists()
