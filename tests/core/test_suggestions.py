"""Words that were surely meant are suggested, and no others."""

import pytest

from downslope.cli.arguments import suggest
from downslope.core.errors import did_you_mean, nearest
from downslope.core.schedules import SCHEDULES
from downslope.recipe.overrides import recipe_paths

WORDS = [
    "lr",
    "momentum",
    "dampening",
    "nesterov",
    "weight_decay",
    "decay",
    "digits",
    "mlp",
    "train",
    "predict",
    "data.name",
]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("momentun", "momentum"),
        ("nestrov", "nesterov"),
        ("weigth_decay", "weight_decay"),  # two exchanged are one mistake
        ("weightdecay", "weight_decay"),
        ("Weight-Decay", "weight_decay"),
        ("WEIGHT", "weight_decay"),  # the beginning of one word alone
        ("mpl", "mlp"),
        ("trian", "train"),
        ("iris", None),  # half of the letters of digits
        ("np", None),
        ("completion", None),
        ("final", None),
        ("test", None),
        ("x", None),
        ("", None),
        ("---", None),
        ("d", None),
        ("\x1b[31m", None),
        ("m" * 100_000, None),
    ],
)
def test_only_a_slip_of_the_fingers_is_suggested(word, meant):
    """One mistake in a short word, three in a long one; nothing that only looks a little alike."""
    assert nearest(word, WORDS) == meant
    assert did_you_mean(word, WORDS) == ("" if meant is None else f" Did you mean `{meant}`?")


def test_every_slip_of_one_letter_is_understood():
    """Every schedule's name, with a letter missing, doubled, or exchanged with the next, leads back to it."""
    for name in SCHEDULES:
        for place in range(len(name)):
            slips = {name[:place] + name[place + 1 :], name[:place] + name[place] + name[place:]}
            slips.add(name[:place] + name[place + 1 : place + 2] + name[place] + name[place + 2 :])
            for slip in slips - {name}:
                assert nearest(slip, SCHEDULES) == name, slip


def test_options_of_other_programs_are_not_explained_away():
    """An option that is like none of ours gets no suggestion; another's word for one of ours gets ours."""
    paths = recipe_paths()
    for option in ("--completion", "--np", "--gpu", "--verbose-mode", "--foo"):
        assert suggest(option, ["--out", "--resume", "--quiet"], paths) == []
    assert suggest("--learning-rate", ["--out"], paths) == ["--sgd.lr"]
    assert suggest("--output-dir", ["--out"], paths) == ["--out"]
