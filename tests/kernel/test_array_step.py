"""The compiled step on NumPy arrays: the same bits everywhere, threads, forks, and what it holds on to."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from native_plans import INSTRUCTION_SETS, counted_during, native, restored_settings
from test_threads_and_fork import run_child

from downslope import kernel
from downslope.kernel.arrays import CODES, collect
from downslope.numpy import SGD

# Together more than eight shares of 2^17 elements, so that seven threads all get one.
LENGTHS = (3, 300_001, 1, 63, 131_073, 0, 17, 524_289, 65, 100_003)
THREADS = (1, 2, 3, 7)
FORMATS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
SETTINGS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}


@pytest.fixture
def module() -> Iterator[Any]:
    """Give the compiled module, its settings put back afterwards."""
    with restored_settings() as module:
        yield module


def arrays(seed: int, dtype: Any, lengths: tuple[int, ...] = LENGTHS) -> dict[str, np.ndarray]:
    """Return arrays by name, each one element off the start of its memory, so that no vector is aligned."""
    rng = np.random.default_rng(seed)
    return {str(i): rng.standard_normal(n + 1).astype(np.float32).astype(dtype)[1:] for i, n in enumerate(lengths)}


def steps(seed: int, dtype: Any = np.float32, count: int = 2, lengths: tuple[int, ...] = LENGTHS) -> bytes:
    """Take some steps, all of them by the kernel, and return the bits of parameters and velocities."""
    optimizer = SGD(arrays(seed, dtype, lengths), fused=True, **SETTINGS)
    for step in range(count):
        optimizer.step(arrays(100 * seed + step + 1, dtype, lengths))
    return b"".join(a.tobytes() for part in (optimizer.params, optimizer.velocity) for a in part.values())


@pytest.mark.parametrize("dtype", FORMATS, ids=lambda dtype: dtype.__name__)
def test_a_step_has_the_same_bits_everywhere(dtype: Any, module: Any) -> None:
    """Instruction sets x 1, 2, 3 and 7 threads, odd lengths, unaligned memory: one and the same result."""
    results: set[bytes] = set()
    ways = 0
    for instruction_set in INSTRUCTION_SETS:
        if module.set_instruction_set(instruction_set):
            for threads in THREADS:
                kernel.set_num_threads(threads)
                results.add(steps(1, dtype))
                assert module.thread_count() == threads
                ways += 1
    assert ways >= len(THREADS)
    assert len(results) == 1


def test_two_python_threads_step_two_optimizers_at_once(module: Any) -> None:
    """Whoever finds the pool busy works alone: both get the bits they get one after the other."""
    kernel.set_num_threads(3)
    expected = [steps(seed) for seed in range(3)]
    results: list[bytes] = [b""] * 3

    def work(seed: int) -> None:
        results[seed] = steps(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == expected


def test_one_optimizer_in_two_python_threads_does_not_crash(module: Any) -> None:
    """Steps that meet, arrays that are replaced meanwhile: results are nobody's promise, memory stays whole."""
    kernel.set_num_threads(2)
    lengths = (300_001, 17, 300_001)
    optimizer = SGD(arrays(0, np.float32, lengths), **SETTINGS)
    given = arrays(1, np.float32, lengths)

    def work() -> None:
        for _ in range(30):
            optimizer.step(given)

    with ThreadPoolExecutor(2) as workers:
        running = [workers.submit(work) for _ in range(2)]
        for _ in range(200):
            optimizer.params = {name: array.copy() for name, array in optimizer.params.items()}
        for each in running:
            each.result()
    assert all(np.isfinite(array).all() for array in optimizer.params.values())


def test_python_goes_on_during_a_step(module: Any) -> None:
    """The interpreter's lock is released: another Python thread counts while a step of 240 MB runs."""
    kernel.set_num_threads(2)
    params = {"w": np.zeros(20_000_000, np.float32)}
    given = {"w": np.ones(20_000_000, np.float32)}
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    optimizer.step(given)
    step = collect(native(), given, params, optimizer.velocity, {}, optimizer.settings)
    assert counted_during(lambda: step.run([0.0, -0.1, 0.0, 0.0, 0.0, 0.0])) >= 5


