"""Plots of reports, each drawn once: most tests of a report look at the same run, and drawing is most of its work."""

import pickle
import sys

import pytest

from downslope.training.report import page


@pytest.fixture(scope="session", autouse=True)
def equal_panels_are_drawn_once():
    """Have a panel that equals one before get the picture of that: a drawing depends on its panel alone."""
    drawn, draw = {}, page.draw

    def draw_once(panel):
        if sys.modules.get("matplotlib", page) is None:  # a test of what is said without it
            return draw(panel)
        key = pickle.dumps(panel)
        if key not in drawn:
            drawn[key] = draw(panel)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "draw", draw_once)
        yield drawn
