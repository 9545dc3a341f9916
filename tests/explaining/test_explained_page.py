"""The page of an explanation: it fetches nothing, draws what is so, and fits a screen and a telephone."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import math
import re
from xml.etree import ElementTree as ET

import pytest

import downslope
from browser import CHROMIUM, ask, measure
from downslope import Settings
from downslope.core.errors import SettingsError
from downslope.core.rule import sgd_rule
from downslope.schedules import Constant, Cosine, Exponential, Linear, OneCycle
from downslope.theory import FORMULAS, quadratic, stability, velocity
from downslope.theory.velocity import gain_of
from house.source_tree import ROOT
from training.report_reader import Page

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from downslope.explaining.language import words_of
from downslope.explaining.page import render, write_page
from downslope.explaining.plots import regime_edges
from downslope.explaining.typeset import typeset
from downslope.explaining.walks import walks_of
from downslope.lab.begin import START

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


@functools.cache
def html_of(recipe):
    """Return the page of a recipe that comes along, made once."""
    return render(downslope.explain(ROOT / f"recipes/{recipe}.toml"))


def drawn(page):
    """Return how many pictures there are on a page."""
    return sum(tag == "svg" and "plot" in (attributes.get("class") or "") for tag, attributes in page.tags)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("path", RECIPES[:3], ids=lambda path: path.stem)
def test_it_fetches_nothing_and_runs_one_script(path, lang):
    """No address but places on the page and papers, one script whose hash the policy has, each id once."""
    html = render(downslope.explain(path, curvature=[0.5, 20]), lang=lang)
    page = Page(html)
    assert page.addresses
    papers = {address for address in page.addresses if address.startswith("https://arxiv.org/abs/")}
    assert papers
    places = set(page.addresses) - papers
    assert all(address.startswith("#") for address in places)
    assert {address.removeprefix("#") for address in places} <= set(page.ids)
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "link", "object", "embed", "image"}
    assert not re.search(r"url\((?!#)|@import|\bon\w+=", html)
    [script] = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert f'content="{policy}"' in html
    assert len(html.encode()) < 500_000
    assert len(page.ids) == len(set(page.ids))
    assert not page.unbalanced
    assert not re.search(r"https?://(?!www\.w3\.org|arxiv\.org/abs/\d)", html)


@pytest.mark.parametrize("settings", UNUSUAL, ids=repr)
def test_unusual_settings_have_a_page_too(settings):
    """Whatever the settings, with and without sizes: a page in both languages, without NaN."""
    for lang, more in (("en", {}), ("zh", {"batch_size": 32, "examples": 320, "steps": 100, "curvature": [0.0, 50]})):
        page = page_of(downslope.explain(settings, **more), lang)
        assert not page.unbalanced
        assert not any("nan" in path for path in page.plots.values())
        assert drawn(page) >= 2


def test_it_has_all_the_pictures():
    """Curves of lr and timescale, both maps, the valley and its losses; text as text, in the page's colours."""
    explanation = downslope.explain(ROOT / "recipes/digits.toml", curvature=[0.5, 20])
    html = render(explanation, lang="zh")
    page = Page(html)
    assert drawn(page) == 6
    assert "有效学习率 \N{MULTIPLICATION SIGN} 每轮步数" in html  # the label of an axis, as text
    assert not re.search(r"#0[ac]0[bd]\d\d", html)
    for colour in ("--ink", "--soft", "--line-0", "--warn"):
        assert f"var({colour})" in html


def test_the_same_explanation_gives_the_same_bytes(tmp_path):
    """Nothing on the page depends on when or where it is written."""
    page = write_page(downslope.explain(ROOT / "recipes/digits.toml"), tmp_path / "page.html")
    assert page.read_bytes() == html_of("digits").encode()


def test_titles_are_text(tmp_path):
    """A title with signs that mean something in HTML shows as it is."""
    recipe = downslope.load_recipe(overrides=[("title", '"<script>alert(1)</script> & more"')])
    html = render(downslope.explain(recipe))
    assert html.count("<script") == 1
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
def test_walks_are_the_rule_s(settings):
    """The recipe's and plain SGD's; each point is one step of the rule from the one before."""
    begun, walks = walks_of(downslope.explain(settings))
    assert walks[1].settings == Settings(lr=2 / (begun.along + begun.across))
    for walk in walks:
        assert walk.points[0] == START
        assert len(walk.points) == begun.steps + 1 or abs(walk.points[-1][0]) + abs(walk.points[-1][1]) > 1
        for axis, curvature in enumerate((begun.along, begun.across)):
            velocity = 0.0
            for step, (before, after) in enumerate(itertools.pairwise(point[axis] for point in walk.points)):
                delta, velocity = sgd_rule(
                    before, curvature * before, velocity, walk.settings.at(step, first=step == 0)
                )
                assert before + delta == after
        first, last = (begun.along * x * x + begun.across * y * y for x, y in (START, walk.points[-1]))
        assert walk.losses[-1] == pytest.approx(last / first)


