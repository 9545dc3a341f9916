"""Programs that are broken, endless or huge: nothing is run, nothing raises, and all end soon."""

from __future__ import annotations

import time

import pytest

from downslope.reading.code import looks_like_python
from reading.programs import found_in, values_of

HOSTILE = {
    "powers": "x = 10**10**10\ny = 2**(2**(2**100))\nopt = SGD(p, lr=9**9**9)\n",
    "shifts": "x = 1 << 10**9\ny = (1<<63)*(1<<63)*(1<<63)\n",
    "repetitions": "x = 'a' * 10**12\ny = [0] * 10**12\nz = [[[]]*1000]*1000*1000\n",
    "brackets": "(" * 1_000_000,
    "calls that never end": "SGD(" * 50_000,
    "nesting": "x = " + "[" * 90 + "]" * 90 + "\nopt = SGD(p, lr=0.1)",
    "long sums": "x = " + "+".join(["1"] * 20_000) + "\nopt = SGD(p, lr=0.1)\n",
    "long chains": "x = a" + ".b" * 20_000,
    "deep ifs": "".join(" " * i + "if a:\n" for i in range(95)) + " " * 95 + "x=1\n",
    "recursion": "def f(n):\n    return f(n-1)+f(n-2)\nf(40)\ndef g(): g(); g()\ng()\n",
    "calls of calls": "x = f(0)\n" + "x = f(x, x, x, x)\n" * 40 + "autocast(x)\nScheduledHyperParamSetter(x, [(1, 2)])\n",
    "lists of nothing": "lr = []\nschedule = []\nopt.lr = []\n",
    "mutual recursion": "".join(f"def f{i}(x):\n    return f{(i + 1) % 50}(x) + f{(i + 7) % 50}(x)\n" for i in range(50)) + "f0(1)\n",
    "nested loops": "for a in range(300):\n  for b in range(300):\n    for epoch in range(300):\n      opt.param_groups[0]['lr'] = lr*epoch\n",
    "endless loops": "while True:\n    x = 1\nfor i in range(10**15):\n    opt.param_groups[0]['lr'] *= 0.9\n",
    "a megabyte of lines": "lr = 0.1\n" * 110_000,
    "a megabyte of calls": "opt = SGD(p, lr=0.1)\n" * 48_000,
    "broken lines": "def f(:\n   x = = 2\n" * 5_000,
    "open brackets": "x = (\n" * 20_000,
    "ragged lines": "\n".join("  " * (i % 40) + "x = 1 +" for i in range(20_000)),
    "surrogates and nulls": "x = '\ud800'\0\nopt = SGD(p, lr=0.1)",
    "itself": "a = {}\na['a'] = a\nb = []\nb.append(b)\nopt = SGD(b, lr=a)\nx = b == b\nclass A(A): pass\nA()\nA.y = A\n",
    "infinity": "opt = SGD(p, lr=float('inf'), momentum=float('nan'))\nopt2 = SGD(p, lr=1e999)\n",
    "widths": "x = '%1000000000d' % 5\ny = f'{5:1000000000}'\nz = '{:>1000000000}'.format(1)\nv = 'x'.replace('x', 'y' * 1000)\n",
    "comprehensions": "x = [i for i in range(10**12) for j in range(10**12)]\ny = {i: [k for k in range(10**9)] for i in range(300)}\n",
    "keywords of nothing": "SGD(**None, *3)\nSGD(lr=)\nopt = SGD(p, lr=[1, [2]], momentum={}, weight_decay='x', nesterov=3)\n",
    "schedules of nothing": "StepLR()\nMultiStepLR(1, [])\nSequentialLR(o, [[]], [3])\nLambdaLR(o, lambda: 1)\nOneCycleLR(o, max_lr=[1], epochs='a')\n"
    "PiecewiseConstantDecay([], [])\nPiecewiseConstantDecay([1], ['a', 'b'])\njoin_schedules([1], [2])\nLinearWarmup()\nLRSequential(3)\n",
    "options of nothing": "p.add_argument()\np.add_argument('--x', type=3, default='a')\np.add_argument('--y', type=int, default='1e5')\np.parse_args().x",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_end_soon_and_raise_nothing(name):
    """Whatever a program holds."""
    began = time.process_time()
    looks_like_python(HOSTILE[name])
    found = found_in(HOSTILE[name])
    assert time.process_time() - began < 8  # far less on a quiet machine
    assert all(start <= end for start, end in found.unread)


def test_numbers_beyond_use_are_no_values():
    """What is too large to be computed, infinite or no number."""
    assert "sgd.lr" not in values_of(HOSTILE["powers"])
    assert values_of(HOSTILE["infinity"]) == {}
