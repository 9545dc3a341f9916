"""`downslope list`: the runs in a folder, each as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil

from command_line import fail, succeed


def test_runs_as_they_stand(trained, stopped, tmp_path, monkeypatch, capsys):
    """Finished, stopped, damaged; below other folders too; the last one written first; no link is followed."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained[0], "runs/finished")
    shutil.copytree(stopped, "runs/of/monday/stopped")
    shutil.copytree(stopped, "runs/damaged")
    (tmp_path / "runs/damaged/recipe.toml").write_text("[sgd\n")
    (tmp_path / "runs/linked").symlink_to(tmp_path / "runs/finished")
    for name in ("events.jsonl", "log.jsonl"):
        os.utime(f"runs/finished/{name}", (1e9, 1e9))
    found = json.loads(succeed(["list", "--json"], capsys))
    assert [(run["run"], run["state"]) for run in found] == [
        ("runs/of/monday/stopped", "ended"),
        ("runs/finished", "finished"),
        ("runs/damaged", "damaged"),
    ]
    first, second, third = found
    assert (first["step"], first["steps"]) == (30, 40)
    assert (second["step"], second["steps"], second["written"]) == (60, 60, 1e9)
    rows = [json.loads(line) for line in (trained[0] / "log.jsonl").read_text().splitlines()]
    values = [(row["accuracy"], row["step"] + 1) for row in rows if row["kind"] == "evaluation"]
    assert second["measure"] == "accuracy"
    assert (second["best"], second["best_step"]) == max(values, key=lambda pair: (pair[0], -pair[1]))
    assert "not valid TOML" in third["problem"]
    table = succeed(["list"], capsys).splitlines()
    assert table[0].split() == ["run", "state", "step", "best", "held", "out", "written", "title"]
    assert "60 of 60" in table[2]
    assert f"accuracy {100 * second['best']:.2f} % at {second['best_step']}" in table[2]
    assert len(table) == 4
    assert len(succeed(["list", "runs/finished"], capsys).splitlines()) == 2


def test_nothing_to_list(tmp_path, monkeypatch, capsys):
    """No folder, a file, and a folder without runs."""
    monkeypatch.chdir(tmp_path)
    assert "Train something first: downslope train" in fail(["list"], capsys)
    (tmp_path / "file").write_text("")
    assert "file is no folder" in fail(["list", "file"], capsys)
    (tmp_path / "runs/empty").mkdir(parents=True)
    assert "There are no runs in runs" in succeed(["list"], capsys)
    assert json.loads(succeed(["list", "--json"], capsys)) == []


def test_a_run_is_one_row_whatever_it_is_called(trained, tmp_path, monkeypatch, capsys):
    """A line break in a folder's name or in a title is escaped, in the list and where neighbours are named."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained[0], "runs/two\nlines")
    recipe = tmp_path / "runs/two\nlines/recipe.toml"
    recipe.write_text(re.sub("title = .*", r'title = "of\\ntwo"', recipe.read_text()))
    head, row = succeed(["list"], capsys).splitlines()
    assert head.startswith("run ")
    assert row.startswith(r"runs/two\nlines ")
    assert row.endswith(r"of\ntwo")
    assert r"two\nlines" in fail(["evaluate", "runs/tow"], capsys)
