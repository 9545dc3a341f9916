"""constraints.txt pins all that the extras bring, so that a test that failed once fails again."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"([\w.-]+)==([\w.]+)")


def pins():
    """Return the pinned version of each package; a pin is nothing but a name and a public version."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    found = [PIN.fullmatch(line) or line for line in lines if line]
    assert [line for line in found if isinstance(line, str)] == []
    names = [canonicalize_name(match[1]) for match in found]
    assert len(set(names)) == len(names), "a package is pinned twice"
    return dict(zip(names, (match[2] for match in found), strict=True))


def wanted(requirements, extras):
    """Return those of a package's requirements that hold here, with some of its extras."""
    parsed = [Requirement(text) for text in requirements]
    return [
        one for one in parsed if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def walk():
    """Return every requirement that installing all extras meets, with the package that has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = [*project["dependencies"], *(word for words in project["optional-dependencies"].values() for word in words)]
    waiting = [(project["name"], one) for one in wanted(own, [""])]
    met, seen = [], set()
    while waiting:
        asker, one = waiting.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if name == project["name"]:
            continue
        met.append((asker, one))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            theirs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # what it needs is not known here; itself it must be pinned all the same
            continue
        waiting += [(name, other) for other in wanted(theirs, ["", *extras])]
    return met


def test_everything_that_the_extras_bring_is_pinned():
    """Every requirement of every package has its pin, and the pin fits it."""
    versions, met = pins(), walk()
    assert len({one.name for _, one in met}) > 60  # the walk went through the frameworks
    missing = sorted({f"{one.name}, for {asker}" for asker, one in met if canonicalize_name(one.name) not in versions})
    assert missing == []
    unfit = [
        f"{one} of {asker}, and the pin is {versions[canonicalize_name(one.name)]}"
        for asker, one in met
        if not one.specifier.contains(versions[canonicalize_name(one.name)], prereleases=True)
    ]
    assert sorted(set(unfit)) == []
