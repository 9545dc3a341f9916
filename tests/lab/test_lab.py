"""The page with sliders: its rule is ours to the last digits, and a person can use it by hand, keyboard and phone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import partial
from html.parser import HTMLParser
from typing import get_args

import pytest

from browser import CHROMIUM, measure
from cli.command_line import fail, succeed
from downslope import Settings
from downslope.core.errors import SettingsError
from downslope.core.rule import sgd_rule
from downslope.core.schedules import Cosine
from downslope.core.settings import Decay
from downslope.theory.stability import largest_lr_heavy_ball, largest_lr_nesterov, largest_lr_quasi_hyperbolic

pytest.importorskip("jinja2")

from downslope.lab import begin_with, render, write_page
from downslope.lab.schedules import OFFERED, STEPS

BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
SETTINGS = [
    Settings(lr=0.05, momentum=0.9),
    Settings(lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.01),
    Settings(lr=0.1),
    *[Settings(lr=0.03, momentum=0.8, dampening=0.3, weight_decay=0.02, decay=way) for way in get_args(Decay)],
    Settings(lr=0.03, momentum=0.7, dampening=0.5, nesterov=True, weight_decay=0.001, decay="decoupled"),
    Settings(lr=0.3, momentum=0.8, nu=0.7, dampening=0.8, undampened_first_step=False, weight_decay=0.01),
]


def as_script(settings):
    """Return settings as the page's functions take them."""
    names = ("lr", "momentum", "weight_decay", "dampening", "nesterov", "decay", "undampened_first_step")
    return json.dumps({"nu": 1 if settings.nu is None else settings.nu, **{n: getattr(settings, n) for n in names}})


def walk(settings, curvatures, start, steps):
    """Return the last positions by the rule itself, in Python's doubles."""
    found = []
    for curvature, param in zip(curvatures, start, strict=True):
        velocity = 0.0
        for step in range(steps):
            delta, velocity = sgd_rule(param, curvature * param, velocity, settings.at(step, first=step == 0))
            param += delta  # noqa: PLW2901 -- it walks
        found.append(param)
    return found


@pytest.mark.slow
@BROWSER
def test_a_thousand_steps_are_ours(tmp_path):
    """In a real browser, for every way of decay, within 1e-12 of Python."""
    curvatures, start = (0.01, 1.5), (-1.0, 0.25)
    calls = ",".join(
        f"...f.contentWindow.run({as_script(one)}, {list(curvatures)}, {list(start)}, 1000)[1000]" for one in SETTINGS
    )
    [[_, *found]] = measure(write_page(tmp_path / "lab.html"), (1280,), f"return [{calls}];")
    wanted = [number for one in SETTINGS for number in walk(one, curvatures, start, 1000)]
    assert found == pytest.approx(wanted, rel=1e-12, abs=1e-300)
    assert len({round(number, 12) for number in found[::2]}) > 5


@pytest.mark.slow
@BROWSER
def test_what_it_says_of_settings(tmp_path):
    """Largest stable lr and effective lr are the closed forms that `explain` has, where those hold."""
    script = ",".join(
        f"f.contentWindow.largestLr({as_script(one)}, 20), f.contentWindow.effectiveLr({as_script(one)})"
        for one in SETTINGS
    )
    [[_, *found]] = measure(write_page(tmp_path / "lab.html"), (1280,), f"return [{script}];")
    for settings, largest, effective in zip(SETTINGS, found[::2], found[1::2], strict=True):
        scale = 1 - settings.dampening
        steady = settings.lr * scale / (1 - settings.momentum)
        if settings.nesterov:
            steady = settings.lr * (1 + settings.momentum * scale / (1 - settings.momentum))
        if settings.nu is not None:
            steady = settings.lr * (1 - settings.nu) + settings.nu * steady
        assert effective == pytest.approx(steady)
        limit = largest_lr_nesterov if settings.nesterov else largest_lr_heavy_ball
        if settings.nu is not None:
            limit = partial(largest_lr_quasi_hyperbolic, nu=settings.nu)
        assert largest == pytest.approx(limit(20.0, settings.momentum, dampening=settings.dampening), rel=1e-6)


