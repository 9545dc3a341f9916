"""The notebooks of examples/ run from nothing, and the outputs in them are those that they give."""

import json
import re

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("optuna")

import nbformat

from notebooks.executing import NOTEBOOKS, execute


def texts(output):
    """Return what an output says as text: not its pictures and pages, which other versions draw otherwise."""
    data = {"stream": output.get("text", "")} if output.output_type == "stream" else dict(output.data)
    return {kind: text for kind, text in data.items() if kind in {"stream", "text/plain", "text/markdown"}}


def kinds(cell):
    """Return of which kinds the outputs of a cell are."""
    return [[one.output_type, *sorted(one.get("data", {}))] for one in cell.outputs]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_the_outputs_that_it_shows(path, tmp_path):
    """No cell fails; each output is of the same kind, and says the same where no training decides what."""
    kept = nbformat.read(path, as_version=4)
    nbformat.validate(kept)
    found = execute(path, tmp_path)
    assert [cell.source for cell in found.cells] == [cell.source for cell in kept.cells]
    codes = [(a, b) for a, b in zip(kept.cells, found.cells, strict=True) if a.cell_type == "code"]
    assert [cell.execution_count for cell, _ in codes] == list(range(1, len(codes) + 1))
    for before, now in codes:
        assert kinds(before) == kinds(now), before.source
        if "trained" not in before.metadata.get("tags", []):
            assert list(map(texts, before.outputs)) == list(map(texts, now.outputs)), before.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean(path):
    """No script, no address or path of a machine, no error; small enough to be looked at; it has something to show."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert sum("text/html" in output.get("data", {}) for output in outputs) >= 3
    assert all(output["output_type"] in {"execute_result", "stream"} for output in outputs)
    assert len(text) < 1_000_000
    assert not re.search(r"<script|/tmp/|/home/|/root/", text)
