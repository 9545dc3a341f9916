"""Files of a run with right checksums and wrong content: passed over or refused like damaged ones, never a crash."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import fail
from hostile_json import OTHERS, nested, places, replaced, signed, variants, without
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_runs import fingerprint, train

from downslope.cli.main import main
from downslope.core.errors import CheckpointError
from downslope.training.folder.checkpoint import read_manifest
from downslope.training.folder.events import check_event
from downslope.training.folder.log import check_row, parse_line
from downslope.training.folder.names import read_facts
from draws import draws

REQUIRED = [
    "format",
    "step",
    "finished",
    "log.bytes",
    "log.checksum",
    "data",
    "recipe.sgd.lr",
    "recipe.groups",
    "recipe.train",
    "recipe.data",
    "recipe.data.name",
    "recipe.data.options",
    "environment.threads",
    "state.optimizer.0.step",
    "state.optimizer.0.skipped",
    "state.optimizer.0.lr",
    "state.optimizer.0.momentum",
    "state.optimizer.0.weight_decay",
    "state.optimizer.0.params",
    "state.optimizer.0.param_names",
    "state.ema_updates",
    "state.best.metric",
    "state.best.best",
    "state.best.best_step",
    "state.best.waited",
    "state.early_stop",
    "state.plateau",
    "state.held_out",
    "state.stopped",
    "files",
    "files.model&safetensors",
    "files.model&safetensors.bytes",
    "files.model&safetensors.checksum",
    "files.optimizer&safetensors",
]
"""Without these training cannot go on; "&" stands for a dot in a name."""

WRONG = {
    "step": [-1, 30.0, "30", True, 10**400, None],
    "log.bytes": [-1, 1.5, "5"],
    "log.checksum": ["", "../x", "0" * 33, 5],
    "state.optimizer": [[], {}, [5], None],
    "state.optimizer.0.step": [-1, 1.0, 2**64],
    "state.optimizer.0.params": [[-1], ["x"], [0], {}],
    "state.optimizer.0.lr_schedule": [0.5, 2**64, [], "x"],
    "state.optimizer.0.nesterov": ["x", 1, None],
    "state.optimizer.0.dampening": [None, "x", {}],
    "state.optimizer.0.decay": [None, 5, []],
    "state.ema_updates": [-1, 2**64, "1"],
    "state.best": [None, [], {"metric": "loss"}],
    "state.best.best_step": [-30, 30.0, "../../x"],
    "state.held_out": [[], {"loss": "x"}, {"loss": None}],
    "state.spikes": [5, ["x"], {}],
    "state.mishaps": [{"targets": ["x"]}, {"targets": 5}, {"state": 5}, {"rewinds": [[1]]}],
    "files.model&safetensors.bytes": [-1, 1e300, None],
    "shapes": [{}, [], {"model": {}}],
    "recipe.sgd.lr": [None, {}, "x"],
    "recipe.data": [None, 5, [], {}],
    "recipe.data.name": [None, 5, {"": {"x": {}}}],
    "recipe.data.options": [None, "x", []],
    "recipe.data.augment": [5, "x", []],
    "environment": [[], {}, {"threads": "4"}, {"threads": None}],
}


def path_of(words):
    """Return a dotted path as keys."""
    return tuple(int(word) if word.isdecimal() else word.replace("&", ".") for word in words.split("."))


def path_in(run):
    """Return the path of the newest checkpoint's manifest."""
    return run / "checkpoints" / "step-00000030" / "manifest.json"


def manifest_of(run):
    """Return the path and the table of the newest checkpoint's manifest."""
    return path_in(run), json.loads(path_in(run).read_text())


def outcome(read, *arguments):
    """Return what a function returns, and the message of the error that it raises instead, or ""."""
    try:
        return read(*arguments), ""
    except CheckpointError as error:
        return None, str(error)


@pytest.fixture(scope="module")
def copy(stopped, tmp_path_factory):
    """Return a copy of a stopped run whose files are written anew by each test."""
    return Path(shutil.copytree(stopped, tmp_path_factory.mktemp("hostile") / "run"))


def reason(path, data):
    """Return why a manifest does not count."""
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_manifest(path.parent)
    return str(caught.value)


def test_a_manifest_without_a_field_or_with_a_wrong_one_does_not_count(stopped, copy):
    """Each field that training needs, and values by hand that are of another type, too large or too small."""
    path, table = path_in(copy), manifest_of(stopped)[1]
    path.write_bytes(signed(table))
    assert read_manifest(path.parent)["step"] == 30
    for words in REQUIRED:
        assert reason(path, signed(without(table, path_of(words)))).startswith("manifest.json ")
    for words, values in WRONG.items():
        for value in values:
            said = reason(path, signed(replaced(table, path_of(words), value)))
            assert said.startswith("manifest.json ")
            assert len(said) < 500