@pytest.mark.slow
@BROWSER
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_by_hand_and_on_a_phone(lang, tmp_path):
    """Nothing is wider than the window; sliders move numbers, plots, the line of code and the address; reset undoes."""
    script = """
    const w = f.contentWindow, at = (id) => page.getElementById("lab-" + id), seen = [];
    const ink = (id) => at(id + "-plot").toDataURL().length;
    seen.push(page.documentElement.scrollWidth, w.performance.getEntriesByType("resource").length);
    const all = ["valley", "course", "damping", "timescale", "run", "memory"];
    const before = at("code").textContent, pictures = all.map(ink);
    at("lr").value = 700; at("lr").dispatchEvent(new w.Event("input"));
    at("weight_decay").value = 500; at("weight_decay").dispatchEvent(new w.Event("input"));
    at("nesterov").checked = true; at("nesterov").dispatchEvent(new w.Event("change"));
    at("schedule").value = "cosine"; at("schedule").dispatchEvent(new w.Event("change"));
    w.draw();
    seen.push(at("code").textContent !== before ? 1 : 0, at("code").textContent.includes("nesterov=True") ? 1 : 0);
    seen.push(w.location.hash.includes("lr=") && w.location.hash.includes("nesterov=true") ? 1 : 0);
    seen.push(at("code").textContent.includes("CosineAnnealingLR(optimizer, steps)") ? 1 : 0);
    seen.push(all.filter((id, i) => ink(id) !== pictures[i]).length);
    at("reset").click(); w.draw();
    seen.push(at("code").textContent === before ? 1 : 0, w.location.hash === "" ? 1 : 0);
    at("momentum").focus();
    seen.push(page.activeElement === at("momentum") ? 1 : 0, at("momentum").getAttribute("aria-valuetext") * 1);
    const right = [...page.querySelectorAll("canvas, dd, dt, label")].map((e) => e.getBoundingClientRect().right);
    seen.push(right.filter((edge) => edge > f.width * 1 + 1).length);
    return seen;
    """
    found = measure(write_page(tmp_path / "lab.html", lang=lang), (1280, 400), script)
    assert [width for width, *_ in found] == [1280, 400]
    for width, scroll, requests, *rest in found:
        assert scroll <= width
        assert requests == 0
        assert rest == [1, 1, 1, 1, 6, 1, 1, 1, 0.9, 0]


@pytest.mark.slow
@BROWSER
def test_a_link_holds_the_numbers(tmp_path):
    """An address with numbers shows them; nonsense in it is left alone."""
    page = write_page(tmp_path / "lab.html")
    script = """
    const w = f.contentWindow, seen = [];
    const look = (hash) => { w.history.replaceState(null, "", hash); const s = w.fromAddress();
      seen.push(s.lr, s.momentum, s.nesterov ? 1 : 0, s.decay === "relative" ? 1 : 0); };
    look("#lr=0.3&momentum=0.5&nesterov=true&decay=relative");
    look("#lr=-1&momentum=1.5&decay=<b>&along=x&schedule=own");
    look("#schedule=linear"); seen.push(w.fromAddress().schedule === "linear" ? 1 : 0);
    return seen;
    """
    [[_, *found]] = measure(page, (1280,), script)
    assert found == [0.3, 0.5, 1, 1, 0.05, 0.9, 0, 0, 0.05, 0.9, 0, 0, 1]


