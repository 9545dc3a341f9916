"""An `os` for `downslope.training.folder.durable` that counts what changes the disk, and crashes at a chosen point.

Each operation that changes the disk has a point before it and one after it; a write has one in the middle too, when
half of its bytes are written. A crash is `os._exit`: nothing is flushed, closed or cleaned up. After a power cut, all
that was not synced is lost as well, in a copy of the folder: contents of files, and names in folders.
"""

import os
import shutil

CODE = 77


class CrashingOs:
    """Stands in for `os`; whatever does not change the disk is the real one's.

    Args:
        at: Number of the point to crash at, from 0; None for never.
        look: Called with this at each point.
    """

    def __init__(self, at=None, look=lambda crashing: None):
        self.at, self.look = at, look
        self.points = 0
        self.operations = []
        self._paths = {}  # descriptor -> path
        self._synced = {}  # path -> bytes that are safe, for files with writes since the last sync
        self._undo = {}  # folder -> [function of a function of paths: takes back a change of a name in it]

    def __getattr__(self, name):
        return getattr(os, name)

    def open(self, path, flags, mode=0o777):
        path = os.fspath(path)
        creates = flags & os.O_CREAT and not os.path.exists(path)
        if not flags & (os.O_CREAT | os.O_TRUNC):
            descriptor = os.open(path, flags, mode)
        else:
            if flags & os.O_TRUNC and not creates:
                self._note_content(path)
            descriptor = self._around("open", lambda: os.open(path, flags, mode))
            if creates:
                self._synced[path] = b""
                self._on_loss(path, lambda place: os.path.exists(place(path)) and os.unlink(place(path)))
        self._paths[descriptor] = path
        return descriptor

    def close(self, descriptor):
        self._paths.pop(descriptor, None)
        os.close(descriptor)

    def write(self, descriptor, data):
        self._note_content(self._paths[descriptor])
        self._point("write")
        half = len(data) // 2
        if half:
            os.write(descriptor, data[:half])
            self._point("half of write")
        done = half + os.write(descriptor, data[half:])
        self._point("after write")
        return done

    def fsync(self, descriptor):
        path = self._paths[descriptor]
        self._around("fsync", lambda: os.fsync(descriptor), lambda: self._settle(path))

    def ftruncate(self, descriptor, length):
        self._note_content(self._paths[descriptor])
        self._around("ftruncate", lambda: os.ftruncate(descriptor, length))

    def replace(self, source, target):
        source, target = os.fspath(source), os.fspath(target)
        before = _read(target)
        safe = self._synced.pop(source, None)
        if safe is not None:
            self._synced[target] = safe
        self._around("replace", lambda: os.replace(source, target))
        self._on_loss(target, lambda place: _restore(place(target), before))

    def unlink(self, path):
        path = os.fspath(path)
        before = _read(path)
        self._around("unlink", lambda: os.unlink(path))
        self._on_loss(path, lambda place: _restore(place(path), before))

    def mkdir(self, path):
        path = os.fspath(path)
        self._around("mkdir", lambda: os.mkdir(path))
        self._on_loss(path, lambda place: shutil.rmtree(place(path), ignore_errors=True))

    def rmdir(self, path):
        path = os.fspath(path)
        self._around("rmdir", lambda: os.rmdir(path))
        self._on_loss(path, lambda place: os.path.isdir(place(path)) or os.mkdir(place(path)))

    def _around(self, what, operation, then=lambda: None):
        self._point(what)
        result = operation()
        then()
        self._point(f"after {what}")
        return result

    def _point(self, what):
        self.operations.append(what)
        if self.points == self.at:
            os._exit(CODE)
        self.look(self)
        self.points += 1

    def _note_content(self, path):
        self._synced.setdefault(path, _read(path) or b"")

    def _on_loss(self, path, undo):
        self._undo.setdefault(os.path.dirname(path), []).append(undo)

    def _settle(self, path):
        self._synced.pop(path, None)
        self._undo.pop(path, None)

    def lose(self, folder, copy):
        """Take out of a copy of a folder what would be lost if the power went now."""

        def place(path):
            return os.path.join(copy, os.path.relpath(path, folder))

        for path, safe in self._synced.items():
            if os.path.exists(place(path)):
                _restore(place(path), safe)
        for undos in self._undo.values():
            for undo in reversed(undos):
                undo(place)


def _read(path):
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def _restore(path, content):
    if content is None:
        if os.path.exists(path):
            os.unlink(path)
    elif os.path.isdir(os.path.dirname(path)):
        with open(path, "wb") as file:
            file.write(content)
