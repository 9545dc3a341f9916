"""The page of an explanation: it fetches nothing, draws what is so, and fits a screen and a telephone."""

from __future__ import annotations

import itertools
import math
import re

import pytest

import downslope
from browser import CHROMIUM, measure
from downslope import Settings
from downslope.core.errors import SettingsError
from downslope.core.rule import sgd_rule
from downslope.schedules import Constant, Cosine, Exponential, Linear, OneCycle
from downslope.theory import quadratic, stability
from house.source_tree import ROOT
from training.report_reader import Page

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from downslope.explaining.page import render, write_page
from downslope.explaining.plots import CURVATURES, MINIMUM, START, STEPS, STRONG, regime_edges, walks_of

RECIPES = sorted((ROOT / "recipes").glob("*.toml"))

UNUSUAL = [
    Settings(lr=0.0),
    Settings(lr=0.0, momentum=0.9, weight_decay=0.1, decay="independent"),
    Settings(lr=0.1, momentum=0.999),
    Settings(lr=1e-9, momentum=0.9, weight_decay=1e-9),
    Settings(lr=10.0, momentum=0.9, weight_decay=0.98),
    Settings(lr=1e-200, momentum=0.5, weight_decay=1e-100),
    Settings(lr=0.1, momentum=0.9, dampening=1.0),
    Settings(lr=0.1, momentum=0.9, dampening=0.5, nesterov=True, weight_decay=1e-3, decay="decoupled"),
    Settings(lr=0.1, momentum=0.9, weight_decay=1e-4, lr_in_velocity=True, maximize=True),
    Settings(lr=Cosine(0.1, 0.0, 90, unit="epoch"), momentum=0.9, weight_decay=1e-3, decay="corrected"),
    Settings(lr=Cosine(0.1, 0.0, 90), momentum=Linear(0.5, 0.9, 5, unit="epoch")),
    Settings(lr=OneCycle(0.1, 100), momentum=Linear(0.95, 0.85, 50), weight_decay=Linear(1e-3, 0.0, 100)),
    Settings(lr=Constant(0.1), momentum=0.9, weight_decay=0.01, decay="relative"),
    Settings(lr=Exponential(0.1, rate=0.5, every=1, staircase=True), weight_decay=1e-4),
]


def page_of(explanation, lang="en"):
    """Return the page, read back."""
    return Page(render(explanation, lang=lang))


def drawn(page):
    """Return how many pictures there are on a page."""
    return sum(tag == "svg" and "plot" in (attributes.get("class") or "") for tag, attributes in page.tags)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("path", RECIPES[:3], ids=lambda path: path.stem)
def test_it_fetches_nothing_and_runs_nothing(path, lang):
    """No address but places on the page itself, no script, a policy that forbids both, each id once, tags balanced."""
    html = render(downslope.explain(path, curvature=[0.5, 20]), lang=lang)
    page = Page(html)
    assert page.addresses
    assert all(address.startswith("#") for address in page.addresses)
    assert {address.removeprefix("#") for address in page.addresses} <= set(page.ids)
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "link", "object", "embed", "image"}
    assert not re.search(r"url\((?!#)|@import|\bon\w+=", html)
    assert "default-src 'none'" in html
    assert len(page.ids) == len(set(page.ids))
    assert not page.unbalanced
    assert not re.search(r"https?://(?!www\.w3\.org)", html)


@pytest.mark.parametrize("settings", UNUSUAL, ids=repr)
def test_unusual_settings_have_a_page_too(settings):
    """Whatever the settings, with and without sizes: a page in both languages, without NaN."""
    for lang, more in (("en", {}), ("zh", {"batch_size": 32, "examples": 320, "steps": 100, "curvature": [0.0, 50]})):
        page = page_of(downslope.explain(settings, **more), lang)
        assert not page.unbalanced
        assert not any("nan" in path for path in page.plots.values())
        assert drawn(page) >= 4


def test_it_has_all_the_pictures():
    """Curves of lr and timescale, both maps, four walks; text as text, in the page's colours."""
    explanation = downslope.explain(ROOT / "recipes/digits.toml", curvature=[0.5, 20])
    html = render(explanation, lang="zh")
    page = Page(html)
    assert drawn(page) == 8
    assert "有效学习率 \N{MULTIPLICATION SIGN} 每轮步数" in html  # the label of an axis, as text
    assert not re.search(r"#0[ac]0[bd]\d\d", html)
    for colour in ("--ink", "--soft", "--line-0", "--warn"):
        assert f"var({colour})" in html


def test_the_same_explanation_gives_the_same_bytes(tmp_path):
    """Nothing on the page depends on when or where it is written."""
    explanation = downslope.explain(ROOT / "recipes/digits.toml")
    pages = [write_page(explanation, tmp_path / name).read_bytes() for name in ("one.html", "two.html")]
    assert pages[0] == pages[1]


