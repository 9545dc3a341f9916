"""The lower bounds that pyproject.toml declares are those that `make lowest` tries."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def normal(name):
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def release(version):
    """Return a version as numbers, without zeros at the end: 2.0 and 2.0.0 are one."""
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def declared(words):
    """Return the lower bounds of requirements, by name."""
    found = (re.match(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)", word) for word in words)
    return {normal(match[1]): release(match[2]) for match in found if match}


def tried():
    """Return the versions of constraints-lowest.txt, by name."""
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): release(version) for name, version in pairs}


def test_each_declared_bound_is_the_one_that_is_tried():
    """What both name is one version; and all that the core and the front doors need is tried."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, versions = project["optional-dependencies"], tried()
    for words in (project["dependencies"], *(extras[name] for name in ("torch", "jax", "flax", "keras"))):
        assert declared(words)
        assert {name: versions.get(name) for name in declared(words)} == declared(words)
    for words in extras.values():
        own = declared(words)
        assert {name: own[name] for name in own if name in versions} == {n: versions[n] for n in own if n in versions}
    assert normal("jaxlib") in versions  # which jax leaves to be as new as it
