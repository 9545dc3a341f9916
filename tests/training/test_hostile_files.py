"""Data files that are something else, or larger than they look: one message each, and nothing is waited for."""

import io
import os
import socket
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data, numpy_files
from downslope.training.data.numpy_files import read_npy, read_npz

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def load(path, name="table", more=', target = "y"'):
    """Return the data set that reads a path."""
    options = f'name = "{name}"\noptions = {{ path = "{path}"{more} }}'
    text = f'[data]\n{options}\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = "mse"\n'
    return load_data(parse_recipe(text, "recipe"))


def message_of(call, *arguments):
    """Return the message with which a call fails as a person's mistake, on one line."""
    with pytest.raises(DownslopeError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["a FIFO", "a device", "a socket", "a folder"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.npy", "t.npz", "t.parquet", "words.dict"])
def test_what_is_no_regular_file_is_not_waited_for(name, kind):
    """A FIFO would block for ever, and a device never end."""
    if kind == "a FIFO":
        os.mkfifo(name)
    elif kind == "a folder":
        Path(name).mkdir()
    elif kind == "a device":
        Path(name).symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(name)
    message = message_of(load, name, "cmudict", "") if name == "words.dict" else message_of(load, name)
    assert f"is {kind}" in message


def header(shape, descr="<f8", version=1):
    """Return the first bytes of a .npy file whose header says this."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


# what the file holds, and a part of the message
ARRAYS = {
    "more than there is": (header((10**12,)) + b"\0" * 80, "has 8,000,000,000,000 bytes, but 80 follow its header"),
    "less than there is": (header((4,)) + b"\0" * 80, "has 32 bytes, but 80 follow its header"),
    "two arrays": (2 * (header((1,)) + b"\0" * 8), "has 8 bytes, but 144 follow its header"),
    "beyond counting": (header((2**62, 2**62, 2**62)), "but 0 follow its header"),
    "negative": (header((-1,)) + b"\0" * 8, "its shape (-1,) has a negative length"),
    "of no size": (header((10**15,), "|V0"), "items of no size"),
    "text of no size": (header((10**15,), "<U0"), "items of no size"),
    "objects": (header((1,), "|O") + b"\x80\x04N.", "Object arrays cannot be loaded"),
    "an unknown format": (header((1,), version=9), "it has the format 9.0"),
    "no dtype": (header((1,), "nonsense"), "cannot be read as NumPy's: "),
    "nested deep": (b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"[" * 9000, "cannot be read as NumPy's: "),
    "a long header": (b"\x93NUMPY\2\0" + struct.pack("<I", 2**31), "cannot be read as NumPy's: "),
    "a long header in UTF-8": (b"\x93NUMPY\3\0" + struct.pack("<I", 2**31), "its header has 2,147,483,648 bytes"),
    "cut short": (header((1,))[:20], "cannot be read as NumPy's: "),
    "nothing": (b"", "cannot be read as NumPy's: "),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 50, "cannot be read as NumPy's: "),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_a_header_is_compared_with_what_is_there(case):
    """Before memory is taken, in a file of its own and in an archive."""
    content, message = ARRAYS[case]
    Path("a.npy").write_bytes(content)
    assert message in message_of(read_npy, Path("a.npy"))
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("y.npy", content)
    assert message in message_of(read_npz, Path("a.npz"))


def test_an_archive_is_refused_before_it_is_unpacked(monkeypatch):
    """A gigabyte of zeros in a megabyte, or of what the machine has not."""
    with zipfile.ZipFile("a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.npy", header((10**6,)) + b"\0" * 8 * 10**6)
    assert Path("a.npz").stat().st_size < 20_000
    assert read_npz(Path("a.npz"))["y"].shape == (10**6,)
    monkeypatch.setattr(numpy_files, "memory_limit", lambda: 10**6)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was opened"))
    assert "a.npz: needs 8,000,128 bytes when it is unpacked; at most 1,000,000" in message_of(read_npz, Path("a.npz"))


def test_members_are_arrays_of_different_names():
    """A text beside arrays, or two of one name, would be left out or lost in silence."""
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("y.npy", header((1,)) + b"\0" * 8)
        archive.writestr("notes\x1b.txt", "x")
    assert r"a.npz: its member `notes\u001b.txt` is no array" in message_of(read_npz, Path("a.npz"))
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("y.npy", header((1,)) + b"\0" * 8)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("y.npy", header((1,)) + b"\0" * 8)
    assert "a.npz: has two members called `y`" in message_of(read_npz, Path("a.npz"))
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("y.npy", header((1,)) + b"\0" * 8)
    data = bytearray(Path("a.npz").read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # the mark of an encrypted member
    data[6] |= 1
    Path("a.npz").write_bytes(bytes(data))
    assert "a.npz: cannot be read as NumPy's: " in message_of(read_npz, Path("a.npz"))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(12, dtype=">i2").reshape(2, 6),
        np.array(3.5),
        np.zeros((0, 4)),
        np.array(["a", "bc"]),
        np.array([(1, 2.5, "x")], dtype=[("a", "i4"), ("b", "f8"), ("é漢", "U3")]),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_are_those_that_numpy_reads(array):
    """Byte orders, Fortran's order, no dimension, no example, words and fields: as numpy.load has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a header in UTF-8
        np.save("a.npy", array)
        np.savez_compressed("a.npz", first=array, second=array[..., :1] if array.ndim else array)
    found, expected = read_npy(Path("a.npy")), np.load("a.npy")
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tolist() == expected.tolist()
    archive = read_npz(Path("a.npz"))
    assert list(archive) == ["first", "second"]
    assert archive["first"].tolist() == expected.tolist()


def test_bytes_and_dates_are_not_taken_for_something_else():
    """Bytes are words, not b'words'; dates are no count of nanoseconds."""
    rows = np.arange(10.0)
    np.savez("a.npz", kind=np.array([b"cat", b"dog"] * 5), y=rows)
    data = load("a.npz", more=', target = "y", categories = ["kind"]')
    assert data.train_inputs.shape == (8, 2)
    assert set(next(data.reader.stream("a.npz")).inputs[:, 0].tolist()) == {0.0, 1.0}
    np.savez("a.npz", day=rows.astype("datetime64[ns]"), x=rows % 3, y=rows)
    with pytest.raises(DownslopeError, match="Dates and times are not read") as caught:
        load("a.npz")
    assert 'ignore = ["day"]' in str(caught.value)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\x1f\x8b\x08\0", "compressed by gzip"),
        (b"PK\x03\x04", "a ZIP archive or a spreadsheet (.xlsx)"),
        (b"PAR1", "a Parquet file"),
        (b"\x93NUMPY", "a NumPy file"),
        (b"BZh9", "compressed by bzip2"),
    ],
)
def test_what_is_no_text_is_called_what_it_is(start, what):
    """Rather than a bad byte in a table."""
    Path("t.csv").write_bytes(start + b"\xff" * 20)
    assert message_of(load, "t.csv") == f"t.csv: is {what}, not text. Unpack it, or save it as CSV."


