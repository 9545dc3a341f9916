"""What the documents show of a terminal is what the commands say: `console` blocks, run as they stand."""

from __future__ import annotations

import doctest
import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile

import pytest

from house.documents import blocks


@functools.cache
def said_by(command):
    """Return what a command writes to a terminal of 100 columns; pages in two languages share it."""
    program, *words = shlex.split(command)
    assert program == "downslope"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "downslope", *words],
            cwd=folder, env={**os.environ, "COLUMNS": "100"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, encoding="utf-8",
        )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_output_is_what_is_shown(block):
    """`...` stands for any text. Of a training the words alone count: its numbers are those of one machine."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.replace("\\\n", "").partition("\n")
        said = said_by(command)
        if command.startswith("downslope train"):
            wanted, said = (re.sub(r"\d[\d,.]*|[▁-█]+", "N", text) for text in (wanted, said))
        assert doctest.OutputChecker().check_output(wanted, said, doctest.ELLIPSIS), said