def test_titles_are_text(tmp_path):
    """A title with signs that mean something in HTML shows as it is."""
    recipe = downslope.load_recipe(overrides=[("title", '"<script>alert(1)</script> & more"')])
    html = render(downslope.explain(recipe))
    assert "<script" not in html
    assert "<script>alert(1)</script> & more" in Page(html).text


def test_an_unknown_language_is_refused(tmp_path):
    """Before anything is written."""
    with pytest.raises(SettingsError, match="`lang` must be"):
        write_page(downslope.explain(Settings(lr=0.1)), tmp_path / "page.html", lang="xx")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("momentum", [0.0, 0.25, 0.9, 0.99])
def test_the_map_s_edges_are_the_formulas(momentum):
    """They are critical damping and the limit of stability, heavy ball and Nesterov."""
    edges = regime_edges(momentum)
    assert edges.grows == pytest.approx(stability.largest_curvature_heavy_ball(1.0, momentum), rel=1e-6)
    if momentum:
        assert edges.swings == pytest.approx(quadratic.critical_curvature(1.0, momentum), rel=1e-6)
        assert [edges.jumps, edges.creeps_again] == pytest.approx([(1 + math.sqrt(momentum)) ** 2] * 2, rel=1e-6)
        edges = regime_edges(momentum, nesterov=True)
        assert edges.swings == pytest.approx(quadratic.critical_curvature(1.0, momentum, nesterov=True), rel=1e-6)
        assert [edges.jumps, edges.creeps_again] == pytest.approx([1.0, 1.0], rel=1e-6)
        assert edges.grows == pytest.approx(stability.largest_curvature_nesterov(1.0, momentum), rel=1e-6)


def test_the_map_knows_dampening_and_decay():
    """By hand: lr l swings from (sqrt(1 - d) - sqrt m)^2 on, grows from (2 - d)(1 + m); and Nesterov creeps twice."""
    edges = regime_edges(0.25, decoupled=0.36)
    assert (edges.swings, edges.grows) == pytest.approx((0.09, 2.05))
    again = regime_edges(0.9, 0.9, nesterov=True)  # 1.1881 x^2 - .542 x + .01 = 0, and 1.9 / 1.09
    assert (again.swings, again.creeps_again, again.jumps) == pytest.approx((0.0192634, 0.436936, 1.743119), rel=1e-4)
    assert again.grows == pytest.approx(3.8 / 1.99)


@pytest.mark.parametrize("settings", UNUSUAL, ids=repr)
def test_walks_are_the_rule_s_and_stay_in_the_valley(settings):
    """Four walks, with and without momentum and decay; each point is one step of the rule from the one before."""
    walks = walks_of(downslope.explain(settings))
    have = [(walk.settings.momentum > 0, walk.settings.weight_decay > 0) for walk in walks]
    assert have == [(True, True), (False, True), (True, False), (False, False)]
    for walk in walks:
        assert walk.points[0] == START
        assert len(walk.points) == STEPS + 1
        assert max(abs(x) + abs(y) for x, y in walk.points) < 12
        for axis, curvature in enumerate(CURVATURES):
            velocity = 0.0
            for step, (before, after) in enumerate(itertools.pairwise(point[axis] for point in walk.points)):
                grad = curvature * (before - MINIMUM[axis])
                delta, velocity = sgd_rule(before, grad, velocity, walk.settings.at(step, first=step == 0))
                assert before + delta == after


@pytest.mark.parametrize("decay", ["coupled", "decoupled", "independent", "relative", "corrected"])
def test_walks_with_decay_end_where_decay_and_slope_balance(decay):
    """Of any kind, it pulls to where c (x - minimum) + STRONG x = 0; without decay to the minimum itself."""
    walks = walks_of(downslope.explain(Settings(lr=0.5, momentum=0.5, weight_decay=1e-3, decay=decay)))
    for walk, strength in ((walks[1], STRONG), (walks[3], 0.0)):
        param, velocity = walk.points[-1][0], 0.0
        for _ in range(2000):
            delta, velocity = sgd_rule(param, param - MINIMUM[0], velocity, walk.settings.at(0))
            param += delta
        assert param == pytest.approx(MINIMUM[0] / (1 + strength), rel=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_in_a_browser_nothing_overflows(lang, tmp_path):
    """At 1280 and at 420 pixels nothing is wider than the window, in either language, and nothing is asked for."""
    write_page(downslope.explain(ROOT / "recipes/digits-nesterov-decoupled.toml", curvature=[0.5, 20]),
               tmp_path / "page.html", lang=lang)  # fmt: skip
    measured = measure(
        tmp_path / "page.html",
        (1280, 420),
        "const texts = [...page.querySelectorAll('p, h1, h2, figcaption, svg.plot, li')]"
        ".map(e => e.getBoundingClientRect()).filter(r => r.right > f.width || r.left < 0);"
        "return [page.documentElement.scrollWidth, texts.length,"
        "f.contentWindow.performance.getEntriesByType('resource').length];",
    )
    assert [width for width, *_ in measured] == [1280, 420]
    for width, scroll, outside, requests in measured:
        assert scroll <= width
        assert outside == 0
        assert requests == 0