def test_a_parquet_file_that_says_too_much_is_refused(monkeypatch):
    """A column of one value a million times has a few hundred bytes; what it becomes is counted first."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"x": np.zeros(10**6), "y": np.zeros(10**6)}), "t.parquet")
    monkeypatch.setattr(numpy_files, "memory_limit", lambda: 10**6)
    assert "t.parquet: needs 16,000,000 bytes for 2 columns of 1,000,000 rows" in message_of(load, "t.parquet")
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"x": [1.0]}), buffer)
    Path("t.parquet").write_bytes(buffer.getvalue()[:-10])
    assert "t.parquet: cannot be read as Parquet: " in message_of(load, "t.parquet")


def test_text_of_characters_that_there_are_not_is_refused():
    """Python itself cannot make a text of them, and says so by an error of its own."""
    words = np.array(["cat", "dog"] * 5)
    np.savez("a.npz", w=words, y=np.arange(10.0))
    data = bytearray(Path("a.npz").read_bytes())
    place = data.index("cat".encode("utf-32-le"))
    data[place + 3] = 0xFF
    Path("a.npz").write_bytes(bytes(data))
    assert "a.npz: cannot be read as NumPy's: Bad CRC" in message_of(load, "a.npz")
    table = np.zeros(10, dtype=[("w", "U3"), ("y", "f8")])
    table["w"], table["y"] = words, np.arange(10.0)
    np.save("a.npy", table)
    data = bytearray(Path("a.npy").read_bytes())
    data[data.index("cat".encode("utf-32-le")) + 3] = 0xFF
    Path("a.npy").write_bytes(bytes(data))
    message = message_of(load, "a.npy", "table", ', target = "y", categories = ["w"]')
    assert message.startswith("a.npy, column `w`: holds cells that cannot be read: ")


def test_numbers_too_large_for_32_bits_are_refused_without_a_warning():
    """A held-out cell of 1e300 is infinite once it is an input; NumPy would warn, with a file of the installation."""
    Path("t.csv").write_text("x,y\n" + "".join(f"{n % 7},{n}\n" for n in range(20)), encoding="utf-8")
    Path("h.csv").write_text("x,y\n1e300,3\n", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = message_of(load, "t.csv", "table", ', target = "y", held_out_path = "h.csv"')
    assert message.endswith("held_out_inputs holds 1 number(s) that are inf or NaN, first in example 0.")
