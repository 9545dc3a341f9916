"""What the documents show of a terminal is what the commands say: `console` blocks, run as they stand."""

from __future__ import annotations

import contextlib
import doctest
import functools
import io
import re
import shlex
import tempfile

import pytest

from downslope.cli.main import main
from house.documents import blocks

CONSOLE = blocks("console")


@functools.cache
def said_by(command):
    """Return what a command writes to the terminal, in an empty folder; pages in two languages share it."""
    program, *words = shlex.split(command)
    assert program == "downslope"
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        assert main(words) == 0
    return said.getvalue()


@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_output_is_what_is_shown(block):
    """`...` stands for any text. Of a training the words alone count: its numbers are those of one machine."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.replace("\\\n", "").partition("\n")
        said = said_by(command)
        if command.startswith("downslope train"):
            wanted, said = (re.sub(r"\d[\d,.]*", "N", text) for text in (wanted, said))
        assert doctest.OutputChecker().check_output(wanted, said, doctest.ELLIPSIS), said