def test_a_long_walk_makes_no_large_page():
    """Momentum 0.99 walks 1,200 steps: under 500 kB all the same."""
    assert len(render(downslope.explain(ROOT / "recipes/quadratic-deep-momentum.toml")).encode()) < 250_000


def test_momentum_wins_in_the_valley():
    """By far over plain SGD at its own best lr, and it is said: the loss that is left is on the page."""
    _, (own, plain) = walks_of(downslope.explain(ROOT / "recipes/digits.toml"))
    assert own.losses[-1] < 1e-4 * plain.losses[-1]
    assert "plain SGD at its best lr: 0.0907" in Page(html_of("digits")).text
    for marked in (">start<", ">minimum<", ">0.01<"):
        assert marked in html_of("digits")


def test_what_is_constant_is_a_line_of_text_and_details_are_folded():
    """No curve and no table of a constant lr; a normalisation that the model has not is folded."""
    constant = render(downslope.explain(Settings(lr=0.1, momentum=0.9, weight_decay=1e-4), curvature=[0.5, 20]))
    assert "lr is 0.1 from beginning to end" in constant
    assert 'id="curve-' not in constant
    folded = re.compile(r"<details.*?</details>", re.DOTALL)
    for recipe, closed in (("digits-nesterov-decoupled", True), ("mnist1d-convnet", False)):
        html = html_of(recipe)
        inside = "".join(folded.findall(html))
        assert ('id="rotation"' in inside) is closed
        assert 'id="formulas"' in inside
        assert 'id="damping"' not in inside
        assert "Step by step" in inside
    assert html.index('<svg class="plot"') < html.index("<figcaption>")  # captions are below what they speak of


def evaluate(element, names):
    """Return the value of an element of MathML: what stands side by side is multiplied."""
    tag = element.tag.rpartition("}")[2]
    kids = list(element)
    if tag == "mn":
        return element.text
    if tag == "mi":
        return "log" if element.text == "ln" else f"names[{element.text!r}]"
    if tag == "mo":
        return {"\N{MINUS SIGN}": "-", "\N{MIDDLE DOT}": "*"}.get(element.text, element.text)
    if tag == "mspace":
        return "*"
    if tag in {"mfrac", "msup"}:
        return f"(({evaluate(kids[0], names)}){'/' if tag == 'mfrac' else '**'}({evaluate(kids[1], names)}))"
    inside = "".join(evaluate(kid, names) for kid in kids if not kid.tag.endswith("annotation"))
    inside = re.sub(r"log\*(names\[[^]]*\]|\d+)", r"log(\1)", inside)
    return f"sqrt({inside})" if tag == "msqrt" else inside


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("effective_lr", lambda n: velocity.effective_lr(n["lr"], n["momentum"], n["dampening"])),
        ("velocity_half_life", lambda n: velocity.velocity_half_life(n["momentum"])),
        ("timescale_coupled", lambda n: (1 - 0.9) / (0.1 * 0.01 * (1 - 0.3))),
        ("largest_curvature_nesterov", lambda n: 1.95 * 1.9 / ((1 + 1.8 - 0.27) * 0.1) - 0.01),
        ("critical_momentum", lambda n: (0.95**0.5 - (0.1 * 0.7 * 2.0) ** 0.5) ** 2),
        ("optimal_nesterov", None),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_formulas_are_mathml_that_says_what_they_say(name, value, lang):
    """The first formula of a card, worked out from its MathML, is the function's number; the text stands beside it."""
    text = words_of(lang).equation.get(name, FORMULAS[name].equation)
    html = typeset(text)
    assert re.sub(r"<(?!/?annotation).*?>", "", re.sub(r"<annotation.*?>", "", html))
    first = re.search(r"<math.*?</math>", html)[0]
    names = {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01, "d": 0.05, "l": 2.0}
    if value is None:
        assert first.count("<mfrac>") == 1
        assert ">lr*<" in first
        return
    got = eval(evaluate(ET.fromstring(first), names), {"names": names, "log": math.log, "sqrt": math.sqrt})  # noqa: S307, S314
    assert got == pytest.approx(value(names))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_formula_that_another_form_of_momentum_has_not_says_so(lang):
    """With nu 0.5 weights forget over 1 / (effective lr weight_decay) steps, not by the formula of the heavy ball."""
    text = words_of(lang).equation.get("timescale_coupled", FORMULAS["timescale_coupled"].equation)
    heavy_ball, others = re.split(r"[;\uff1b]", text)
    assert "nu" not in heavy_ball
    assert "Nesterov" in others
    assert "nu" in others
    found = downslope.explain(Settings(lr=0.1, momentum=0.9, nu=0.5, weight_decay=0.001))["decay_steps"]
    assert found.value == pytest.approx(1 / (0.1 * (0.5 + 0.5 * 10) * 0.001))
    assert found.value != pytest.approx((1 - 0.9) / (0.1 * 0.001))