class Scripts(HTMLParser):
    """Collects the scripts of a page and its policy."""

    def __init__(self):
        super().__init__()
        self.scripts, self.policy, self.inside = [], "", False

    def handle_starttag(self, tag, attrs):
        """Note the policy, and that a script begins."""
        table = dict(attrs)
        if table.get("http-equiv") == "Content-Security-Policy":
            self.policy = table["content"]
        self.inside = tag == "script"
        assert not {"onclick", "onload", "src", "href"} & set(table)

    def handle_endtag(self, tag):
        """Note that a script ends."""
        self.inside = False

    def handle_data(self, data):
        """Collect a script."""
        if self.inside:
            self.scripts.append(data)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_script_whose_hash_is_in_the_policy(lang):
    """Nothing else may run, and nothing is fetched; the page is small."""
    text = render(lang=lang)
    page = Scripts()
    page.feed(text)
    [script] = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert page.policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert len(text.encode()) < 80_000
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|eval\(|innerHTML|https?://", script)


def test_sentences_of_both_languages_are_the_same():
    """Every name is in both."""
    scripts = [render(lang=lang) for lang in ("en", "zh")]
    words = [json.loads(re.search(r"const WORDS = (.*);\n", one)[1]) for one in scripts]
    assert set(words[0]) == set(words[1])
    assert all(words[0][name] != words[1][name] for name in words[0] if name != "nesterov")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(lr=Cosine(0.1, 0.0, 9)), "driven by a schedule"),
        (Settings(lr=0.1, momentum=0.9, lr_in_velocity=True), "lr_in_velocity"),
        (Settings(lr=0.1, maximize=True), "maximize"),
    ],
)
def test_what_no_slider_holds(settings, message):
    """Refused, with what to do; as are a valley that is none, and another language."""
    with pytest.raises(SettingsError, match=message):
        begin_with(settings)
    with pytest.raises(SettingsError, match="curvatures must be above 0"):
        begin_with(Settings(lr=0.1), curvatures=(0.0, 1.0))
    with pytest.raises(SettingsError, match="there is no language"):
        render(lang="de")


def test_the_valley_is_one_where_momentum_wins():
    """Plain SGD at its best shrinks a distance by (k - 1) / (k + 1) a step, momentum by its root (Polyak)."""
    for momentum in (0.5, 0.8, 0.9, 0.95, 0.99):
        begin = begin_with(Settings(lr=0.03, momentum=momentum))
        steepness = begin.across / begin.along
        plain = ((steepness - 1) / (steepness + 1)) ** begin.steps
        assert momentum ** (begin.steps / 2) < 0.2 * plain
        assert begin.across * 0.03 == pytest.approx(1)  # across the valley a step of lr alone reaches its floor
        assert (1 - momentum**0.5) ** 2 <= begin.along * 0.03 * 1.0000001  # and along it momentum swings, no less
    known = begin_with(Settings(lr=0.03, momentum=0.9), curvatures=[2.0, 50.0])
    assert (known.along, known.across) == (2.0, 50.0)
    assert begin_with(Settings(lr=0.0)).across == 1.0


@pytest.mark.parametrize("name", [name for name, one in OFFERED.items() if one.torch])
def test_schedules_are_torch_s(name):
    """What the page says to write in torch gives the lr that it draws, at every step."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = eval(OFFERED[name].torch, {"torch": torch, "optimizer": optimizer, "steps": STEPS})  # noqa: S307 -- ours
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx(OFFERED[name].shares(), abs=1e-12)


def test_the_command(tmp_path, monkeypatch, capsys):
    """With a recipe, a sentence, overrides, or nothing; a schedule's nominal value is said."""
    monkeypatch.chdir(tmp_path)
    begin = re.compile(r"const BEGIN = (.*);\n")
    schedule = {"lr": 0.1, "schedule": "own"}

    def began(*words):
        succeed(["lab", *words, "--out", "lab.html"], capsys)
        return json.loads(begin.search((tmp_path / "lab.html").read_text(encoding="utf-8"))[1])

    assert began()["lr"] == 0.05
    moved = {"lr": 0.2, "nesterov": True, "along": 0.025, "across": 5.0}
    assert began("--sgd.lr", "0.2", "--sgd.nesterov", "true") == began() | moved
    assert began("SGD, lr 0.3, momentum 0.8, 9 epochs, batch size 8")["momentum"] == 0.8
    assert began("digits").items() >= schedule.items()
    course = began("digits")["course"]
    assert (course["unit"], course["per_epoch"], course["times"][0], course["lr"][0]) == ("epoch", 45, 0, 1)
    assert course["lr"][-1] == pytest.approx(0.01)
    assert "--lang must be `en`, `zh` or `auto`" in fail(["lab", "--lang", "de", "--out", "x.html"], capsys)
    printed = succeed(["lab"], capsys)
    assert re.search(r"page: .*lab\.html\nopen it in a browser", printed)
