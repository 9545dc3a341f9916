"""What comes from outside: files of every kind, JSON of every form, text with anything in it."""

from __future__ import annotations

import os
import socket

import msgspec
import pytest

from downslope.core.errors import CheckpointError, DataError, DownslopeError
from downslope.core.files import open_regular, read_regular, read_text, refuse_irregular
from downslope.core.shown import printable, shown
from downslope.core.strict_json import decode_json


@pytest.fixture
def irregular(tmp_path, monkeypatch):
    """Files that must never be opened and read: by what they are."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    listening = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 107 bytes only
    listening.bind("socket")
    (tmp_path / "to-fifo").symlink_to("fifo")
    yield {
        tmp_path / "fifo": "a FIFO",
        tmp_path / "to-fifo": "a FIFO",
        tmp_path / "folder": "a folder",
        tmp_path / "socket": "a socket",
        "/dev/zero": "a device",
        "/dev/null": "a device",
    }
    listening.close()


def test_what_is_no_regular_file_is_refused_at_once(irregular):
    """Nothing waits for a FIFO's writer or reads a device; the message says what it is, in the caller's error type."""
    for path, kind in irregular.items():
        for attempt in (open_regular, refuse_irregular):
            with pytest.raises(DataError, match=f"is {kind}.*, not a regular file"):
                attempt(path, DataError)


def test_a_link_is_followed_only_where_it_may_be(tmp_path):
    """A user's link to a data file is fine; inside a folder of ours it is not followed, nor one that leads nowhere."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "lost").symlink_to("nowhere")
    assert read_regular(tmp_path / "link", limit=7) == b"content"
    for name in ("link", "lost"):
        with pytest.raises(CheckpointError, match="is a symbolic link"):
            read_regular(tmp_path / name, CheckpointError, limit=7, follow=False)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "lost", limit=7)


def test_a_file_is_bounded(tmp_path):
    """A byte more than the limit is refused, by the size and, where the size lies, by what is read."""
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", limit=5) == b"12345"
    with pytest.raises(DownslopeError, match="5 bytes or more; at most 4"):
        read_regular(tmp_path / "file", limit=4)
    with pytest.raises(DownslopeError, match="at most 3 are read"):  # a file of 0 bytes by its status
        read_regular("/proc/self/status", limit=3)


def test_a_sparse_file_takes_no_memory(tmp_path):
    """A file that declares a terabyte is refused before anything is read."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DownslopeError, match="1,099,511,627,776 bytes"):
        read_regular(tmp_path / "sparse", limit=2**30)


def test_text_comes_without_its_mark(tmp_path):
    """The mark before UTF-8 and the line ends of other systems are no part of a text."""
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_text(tmp_path / "text") == "one\ntwo"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{", "no JSON"),
        ("", "no JSON"),
        (b"\xff", "no JSON"),
        ("[" * 100_000, "nested too deep|Expected"),
        ('{"a":' * 100_000, "nested too deep|Expected"),
        ('{"step": "1"}', "Expected `int`"),
        ('{"step": true}', "Expected `int`"),
        ('{"step": NaN}', "no JSON"),
        ("[]", "Expected `object`"),
        ('{"step": 1e999}', "Expected `int`|out of range"),
    ],
)
def test_json_of_another_form_is_one_error(data, reason):
    """Damage, another type and endless nesting raise the caller's error, never anything else."""
    for form in (dict[str, int], msgspec.defstruct("Form", [("step", int)])):
        with pytest.raises(CheckpointError, match=f"^run.json: .*({reason})"):
            decode_json(data, form, "run.json", CheckpointError)
    if "nested" in reason:  # `object` takes any form
        with pytest.raises(CheckpointError, match="nested too deep"):
            decode_json(data, object, "run.json", CheckpointError)


def test_nothing_reaches_the_terminal_but_text():
    """Controls, direction marks, line separators and bytes that are controls are escaped; other scripts stay."""
    assert shown("\x1b]0;owned\x07") == r"\u001b]0;owned\u0007"
    assert shown("a\nb\tc\rd") == r"a\nb\tc\rd"
    assert shown("\u202egpj.exe\u2028\x9b31m\x7f") == r"\u202egpj.exe\u2028\u009b31m\u007f"
    assert shown(os.fsdecode(b"\x9b31m")) == r"\udc9b31m"
    for name in ("文件.toml".encode(), "café".encode(), "café".encode("latin-1")):  # as a locale of ASCII has the bytes
        given = name.decode("ascii", "surrogateescape")
        assert shown(given) == given
    assert shown("\x9b31m".encode().decode("ascii", "surrogateescape")) == r"\u009b31m"
    assert shown("Grüße 猫 🐈") == "Grüße 猫 🐈"
    assert printable("two\nlines\x1b[2J\ttabbed") == "two\nlines\\u001b[2J\ttabbed"


def test_a_long_value_is_shortened():
    """A value of 100 KB takes a line, with its beginning, its end and its length."""
    text = shown("a" * 100_000 + "z")
    assert len(text) < 250
    assert text.startswith("aaa")
    assert text.endswith("z (100,001 characters)")
    assert shown("b" * 200) == "b" * 200
    assert shown(16**10_000) == "a int too long to be shown"