def test_the_rule_is_mathml_out_of_its_symbols():
    """The same signs as the printed equations, which stand beside it for browsers that show none."""
    html = html_of("digits-nesterov-decoupled")
    for _, right in downslope.explain(ROOT / "recipes/digits-nesterov-decoupled.toml").equations:
        assert f'<annotation encoding="text/plain">{right}</annotation>' in html
    [first] = re.findall(r"<math display.*?</math>", html)[:1]
    shown = "".join(ET.fromstring(first)[0][0].itertext())  # noqa: S314 -- ours
    assert shown == "0.9\N{MIDDLE DOT}velocity+grad"


BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")


@pytest.mark.slow
@BROWSER
def test_sliders_follow_the_rule_as_in_python(tmp_path):
    """In a real browser, with dampening, decay and a schedule: 1,000 steps within 1e-12, the valley's too."""
    settings = Settings(
        lr=Cosine(0.03, 0.0, 90), momentum=0.8, dampening=0.3, nesterov=True, weight_decay=0.02, decay="relative"
    )
    explained = downslope.explain(settings)
    begun, [own, _] = walks_of(explained)
    script = """
    const w = f.contentWindow, state = w.fromAddress(), look = (c, n) => w.run(state, c, [-1, 0.25], n)[n];
    const course = w.courseOf(state);
    return [...look([0.01, 1.5], 1000), ...look([%r, %r], %d), page.getElementById("lab").hidden ? 1 : 0,
            course.rows[45].lr, w.effectiveLr(course.rows[45]), w.scalars(course.rows[45]).decoupled_decay];
    """
    [[_, *found]] = measure(
        write_page(explained, tmp_path / "page.html"), (1280,), script % (begun.along, begun.across, begun.steps)
    )
    wanted = []
    for curvature, param in zip((0.01, 1.5), START, strict=True):
        velocity = 0.0
        for step in range(1000):
            delta, velocity = sgd_rule(param, curvature * param, velocity, own.settings.at(step, first=step == 0))
            param += delta  # noqa: PLW2901 -- it walks
        wanted.append(param)
    assert found[:2] == pytest.approx(wanted, rel=1e-12, abs=1e-300)
    assert found[2:4] == pytest.approx(own.points[-1], rel=1e-12, abs=1e-300)
    assert found[4] == 0
    now = settings.at(45)
    assert found[5:] == pytest.approx([now.lr, gain_of(now), now.decoupled_decay])


@pytest.mark.slow
@BROWSER
def test_unusual_pages_come_alive(tmp_path):
    """Whatever the recipe, the script goes to its end, no number is NaN, and a place on the page is one."""
    names = [f"page{n}.html" for n in (0, 4, 6, 11)]
    for name in names:
        settings = UNUSUAL[int(name.removeprefix("page").removesuffix(".html"))]
        write_page(downslope.explain(settings), tmp_path / name)
    frames = "".join(f'<iframe src="{name}" width="400" height="900"></iframe>' for name in names)
    (tmp_path / "all.html").write_text(f"<!DOCTYPE html><body>{frames}</body>", encoding="utf-8")
    script = """
    return [...page.querySelectorAll("iframe")].flatMap((inner) => {
      const w = inner.contentWindow, alive = w.document, at = (id) => alive.getElementById("lab-" + id);
      const values = [...alive.querySelectorAll("#lab-numbers .value")].map((e) => e.textContent);
      const hidden = alive.getElementById("lab").hidden;
      at("lr").value = 700; at("lr").dispatchEvent(new w.Event("input"));
      w.location.hash = "#note-1"; w.dispatchEvent(new w.Event("hashchange"));
      return [hidden ? 1 : 0, values.length, values.filter((v) => /NaN|undef/.test(v)).length,
              alive.documentElement.scrollWidth, at("lr-value").textContent * 1];
    });
    """
    [[_, *found]] = measure(tmp_path / "all.html", (1700,), script)
    assert len(found) == 5 * len(names)
    for at in range(0, len(found), 5):
        assert found[at : at + 3] == [0, 7, 0]
        assert found[at + 3] <= 400
        assert found[at + 4] == pytest.approx(1e-4 * 1e5**0.7, rel=0.01)


@pytest.mark.slow
@BROWSER
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_in_a_browser_nothing_overflows(lang, tmp_path):
    """At 1280 and at 400 pixels, light and dark, nothing is wider than the window, asked for, or complained of."""
    write_page(downslope.explain(ROOT / "recipes/digits-nesterov-decoupled.toml", curvature=[0.5, 20]),
               tmp_path / "page.html", lang=lang)  # fmt: skip
    found, console = ask(
        tmp_path / "page.html",
        (1280, 400),
        "const texts = [...page.querySelectorAll('p, h1, h2, figcaption, svg.plot, li, canvas, summary, .table')]"
        ".map(e => e.getBoundingClientRect()).filter(r => r.right > f.width || r.left < 0);"
        "return [page.documentElement.scrollWidth, texts.length,"
        "w.performance.getEntriesByType('resource').length];",
        dark=lang == "zh",
    )
    assert console == []
    for width, (scroll, outside, requests) in zip((1280, 400), found, strict=True):
        assert scroll <= width
        assert outside == 0
        assert requests == 0
