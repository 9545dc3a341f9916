"""Which format a file of state has, told from its first bytes and, in a zip archive, from the names in it.

Names of such files say little: a `.ckpt`, `.bin`, `.pth.tar` or `.state` may be anything. What is in the file decides.
Only where a name promises a format in which nothing can be a program, and the file is a pickle all the same, it is
refused: whoever named it so did not mean to have a pickle opened, even as carefully as it is here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from downslope.core.errors import StateError
from downslope.core.files import open_regular
from downslope.core.shown import shown
from downslope.exchange.archives import open_archive
from downslope.exchange.snapshot import damaged

Format = Literal["torch", "keras", "hdf5", "safetensors", "msgpack"]

_PROMISES = (".safetensors", ".msgpack", ".keras", ".h5", ".hdf5")
_READ = "PyTorch's, safetensors, flax's msgpack, and Keras's .keras and .weights.h5"
_LONGEST_HEADER = 100_000_000
"""The limit of the safetensors format itself, in bytes."""


def format_of(path: Path) -> Format:
    """Return the format of a file: "torch" (a zip archive or pickle), "keras", "hdf5", "safetensors" or "msgpack".

    Args:
        path: The file; its name does not count.

    Raises:
        StateError: If it is no regular file, damaged, or of none of these formats.
    """
    try:
        with open_regular(path, StateError) as file:
            head = file.read(512)
            size = os.fstat(file.fileno()).st_size
            if head.startswith(b"PK\x03\x04"):
                with open_archive(file, path) as archive:
                    found = _in_archive(path, archive.namelist())
            else:
                found = _by_first_bytes(path, head, size)
    except FileNotFoundError:
        raise StateError(f"{shown(path)}: there is no such file.") from None
    except OSError as error:
        raise StateError(f"{shown(path)}: cannot be read: {error.strerror or error}.") from None
    if found == "torch" and path.name.endswith(_PROMISES):
        raise damaged(path, "it is a pickle, as PyTorch writes them. If you trust it, call it .pt")
    return found


def _in_archive(path: Path, names: list[str]) -> Format:
    if "model.weights.h5" in names or "config.json" in names:
        return "keras"
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        raise StateError(
            f"{shown(path)}: is an archive of NumPy arrays, which does not say what is a velocity. Save them with "
            'safetensors.numpy.save_file({"velocity.NAME": array, ...}, "run.safetensors").'
        )
    raise damaged(path, f"its zip archive holds neither PyTorch's data.pkl nor a Keras model. Read are {_READ}")


def _by_first_bytes(path: Path, head: bytes, size: int) -> Format:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= min(size - 8, _LONGEST_HEADER):
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "torch"  # a pickle, which is what torch wrote before 1.6
    if head[257:262] == b"ustar":
        raise StateError(
            f"{shown(path)}: is a tar archive, as torch wrote before 0.4, which cannot be read safely. Load it with "
            "torch where it was made, and save optimizer.state_dict() again."
        )
    if head and (head[0] & 0xE0 == 0x80 or head[0] in {0xDC, 0xDD, 0xDE, 0xDF}):  # a table or a list
        return "msgpack"
    raise damaged(path, f"its content is none that is read here: {_READ}" if size else "it is empty")
