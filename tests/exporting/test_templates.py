"""The filler of templates, and that every template is one that programs are made of."""

import re
from types import SimpleNamespace

import pytest

from downslope.exporting.python_source import WIDTH
from downslope.exporting.template import filled, parse
from house.source_tree import PACKAGE

EXPORTING = PACKAGE / "exporting"


def fill(text, **values):
    """Return the text of a template, filled."""
    return "\n".join(filled(parse(text), values))


def test_values_are_text_or_python():
    """Text stands as it is, other values as Python writes them, and lines are indented where they stand."""
    group = SimpleNamespace(name="others", lr=0.1)
    assert fill('    "$group.name": $group.lr, ${group.name}_2', group=group) == '    "others": 0.1, others_2'
    assert fill("    $lines", lines=["if a:", "    b", "", "c"]) == "    if a:\n        b\n\n    c"
    with pytest.raises(KeyError, match="other"):
        fill("$other", value=1)


def test_conditions_and_loops():
    """The first branch that is true is taken; a loop gives its names to every item."""
    text = "% if a and not b\none\n% elif way == coupled\ntwo\n% else\nthree\n% end\nlast"
    assert fill(text, a=1, b=0, way="") == "one\nlast"
    assert fill(text, a=1, b=1, way="coupled") == "two\nlast"
    assert fill(text, a=0, b=0, way="decoupled") == "three\nlast"
    loop = "    % for name, number in pairs\n    % if number\n    $name = $number\n    % end\n    % end"
    assert fill(loop, pairs=[("a", 1), ("b", 0), ("c", 2)]) == "    a = 1\n    c = 2"


@pytest.mark.parametrize(
    "text",
    [
        *["a\n% endif\nb", "a\n% end\nb", "% fi a\nb\n% end", "% if a\nb\n% else\nc\n% elif a\n% end"],
        *["% for x in a\nb\n% else", "% for x in a\n$x", "% if a\nb", "% if a\nf(\n    b,\n% end", "f(\n    b,\n"],
    ],
)
def test_blocks_that_do_not_fit_are_refused(text):
    """A word that is unknown or ends nothing, and what has no end, cuts no program off in silence."""
    with pytest.raises(ValueError, match="template"):
        fill(text, a=[1])


def test_comments_are_wrapped():
    """The lines of a comment are one sentence, as wide as the code; those with more spaces stay as they are."""
    lines = fill("    # $word\n    # end\n#   kept", word="word " * 30).split("\n")
    assert [line[:6] for line in lines] == ["    # ", "    # ", "#   ke"]
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].endswith("word end")


@pytest.mark.parametrize("form", ["    a,\n    $b,\n", "    a, $b\n"], ids=["a line each", "one line"])
def test_calls_are_joined_where_they_fit(form):
    """A short call is one line; a long one has its arguments on lines of their own."""
    call = f"x = f(\n{form})"
    assert fill(call, b="b") == "x = f(a, b)"
    assert fill(call, b="b" * WIDTH) == f"x = f(\n    a,\n    {'b' * WIDTH},\n)"
    shared = f"x = f(\n    a, {'b' * 79}\n)"
    assert fill(call, b="b" * 79) == (shared if "a, " in form else f"x = f(\n    a,\n    {'b' * 79},\n)")


def test_every_template_is_used():
    """Each file is named by a target or included by another template, and nothing else is."""
    sources = [path.read_text(encoding="utf-8") for path in (*EXPORTING.glob("*.py"), *EXPORTING.glob("templates/*"))]
    named = {name for text in sources for name in re.findall(r'(?:"|^ *% include )([a-z_.]+\.txt)', text, re.MULTILINE)}
    assert named == {path.name for path in EXPORTING.glob("templates/*")}