def test_no_variant_of_a_manifest_does_anything_but_count_or_not(stopped, copy):
    """Each value of it removed and replaced by each other kind, signed again: one short reason, no escape sequence."""
    path, table = path_in(copy), manifest_of(stopped)[1]
    counted = 0
    for where, changed in variants(table):
        path.write_bytes(signed(changed))
        _, error = outcome(read_manifest, path.parent)
        counted += not error
        assert len(error) < 500, where
        assert "\x1b" not in error, where
    assert 0 < counted < len(list(places(table))) * len(OTHERS)


@pytest.mark.parametrize("depth", [10, 900, 100_000])
@pytest.mark.parametrize("place", ["whole", "recipe", "state"])
def test_a_manifest_that_is_nested_deep_does_not_count(place, depth, stopped, copy):
    """Whole, or where anything may stand: neither decoding nor comparing runs out of stack."""
    path, table = path_in(copy), manifest_of(stopped)[1]
    if place == "whole":
        assert reason(path, nested(depth)).startswith("manifest.json is damaged: ")
        return
    table[place] = "HERE"
    data = json.dumps(table, indent=1).encode().replace(b'"HERE"', nested(depth))
    assert reason(path, data).startswith("manifest.json is damaged: ")


def deep(depth):
    """Return a table in a table in a table, ..."""
    table = {}
    for _ in range(depth):
        table = {"x": table}
    return table


@pytest.mark.parametrize("depth", [5, 70, 400])
def test_options_may_be_nested_as_far_as_they_can_be_compared(depth, stopped, copy):
    """A recipe's options may hold tables; beyond 64 the manifest does not count."""
    path, table = path_in(copy), manifest_of(stopped)[1]
    data = signed(replaced(table, path_of("recipe.data.options"), deep(depth)))
    if depth < 60:
        path.write_bytes(data)
        assert read_manifest(path.parent)["step"] == 30
    else:
        assert reason(path, data) == "manifest.json is damaged: it is nested too deep"


def test_numbers_that_json_lacks_are_read_as_they_were_written(stopped, copy):
    """A loss may be NaN or infinite; the checkpoint counts, with these values."""
    path, table = path_in(copy), manifest_of(stopped)[1]
    table["state"]["held_out"] = {"loss": float("nan")}
    table["state"]["best"]["best"] = float("inf")
    path.write_bytes(signed(table))
    found = read_manifest(path.parent)["state"]
    assert str(found["held_out"]["loss"]) == "nan"
    assert found["best"]["best"] == float("inf")


COMMANDS = {
    "field missing": lambda table: without(table, ("state", "best")),
    "of another type": lambda table: replaced(table, ("state",), []),
    "negative": lambda table: replaced(table, ("log", "bytes"), -1),
    "another name": lambda table: replaced(
        table, ("files", "../model.safetensors"), table["files"]["model.safetensors"]
    ),
}


