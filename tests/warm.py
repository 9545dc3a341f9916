"""Processes of their own that need not import torch: each is forked from an interpreter that has what a run loads.

What a process does is the same as that of `python` with the same words, but for what an interpreter does before its
first line: a test of that, of its streams' encoding or of what is imported, starts a cold one. A program too, the
interpreter that waits: warm.py DESCRIPTOR MODULE...
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TORCH = ("torch", "numpy.random")
"""What is imported where a program decides for itself how our kernel is loaded."""

RUNS = (
    *(*TORCH, "numpy.ctypeslib", "tomli_w", "jinja2", "safetensors.torch", "importlib.readers", "PIL.GifImagePlugin"),
    *("matplotlib.style", "matplotlib.figure", "matplotlib.backends.backend_svg", "downslope.cli.main"),
    *("downslope.cli.train", "downslope.cli.resume", "downslope.cli.evaluate", "downslope.training.run.train"),
    *("downslope.training.report.page", "downslope.training.use.evaluate", "downslope.training.models.mlp"),
    *("downslope.training.data.digits", "downslope.training.workers.launch"),
)
"""What a run and its report load."""


class Running:
    """A process that was forked, with what tests use of `subprocess.Popen`.

    Attributes:
        pid: Its process id.
        stdout: What it prints, as a file to be read while it runs; None where it goes elsewhere.
        stderr: The same of what it complains.
        returncode: None while it runs, then its exit code, negative for a signal.
    """

    def __init__(
        self, words, *, cwd=None, env=None, stdin=subprocess.DEVNULL, stdout=None, stderr=None, text=True,
        start_new_session=False, imported=RUNS,
    ):  # fmt: skip
        self._waiting, ours = _waiting(imported), []
        asked = {
            "words": list(map(os.fspath, words)),
            "cwd": os.fspath(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        with Path(os.devnull).open("r+b") as nothing:
            theirs = [nothing.fileno() if stdin == subprocess.DEVNULL else stdin.fileno()]
            for stream in (stdout, stderr):
                if stream == subprocess.PIPE:
                    read, write = os.pipe()
                    ours.append(os.fdopen(read, encoding="utf-8") if text else os.fdopen(read, "rb"))
                    theirs.append(write)
                else:
                    ours.append(None)
                    same = theirs[1] if stream == subprocess.STDOUT else nothing.fileno()
                    theirs.append(stream.fileno() if hasattr(stream, "fileno") else same)
            self.pid = self._waiting.fork(asked, theirs)
            for stream, descriptor in zip((stdout, stderr), theirs[1:], strict=True):
                if stream == subprocess.PIPE:
                    os.close(descriptor)
        self.stdout, self.stderr = ours
        self.returncode = None

    def poll(self):
        """Return the exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._waiting.ended(self.pid)
        return self.returncode

    def wait(self, timeout=600.0):
        """Return the exit code once there is one."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self._sleep(end - time.monotonic())
        return self.returncode

    def _sleep(self, seconds):
        """Sleep until it ends, at most so long; its number is its own until `poll` has been told of its end."""
        try:
            process = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # a system without, or another's `poll` was told
            time.sleep(0.005)
            return
        try:
            select.select([process], [], [], max(seconds, 0.0))
        finally:
            os.close(process)

    def communicate(self, timeout=600.0):
        """Return what is left to be read of what it prints and complains, and wait for its end."""
        with ThreadPoolExecutor(2) as readers:  # at once: it may wait for room in either
            out, err = readers.map(lambda stream: stream and stream.read(), (self.stdout, self.stderr))
        for stream in filter(None, (self.stdout, self.stderr)):
            stream.close()
        self.wait(timeout)
        return out, err

    def send_signal(self, number):
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def run(*words, input=None, text=True, timeout=600.0, **options):  # noqa: A002 -- the name that `subprocess.run` has
    """Run `python` with words to its end, and return what `subprocess.run` returns."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((input or "").encode() if text else input or b"")
        given.seek(0)
        running = Running(words, stdin=given, stdout=out, stderr=err, **options)
        try:
            code = running.wait(timeout)
        finally:
            running.kill()  # where it has not ended in time
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode() if text else file.read())
    return subprocess.CompletedProcess(words, code, *said)


class _Waiting:
    """The interpreter that waits, seen from the tests."""

    def __init__(self, imported):
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno()), *imported]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._answers = self._socket.makefile("r", encoding="utf-8")
        self._ended = {}

    def fork(self, asked, streams):
        """Have a process forked, and return its id."""
        text = json.dumps(asked).encode()
        socket.send_fds(self._socket, [len(text).to_bytes(4, "big")], streams)
        self._socket.sendall(text)
        return self._hear("forked")

    def ended(self, process):
        """Return the exit code of a process that was forked, None while it runs."""
        if process not in self._ended:
            self._socket.sendall((0).to_bytes(4, "big"))
            self._hear("told")
        return self._ended.get(process)

    def _hear(self, awaited):
        while True:
            word, number, *code = self._answers.readline().split()
            if word == awaited:
                return int(number)
            self._ended[int(number)] = int(code[0])

    def end(self):
        """Have it end, and wait for it, so that what it has cost is known."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait()


@functools.cache
def _waiting(imported):
    waiting = _Waiting(imported)
    atexit.register(waiting.end)
    return waiting


def _serve(ours):
    """Fork for whoever asks, and return in each process that is forked what it is to do; None at the end."""
    while True:
        head, streams, _, _ = socket.recv_fds(ours, 4, 3)
        if not head:
            return None
        size = int.from_bytes(head, "big")
        if not size:
            _tell_of_the_ended(ours)
            continue
        asked = ours.recv(size, socket.MSG_WAITALL)
        process = os.fork()
        if not process:
            return json.loads(asked), streams
        for stream in streams:
            os.close(stream)
        ours.sendall(f"forked {process}\n".encode())


def _tell_of_the_ended(ours):
    """Say which processes have ended, and how, each once."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            process = 0
        if not process:
            ours.sendall(b"told 0\n")
            return
        ours.sendall(f"ended {process} {os.waitstatus_to_exitcode(status)}\n".encode())


def _become(asked, streams):
    """Make this process one that was started in a folder, with an environment and three streams."""
    if asked["session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests were begun under nohup
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def _run(words):
    """Do what `python` does with words."""
    first, *rest = words
    while first == "-W":
        warnings._processoptions([rest[0]])
        first, *rest = rest[1:]
    here = str(Path(__file__).parent)
    sys.path[:] = [place for place in sys.path if place != here]
    if first == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = ["-m", *rest[1:]]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 -- a test's own code
    else:
        sys.path.insert(0, str(Path(first).resolve().parent))
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


def _end(code):
    """End as an interpreter does, but take nothing apart: that copies all that was forked, for a quarter second."""
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it was closed
            stream.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as ours:
        gc.disable()  # nothing that is imported is garbage
        for name in sys.argv[2:]:
            importlib.import_module(name)
        gc.freeze()  # so that a forked process does not copy the pages of what was imported
        gc.set_threshold(20_000, 20, 20)  # as in the tests' own process
        gc.enable()
        found = _serve(ours)
    if found is not None:
        _become(*found)
        try:
            _run(found[0]["words"])
        except SystemExit as end:
            _end(end.code)
        _end(0)
