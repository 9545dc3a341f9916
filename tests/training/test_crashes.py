import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from system_calls import why_not
from training_runs import fingerprints, run, tiny

import warm
from downslope.training.folder.manifest import render_manifest
from draws import NIGHTLY, draws

HERE = Path(__file__).parent
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  syncs are counted, not waited for


def matrix(mode):
    """Run the crash matrix in a process of its own and return the number it ends with."""
    folder = tempfile.mkdtemp(dir=MEMORY)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = warm.run(HERE / "crash_matrix.py", folder, mode, str(draws(5)), env=environment, timeout=3000)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    shutil.rmtree(folder)
    print(done.stdout)
    return int(re.search(r"(\d+) (points|kills)", done.stdout)[1])


@pytest.mark.slow
@pytest.mark.skipif(why_not() is None and not NIGHTLY, reason="test_kills.py kills at the system calls of the same")
def test_a_crash_at_every_point_of_every_file_operation_changes_nothing():
    """Before, amid and after every write, sync, rename and removal of a run: resumed, it ends with the same bits."""
    assert matrix("crash") > 200


@pytest.mark.slow
def test_a_power_cut_at_every_point_changes_nothing():
    """The same, and all that was not synced is lost too: contents of files and names in folders."""
    assert matrix("power") > 200


@pytest.mark.slow
def test_sigkill_at_random_moments_changes_nothing():
    """Processes killed at random moments of a longer run, resumed: the same bits every time."""
    assert matrix("kill") >= draws(5)


def flip(path, bit):
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)


def remove(path):
    """Remove a file."""
    path.unlink()


def truncate(path):
    """Cut off a file's last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    """Add a byte to a file."""
    path.write_bytes(path.read_bytes() + b" ")


def malform(path):
    """Write something else in a file's place."""
    path.write_bytes(b"{}" if path.suffix == ".json" else b"not safetensors")


DAMAGES = [lambda path, bit=bit: flip(path, bit) for bit in (3, 1000, 4321)] + [truncate, lengthen, malform, remove]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "ema.safetensors", "manifest.json"])
@pytest.mark.parametrize("damage", range(len(DAMAGES)))
def test_a_damaged_newest_checkpoint_is_noticed_and_the_one_before_used(name, damage, stopped, tmp_path):
    """Every file, damaged in every way: the run says so, goes on from the one before, and ends with the same bits."""
    source, expected = stopped
    shutil.copytree(source, tmp_path / "run")
    DAMAGES[damage](tmp_path / "run" / "checkpoints" / "step-00000007" / name)
    outcome, said = run(RECIPE, tmp_path / "run")
    assert outcome.finished
    assert any("passed over step-00000007" in text and name in text for text in said)
    assert any("from step 4" in text for text in said)
    assert fingerprints(tmp_path / "run") == expected


RECIPE = tiny(train__epochs="2", train__ema="0.9", checkpoint__every_steps="4", checkpoint__keep="9")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Return a run stopped at step 7, with a checkpoint at step 4 before it, and what it should end with."""
    whole, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
    run(RECIPE, whole)
    run(RECIPE, folder, at=7)
    shutil.rmtree(folder / "checkpoints" / "step-00000005")
    return folder, fingerprints(whole)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9)


@settings(max_examples=draws(30))
@given(st.lists(VALUES, max_size=9), st.dictionaries(st.text(max_size=9), VALUES, max_size=3))
def test_a_manifest_has_the_bytes_that_pythons_encoder_gives_it(values, inner):
    """Whatever is in it, and its checksum last."""
    table = {"values": values, "inner": inner, "none": [[], {}, [{}]], "deep": {"er": [inner, values]}}
    checksum = hashlib.blake2b(json.dumps(table, indent=1).encode(), digest_size=16).hexdigest()
    assert render_manifest(table) == json.dumps({**table, "checksum": checksum}, indent=1).encode() + b"\n"


def test_a_flipped_bit_of_a_manifest_is_noticed(stopped, tmp_path):
    """Bits all over the manifest, one after another: white space and digits too."""
    from downslope.core.errors import CheckpointError
    from downslope.training.folder.checkpoint import read_manifest

    folder = tmp_path / "checkpoints" / "step-00000007"
    shutil.copytree(stopped[0] / "checkpoints" / "step-00000007", folder)
    path = folder / "manifest.json"
    data = path.read_bytes()
    read_manifest(folder)
    for bit in range(0, 8 * len(data), 29):
        flip(path, bit)
        with pytest.raises(CheckpointError):
            read_manifest(folder)
        path.write_bytes(data)
