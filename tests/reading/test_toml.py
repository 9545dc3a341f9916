"""TOML by lines, which know where everything stands, against the standard library's parser, which does not."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from downslope.reading.configuration.lines import read_lines
from draws import draws

KEYS = st.sampled_from(["lr", "batch-size", "'weight decay'", '"momentum"', "a", "b", "a.b", 'b . "c d".e', "30", "1"])
NUMBERS = st.one_of(
    st.sampled_from(["0.1", "1e-4", "5E-4", "1_000", "+3", "-0.5", "0", "1_0.2_5", "true", "false"]),
    st.integers(-(10**9), 10**9).map(str),
    st.floats(1e-9, 1e9).map(repr),
)
STRINGS = st.one_of(
    st.sampled_from(['"0.5 # no"', "'x // y'", '"x \\" # lr = 3"', '"[a]"', "'a;b'", '"lr = 3"', '"{"']),
    st.text("ab #;=[]{}.,'/\n", max_size=12).map(lambda text: f'"""{text}x"""'),
    st.text('ab #;=[]{}.,"/\n', max_size=12).map(lambda text: f"'''{text}x'''"),
    st.sampled_from(
        ['"""\nlr = 0.5\n[a]\nmomentum = 0.3\n"""', "'''\n[[b]]\nlr = 0.7'''", '"""a \\""" b\nlr = 9\n"""']
    ),
)
COMMENTS = st.sampled_from(["", "", " ", "#x", " # lr = 7", "\t# [a]", "  # ]"])
LISTS = st.lists(st.tuples(NUMBERS, COMMENTS), min_size=1, max_size=4).map(
    lambda rows: "[" + "".join(f"{number},{comment}\n  " for number, comment in rows) + "]"
)
TABLES = st.lists(NUMBERS, min_size=1, max_size=3).map(
    lambda numbers: "{" + ", ".join(f"k{place} = {number}" for place, number in enumerate(numbers)) + "}"
)
LINES = st.one_of(
    st.builds("{}{}{}{}{}".format, st.sampled_from(["", "  "]), KEYS, st.sampled_from([" = ", "=", "\t= "]),
              st.one_of(NUMBERS, NUMBERS, LISTS, TABLES, STRINGS), COMMENTS),
    st.builds("{}{}".format, st.sampled_from(["[a]", "[ a.b ]", "[[c]]", "[c.'d e']", "[[c.b]]", "[b]"]), COMMENTS),
    st.sampled_from(["", "# lr = 0.3", "  # [d]"]),
)  # fmt: skip


def flat(table, path=()):
    """Every number of nested tables by its path, as entries have it: the places of a list's tables as "#0"."""
    if isinstance(table, dict):
        found = {}
        for key, value in table.items():
            found |= flat(value, (*path, *key.split(".")))
        return found
    if isinstance(table, list) and all(isinstance(one, dict) for one in table):
        found = {}
        for place, one in enumerate(table):
            found |= flat(one, (*path, f"#{place}"))
        return found
    return {} if isinstance(table, str) else {path: table}


@settings(max_examples=draws(150))
@given(st.lists(LINES, max_size=8))
def test_every_number_is_where_the_standard_library_has_it(lines):
    """Its path and its value, and no number that only a string or a comment holds; at the place that it stands at."""
    kept = []
    for line in lines:  # a line that would define something twice is left out
        try:
            tomllib.loads("\n".join([*kept, line]))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(line)
    text = "\n".join(kept)
    entries = [entry for entry in read_lines(text) if not isinstance(entry.value, str | None)]
    assert {entry.path: entry.value for entry in entries} == flat(tomllib.loads(text))
    for entry in entries:
        words = text[entry.start : entry.end]
        if entry.path[-1].startswith("k"):
            assert words.startswith(entry.path[-1])
        else:
            assert tomllib.loads(words)


def test_what_is_quoted_or_noted_is_no_value():
    """A string over several lines holds no settings; tables of a list are told apart; a comment needs no blank."""
    text = (
        '[train]\nnote = """\nlr = 0.5\n[other]\nmomentum = 0.3\n"""\nlr = 0.1#so\nwarmup = "0.2 # no"\n'
        "[[groups]]\nlr = 1\n[[groups]]\nlr = 2\n[groups.more]\n30 = 0.01\n"
    )
    assert [(entry.path, entry.value) for entry in read_lines(text)] == [
        (("train", "lr"), 0.1),
        (("train", "warmup"), "0.2 # no"),
        (("groups", "#0", "lr"), 1),
        (("groups", "#1", "lr"), 2),
        (("groups", "#1", "more", "30"), 0.01),
    ]