FORK = """
import os, warnings
warnings.simplefilter("ignore")
import numpy as np
from downslope import set_num_threads
from downslope.numpy import SGD
set_num_threads(3)
param = np.zeros(1_000_003)
optimizer = SGD({"w": param}, lr=1.0, fused=True)
def step():
    optimizer.step({"w": np.ones(1_000_003)})
step()
codes = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        step()
        os._exit(0 if (param == -2).all() else 1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
step()
assert codes == [0] * 5, codes
assert (param == -2).all()
print("done")
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
def test_a_forked_child_steps_with_threads_of_its_own() -> None:
    """Parent and children go on stepping after a fork, to the same result."""
    native()
    assert run_child(FORK) == "done\n"


@pytest.mark.usefixtures("what_lives_is_not_searched")
def test_nothing_is_kept_after_a_step() -> None:
    """Neither gradients nor dropped parameters and velocities live on, however the step ended."""
    native()
    optimizer = SGD({"w": np.zeros(5), "odd": np.zeros(10)[::2]}, lr=0.1, momentum=0.9)
    for make in (
        lambda: np.ones(5),
        lambda: np.ones(10)[::2],
        lambda: np.ones(5, np.float32),
        lambda: np.ones(5, ">f8"),
    ):
        given = {"w": make(), "odd": make()}
        held = [weakref.ref(array) for array in given.values()]
        optimizer.step(given)
        del given
        gc.collect()
        assert all(ref() is None for ref in held)
    held = [weakref.ref(a) for part in (optimizer.params, optimizer.velocity) for a in part.values()]
    del optimizer
    gc.collect()
    assert all(ref() is None for ref in held)


def test_references_are_counted_right() -> None:
    """A thousand steps leave the counts of arrays, names, settings and None as they were."""
    native()
    params, given = {"weight!": np.zeros(5), "none": np.zeros(2)}, {"weight!": np.ones(5), "none": None}
    optimizer = SGD(params, lr=1e-3, momentum=0.9)
    optimizer.step(given)

    def counts() -> list[int]:
        held = [params["weight!"], given["weight!"], optimizer.velocity["weight!"], optimizer.settings["weight!"]]
        return [sys.getrefcount(x) for x in (*held, next(iter(given)), np.dtype(float), np.ndarray, CODES)]

    before = counts()
    for _ in range(1000):
        optimizer.step(given)
    assert all(abs(now - then) < 50 for now, then in zip(counts(), before, strict=True))


def test_what_the_compiled_step_is_told_is_checked() -> None:
    """Too few coefficients, unknown formats, things that are no arrays: errors or left out, no crash."""
    module = native()
    one, two, three = (np.zeros(3) for _ in range(3))
    plain: dict[str, Any] = {"w": one}
    step = collect(module, plain, {"w": two}, {"w": three}, {}, {"w": None})
    assert step.is_whole
    assert step.kinds == [(None, False)]
    with pytest.raises(ValueError, match="six coefficients"):
        step.run([1.0] * 5)
    with pytest.raises(ValueError, match="unknown format"):
        module.ArrayStep(plain, {"w": two}, {"w": three}, {}, {"w": None}, np.ndarray, {np.dtype(float): 9})
    for odd in (1.0, "w", b"www", object(), memoryview(bytearray(24)), np.zeros(3, "U1"), np.zeros(3, object)):
        assert collect(module, {"w": odd}, {"w": two}, {"w": three}, {}, {"w": None}).unfit == ["w"]
        assert collect(module, plain, {"w": odd}, {"w": three}, {}, {"w": None}).rest == ["w"]
        assert collect(module, plain, {"w": two}, {"w": odd}, {}, {"w": None}).rest == ["w"]
    assert collect(module, plain, {}, {}, {}, {}).rest == ["w"]
    assert collect(module, plain, {"w": two}, {}, {}, {"w": None}).missing == ["w"]
    fresh = collect(module, plain, {"w": two}, {}, {"w": three}, {"w": None})
    assert fresh.is_whole
    assert fresh.kinds == [(None, True)]
    assert collect(module, {}, {}, {}, {}, {}).is_whole
