"""Files of a run folder that were lost, damaged or put there by mistake: nothing else is lost, no number changes."""

import random
import re
import shutil
from pathlib import Path

import pytest
from storage_runs import fingerprint, train

from downslope.cli.main import main


def test_a_run_that_lost_its_recipe_loses_nothing_else(stopped, tmp_path, whole, capsys, no_report):
    """`train` into its folder is refused, not begun anew; from a checkpoint it goes on elsewhere, to the same bits."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    (run / "recipe.toml").unlink()
    code, _, err = train(run, capsys)
    assert code == 2
    assert err.startswith(f"{run}: is a run that has lost its recipe.toml. Put it back, or go on from a checkpoint")
    newest = re.search(r"--resume (\S+) --out NEW", err)[1]
    assert newest == str(run / "checkpoints" / "step-00000030")
    assert train(tmp_path / "new", capsys, resume=newest)[0] == 0
    assert fingerprint(tmp_path / "new") == whole


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_run_that_lost_its_log_keeps_its_weights(damage, stopped, tmp_path, whole, capsys, no_report):
    """It cannot go on in place, and is told how it can: elsewhere, to the same weights, with a log from there on."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    log = (run / "log.jsonl").read_bytes()
    {
        "gone": (run / "log.jsonl").unlink,
        "cut": lambda: (run / "log.jsonl").write_bytes(log[:100]),
        "other": lambda: (run / "log.jsonl").write_bytes(b"x" + log[1:]),
    }[damage]()
    code, _, err = train(run, capsys)
    assert code == 2
    assert err.startswith(f"{run}: none of its checkpoints can be used.\n  passed over step-00000030: ")
    newest = re.search(r"--resume (\S+) --out NEW", err)[1]
    code, out, _ = train(tmp_path / "new", capsys, resume=newest)
    assert code == 0
    assert "its log is lost" in out
    assert fingerprint(tmp_path / "new")[0] == whole[0]
    assert (tmp_path / "new" / "log.jsonl").read_text().startswith('{"kind":"step","step":30,')
    assert f"{tmp_path / 'new'} is finished under this recipe" in train(tmp_path / "new", capsys)[1]


FILES = [
    "recipe.toml",
    "run.json",
    "log.jsonl",
    "events.jsonl",
    "lock",
    "checkpoints/step-00000030/manifest.json",
    "checkpoints/step-00000030/model.safetensors",
    "checkpoints/step-00000030/optimizer.safetensors",
]


@pytest.mark.parametrize("name", FILES)
def test_no_damaged_file_changes_a_number_in_silence(name, stopped, tmp_path, whole, capsys, no_report):
    """Flipped bits and cut ends: the same bits, or a message and a code, or another recipe that is said."""
    moments = random.Random(name)
    data = (stopped / name).read_bytes()
    cases = [data[:cut] for cut in (0, len(data) // 2, len(data) - 1)]
    for _ in range(8):
        flipped = bytearray(data)
        flipped[moments.randrange(len(data))] ^= 1 << moments.randrange(8)
        cases.append(bytes(flipped))
    seen = set()
    for number, case in enumerate(cases):
        run = Path(shutil.copytree(stopped, tmp_path / str(number)))
        (run / name).write_bytes(case)
        code = main(["resume", str(run)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "bug" not in err, err
        if code:
            assert code == 2
            assert str(run) in err
        elif "resuming with a different recipe" not in out:
            assert fingerprint(run) == whole, f"{name}, case {number}: other bits, and not a word"
        seen.add(code)
    assert 0 in seen or name in {"recipe.toml", "log.jsonl"}


def test_a_checkpoint_of_another_run_is_not_taken_up(stopped, tmp_path, whole, capsys, no_report):
    """Copied into the folder as its newest: passed over, since the log does not begin as it says."""
    other = tmp_path / "other"
    assert train(other, capsys, seed="1")[0] == 0
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    shutil.copytree(other / "checkpoints" / "step-00000040", run / "checkpoints" / "step-00000040")
    code, out, _ = train(run, capsys)
    assert code == 0
    assert re.search(r"passed over step-00000040: .*log.jsonl", out)
    assert fingerprint(run) == whole
    code, _, err = train(tmp_path / "new", capsys, resume=str(other), model__hidden="[5]")
    assert (code, "was trained under another recipe" in err) == (2, True)


def test_events_of_a_clock_set_back_are_reported(stopped, tmp_path):
    """Times that run backwards: the page is written all the same."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    events = (run / "events.jsonl").read_text().splitlines()
    events = [re.sub(r'"time": "\d{4}', f'"time": "{2030 - number}', line) for number, line in enumerate(events)]
    (run / "events.jsonl").write_text("\n".join(events) + "\n")
    assert main(["report", str(run)]) == 0
