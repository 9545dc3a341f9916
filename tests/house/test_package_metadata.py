"""What an index or a citation says of the package: complete by itself, and the same everywhere."""

import re
import tomllib
from pathlib import Path

import yaml

import downslope
from downslope import __version__
from house.source_tree import PACKAGE, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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