@pytest.mark.parametrize("change", COMMANDS)
def test_every_command_passes_over_such_a_checkpoint(change, stopped, tmp_path, whole, capsys, no_report):
    """With the reason, as over a damaged one; where no other is left, code 2."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    path, table = manifest_of(run)
    path.write_bytes(signed(COMMANDS[change](table)))
    for words in (["evaluate", run], ["predict", run]):
        assert main([*map(str, words)]) == 0
        assert f"passed over {path.parent}: manifest.json is no manifest" in capsys.readouterr().err
    assert main(["watch", "--once", str(run)]) == 0
    alone = Path(shutil.copytree(run, tmp_path / "alone"))
    for step in (10, 20):
        shutil.rmtree(alone / "checkpoints" / f"step-{step:08d}")
    capsys.readouterr()
    assert "passed over step-00000030: manifest.json is no manifest" in fail(["resume", alone], capsys)
    code, out, _ = train(run, capsys)
    assert (code, "passed over step-00000030: manifest.json is no manifest" in out) == (0, True)
    assert fingerprint(run) == whole


def test_tensors_that_are_not_those_of_the_manifest_are_refused(stopped, tmp_path, capsys):
    """Well signed files whose names or number differ from what the manifest says: code 2, not a word of a bug."""
    import safetensors.torch
    import torch

    from downslope.training.folder.manifest import describe_bytes

    for number, tensors in enumerate([{}, {"other": torch.zeros(3)}, {"dense1.weight": torch.zeros(3)}]):
        for part in ("model", "optimizer"):
            run = Path(shutil.copytree(stopped, tmp_path / f"{number}{part}"))
            path, table = manifest_of(run)
            data = safetensors.torch.save(tensors)
            (path.parent / f"{part}.safetensors").write_bytes(data)
            table["files"][f"{part}.safetensors"] = describe_bytes(data)
            path.write_bytes(signed(table))
            code = main(["resume", str(run), "--dry-run"])
            err = capsys.readouterr().err
            assert (code, "bug" in err) == (0 if part == "optimizer" and not tensors else 2, False), err


def test_tensors_of_a_format_that_torch_lacks_are_passed_over(stopped, tmp_path, capsys, no_report):
    """Four-bit numbers, well signed: the library raises a KeyError of its own."""
    from downslope.training.folder.manifest import describe_bytes

    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    path, table = manifest_of(run)
    head = json.dumps({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}).encode()
    data = len(head).to_bytes(8, "little") + head + bytes(2)
    (path.parent / "model.safetensors").write_bytes(data)
    table["files"]["model.safetensors"] = describe_bytes(data)
    path.write_bytes(signed(table))
    code, out, _ = train(run, capsys)
    assert (code, "passed over step-00000030: model.safetensors is no safetensors file" in out) == (0, True)


@pytest.mark.parametrize(
    ("required", "check", "rows"),
    [
        (
            ("kind", "step"),
            check_row,
            [
                {"kind": "step", "step": 0, "epoch": 0, "loss": 1.5, "accuracy": "nan", "lr": 0.1},
                {"kind": "measure", "step": 0, "epoch": 0, "lr": [0.1, None], "noise": 1.0},
                {"kind": "evaluation", "step": 4, "epoch": 0, "loss": "inf", "accuracy": 0.5},
                {"kind": "rewind", "step": 4, "epoch": 0, "loss": 1.0, "to": 2},
                {"kind": "stop", "step": 4, "reason": "no patience"},
            ],
        ),
        (
            ("time", "event", "step"),
            check_event,
            [
                {"time": "2024-01-01T12:00:00+00:00", "event": "signal", "step": 3, "signal": 2},
                {"time": "2024-01-01T12:00:00+00:00", "event": "checkpoint", "step": 3, "folder": "step-00000003"},
            ],
        ),
    ],
    ids=["log", "events"],
)
def test_lines_are_rows_or_damaged(required, check, rows):
    """Each value removed and replaced by each other kind: numbers that are numbers, or one message with the line."""
    for row in rows:
        assert parse_line(json.dumps(row).encode(), Path("log"), 1, required, check) == row
        for where, changed in variants(row):
            found, error = outcome(parse_line, json.dumps(changed).encode(), Path("log"), 7, required, check)
            assert len(error) < 500, where
            assert error.startswith("log, line 7: damaged; ") or found is not None, where
            numbers = [value for value in (found or {}).values() if isinstance(value, int | float)]
            assert all(float(value) < 1e300 for value in numbers), where
    for line in (nested(), b'{"kind":' + nested() + b"}", b'{"kind": NaN}', b"\xff", b""):
        with pytest.raises(CheckpointError, match=r"log, line 7: damaged; "):
            parse_line(line, Path("log"), 7, required, check)


def test_facts_are_facts_or_damaged(stopped, copy):
    """Each value of `run.json` removed and replaced: what is read has the types that reports and views rely on."""
    path, table = copy / "run.json", json.loads((stopped / "run.json").read_text())
    for where, changed in variants(table):
        path.write_text(json.dumps(changed))
        found, error = outcome(read_facts, copy)
        assert len(error) < 500 + len(str(path)), where
        if error:
            assert error.startswith(f"{path}: damaged; "), where
            continue
        assert found["steps_per_epoch"] > 0, where
        assert all(isinstance(length, int) for shape in found["parameters"].values() for length in shape), where
    for data in (nested(), b'{"data":' + nested() + b"}", b"\xff", b""):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"run.json: damaged; "):
            read_facts(copy)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=draws(60))
@given(data=st.data())
def test_any_value_anywhere_in_a_manifest_is_taken_or_refused(stopped, copy, data):
    """What hypothesis thinks of, at a place that it chooses."""
    path, table = path_in(copy), manifest_of(stopped)[1]
    place = data.draw(st.sampled_from([place for place in places(table) if place]))
    path.write_bytes(signed(replaced(table, place, data.draw(json_values))))
    found, error = outcome(read_manifest, path.parent)
    assert found or error.startswith("manifest.json ")
