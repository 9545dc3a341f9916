"""What the package declares: its page, types, citation, lower bounds and pins, complete and the same everywhere."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import downslope
from downslope import __version__
from house.source_tree import PACKAGE, PROJECT, ROOT

ALONE = {"guests", "site"}
"""Extras that are installed in environments of their own, with pins of their own besides."""


def test_the_page_of_the_package_leads_nowhere_in_the_checkout():
    """Shown on an index it has no folder around it: no link, picture or reference but to a full address."""
    text = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(\s*<?([^)>\s]*)", text)  # [text](target) and ![picture](target)
    targets += re.findall(r"^\s*\[[^\]]+\]:\s*(\S+)", text, flags=re.MULTILINE)  # [reference]: target
    targets += re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", text)  # HTML
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert "Apache-2.0" in text


def test_the_types_are_shipped():
    """Without this marker type checkers take nothing from an installed package, whatever the classifier says."""
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (PACKAGE / "py.typed").read_bytes() == b""


def test_the_types_are_checked_from_outside():
    """Pyright, by `make lint`, checks uses of every public name with the types that a user's checker sees."""
    checked = Path(__file__).with_name("typed_uses.py")
    included = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pyright"]["include"]
    assert checked.relative_to(ROOT).as_posix() in included
    text = checked.read_text(encoding="utf-8")
    unused = [name for name in downslope.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not unused, f"tests/house/typed_uses.py does not use {unused}"


def test_the_oldest_python_is_the_first_that_is_named():
    """The classifiers begin with the version that `requires-python` allows."""
    named = [word.rpartition(" ")[2] for word in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", word)]
    assert f">={named[0]}" == PROJECT["requires-python"]


def test_the_citation_says_what_the_package_says():
    """CITATION.cff has the package's version, licence, authors and words."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == PROJECT["version"] == __version__
    assert cited["license"] == PROJECT["license"]
    assert cited["authors"] == PROJECT["authors"]
    assert cited["abstract"] == PROJECT["description"]
    assert cited["keywords"] == PROJECT["keywords"]


def release(version):
    """Return a version as numbers, without zeros at the end: 2.0 and 2.0.0 are one."""
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def declared(words):
    """Return the lower bounds of requirements, by name."""
    found = (re.match(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)", word) for word in words)
    return {canonicalize_name(match[1]): release(match[2]) for match in found if match}


def tried():
    """Return the versions of constraints-lowest.txt, by name."""
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): release(version) for name, version in pairs}


def test_each_declared_bound_is_the_one_that_is_tried():
    """What both name is one version; and all that the core and the front doors need is tried."""
    extras, versions = PROJECT["optional-dependencies"], tried()
    for words in (PROJECT["dependencies"], *(extras[name] for name in ("torch", "jax", "flax", "keras"))):
        assert declared(words)
        assert {name: versions.get(name) for name in declared(words)} == declared(words)
    for words in extras.values():
        own = declared(words)
        assert {name: own[name] for name in own if name in versions} == {n: versions[n] for n in own if n in versions}
    assert canonicalize_name("jaxlib") in versions  # which jax leaves to be as new as it


def pins(*files):
    """Return the pinned version of each package; a pin is nothing but a name and a public version."""
    text = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in files)
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    found = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) or line for line in lines if line]
    assert [line for line in found if isinstance(line, str)] == []
    names = [canonicalize_name(match[1]) for match in found]
    assert len(set(names)) == len(names), "a package is pinned twice"
    return dict(zip(names, (match[2] for match in found), strict=True))


def test_the_lock_has_the_pinned_versions_and_names_no_address():
    """Each package has its checksums, and where constraints.txt has it too the version that stands there."""
    text = (ROOT / "requirements-lock.txt").read_text(encoding="utf-8")
    assert "://" not in text
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+).*\\\n    --hash=sha256:[0-9a-f]{64}", text, flags=re.MULTILINE))
    assert len(locked) == len(re.findall("==.*", re.sub(r"^#.*\n|;.*", "", text, flags=re.MULTILINE)))
    versions = pins("constraints.txt")
    both = {name: version for name, version in locked.items() if canonicalize_name(name) in versions}
    assert {"torch", "numpy", "msgspec", "scikit-learn", "matplotlib", "safetensors"} <= set(both)
    assert both == {name: versions[canonicalize_name(name)] for name in both}


def wanted(requirements, extras):
    """Return those of a package's requirements that hold here, with some of its extras."""
    parsed = [Requirement(text) for text in requirements]
    return [
        one for one in parsed if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def all_requirements(extras):
    """Return every requirement that installing these extras meets, with the package that has it."""
    own = [*PROJECT["dependencies"], *(word for name in extras for word in PROJECT["optional-dependencies"][name])]
    waiting = [(PROJECT["name"], one) for one in wanted(own, [""])]
    met, seen = [], set()
    while waiting:
        asker, one = waiting.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if name == PROJECT["name"]:
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


@pytest.mark.parametrize(
    ("extras", "files"),
    [
        ({*PROJECT["optional-dependencies"]} - ALONE, ["constraints.txt"]),
        *(({name}, ["constraints.txt", f"constraints-{name}.txt"]) for name in sorted(ALONE)),
    ],
    ids=["all", *sorted(ALONE)],
)
def test_everything_that_the_extras_bring_is_pinned(extras, files):
    """Every requirement of every package has its pin, and the pin fits it."""
    versions, met = pins(*files), all_requirements(extras)
    assert len({one.name for _, one in met}) > (60 if len(extras) > 1 else 4)  # the walk went through the frameworks
    missing = sorted({f"{one.name}, for {asker}" for asker, one in met if canonicalize_name(one.name) not in versions})
    assert missing == []
    unfit = [
        f"{one} of {asker}, and the pin is {versions[canonicalize_name(one.name)]}"
        for asker, one in met
        if not one.specifier.contains(versions[canonicalize_name(one.name)], prereleases=True)
    ]
    assert sorted(set(unfit)) == []
