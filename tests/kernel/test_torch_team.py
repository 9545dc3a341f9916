"""Steps on the threads that torch has already: the same bits, no thread more, and nothing left behind in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_threads_and_fork import run_child

from downslope import kernel

pytestmark = [
    pytest.mark.skipif(not kernel.backend().startswith("compiled"), reason="the kernel was not built"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch's runtime is looked for on Linux"),
]

BEGIN = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
import torch
from downslope import kernel
from downslope.torch import SGD
count = lambda: len(os.listdir("/proc/self/task"))
SIZE = 1_000_003
def steps(times=3):
    draw = torch.Generator().manual_seed(0)
    param = torch.nn.Parameter(torch.randn(SIZE, generator=draw))
    optimizer = SGD([param], lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(times):
        param.grad = torch.randn(SIZE, generator=draw)
        optimizer.step()
    return param.detach().clone()
torch.set_num_threads(1)
expected = steps()
torch.set_num_threads(3)
ones = torch.ones(SIZE)
ones + ones  # torch has its threads now
"""


def test_no_thread_is_started_beside_torchs_and_no_bit_changes() -> None:
    """On torch's three threads; on a pool of our own once another number was chosen; and back."""
    program = """
before = count()
assert torch.equal(steps(), expected)
assert count() == before, (before, count())
kernel.set_num_threads(4)
assert torch.equal(steps(), expected)
assert count() == before + 3, (before, count())
kernel.set_num_threads(3)
assert torch.equal(steps(), expected)
assert count() == before + 3
"""
    run_child(BEGIN + program)


def test_a_forked_child_steps_on_threads_of_its_own() -> None:
    """An OpenMP runtime hangs in a child that uses it; ours does not ask it there."""
    program = """
steps()
codes = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        torch.set_num_threads(1)  # for torch's own operations, which would hang
        kernel.set_num_threads(3)
        os._exit(0 if torch.equal(steps(), expected) else 1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    assert torch.equal(steps(), expected)
assert codes == [0, 0, 0], codes
"""
    run_child(BEGIN + program)


def test_in_a_child_torchs_number_too_means_threads_of_its_own() -> None:
    """A child that sets nothing, and whose tensors were there before the fork."""
    program = """
param = torch.nn.Parameter(torch.zeros(SIZE))
param.grad = torch.ones(SIZE)
optimizer = SGD([param], lr=1.0)
optimizer.step()
optimizer.step()
pid = os.fork()
if pid == 0:
    optimizer.step()
    os._exit(0 if all(value == -3 for value in param.detach().numpy()[::997]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    run_child(BEGIN + program)


def test_python_threads_share_what_there_is() -> None:
    """Whoever finds a step under way works alone."""
    program = """
found = [None] * 3
def work(place):
    found[place] = steps()
workers = [threading.Thread(target=work, args=(place,)) for place in range(3)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert all(torch.equal(one, expected) for one in found)
"""
    run_child(BEGIN + program)


def test_torchs_threads_compute_afterwards_as_before() -> None:
    """A step on threads that keep subnormals, called by one that flushes them: each result is the caller's way."""
    program = """
tiny = torch.full((SIZE,), 1e-39)
def step_tiny():
    param = torch.nn.Parameter(tiny.clone())
    param.grad = torch.zeros(SIZE)
    SGD([param], lr=0.1).step()
    return param.detach()
if not torch.set_flush_denormal(True):
    sys.exit()  # this processor cannot
flushed = step_tiny()
torch.set_flush_denormal(False)
kept = step_tiny()
doubled = tiny + tiny  # on torch's threads
assert (kept == tiny).all()
assert (doubled == 2e-39).all(), doubled.unique()
assert flushed.unique().numel() == 1, flushed.unique()  # on whichever thread
"""
    run_child(BEGIN + program)


PRELOADED = """
before = count()
assert torch.equal(steps(), expected)
assert count() == before, (before, count())
maps = open("/proc/self/maps").read()
assert "libother.so" in maps and "libgomp" in maps.replace("libother.so", "")
"""


def test_a_runtime_that_was_preloaded_is_the_one_that_is_asked(tmp_path: Path) -> None:
    """torch's own operations go to it, and its threads are torch's: no second team beside them."""
    own = next((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"), None)
    if own is None:
        pytest.skip("this torch has no libgomp of its own to make a second one of")
    content, name = own.read_bytes(), next(iter(own.name.split(".so"))).encode()
    other = tmp_path / "libother.so"
    # another library to the loader: it tells them by the name within, which begins with this and stays as long
    renamed = name.replace(b"libgomp", b"libgomq")
    assert len(renamed) == len(name)
    other.write_bytes(content.replace(name + b".so", renamed + b".so"))
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + PRELOADED],
        env={**os.environ, "LD_PRELOAD": str(other)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
