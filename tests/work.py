"""How much work something is, counted and not timed: a busy machine must not fail a test."""

from __future__ import annotations

import cProfile
import os
import subprocess
import sys


def calls(function):
    """Return how many calls of Python and C functions it takes to run a function, and what it returns."""
    counter, before = cProfile.Profile(), sys.getprofile()
    counter.enable()
    try:
        result = function()
    finally:
        counter.disable()
        sys.setprofile(before)
    return sum(entry.callcount for entry in counter.getstats()), result


def modules_loaded_by(code, **environment):
    """Return the names of the modules that a fresh interpreter has loaded after running `code`, its own aside."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint('\\n', *sorted(set(sys.modules) - before))"
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return set(done.stdout.splitlines()[-1].split())
